"""`pixio-edge export`, called in this process because loading torch takes seconds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pixio_edge import DepthEstimator
from pixio_edge.cli.export import export
from pixio_edge.cli.export_weights import read_record, read_terms
from pixio_edge.errors import InputError
from pixio_edge.models.checkpoints import save_checkpoint
from pixio_edge.models.presets import build_model


@pytest.fixture
def options(tmp_path: Path) -> dict[str, Any]:
    torch.manual_seed(0)
    save_checkpoint(tmp_path / "model.safetensors", build_model("tiny"))
    names = ("name", "preset", "licence_file", "attribution_file", "training_record", "commit")
    return dict.fromkeys(names) | {
        "source": str(tmp_path / "model.safetensors"),
        "output": tmp_path / "bundles" / "mine",
        "licence": "CC-BY-NC-4.0",
        "commercial": False,
        "sizes": ["32x48"],
        "formats": None,
        "notice": "be kind",
        "replace": False,
        "json": True,
    }


def test_exported_bundle_carries_what_was_given_and_predicts(
    options: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record = tmp_path / "record.json"
    record.write_text(json.dumps({"hours": 1.5}))

    export(**(options | {"training_record": record}))

    manifest = json.loads(capsys.readouterr().out)
    assert (manifest["model"]["name"], manifest["model"]["preset"]) == ("mine", "tiny")
    assert manifest["training"] == {"hours": 1.5}
    assert manifest["licence"] == {"weights": "CC-BY-NC-4.0", "commercial": False, "notice": "be kind"}
    with DepthEstimator.open(options["output"], runtime="ort") as estimator:
        assert estimator.sizes == ((32, 48),)
        picture = np.random.default_rng(0).integers(0, 256, (60, 90, 3), dtype=np.uint8)
        assert np.ptp(estimator.predict(picture).values) > 0


def test_nothing_is_written_when_the_checkpoint_is_missing(options: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"absent\.pt"):
        export(**(options | {"source": str(tmp_path / "absent.pt")}))

    assert not options["output"].parent.exists()


@pytest.mark.parametrize("content", ["", "[1]", "{", '"text"'])
def test_training_record_is_refused_when_it_is_no_object(content: str, tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    path.write_text(content)

    with pytest.raises(InputError, match="--training-record"):
        read_record(path)


def test_terms_and_texts_are_inherited_when_a_bundle_is_exported_again(
    options: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "terms.txt").write_text("terms")
    export(**(options | {"licence_file": tmp_path / "terms.txt", "commit": "abc"}))
    capsys.readouterr()
    inherited = {"licence": None, "commercial": None, "notice": "", "sizes": ["48x32"]}

    export(**(options | inherited | {"source": str(options["output"]), "output": tmp_path / "upright"}))

    manifest = json.loads(capsys.readouterr().out)
    assert manifest["licence"] == {"weights": "CC-BY-NC-4.0", "commercial": False, "notice": "be kind"}
    assert manifest["model"]["commit"] == "abc"
    assert manifest["model"]["preset"] == "tiny"
    assert [entry["size"] for entry in manifest["artifacts"]] == [[48, 32], [48, 32]]
    assert (tmp_path / "upright" / "LICENSE.txt").read_text() == "terms"


@pytest.mark.parametrize(
    ("licence", "commercial", "notice"), [(None, None, ""), ("MIT", None, ""), (None, True, ""), (None, None, "text")]
)
def test_terms_are_refused_when_a_part_is_missing(
    licence: str | None, commercial: bool | None, notice: str, tmp_path: Path
) -> None:
    (tmp_path / "model.safetensors").touch()

    with pytest.raises(InputError, match="--commercial or --noncommercial"):
        read_terms(str(tmp_path / "model.safetensors"), licence, commercial=commercial, notice=notice)
