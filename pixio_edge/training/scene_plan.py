"""The scenes that a run trains on, and those it is measured on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pixio_edge.scenes.identity import textures_digest
from pixio_edge.scenes.selection import Purpose, scene_seed
from pixio_edge.scenes.studio import Studio
from pixio_edge.training.pool import PoolConfig, missing_images, render_pool

# Two parts of a run folder.
POOL, HELD_BACK = "pool", "held_back"


@dataclass(frozen=True, slots=True)
class ScenePlan:
    """Which scenes to render.

    Attributes:
        scenes: Scenes to train on.
        held_back: Scenes to measure on; no run trains on one of them, whatever its seed.
        size: (height, width) of the rendered images in pixels.
        seed: Seed of both; those of the pools come from it by `selection.scene_seed`.
        textures: Texture folder; None stands for procedural noise.
        layouts: Only these layouts, with their weights; none: all.
    """

    scenes: int
    held_back: int
    size: tuple[int, int] = (192, 256)
    seed: int = 0
    textures: Path | None = None
    layouts: Mapping[str, float] = field(default_factory=dict)

    def pools(self) -> dict[str, PoolConfig]:
        """What each part of the run folder holds, the smaller one first.

        Raises:
            InputError: There are no scenes or no such layout, the seed is negative, or the textures cannot be used.
            SpecError: A side is shorter than 16 pixels.
        """
        textures = (self.textures.resolve().name if self.textures else "noise", textures_digest(self.textures))
        return {
            part: PoolConfig(images, self.size, scene_seed(self.seed, purpose), *textures, layouts=dict(self.layouts))
            for part, images, purpose in (
                (HELD_BACK, self.held_back, Purpose.HELD_BACK),
                (POOL, self.scenes, Purpose.TRAINING),
            )
        }


def render_scenes(
    plan: ScenePlan,
    run: Path,
    studio: Studio,
    *,
    progress: Callable[[str, int, int], None] = lambda part, done, total: None,
) -> None:
    """Render what is missing of the pools of a run.

    Args:
        plan: Which scenes.
        run: Run folder; the pools are `POOL` and `HELD_BACK` in it.
        studio: Renders them with the textures of the plan.
        progress: Called with the part, the number of images done and that of all in it.

    Raises:
        CheckFailedError: A rendering process died.
        InputError: The run holds other scenes or a file that cannot be read, or the texture folder cannot be used.
        OutputError: The folder cannot be written.
        SpecError: A side is shorter than 16 pixels.
    """
    for part, config in plan.pools().items():

        def report(done: int, total: int, part: str = part) -> None:
            progress(part, done, total)

        render_pool(run / part, config, studio, progress=report)


def missing_scenes(plan: ScenePlan, run: Path) -> int:
    """How many images `render_scenes` would still have to render.

    Raises:
        InputError: As for `render_scenes`.
    """
    return sum(missing_images(run / part, config) for part, config in plan.pools().items())
