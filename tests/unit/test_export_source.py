from __future__ import annotations

from pathlib import Path

import pytest
import torch
from random_models import random_model
from tiny_bundle import tiny_header, write_tiny_bundle

from pixio_edge.bundle_writer import write_bundle
from pixio_edge.errors import BundleError, InputError
from pixio_edge.export.source import open_source
from pixio_edge.models.checkpoints import save_checkpoint
from pixio_edge.models.presets import PRESETS, build_model


def test_checkpoint_names_its_preset_when_its_shape_is_one_of_ours(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "tiny.safetensors", build_model("tiny"))
    save_checkpoint(tmp_path / "other.safetensors", random_model("plain"))

    ours, other = (open_source(str(tmp_path / f"{name}.safetensors")) for name in ("tiny", "other"))

    assert (ours.preset, other.preset) == ("tiny", "custom")
    assert ours.manifest is None
    assert not ours.documents


def test_plain_state_dict_is_opened_when_the_preset_is_given(tmp_path: Path) -> None:
    model = build_model("tiny")
    torch.save(model.state_dict(), tmp_path / "tiny.pt")

    assert open_source(str(tmp_path / "tiny.pt"), "tiny").model.config == PRESETS["tiny"]


def test_bundle_gives_its_model_terms_and_texts_when_it_has_a_checkpoint(tmp_path: Path) -> None:
    model = random_model("stem")
    with write_bundle(tmp_path / "bundle", tiny_header()) as writer:
        save_checkpoint(writer.folder / "weights.safetensors", model)
        writer.add_file("weights.safetensors", "checkpoint")
        (writer.folder / "LICENSE.txt").write_text("terms")
        writer.add_file("LICENSE.txt", "licence")

    source = open_source(str(tmp_path / "bundle"))

    assert source.model.config == model.config
    assert source.manifest is not None
    assert source.manifest.licence == tiny_header().licence
    assert {role: path.read_text() for role, path in source.documents.items()} == {"licence": "terms"}


def test_source_is_refused_when_it_is_a_bundle_without_a_checkpoint(tmp_path: Path) -> None:
    write_tiny_bundle(tmp_path / "bundle")

    with pytest.raises(BundleError, match="has no checkpoint"):
        open_source(str(tmp_path / "bundle"))


@pytest.mark.parametrize(
    ("source", "preset", "error", "message"),
    [
        ("gone.safetensors", None, InputError, "gone.safetensors: no such file"),
        ("gone", None, BundleError, "bundle 'gone'"),
        ("gone.pt", "mega", InputError, "preset 'mega': unknown, expected one of nano, small, tiny, pixio-vitb16"),
    ],
)
def test_source_is_refused_when_it_does_not_exist(
    source: str, preset: str | None, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        open_source(source, preset)
