"""Torch model to ONNX graphs: pure ai.onnx, static shapes, uint8 image in, float32 depth out."""

from __future__ import annotations

import logging
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

from pixio_edge.errors import MissingDependencyError
from pixio_edge.export.base import INPUT_NAME, OPSET, OUTPUT_NAME, ExportRequest
from pixio_edge.export.graph_rules import check_graph
from pixio_edge.export.onnx_passes import clean_
from pixio_edge.export.prepare import prepare
from pixio_edge.sizes import Size

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import onnx

    from pixio_edge.models.depth_model import DepthModel

logger = logging.getLogger(__name__)


def export_graphs(
    model: DepthModel, request: ExportRequest, metadata: Mapping[str, str]
) -> Iterator[tuple[Size, onnx.ModelProto]]:
    """Export one graph for each size, in the order of the request.

    Args:
        model: The trained model; it is not changed.
        request: Sizes and options.
        metadata: Written into each graph's `metadata_props`.

    Raises:
        CheckFailedError: A graph breaks the graph rules.
    """
    for size in request.sizes:
        prepared = prepare(model, size, fold_layer_norms=request.fold_layer_norms)
        graph = _trace(prepared, size)
        clean_(graph, module_prefix="model.")
        for key, value in metadata.items():
            graph.metadata_props.add(key=key, value=value)
        check_graph(graph, size)
        logger.info("exported %dx%d: %d nodes", *size, len(graph.graph.node))
        yield size, graph


def _trace(prepared: torch.nn.Module, size: Size) -> onnx.ModelProto:
    """Run torch's exporter, without its remarks about its own insides and about torchvision."""
    image = torch.zeros(1, *size, 3, dtype=torch.uint8)
    with warnings.catch_warnings(), _without_registration_notes():
        warnings.simplefilter("ignore")
        try:
            program = torch.onnx.export(
                prepared,
                (image,),
                input_names=[INPUT_NAME],
                output_names=[OUTPUT_NAME],
                opset_version=OPSET,
                dynamo=True,
                optimize=True,
                verbose=False,
            )
        except ModuleNotFoundError as error:
            raise MissingDependencyError(error.name or "onnxscript", "export", "export to ONNX") from error
    if program is None:
        raise TypeError("torch.onnx.export returned no program although dynamo=True")
    return program.model_proto


@contextmanager
def _without_registration_notes() -> Iterator[None]:
    """Keep torch from saying at every export, four times, that it found no torchvision, which no model of ours uses."""
    registration = logging.getLogger("torch.onnx._internal.exporter._registration")
    level = registration.level
    registration.setLevel(logging.ERROR)
    try:
        yield
    finally:
        registration.setLevel(level)
