"""The benchmark of the renderer: what it times, and its table."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pixio_edge.scenes import render as renderer
from pixio_edge.scenes.studio import Studio

pytest.importorskip("psutil", reason="psutil, of the developer tools, is not installed")
ROOT = Path(__file__).parents[2]

Load = Callable[[str], Any]


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Load:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return importlib.import_module


def test_rates_and_steps_are_those_of_the_renderer(load: Load, monkeypatch: pytest.MonkeyPatch, studio: Studio) -> None:
    rendering = load("rendering")
    monkeypatch.setattr(rendering, "SIZES", ((16, 24),))
    monkeypatch.setattr(rendering, "LAYOUTS", {"room": None})
    before = {name: getattr(renderer, name) for names in rendering.STEPS.values() for name in names}

    turns = rendering.layout_turns(None, 4) + rendering.studio_turns(studio, 1)
    one, every = rendering.measure(turns, 2)

    assert (one["layout"], one["size"], one["processes"], one["images"], one["rounds"]) == ("room", [16, 24], 1, 4, 2)
    assert (every["layout"], every["images"]) == (None, 32)
    for record in (one, every):
        assert record["lowest_images_per_s"] <= record["images_per_s"] <= record["highest_images_per_s"]
        assert record["triangles"] > 1000
        # Every step was met, and together they take most of the time and no more than all of it.
        assert min(record["step_ms"].values()) > 0
        per_image_ms = 1000 / record["images_per_s"]
        assert 0.5 * per_image_ms < sum(record["step_ms"].values())
    assert {name: getattr(renderer, name) for name in before} == before


def record_of(layout: str | None, size: list[int], processes: int, rate: float) -> dict[str, Any]:
    host = {"cpu": "a CPU", "os": "an OS", "packages": {}, "usable_cores": 2, "logical_cores": 2}
    record = {"layout": layout, "size": size, "processes": processes, "images_per_s": rate, "rounds": 5}
    record |= {"textures": "noise", "numba": "0.1", "host": host, "run": "2026-11-21T00:00:00Z", "loaded": False}
    if processes == 1:
        record |= {"step_ms": {"scene": 1.5, "shading": 2.5}, "triangles": 41_600}
    return record


def test_table_has_layouts_then_all_in_one_process_and_in_several(load: Load) -> None:
    tables = load("training_tables")
    small, large = [144, 192], [192, 256]
    records = [record_of("still_life", small, 1, 80.0), record_of("still_life", large, 1, 50.0)]
    records += [record_of(None, size, processes, 10.0 * processes) for processes in (1, 2) for size in (small, large)]

    lines = tables.render_rendering(records).splitlines()

    assert lines[0] == (
        "| layout | images/s at 144x192 | images/s at 192x256 | thousand triangles | scene ms | shading ms |"
    )
    assert lines[2:5] == [
        "| still life | 80.0 | 50.0 | 42 | 1.5 | 2.5 |",
        "| **all, 1 process** | 10.0 | 10.0 | 42 | 1.5 | 2.5 |",
        "| **all, 2 processes** | 20.0 | 20.0 |  |  |  |",
    ]
    assert "numba 0.1" in lines[-1]


def test_table_says_so_when_nothing_was_measured(load: Load) -> None:
    assert load("training_tables").render_rendering([]) == "_Not measured yet: `benchmarks/rendering.py`._"
