"""From a bundle and images to INT8 artifacts that were measured to be worth it, or to the reason why not."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

from pixio_edge.bundle_writer import BundleWriter, write_bundle
from pixio_edge.calibration.artifact import Int8Source, Recipe, write_int8
from pixio_edge.calibration.calibrate import Progress, calibrate
from pixio_edge.calibration.collect import collect
from pixio_edge.calibration.graph import QuantGraph
from pixio_edge.calibration.judge import Judge
from pixio_edge.calibration.ladder import FloatLadder
from pixio_edge.calibration.plots import plot_outliers
from pixio_edge.calibration.report import outlier_report
from pixio_edge.calibration.request import QuantizeReport, QuantizeRequest, TargetReport
from pixio_edge.calibration.targets import Target, find_targets
from pixio_edge.errors import OutputError
from pixio_edge.evaluation.datasets import open_datasets
from pixio_edge.files import create_folder, write_text_atomic
from pixio_edge.host import probe_host
from pixio_edge.quantization import QuantizationEntry

if TYPE_CHECKING:
    from pixio_edge.bundle import Bundle
    from pixio_edge.calibration.calibrate import Calibration
    from pixio_edge.calibration.dataset import CalibrationSet
    from pixio_edge.manifest import ArtifactEntry

TABLE_STEM = "calibration"

HELD_BACK_SHARE = 4
"""Where there are too few images for all that is asked for, one in so many is held back: the rest has to be enough to
calibrate on, and a verdict on fewer would be one on single pictures."""


class _NotWrittenError(Exception):
    """Leaves the block that writes a bundle, which is then thrown away."""


def quantize(
    bundle: Bundle,
    calibration_set: CalibrationSet,
    request: QuantizeRequest,
    *,
    output: Path | None = None,
    replace: bool = False,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> QuantizeReport:
    """Calibrate, write INT8 graphs for every size and runtime, and keep them if they are accurate and faster.

    All or nothing: if one runtime is refused, nothing is written and the bundle stays as it is. Earlier INT8 artifacts
    of the same flavours are replaced.

    Args:
        bundle: Has fp32 ONNX graphs, which stay.
        calibration_set: Images to calibrate on and to hold back for checking: `request.config.images` and
            `request.held_back` if there are so many, else fewer of both.
        request: How.
        output: Bundle folder to write; None writes into the bundle itself.
        replace: Whether an existing bundle at `output` may be replaced.
        dry_run: Measure everything and write nothing.
        progress: Told the stage and how far it is.

    Returns:
        What was measured and decided; `QuantizeReport.require` raises on a refusal.

    Raises:
        InputError: Too few images, or one cannot be read.
        BundleError: The bundle is damaged or has no fp32 ONNX graph, or `output` exists.
        RuntimeUnavailableError: A runtime is unknown or not installed.
        CheckFailedError: A graph has no finite depth, or could not be timed.
        OutputError: The folder cannot be written.
    """
    targets = find_targets(request.runtimes, probe_host())
    run = _Run(bundle, calibration_set, request, progress or _silent)
    folder = output or bundle.folder
    written: tuple[ArtifactEntry, ...] = ()
    try:
        with _destination(bundle, folder, dry_run=dry_run, replace=replace or output is None) as writer:
            writer.take_over(bundle, drop=run.replaced(targets))
            reports = run.judge(targets)
            if dry_run or any(report.reason is not None for report in reports):
                raise _NotWrittenError
            written = run.write(writer, targets, reports)
    except _NotWrittenError:
        pass
    except OSError as error:
        reason = error.strerror or str(error)
        raise OutputError(
            f"{folder}: cannot be written ({reason}). Fix: free some space or choose another folder"
        ) from error
    return QuantizeReport(
        folder=folder if written else None,
        artifacts=tuple(artifact.name for artifact in written),
        targets=reports,
        budget=request.budget.points,
        provenance=run.calibration.table.provenance,
        seconds=run.seconds,
        files=tuple(run.files),
    )


class _Run:
    """The stages, each with its time."""

    def __init__(
        self, bundle: Bundle, calibration_set: CalibrationSet, request: QuantizeRequest, progress: Progress
    ) -> None:
        self._bundle = bundle
        self._request = request
        self._progress = progress
        self._ladder = FloatLadder(bundle)
        self._set, self._held_back = _parted(calibration_set, request)
        # Opened first: a path that is wrong is found before any work.
        self._datasets = [] if request.labelled is None else open_datasets(request.labelled)
        self.calibration: Calibration
        self.seconds: dict[str, float] = {}
        self.files: list[Path] = []

    def replaced(self, targets: Sequence[Target]) -> set[str]:
        """Names of artifacts that will be written anew."""
        flavours = {target.flavour for target in targets}
        return {artifact.name for artifact in self._bundle.artifacts if artifact.flavour in flavours}

    def judge(self, targets: Sequence[Target]) -> tuple[TargetReport, ...]:
        """Calibrate, and try every target."""
        with self._stage("calibrate"):
            spec = self._bundle.manifest.image
            self.calibration = calibrate(self._ladder, self._set, self._request.config, spec, progress=self._progress)
        with self._stage("float"):
            judge = Judge(
                self._bundle,
                self._source(),
                calibration_set=self._set,
                held_back=self._held_back,
                datasets=self._datasets,
                request=self._request,
                progress=self._progress,
            )
        if self._request.report is not None:
            self._report(self._request.report, judge, targets)
        reports = []
        for target in targets:
            with self._stage(target.runtime):
                reports.append(judge.judge(target))
        return tuple(reports)

    def write(
        self, writer: BundleWriter, targets: Sequence[Target], reports: Sequence[TargetReport]
    ) -> tuple[ArtifactEntry, ...]:
        """Write the table and all artifacts with what was measured."""
        with self._stage("write"):
            table = writer.free_name(TABLE_STEM, ".json")
            write_text_atomic(writer.folder / table, self.calibration.table.to_json())
            writer.add_file(table, "calibration")
            recipes = [
                Recipe(target, report.keep_float, self._facts(report, table))
                for target, report in zip(targets, reports, strict=True)
            ]
            return write_int8(writer, self._source(), recipes, threads=self._request.speed.threads)

    def _report(self, folder: Path, judge: Judge, targets: Sequence[Target]) -> None:
        """Outliers of the float graph, and latency against accuracy for every runtime that is here."""
        create_folder(folder)
        with self._stage("report"):
            config, spec = self._request.config, self._bundle.manifest.image
            self._progress("outliers", 0, 1)
            statistics = collect(self._ladder, self._set, config, image_spec=spec)
            outliers = outlier_report(statistics, QuantGraph(next(iter(self._ladder.values()))))
            write_text_atomic(folder / "outliers.json", outliers.to_json())
            write_text_atomic(folder / "outliers.md", outliers.to_markdown())
            self.files += [folder / "outliers.json", folder / "outliers.md"]
            self.files += plot_outliers(outliers, statistics, folder)
            for target in targets:
                if target.runs_here:
                    self.files += judge.report(target, folder)

    def _source(self) -> Int8Source:
        return Int8Source(self._ladder, self.calibration.table, self.calibration.rounded)

    def _facts(self, report: TargetReport, table: str) -> QuantizationEntry:
        return QuantizationEntry(
            flavour=report.flavour,
            keep_float=report.keep_float,
            calibration=table,
            budget=self._request.budget.points,
            accuracy=report.accuracy.to_json(),
            speed=report.speed,
        )

    @contextmanager
    def _stage(self, name: str) -> Iterator[None]:
        start = perf_counter()
        yield
        self.seconds[name] = perf_counter() - start


def _parted(images: CalibrationSet, request: QuantizeRequest) -> tuple[CalibrationSet, CalibrationSet]:
    """Images to calibrate on, as many as the configuration says if they last, and images to check with."""
    wanted = request.config.images
    held = min(request.held_back, max(1, images.count // HELD_BACK_SHARE, images.count - wanted))
    rest, held_back = images.split(held)
    return rest.subset(wanted), held_back


@contextmanager
def _destination(bundle: Bundle, folder: Path, *, dry_run: bool, replace: bool) -> Iterator[BundleWriter]:
    """Where the result is written; opened first, so that a folder that cannot be written is found at once."""
    if not dry_run:
        with write_bundle(folder, bundle.manifest, replace=replace) as writer:
            yield writer
        return
    with (
        tempfile.TemporaryDirectory(prefix="pixio-edge-") as name,
        write_bundle(Path(name) / "dry-run", bundle.manifest) as writer,
    ):
        yield writer


def _silent(stage: str, done: int, total: int) -> None:
    """No progress."""
