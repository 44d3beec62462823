"""The hard case for INT8: a ViT-B with planted outliers, quantised plainly (minima and maxima) and in our ways.

Weights are random, so only the agreement with the float model means anything, not the depth. Graphs are those of the
flavour `openvino`, executed in ONNX Runtime without optimisations, so that nothing but the arithmetic counts.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime  # type: ignore[import-untyped]
from numpy.typing import NDArray
from planted_outliers import plant_channels_, plant_tokens_, randomise_
from recording import append_records

from pixio_edge._version import __version__
from pixio_edge.calibration.agreement import compare_depth
from pixio_edge.calibration.bias_correction import bias_corrections
from pixio_edge.calibration.calibrate import range_tensors
from pixio_edge.calibration.collect import collect
from pixio_edge.calibration.config import CalibrationConfig
from pixio_edge.calibration.dataset import CalibrationSet
from pixio_edge.calibration.emit import emit
from pixio_edge.calibration.graph import QuantGraph
from pixio_edge.calibration.rounding import round_weights
from pixio_edge.calibration.smooth import apply_smoothing_
from pixio_edge.calibration.smooth_search import choose_smoothing
from pixio_edge.calibration.table import CalibrationTable, Provenance
from pixio_edge.export.base import ExportRequest
from pixio_edge.export.onnx import export_graphs
from pixio_edge.image import write_image
from pixio_edge.models.depth_model import DepthConfig, DepthModel
from pixio_edge.models.dpt import HeadConfig
from pixio_edge.models.pixio import EncoderConfig

Size = tuple[int, int]
Image = NDArray[np.uint8]

VIT_B = DepthConfig(
    encoder=EncoderConfig(768, depth=12, num_heads=12),
    head=HeadConfig((2, 5, 8, 11), (64, 128, 256, 256), (64, 96, 128, 128), (32, 16)),
)

# Each way adds one thing to the one before; the last is what `pixio-edge quantize` does, with clipped ranges.
PLAIN = CalibrationConfig(activation_method="minmax", smoothing=False, bias_correction=False)
WAYS: dict[str, CalibrationConfig] = {
    "plain min-max": PLAIN,
    "+ smoothing": replace(PLAIN, smoothing="search"),
    "+ bias correction": replace(PLAIN, smoothing="search", bias_correction=True),
    "+ rounding": replace(PLAIN, smoothing="search", bias_correction=True, rounding="gptq"),
    "default": CalibrationConfig(),
}


def hard_graph(config: DepthConfig, size: Size, *, seed: int = 0) -> onnx.ModelProto:
    """Float graph of a random model with planted outliers."""
    model = randomise_(DepthModel(config), seed=seed)
    plant_tokens_(model, seed=seed)
    plant_channels_(model, seed=seed)
    ((_, graph),) = export_graphs(model, ExportRequest((size,)), {})
    return graph


def quantize(
    graph: onnx.ModelProto, size: Size, images: CalibrationSet, config: CalibrationConfig
) -> tuple[onnx.ModelProto, CalibrationTable]:
    """INT8 graph made in one way, and its table."""
    smoothing = choose_smoothing({size: graph}, images, config)
    smoothed = onnx.ModelProto()
    smoothed.CopyFrom(graph)
    apply_smoothing_(QuantGraph(smoothed), smoothing)
    graphs = {size: smoothed}
    tensors = range_tensors(smoothed)
    statistics = collect(graphs, images, config, tensors=tensors)
    ranges = {name: statistics.range(name) for name in tensors}
    rounded = round_weights(graphs, images, ranges, config) if config.rounding == "gptq" else {}
    corrections = bias_corrections(graphs, images, ranges, config, rounded=rounded) if config.bias_correction else {}
    provenance = Provenance(
        tool=f"pixio-edge {__version__}",
        created="",
        graph_sha256="",
        images=images.count,
        images_sha256=images.sha256,
        source=images.source,
        config=config.to_json(),
    )
    table = CalibrationTable(
        provenance=provenance, activations=ranges, smoothing=smoothing, bias_corrections=corrections
    )
    return emit(graph, table, "openvino", rounded=rounded), table


def run(graph: onnx.ModelProto, images: Sequence[Image]) -> list[NDArray[np.float32]]:
    """Depth of every image, by kernels that do what the graph says, one node after the other."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(graph.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return [session.run(["depth"], {"image": image[None]})[0][0] for image in images]


def scenes(size: Size, count: int, *, seed: int) -> list[Image]:
    """Random pictures of large and small structures, uint8 (H, W, 3) each."""
    generator = np.random.default_rng(seed)
    pictures = []
    for _ in range(count):
        coarse = generator.integers(0, 256, (size[0] // 16, size[1] // 16, 3)).repeat(16, 0).repeat(16, 1)
        pictures.append(np.clip(coarse + generator.integers(-60, 61, (*size, 3)), 0, 255).astype(np.uint8))
    return pictures


def measure(
    config: DepthConfig, size: Size, ways: Mapping[str, CalibrationConfig], *, calibration: int, evaluation: int
) -> list[dict[str, Any]]:
    """One record for each way: mean agreement with the float model on images that were not calibrated on."""
    graph = hard_graph(config, size)
    unseen = scenes(size, evaluation, seed=1)
    expected = run(graph, unseen)
    records = []
    with tempfile.TemporaryDirectory() as folder:
        for index, picture in enumerate(scenes(size, calibration, seed=0)):
            write_image(Path(folder) / f"{index}.png", picture)
        images = CalibrationSet.open(folder, images=calibration)
        for way, calibration_config in ways.items():
            quantized, table = quantize(graph, size, images, calibration_config)
            agreements = [compare_depth(a, b) for a, b in zip(expected, run(quantized, unseen), strict=True)]
            records.append(
                {
                    "way": way,
                    "sqnr_db": float(np.mean([agreement.sqnr_db for agreement in agreements])),
                    "delta1": float(np.mean([agreement.delta1 for agreement in agreements])),
                    "abs_rel": float(np.mean([agreement.abs_rel for agreement in agreements])),
                    "smoothed": len(table.smoothing),
                    "gelu_smoothed": sum(entry.kind == "gelu" for entry in table.smoothing),
                }
            )
            print({key: round(value, 3) if isinstance(value, float) else value for key, value in records[-1].items()})
    return records


def main() -> None:
    """Measure and append to `records/hard_case.jsonl`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=256, help="side of the image in pixels")
    parser.add_argument("--images", type=int, default=16, help="images to calibrate with")
    parser.add_argument("--blocks", type=int, default=12, help="blocks of the encoder, a multiple of 4")
    arguments = parser.parse_args()
    blocks = arguments.blocks
    taps = (blocks // 4 - 1, blocks // 2 - 1, 3 * blocks // 4 - 1, blocks - 1)
    config = DepthConfig(replace(VIT_B.encoder, depth=blocks), replace(VIT_B.head, indices=taps))
    size = (arguments.size, arguments.size)
    records = measure(config, size, WAYS, calibration=arguments.images, evaluation=8)
    shape = {"size": list(size), "blocks": blocks, "width": config.encoder.embed_dim, "images": arguments.images}
    append_records("hard_case", [shape | record for record in records])


if __name__ == "__main__":
    main()
