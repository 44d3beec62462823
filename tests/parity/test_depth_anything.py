"""Depth Anything V2 against the transformers library, from tiny random weights in every spelling of their names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from depth_anything_models import MAX_DEPTH, tiny_config, tiny_reference, to_original
from transformers import DepthAnythingForDepthEstimation

from pixio_edge.errors import InputError
from pixio_edge.models.checkpoints import load_checkpoint, load_encoder
from pixio_edge.models.presets import PRESETS

# Both are float32 and compute the same in the same order; what is left is rounding of differently fused products.
TOLERANCE = 1e-5

# The stored 5x5 grid of patches, two that are not square, one smaller and one larger in both directions.
SIZES = ((70, 70), (98, 42), (56, 84), (28, 28), (112, 98))

Reference = DepthAnythingForDepthEstimation


@pytest.fixture(scope="module", params=[False, True], ids=["relative", "metric"])
def metric(request: pytest.FixtureRequest) -> bool:
    torch.set_num_threads(1)
    return bool(request.param)


@pytest.fixture(scope="module")
def reference(metric: bool) -> Reference:
    return tiny_reference(metric=metric)


def write_original(folder: Path, model: Reference) -> Path:
    state = to_original(model.state_dict())
    assert "pretrained.mask_token" in state
    assert "depth_head.scratch.refinenet4.resConfUnit1.conv1.weight" in state
    torch.save(state, folder / "depth_anything_v2_vitx.pth")
    return folder / "depth_anything_v2_vitx.pth"


def write_saved(folder: Path, model: Reference) -> Path:
    model.save_pretrained(folder)
    return folder / "model.safetensors"


def write_memory(folder: Path, model: Reference) -> Path:
    torch.save(model.state_dict(), folder / "memory.bin")
    return folder / "memory.bin"


SPELLINGS: dict[str, Callable[[Path, Reference], Path]] = {
    "original": write_original,
    "transformers on disk": write_saved,
    "transformers in memory": write_memory,
}


@pytest.mark.parametrize("spelling", SPELLINGS)
@torch.inference_mode()
def test_depth_equals_that_of_transformers_at_every_size(
    tmp_path: Path, reference: Reference, metric: bool, spelling: str
) -> None:
    model = load_checkpoint(SPELLINGS[spelling](tmp_path, reference), tiny_config(metric=metric))

    for size in SIZES:
        image = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(1))
        depth, expected = model(image), reference(image).predicted_depth
        assert depth.shape == (2, *size)
        assert expected.std() > 0.02 * expected.max() > 0
        assert metric or (expected == 0).any()
        scale = MAX_DEPTH if metric else 1.0
        torch.testing.assert_close(depth, expected, atol=TOLERANCE * scale, rtol=TOLERANCE)


@torch.inference_mode()
def test_positions_differ_from_those_of_transformers_only_where_they_are_resampled(
    tmp_path: Path, reference: Reference, metric: bool
) -> None:
    """The authors resample with an offset, transformers without; the presets follow the authors."""
    config = tiny_config(metric=metric, position_offset=0.1)
    model = load_checkpoint(write_original(tmp_path, reference), config)

    for size, is_same in (((70, 70), True), ((56, 84), False)):
        image = torch.randn(1, 3, *size, generator=torch.Generator().manual_seed(1))
        difference = float((model(image) - reference(image).predicted_depth).abs().max())
        assert (difference < TOLERANCE * MAX_DEPTH) is is_same, size
    assert PRESETS["depth-anything-v2-small"].encoder.position_offset == 0.1


def test_encoder_is_loaded_without_the_head_when_it_alone_is_wanted(tmp_path: Path, reference: Reference) -> None:
    config = tiny_config(metric=False)

    encoder = load_encoder(write_original(tmp_path, reference), config.encoder)

    assert torch.equal(encoder.pos_embed, reference.backbone.embeddings.position_embeddings)
    assert torch.equal(encoder.blocks[3].ls2.gamma, reference.backbone.encoder.layer[3].layer_scale2.lambda1)


def test_checkpoint_is_refused_when_it_is_of_another_size(tmp_path: Path, reference: Reference) -> None:
    path = write_original(tmp_path, reference)

    with pytest.raises(InputError, match=r"missing encoder\.blocks\.4\.norm1\.weight.*of another shape encoder\.cls_t"):
        load_checkpoint(path, PRESETS["depth-anything-v2-small"])
