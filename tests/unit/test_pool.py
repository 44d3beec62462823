from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from pixio_edge.errors import InputError, OutputError
from pixio_edge.training import pool as pool_module
from pixio_edge.training.pool import PoolConfig, ScenePool, missing_images, render_pool
from pixio_edge.training.scenes import render
from pixio_edge.scenes.textures import TextureAtlas, load_atlas

SIZE = (16, 32)
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def atlas() -> TextureAtlas:
    torch.set_num_threads(1)
    return load_atlas()


@pytest.fixture(autouse=True)
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_module, "SHARD_IMAGES", 4)
    monkeypatch.setattr(pool_module, "RENDER_BATCH", 2)


def config(images: int, *, seed: int = 1) -> PoolConfig:
    return PoolConfig(images, SIZE, seed)


def fill(folder: Path, images: int, atlas: TextureAtlas) -> list[tuple[int, int]]:
    seen: list[tuple[int, int]] = []
    render_pool(
        folder,
        config(images),
        atlas,
        device=CPU,
        compiled=False,
        progress=lambda done, total: seen.append((done, total)),
    )
    return seen


def test_pool_holds_what_the_renderer_gives(tmp_path: Path, atlas: TextureAtlas) -> None:
    fill(tmp_path / "pool", 6, atlas)

    pool = ScenePool(tmp_path / "pool")
    expected = render(1, range(6), SIZE, atlas)

    assert len(pool) == 6
    for index in range(6):
        rgb, inverse = pool.read(index)
        assert np.array_equal(rgb, expected.rgb[index].numpy())
        # Stored as float16, with 11 bits.
        np.testing.assert_allclose(inverse, 1 / expected.depth[index].numpy(), rtol=2**-11)
    assert inverse.dtype == np.float16


def test_sky_is_stored_as_zero(tmp_path: Path, atlas: TextureAtlas) -> None:
    fill(tmp_path / "pool", 12, atlas)
    pool = ScenePool(tmp_path / "pool")
    sky = render(1, range(12), SIZE, atlas).depth.isinf().numpy()

    assert sky.any()
    for index in range(12):
        assert np.array_equal(pool.read(index)[1] == 0, sky[index])


def test_progress_counts_images_to_the_last(tmp_path: Path, atlas: TextureAtlas) -> None:
    seen = fill(tmp_path / "pool", 7, atlas)

    assert seen[-1] == (7, 7)
    assert {done for done, _ in seen} == {2, 4, 6, 7}
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_finished_shards_are_not_rendered_again_when_a_pool_goes_on(tmp_path: Path, atlas: TextureAtlas) -> None:
    folder = tmp_path / "pool"
    fill(folder, 8, atlas)
    (folder / "inverse-00001.npy").unlink()
    kept = (folder / "rgb-00000.npy").stat().st_mtime_ns

    assert missing_images(folder, config(8)) == 4
    fill(folder, 8, atlas)

    assert missing_images(folder, config(8)) == 0
    assert (folder / "rgb-00000.npy").stat().st_mtime_ns == kept
    assert len(ScenePool(folder)) == 8


def test_pool_is_the_same_when_it_grew_in_steps(tmp_path: Path, atlas: TextureAtlas) -> None:
    fill(tmp_path / "grown", 3, atlas)
    growing = ScenePool(tmp_path / "grown")
    assert len(growing) == 3
    assert missing_images(tmp_path / "grown", config(10)) == 10

    fill(tmp_path / "grown", 10, atlas)
    fill(tmp_path / "whole", 10, atlas)

    whole = ScenePool(tmp_path / "whole")
    assert growing.refresh() == len(growing) == len(whole) == 10
    for index in range(10):
        for grown, expected in zip(growing.read(index), whole.read(index), strict=True):
            assert np.array_equal(grown, expected)


def test_missing_images_of_no_pool_are_all_and_nothing_is_made(tmp_path: Path) -> None:
    assert missing_images(tmp_path / "pool", config(5)) == 5
    assert not (tmp_path / "pool").exists()


def test_pool_is_refused_when_it_holds_other_scenes(tmp_path: Path, atlas: TextureAtlas) -> None:
    fill(tmp_path / "pool", 2, atlas)
    other = config(2, seed=9)

    with pytest.raises(InputError, match=r"'seed': 1.*expected.*'seed': 9"):
        render_pool(tmp_path / "pool", other, atlas, device=CPU, compiled=False)
    with pytest.raises(InputError, match="'seed': 1"):
        missing_images(tmp_path / "pool", other)


def test_record_says_what_the_pool_holds(tmp_path: Path, atlas: TextureAtlas) -> None:
    fill(tmp_path / "pool", 1, atlas)

    record = json.loads((tmp_path / "pool" / "pool.json").read_text(encoding="utf-8"))
    assert record == {"size": [16, 32], "seed": 1, "textures": "noise"}


def test_pool_is_refused_when_nothing_is_finished(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no finished shard"):
        ScenePool(tmp_path)


def test_pool_is_refused_when_no_image_is_asked_for() -> None:
    with pytest.raises(InputError, match="got 0 images, expected at least 1"):
        config(0)


def test_nothing_half_written_stays_when_rendering_is_interrupted(
    tmp_path: Path, atlas: TextureAtlas, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(done: int, total: int) -> None:
        if done >= 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        render_pool(tmp_path / "pool", config(8), atlas, device=CPU, compiled=False, progress=interrupt)

    files = sorted(path.name for path in (tmp_path / "pool").iterdir())
    assert files == ["inverse-00000.npy", "pool.json", "rgb-00000.npy"]
    assert len(ScenePool(tmp_path / "pool")) == 4


def test_pool_is_refused_when_its_folder_is_a_file(tmp_path: Path, atlas: TextureAtlas) -> None:
    (tmp_path / "pool").write_text("in the way")

    with pytest.raises(OutputError, match="cannot create folder"):
        render_pool(tmp_path / "pool", config(2), atlas, device=CPU, compiled=False)
