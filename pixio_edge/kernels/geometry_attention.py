"""How fused attention is started: how many queries a block takes, decided by counting what the GPU would do.

One image of a small model is little work. With 584 tokens and 6 heads, blocks of 128 queries are 30, of 64 queries 60:
less than half of a desktop GPU's 80 to 170 multiprocessors, but more than the 8 to 20 of a Jetson. Smaller blocks fill
the large GPU and cost it something else: every block reads all keys and values of its head, so that halving the
queries of a block doubles what the second-level cache has to give. No size is best everywhere, and the four entry
points differ in nothing else:

| entry           | queries | query rows of a warp | groups of warps that divide the keys |
|-----------------|---------|----------------------|--------------------------------------|
| `attention_128` | 128     | 32                   | 1                                    |
| `attention_64`  | 64      | 32                   | 2                                    |
| `attention_32`  | 32      | 32                   | 4                                    |
| `attention_16`  | 16      | 16                   | 4                                    |

Keys are divided within a block and not over blocks: partial sums then meet in shared memory, and no second kernel has
to be started, which would take about as long as the whole attention of one small image.

`estimate_cycles` counts for each of them, with n tokens, heads D wide and the four warps of a block on the four parts
of a multiprocessor:

- products: a warp multiplies 16 queries with 8 keys, both products together, by D / 8 matrix instructions of 16x8x16;
  one takes 8 cycles where a multiprocessor does 1,024 multiply-adds in a cycle (A100, Orin), 32 on GeForce, which does
  256 with float sums;
- softmax: those 128 scores are 4 exponentials of each lane at 8 cycles (4 lanes in a cycle) and about 16 other
  instructions;
- a block alone on a multiprocessor does one after the other; with several, one's softmax hides behind another's
  products, and the multiprocessor is bound by products or by reading 4 n D bytes of keys and values for each block;
- how many fit at once follows from shared memory and from registers, of which two blocks always find enough and a
  third seldom does;
- blocks come in waves; the last one counts by how many blocks a multiprocessor then has.

The constants are of data sheets and programming guides, not measured: no GPU was at hand. Where they are off, a slower
entry point is chosen; the result then differs in the last bits at most, by the order of the sums.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pixio_edge.errors import SpecError
from pixio_edge.kernels.catalogue import HEAD_DIMS, Launch

THREADS = 128
"""Of every block: four warps (kThreads of the source)."""

STAGES = 2
"""Tiles of keys and of values in shared memory (kStages of the source)."""

RESERVED_SHARED_BYTES = 1024
"""Of each block, taken by the system (CUDA C++ Programming Guide, "Shared Memory", from 8.0 on)."""

BLOCKS_BY_REGISTERS = 2
"""Blocks that fit a multiprocessor's 65,536 registers in any case: no entry has more than 256 for each thread."""

_PARTIAL_PADDING = 8  # floats of a row of partial sums (Partial of the source)
_EXPONENTIAL_CYCLES = (
    4 * 8
)  # four of each lane; 4 lanes in a cycle ("Arithmetic Instructions" of the guide: 16 of 4 parts)
_OTHER_CYCLES = 16  # for those four: multiply-add, maximum, sum, half a conversion each
_STEP_CYCLES = 100  # of a tile of keys: wait, barrier, start of the next copy, quad maxima
_START_CYCLES = 1500  # first queries and keys from memory, and the write at the end
_COMBINE_CYCLES = 500  # partial sums through shared memory
_MAX_GRID_YZ = 65_535  # blocks along y and z ("Technical Specifications" of the guide)


@dataclass(frozen=True, slots=True)
class Gpu:
    """What of a GPU decides the geometry.

    Args:
        multiprocessors: Of the largest common model of its kind.
        shared_bytes: Shared memory of a multiprocessor; a block may have 1 KiB less.
        product_cycles: One mma.m16n8k16 of 16-bit floats with float sums on one of the four parts.
        l2_bytes: That one multiprocessor gets from the second-level cache in a cycle while all of them read.
    """

    multiprocessors: int
    shared_bytes: int
    product_cycles: int
    l2_bytes: int


