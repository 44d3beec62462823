"""Our graphs with random weights in float and INT8, for as many sizes as are asked for; made once, kept in a folder."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from pixio_edge.files import write_bytes_atomic, write_text_atomic
from pixio_edge.sizes import Size, size_label

# The flavour of the INT8 graph for each engine, on an x86 processor with INT8 instructions.
FLAVOURS = {"openvino": "openvino", "ort": "ort-x86"}
# Ranges of activations are taken at this size and serve all: tensors have the same names, and weights are random.
CALIBRATED_SIZE: Size = (256, 256)


def graph_file(folder: Path, preset: str, size: Size, engine: str, precision: str) -> Path:
    """Where the graph of a preset is that an engine runs in a precision; "bf16" is the float graph."""
    form = FLAVOURS[engine] if precision == "int8" else "float"
    return folder / f"{preset}_{form}_{size_label(size)}.onnx"


def make_graphs(preset: str, sizes: Sequence[Size], folder: Path) -> None:
    """Export what is missing. Weights are random and lie in each graph."""
    missing = [size for size in sizes if not all(path.is_file() for path in _files(folder, preset, size))]
    if not missing:
        return
    from stand_ins import noise_table, random_model  # noqa: PLC0415  (torch, not needed to measure)

    from pixio_edge.calibration.calibrate import range_tensors  # noqa: PLC0415
    from pixio_edge.calibration.emit import emit  # noqa: PLC0415
    from pixio_edge.export.base import ExportRequest  # noqa: PLC0415
    from pixio_edge.export.onnx import export_graphs  # noqa: PLC0415
    from pixio_edge.image import ImageSpec  # noqa: PLC0415

    folder.mkdir(parents=True, exist_ok=True)
    model, _ = random_model(preset)
    request = ExportRequest((CALIBRATED_SIZE,), multiple_of=model.config.encoder.patch_size)
    ((_, calibrated),) = export_graphs(model, request, {})
    table = noise_table(calibrated, CALIBRATED_SIZE, range_tensors(calibrated), ImageSpec())
    for size in missing:
        print(f"  {preset} {size_label(size)}: exporting", flush=True)
        request = ExportRequest((size,), multiple_of=model.config.encoder.patch_size)
        ((_, graph),) = export_graphs(model, request, {})
        for engine, flavour in FLAVOURS.items():
            quantized = emit(graph, table, flavour)  # type: ignore[arg-type] # names out of FLAVOURS
            write_bytes_atomic(graph_file(folder, preset, size, engine, "int8"), quantized.SerializeToString())
        # Last, so that a run that was interrupted does not find a size complete.
        write_bytes_atomic(graph_file(folder, preset, size, "ort", "fp32"), graph.SerializeToString())


def parameters(preset: str, folder: Path) -> int:
    """Number of weights of a preset."""
    path = folder / f"{preset}.json"
    if not path.is_file():
        from pixio_edge.models.presets import build_model  # noqa: PLC0415  (torch, not needed to measure)

        count = sum(parameter.numel() for parameter in build_model(preset, device="meta").parameters())
        folder.mkdir(parents=True, exist_ok=True)
        write_text_atomic(path, json.dumps(count))
    number: int = json.loads(path.read_text(encoding="utf-8"))
    return number


def _files(folder: Path, preset: str, size: Size) -> list[Path]:
    int8 = [graph_file(folder, preset, size, engine, "int8") for engine in FLAVOURS]
    return [graph_file(folder, preset, size, "ort", "fp32"), *int8]
