"""What an export is asked for, and the constants that every exported graph shares."""

from __future__ import annotations

from dataclasses import dataclass

from pixio_edge.errors import InputError
from pixio_edge.sizes import Size

# Opset 20 is the newest that TensorRT 10.3 (JetPack 6) parses, and the first with Gelu as one operator. IR 9 came with
# it.
OPSET = 20
IR_VERSION = 9

INPUT_NAME = "image"
OUTPUT_NAME = "depth"

# Square, 4:3, 16:9 and 3:1, each upright too, with about as many patches as 256x256, so that all cost the same.
DEFAULT_SIZES: tuple[Size, ...] = (
    (256, 256),
    (224, 304),
    (304, 224),
    (192, 336),
    (336, 192),
    (144, 448),
    (448, 144),
)

# The same shapes for patches of 14, with about as many patches as the 518x518 that DINOv2's position embedding has and
# that Depth Anything V2 was trained at. Smaller sizes are far cheaper: name them.
DINOV2_SIZES: tuple[Size, ...] = ((518, 518), (448, 602), (602, 448), (392, 686), (686, 392))


def default_sizes(patch_size: int) -> tuple[Size, ...]:
    """Ladder of a model whose user names no size."""
    return DINOV2_SIZES if patch_size == 14 else DEFAULT_SIZES


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """Which graphs to make of a model.

    Args:
        sizes: The ladder of input sizes, (height, width) in pixels; each becomes one graph with static shapes.
        multiple_of: What both sides of a size have to be divisible by: the patch size.
        fold_layer_norms: Also move the affine part of LayerNorm into the linear layer that follows; for quantisers.

    Raises:
        InputError: No size, a repeated size, or a side that is not a positive multiple of `multiple_of`.
    """

    sizes: tuple[Size, ...]
    multiple_of: int = 16
    fold_layer_norms: bool = False

    def __post_init__(self) -> None:
        if not self.sizes or len(set(self.sizes)) != len(self.sizes):
            raise InputError(
                f"export sizes: got {list(self.sizes)}, expected at least one, each once. Fix: list each size once"
            )
        for size in self.sizes:
            if len(size) != 2 or any(side < self.multiple_of or side % self.multiple_of for side in size):
                nearest = "x".join(str(max(round(side / self.multiple_of), 1) * self.multiple_of) for side in size)
                raise InputError(
                    f"export size (height, width): got {size}, expected two multiples of {self.multiple_of}. "
                    f"Fix: take the nearest, {nearest}"
                )
