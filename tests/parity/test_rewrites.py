"""Every export rewrite computes the same function: proved in float64, where rounding cannot hide an error."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from random_models import CONFIGS, SIZES, random_image, random_model
from torch import nn

from pixio_edge.export import encoder_rewrites, head_rewrites
from pixio_edge.export.encoder_rewrites import BakedEncoder
from pixio_edge.export.prepare import prepare
from pixio_edge.export.reference import normalise, reference_depth
from pixio_edge.models.depth_model import DepthModel
from pixio_edge.models.vit_blocks import LayerScale
from pixio_edge.parity import Tolerance, compare

# Some thousand float64 operations of relative error 1e-16 each; a wrong rewrite is off by more than 1e-3.
EXACT = Tolerance(max_rel=1e-12)

Rewrite = Callable[[DepthModel], int]
REWRITES: dict[str, Rewrite] = {
    "fold_batch_norms": encoder_rewrites.fold_batch_norms_,
    "fold_layer_scales": encoder_rewrites.fold_layer_scales_,
    "fold_attention_scale": encoder_rewrites.fold_attention_scale_,
    "fold_layer_norms": encoder_rewrites.fold_layer_norms_,
    "merge_pointwise_convs": lambda model: head_rewrites.merge_pointwise_convs_(model.head),
    "split_readouts": lambda model: head_rewrites.split_readouts_(model.head),
    "unfold_transposed_convs": lambda model: head_rewrites.unfold_transposed_convs_(model.head),
    "commute_out_convs": lambda model: head_rewrites.commute_out_convs_(model.head),
}
# How many places each rewrite has to find, so that one that does nothing cannot pass.
PLACES = {
    "stem": {
        "fold_batch_norms": 7,
        "fold_attention_scale": 3,
        "fold_layer_norms": 6,
        "merge_pointwise_convs": 4,
        "split_readouts": 2,
        "commute_out_convs": 4,
    },
    "plain": {
        "fold_attention_scale": 4,
        "fold_layer_norms": 8,
        "split_readouts": 4,
        "unfold_transposed_convs": 2,
        "commute_out_convs": 4,
    },
    "pixio": {"split_readouts": 4, "unfold_transposed_convs": 2, "commute_out_convs": 4},
    "depth_anything": {
        "fold_layer_scales": 8,
        "fold_attention_scale": 4,
        "fold_layer_norms": 8,
        "split_readouts": 0,
        "unfold_transposed_convs": 2,
        "commute_out_convs": 4,
    },
}
CASES = [(config, rewrite, places) for config, table in PLACES.items() for rewrite, places in table.items()]


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize(("config", "rewrite", "places"), CASES)
def test_rewrite_keeps_the_output_when_applied_alone(
    config: str, rewrite: str, places: int, size: tuple[int, int]
) -> None:
    model = random_model(config).double()
    image = normalise(torch.from_numpy(random_image(size)), torch.float64)
    rewritten = copy.deepcopy(model)

    with torch.no_grad():
        found = REWRITES[rewrite](rewritten)
        report = compare(model(image).numpy(), rewritten(image).numpy(), EXACT)

    assert found == places
    assert report, report.message


@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_normalisation_folds_into_the_first_convolution_when_pixels_are_fed(config: str, size: tuple[int, int]) -> None:
    model = random_model(config).double()
    image = torch.from_numpy(random_image(size))
    folded = copy.deepcopy(model)

    with torch.no_grad():
        mean = encoder_rewrites.fold_normalisation_(folded.encoder.patch_embed)
        pixels = image.permute(0, 3, 1, 2).double()
        depth = folded(pixels if mean is None else pixels - mean)
        report = compare(model(normalise(image, torch.float64)).numpy(), depth.numpy(), EXACT)

    # Only the unpadded patch convolution can hold the mean in its bias.
    assert (mean is None) == (config != "stem")
    assert report, report.message


@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_position_embedding_is_a_constant_when_baked(config: str, size: tuple[int, int]) -> None:
    model = random_model(config).double()
    image = normalise(torch.from_numpy(random_image(size)), torch.float64)
    indices = model.config.head.indices

    with torch.no_grad():
        expected = model.encoder.forward_intermediates(image, indices)
        baked = BakedEncoder(model.encoder, size)
        got = baked.forward_intermediates(image, indices)

    assert not hasattr(baked, "pos_embed")
    for name in ("stem", "patches", "cls_tokens"):
        pairs = list(zip(getattr(expected, name), getattr(got, name), strict=True))
        assert pairs or (name == "stem" and config != "stem")
        for wanted, found in pairs:
            report = compare(wanted.numpy(), found.numpy(), EXACT)
            assert report, f"{name}: {report.message}"


@pytest.mark.parametrize("fold_layer_norms", [False, True])
@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_prepared_model_keeps_the_output_when_all_rewrites_are_applied(
    config: str, size: tuple[int, int], fold_layer_norms: bool
) -> None:
    model = random_model(config).double()
    image = random_image(size)
    before = {name: value.clone() for name, value in model.state_dict().items()}

    prepared = prepare(model, size, fold_layer_norms=fold_layer_norms)
    with torch.no_grad():
        depth = prepared(torch.from_numpy(image))
        wanted = model(normalise(torch.from_numpy(image), torch.float64))
    report = compare(wanted.numpy(), depth.numpy(), EXACT)

    assert report, report.message
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    kinds = {type(module) for module in prepared.modules()}
    assert kinds.isdisjoint({nn.BatchNorm2d, nn.ConvTranspose2d, LayerScale})


@pytest.mark.parametrize("config", CONFIGS)
def test_random_model_depends_on_every_corner_of_the_image_when_run(config: str) -> None:
    # The parity tests prove nothing about a pixel that the output does not depend on.
    model = random_model(config)
    image = random_image((64, 64))
    depth = reference_depth(model, image)

    for row, column in ((0, 0), (0, -1), (-1, 0), (-1, -1)):
        changed = image.copy()
        changed[0, row, column] ^= 255
        difference = abs(reference_depth(model, changed) - depth).max() / abs(depth).max()
        assert difference > 1e-3, (row, column)


def test_layer_norms_are_refused_when_they_were_folded_already() -> None:
    model = random_model("plain")
    with torch.no_grad():
        encoder_rewrites.fold_layer_norms_(model)

        with pytest.raises(TypeError, match="folded already"):
            encoder_rewrites.fold_layer_norms_(model)
