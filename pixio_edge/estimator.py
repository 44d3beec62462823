"""Depth of an image in one call: bundle, runtime, preparation and restoration behind `DepthEstimator`."""

from __future__ import annotations

from dataclasses import replace
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from pixio_edge.bundle import Bundle
from pixio_edge.depth import DepthMap, Timing
from pixio_edge.errors import PixioEdgeError, RuntimeUnavailableError
from pixio_edge.host import probe_host
from pixio_edge.image import as_rgb
from pixio_edge.resolve import RuntimeRequest, resolve
from pixio_edge.runtimes.base import RuntimeOptions
from pixio_edge.runtimes.built import probe_engines
from pixio_edge.runtimes.pool import RuntimePool
from pixio_edge.runtimes.registry import make_runtime
from pixio_edge.sizes import choose_size

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Iterator
    from types import TracebackType

    from numpy.typing import NDArray
    from typing_extensions import Self

    from pixio_edge.manifest import ArtifactEntry, Precision
    from pixio_edge.resolve import Resolution
    from pixio_edge.runtimes.base import Runtime, RuntimeInfo


class DepthEstimator:
    """Estimates depth with one bundle. Use `DepthEstimator.open`, best as a context manager.

    Threads may share one: every method may be called from any of them, and results are the same bits as those of one
    thread. Images are prepared and depth is restored side by side; of inferences, `concurrency` run at once and the
    rest wait, so that memory does not grow with the number of threads. `close` waits for what is running, and whoever
    waits for an inference gets an error. Each thread needs its own iterator of `stream`.

    Attributes:
        bundle: The opened bundle.
        resolution: What was chosen to run, and why all else was not.
        options: How it runs.
        concurrency: Inferences that may run at once.
    """

    def __init__(
        self, bundle: Bundle, resolution: Resolution, options: RuntimeOptions, *, concurrency: int = 1
    ) -> None:
        self.bundle = bundle
        self.resolution = resolution
        self.options = options
        self.concurrency = concurrency
        self._ladder = {artifact.size: artifact for artifact in resolution.ladder}
        self._pool = RuntimePool(concurrency)

    @classmethod
    def open(
        cls,
        bundle: str | os.PathLike[str] | Bundle = "nano",
        *,
        runtime: str | None = None,
        precision: Precision | None = None,
        size: tuple[int, int] | None = None,
        threads: int | None = None,
        pin_cores: tuple[int, ...] | None = None,
        provider: str | None = None,
        allow_unverified: bool = False,
        concurrency: int = 1,
    ) -> DepthEstimator:
        """Open a bundle and choose what will run; the graph for a size is loaded when the first image needs it.

        Args:
            bundle: Name of an embedded bundle, path of a bundle folder, or an opened bundle.
            runtime: Name in `runtimes.registry.RUNTIMES`, such as "ort"; None takes the best on this host: engines that
                `pixio-edge build` made and checked here, else the fastest engine for the CPU.
            precision: "fp32", "bf16", "fp16" or "int8"; None is what was chosen when engines were built, or else int8
                where the bundle has measured that it wins on such a processor, else fp32.
            size: Input (height, width); None takes the one of the bundle that is nearest to each image's aspect ratio.
            threads: Threads for one inference; None takes one for each usable core.
            pin_cores: Hardware threads to bind to, one for each thread.
            provider: Device library inside the runtime, such as "cuda" in ort, or "cuda:1" for the second GPU in
                tensorrt; None is the CPU, and the first GPU in tensorrt.
            allow_unverified: Whether artifacts that never ran on real hardware may be chosen.
            concurrency: Inferences that may run at once when threads share the estimator, each with `threads` of its
                own and a copy of the weights. 1 is right where one inference uses all cores.

        Raises:
            BundleError: No such bundle, or it is damaged.
            SpecError: A number of threads or cores, or `concurrency`, makes no sense.
            RuntimeUnavailableError: Nothing in the bundle can run as asked; the message says why.
        """
        opened = bundle if isinstance(bundle, Bundle) else Bundle.open(bundle)
        request = RuntimeRequest(runtime, precision, size, allow_unverified, provider)
        host = probe_host()
        engines = probe_engines(opened.artifacts, host, runtime=runtime, provider=provider)
        resolution = resolve(opened.artifacts, host, request, engines)
        options = RuntimeOptions(threads, pin_cores, resolution.precision, provider)
        return cls(opened, resolution, options, concurrency=concurrency)

    @property
    def sizes(self) -> tuple[tuple[int, int], ...]:
        """Input sizes (height, width) that this estimator chooses from."""
        return tuple(self._ladder)

    def predict(self, image: object) -> DepthMap:
        """Estimate the depth of one image.

        Args:
            image: Path, uint8 array (H, W, 3) in RGB order, or PIL image.

        Returns:
            Depth at the image's own size. Its timing covers resizing, inference and restoring; not reading the file,
            nor waiting for other threads.

        Raises:
            InputError: The image cannot be used.
            BundleError: The artifact for this size is damaged.
            RuntimeUnavailableError: The runtime cannot start, or the estimator is closed.
            PixioEdgeError: The graph returned values that are not finite.
        """
        rgb = as_rgb(image)
        artifact = self._ladder[self.size_for((rgb.shape[0], rgb.shape[1]))]
        spec, output = self.bundle.manifest.image, self.bundle.manifest.output
        start = perf_counter()
        feed = spec.prepare(rgb, artifact.size)
        pre_s = perf_counter() - start
        depth, infer_s = self._infer(feed, artifact)
        start = perf_counter()
        _check_finite(depth, artifact.name, self.resolution.runtime)
        values = spec.restore(depth, (rgb.shape[0], rgb.shape[1]))
        post_s = perf_counter() - start
        timing = Timing(pre_ms=pre_s * 1e3, infer_ms=infer_s * 1e3, post_ms=post_s * 1e3)
        return DepthMap(values=values, kind=output.kind, unit=output.unit, timing=timing, source=self._source(artifact))

    def stream(self, frames: Iterable[NDArray[np.uint8]]) -> Iterator[DepthMap]:
        """Estimate the depth of each frame, one at a time, as the iterator is advanced.

        Frames of one size use one session; nothing is kept from frame to frame.

        Args:
            frames: uint8 (H, W, 3) in RGB order.

        Yields:
            One depth map for each frame.

        Raises:
            PixioEdgeError: As for `predict`.
        """
        for frame in frames:
            yield self.predict(frame)

    def info(self, *, size: tuple[int, int] | None = None, profile: bool = False) -> RuntimeInfo:
        """Say what runs; loads the graph if no image has needed it yet.

        Args:
            size: For which input (height, width); None is the first that is loaded, or else the first of the bundle.
            profile: Also look at the executed operators, which may execute the graph once more.

        Raises:
            RuntimeUnavailableError: The runtime cannot start, or the estimator is closed.
        """
        if size is None:
            size = self._pool.first_size or self.sizes[0]
        runtime = self._take(size)
        try:
            return runtime.info(profile=profile)
        finally:
            self._pool.give_back(size, runtime)

    def runtime(self, size: tuple[int, int]) -> Runtime:
        """Open runtime for one of `sizes`, loaded at the first call; it stays owned by the estimator.

        Run it only while no other thread uses the estimator, which would use it too.

        Raises:
            BundleError: The artifact is damaged.
            RuntimeUnavailableError: The runtime cannot start, the size is not in `sizes`, or the estimator is closed.
        """
        runtime = self._take(size)
        self._pool.give_back(size, runtime)
        return runtime

    def size_for(self, image_size: tuple[int, int]) -> tuple[int, int]:
        """Input (height, width) that will be used for an image of (height, width)."""
        return choose_size(self._ladder, image_size)

    def close(self) -> None:
        """Wait for the inferences of other threads and release all runtimes; may be called again."""
        self._pool.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _infer(self, feed: NDArray[np.uint8], artifact: ArtifactEntry) -> tuple[NDArray[Any], float]:
        """Output of the graph, owned by the caller, and the seconds it took once a runtime was free."""
        runtime = self._take(artifact.size)
        try:
            start = perf_counter()
            outputs = runtime.run({artifact.inputs[0].name: feed})
            return outputs[self.bundle.manifest.output.name], perf_counter() - start
        finally:
            self._pool.give_back(artifact.size, runtime)

    def _take(self, size: tuple[int, int]) -> Runtime:
        if size not in self._ladder:
            raise RuntimeUnavailableError(
                f"estimator: got size {size}, expected one of {list(self.sizes)}. Fix: choose one of these"
            )
        return self._pool.take(size, self._open_runtime)

    def _open_runtime(self, size: tuple[int, int]) -> Runtime:
        artifact = self.bundle.read_artifact(self._ladder[size])
        options = replace(self.options, precision=self.resolution.precision_of(artifact.entry))
        runtime = make_runtime(self.resolution.runtime, artifact, options)
        runtime.open()
        return runtime

    def _source(self, artifact: ArtifactEntry) -> str:
        """What ran, such as "ort/onnx-fp32-256x256", with the executed precision where it is not the stored one."""
        precision = self.resolution.precision_of(artifact)
        executed = "" if precision == artifact.precision else f" in {precision}"
        return f"{self.resolution.runtime}/{artifact.name}{executed}"


def _check_finite(depth: NDArray[Any], artifact: str, runtime: str) -> None:
    # The sum is not finite if any value is not, and needs no temporary array. Finite float32 values cannot overflow a
    # float64 sum.
    if not np.isfinite(depth.sum(dtype=np.float64)):
        raise PixioEdgeError(
            f"artifact '{artifact}' in {runtime} returned values that are not finite, expected finite depth. "
            "Fix: run 'pixio-edge verify' on the bundle, or use precision fp32"
        )
