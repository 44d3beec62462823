from __future__ import annotations

import numpy as np
import pytest
import torch
from small_pool import write_small_pool

from pixio_edge.models.depth_model import IMAGE_MEAN, IMAGE_STD
from pixio_edge.training import data
from pixio_edge.training.data import SHAPE_RATIOS, batches, make_batch, normalise, shape_near
from pixio_edge.training.pool import ScenePool

PIXELS = 48 * 64


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> ScenePool:
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("data") / "pool"
    write_small_pool(folder)
    return ScenePool(folder)


def batch_of(pool: ScenePool, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    return make_batch(pool, batch=4, pixels=PIXELS, rng=np.random.default_rng(seed))


@pytest.mark.parametrize("pixels", [48 * 64, 96 * 128, 192 * 256])
@pytest.mark.parametrize("ratio", SHAPE_RATIOS)
def test_shape_has_about_the_area_and_ratio_in_multiples_of_16(pixels: int, ratio: tuple[float, float]) -> None:
    height, width = shape_near(pixels, ratio)

    assert height % 16 == width % 16 == 0
    assert min(height, width) >= 48
    if min(height, width) > 48:
        assert 0.75 < height * width / pixels < 1.3
        assert 0.7 < height / width / (ratio[0] / ratio[1]) < 1.45


def test_batch_depends_on_its_generator_alone(pool: ScenePool) -> None:
    first, again, other = batch_of(pool, 1), batch_of(pool, 1), batch_of(pool, 2)

    assert torch.equal(first[0], again[0])
    assert torch.equal(first[1], again[1])
    assert first[0].shape != other[0].shape or not torch.equal(first[0], other[0])


def test_batch_is_normalised_colour_and_inverse_depth_of_one_shape(pool: ScenePool) -> None:
    for seed in range(6):
        image, inverse = batch_of(pool, seed)
        colour = image * torch.tensor(IMAGE_STD)[:, None, None] + torch.tensor(IMAGE_MEAN)[:, None, None]

        assert image.shape == (4, 3, *inverse.shape[1:])
        assert image.dtype == inverse.dtype == torch.float32
        assert colour.min() > -1e-5
        assert colour.max() < 1 + 1e-5
        assert inverse.min() >= 0
        assert torch.isfinite(inverse).all()


def test_shapes_vary_between_batches(pool: ScenePool) -> None:
    assert len({batch_of(pool, seed)[1].shape for seed in range(20)}) >= 4


def test_depth_follows_the_colours_through_crops_and_mirrors(pool: ScenePool) -> None:
    """Brightness grows with inverse depth in this pool; a crop or mirror of one alone would break that."""
    for seed in range(8):
        image, inverse = batch_of(pool, seed)
        for row in range(4):
            pair = torch.stack([image[row].mean(0).flatten(), inverse[row].flatten()])
            assert torch.corrcoef(pair)[0, 1] > 0.8


def test_depth_is_picked_and_never_blended(pool: ScenePool) -> None:
    stored = {float(value) for index in range(len(pool)) for value in np.unique(pool.read(index)[1])}

    _, inverse = batch_of(pool, 3)

    assert set(np.unique(inverse.numpy()).astype(float)) <= stored


def test_depth_does_not_lag_behind_the_colours_when_a_crop_shrinks() -> None:
    """Both hold their own column number, so their difference is the lag in source pixels."""
    columns = np.arange(0, 250, dtype=np.uint8)[None].repeat(96, 0)
    rgb, inverse = columns[..., None].repeat(3, 2), columns.astype(np.float16)
    lags = []
    for seed in range(20):
        colour, target = data._crop(rgb, inverse, (48, 64), np.random.default_rng(seed))
        lags.append(float((target - colour[..., 0]).mean()))

    # Plain INTER_NEAREST lags by more than half a source pixel at this size.
    assert abs(np.mean(lags)) < 0.1


def test_batches_are_those_of_their_steps_wherever_a_run_begins(pool: ScenePool) -> None:
    stages = {0: PIXELS, 4: 4 * PIXELS}

    whole = list(batches(pool, batch=2, pixels_at=stages, steps=range(7), seed=5))
    resumed = list(batches(pool, batch=2, pixels_at=stages, steps=range(3, 7), seed=5))

    assert len(whole) == 7
    for (image, inverse), (image_again, inverse_again) in zip(whole[3:], resumed, strict=True):
        assert torch.equal(image, image_again)
        assert torch.equal(inverse, inverse_again)
    assert whole[3][1][0].numel() < 0.5 * whole[4][1][0].numel()  # the second stage has larger images


def test_normalised_mean_colour_is_zero() -> None:
    colour = torch.tensor(IMAGE_MEAN).expand(1, 2, 3, 3)

    assert normalise(colour).shape == (1, 3, 2, 3)
    assert normalise(colour).abs().max() < 1e-6
