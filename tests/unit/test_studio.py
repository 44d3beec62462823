from __future__ import annotations

import multiprocessing
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from texture_making import write_textures

from pixio_edge.errors import CheckFailedError, InputError, OutputError, SpecError
from pixio_edge.scenes import studio as studio_module
from pixio_edge.scenes.studio import Studio
from pixio_edge.training import pool as pool_module
from pixio_edge.training.pool import PoolConfig, ScenePool, missing_images, render_pool

SIZE = (24, 32)


@pytest.fixture(scope="module")
def crew() -> Iterator[Studio]:
    with Studio(workers=2) as crew:
        yield crew


@pytest.fixture(autouse=True)
def small_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(studio_module, "TASK_IMAGES", 4)


def test_several_processes_give_the_images_of_one_in_the_same_order(crew: Studio, studio: Studio) -> None:
    indices = [*range(30), 63, 41]

    several, one = list(crew.render(3, indices, SIZE)), list(studio.render(3, indices, SIZE))

    assert len(several) == len(one) == 8
    for part, expected in zip(several, one, strict=True):
        assert part.kinds == expected.kinds
        assert np.array_equal(part.rgb, expected.rgb)
        assert np.array_equal(part.depth, expected.depth)
        assert np.array_equal(part.focal_px, expected.focal_px)


def test_no_more_processes_are_started_than_asked_for(crew: Studio) -> None:
    before = {process.pid for process in multiprocessing.active_children()}

    list(crew.render(3, range(24), SIZE))

    assert len(before) == 2
    assert {process.pid for process in multiprocessing.active_children()} == before


def test_error_of_a_process_is_that_of_the_renderer_and_the_others_go_on(crew: Studio) -> None:
    with pytest.raises(SpecError, match="at least 16 pixels"):
        next(crew.render(3, range(4), (8, 32)))

    assert len(next(crew.render(3, range(4), SIZE)).rgb) == 4


def test_processes_get_the_whole_stage_of_a_folder_of_textures(tmp_path: Path) -> None:
    write_textures(tmp_path / "mine")
    shared = tmp_path / "shared"
    shared.mkdir()
    stage = studio_module._open_stage(tmp_path / "mine")

    studio_module._save_stage(stage, shared)
    loaded = studio_module._load_stage(shared)

    assert np.array_equal(loaded.atlas.texels, stage.atlas.texels)
    assert np.array_equal(loaded.atlas.backdrops, stage.atlas.backdrops)
    # What the compiled functions were compiled for.
    assert loaded.atlas.texels.flags.writeable
    assert type(loaded.atlas.texels) is np.ndarray
    assert loaded.atlas.origins == stage.atlas.origins
    assert loaded.library.names == stage.library.names


def test_killed_process_is_one_clear_error_and_the_same_call_goes_on(
    tmp_path: Path, studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool_module, "SHARD_IMAGES", 4)
    config, pool = PoolConfig(40, SIZE), tmp_path / "pool"
    others = set(multiprocessing.active_children())

    def kill_one(done: int, total: int) -> None:
        if done == 12:
            next(process for process in multiprocessing.active_children() if process not in others).kill()

    with (
        pytest.raises(CheckFailedError, match="a process died, usually for want of memory") as caught,
        Studio(workers=2) as studio_to_break,
    ):
        render_pool(pool, config, studio_to_break, progress=kill_one)

    assert caught.value.exit_code == 1
    assert "\n" not in str(caught.value)
    assert set(multiprocessing.active_children()) <= others
    assert 0 < missing_images(pool, config) < 40
    assert not [path for path in pool.iterdir() if path.suffix not in {".npy", ".json"}]

    render_pool(pool, config, studio)
    render_pool(tmp_path / "whole", config, studio)

    gone_on, whole = ScenePool(pool), ScenePool(tmp_path / "whole")
    assert len(gone_on) == 40
    for index in range(40):
        assert np.array_equal(gone_on.read(index)[0], whole.read(index)[0])


def test_studio_that_is_left_early_ends_its_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    others = set(multiprocessing.active_children())

    with pytest.raises(ZeroDivisionError), Studio(workers=2) as left:
        next(left.render(3, range(4000), (96, 128)))
        raise ZeroDivisionError

    assert set(multiprocessing.active_children()) <= others
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("workers", [1, 2])
def test_studio_is_refused_in_one_line_when_a_texture_cannot_be_read(workers: int, tmp_path: Path) -> None:
    write_textures(tmp_path / "mine")
    (tmp_path / "mine" / "surfaces" / "wood.png").write_text("no image")

    with pytest.raises(InputError, match=r"wood\.png"), Studio(tmp_path / "mine", workers=workers):
        pass
    with pytest.raises(InputError, match="no such folder"), Studio(tmp_path / "nowhere", workers=workers):
        pass


def test_studio_is_refused_when_there_is_no_room_for_its_textures(
    tiny_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tiny_disk))

    with (
        pytest.raises(OutputError, match=r"cannot keep textures in .* \(No space.*\)\. Fix: .*TMPDIR"),
        Studio(workers=2),
    ):
        pass

    assert list(tiny_disk.iterdir()) == []


def test_studio_with_several_processes_says_so_when_it_is_not_open() -> None:
    with pytest.raises(RuntimeError, match="inside `with`"):
        next(Studio(workers=2).render(3, range(4), SIZE))


def test_negative_seed_is_refused() -> None:
    with pytest.raises(InputError, match="got seed -1, expected 0 or more"):
        next(Studio().render(-1, range(4), SIZE))
