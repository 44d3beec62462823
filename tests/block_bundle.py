"""A bundle with a small transformer and a convolution of random weights, made without torch, to be quantised."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import onnx
from tiny_bundle import onnx_entry, tiny_header
from tiny_graphs import SIZES, block_graph

from pixio_edge.bundle import Bundle
from pixio_edge.bundle_writer import write_bundle
from pixio_edge.calibration.trial import run_graph
from pixio_edge.onnx_weights import write_graphs
from pixio_edge.parity import Tolerance

WEIGHTS = "weights.bin"
# The stored output is that of the same graph in ORT; other engines add in another order.
TOLERANCE = Tolerance(max_rel=1e-4)


def write_block_bundle(folder: Path, *, sizes: tuple[tuple[int, int], ...] = SIZES) -> Bundle:
    """Write the bundle to `folder`, which must not exist."""
    with write_bundle(folder, tiny_header()) as writer:
        graphs = {size: writer.folder / f"graph_{size[0]}x{size[1]}.onnx" for size in sizes}
        write_graphs([(path, with_types(block_graph(size))) for size, path in graphs.items()], writer.folder / WEIGHTS)
        data = writer.describe(WEIGHTS, "weights")
        for size, path in graphs.items():
            label = f"{size[0]}x{size[1]}"
            image = picture(size, seed=99)[None]
            depth = run_graph(onnx.load(path), [image], 1)[0]
            np.savez(writer.folder / f"golden_{label}.npz", image=image, depth=depth)
            writer.add_file(f"golden_{label}.npz", "golden")
            graph = writer.describe(path.name, "graph")
            writer.add_artifact(onnx_entry(size, graph, data, tolerance=TOLERANCE, verified=True))
    return Bundle.open(folder)


def with_types(graph: onnx.ModelProto) -> onnx.ModelProto:
    """The graph with the shapes of its tensors, as exported graphs have them."""
    return onnx.shape_inference.infer_shapes(graph)


def picture(size: tuple[int, int], *, seed: int) -> np.ndarray:
    """uint8 (H, W, 3) of patches in many colours."""
    generator = np.random.default_rng(seed)
    coarse = generator.integers(0, 256, (-(-size[0] // 8), -(-size[1] // 8), 3)).repeat(8, 0).repeat(8, 1)
    return np.clip(coarse[: size[0], : size[1]] + generator.normal(0, 8, (*size, 3)), 0, 255).astype(np.uint8)


def write_pictures(folder: Path, count: int) -> Path:
    """Pictures of two shapes as PNG files."""
    folder.mkdir()
    for index in range(count):
        shape = SIZES[index % len(SIZES)]
        cv2.imwrite(str(folder / f"{index:02d}.png"), picture(shape, seed=index))
    return folder
