from __future__ import annotations

import numpy as np

from pixio_edge.scenes.drawing.sensor import photograph, plain


def scene_light(brightness: float) -> np.ndarray:
    rows = np.linspace(0.2, 1.8, 48, dtype=np.float32)
    return np.ascontiguousarray(np.broadcast_to(brightness * rows[:, None, None], (48, 64, 3)))


def test_exposure_follows_the_light() -> None:
    means = [plain(scene_light(brightness)).mean() for brightness in (0.01, 0.1, 1.0)]
    assert min(means) > 60 and max(means) < 190


def test_photos_keep_the_order_of_brightness_and_differ_by_camera() -> None:
    photos = [photograph(scene_light(0.3), np.random.default_rng(seed)) for seed in range(12)]
    for photo in photos:
        assert photo.dtype == np.uint8 and photo.shape == (48, 64, 3)
        rows = photo.astype(float).mean(axis=(1, 2))
        assert rows[40:46].mean() > rows[2:8].mean() + 20
    assert np.std([photo.mean() for photo in photos]) > 4
    assert np.array_equal(photos[3], photograph(scene_light(0.3), np.random.default_rng(3)))


def test_light_of_any_strength_can_be_photographed() -> None:
    light = np.zeros((16, 16, 3), np.float32)
    light[4:8] = 4.0
    for seed in range(8):
        photo = photograph(light, np.random.default_rng(seed))
        assert photo[5:7].mean() > 150
        assert photo[12:].mean() < 60
