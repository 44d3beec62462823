"""Whether INT8 is worth it in one runtime: a trial bundle, the accuracy gate with its search, the speed gate.

The images held back are never calibrated on nor searched on, so where no layer goes back to float, what they say is
independent. Where they refuse a graph, more layers go back until they pass it: from then on they have a part in the
choice, as have data sets with known depth, and the accuracy of a `TargetReport` with layers in `keep_float` is that of
the first candidate that passed, which may be a little better than on images that had no part in it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import onnx

from pixio_edge.bundle import Bundle
from pixio_edge.bundle_writer import write_bundle
from pixio_edge.calibration.accuracy import AccuracyGate
from pixio_edge.calibration.artifact import Recipe, write_int8
from pixio_edge.calibration.emit import expected_int8
from pixio_edge.calibration.pareto import save_pareto, trace_pareto
from pixio_edge.calibration.request import TargetReport
from pixio_edge.calibration.search import LayerSensitivity, SearchStep, rank_layers, return_layers
from pixio_edge.calibration.speed import against_speed, sizes_to_time, time_pair
from pixio_edge.calibration.trial import TrialImages

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from pixio_edge.calibration.accuracy import Accuracy
    from pixio_edge.calibration.artifact import Int8Source
    from pixio_edge.calibration.calibrate import Progress
    from pixio_edge.calibration.dataset import CalibrationSet
    from pixio_edge.calibration.request import QuantizeRequest
    from pixio_edge.calibration.targets import Target
    from pixio_edge.evaluation.samples import DepthDataset
    from pixio_edge.manifest import ArtifactEntry
    from pixio_edge.quantization import SpeedEntry

EXTRA_SHARE = 16
"""Where the search is content on its few images and the gate is not, one layer in so many more goes back to float."""


class LayerSearch:
    """The layers to keep in float, in growing number, for one target.

    Args:
        source: What graphs are made from.
        target: Which graphs.
        calibration_set: Images that may be looked at.
        bundle: Says how images are prepared and what the output means.
        request: Budget and number of images.
        progress: Told each candidate.
    """

    def __init__(
        self,
        source: Int8Source,
        target: Target,
        *,
        calibration_set: CalibrationSet,
        bundle: Bundle,
        request: QuantizeRequest,
        progress: Progress,
    ) -> None:
        self._source = source
        self._target = target
        self._set = calibration_set
        self._manifest = bundle.manifest
        self._request = request
        self._progress = progress
        self._size = next(iter(source.ladder))
        self.ranking: tuple[LayerSensitivity, ...] = ()
        self.steps: tuple[SearchStep, ...] = ()

    @property
    def layers(self) -> tuple[str, ...]:
        """Layers that the flavour runs in INT8 when none is given back, in graph order."""
        graph = self._source.ladder[self._size]
        names = expected_int8(graph, self._target.flavour)
        return tuple(n.name for n in graph.graph.node if n.name in names - set(self._source.table.skipped))

    def emit(self, keep_float: Collection[str]) -> onnx.ModelProto:
        """Candidate of the size that is searched at."""
        return self._source.emit(self._size, self._target, keep_float)

    def open_images(self) -> TrialImages:
        """The images to search with, prepared, and their float depths."""
        spec, threads = self._manifest.image, self._request.speed.threads
        chosen = self._set.subset(self._request.search_images)
        feeds = [spec.prepare(image, self._size) for image in chosen.images()]
        return TrialImages(self._source.ladder[self._size], feeds, self._manifest.output.kind, threads)

    def rank(self, images: TrialImages) -> None:
        """Fill `ranking`, once."""
        if self.ranking:
            return
        self.ranking = rank_layers(self.emit, self.layers, images, progress=self._report_as("sensitivity"))

    def widen(self, keep_float: tuple[str, ...]) -> tuple[str, ...]:
        """More layers to keep in float after a candidate failed its gate.

        Returns:
            The layers to try next, or all layers when there is nothing left to try.
        """
        if not self.steps:
            images = self.open_images()
            self.rank(images)
            report = self._report_as("search")
            self.steps = return_layers(
                self.emit, self.ranking, images, self._request.budget, start=keep_float, progress=report
            )
            found = self.steps[-1].keep_float
            if len(found) > len(keep_float):
                return found
        rest = [item.layer for item in self.ranking if item.layer not in keep_float]
        return (*keep_float, *rest[: max(1, len(self.ranking) // EXTRA_SHARE)])

    def _report_as(self, stage: str) -> Callable[[int, int, str], None]:
        """Progress of a stage by its count alone; the name of the last layer is not shown."""
        label = f"{stage} {self._target.runtime}"
        return lambda done, total, _: self._progress(label, done, total)


class Judge:
    """Tries one target after the other.

    Args:
        bundle: Has the float artifacts.
        source: What INT8 graphs are made from.
        calibration_set: Images that were calibrated on.
        held_back: Images that were not.
        datasets: Images with known depth; may be empty.
        request: Budget, data and how to time.
        progress: Told the stage and how far it is.
    """

    def __init__(
        self,
        bundle: Bundle,
        source: Int8Source,
        *,
        calibration_set: CalibrationSet,
        held_back: CalibrationSet,
        datasets: Sequence[DepthDataset],
        request: QuantizeRequest,
        progress: Progress,
    ) -> None:
        self._bundle = bundle
        self._source = source
        self._set = calibration_set
        self._request = request
        self._progress = progress
        self._searches: dict[str, LayerSearch] = {}
        self._gate = AccuracyGate(bundle, held_back, datasets, request.budget, request.speed.threads)

    def judge(self, target: Target) -> TargetReport:
        """Find the graphs of a target that are inside the budget, and time them.

        Raises:
            CheckFailedError: A graph has no finite depth, or could not be timed.
            RuntimeUnavailableError: The runtime refuses a graph.
        """
        search = self._search(target)
        keep: tuple[str, ...] = ()
        while True:
            with self._trial(target, keep) as (trial, artifacts):
                accuracy = self._measure(target, trial, artifacts)
                is_inside = accuracy.reason is None
                speed = self._time(target, trial, artifacts) if is_inside and target.runs_here else ()
            if is_inside:
                reason = next((text for entry in speed if (text := against_speed(entry)) is not None), None)
                return _report(target, keep, accuracy, search, speed=speed, reason=reason)
            wider = search.widen(keep)
            if len(wider) >= len(search.layers):
                share = f"{len(keep)} of {len(search.layers)} layers in float"
                reason = f"outside the budget with {share}, and with more nothing was found inside: {accuracy.reason}"
                return _report(target, keep, accuracy, search, reason=reason)
            keep = wider

    def report(self, target: Target, folder: Path) -> tuple[Path, ...]:
        """Trace and draw latency against accuracy, whatever the budget; needs a runtime here.

        Returns:
            The files written.

        Raises:
            CheckFailedError: A candidate could not be timed.
            OutputError: The folder cannot be written.
        """
        search = self._search(target)
        images = search.open_images()
        search.rank(images)
        pareto = trace_pareto(
            self._bundle,
            self._source,
            target,
            search.ranking,
            images=images,
            speed=self._request.speed,
            progress=self._progress,
        )
        return save_pareto(pareto, self._request.budget, folder)

    def _search(self, target: Target) -> LayerSearch:
        if target.flavour not in self._searches:
            self._searches[target.flavour] = LayerSearch(
                self._source,
                target,
                calibration_set=self._set,
                bundle=self._bundle,
                request=self._request,
                progress=self._progress,
            )
        return self._searches[target.flavour]

    @contextmanager
    def _trial(self, target: Target, keep: tuple[str, ...]) -> Iterator[tuple[Bundle, tuple[ArtifactEntry, ...]]]:
        """A bundle with the float artifacts and the candidates, which is thrown away."""
        with tempfile.TemporaryDirectory(prefix="pixio-edge-") as folder:
            path = Path(folder) / "trial"
            with write_bundle(path, self._bundle.manifest) as writer:
                others = [a.name for a in self._bundle.artifacts if a not in self._source.ladder.artifacts.values()]
                writer.take_over(self._bundle, drop=others)
                threads = self._request.speed.threads
                artifacts = write_int8(writer, self._source, [Recipe(target, keep)], threads=threads)
            yield Bundle.open(path), artifacts

    def _measure(self, target: Target, trial: Bundle, artifacts: Sequence[ArtifactEntry]) -> Accuracy:
        self._progress(f"accuracy {target.runtime}", 0, 1)
        return self._gate.measure(trial, artifacts, target.runtime if target.runs_here else None)

    def _time(self, target: Target, trial: Bundle, artifacts: Sequence[ArtifactEntry]) -> tuple[SpeedEntry, ...]:
        by_size = {artifact.size: artifact for artifact in artifacts}
        timed = tuple(dict.fromkeys(sizes_to_time(list(by_size)).values()))
        entries = []
        for done, size in enumerate(timed):
            self._progress(f"speed {target.runtime}", done, len(timed))
            base = self._source.ladder.artifacts[size]
            entries.append(time_pair(trial.folder, target.runtime, base, by_size[size], self._request.speed))
        return tuple(entries)


def _report(
    target: Target,
    keep: tuple[str, ...],
    accuracy: Accuracy,
    search: LayerSearch,
    *,
    speed: tuple[SpeedEntry, ...] = (),
    reason: str | None,
) -> TargetReport:
    return TargetReport(target.runtime, target.flavour, keep, accuracy, speed, reason, search.ranking, search.steps)
