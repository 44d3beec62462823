"""Runs a graph over calibration images, once, and keeps statistics of its tensors in constant memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnxruntime as ort  # type: ignore[import-untyped]

from pixio_edge.calibration.config import CalibrationConfig
from pixio_edge.calibration.graph import QuantGraph
from pixio_edge.calibration.tensor_statistics import Statistics, TensorAccumulator
from pixio_edge.errors import InputError, SpecError
from pixio_edge.image import ImageSpec
from pixio_edge.sizes import Size, choose_size, size_label

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pixio_edge.calibration.dataset import CalibrationSet

__all__ = ["Progress", "Statistics", "collect", "layer_tensors", "stream_tensors"]

Progress = Callable[[int, int], None]
"""Told the number of images done and their total; the total is 0 where it is not known."""

Tensors = dict[str, "NDArray[Any]"]

_LOG_ERRORS_ONLY = 3


def layer_tensors(graph: onnx.ModelProto) -> tuple[str, ...]:
    """Inputs and outputs of all layers that can run in INT8, each once, in graph order."""
    layers = QuantGraph(graph).layers()
    return tuple(dict.fromkeys(name for layer in layers for name in (layer.input, layer.output)))


def stream_tensors(
    graphs: Mapping[Size, onnx.ModelProto],
    images: Iterable[NDArray[np.uint8]],
    tensors: Sequence[str],
    *,
    image_spec: ImageSpec | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
    total: int = 0,
) -> Iterator[Tensors]:
    """Run each image at its nearest size and give the named tensors, one image at a time.

    Args:
        graphs: Float graph of each size, weights in memory; all have the same tensor names. They are not changed.
        images: uint8 (H, W, 3) RGB each.
        tensors: Names of intermediate tensors, inputs or outputs.
        image_spec: How images are prepared; that of our bundles by default.
        threads: Of the runtime; None leaves it to the runtime.
        progress: Called after each image has been used.
        total: Number of images, for `progress`.

    Yields:
        Arrays by name, in the order of `tensors`; new for each image.

    Raises:
        InputError: There is no graph.
        SpecError: A graph lacks a tensor.
    """
    for done, (_, values) in enumerate(stream_sized(graphs, images, tensors, image_spec or ImageSpec(), threads), 1):
        yield values
        if progress is not None:
            progress(done, total)


def collect(
    graphs: Mapping[Size, onnx.ModelProto],
    calibration_set: CalibrationSet,
    config: CalibrationConfig,
    *,
    tensors: Sequence[str] | None = None,
    image_spec: ImageSpec | None = None,
    progress: Progress | None = None,
) -> Statistics:
    """Statistics of tensors over a calibration set, in one pass; memory does not grow with the number of images.

    Args:
        graphs: Float graph of each size; see `stream_tensors`.
        calibration_set: The images.
        config: Its method and percentile are the defaults of `Statistics.range`; its threads are used.
        tensors: Names; by default inputs and outputs of all layers.
        image_spec: How images are prepared; its `multiple_of` is the patch size, by which class tokens are found.
        progress: Called after each image.

    Raises:
        InputError: A tensor has a NaN or infinite value (the message names tensor and image), or there is no graph.
        SpecError: A graph lacks a tensor.
    """
    spec = image_spec or ImageSpec()
    first = next(iter(graphs.values()), None)
    names = tuple(tensors) if tensors is not None else layer_tensors(first) if first is not None else ()
    accumulators = {name: TensorAccumulator(name) for name in names}
    streamed = stream_sized(graphs, calibration_set.images(), names, spec, config.threads)
    for index, (size, values) in enumerate(streamed):
        patches = (size[0] // spec.multiple_of) * (size[1] // spec.multiple_of)
        while values:  # each is freed once it was seen, before the next image needs as much
            name, value = values.popitem()
            try:
                accumulators[name].add(value, patches=patches)
            except InputError as error:
                raise _not_finite(name, index, calibration_set.names[index], value) from error
        if progress is not None:
            progress(index + 1, calibration_set.count)
    finished = {name: accumulator.finish() for name, accumulator in accumulators.items()}
    return Statistics(tensors=finished, images=calibration_set.count, config=config)


def stream_sized(
    graphs: Mapping[Size, onnx.ModelProto],
    images: Iterable[NDArray[np.uint8]],
    tensors: Sequence[str],
    image_spec: ImageSpec,
    threads: int | None,
) -> Iterator[tuple[Size, Tensors]]:
    """As `stream_tensors`, with the size that each image was run at."""
    if not graphs:
        raise InputError("calibration: got no graph, expected at least one size. Fix: choose a bundle with fp32 graphs")
    session: _Session | None = None
    for image in images:
        size = choose_size(graphs, (image.shape[0], image.shape[1]))
        if session is None or session.size != size:
            # One at a time: each holds a copy of the weights and of all activations, 100 MiB for nano, whose ladder has
            # seven sizes. The images of a calibration set are sorted by shape, so that each is made once.
            session = None
            session = _Session(graphs[size], size, tensors, threads)
        yield size, session.run(image_spec.prepare(image, size))


class _Session:
    """One graph in ONNX Runtime with intermediate tensors as outputs."""

    def __init__(self, graph: onnx.ModelProto, size: Size, tensors: Sequence[str], threads: int | None) -> None:
        (self._input,) = (node.name for node in graph.graph.input)
        produced = {name for node in graph.graph.node for name in node.output}
        missing = [name for name in tensors if name not in produced and name != self._input]
        if missing:
            raise SpecError(
                f"graph {size_label(size)}: got no tensor '{missing[0]}', expected it in every graph. "
                "Fix: take the names from QuantGraph.layers() of the same graph"
            )
        self.size = size
        self._tensors = tuple(tensors)
        self._outputs = [name for name in dict.fromkeys(tensors) if name != self._input]
        options = ort.SessionOptions()
        # Fusions beyond these rename tensors or change their layout, and what is an output is not fused anyway.
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.log_severity_level = _LOG_ERRORS_ONLY
        options.intra_op_num_threads = threads or 0
        content = _with_outputs(graph, self._outputs)
        self._session = ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])

    def run(self, prepared: NDArray[np.uint8]) -> Tensors:
        feeds: Tensors = {self._input: prepared}
        values = self._session.run(self._outputs, feeds) if self._outputs else []
        found = {**feeds, **dict(zip(self._outputs, values, strict=True))}
        return {name: found[name] for name in self._tensors}


def _with_outputs(graph: onnx.ModelProto, names: Sequence[str]) -> bytes:
    """A serialised graph with further outputs, without a copy of its weights in between."""
    present = {output.name for output in graph.graph.output}
    extra = onnx.ModelProto()
    extra.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names if name not in present)
    # Concatenated messages merge: the lists of outputs are joined.
    content: bytes = graph.SerializeToString() + extra.SerializeToString()
    return content


def _not_finite(tensor: str, index: int, image: str, value: NDArray[Any]) -> InputError:
    kind = "NaN" if np.isnan(value).any() else "an infinite value"
    return InputError(
        f"tensor '{tensor}', image {index} ({image}): got {kind}, expected finite numbers. "
        "Fix: verify the bundle; if it passes, leave this image out"
    )
