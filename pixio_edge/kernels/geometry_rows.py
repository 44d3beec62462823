"""How rows are divided over threads, by the kernels that hold a whole row in the registers of some threads."""

from __future__ import annotations

from dataclasses import dataclass

from pixio_edge.errors import SpecError

WIDTH = 8
"""Elements of one vector: 16 bytes of fp16 or bf16 (kWidth of rows.cuh)."""

VECTORS = (3, 5)
"""Vectors that one thread may hold: the entry points that there are.

The channels of every preset and of its hidden layers are 3 or 5 times a power of two, and so is the number of their
vectors, so that no thread is idle: 192 is 8 threads of 3, 1280 is 32 of 5, 6144 is 256 of 3.
"""

MOST_THREADS = {3: 512, 5: 256}
"""Of one row and of one block, by the vectors of a thread (kMostThreads of rows.cuh): five take more registers."""

MOST_CHANNELS = max(threads * vectors for vectors, threads in MOST_THREADS.items()) * WIDTH

_FEWEST_THREADS = 8  # of one row: 8 times 16 bytes are one line of 128
_WARP = 32
_BLOCK_THREADS = (128, 64, 32)  # to choose from, where a row takes no more than a warp
_FULL_GPU_BLOCKS = 512  # nearly four on each of the 132 processors of an H100, the most of any GPU that is aimed at

_MAX_INT = 2**31 - 1  # rows are counted in an int, and so are blocks along x


@dataclass(frozen=True, slots=True)
class RowShape:
    """How many threads hold a row, and how many vectors each of them.

    Args:
        threads: A power of two; neighbours hold neighbouring vectors.
        vectors: One of `VECTORS`.
    """

    threads: int
    vectors: int


def choose_row_shape(channels: int) -> RowShape:
    """Threads and vectors that hold a row with the fewest of them idle.

    Args:
        channels: A multiple of 8 that `check_rows` takes.
    """
    count = channels // WIDTH
    shapes = (RowShape(_power_of_two(max(-(-count // vectors), _FEWEST_THREADS)), vectors) for vectors in VECTORS)
    fitting = (shape for shape in shapes if shape.threads <= MOST_THREADS[shape.vectors])
    return min(fitting, key=lambda shape: shape.threads * shape.vectors)


def rows_per_block(rows: int, threads: int) -> int:
    """Rows that share a thread block: many where there are blocks enough for every processor, else few.

    One where a row takes more than a warp: it meets at the block's barrier.

    Args:
        rows: Of the whole array.
        threads: Of one row.
    """
    if threads > _WARP:
        return 1
    choices = [block // threads for block in _BLOCK_THREADS]
    return next((choice for choice in choices if rows >= choice * _FULL_GPU_BLOCKS), choices[-1])


def check_rows(operator: str, rows: int, channels: int) -> None:
    """Refuse what the kernels are not made for.

    Args:
        operator: Its name, for the message.
        rows: Of the whole array.
        channels: Of one row.

    Raises:
        SpecError: No row, more rows than an int counts, or a number of channels that is not a multiple of 8 or more
            than the registers of a block hold.
    """
    if channels % WIDTH or not WIDTH <= channels <= MOST_CHANNELS:
        raise SpecError(
            f"{operator}: got {channels} channels, expected a multiple of {WIDTH} from {WIDTH} to {MOST_CHANNELS}. "
            "Fix: use a model with such a width, or PIXIO_EDGE_KERNELS=reference"
        )
    if not 1 <= rows <= _MAX_INT:
        raise SpecError(f"{operator}: got {rows} rows, expected 1 to {_MAX_INT}. Fix: split the batch")


def _power_of_two(count: int) -> int:
    """Smallest power of two that is not below `count`."""
    return 1 << (count - 1).bit_length()
