"""Makes the graphs that `peers.py` times: the export of each system by its own tool, INT8 of the others by NNCF.

What lies in the folder already is not made again.
"""

from __future__ import annotations

import json
import os
import subprocess
import warnings
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from engine_jobs import noise
from made_graphs import make_graphs, parameters

from pixio_edge.files import write_text_atomic
from pixio_edge.sizes import Size, size_label

YOLO = "yolo26n-depth"
YOLO_SIDES = (256, 640, 768)
DEPTH_ANYTHING = "depth-anything-v2-small"
DEPTH_ANYTHING_SIZE: Size = (518, 518)
# Ours with random weights: sizes like those of the others. nano at 256x256 is the one with trained weights.
OUR_SIZES: dict[str, tuple[Size, ...]] = {
    "nano": ((512, 512), (640, 640), (768, 768)),
    "small": ((256, 256), (512, 512)),
}
# Ranges of random weights on noise cost the same as any others.
NNCF_IMAGES = 4
EXPORT_TIMEOUT_S = 1800


def graph_path(folder: Path, name: str, size: Size, form: str = "float") -> Path:
    """Graph of another system: its export, or what NNCF made of that ("nncf")."""
    suffix = ".onnx" if form == "float" else f"_{form}.xml"
    return folder / f"{name}_{size_label(size)}{suffix}"


def facts_of(folder: Path, name: str) -> dict[str, Any]:
    """What is known about a system's model: parameters and versions; empty before it was prepared."""
    path = folder / f"{name}.json"
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return content


def prepare(folder: Path, peers_python: Path) -> dict[str, str]:
    """Make what is missing; returns why for each system that could not be made."""
    folder.mkdir(parents=True, exist_ok=True)
    steps: dict[str, Callable[[], None]] = {
        "pixio-edge": lambda: prepare_ours(folder),
        DEPTH_ANYTHING: lambda: prepare_depth_anything(folder),
        YOLO: lambda: prepare_yolo(folder, peers_python),
    }
    failed: dict[str, str] = {}
    for name, step in steps.items():
        try:
            step()
        except (ImportError, OSError, RuntimeError, subprocess.SubprocessError) as error:
            failed[name] = " ".join(str(error).split())[:300]
            print(f"  {name}: cannot be prepared ({failed[name]})", flush=True)
    return failed


def prepare_ours(folder: Path) -> None:
    """Our graphs with random weights."""
    for preset, sizes in OUR_SIZES.items():
        make_graphs(preset, sizes, folder / "ours")
        parameters(preset, folder / "ours")


def prepare_depth_anything(folder: Path) -> None:
    """The plain export of torch, as one would do it who has only transformers and torch."""
    path = graph_path(folder, DEPTH_ANYTHING, DEPTH_ANYTHING_SIZE)
    if not path.is_file():
        print(f"  {DEPTH_ANYTHING}: exporting", flush=True)
        import torch  # noqa: PLC0415  (not needed to measure)
        from peer_models import depth_anything  # noqa: PLC0415

        model = depth_anything()
        facts = {"parameters": sum(parameter.numel() for parameter in model.parameters())}
        image = torch.zeros(1, 3, *DEPTH_ANYTHING_SIZE)
        names: dict[str, Any] = {"input_names": ["pixel_values"], "output_names": ["predicted_depth"]}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program = torch.onnx.export(model, (image,), dynamo=True, optimize=True, verbose=False, **names)
        if program is None:
            raise RuntimeError("torch exported nothing")
        program.save(path, external_data=False)
        write_text_atomic(folder / f"{DEPTH_ANYTHING}.json", json.dumps(facts))
    quantize(path, graph_path(folder, DEPTH_ANYTHING, DEPTH_ANYTHING_SIZE, "nncf"), is_transformer=True)


def prepare_yolo(folder: Path, peers_python: Path) -> None:
    """Ultralytics' own export, in its own process and environment."""
    sizes = [(side, side) for side in YOLO_SIDES]
    missing = [str(size[0]) for size in sizes if not graph_path(folder, YOLO, size).is_file()]
    if missing:
        if not peers_python.is_file():
            raise OSError(f"{peers_python} does not exist. Fix: python benchmarks/peers_environment.py")
        print(f"  {YOLO}: exporting", flush=True)
        script = Path(__file__).with_name("peers_yolo_export.py").resolve()
        settings = {"YOLO_CONFIG_DIR": str(folder.resolve()), "YOLO_AUTOINSTALL": "false", "YOLO_OFFLINE": "true"}
        command = [str(peers_python.absolute()), str(script), *missing]
        environment = os.environ | settings
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, timeout=EXPORT_TIMEOUT_S, check=False
        )
        if done.returncode != 0:
            raise RuntimeError(f"export failed: {(done.stderr.strip().splitlines() or ['no reason given'])[-1]}")
    for size in sizes:
        quantize(graph_path(folder, YOLO, size), graph_path(folder, YOLO, size, "nncf"), is_transformer=False)


def quantize(source: Path, target: Path, *, is_transformer: bool) -> None:
    """NNCF's post-training quantisation of an ONNX graph, as its documentation says for this kind of model."""
    if target.is_file():
        return
    print(f"  {target.stem}: quantising with NNCF", flush=True)
    nncf: Any = import_module("nncf")
    openvino: Any = import_module("openvino")
    model = openvino.Core().read_model(str(source))
    (port,) = model.inputs
    shape = tuple(port.shape)
    images = [np.abs(noise(shape, np.dtype(np.float32))) % 1.0 for _ in range(NNCF_IMAGES)]
    dataset = nncf.Dataset(images, lambda image: {port.get_any_name(): image})
    options = {"model_type": nncf.ModelType.TRANSFORMER} if is_transformer else {}
    quantized = nncf.quantize(model, dataset, subset_size=NNCF_IMAGES, **options)
    weights = target.with_suffix(".bin")
    partial = target.with_name(f"partial_{target.name}")
    openvino.save_model(quantized, str(partial), compress_to_fp16=False)
    partial.with_suffix(".bin").replace(weights)
    partial.replace(target)


def float_path(folder: Path, system: str, size: Size) -> Path:
    """The float graph that the cost of a contender is counted from."""
    if system in OUR_SIZES:
        return folder / "ours" / f"{system}_float_{size_label(size)}.onnx"
    return graph_path(folder, system, size)


def prepared_sizes(folder: Path, system: str, sizes: Sequence[Size]) -> list[Size]:
    """Those sizes whose float graph is there."""
    return [size for size in sizes if float_path(folder, system, size).is_file()]
