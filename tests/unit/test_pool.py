from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from pixio_edge.errors import InputError, OutputError
from pixio_edge.scenes import studio as studio_module
from pixio_edge.scenes.identity import scenes_digest
from pixio_edge.scenes.library import Library
from pixio_edge.scenes.render import Rendered, render
from pixio_edge.scenes.studio import Studio
from pixio_edge.scenes.textures import TextureAtlas
from pixio_edge.training import pool as pool_module
from pixio_edge.training.pool import PoolConfig, ScenePool, missing_images, render_pool

SIZE = (16, 32)


@pytest.fixture(autouse=True)
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_module, "SHARD_IMAGES", 4)
    monkeypatch.setattr(studio_module, "TASK_IMAGES", 2)


def config(images: int, *, seed: int = 1) -> PoolConfig:
    return PoolConfig(images, SIZE, seed)


def fill(folder: Path, images: int, studio: Studio) -> list[tuple[int, int]]:
    seen: list[tuple[int, int]] = []
    render_pool(folder, config(images), studio, progress=lambda done, total: seen.append((done, total)))
    return seen


def test_pool_holds_what_the_renderer_gives(
    tmp_path: Path, studio: Studio, atlas: TextureAtlas, library: Library
) -> None:
    fill(tmp_path / "pool", 6, studio)

    pool = ScenePool(tmp_path / "pool")
    expected = render(1, range(6), SIZE, atlas, library)

    assert len(pool) == 6
    for index in range(6):
        rgb, inverse = pool.read(index)
        assert np.array_equal(rgb, expected.rgb[index])
        # Stored as float16, with 11 bits.
        np.testing.assert_allclose(inverse, 1 / expected.depth[index], rtol=2**-11)
    assert inverse.dtype == np.float16


