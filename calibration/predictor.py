"""Depth of images by the artifacts of one ladder, in a runtime or in ORT with Q/DQ executed as written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx

from pixio_edge.calibration.trial import open_graph
from pixio_edge.depth import DepthMap
from pixio_edge.runtimes.base import RuntimeOptions
from pixio_edge.runtimes.registry import make_runtime
from pixio_edge.sizes import choose_size

if TYPE_CHECKING:
    from types import TracebackType

    from numpy.typing import NDArray
    from typing_extensions import Self

    from pixio_edge.bundle import Bundle
    from pixio_edge.manifest import ArtifactEntry
    from pixio_edge.sizes import Size

Run = Callable[["NDArray[np.uint8]"], "NDArray[np.float32]"]


class LadderPredictor:
    """Runs each image at its nearest size, each artifact opened when first needed. Use as a context manager.

    Args:
        bundle: Where the artifacts are.
        artifacts: One for each size, of one precision.
        runtime: Name in `registry.RUNTIMES`; None executes Q/DQ as written, in ORT, without INT8 kernels.
        threads: For one inference; None takes the default.
    """

    def __init__(
        self, bundle: Bundle, artifacts: Sequence[ArtifactEntry], runtime: str | None, threads: int | None
    ) -> None:
        self._bundle = bundle
        self._ladder = {artifact.size: artifact for artifact in artifacts}
        self._runtime = runtime
        self._threads = threads
        self._opened: dict[Size, Run] = {}
        self._stack = ExitStack()

    def depth(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Output of the graph for an image (H, W, 3): float32 (1, h, w) at the size of the graph."""
        size = choose_size(self._ladder, (image.shape[0], image.shape[1]))
        if size not in self._opened:
            self._opened[size] = self._open(self._ladder[size])
        return self._opened[size](self._bundle.manifest.image.prepare(image, size))

    def inverse(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Inverse depth of an image at its own size, float32 (H, W): larger is nearer."""
        output = self._bundle.manifest.output
        values = self._bundle.manifest.image.restore(self.depth(image), (image.shape[0], image.shape[1]))
        return DepthMap(values=values, kind=output.kind, unit=output.unit).inverse()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._opened.clear()
        self._stack.close()

    def _open(self, artifact: ArtifactEntry) -> Run:
        verified = self._bundle.read_artifact(artifact)
        if self._runtime is None:
            return open_graph(onnx.load(verified.path), self._threads)
        options = RuntimeOptions(self._threads, precision=artifact.precision)
        runtime = self._stack.enter_context(make_runtime(self._runtime, verified, options))
        name, output = artifact.inputs[0].name, artifact.outputs[0].name

        def run(feed: NDArray[Any]) -> NDArray[np.float32]:
            return np.asarray(runtime.run({name: feed})[output], np.float32)

        return run
