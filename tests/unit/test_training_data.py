from __future__ import annotations

import threading

import numpy as np
import pytest
import torch
from small_pool import write_small_pool

from pixio_edge.errors import InputError
from pixio_edge.models.depth_model import IMAGE_MEAN, IMAGE_STD
from pixio_edge.training import data
from pixio_edge.training.data import SHAPE_RATIOS, DepthBatch, DepthRows, normalise, shape_near
from pixio_edge.training.pipeline import stream
from pixio_edge.training.sources import DepthSource, LabelledImage, SceneSource

THREAD_END_S = 10.0
"""Long enough for any host; the threads end as soon as their last row is made."""
PIXELS = 48 * 64


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> SceneSource:
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("data") / "pool"
    write_small_pool(folder)
    return SceneSource(folder)


def rows_of(*sources: tuple[DepthSource, float], seed: int = 5) -> DepthRows:
    return DepthRows(sources, pixels_of=lambda step: PIXELS if step < 4 else 4 * PIXELS, seed=seed)


def batch_of(pool: DepthSource, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    rows = rows_of((pool, 1.0), seed=seed)
    batch = rows.collate([rows.make(0, row) for row in range(4)])
    assert batch.valid is None
    return batch.image, batch.inverse


@pytest.mark.parametrize("pixels", [48 * 64, 96 * 128, 192 * 256])
@pytest.mark.parametrize("ratio", SHAPE_RATIOS)
def test_shape_has_about_the_area_and_ratio_in_multiples_of_16(pixels: int, ratio: tuple[float, float]) -> None:
    height, width = shape_near(pixels, ratio)

    assert height % 16 == width % 16 == 0
    assert min(height, width) >= 48
    if min(height, width) > 48:
        assert 0.75 < height * width / pixels < 1.3
        assert 0.7 < height / width / (ratio[0] / ratio[1]) < 1.45


def test_batch_depends_on_its_generator_alone(pool: SceneSource) -> None:
    first, again, other = batch_of(pool, 1), batch_of(pool, 1), batch_of(pool, 2)

    assert torch.equal(first[0], again[0])
    assert torch.equal(first[1], again[1])
    assert first[0].shape != other[0].shape or not torch.equal(first[0], other[0])


def test_batch_is_normalised_colour_and_inverse_depth_of_one_shape(pool: SceneSource) -> None:
    for seed in range(6):
        image, inverse = batch_of(pool, seed)
        colour = image * torch.tensor(IMAGE_STD)[:, None, None] + torch.tensor(IMAGE_MEAN)[:, None, None]

        assert image.shape == (4, 3, *inverse.shape[1:])
        assert image.dtype == inverse.dtype == torch.float32
        assert colour.min() > -1e-5
        assert colour.max() < 1 + 1e-5
        assert inverse.min() >= 0
        assert torch.isfinite(inverse).all()


def test_shapes_vary_between_batches(pool: SceneSource) -> None:
    assert len({batch_of(pool, seed)[1].shape for seed in range(20)}) >= 4


def test_depth_follows_the_colours_through_crops_and_mirrors(pool: SceneSource) -> None:
    """Brightness grows with inverse depth in this pool; a crop or mirror of one alone would break that."""
    for seed in range(8):
        image, inverse = batch_of(pool, seed)
        for row in range(4):
            pair = torch.stack([image[row].mean(0).flatten(), inverse[row].flatten()])
            assert torch.corrcoef(pair)[0, 1] > 0.8


def test_depth_is_picked_and_never_blended(pool: SceneSource) -> None:
    stored = {float(value) for index in range(pool.refresh()) for value in np.unique(pool.read(index).inverse)}

    _, inverse = batch_of(pool, 3)

    assert set(np.unique(inverse.numpy()).astype(float)) <= stored


def test_depth_does_not_lag_behind_the_colours_when_a_crop_shrinks() -> None:
    """Both hold their own column number, so their difference is the lag in source pixels."""
    columns = np.arange(0, 250, dtype=np.uint8)[None].repeat(96, 0)
    rgb, inverse = columns[..., None].repeat(3, 2), columns.astype(np.float16)
    lags = []
    for seed in range(20):
        colour, target, _ = data._crop(LabelledImage(rgb, inverse), (48, 64), np.random.default_rng(seed))
        lags.append(float((target - colour[..., 0]).mean()))

    # Plain INTER_NEAREST lags by more than half a source pixel at this size.
    assert abs(np.mean(lags)) < 0.1


def same(first: DepthBatch, second: DepthBatch) -> bool:
    masks = (first.valid is None) == (second.valid is None)
    return masks and torch.equal(first.image, second.image) and torch.equal(first.inverse, second.inverse)


def test_batches_are_those_of_their_steps_wherever_a_run_begins(pool: SceneSource) -> None:
    rows = rows_of((pool, 1.0))

    whole = list(stream(rows, steps=range(7), parts=(range(2),)))
    resumed = list(stream(rows, steps=range(3, 7), parts=(range(2),)))

    assert len(whole) == 7
    for (batch,), (again,) in zip(whole[3:], resumed, strict=True):
        assert same(batch, again)
    assert whole[3][0].inverse[0].numel() < 0.5 * whole[4][0].inverse[0].numel()  # the second stage has larger images


@pytest.mark.parametrize("workers", [1, 3])
def test_processes_and_parts_share_the_rows_of_one_batch(pool: SceneSource, workers: int) -> None:
    rows = rows_of((pool, 1.0))

    (whole,) = next(stream(rows, steps=range(1), parts=(range(6),)))
    first, second = next(stream(rows, steps=range(1), parts=(range(2), range(2, 4)), workers=workers))
    (third,) = next(stream(rows, steps=range(1), parts=(range(4, 6),), workers=workers))

    parts = (first, second, third)
    assert same(whole, DepthBatch(torch.cat([p.image for p in parts]), torch.cat([p.inverse for p in parts])))
    assert not torch.equal(first.image, second.image)


def test_pipeline_stops_its_threads_and_raises_when_an_image_cannot_be_read(pool: SceneSource) -> None:
    class Damaged(DepthRows):
        def make(self, step: int, row: int) -> data.DepthItem:
            if step == 2:
                raise InputError("image: damaged. Fix: none")
            return super().make(step, row)

    others = set(threading.enumerate())
    batches = stream(Damaged([(pool, 1.0)], pixels_of=lambda _: PIXELS, seed=0), steps=range(9), parts=(range(2),))

    assert [next(batches) is not None for _ in range(2)] == [True, True]
    with pytest.raises(InputError, match="damaged"):
        next(batches)
    for thread in set(threading.enumerate()) - others:
        thread.join(THREAD_END_S)
        assert not thread.is_alive()


class Flat:
    """Images of one grey value and one inverse depth, labelled in the left half."""

    def __init__(self, value: int, *, labelled: bool) -> None:
        self.name, self.value, self.labelled = f"flat {value}", value, labelled

    def refresh(self) -> int:
        return 3

    def read(self, index: int) -> LabelledImage:
        valid = None
        if self.labelled:
            valid = np.zeros((40, 60), dtype=np.bool_)
            valid[:, :30] = True
        rgb = np.full((40, 60, 3), self.value, np.uint8)
        return LabelledImage(rgb, np.full((40, 60), self.value, np.float32), valid)

    def is_metric(self) -> bool:
        return True


def test_sources_are_drawn_from_by_their_weights() -> None:
    rows = rows_of((Flat(10, labelled=False), 3.0), (Flat(90, labelled=False), 1.0))

    drawn = [float(rows.make(step % 4, step // 4).inverse[0, 0]) for step in range(120)]

    assert set(drawn) == {10.0, 90.0}
    # Four deviations of a binomial count of 120 draws.
    assert abs(drawn.count(10.0) - 90) < 4 * (120 * 0.75 * 0.25) ** 0.5


def test_batch_has_a_mask_when_one_of_its_images_lacks_labels() -> None:
    rows = rows_of((Flat(10, labelled=False), 1.0), (Flat(90, labelled=True), 1.0))

    batch = rows.collate([rows.make(1, row) for row in range(16)])

    assert batch.valid is not None
    assert batch.valid.shape == batch.inverse.shape
    dense = batch.inverse[:, 0, 0] == 10
    assert 0 < int(dense.sum()) < 16
    assert batch.valid[dense].all()
    assert 0.1 < float(batch.valid[~dense].float().mean()) < 0.9
    on_device = batch.to(torch.device("cpu"))
    assert on_device.valid is not None


def test_mask_is_cropped_and_mirrored_with_its_depth() -> None:
    class Marked(Flat):
        def read(self, index: int) -> LabelledImage:
            plain = super().read(index)
            assert plain.valid is not None
            return LabelledImage(plain.rgb, plain.valid.astype(np.float32), plain.valid)

    rows = rows_of((Marked(1, labelled=True), 1.0))

    items = [rows.make(0, row) for row in range(12)]

    assert all(item.valid is not None and np.array_equal(item.inverse > 0, item.valid) for item in items)
    left = [bool(item.valid[0, 0]) for item in items if item.valid is not None]
    assert any(left)
    assert not all(left)


def test_sides_are_multiples_of_the_patch() -> None:
    rows = DepthRows([(Flat(1, labelled=False), 1.0)], pixels_of=lambda _: 9000, seed=0, multiple=14)

    assert all(side % 14 == 0 for step in range(8) for side in rows.size(step))


def test_normalised_mean_colour_is_zero() -> None:
    colour = torch.tensor(IMAGE_MEAN).expand(1, 2, 3, 3)

    assert normalise(colour).shape == (1, 3, 2, 3)
    assert normalise(colour).abs().max() < 1e-6
