"""A tiny network converted to real Core ML packages, with a reference in numpy."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import coremltools
import numpy as np
import torch
from torch import Tensor, nn

from pixio_edge.bundle import Bundle
from pixio_edge.bundle_writer import write_bundle
from pixio_edge.manifest import ArtifactEntry, Precision, Requirements
from pixio_edge.parity import Tolerance
from pixio_edge.tensor import TensorSpec
from tests.tiny_bundle import TINY_TOLERANCE, tiny_header, tiny_image, tiny_weights
from tests.tiny_bundle import tiny_reference as reference_of

SIZE = (16, 24)
SIZES = (SIZE, (24, 16))


class TinyModule(nn.Module):
    """The network of `tests.tiny_bundle`: 3x3 convolution, ReLU, 1x1 convolution to depth; (1, 3, H, W) in.

    Args:
        keep_channel: Whether depth keeps its channel, as an image output needs.
    """

    def __init__(self, *, keep_channel: bool) -> None:
        super().__init__()
        weights = tiny_weights()
        self.register_buffer("first", torch.from_numpy(weights.first))
        self.register_buffer("second", torch.from_numpy(weights.second))
        self.keep_channel = keep_channel

    def forward(self, pixels: Tensor) -> Tensor:
        features = torch.relu(nn.functional.conv2d(pixels, self.first, padding=1))
        depth = nn.functional.conv2d(features, self.second)
        return depth if self.keep_channel else depth.squeeze(1)


def tiny_module(*, keep_channel: bool = False) -> nn.Module:
    return TinyModule(keep_channel=keep_channel).eval()


def tiny_reference(pixels: np.ndarray) -> np.ndarray:
    """Depth (1, H, W) of pixel values (1, H, W, 3), in float64 inside."""
    return reference_of(pixels, tiny_weights())


def convert_tiny(
    package: Path,
    *,
    size: tuple[Any, Any] = SIZE,
    example: tuple[int, int] = SIZE,
    sizes: Sequence[tuple[int, int]] = (),
    layout: str = "RGB",
    scale: float = 1.0,
    bias: Sequence[float] = (0.0, 0.0, 0.0),
    precision: str = "FLOAT32",
    image_output: bool = False,
) -> Path:
    """Convert and save.

    Args:
        package: Where to.
        size: Height and width of the image; either may be a `coremltools.RangeDim`.
        example: A height and width to trace with.
        sizes: Several of them, one package for all.
        layout: Colours inside.
        scale: Multiplies pixel values, before `bias` is added.
        bias: For each channel of `layout`.
        precision: "FLOAT32" or "FLOAT16".
        image_output: Depth as a half-precision image.
    """
    module = tiny_module(keep_channel=image_output)
    shape: Any = (1, 3, *size)
    if sizes:
        shape = coremltools.EnumeratedShapes([(1, 3, *each) for each in sizes])
    image = coremltools.ImageType(
        name="image", shape=shape, scale=scale, bias=list(bias), color_layout=getattr(coremltools.colorlayout, layout)
    )
    depth = coremltools.TensorType(name="depth")
    if image_output:
        depth = coremltools.ImageType(name="depth", color_layout=coremltools.colorlayout.GRAYSCALE_FLOAT16)
    elif precision == "FLOAT16":
        depth = coremltools.TensorType(name="depth", dtype=np.float16)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = coremltools.convert(
            torch.jit.trace(module, torch.zeros(1, 3, *example)),
            inputs=[image],
            outputs=[depth],
            convert_to="mlprogram",
            compute_precision=getattr(coremltools.precision, precision),
            minimum_deployment_target=coremltools.target.iOS16,
            skip_model_load=True,
        )
    model.save(str(package))
    return package


def write_coreml_bundle(
    folder: Path,
    *,
    sizes: tuple[tuple[int, int], ...] = SIZES,
    precision: Precision = "fp32",
    tolerance: Tolerance = TINY_TOLERANCE,
    image_output: bool = False,
) -> Bundle:
    """One package for each size, with the depth of the same network in float64 as reference."""
    with write_bundle(folder, tiny_header()) as writer:
        for size in sizes:
            shape = f"{size[0]}x{size[1]}"
            package = convert_tiny(
                writer.folder / f"coreml_{shape}.mlpackage",
                size=size,
                example=size,
                precision={"fp32": "FLOAT32", "fp16": "FLOAT16"}[precision],
                image_output=image_output,
            )
            files = sorted(path for path in package.rglob("*") if path.is_file())
            names = [path.relative_to(writer.folder).as_posix() for path in files]
            graph = writer.describe(next(name for name in names if name.endswith(".mlmodel")), "graph")
            image = tiny_image(size)[None]
            np.savez(writer.folder / f"golden_{shape}.npz", image=image, depth=tiny_reference(image))
            writer.add_file(f"golden_{shape}.npz", "golden")
            writer.add_artifact(
                ArtifactEntry(
                    name=f"coreml-{precision}-{shape}",
                    kind="coreml",
                    precision=precision,
                    size=size,
                    path=graph.path,
                    sha256=graph.sha256,
                    bytes=graph.bytes,
                    data=tuple(writer.describe(name, "weights") for name in names if name != graph.path),
                    inputs=(TensorSpec("image", (1, *size, 3), "uint8"),),
                    outputs=(TensorSpec("depth", (1, *size), "float32"),),
                    requires=Requirements(runtimes=("coreml",)),
                    golden=f"golden_{shape}.npz",
                    tolerance=tolerance,
                )
            )
    return Bundle.open(folder)
