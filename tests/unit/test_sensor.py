from __future__ import annotations

import pytest
import torch
from torch import Tensor

from pixio_edge.training.sensor import dct_basis, jpeg_like, photograph

# Two orthonormal 8x8 transforms and back in float32.
ROUNDING = 1e-5


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def picture(*, seed: int = 0) -> Tensor:
    """Smooth gradients with some grain, (2, 3, 32, 48) in [0, 1]."""
    generator = torch.Generator().manual_seed(seed)
    ramp = torch.linspace(0, 1, 48)[None, None, None] * torch.linspace(0.2, 1, 32)[:, None]
    return (ramp + 0.1 * torch.rand(2, 3, 32, 48, generator=generator)).clamp(0, 1)


def strength(value: float) -> Tensor:
    return torch.full((2, 1, 1, 1), value)


def test_cosine_basis_is_orthonormal() -> None:
    basis = dct_basis(torch.device("cpu"))

    torch.testing.assert_close(basis @ basis.T, torch.eye(8), atol=1e-6, rtol=0)


def test_cosine_basis_rises_in_frequency() -> None:
    changes = dct_basis(torch.device("cpu")).sign().diff(dim=1).abs().sum(dim=1) / 2

    assert changes.tolist() == list(range(8))


def test_jpeg_changes_nothing_when_its_strength_is_zero() -> None:
    image = picture()

    torch.testing.assert_close(jpeg_like(image, strength(0.0)), image, atol=ROUNDING, rtol=0)


def test_jpeg_leaves_few_coefficients_and_more_error_when_it_is_stronger() -> None:
    image = picture()
    weak, strong = jpeg_like(image, strength(0.2)), jpeg_like(image, strength(1.2))

    def coefficients(values: Tensor) -> int:
        basis = dct_basis(values.device)
        blocks = values.reshape(2, 3, 4, 8, 6, 8).transpose(3, 4)
        return int(((basis @ blocks @ basis.T).abs() > 1e-4).sum())

    assert coefficients(strong) < coefficients(weak) < coefficients(image)
    assert (strong - image).abs().mean() > (weak - image).abs().mean() > 0


def test_jpeg_of_a_flat_block_keeps_its_grey_to_a_quantisation_step() -> None:
    image = torch.full((2, 3, 8, 8), 0.4)

    restored = jpeg_like(image, strength(1.0))

    assert (restored.amax(dim=(2, 3)) - restored.amin(dim=(2, 3))).max() < ROUNDING
    # The constant coefficient is 8 times the grey, in steps of 16 / 255.
    assert (restored - image).abs().max() <= 16 / 255 / 8 / 2 + ROUNDING


def test_jpeg_strength_is_that_of_each_image() -> None:
    image = picture()

    mixed = jpeg_like(image, torch.tensor([0.0, 1.0])[:, None, None, None])

    torch.testing.assert_close(mixed[0], image[0], atol=ROUNDING, rtol=0)
    torch.testing.assert_close(mixed[1], jpeg_like(image, strength(1.0))[1], atol=ROUNDING, rtol=0)


@pytest.mark.parametrize("brightness", [0.0, 0.02, 1.0, 5.0])
def test_photograph_is_a_picture_whatever_the_light(brightness: float) -> None:
    colour = picture() * brightness

    for seed in range(5):
        image = photograph(colour, torch.Generator().manual_seed(seed))
        assert image.shape == colour.shape
        assert torch.isfinite(image).all()
        assert image.min() >= 0
        assert image.max() <= 1


def test_photograph_is_exposed_when_the_scene_is_dark_or_bright() -> None:
    for brightness in (0.1, 3.0):
        levels = [
            photograph(picture() * brightness, torch.Generator().manual_seed(seed)).mean(dim=(1, 2, 3))
            for seed in range(10)
        ]
        assert 0.25 < float(torch.cat(levels).mean()) < 0.75


def test_photograph_is_the_same_when_its_generator_is_and_differs_between_images() -> None:
    same = picture()[:1].expand(2, -1, -1, -1)

    first = photograph(same, torch.Generator().manual_seed(3))
    again = photograph(same, torch.Generator().manual_seed(3))

    assert torch.equal(first, again)
    assert (first[0] - first[1]).abs().mean() > 0.01
