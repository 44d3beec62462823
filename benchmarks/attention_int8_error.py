"""What INT8 attention costs in depth: every attention of a model replaced by the numpy text of the CUDA kernel.

All else stays float32, so that nothing but the attention's rounding shows; the same with 16-bit attention stands beside
it. `nano` has its trained weights. The wider models have random ones with planted outliers (see `planted_outliers`): of
those only the agreement with their own float output means anything.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from planted_outliers import plant_channels_, plant_tokens_, randomise_
from recording import append_records, bundle_hashes
from torch import Tensor, nn
from torch.nn import functional

from pixio_edge.bundle import Bundle
from pixio_edge.calibration.agreement import compare_depth, mean_agreement
from pixio_edge.export.reference import reference_depth
from pixio_edge.image import ImageSpec
from pixio_edge.image_reading import read_image
from pixio_edge.kernels import oracle
from pixio_edge.kernels.oracle_attention_int8 import attention_int8
from pixio_edge.kernels.precision import Precision, round_to
from pixio_edge.models.checkpoints import load_checkpoint
from pixio_edge.models.depth_model import DepthModel
from pixio_edge.models.presets import find_preset
from pixio_edge.models.vit_blocks import Attention

Heads = NDArray[np.float32]
Image = NDArray[np.uint8]
Mix = Callable[..., NDArray[Any]]

SAMPLES = Path(__file__).parents[1] / "pixio_edge" / "assets" / "samples"
WIDER = ("small", "pixio-vitb16-indoor")

# How scores and weights are computed. bfloat16 is for models whose numbers pass the range of float16.
WAYS: dict[str, tuple[Mix, Precision]] = {
    "fp16": (partial(oracle.naive_attention, precision="fp16"), "fp16"),
    "bf16": (partial(oracle.naive_attention, precision="bf16"), "bf16"),
    "int8, fp16 values": (partial(attention_int8, precision="fp16"), "fp16"),
    "int8, bf16 values": (partial(attention_int8, precision="bf16"), "bf16"),
    "int8 without the mean key": (partial(attention_int8, precision="fp16", smooth_keys=False), "fp16"),
}


class ReplacedAttention(nn.Module):
    """An attention that is computed in numpy, with its error against float64 on what it is given."""

    def __init__(self, attention: Attention, way: str) -> None:
        super().__init__()
        self.attention = attention
        self.mix, self.precision = WAYS[way]
        self.errors: list[float] = []

    def forward(self, x: Tensor) -> Tensor:
        """Mix tokens (B, N, D)."""
        heads, qkv = self.attention.num_heads, self.attention.qkv
        shape = (3, heads, x.shape[-1] // heads)
        packed: Heads = functional.linear(x, qkv.weight).reshape(*x.shape[:2], *shape).numpy()
        bias: Heads = qkv.bias.reshape(shape).numpy()
        scale = shape[-1] ** -0.5
        mixed = self.mix(round_to(packed, self.precision), round_to(bias, self.precision), scale=scale)
        exact = oracle.attention(packed, bias, scale=scale)
        self.errors.append(float(np.linalg.norm(mixed - exact) / np.linalg.norm(exact)))
        projected: Tensor = self.attention.proj(torch.from_numpy(mixed.astype(np.float32)))
        return projected


def run(model: DepthModel, images: Sequence[Image], way: str) -> tuple[list[NDArray[np.float32]], list[float]]:
    """Depth of every image, and the mean error of each block's attention."""
    blocks = list(model.encoder.blocks)
    originals = [cast("Attention", block.attn) for block in blocks]
    replaced = [ReplacedAttention(attention, way) for attention in originals]
    for block, attention in zip(blocks, replaced, strict=True):
        block.attn = attention
    try:
        depths = [reference_depth(model, image)[0] for image in images]
    finally:
        for block, original in zip(blocks, originals, strict=True):
            block.attn = original
    return depths, [float(np.mean(attention.errors)) for attention in replaced]


def measure(name: str, model: DepthModel, images: Sequence[Image]) -> list[dict[str, Any]]:
    """One record for each way of computing attention."""
    expected = [reference_depth(model, image)[0] for image in images]
    records = []
    for way in WAYS:
        depths, errors = run(model, images, way)
        pairs = list(zip(expected, depths, strict=True))
        rel_l2 = [float(np.linalg.norm(got - want) / np.linalg.norm(want)) for want, got in pairs]
        agreement = mean_agreement([compare_depth(want, got) for want, got in pairs])
        records.append(
            {
                "model": name,
                "way": way,
                "images": len(images),
                "size": list(images[0].shape[1:3]),
                "rel_l2": float(np.mean(rel_l2)),
                "rel_l2_worst": max(rel_l2),
                "attention_rel_l2": errors,
            }
            | agreement.to_json()
        )
        shown = {key: records[-1][key] for key in ("rel_l2", "rel_l2_worst", "delta1", "abs_rel")}
        print(f"{name:28}{way:28}", *(f"{key} {value:.5f}" for key, value in shown.items()), f"{max(errors):.4f}")
    return records


def load_images(size: int, count: int) -> list[Image]:
    """The first sample pictures, (1, size, size, 3) each."""
    spec, paths = ImageSpec(), sorted(path for path in SAMPLES.glob("*.png") if not path.name.endswith(".depth.png"))
    return [spec.prepare(read_image(path), (size, size)) for path in paths[:count]]


def load_wider(preset: str) -> DepthModel:
    """A preset with random weights and planted outliers."""
    model = randomise_(DepthModel(find_preset(preset)))
    plant_tokens_(model, seed=0)
    plant_channels_(model, seed=0)
    return model


def main() -> None:
    """Measure and append to `records/attention_int8.jsonl`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=256, help="side of the image in pixels")
    parser.add_argument("--images", type=int, default=6, help="sample pictures to run")
    parser.add_argument("--quick", action="store_true", help="nano and one picture, for a look: nothing is recorded")
    arguments = parser.parse_args()
    images = load_images(arguments.size, 1 if arguments.quick else arguments.images)
    bundle = Bundle.open("nano")
    entry = bundle.manifest.file_of_role("checkpoint")
    if entry is None:
        raise SystemExit("bundle nano: has no checkpoint. Fix: export it with its weights")
    nano = load_checkpoint(bundle.read_file(entry)).requires_grad_(False)
    records = [record | bundle_hashes(bundle) for record in measure("nano", nano, images)]
    if arguments.quick:
        return
    for preset in WIDER:
        records += measure(f"{preset}, random", load_wider(preset), images)
    append_records("attention_int8", records)


if __name__ == "__main__":
    main()
