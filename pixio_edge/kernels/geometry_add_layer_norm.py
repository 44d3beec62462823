"""How residual add and LayerNorm is launched, and the bytes that it has to move.

It is bound by memory: four arrays pass once, x, branch, sum and norm, and nothing is read twice. Of what keeps a kernel
from the speed of a copy, this is what the geometry and the source do about it:

- Bytes in flight: a thread asks for all its vectors of x and branch first: 96 bytes with 3 vectors (144 with a float32
  residual stream) and 160 (240) with 5. (In the code for sm_90 all of that is before the first use of any of it, as
  `nvdisasm` shows; elsewhere ptxas moves the last of them behind it in some variants.) At no more than 104 and 152
  registers, 512 and 384 threads at least live on a processor: 48 and 60 KiB are under way there. An H100 needs about
  25 KiB (3.35 TB/s times 1 µs of latency, over 132), an Orin about 13.
- Instructions: about 35 for each element, 45 with INT8, and an element moves 8 bytes or more. At 3.35 TB/s and 1.75 GHz
  a processor of an H100 takes 1.8 elements a cycle: about 63 of 128 issue slots. Other GPUs have less bandwidth for
  each processor, an H200 (4.8 TB/s) more: 90 of 128.
- Access: 16 bytes for each thread and neighbours beside each other, at least 128 bytes in a row.
- Parameters (up to four vectors of C) come from L2 and L1 for every row: they are as many bytes again as the arrays,
  from caches with several times the bandwidth.
- Waiting: two reductions (three with INT8) of 3 to 9 shuffles, with a barrier each where a row takes more than a warp;
  the warps of other rows fill the time.

That is an argument and not a measurement: no GPU has run it.
"""

from __future__ import annotations

from pixio_edge.kernels.catalogue import Launch
from pixio_edge.kernels.geometry_rows import check_rows, choose_row_shape, rows_per_block


def plan_add_layer_norm(rows: int, channels: int, *, quantize: bool = False) -> tuple[Launch, ...]:
    """The launch of one residual add and LayerNorm.

    Args:
        rows: Tokens of all images; any number from 1.
        channels: Of one token; a multiple of 8 up to `geometry_rows.MOST_CHANNELS`.
        quantize: The norm is written as INT8 with a scale per row.

    Raises:
        SpecError: The kernel is not made for a size.
    """
    check_rows("add_layer_norm", rows, channels)
    shape = choose_row_shape(channels)
    together = rows_per_block(rows, shape.threads)
    entry = f"add_layer_norm{'_int8' if quantize else ''}_{shape.vectors}"
    return (Launch(entry, (-(-rows // together), 1, 1), (shape.threads, together, 1)),)


def count_add_layer_norm_bytes(
    rows: int, channels: int, *, residual_bytes: int = 2, quantize: bool = False, parameters: int = 4
) -> int:
    """Bytes that have to pass between memory and the GPU, whatever the kernel; for the share of a copy's bandwidth.

    Args:
        rows: Tokens of all images.
        channels: Of one token.
        residual_bytes: Of one element of the residual stream: 2 or 4.
        quantize: The norm is written as INT8 with a scale per row.
        parameters: Vectors of C that are read: 2 of the norm, branch bias and layer scale where there are such.
    """
    normed = channels + 4 if quantize else 2 * channels
    return rows * (2 * residual_bytes * channels + 2 * channels + normed) + 2 * parameters * channels
