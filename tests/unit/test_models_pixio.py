"""The encoder against the transformers library's implementation of Pixio, on random weights."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from pixio_names import SMALL, random_encoder, to_transformers, transformers_config
from torch import Tensor
from transformers import PixioModel

from pixio_edge.errors import SpecError
from pixio_edge.models.pixio import EncoderConfig, PixioEncoder, sincos_embedding
from pixio_edge.models.stem import StemConfig

# Both are float32 and compute the same in the same order; what is left is rounding of differently fused products.
TOLERANCE = 1e-5

# The stored 16x16 grid, one that is neither square nor stored, and one smaller in both directions.
SIZES = ((256, 256), (96, 64), (48, 160))

BLOCK_KEYS = (
    "norm1.weight",
    "norm1.bias",
    "attn.qkv.weight",
    "attn.qkv.bias",
    "attn.proj.weight",
    "attn.proj.bias",
    "norm2.weight",
    "norm2.bias",
    "mlp.fc1.weight",
    "mlp.fc1.bias",
    "mlp.fc2.weight",
    "mlp.fc2.bias",
)
ORIGINAL_KEYS = ("cls_token", "pos_embed", "patch_embed.proj.weight", "patch_embed.proj.bias")


@pytest.fixture(scope="module")
def encoder() -> PixioEncoder:
    torch.set_num_threads(1)
    return random_encoder()


@pytest.fixture(scope="module")
def reference(encoder: PixioEncoder) -> PixioModel:
    model = PixioModel(transformers_config()).eval().requires_grad_(False)
    model.load_state_dict(to_transformers(encoder.state_dict(), in_memory=True), strict=True)
    return model


def image_of(size: tuple[int, int]) -> Tensor:
    return torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("size", SIZES)
@torch.inference_mode()
def test_final_tokens_equal_those_of_transformers(
    encoder: PixioEncoder, reference: PixioModel, size: tuple[int, int]
) -> None:
    image = image_of(size)

    ours, theirs = encoder(image), reference(image).last_hidden_state

    assert ours.shape == (2, 8 + size[0] // 16 * (size[1] // 16), SMALL.embed_dim)
    torch.testing.assert_close(ours, theirs, atol=TOLERANCE, rtol=TOLERANCE)


@pytest.mark.parametrize("size", SIZES)
@torch.inference_mode()
def test_intermediates_equal_hidden_states_of_transformers_after_the_final_norm(
    encoder: PixioEncoder, reference: PixioModel, size: tuple[int, int]
) -> None:
    image = image_of(size)

    features = encoder.forward_intermediates(image, (0, 2))
    hidden = reference(image, output_hidden_states=True).hidden_states

    assert features.stem == ()
    for tapped, block in enumerate((0, 2)):
        expected = reference.layernorm(hidden[block + 1])  # entry 0 is the embedding
        patches = features.patches[tapped]
        assert patches.shape == (2, SMALL.embed_dim, size[0] // 16, size[1] // 16)
        ours = torch.cat([features.cls_tokens[tapped], patches.flatten(2).transpose(1, 2)], dim=1)
        torch.testing.assert_close(ours, expected, atol=TOLERANCE, rtol=TOLERANCE)


@torch.inference_mode()
def test_class_tokens_keep_their_positions_when_the_grid_is_resampled(encoder: PixioEncoder) -> None:
    stored, resampled = encoder.position_embedding(16, 16), encoder.position_embedding(4, 6)

    assert stored is encoder.pos_embed
    assert resampled.shape == (1, 8 + 24, SMALL.embed_dim)
    assert torch.equal(resampled[:, :8], stored[:, :8])


def test_later_blocks_are_not_run_when_none_of_them_is_tapped(encoder: PixioEncoder) -> None:
    ran: list[int] = []
    handles = [
        block.register_forward_hook(lambda *_, index=index: ran.append(index))
        for index, block in enumerate(encoder.blocks)
    ]

    encoder.forward_intermediates(image_of((48, 48)), (1,))
    for handle in handles:
        handle.remove()

    assert ran == [0, 1]


@torch.inference_mode()
def test_readout_is_what_transformers_pools(encoder: PixioEncoder, reference: PixioModel) -> None:
    image = image_of((96, 64))

    pooled = reference(image).pooler_output

    torch.testing.assert_close(encoder(image)[:, :8].mean(dim=1), pooled, atol=TOLERANCE, rtol=TOLERANCE)


@pytest.mark.parametrize("grid", [(37, 28), (18, 18), (40, 60)])
def test_positions_are_sampled_with_the_offset_of_dinov2_when_asked(grid: tuple[int, int]) -> None:
    """By the rule in the original's own terms: source = (target + 0.5) / factor - 0.5, factor = (side + 0.1) / 37."""
    config = EncoderConfig(8, 1, 2, patch_size=14, num_cls_tokens=1, image_size=518, position_offset=0.1)
    encoder = random_encoder(config).double()
    stored = encoder.pos_embed[0, 1:].reshape(37, 37, 8)

    sampled = encoder.position_embedding(*grid)[0, 1:].reshape(*grid, 8)

    rows, columns = (cubic_matrix(side) for side in grid)
    expected = torch.einsum("ri,cj,ijd->rcd", rows, columns, stored)
    torch.testing.assert_close(sampled, expected, atol=1e-9, rtol=0)  # float64, a few dozen products
    plain = random_encoder(replace(config, position_offset=0.0)).double().position_embedding(*grid)
    assert (sampled - plain[0, 1:].reshape(*grid, 8)).abs().max() > 1e-3


