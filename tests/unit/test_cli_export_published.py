"""`pixio-edge export` on published models: their names, terms and output contract, with tiny random weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from depth_anything_models import MAX_DEPTH, tiny_config, tiny_reference, to_original
from random_models import CONFIGS, random_model

from pixio_edge import DepthEstimator
from pixio_edge.cli.export import export
from pixio_edge.cli.export_weights import read_terms
from pixio_edge.errors import InputError, LicenceError
from pixio_edge.models import presets
from pixio_edge.models.checkpoint_names import is_checkpoint
from pixio_edge.models.licences import licence_of_preset
from pixio_edge.models.presets import PRESETS

PICTURE = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)


@pytest.fixture
def options(tmp_path: Path) -> dict[str, Any]:
    names = ("name", "licence", "commercial", "licence_file", "attribution_file", "training_record", "commit")
    fixed = {"sizes": ["42x56"], "formats": None, "notice": "", "replace": False, "json": True}
    return dict.fromkeys(names) | fixed | {"output": tmp_path / "bundle"}


def test_depth_anything_becomes_a_bundle_with_its_published_terms(
    options: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(PRESETS, "depth-anything-v2-small", tiny_config(metric=False, position_offset=0.1))
    source = tmp_path / "mine.pth"
    torch.save(to_original(tiny_reference(metric=False).state_dict()), source)

    export(**options, source=str(source), preset="depth-anything-v2-small")

    manifest = json.loads(capsys.readouterr().out)
    assert (manifest["licence"]["weights"], manifest["licence"]["commercial"]) == ("Apache-2.0", True)
    assert (manifest["model"]["preset"], manifest["model"]["family"]) == ("depth-anything-v2-small", "dinov2-dpt")
    assert manifest["image"]["multiple_of"] == 14
    assert manifest["output"]["kind"] == "relative_inverse"
    assert manifest["output"]["range"] == [0.0, None]
    assert all(entry["verified"] for entry in manifest["artifacts"])
    with DepthEstimator.open(options["output"], runtime="ort") as estimator:
        values = estimator.predict(PICTURE).values
    assert values.min() >= 0
    assert np.ptp(values) > 0


def test_metric_model_from_a_folder_of_transformers_predicts_metres(
    options: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(PRESETS, "depth-anything-v2-metric-indoor-small", tiny_config(metric=True))
    tiny_reference(metric=True).save_pretrained(tmp_path / "saved")
    terms = {"licence": "Apache-2.0", "commercial": True}

    export(**(options | terms), source=str(tmp_path / "saved"), preset="depth-anything-v2-metric-indoor-small")

    output = json.loads(capsys.readouterr().out)["output"]
    assert (output["kind"], output["unit"], output["direction"]) == ("metric", "m", "larger_is_farther")
    assert output["range"] == [0.0, MAX_DEPTH]
    with DepthEstimator.open(options["output"], runtime="ort") as estimator:
        depth = estimator.predict(PICTURE)
    assert depth.kind == "metric"
    assert 0 < depth.values.min() < depth.values.max() < MAX_DEPTH


def test_noncommercial_teacher_is_refused_when_commercial_use_is_insisted_on(
    options: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIXIO_EDGE_REQUIRE_COMMERCIAL", "1")
    monkeypatch.setitem(presets.PRESETS, "pixio-vitb16-indoor", CONFIGS["pixio"])
    torch.save(random_model("pixio").state_dict(), tmp_path / "dpt.pth")

    with pytest.raises(LicenceError, match="FAIR Noncommercial"):
        export(**options, source=str(tmp_path / "dpt.pth"), preset="pixio-vitb16-indoor")

    assert not options["output"].exists()


@pytest.mark.parametrize(
    ("preset", "licence", "commercial"),
    [
        ("pixio-vit5b16-outdoor", "FAIR Noncommercial Research License v1", False),
        ("depth-anything-v2-small", "Apache-2.0", True),
        ("depth-anything-v2-base", "CC-BY-NC-4.0", False),
        ("depth-anything-v2-large", "CC-BY-NC-4.0", False),
    ],
)
def test_terms_are_those_of_the_published_weights_when_none_are_given(
    tmp_path: Path, preset: str, licence: str, commercial: bool
) -> None:
    (tmp_path / "model.pth").touch()

    terms = read_terms(str(tmp_path / "model.pth"), None, commercial=None, notice="", preset=preset)

    assert terms is not None
    assert (terms.weights, terms.commercial) == (licence, commercial)


@pytest.mark.parametrize("preset", ["nano", "small", "tiny", "depth-anything-v2-metric-indoor-small"])
def test_terms_have_to_be_given_when_none_were_published_for_the_preset(tmp_path: Path, preset: str) -> None:
    (tmp_path / "model.pth").touch()

    assert licence_of_preset(preset) is None
    with pytest.raises(InputError, match="--licence"):
        read_terms(str(tmp_path / "model.pth"), None, commercial=None, notice="", preset=preset)


def test_checkpoints_are_recognised_by_their_names(tmp_path: Path) -> None:
    (tmp_path / "saved").mkdir()
    (tmp_path / "saved" / "model.safetensors.index.json").touch()
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / "manifest.json").touch()

    fitting = ("a.safetensors", "a.pt", "a.pth", "pytorch_model.bin", "model.safetensors.index.json", "saved")
    assert all(is_checkpoint(tmp_path / name) for name in fitting)
    assert not any(is_checkpoint(tmp_path / name) for name in ("bundle", "nano", "a.json", "a.onnx"))
