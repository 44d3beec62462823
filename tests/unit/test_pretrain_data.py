"""Images, crops and batches of pretraining."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from small_pool import SIZE, write_small_pool

from pixio_edge.errors import InputError
from pixio_edge.training.curation import Curation
from pixio_edge.training.data import normalise
from pixio_edge.training.masking import block_grid
from pixio_edge.training.pretrain_data import (
    CROP_AREA,
    CROP_RATIO,
    ImageSet,
    PhotoImages,
    PoolImages,
    PretrainRows,
    draw_window,
    hold_back_images,
    random_resized_crop,
    square_side,
)


class Numbers:
    """Images in one colour, which is their number."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def read(self, index: int) -> NDArray[np.uint8]:
        return np.full((40, 50, 3), index, dtype=np.uint8)


def write_picture(path: Path, value: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), np.full((20, 30, 3), value, dtype=np.uint8))


def rows_of(images: ImageSet, *, pixels: int = 64 * 64, seed: int = 0) -> PretrainRows:
    return PretrainRows(images, Curation(len(images), None), pixels_of=lambda _: pixels, seed=seed, patch=16)


def test_photos_are_those_of_a_folder_and_all_below(tmp_path: Path) -> None:
    for value, name in enumerate(("b.png", "a/y.png", "b.depth.png")):
        write_picture(tmp_path / name, value)

    photos = PhotoImages(str(tmp_path))

    assert [int(photos.read(index)[0, 0, 0]) for index in range(len(photos))] == [1, 0]


def test_pool_gives_the_colours_of_its_scenes(tmp_path: Path) -> None:
    write_small_pool(tmp_path / "pool", images=3)

    pool = PoolImages(tmp_path / "pool")

    assert len(pool) == 3
    assert np.array_equal(pool.read(1), np.load(tmp_path / "pool" / "rgb-00000.npy")[1])


def test_last_tenth_of_each_source_is_held_back_and_the_rest_is_numbered_through() -> None:
    trained, held_back = hold_back_images([Numbers(20), Numbers(3)])

    assert (len(trained), len(held_back)) == (20, 3)
    assert [int(trained.read(index)[0, 0, 0]) for index in range(20)] == [*range(18), 0, 1]
    assert [int(held_back.read(index)[0, 0, 0]) for index in range(3)] == [18, 19, 2]
    with pytest.raises(IndexError):
        trained.read(20)


def test_single_image_is_refused_since_nothing_could_be_held_back() -> None:
    with pytest.raises(InputError, match="got 1 image"):
        hold_back_images([Numbers(1)])


def test_windows_have_a_fifth_to_all_of_the_area_and_lie_inside() -> None:
    rng = np.random.default_rng(0)
    windows = np.array([draw_window((300, 400), rng) for _ in range(2000)])
    top, left, high, wide = windows.T

    assert (top >= 0).all()
    assert (left >= 0).all()
    assert (top + high <= 300).all()
    assert (left + wide <= 400).all()
    share, ratio = high * wide / (300 * 400), wide / high
    # Sides are rounded to pixels: half a pixel of 100.
    assert (share.min(), share.max()) == (pytest.approx(CROP_AREA[0], abs=0.01), pytest.approx(CROP_AREA[1], abs=0.05))
    assert (ratio.min(), ratio.max()) == pytest.approx(CROP_RATIO, abs=0.01)


@pytest.mark.parametrize(("size", "window"), [((30, 900), (0, 430, 30, 40)), ((900, 30), (430, 0, 40, 30))])
def test_window_is_the_middle_when_an_image_is_too_long_for_any_ratio(
    size: tuple[int, int], window: tuple[int, int, int, int]
) -> None:
    assert draw_window(size, np.random.default_rng(0)) == window


def test_crop_is_neither_mirrored_nor_recoloured() -> None:
    ramp = np.zeros((100, 120, 3), dtype=np.uint8)
    ramp[..., 0] = np.linspace(50, 200, 120)[None, :]
    ramp[..., 1] = np.linspace(50, 200, 100)[:, None]
    ramp[..., 2] = 90
    for seed in range(20):
        crop = random_resized_crop(ramp, 64, np.random.default_rng(seed))
        assert crop.shape == (64, 64, 3)
        assert crop.dtype == np.float32
        assert (np.diff(crop[..., 0].mean(axis=0)) >= 0).all()
        assert (np.diff(crop[..., 1].mean(axis=1)) >= 0).all()
        assert crop[..., 2] == pytest.approx(90 / 255)


@pytest.mark.parametrize(("pixels", "side"), [(256 * 256, 256), (192 * 256, 192), (128 * 160, 128), (48 * 64, 64)])
def test_side_of_a_crop_is_whole_blocks_of_patches(pixels: int, side: int) -> None:
    assert square_side(pixels, 16) == side


def test_rows_depend_on_seed_step_and_row_alone() -> None:
    images, _ = hold_back_images([Numbers(200)])
    rows = rows_of(images)
    first = rows.make(3, 1)
    rows.make(9, 0)
    again, *others = rows.make(3, 1), rows.make(3, 2), rows.make(4, 1), rows_of(images, seed=1).make(3, 1)

    assert np.array_equal(first.colour, again.colour)
    assert np.array_equal(first.blocks, again.blocks)
    assert (first.step, first.index) == (again.step, again.index) == (3, int(images.read(first.index)[0, 0, 0]))
    assert len({first.index, *(other.index for other in others)}) == 4


def test_batch_has_normalised_images_with_their_numbers_and_blocks(tmp_path: Path) -> None:
    write_small_pool(tmp_path / "pool", images=10)
    images, _ = hold_back_images([PoolImages(tmp_path / "pool")])
    rows = rows_of(images, pixels=128 * 128)
    items = [rows.make(5, row) for row in range(3)]

    batch = rows.collate(items).to(torch.device("cpu"))

    assert SIZE == (48, 64)
    assert batch.step == 5
    assert batch.image.shape == (3, 3, 128, 128)
    assert batch.image.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(batch.image[1], normalise(torch.from_numpy(items[1].colour)[None])[0])
    assert batch.index.tolist() == [item.index for item in items]
    assert batch.blocks.shape == (3, block_grid(8, 8).visible)
    assert rows.facts() == {"pool": 9}