class SkyStudio(Studio):
    """Renders sky in the upper half of each image and 2 m below."""

    def render(
        self,
        seed: int,
        indices: Sequence[int],
        size: tuple[int, int],
        *,
        layouts: Mapping[str, float] | None = None,
        effects: bool = True,
    ) -> Iterator[Rendered]:
        depth = np.full((len(indices), *size), 2.0, dtype=np.float32)
        depth[:, : size[0] // 2] = np.inf
        yield Rendered(
            np.zeros((*depth.shape, 3), dtype=np.uint8),
            depth,
            np.ones(len(indices), np.float32),
            ("room",) * len(indices),
        )


def test_sky_is_stored_as_zero(tmp_path: Path) -> None:
    fill(tmp_path / "pool", 3, SkyStudio())

    inverse = ScenePool(tmp_path / "pool").read(2)[1]
    assert (inverse[:8] == 0).all()
    assert (inverse[8:] == 0.5).all()


def test_progress_counts_images_to_the_last(tmp_path: Path, studio: Studio) -> None:
    seen = fill(tmp_path / "pool", 7, studio)

    assert seen[-1] == (7, 7)
    assert {done for done, _ in seen} == {2, 4, 6, 7}
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_finished_shards_are_not_rendered_again_when_a_pool_goes_on(tmp_path: Path, studio: Studio) -> None:
    folder = tmp_path / "pool"
    fill(folder, 8, studio)
    (folder / "inverse-00001.npy").unlink()
    kept = (folder / "rgb-00000.npy").stat().st_mtime_ns

    assert missing_images(folder, config(8)) == 4
    fill(folder, 8, studio)

    assert missing_images(folder, config(8)) == 0
    assert (folder / "rgb-00000.npy").stat().st_mtime_ns == kept
    assert len(ScenePool(folder)) == 8


def test_pool_is_the_same_when_it_grew_in_steps(tmp_path: Path, studio: Studio) -> None:
    fill(tmp_path / "grown", 3, studio)
    growing = ScenePool(tmp_path / "grown")
    assert len(growing) == 3
    assert missing_images(tmp_path / "grown", config(10)) == 10

    fill(tmp_path / "grown", 10, studio)
    fill(tmp_path / "whole", 10, studio)

    whole = ScenePool(tmp_path / "whole")
    assert growing.refresh() == len(growing) == len(whole) == 10
    for index in range(10):
        for grown, expected in zip(growing.read(index), whole.read(index), strict=True):
            assert np.array_equal(grown, expected)


def test_missing_images_of_no_pool_are_all_and_nothing_is_made(tmp_path: Path) -> None:
    assert missing_images(tmp_path / "pool", config(5)) == 5
    assert not (tmp_path / "pool").exists()


def test_pool_is_refused_when_it_holds_other_scenes(tmp_path: Path, studio: Studio) -> None:
    fill(tmp_path / "pool", 2, studio)
    other = config(2, seed=9)

    with pytest.raises(InputError, match=r"'seed': 1.*expected.*'seed': 9"):
        render_pool(tmp_path / "pool", other, studio)
    with pytest.raises(InputError, match="'seed': 1"):
        missing_images(tmp_path / "pool", other)


def test_record_says_what_the_pool_holds(tmp_path: Path, studio: Studio) -> None:
    fill(tmp_path / "pool", 1, studio)

    record = json.loads((tmp_path / "pool" / "pool.json").read_text(encoding="utf-8"))
    assert record == {
        "size": [16, 32],
        "seed": 1,
        "textures": "noise",
        "textures_digest": "noise",
        "renderer": scenes_digest(),
        "layouts": {},
    }


def change_record(folder: Path, **values: object) -> None:
    """Values of `pool.json`; None: as in an older pool, which does not have it."""
    path = folder / "pool.json"
    record = json.loads(path.read_text(encoding="utf-8")) | values
    path.write_text(json.dumps({key: value for key, value in record.items() if value is not None}), encoding="utf-8")


@pytest.mark.parametrize("renderer", [None, 2, "0123456789abcdef"])
def test_pool_of_other_code_is_read_but_does_not_go_on(
    renderer: int | str | None, tmp_path: Path, studio: Studio
) -> None:
    fill(tmp_path / "pool", 3, SkyStudio())
    change_record(tmp_path / "pool", renderer=renderer, textures_digest=None)

    with pytest.raises(InputError, match=rf"got 3 of 6 images, .*\({renderer}\), expected .*{scenes_digest()}"):
        render_pool(tmp_path / "pool", config(6), SkyStudio())
    with pytest.raises(InputError, match="got 3 of 6 images"):
        missing_images(tmp_path / "pool", config(6))

    assert missing_images(tmp_path / "pool", config(3)) == 0
    assert fill(tmp_path / "pool", 3, SkyStudio()) == [(3, 3)]
    assert len(ScenePool(tmp_path / "pool")) == 3


@pytest.mark.parametrize("images", [2, 6])
def test_pool_is_refused_when_its_textures_are_others_of_the_same_name(
    images: int, tmp_path: Path, studio: Studio
) -> None:
    fill(tmp_path / "pool", 2, SkyStudio())
    same, others = PoolConfig(images, SIZE, 1, "woods", "noise"), PoolConfig(images, SIZE, 1, "noise", "abc")

    assert missing_images(tmp_path / "pool", same) in {0, 6}  # a folder may get another name
    with pytest.raises(InputError, match=r"got {'textures_digest': 'noise'}, expected {'textures_digest': 'abc'}"):
        missing_images(tmp_path / "pool", others)
    change_record(tmp_path / "pool", textures_digest=None)
    with pytest.raises(InputError, match=r"got {'textures': 'noise'}, expected {'textures': 'woods'}"):
        missing_images(tmp_path / "pool", same)


@pytest.mark.parametrize("content", [b"{", b"\xff\xfe", b"[]", b""])
def test_pool_is_refused_in_one_line_when_its_record_is_damaged(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "pool").mkdir()
    (tmp_path / "pool" / "pool.json").write_bytes(content)

    for call in (missing_images, lambda folder, config: render_pool(folder, config, SkyStudio())):
        with pytest.raises(InputError, match=r"cannot read .*pool\.json: .*Fix: delete the folder") as caught:
            call(tmp_path / "pool", config(2))
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["rgb", "inverse"])
def test_shard_that_is_damaged_is_named_and_rendered_again_once_deleted(
    name: str, tmp_path: Path, studio: Studio
) -> None:
    folder = tmp_path / "pool"
    fill(folder, 6, SkyStudio())
    path = folder / f"{name}-00001.npy"
    whole = path.read_bytes()

    for content in (b"", whole[:9], whole[:-1], (folder / f"{name}-00000.npy").read_bytes()):
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"cannot read .*-00001\.npy: .*Fix: delete it") as caught:
            missing_images(folder, config(6))
        assert "\n" not in str(caught.value)
        with pytest.raises(InputError, match=r"cannot read .*-00001\.npy"):
            ScenePool(folder)

    path.unlink()
    assert missing_images(folder, config(6)) == 2
    fill(folder, 6, SkyStudio())
    assert path.read_bytes() == whole