def cubic_matrix(side: int, stored: int = 37, offset: float = 0.1) -> Tensor:
    """Weights (side, stored) of cubic convolution (Keys 1981, a = -0.75 as in torch), the border repeated."""
    matrix = torch.zeros(side, stored, dtype=torch.float64)
    for target in range(side):
        place = (target + 0.5) / ((side + offset) / stored) - 0.5
        for tap in range(math.floor(place) - 1, math.floor(place) + 3):
            x, a = abs(place - tap), -0.75
            near = (a + 2) * x**3 - (a + 3) * x**2 + 1
            far = a * (x**3 - 5 * x**2 + 8 * x - 4)
            matrix[target, min(max(tap, 0), stored - 1)] += near if x <= 1 else far
    return matrix


def test_stem_is_refused_when_patches_have_another_size() -> None:
    with pytest.raises(SpecError, match="stem of stride 16 and patch size 14"):
        PixioEncoder(EncoderConfig(16, depth=1, num_heads=2, patch_size=14, stem=StemConfig(channels=(4, 4, 8))))


def test_state_dict_has_the_names_and_shapes_of_published_checkpoints() -> None:
    encoder = PixioEncoder(SMALL)
    blocks = [f"blocks.{index}.{key}" for index in range(SMALL.depth) for key in BLOCK_KEYS]

    state = encoder.state_dict()

    assert list(state) == [*ORIGINAL_KEYS, *blocks, "norm.weight", "norm.bias"]
    assert state["cls_token"].shape == (1, 8, 48)
    assert state["pos_embed"].shape == (1, 264, 48)
    assert state["patch_embed.proj.weight"].shape == (48, 3, 16, 16)
    assert state["blocks.0.attn.qkv.weight"].shape == (144, 48)
    assert state["blocks.0.mlp.fc1.weight"].shape == (192, 48)


@pytest.mark.parametrize("stem", [None, StemConfig(channels=(4, 4, 8))], ids=["patches", "stem"])
@pytest.mark.parametrize("size", [(250, 256), (256, 40), (15, 16)])
def test_image_is_refused_when_a_side_is_no_multiple_of_the_patch(
    stem: StemConfig | None, size: tuple[int, int]
) -> None:
    encoder = PixioEncoder(EncoderConfig(embed_dim=16, depth=1, num_heads=2, stem=stem))

    # transformers cuts such images to whole patches without a word; the original refuses them too.
    for call in (encoder, lambda image: encoder.forward_intermediates(image, (0,))):
        with pytest.raises(SpecError, match=rf"got {size[0]}x{size[1]}, expected both sides to be multiples of 16"):
            call(torch.zeros(1, 3, *size))


def test_stem_gives_tokens_at_stride_16_and_maps_at_strides_4_and_8() -> None:
    encoder = PixioEncoder(EncoderConfig(16, depth=1, num_heads=2, stem=StemConfig(channels=(4, 6, 8)))).eval()

    features = encoder.forward_intermediates(torch.zeros(1, 3, 64, 96), (0,))

    assert [tuple(level.shape) for level in features.stem] == [(1, 6, 16, 24), (1, 8, 8, 12)]
    assert features.patches[0].shape == (1, 16, 4, 6)


def test_sine_cosine_positions_differ_between_all_places_and_share_columns_and_rows() -> None:
    embedding = sincos_embedding(4, 16).reshape(4, 4, 16)

    flat = embedding.reshape(16, 16)
    assert (torch.cdist(flat, flat) + torch.eye(16)).min() > 0.1
    # The first half encodes the column, the second the row.
    assert torch.equal(embedding[0, :, :8], embedding[3, :, :8])
    assert torch.equal(embedding[:, 0, 8:], embedding[:, 3, 8:])
    torch.testing.assert_close(flat.square().sum(1), torch.full((16,), 8.0))
