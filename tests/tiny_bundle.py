"""A bundle with a tiny but real ONNX ladder, built in code: uint8 NHWC in, float32 depth out, shared weights."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from onnx import TensorProto, helper

from pixio_edge.bundle import Bundle
from pixio_edge.bundle_writer import write_bundle
from pixio_edge.image import ImageSpec
from pixio_edge.manifest import (
    ArtifactEntry,
    BundleHeader,
    FileEntry,
    LicenceEntry,
    ModelEntry,
    OutputEntry,
    Requirements,
)
from pixio_edge.parity import Tolerance
from pixio_edge.tensor import TensorSpec

SIZES = ((32, 32), (32, 48), (48, 32))
HIDDEN = 16
WEIGHTS = "weights.bin"
# The reference below is the same arithmetic in float64; float32 kernels of any engine are well inside.
TINY_TOLERANCE = Tolerance(max_rel=1e-5)


@dataclass(frozen=True)
class TinyWeights:
    """Two convolutions: 3x3 from RGB with ReLU, then 1x1 to depth."""

    first: np.ndarray  # (HIDDEN, 3, 3, 3)
    second: np.ndarray  # (1, HIDDEN, 1, 1)


def tiny_weights(seed: int = 0) -> TinyWeights:
    generator = np.random.default_rng(seed)
    first = generator.normal(size=(HIDDEN, 3, 3, 3)).astype(np.float32) / 1000
    return TinyWeights(first, np.abs(generator.normal(size=(1, HIDDEN, 1, 1))).astype(np.float32))


def tiny_graph(size: tuple[int, int], weights: TinyWeights, location: str = WEIGHTS) -> bytes:
    height, width = size
    arrays = {"first": weights.first, "second": weights.second}
    initializers, offset = [], 0
    for name, array in arrays.items():
        initializers.append(_external(name, array, offset, location))
        offset += array.nbytes
    axes = helper.make_tensor("axes", TensorProto.INT64, [1], [1])
    nodes = [
        helper.make_node("Cast", ["image"], ["real"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["real"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["planes", "first"], ["features"], pads=[1, 1, 1, 1], kernel_shape=[3, 3]),
        helper.make_node("Relu", ["features"], ["active"]),
        helper.make_node("Conv", ["active", "second"], ["plane"], kernel_shape=[1, 1]),
        helper.make_node("Squeeze", ["plane", "axes"], ["depth"]),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, [1, height, width, 3])],
        [helper.make_tensor_value_info("depth", TensorProto.FLOAT, [1, height, width])],
        [*initializers, axes],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return model.SerializeToString()


def tiny_reference(image: np.ndarray, weights: TinyWeights) -> np.ndarray:
    """The same network in numpy, float64: (1, H, W, 3) uint8 to (1, H, W) float32."""
    padded = np.pad(image.astype(np.float64), ((0, 0), (1, 1), (1, 1), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2))  # (1, H, W, 3, 3, 3)
    features = np.einsum("bhwcij,ocij->bhwo", windows, weights.first.astype(np.float64))
    depth = np.maximum(features, 0) @ weights.second[0, :, 0, 0].astype(np.float64)
    return depth.astype(np.float32)


def tiny_image(size: tuple[int, int], seed: int = 0) -> np.ndarray:
    """uint8 (H, W, 3) noise."""
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)


def tiny_header() -> BundleHeader:
    return BundleHeader(
        model=ModelEntry(
            name="tiny",
            preset="tiny",
            family="test",
            parameters=HIDDEN * 28,
            gflop=0.0,
            created="2026-01-01T00:00:00Z",
            tool="tests",
            commit=None,
        ),
        image=ImageSpec(),
        output=OutputEntry(
            name="depth", kind="relative_inverse", direction="larger_is_nearer", unit=None, range=(0.0, None)
        ),
        licence=LicenceEntry(weights="Apache-2.0", commercial=True, notice="made of random numbers"),
    )


def write_tiny_bundle(
    folder: Path,
    *,
    sizes: tuple[tuple[int, int], ...] = SIZES,
    location: str = WEIGHTS,
    verified: bool = True,
    tolerance: Tolerance = TINY_TOLERANCE,
) -> Bundle:
    """Write the bundle to `folder`, which must not exist.

    Args:
        folder: Where it goes.
        sizes: The ladder.
        location: Where the graphs say their weights are; change it to build a hostile bundle.
        verified: What the artifacts claim.
        tolerance: What the artifacts allow.
    """
    weights = tiny_weights()
    with write_bundle(folder, tiny_header()) as writer:
        (writer.folder / WEIGHTS).write_bytes(weights.first.tobytes() + weights.second.tobytes())
        data = writer.describe(WEIGHTS, "weights")
        for size in sizes:
            shape = f"{size[0]}x{size[1]}"
            (writer.folder / f"graph_{shape}.onnx").write_bytes(tiny_graph(size, weights, location))
            graph = writer.describe(f"graph_{shape}.onnx", "graph")
            image = tiny_image(size)[None]
            np.savez(writer.folder / f"golden_{shape}.npz", image=image, depth=tiny_reference(image, weights))
            writer.add_file(f"golden_{shape}.npz", "golden")
            writer.add_artifact(onnx_entry(size, graph, data, tolerance=tolerance, verified=verified))
    return Bundle.open(folder)


def onnx_entry(
    size: tuple[int, int], graph: FileEntry, data: FileEntry, *, tolerance: Tolerance, verified: bool
) -> ArtifactEntry:
    """What a manifest says of an fp32 ONNX graph whose golden output is `golden_HxW.npz`."""
    shape = f"{size[0]}x{size[1]}"
    return ArtifactEntry(
        name=f"onnx-fp32-{shape}",
        kind="onnx",
        precision="fp32",
        size=size,
        path=graph.path,
        sha256=graph.sha256,
        bytes=graph.bytes,
        data=(data,),
        inputs=(TensorSpec("image", (1, *size, 3), "uint8"),),
        outputs=(TensorSpec("depth", (1, *size), "float32"),),
        requires=Requirements(runtimes=("ort", "openvino")),
        golden=f"golden_{shape}.npz",
        tolerance=tolerance,
        verified=verified,
    )


def _external(name: str, array: np.ndarray, offset: int, location: str) -> TensorProto:
    tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=array.shape, data_location=TensorProto.EXTERNAL)
    for key, value in (("location", location), ("offset", str(offset)), ("length", str(array.nbytes))):
        tensor.external_data.add(key=key, value=value)
    return tensor


def use_everything(folder: Path) -> None:
    """Everything that a program does with a bundle, up to execution."""
    bundle = Bundle.open(folder)
    for artifact in bundle.artifacts:
        bundle.read_artifact(artifact)
        bundle.read_golden(artifact)
