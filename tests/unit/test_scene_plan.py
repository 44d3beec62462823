"""Which scenes a run renders, and how long that is estimated to take."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace, TracebackType

import pytest

from pixio_edge.errors import InputError
from pixio_edge.scenes.render import Rendered
from pixio_edge.scenes.selection import Purpose, scene_seed
from pixio_edge.scenes.studio import TASK_IMAGES, Studio
from pixio_edge.training import time_estimate
from pixio_edge.training.pool import PoolConfig, missing_images, render_pool
from pixio_edge.training.scene_plan import HELD_BACK, POOL, ScenePlan


def test_no_run_trains_on_what_any_is_measured_on_or_anyone_looks_at() -> None:
    plans = [ScenePlan(8, 8, seed=seed).pools() for seed in range(6)]

    trained = {pools[POOL].seed for pools in plans}
    measured = {pools[HELD_BACK].seed for pools in plans}
    shown = {scene_seed(seed, Purpose.PREVIEW) for seed in range(6)}
    assert len(trained | measured | shown) == 3 * 6


def test_layouts_of_a_plan_are_those_of_its_pools() -> None:
    pools = ScenePlan(8, 8, layouts={"tabletop": 2.0}).pools()

    assert [config.layouts for config in pools.values()] == [{"tabletop": 2.0}] * 2
    with pytest.raises(InputError, match="layout 'moon': unknown"):
        ScenePlan(8, 8, layouts={"moon": 1.0}).pools()


class Drawer(Studio):
    """Notes the layouts it is asked for, and draws nothing."""

    def __init__(self, clock: SimpleNamespace) -> None:
        super().__init__(workers=2)
        self.seen: list[object] = []
        self._clock = clock

    def __enter__(self) -> Studio:
        self._clock.now += 20
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._clock.now += 1000

    def render(
        self,
        seed: int,
        indices: Sequence[int],
        size: tuple[int, int],
        *,
        layouts: Mapping[str, float] | None = None,
        effects: bool = True,
    ) -> Iterator[Rendered]:
        self.seen.append(layouts)
        self._clock.now += 3 if len(self.seen) == 1 else 2
        yield from ()


def test_start_of_rendering_counts_beside_its_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(time_estimate, "time", SimpleNamespace(perf_counter=lambda: clock.now))
    studio = Drawer(clock)

    start_s, rate = time_estimate.measure_rendering((16, 16), studio, {"shelf": 1.0})

    assert studio.seen == [{"shelf": 1.0}] * 2
    assert start_s == 20 + 1  # opened, and the first call was slower
    assert rate == time_estimate.MEASURED_TASKS * 2 * TASK_IMAGES / 2
    assert time_estimate.TimeEstimate(64, rate, (), start_s).total_s == start_s + 64 / rate


def test_pool_is_refused_when_it_holds_other_layouts(tmp_path: Path, studio: Studio) -> None:
    folder = tmp_path / "pool"
    some = PoolConfig(2, (16, 16), layouts={"shelf": 1.0, "tabletop": 2.0})
    render_pool(folder, some, studio)

    assert json.loads((folder / "pool.json").read_text())["layouts"] == {"shelf": 1.0, "tabletop": 2.0}
    assert missing_images(folder, PoolConfig(2, (16, 16), layouts={"tabletop": 2.0, "shelf": 1.0})) == 0
    for other in ({}, {"shelf": 1.0}, {"shelf": 2.0, "tabletop": 2.0}):
        with pytest.raises(InputError, match="layouts"):
            missing_images(folder, PoolConfig(4, (16, 16), layouts=other))
