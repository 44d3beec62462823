from __future__ import annotations

from pathlib import Path

import pytest
from texture_making import COLUMNS, write_index, write_textures

from pixio_edge.errors import InputError
from pixio_edge.training import session as session_module
from pixio_edge.training.scene_plan import HELD_BACK, POOL, ScenePlan
from pixio_edge.training.session import ATTRIBUTION, TrainingSession
from pixio_edge.training.train_config import TrainConfig


class StudioReachedError(Exception):
    pass


@pytest.fixture(autouse=True)
def no_studio(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(textures: Path | None, *, workers: int) -> None:
        raise StudioReachedError

    monkeypatch.setattr(session_module, "Studio", refuse)


def session(run: Path, textures: Path) -> TrainingSession:
    config = TrainConfig("tiny", run / POOL, run / HELD_BACK, images=8, batch=4)
    return TrainingSession(run, ScenePlan(8, 8, (16, 32), 0, textures), config)


def test_attribution_is_written_before_anything_is_rendered(tmp_path: Path) -> None:
    write_textures(tmp_path / "mine")

    with pytest.raises(StudioReachedError):
        session(tmp_path / "run", tmp_path / "mine").render()

    assert "B\\_Maker" in (tmp_path / "run" / ATTRIBUTION).read_text(encoding="utf-8")


def test_textures_that_cannot_be_attributed_are_refused_before_anything_is_rendered(tmp_path: Path) -> None:
    write_textures(tmp_path / "mine")
    index = tmp_path / "mine" / "surfaces" / "index.csv"
    write_index(index, (("wood.png", "Beerware", "", "", "", "wood"),), COLUMNS)

    with pytest.raises(InputError, match="got licence 'Beerware'"):
        session(tmp_path / "run", tmp_path / "mine").render()


def test_texture_that_is_not_there_is_found_by_the_check(tmp_path: Path) -> None:
    write_textures(tmp_path / "mine")
    (tmp_path / "mine" / "surfaces" / "wood.png").unlink()

    with pytest.raises(InputError, match=r"cannot read '.*wood\.png'"):
        session(tmp_path / "run", tmp_path / "mine").check()

    assert not (tmp_path / "run").exists()
