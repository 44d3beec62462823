"""How bias and GELU is launched, and the bytes that it has to move.

It is bound by memory where its arithmetic is short: two arrays pass once. Of what keeps it from the speed of a copy:

- Instructions: the GELU is a polynomial of degree 8, one exp2 and four more, 20 of machine code for each element with
  bias, conversions and access; a float erf takes about twice that. At 3.35 TB/s and 1.75 GHz a processor of an H100
  takes 3.6 elements of 4 bytes a cycle: 72 of 128 issue slots and 3.6 of 16 exp2. An H200 (4.8 TB/s) needs 104 of 128.
- Bytes in flight: 2 vectors of 16 bytes a thread, 40 registers, so 1,536 threads: 48 KiB on a processor, of which an
  H100 needs about 25 (3.35 TB/s times 1 µs of latency, over 132) and an Orin 13. With few rows one vector a thread
  spreads the work over more processors.
- The bias is read once for 2 rows, from L2.

That is an argument and not a measurement: no GPU has run it.
"""

from __future__ import annotations

from pixio_edge.kernels.catalogue import Launch
from pixio_edge.kernels.geometry_rows import WIDTH, check_rows, choose_row_shape, rows_per_block

_WARP = 32
_WARPS = 4  # of a block
_MANY_ROWS = 2  # that one thread takes
_FULL_GPU_BLOCKS = (
    1584  # of 128 threads: 12 on each of the 132 processors of an H100; with more, a thread takes two rows
)


def plan_bias_gelu(rows: int, channels: int, *, quantize: bool = False) -> tuple[Launch, ...]:
    """The launch of one bias and GELU.

    Args:
        rows: Tokens of all images; any number from 1.
        channels: Of one token; a multiple of 8 up to `geometry_rows.MOST_CHANNELS`.
        quantize: The result is written as INT8 with a scale per row.

    Raises:
        SpecError: The kernel is not made for a size.
    """
    check_rows("bias_gelu", rows, channels)
    if quantize:
        shape = choose_row_shape(channels)
        together = rows_per_block(rows, shape.threads)
        entry = f"bias_gelu_int8_{shape.vectors}"
        return (Launch(entry, (-(-rows // together), 1, 1), (shape.threads, together, 1)),)
    across = -(-channels // (_WARP * WIDTH))
    many = -(-rows // (_WARPS * _MANY_ROWS))
    each = _MANY_ROWS if many * across >= _FULL_GPU_BLOCKS else 1
    return (Launch(f"bias_gelu_{each}", (-(-rows // (_WARPS * each)), across, 1), (_WARP, _WARPS, 1)),)


def count_bias_gelu_bytes(rows: int, channels: int, *, quantize: bool = False) -> int:
    """Bytes that have to pass between memory and the GPU, whatever the kernel; for the share of a copy's bandwidth.

    Args:
        rows: Tokens of all images.
        channels: Of one token.
        quantize: The result is written as INT8 with a scale per row.
    """
    written = channels + 4 if quantize else 2 * channels
    return rows * (2 * channels + written) + 2 * channels
