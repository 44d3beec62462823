from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from small_pool import write_small_pool

from pixio_edge.training import degrade as module
from pixio_edge.training.degrade import degrade
from pixio_edge.training.sources import SceneSource
from pixio_edge.training.supervised import depth_rows, held_back_batches
from pixio_edge.training.train_config import TrainConfig

SHARES = {
    "FILTER_SHARE": module.FILTER_SHARE,
    "BLUR_SHARE": module.BLUR_SHARE,
    "SHADE_SHARE": module.SHADE_SHARE,
    "SWAP_SHARE": module.SWAP_SHARE,
    "NOISE_SHARE": module.NOISE_SHARE,
}
DRAWS = 600
# Four standard deviations of a share of 0.5 in that many draws; the generator is seeded, so this is no matter of luck.
SHARE_TOLERANCE = 4 * (0.25 / DRAWS) ** 0.5


def picture(size: tuple[int, int] = (24, 32), seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).random((*size, 3), dtype=np.float32)


@pytest.mark.parametrize("size", [(24, 32), (48, 16)])
def test_picture_keeps_shape_type_and_range_and_is_not_changed_in_place(size: tuple[int, int]) -> None:
    image = picture(size)
    before = image.copy()

    degraded = [degrade(image, np.random.default_rng(seed)) for seed in range(40)]

    assert np.array_equal(image, before)
    for each in degraded:
        assert each.shape == image.shape
        assert each.dtype == np.float32
        assert np.isfinite(each).all()
        assert each.min() >= 0
        assert each.max() <= 1


def test_result_depends_on_the_generator_alone() -> None:
    image = picture()

    first, again = (degrade(image, np.random.default_rng(3)) for _ in range(2))

    assert np.array_equal(first, again)
    assert any(not np.array_equal(first, degrade(image, np.random.default_rng(seed))) for seed in range(4, 8))


@pytest.mark.parametrize("name", SHARES)
def test_each_degradation_alone_changes_its_share_of_the_pictures(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for other, share in SHARES.items():
        monkeypatch.setattr(module, other, share if other == name else 0.0)
    image, rng = picture((16, 16)), np.random.default_rng(1)

    changed = sum(not np.array_equal(degrade(image, rng), image) for _ in range(DRAWS)) / DRAWS

    # One of the six orders of the channels is the order that they have.
    expected = SHARES[name] * (5 / 6 if name == "SWAP_SHARE" else 1)
    assert changed == pytest.approx(expected, abs=SHARE_TOLERANCE)


@pytest.mark.parametrize("value", [0.0, 0.4, 1.0])
def test_picture_of_one_colour_stays_finite(value: float) -> None:
    image = np.full((16, 20, 3), value, dtype=np.float32)

    assert all(np.isfinite(degrade(image, np.random.default_rng(seed))).all() for seed in range(30))


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> TrainConfig:
    folder = tmp_path_factory.mktemp("degrade") / "pool"
    write_small_pool(folder)
    return TrainConfig("tiny", folder, folder, images=8, batch=4, stages=((1.0, 48 * 64),))


def test_rows_of_a_run_are_degraded_in_colour_alone_when_it_asks_for_that(config: TrainConfig) -> None:
    sources = [(SceneSource(config.pool), 1.0)]
    plain, degraded = (depth_rows(replace(config, degrade=asked), sources) for asked in (False, True))

    pairs = [(plain.make(0, row), degraded.make(0, row)) for row in range(12)]

    assert all(np.array_equal(first.inverse, second.inverse) for first, second in pairs)
    changed = [not np.array_equal(first.colour, second.colour) for first, second in pairs]
    assert any(changed)
    assert not all(changed)
    assert "degrade" in replace(config, degrade=True).lasting_values()


def test_pictures_that_a_run_is_measured_on_are_not_degraded(config: TrainConfig) -> None:
    sources = [SceneSource(config.pool)]

    plain, asked = (held_back_batches(replace(config, degrade=each), sources) for each in (False, True))

    assert all(first.image.equal(second.image) for first, second in zip(plain, asked, strict=True))
