"""The masked autoencoder: what the encoder sees, what the decoder paints, and the loss by hand."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from torch import Tensor, nn

from pixio_edge.errors import InputError
from pixio_edge.models.pixio import EncoderConfig, PixioEncoder
from pixio_edge.models.presets import find_preset
from pixio_edge.training.mae_decoder import (
    VARIANCE_EPS,
    DecoderConfig,
    MaeDecoder,
    MaskedAutoencoder,
    cut_patches,
    hidden_of,
    join_patches,
    patch_statistics,
    reconstruction_losses,
)
from pixio_edge.training.masking import block_grid, visible_positions, visible_windows

TINY = find_preset("tiny").encoder
PLAIN = EncoderConfig(embed_dim=32, depth=2, num_heads=2)
GRID = block_grid(8, 8)
# One block of four is seen: the one at the upper right.
BLOCKS = torch.tensor([[1], [1]])
# The same numbers in another order of additions; measured up to 2e-6.
ORDER_TOLERANCE = 2e-5


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def picture(height: int = 128, width: int = 128) -> Tensor:
    return torch.randn(2, 3, height, width)


def hidden_pixels(image: Tensor) -> Tensor:
    """bool, of the shape of an image."""
    mask = hidden_of(BLOCKS, GRID)[..., None].expand(-1, -1, 3 * 16 * 16)
    return join_patches(mask, GRID.patches, 16).expand_as(image)


def embed(encoder: PixioEncoder, image: Tensor) -> Tensor:
    return encoder.encode_visible(visible_windows(image, BLOCKS, GRID), visible_positions(BLOCKS, GRID), GRID.patches)


@pytest.mark.parametrize("shape", [TINY, PLAIN], ids=["stem", "patches"])
def test_one_window_that_is_the_whole_image_gives_what_forward_gives(shape: EncoderConfig) -> None:
    encoder, image = PixioEncoder(shape).eval(), picture(64, 96)

    tokens = encoder.encode_visible(image[:, None], torch.arange(24).expand(2, -1), (4, 6))

    assert torch.allclose(tokens, encoder(image), atol=ORDER_TOLERANCE)


def test_windows_of_a_plain_vit_give_the_tokens_of_the_whole_image_in_the_order_of_the_windows() -> None:
    encoder, image = PixioEncoder(PLAIN).eval(), picture()
    blocks = torch.tensor([[2, 0, 3, 1], [1, 2, 0, 3]])

    positions = visible_positions(blocks, GRID)
    tokens = encoder.encode_visible(visible_windows(image, blocks, GRID), positions, GRID.patches)

    whole = encoder(image)
    assert torch.allclose(tokens[:, :8], whole[:, :8], atol=ORDER_TOLERANCE)
    expected = torch.stack([whole[i, 8:][positions[i]] for i in range(2)])
    assert torch.allclose(tokens[:, 8:], expected, atol=ORDER_TOLERANCE)
    assert not torch.allclose(tokens[:, 8:], whole[:, 8:], atol=ORDER_TOLERANCE)


@pytest.mark.parametrize("training", [True, False], ids=["training", "eval"])
def test_hidden_pixels_reach_no_visible_token_no_statistic_and_nothing_that_is_painted(training: bool) -> None:
    first = MaskedAutoencoder(PixioEncoder(TINY), DecoderConfig(16, 2)).train(training)
    second = copy.deepcopy(first)
    image = picture()
    other = torch.where(hidden_pixels(image), torch.randn_like(image), image)
    assert not torch.equal(image, other)

    assert torch.equal(embed(first.encoder, image), embed(second.encoder, other))
    assert torch.equal(first(image, BLOCKS, GRID), second(other, BLOCKS, GRID))
    for name, value in first.state_dict().items():  # running statistics of BatchNorm
        assert torch.equal(value, second.state_dict()[name]), name


def test_visible_pixels_reach_the_tokens_and_what_is_painted() -> None:
    model = MaskedAutoencoder(PixioEncoder(TINY), DecoderConfig(16, 2)).eval()
    image = picture()
    other = torch.where(hidden_pixels(image), image, torch.randn_like(image))

    assert not torch.allclose(embed(model.encoder, image), embed(model.encoder, other))
    painted = [model(each, BLOCKS, GRID)[hidden_of(BLOCKS, GRID)] for each in (image, other)]
    assert not torch.allclose(*painted)


def test_stem_of_the_whole_image_leaks_hidden_pixels_into_visible_tokens() -> None:
    """Why windows: tokens that are dropped after the stem have been seen by their neighbours."""
    encoder, image = PixioEncoder(TINY).eval(), picture()
    other = torch.where(hidden_pixels(image), torch.randn_like(image), image)

    visible = ~hidden_of(BLOCKS, GRID).reshape(2, 8, 8)
    maps = [encoder.patch_embed(each)[0].permute(0, 2, 3, 1) for each in (image, other)]

    changed = (maps[0] != maps[1]).any(dim=-1) & visible
    assert int(changed.sum()) > int(visible.sum()) // 2


def test_blocks_see_class_tokens_and_visible_patches_alone() -> None:
    model = MaskedAutoencoder(PixioEncoder(TINY), DecoderConfig(16, 2))
    seen: list[tuple[int, ...]] = []
    for block in (*model.encoder.blocks, *model.decoder.blocks):
        block.register_forward_hook(lambda module, inputs, output: seen.append(tuple(inputs[0].shape)))

    model(picture(), BLOCKS, GRID)

    assert seen == [(2, 8 + 16, 32)] * 2 + [(2, 8 + 64, 16)] * 2


def test_decoder_reads_class_tokens_and_knows_places() -> None:
    decoder = MaeDecoder(DecoderConfig(16, 2), TINY)
    tokens = torch.randn(1, 8 + 16, 32, requires_grad=True)
    positions = visible_positions(BLOCKS[:1], GRID)

    painted = decoder(tokens, positions, GRID.patches)
    hidden = painted[hidden_of(BLOCKS[:1], GRID)]
    hidden.square().sum().backward()

    assert tokens.grad is not None
    assert (tokens.grad[:, :8].abs().sum(dim=-1) > 0).all()
    # Every hidden patch is the same token but for its place.
    assert len({tuple(row) for row in hidden.tolist()}) == 48
    assert decoder.pos_embed.requires_grad
    assert decoder.pos_embed.shape == (1, 8 + 256, 16)


def test_decoder_puts_visible_tokens_where_they_are_and_mask_tokens_elsewhere() -> None:
    decoder = MaeDecoder(DecoderConfig(16, 1), TINY)
    inputs: list[Tensor] = []
    decoder.blocks[0].register_forward_hook(lambda module, given, output: inputs.append(given[0]))
    with torch.no_grad():
        decoder.pos_embed.zero_()
        decoder.mask_token.fill_(7.0)
    tokens = torch.randn(2, 8 + 16, 32)

    decoder(tokens, visible_positions(BLOCKS, GRID), GRID.patches)

    hidden = hidden_of(BLOCKS, GRID)
    patches = inputs[0][:, 8:]
    assert (patches[hidden] == 7.0).all()
    # The block at the upper right has the fifth to eighth patch of each of the first four rows.
    assert torch.equal(patches.reshape(2, 8, 8, 16)[:, :4, 4:].reshape(2, 16, 16), decoder.embed(tokens)[:, 8:])


def test_decoder_is_half_as_wide_and_as_deep_as_the_encoder_unless_told() -> None:
    usual = DecoderConfig.beside(find_preset("nano").encoder)

    assert (usual.width, usual.depth, usual.heads) == (96, 8, 3)
    assert (DecoderConfig.beside(TINY).width, DecoderConfig.beside(TINY).heads) == (16, 1)
    assert DecoderConfig(512, 32).heads == 16


@pytest.mark.parametrize(("width", "depth"), [(0, 1), (18, 1), (16, 0)])
def test_decoder_is_refused_when_it_cannot_be_built(width: int, depth: int) -> None:
    with pytest.raises(InputError, match="decoder: got"):
        DecoderConfig(width, depth)


def test_patches_are_cut_row_by_row_and_joined_to_the_same_image() -> None:
    image = torch.arange(2 * 3 * 4 * 6).reshape(2, 3, 4, 6)

    patches = cut_patches(image, 2)

    assert patches.shape == (2, 6, 12)
    # The second patch of the first row: its pixels with their channels, which lie 24 apart.
    assert patches[0, 1].tolist() == [2, 26, 50, 3, 27, 51, 8, 32, 56, 9, 33, 57]
    assert torch.equal(join_patches(patches, (2, 3), 2), image)


def test_patch_statistics_have_the_unbiased_variance() -> None:
    mean, deviation = patch_statistics(torch.tensor([[[1.0, 2.0, 3.0, 6.0], [5.0, 5.0, 5.0, 5.0]]]))

    # (4 + 1 + 0 + 9) / 3, not / 4.
    assert mean.flatten().tolist() == [3.0, 5.0]
    assert deviation.flatten().tolist() == pytest.approx([math.sqrt(14 / 3 + 1e-6), 1e-3])
    assert VARIANCE_EPS == 1e-6


def test_loss_is_that_of_a_case_worked_by_hand() -> None:
    # Patches of one pixel: colours (1, 2, 3) and (0, 0, 6), unbiased variances 1 and 12, targets (-1, 0, 1) and
    # (-2, -2, 4) / sqrt(12).
    image = torch.tensor([[1.0, 0.0], [2.0, 0.0], [3.0, 6.0]]).reshape(1, 3, 1, 2)
    painted = torch.zeros(1, 2, 3)
    painted[0, 0] = torch.tensor([-1.0, 3.0, 1.0])

    def loss(*hidden: bool) -> float:
        return float(reconstruction_losses(painted, image, torch.tensor([hidden])))

    assert loss(True, False) == pytest.approx(9 / 3, abs=1e-5)
    assert loss(False, True) == pytest.approx((4 + 4 + 16) / 12 / 3, abs=1e-5)
    assert loss(True, True) == pytest.approx((3 + 2 / 3) / 2, abs=1e-5)


def test_loss_is_one_value_per_image_and_visible_patches_do_not_count() -> None:
    image, painted = picture(), torch.randn(2, 64, 768)
    hidden = hidden_of(BLOCKS, GRID)
    losses = reconstruction_losses(painted, image, hidden)

    elsewhere = torch.where(hidden[..., None], painted, torch.full_like(painted, 100.0))

    assert losses.shape == (2,)
    assert torch.equal(reconstruction_losses(elsewhere, image, hidden), losses)
    assert not torch.equal(reconstruction_losses(-painted, image, hidden), losses)


def test_loss_does_not_depend_on_brightness_and_contrast_of_the_image() -> None:
    image, painted = picture(), torch.randn(2, 64, 768)
    hidden = hidden_of(BLOCKS, GRID)

    changed = reconstruction_losses(painted, image * 3 + 5, hidden)

    assert torch.allclose(changed, reconstruction_losses(painted, image, hidden), atol=1e-4)


def test_every_parameter_gets_a_gradient() -> None:
    model: nn.Module = MaskedAutoencoder(PixioEncoder(TINY), DecoderConfig(16, 2))
    image = picture(128, 192)
    grid = block_grid(8, 12)
    blocks = torch.tensor([[1, 4], [0, 5]])

    reconstruction_losses(model(image, blocks, grid), image, hidden_of(blocks, grid)).mean().backward()

    without = [name for name, value in model.named_parameters() if value.grad is None or not value.grad.any()]
    assert without == []
