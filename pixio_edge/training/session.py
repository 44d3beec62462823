"""Everything that makes a student: rendering what is missing, estimating, training; all go on where they stopped."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pixio_edge.errors import InputError
from pixio_edge.files import create_folder
from pixio_edge.models.depth_model import DepthModel
from pixio_edge.scenes.attribution import write_attribution
from pixio_edge.scenes.studio import Studio
from pixio_edge.training.data import DepthRows
from pixio_edge.training.loop import Progress
from pixio_edge.training.processes import Processes
from pixio_edge.training.run_folder import RunFolder
from pixio_edge.training.scene_plan import ScenePlan, missing_scenes, render_scenes
from pixio_edge.training.sources import open_source
from pixio_edge.training.supervised import build_student, depth_rows, open_sources, require_scale, train
from pixio_edge.training.time_estimate import TimeEstimate, measure_rendering, measure_training
from pixio_edge.training.train_config import SCENES, TrainConfig

ATTRIBUTION = "ATTRIBUTION.md"


@dataclass(frozen=True, slots=True)
class TrainingSession:
    """A run folder with the scenes that belong into it and the values it is trained with.

    Attributes:
        run: Run folder.
        plan: Scenes to render into it.
        config: Values of the run; its pools are those of the run folder.
        renderers: Processes that render.
    """

    run: Path
    plan: ScenePlan
    config: TrainConfig
    renderers: int = 1

    def check(self) -> None:
        """Refuse what would fail after hours, before any work; writes nothing.

        Raises:
            InputError: There is no such preset, encoder, texture folder or data, or the run folder holds another run or
                other scenes.
            SpecError: A side of the scenes is shorter than 16 pixels.
        """
        build_student(self.config)
        named = (*(part.source for part in self.config.data if part.source != SCENES), *self.config.measure_on)
        sources = [open_source(text) for text in named]
        require_scale(self.config, sources)
        for source in sources:
            source.read(0)
        if self.plan.textures is not None and not self.plan.textures.is_dir():
            raise InputError(f"textures '{self.plan.textures}': got no such folder, expected one. Fix: check the path")
        RunFolder(self.run).check(self.config.lasting_values())
        self.missing_scenes()

    def missing_scenes(self) -> int:
        """How many scenes are still to render, none where none are trained on.

        Raises:
            InputError: The run holds other scenes.
        """
        return missing_scenes(self.plan, self.run) if self.config.uses_scenes else 0

    def estimate(self, processes: Processes) -> TimeEstimate:
        """Measure on this host how long what is left would take; takes up to two minutes, writes nothing.

        Args:
            processes: Those that would train; the main one is enough to ask.

        Raises:
            InputError: As for `check`.
            SpecError: As for `check`.
        """
        self.check()
        missing, start_s, rate = self.missing_scenes(), 0.0, None
        if missing:
            studio = Studio(self.plan.textures, workers=self.renderers)
            start_s, rate = measure_rendering(self.plan.size, studio, self.plan.layouts)
        rows: DepthRows | None = None
        if missing == 0:
            rows = depth_rows(self.config, open_sources(self.config)[0])
        stages = measure_training(self.config, processes, rows, steps_done=RunFolder(self.run).steps_done())
        return TimeEstimate(missing, rate, stages, start_s)

    def render(self, *, progress: Callable[[str, int, int], None] = lambda part, done, total: None) -> None:
        """Render what is missing of the scenes, and write whose textures are on them if their folder says so.

        Args:
            progress: Called with the part, the number of images done and that of all in it.

        Raises:
            CheckFailedError: A rendering process died.
            InputError: As for `check`, or a texture cannot be read or attributed.
            OutputError: The run folder cannot be written.
            SpecError: As for `check`.
        """
        self.check()
        if self.missing_scenes() == 0:
            return
        create_folder(self.run)  # found out before textures are loaded
        textures = self.plan.textures
        if textures is not None and any(textures.glob("*/index.csv")):  # what cannot be attributed is not rendered
            write_attribution(textures, self.run / ATTRIBUTION)
        with Studio(textures, workers=self.renderers) as studio:
            render_scenes(self.plan, self.run, studio, progress=progress)

    def train(
        self,
        *,
        processes: Processes | None = None,
        on_step: Callable[[Progress], None] = lambda _: None,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> DepthModel:
        """Train on the rendered scenes and the other data; see `supervised.train`."""
        return train(self.config, self.run, processes=processes, on_step=on_step, should_stop=should_stop)
