"""Depth of candidate graphs in ONNX Runtime, with what INT8 does to the numbers and without its speed.

Q/DQ pairs are executed as they are written and not turned into integer kernels, so the result is what a runtime that
honours them computes, up to the order of additions, on any host. Integer operators of the ORT flavours run as such.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime as ort  # type: ignore[import-untyped]

from pixio_edge.calibration.agreement import Agreement, compare_depth, mean_agreement
from pixio_edge.errors import InputError

if TYPE_CHECKING:
    import onnx
    from numpy.typing import NDArray

    from pixio_edge.manifest import DepthKind

Feed = "NDArray[np.uint8]"

_LOG_ERRORS_ONLY = 3


class TrialImages:
    """Prepared images of one size with the depth of the float graph, against which candidates are measured.

    Args:
        graph: Float graph of that size, weights in memory.
        feeds: uint8 (1, H, W, 3) each.
        kind: What the graph's output means.
        threads: Of ORT; None leaves it to ORT.

    Raises:
        InputError: There are no images.
    """

    def __init__(
        self, graph: onnx.ModelProto, feeds: Sequence[NDArray[np.uint8]], kind: DepthKind, threads: int | None
    ) -> None:
        if not feeds:
            raise InputError("trial: got 0 images, expected at least 1. Fix: give more images")
        self._feeds = feeds
        self._kind = kind
        self._threads = threads
        self._references = list(run_graph(graph, feeds, threads))

    def measure(self, candidate: onnx.ModelProto) -> Agreement:
        """Mean agreement of a candidate graph with the float graph.

        Raises:
            InputError: The candidate gives NaN or another shape.
        """
        depths = run_graph(candidate, self._feeds, self._threads)
        pairs = zip(self._references, depths, strict=True)
        return mean_agreement([compare_depth(reference, depth, self._kind) for reference, depth in pairs])


def run_graph(
    graph: onnx.ModelProto, feeds: Sequence[NDArray[np.uint8]], threads: int | None
) -> list[NDArray[np.float32]]:
    """First output of a graph for each input, Q/DQ executed as written.

    Args:
        graph: One input, weights in memory.
        feeds: Values of the input.
        threads: Of ORT; None leaves it to ORT.
    """
    run = open_graph(graph, threads)
    return [run(feed) for feed in feeds]


def open_graph(graph: onnx.ModelProto, threads: int | None) -> Callable[[NDArray[Any]], NDArray[np.float32]]:
    """Open a graph as a function of its one input."""
    options = ort.SessionOptions()
    options.log_severity_level = _LOG_ERRORS_ONLY
    options.intra_op_num_threads = threads or 0
    # All else may be optimised: constants are folded through DequantizeLinear, and float layers run at full speed.
    options.add_session_config_entry("session.disable_quant_qdq", "1")
    session = ort.InferenceSession(graph.SerializeToString(), options, providers=["CPUExecutionProvider"])
    (name,) = (node.name for node in session.get_inputs())
    output = session.get_outputs()[0].name

    def run(feed: NDArray[Any]) -> NDArray[np.float32]:
        return np.asarray(session.run([output], {name: feed})[0], np.float32)

    return run
