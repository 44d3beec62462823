"""Measures images per second of the renderer: each layout in one process, and all as they are drawn in one and more.

Median of several rounds, in each of which everything has its turn, so that a busy moment of the machine meets all.
Nothing counts what is loaded and compiled at first. --quick tells whether it runs, not how fast.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from machine_load import LoadReading, load_since
from recording import append_records

from pixio_edge.host import usable_cores
from pixio_edge.scenes import render as renderer
from pixio_edge.scenes.layouts import LAYOUTS
from pixio_edge.scenes.library import build_library
from pixio_edge.scenes.render import render
from pixio_edge.scenes.scene import VIEWS
from pixio_edge.scenes.studio import TASK_IMAGES, Studio
from pixio_edge.scenes.textures import load_atlas

Record = dict[str, Any]

SIZES = ((144, 192), (192, 256))
SEED = 1
# Steps of the renderer, and the functions that `render.py` calls for each; what is left over is the rest.
STEPS = {
    "scene": ("sample_scene",),
    "mesh and light": ("assemble", "_surroundings"),
    "triangles": ("project",),
    "depth and occlusion": ("pixel_geometry", "occlude"),
    "shading": ("shade_samples", "lend_colours", "blend"),
    "camera": ("photograph",),
}


@dataclass
class Clock:
    """Seconds of the steps of some images, and triangles of their scenes."""

    seconds: dict[str, float] = field(default_factory=lambda: dict.fromkeys(STEPS, 0.0))
    triangles: list[int] = field(default_factory=list)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Time the functions of `STEPS` where the renderer calls them."""
        plain = {name: getattr(renderer, name) for names in STEPS.values() for name in names}
        try:
            for step, names in STEPS.items():
                for name in names:
                    setattr(renderer, name, self._timed(step, plain[name]))
            yield
        finally:
            for name, function in plain.items():
                setattr(renderer, name, function)

    def _timed(self, step: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*arguments: Any, **named: Any) -> Any:
            started = time.perf_counter()
            result = function(*arguments, **named)
            self.seconds[step] += time.perf_counter() - started
            if step == "mesh and light" and hasattr(result, "triangles"):
                self.triangles.append(len(result.triangles))
            return result

        return timed


@dataclass(frozen=True)
class Turn:
    """One thing that is measured.

    Attributes:
        layout: Its name; None: all, as they are drawn.
        size: (height, width).
        processes: How many render.
        images: Images of a round.
        render: Renders images of some numbers.
    """

    layout: str | None
    size: tuple[int, int]
    processes: int
    images: int
    render: Callable[[range], object]

    def take(self, number: int) -> tuple[float, Clock]:
        """Seconds of a round, and its steps where this process renders."""
        clock, indices = Clock(), range(number * self.images, (number + 1) * self.images)
        with clock.watching():
            started = time.perf_counter()
            self.render(indices)
            return time.perf_counter() - started, clock


def measure(turns: list[Turn], rounds: int) -> list[Record]:
    """One record for each turn; other rounds render other images."""
    for turn in turns:  # compiles, loads
        turn.take(0)
    taken = [[turn.take(number) for turn in turns] for number in range(rounds)]
    return [summarise(turn, list(column)) for turn, column in zip(turns, zip(*taken, strict=True), strict=True)]


def summarise(turn: Turn, rounds: list[tuple[float, Clock]]) -> Record:
    """Record of the rounds of a turn."""
    rates = sorted(turn.images / seconds for seconds, _ in rounds)
    record: Record = {"layout": turn.layout, "size": list(turn.size), "processes": turn.processes}
    record |= {"images": turn.images, "rounds": len(rounds), "images_per_s": round(statistics.median(rates), 1)}
    record |= {"lowest_images_per_s": round(rates[0], 1), "highest_images_per_s": round(rates[-1], 1)}
    if turn.processes == 1:
        step_ms = {
            step: statistics.median(1000 * clock.seconds[step] / turn.images for _, clock in rounds) for step in STEPS
        }
        record["step_ms"] = {step: round(value, 2) for step, value in step_ms.items()}
        record["triangles"] = round(statistics.median(count for _, clock in rounds for count in clock.triangles))
    return record


def layout_turns(textures: Path | None, images: int) -> list[Turn]:
    """Each layout by itself, in this process."""
    atlas, library = load_atlas(textures), build_library()

    def run(layout: str, size: tuple[int, int], indices: range) -> object:
        return render(SEED, indices, size, atlas, library, layouts={layout: 1.0})

    return [Turn(layout, size, 1, images, partial(run, layout, size)) for size in SIZES for layout in LAYOUTS]


def studio_turns(studio: Studio, images: int) -> list[Turn]:
    """All layouts as they are drawn, of which a round has more, and more for more processes."""

    def run(size: tuple[int, int], indices: range) -> object:
        return sum(len(part.rgb) for part in studio.render(SEED, indices, size))

    whole = max(8 * images, 2 * TASK_IMAGES) * studio.workers
    return [Turn(None, size, studio.workers, whole, partial(run, size)) for size in SIZES]


def main() -> None:
    """Measure and append to `records/rendering.jsonl`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--textures", type=Path, help="texture folder; default: procedural noise")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--images", type=int, default=64, help="of each layout and round; of all, eight times as many")
    parser.add_argument("--quick", action="store_true", help="one round of few images, printed and not recorded")
    options = parser.parse_args()
    images, rounds = (2 * VIEWS, 1) if options.quick else (options.images, options.rounds)
    before = LoadReading.now()
    with ExitStack() as opened:
        studios = {workers: Studio(options.textures, workers=workers) for workers in {1, usable_cores()}}
        turns = layout_turns(options.textures, images)
        for studio in studios.values():
            turns += studio_turns(opened.enter_context(studio), images)
        records = measure(turns, rounds)
    about = {"textures": "noise" if options.textures is None else "folder", **load_since(before)}
    about |= {name: importlib.metadata.version(name) for name in ("numba", "numpy")}
    records = [record | about for record in records]
    for record in records:
        name, size = record["layout"] or "all", "x".join(map(str, record["size"]))
        print(f"{name:12} {size} {record['processes']} processes: {record['images_per_s']:6.1f} images/s")
    if not options.quick:
        append_records("rendering", records)


if __name__ == "__main__":
    main()
