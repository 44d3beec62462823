"""Typed graphs with more of their nodes in fp32, made on the device from what the bundle has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pixio_edge.calibration.graph import QuantGraph
from pixio_edge.export.trt.int8_source import Int8Graphs
from pixio_edge.export.trt.islands import MOVERS, wide_nodes
from pixio_edge.export.trt.precision import to_typed
from pixio_edge.onnx_weights import write_graphs

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    import onnx

    from pixio_edge.bundle import Bundle
    from pixio_edge.manifest import ArtifactEntry

# Has no precision of its own: types are changed around it.
UNTYPED = MOVERS | {"Cast", "Constant", "DequantizeLinear", "QuantizeLinear", "Shape"}

GRAPH_FILE = "graph.onnx"
WEIGHTS_FILE = "weights.bin"


class PinnableGraph:
    """The graph that a typed one was made from, to make it again with nodes pinned to fp32.

    Args:
        bundle: Has the fp32 graph of the size; for INT8 also what its quantisation needs.
        artifact: The typed graph.

    Raises:
        BundleError: A file is missing or damaged.
        InputError: For INT8, the bundle has no calibration table.
    """

    def __init__(self, bundle: Bundle, artifact: ArtifactEntry) -> None:
        graphs = Int8Graphs(bundle)
        self._model = graphs[artifact.size] if artifact.precision == "int8" else graphs.ladder[artifact.size]
        self.nodes = () if artifact.precision == "fp32" else _pinnable(self._model)

    def write(self, pinned: Collection[str], folder: Path) -> Path:
        """Write the typed graph with its weights.

        Args:
            pinned: Names out of `nodes`.
            folder: What is there under the same names is replaced.

        Returns:
            Path of the graph.
        """
        path = folder / GRAPH_FILE
        write_graphs([(path, to_typed(self._model, pinned=pinned))], folder / WEIGHTS_FILE)
        return path


def _pinnable(model: onnx.ModelProto) -> tuple[str, ...]:
    """Nodes that compute in half precision, in graph order."""
    wide = wide_nodes(QuantGraph(model))
    return tuple(node.name for node in model.graph.node if node.name not in wide and node.op_type not in UNTYPED)
