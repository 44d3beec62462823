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

    Not safe for concurrent use from several threads: open one in each.

    Attributes:
        bundle: The opened bundle.
        resolution: What was chosen to run, and why all else was not.
        options: How it runs.
    """

    def __init__(self, bundle: Bundle, resolution: Resolution, options: RuntimeOptions) -> None:
        self.bundle = bundle
        self.resolution = resolution
        self.options = options
        self._ladder = {artifact.size: artifact for artifact in resolution.ladder}
        self._runtimes: dict[tuple[int, int], Runtime] = {}
        self._is_closed = False

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

        Raises:
            BundleError: No such bundle, or it is damaged.
            RuntimeUnavailableError: Nothing in the bundle can run as asked; the message says why.
        """
        opened = bundle if isinstance(bundle, Bundle) else Bundle.open(bundle)
        request = RuntimeRequest(runtime, precision, size, allow_unverified, provider)
        host = probe_host()
        engines = probe_engines(opened.artifacts, host, runtime=runtime, provider=provider)
        resolution = resolve(opened.artifacts, host, request, engines)
        options = RuntimeOptions(threads, pin_cores, resolution.precision, provider)
        return cls(opened, resolution, options)

    @property
    def sizes(self) -> tuple[tuple[int, int], ...]:
        """Input sizes (height, width) that this estimator chooses from."""
        return tuple(self._ladder)

    def predict(self, image: object) -> DepthMap:
        """Estimate the depth of one image.

        Args:
            image: Path, uint8 array (H, W, 3) in RGB order, or PIL image.

        Returns:
            Depth at the image's own size. Its timing covers resizing, inference and restoring, not reading the file.

        Raises:
            InputError: The image cannot be used.
            BundleError: The artifact for this size is damaged.
            RuntimeUnavailableError: The runtime cannot start, or the estimator is closed.
            PixioEdgeError: The graph returned values that are not finite.
        """
        rgb = as_rgb(image)
        size = self.size_for((rgb.shape[0], rgb.shape[1]))
        runtime = self.runtime(size)
        return self._predict(rgb, self._ladder[size], runtime)

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
            size = next(iter(self._runtimes), self.sizes[0])
        return self.runtime(size).info(profile=profile)

    def runtime(self, size: tuple[int, int]) -> Runtime:
        """Open runtime for one of `sizes`, loaded at the first call; it stays owned by the estimator.

        Raises:
            BundleError: The artifact is damaged.
            RuntimeUnavailableError: The runtime cannot start, the size is not in `sizes`, or the estimator is closed.
        """
        if self._is_closed:
            raise RuntimeUnavailableError(
                "estimator: got a call after close(), expected open. Fix: open a new one with DepthEstimator.open()"
            )
        if size not in self._ladder:
            raise RuntimeUnavailableError(
                f"estimator: got size {size}, expected one of {list(self.sizes)}. Fix: choose one of these"
            )
        if size not in self._runtimes:
            artifact = self.bundle.read_artifact(self._ladder[size])
            options = replace(self.options, precision=self.resolution.precision_of(artifact.entry))
            runtime = make_runtime(self.resolution.runtime, artifact, options)
            runtime.open()
            self._runtimes[size] = runtime
        return self._runtimes[size]

    def size_for(self, image_size: tuple[int, int]) -> tuple[int, int]:
        """Input (height, width) that will be used for an image of (height, width)."""
        return choose_size(self._ladder, image_size)

    def close(self) -> None:
        """Release all runtimes; may be called again."""
        self._is_closed = True
        while self._runtimes:
            _, runtime = self._runtimes.popitem()
            runtime.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _predict(self, rgb: NDArray[np.uint8], artifact: ArtifactEntry, runtime: Runtime) -> DepthMap:
        image, output = self.bundle.manifest.image, self.bundle.manifest.output
        start = perf_counter()
        feed = image.prepare(rgb, artifact.size)
        prepared = perf_counter()
        depth = runtime.run({artifact.inputs[0].name: feed})[output.name]
        inferred = perf_counter()
        _check_finite(depth, artifact.name, self.resolution.runtime)
        values = image.restore(depth, (rgb.shape[0], rgb.shape[1]))
        restored = perf_counter()
        timing = Timing(
            pre_ms=(prepared - start) * 1e3, infer_ms=(inferred - prepared) * 1e3, post_ms=(restored - inferred) * 1e3
        )
        return DepthMap(values=values, kind=output.kind, unit=output.unit, timing=timing, source=self._source(artifact))

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