GPUS: Mapping[str, Gpu] = {
    "sm_80": Gpu(108, 164 * 1024, 8, 40),  # A100: at most 5,120 bytes a cycle for all, 47 for each
    "sm_86": Gpu(82, 100 * 1024, 32, 16),  # RTX 3090; taken for as good as the next GeForce
    "sm_87": Gpu(16, 164 * 1024, 8, 32),  # Jetson AGX Orin 64 GB; 8 in Orin Nano; half of the path's width
    "sm_89": Gpu(128, 100 * 1024, 32, 16),  # RTX 4090: about 5 TB/s at 2.5 GHz
    "sm_90": Gpu(132, 228 * 1024, 8, 27),  # H100; faster with wgmma, which this kernel has not
    "sm_100": Gpu(148, 228 * 1024, 8, 27),  # B200; faster with tcgen05, which this kernel has not
    "sm_110": Gpu(20, 228 * 1024, 8, 27),  # Jetson Thor, likewise
    "sm_120": Gpu(170, 100 * 1024, 32, 16),  # RTX 5090; taken for as good as the last GeForce
}
"""By architecture. Shared memory: "Technical Specifications" of the CUDA C++ Programming Guide. Of the caches only
the A100's has a published figure; the others are estimates, to be checked where there is such a GPU."""


@dataclass(frozen=True, slots=True)
class Split:
    """One entry point: how its four warps share a block's work.

    Args:
        entry: Its name.
        row_warps: Warps that divide the queries; 4 / row_warps groups of them divide the keys.
        row_tiles: Tiles of 16 queries of each warp.
        wide_tiles: Whether a tile of keys is 64 and not 32 where heads are 64 wide and registers allow it.
    """

    entry: str
    row_warps: int
    row_tiles: int
    wide_tiles: bool = False

    @property
    def groups(self) -> int:
        """Groups of warps, each with its share of the keys."""
        return THREADS // 32 // self.row_warps

    @property
    def rows(self) -> int:
        """Queries of a block."""
        return 16 * self.row_tiles * self.row_warps

    def keys(self, head_dim: int) -> int:
        """Keys of a tile."""
        return 64 if self.wide_tiles and head_dim == 64 else 32

    def shared_bytes(self, head_dim: int) -> int:
        """Dynamic shared memory of a block: tiles at first, what is written in the end."""
        copied = self.groups * STAGES * 2 * self.keys(head_dim) * head_dim * 2
        return max(copied, partial_bytes(head_dim))

    def blocks_at_once(self, head_dim: int, gpu: Gpu) -> int:
        """Blocks that one multiprocessor holds."""
        by_shared = gpu.shared_bytes // (self.shared_bytes(head_dim) + RESERVED_SHARED_BYTES)
        return min(by_shared, BLOCKS_BY_REGISTERS)


SPLITS = (
    Split("attention_128", 4, 2, wide_tiles=True),
    Split("attention_64", 2, 2),
    Split("attention_32", 1, 2),
    Split("attention_16", 1, 1),
)
"""The entry points, the one that reads keys least often first."""


def partial_bytes(head_dim: int) -> int:
    """Shared memory in which four warps put together 16 rows each, with two numbers a row (Partial of the source)."""
    return 16 * THREADS // 32 * (head_dim + _PARTIAL_PADDING + 2) * 4


@dataclass(frozen=True, slots=True)
class AttentionWork:
    """The least that one attention has to move and compute, whatever the kernel; for the roofline.

    Args:
        bytes_moved: Through device memory: packed input and bias once, output once.
        float_operations: Multiplications and additions of both products, on 16-bit matrix units.
        exponentials: Calls of the special function unit.
        transpose_bytes: What three transposes to (B, H, N, D) and one back, read and written, would move beside that.
    """

    bytes_moved: int
    float_operations: int
    exponentials: int
    transpose_bytes: int