def test_pool_is_refused_when_its_colours_are_missing(tmp_path: Path) -> None:
    fill(tmp_path / "pool", 2, SkyStudio())
    (tmp_path / "pool" / "rgb-00000.npy").unlink()

    with pytest.raises(InputError, match=r"cannot read .*rgb-00000\.npy: .*Fix: delete it"):
        ScenePool(tmp_path / "pool")


def test_gap_in_a_pool_is_filled_and_counted_when_it_goes_on(tmp_path: Path, studio: Studio) -> None:
    folder = tmp_path / "pool"
    fill(folder, 11, studio)
    whole = [np.load(folder / f"rgb-{shard:05d}.npy") for shard in range(3)]
    for shard in (0, 2):
        (folder / f"inverse-{shard:05d}.npy").unlink()

    seen = fill(folder, 11, studio)

    assert seen == [(6, 11), (8, 11), (10, 11), (11, 11)]
    for shard in range(3):
        assert np.array_equal(np.load(folder / f"rgb-{shard:05d}.npy"), whole[shard])
    assert fill(folder, 11, studio) == [(11, 11)]


def test_pool_is_refused_when_nothing_is_finished(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no finished shard"):
        ScenePool(tmp_path)


def test_pool_is_refused_when_no_image_is_asked_for() -> None:
    with pytest.raises(InputError, match="got 0 images, expected at least 1"):
        config(0)
    with pytest.raises(InputError, match="got seed -3, expected 0 or more"):
        config(2, seed=-3)


def test_nothing_half_written_stays_when_rendering_is_interrupted(
    tmp_path: Path, studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(done: int, total: int) -> None:
        if done >= 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        render_pool(tmp_path / "pool", config(8), studio, progress=interrupt)

    files = sorted(path.name for path in (tmp_path / "pool").iterdir())
    assert files == ["inverse-00000.npy", "pool.json", "rgb-00000.npy"]
    assert len(ScenePool(tmp_path / "pool")) == 4


def test_pool_is_refused_when_its_folder_is_a_file(tmp_path: Path, studio: Studio) -> None:
    (tmp_path / "pool").write_text("in the way")

    with pytest.raises(OutputError, match="cannot create folder"):
        render_pool(tmp_path / "pool", config(2), studio)


def test_full_disk_is_said_to_be_full_and_leaves_nothing_half_written(tiny_disk: Path) -> None:
    large = PoolConfig(4, (96, 128))

    with pytest.raises(OutputError, match=r"rgb-00000\.npy: no space left.* Fix: free some space"):
        render_pool(tiny_disk / "pool", large, SkyStudio())

    assert [path.name for path in (tiny_disk / "pool").iterdir()] == ["pool.json"]
