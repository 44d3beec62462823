"""The flavour `tensorrt` under the rules of TensorRT: TensorRT for RTX builds it ahead of time, without a GPU.

Its parser refuses what TensorRT refuses: zero points that are not zero, integer biases, operators it does not have.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnx
import pytest
from int8_tables import table_of

import pixio_edge
from pixio_edge.calibration.calibrate import range_tensors
from pixio_edge.calibration.emit import emit

trt: Any = pytest.importorskip("tensorrt_rtx", reason="tensorrt_rtx is not installed: pip install tensorrt_rtx")

NANO = Path(pixio_edge.__file__).parent / "assets" / "nano" / "graph_192x336.onnx"


def test_engine_is_built_ahead_of_time_and_smaller_than_that_of_the_float_graph() -> None:
    graph = onnx.load(NANO)

    engines = [
        _build(model) for model in (emit(graph, table_of(graph, tensors=range_tensors(graph)), "tensorrt"), graph)
    ]

    assert len(engines[0]) < len(engines[1])


def _build(model: onnx.ModelProto) -> bytes:
    """Engine for compute capability 8.6, strongly typed as TensorRT 11 always is."""
    builder = trt.Builder(trt.Logger(trt.Logger.ERROR))
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, trt.Logger(trt.Logger.ERROR))
    assert parser.parse(model.SerializeToString()), [parser.get_error(i).desc() for i in range(parser.num_errors)]
    config = builder.create_builder_config()
    config.num_compute_capabilities = 1
    config.set_compute_capability(trt.ComputeCapability.SM86, 0)
    return bytes(builder.build_serialized_network(network, config))