def plan_attention(
    batch: int,
    tokens: int,
    heads: int,
    head_dim: int,
    *,
    dtype: str = "float16",
    sm: str = "sm_80",
    multiprocessors: int | None = None,
) -> tuple[Launch, ...]:
    """Choose the entry point that should be done first, and start it once.

    Args:
        batch: Images.
        tokens: Of one image, class tokens included; any number from 1.
        heads: Of the attention.
        head_dim: One of `catalogue.HEAD_DIMS`.
        dtype: Of the packed input, which decides the variant and not the geometry.
        sm: GPU; one that the table has not counts as the last of its generation, or as the last of all.
        multiprocessors: Of the device; None is that of the largest common model of its kind.

    Raises:
        SpecError: A size is not one that the kernel takes.
    """
    _check(batch, tokens, heads, head_dim)
    del dtype  # of both element types a number has two bytes
    split = choose_split(batch, tokens, heads, head_dim, sm=sm, multiprocessors=multiprocessors)
    grid = (_ceil(tokens, split.rows), heads, batch)
    return (Launch(split.entry, grid, (THREADS, 1, 1), split.shared_bytes(head_dim)),)


def choose_split(
    batch: int, tokens: int, heads: int, head_dim: int, *, sm: str, multiprocessors: int | None = None
) -> Split:
    """The one of `SPLITS` that should be done first; arguments as of `plan_attention`."""

    def cycles(split: Split) -> float:
        return estimate_cycles(split, batch, tokens, heads, head_dim, sm=sm, multiprocessors=multiprocessors)

    return min(SPLITS, key=cycles)


def find_gpu(sm: str) -> Gpu:
    """What is known of a GPU, or of the newest of its generation, or of the newest of all."""
    if sm in GPUS:
        return GPUS[sm]
    relatives = [known for known in GPUS if known[:-1] == sm[:-1]]
    return GPUS[(relatives or list(GPUS))[-1]]


def estimate_cycles(
    split: Split, batch: int, tokens: int, heads: int, head_dim: int, *, sm: str, multiprocessors: int | None = None
) -> float:
    """Cycles from the first block's start to the last one's end, by the count of this module's description.

    Good for telling entry points apart, not for foretelling a time. Arguments as of `plan_attention`.
    """
    gpu = find_gpu(sm)
    count = multiprocessors or gpu.multiprocessors
    steps = _ceil(_ceil(tokens, split.keys(head_dim)), split.groups)
    pairs = split.row_tiles * split.keys(head_dim) // 8  # of 16 queries and 8 keys, of one warp in one step
    products = pairs * head_dim // 8 * gpu.product_cycles
    softmax = pairs * (_EXPONENTIAL_CYCLES + _OTHER_CYCLES)
    alone = _START_CYCLES + steps * (products + softmax + _STEP_CYCLES) + (_COMBINE_CYCLES if split.groups > 1 else 0)
    busy = max(steps * max(products, softmax), 4 * tokens * head_dim / gpu.l2_bytes)
    at_once = split.blocks_at_once(head_dim, gpu)
    waves, rest = divmod(batch * heads * _ceil(tokens, split.rows), count * at_once)
    return waves * max(alone, at_once * busy) + (max(alone, _ceil(rest, count) * busy) if rest else 0.0)


def count_attention(batch: int, tokens: int, heads: int, head_dim: int) -> AttentionWork:
    """Count what one attention moves and computes.

    Args:
        batch: Images.
        tokens: Of one image.
        heads: Of the attention.
        head_dim: One of `catalogue.HEAD_DIMS`.

    Raises:
        SpecError: A size is not one that the kernel takes.
    """
    _check(batch, tokens, heads, head_dim)
    plane_bytes = batch * tokens * heads * head_dim * 2  # of one of q, k, v and the output
    pairs = batch * heads * tokens * tokens
    return AttentionWork(4 * plane_bytes + 3 * heads * head_dim * 2, 4 * pairs * head_dim, pairs, 8 * plane_bytes)


def _ceil(dividend: int, divisor: int) -> int:
    return -(-dividend // divisor)


def _check(batch: int, tokens: int, heads: int, head_dim: int) -> None:
    if head_dim not in HEAD_DIMS:
        raise SpecError(
            f"attention: got head_dim {head_dim}, expected one of: {', '.join(map(str, HEAD_DIMS))}. "
            "Fix: use a model with such heads, or PIXIO_EDGE_KERNELS=reference"
        )
    if tokens < 1 or not 1 <= batch <= _MAX_GRID_YZ or not 1 <= heads <= _MAX_GRID_YZ:
        raise SpecError(
            f"attention: got batch {batch}, tokens {tokens} and heads {heads}, expected at least one of each and at "
            f"most {_MAX_GRID_YZ} of batch and heads. Fix: check the shape of the packed input"
        )
