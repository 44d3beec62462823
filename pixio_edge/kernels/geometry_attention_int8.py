"""How the INT8 attention is launched, the memory that it works in, and what it has to move and compute."""

from __future__ import annotations

from dataclasses import dataclass, replace

from pixio_edge.errors import SpecError
from pixio_edge.kernels.catalogue import HEAD_DIMS, Launch
from pixio_edge.kernels.geometry_attention import STAGES, THREADS, Split, choose_split, partial_bytes

TILE = 64
"""Tokens that one block prepares, and keys that share their scales: kTile of the source."""

KEY_GROUPS = 4
"""Scales of one tile of keys: keys 2g and 2g+1 of every eight share scale g (kKeyScales of the source)."""

_INT8_DEPTH = 32  # of one matrix instruction on s8 (PTX ISA, mma.m16n8k32); 80 is padded to 96 with zeros
_KEY_PADDING = 16  # bytes after each row of keys in shared memory (kKeyStride)
_MAX_GRID_YZ = 65_535  # blocks along y and z (CUDA C++ Programming Guide, "Technical Specifications")


@dataclass(frozen=True, slots=True)
class Workspace:
    """Where each part of the workspace begins and how long the whole is, all in bytes.

    Args:
        query: int8 (B, H, tiles * TILE, padded head_dim), rows past the last token and columns past head_dim zero.
        key: As `query`, with the mean key subtracted.
        query_scale: float32 (B, H, tiles * TILE), the softmax scale and log2(e) folded in.
        key_scale: float32 (B, H, tiles, KEY_GROUPS).
        key_sum: float32 (B, H, tiles, head_dim), sums of the raw keys of each tile.
        size: Of everything.
    """

    query: int
    key: int
    query_scale: int
    key_scale: int
    key_sum: int
    size: int


@dataclass(frozen=True, slots=True)
class AttentionInt8Work:
    """The least that one attention has to move and compute, whatever the kernel; for the roofline.

    Args:
        bytes_moved: Through device memory, each array once for each launch that needs it.
        int8_operations: Multiplications and additions of queries with keys.
        float_operations: Multiplications and additions of weights with values, on 16-bit matrix units.
        exponentials: Calls of the special function unit.
    """

    bytes_moved: int
    int8_operations: int
    float_operations: int
    exponentials: int


def plan_attention_int8(
    batch: int,
    tokens: int,
    heads: int,
    head_dim: int,
    *,
    dtype: str = "float16",
    sm: str = "sm_80",
    multiprocessors: int | None = None,
) -> tuple[Launch, ...]:
    """Launches of one attention, in order; all three take the same arguments.

    The last one divides queries and keys among warps as `geometry_attention` finds best for the float kernel: blocks,
    rows and steps are the same, and what is shorter is the same part of each step.

    Args:
        batch: Images.
        tokens: Of one image, class tokens included; any number from 1.
        heads: Of the attention.
        head_dim: One of `catalogue.HEAD_DIMS`.
        dtype: Of the packed input, which decides the variant and not the geometry.
        sm: GPU.
        multiprocessors: Of the device; None is that of the largest common model of its kind.

    Raises:
        SpecError: A size is not one that the kernel takes.
    """
    _check(batch, tokens, heads, head_dim)
    del dtype  # of both element types a number has two bytes
    tiles = Launch("attention_int8_prepare", (_tiles(tokens), heads, batch), (THREADS, 1, 1))
    split = choose_split(batch, tokens, heads, head_dim, sm=sm, multiprocessors=multiprocessors)
    return (
        tiles,
        replace(tiles, entry="attention_int8_prepare_keys"),
        launch_split(split, batch, tokens, heads, head_dim),
    )


def launch_split(split: Split, batch: int, tokens: int, heads: int, head_dim: int) -> Launch:
    """The last of the launches, divided in a given way.

    Args:
        split: One of `geometry_attention.SPLITS`.
        batch: Images.
        tokens: Of one image.
        heads: Of the attention.
        head_dim: One of `catalogue.HEAD_DIMS`.
    """
    stage = split.keys(head_dim) * (pad_head_dim(head_dim) + _KEY_PADDING + 2 * head_dim)
    entry = split.entry.replace("attention", "attention_int8")
    grid = (-(-tokens // split.rows), heads, batch)
    return Launch(entry, grid, (THREADS, 1, 1), max(split.groups * STAGES * stage, partial_bytes(head_dim)))


def plan_workspace(batch: int, tokens: int, heads: int, head_dim: int) -> Workspace:
    """Divide the workspace, without gaps: every part is a multiple of 16 bytes long.

    Args:
        batch: Images.
        tokens: Of one image.
        heads: Of the attention.
        head_dim: One of `catalogue.HEAD_DIMS`.

    Raises:
        SpecError: A size is not one that the kernel takes.
    """
    _check(batch, tokens, heads, head_dim)
    planes, tiles = batch * heads, _tiles(tokens)
    quantized = planes * tiles * TILE * pad_head_dim(head_dim)
    query_scale = 2 * quantized
    key_scale = query_scale + planes * tiles * TILE * 4
    key_sum = key_scale + planes * tiles * KEY_GROUPS * 4
    return Workspace(0, quantized, query_scale, key_scale, key_sum, key_sum + planes * tiles * head_dim * 4)


def count_attention_int8(batch: int, tokens: int, heads: int, head_dim: int) -> AttentionInt8Work:
    """Count what one attention moves and computes, preparation included.

    Args:
        batch: Images.
        tokens: Of one image.
        heads: Of the attention.
        head_dim: One of `catalogue.HEAD_DIMS`.

    Raises:
        SpecError: A size is not one that the kernel takes.
    """
    workspace = plan_workspace(batch, tokens, heads, head_dim)
    plane_bytes = batch * tokens * heads * head_dim * 2  # of one of q, k, v and the output
    # Queries once, keys twice (their mean first), values and output once; the workspace is written and read.
    moved = 5 * plane_bytes + 2 * workspace.size
    pairs = batch * heads * tokens * tokens
    return AttentionInt8Work(moved, 2 * pairs * head_dim, 2 * pairs * head_dim, pairs)


def pad_head_dim(head_dim: int) -> int:
    """Width of a quantised row in bytes."""
    return -(-head_dim // _INT8_DEPTH) * _INT8_DEPTH


def _tiles(tokens: int) -> int:
    return -(-tokens // TILE)


def _check(batch: int, tokens: int, heads: int, head_dim: int) -> None:
    if head_dim not in HEAD_DIMS:
        raise SpecError(
            f"attention_int8: got head_dim {head_dim}, expected one of: {', '.join(map(str, HEAD_DIMS))}. "
            "Fix: use a model with such heads, or PIXIO_EDGE_KERNELS=reference"
        )
    if tokens < 1 or not 1 <= batch <= _MAX_GRID_YZ or not 1 <= heads <= _MAX_GRID_YZ:
        raise SpecError(
            f"attention_int8: got batch {batch}, tokens {tokens} and heads {heads}, expected at least one of each and "
            f"at most {_MAX_GRID_YZ} of batch and heads. Fix: check the shape of the packed input"
        )
