"""How rows are divided over threads and blocks by the kernels that work on them."""

from __future__ import annotations

import pytest
from row_cases import MODEL_CHANNELS

from pixio_edge.errors import SpecError
from pixio_edge.kernels.geometry_add_layer_norm import count_add_layer_norm_bytes, plan_add_layer_norm
from pixio_edge.kernels.geometry_bias_gelu import count_bias_gelu_bytes, plan_bias_gelu
from pixio_edge.kernels.geometry_rows import MOST_CHANNELS, MOST_THREADS


@pytest.mark.parametrize("channels", MODEL_CHANNELS)
@pytest.mark.parametrize("rows", [1, 3, 264, 584, 1400 * 8])
def test_plan_of_add_layer_norm_covers_every_vector_of_every_row_once(rows: int, channels: int) -> None:
    (launch,) = plan_add_layer_norm(rows, channels)

    threads, together, _ = launch.block
    vectors = int(launch.entry.removeprefix("add_layer_norm_"))
    assert threads * vectors * 8 == channels  # none is idle
    assert (launch.grid[0] - 1) * together < rows <= launch.grid[0] * together
    assert threads * together % 32 == 0
    assert threads * together <= MOST_THREADS[vectors]
    assert together == 1 or threads <= 32  # rows share no barrier


def test_plan_of_add_layer_norm_puts_more_rows_in_a_block_when_there_are_more_of_them() -> None:
    blocks = [plan_add_layer_norm(rows, 192)[0].block for rows in (1, 4000, 50_000)]

    assert blocks == [(8, 4, 1), (8, 4, 1), (8, 16, 1)]


@pytest.mark.parametrize("channels", [0, 4, 12, 196, MOST_CHANNELS + 8])
def test_plan_of_add_layer_norm_refuses_a_width_that_the_kernel_is_not_made_for(channels: int) -> None:
    with pytest.raises(SpecError, match=rf"add_layer_norm: got {channels} channels, expected a multiple of 8 .*Fix: "):
        plan_add_layer_norm(5, channels)


@pytest.mark.parametrize("rows", [0, -1, 2**31])
def test_plan_of_add_layer_norm_refuses_a_number_of_rows_that_cannot_be(rows: int) -> None:
    with pytest.raises(SpecError, match=rf"add_layer_norm: got {rows} rows, expected 1 to .*Fix: "):
        plan_add_layer_norm(rows, 384)


def test_bytes_of_add_layer_norm_count_every_array_once() -> None:
    plain = count_add_layer_norm_bytes(10, 384)
    quantized = count_add_layer_norm_bytes(10, 384, residual_bytes=4, quantize=True, parameters=2)

    assert plain == 4 * 10 * 384 * 2 + 4 * 384 * 2
    assert quantized == 10 * (2 * 384 * 4 + 384 * 2 + 384 + 4) + 2 * 384 * 2


@pytest.mark.parametrize("channels", [4 * channels for channels in MODEL_CHANNELS])
@pytest.mark.parametrize("rows", [1, 3, 264, 584, 1400 * 8])
def test_plan_of_bias_gelu_covers_every_vector_of_every_row_once(rows: int, channels: int) -> None:
    (launch,) = plan_bias_gelu(rows, channels)

    each = int(launch.entry.removeprefix("bias_gelu_"))
    assert launch.block == (32, 4, 1)
    assert launch.grid[1] * 32 * 8 == channels  # no thread is idle
    assert (launch.grid[0] - 1) * 4 * each < rows <= launch.grid[0] * 4 * each


@pytest.mark.parametrize("channels", [4 * channels for channels in MODEL_CHANNELS])
def test_plan_of_bias_gelu_with_int8_covers_every_vector_of_every_row_once(channels: int) -> None:
    (launch,) = plan_bias_gelu(584, channels, quantize=True)

    vectors = int(launch.entry.removeprefix("bias_gelu_int8_"))
    assert launch.block[0] * vectors * 8 == channels
    assert launch.grid[0] * launch.block[1] == 584


def test_plan_of_bias_gelu_gives_a_thread_two_rows_only_when_the_gpu_is_full_without() -> None:
    entries = [plan_bias_gelu(rows, 1536)[0].entry for rows in (1, 584, 8 * 584)]

    assert entries == ["bias_gelu_1", "bias_gelu_1", "bias_gelu_2"]


@pytest.mark.parametrize(("rows", "channels"), [(5, 12), (5, MOST_CHANNELS + 8), (0, 768)])
@pytest.mark.parametrize("quantize", [False, True])
def test_plan_of_bias_gelu_refuses_what_the_kernel_is_not_made_for(rows: int, channels: int, quantize: bool) -> None:
    with pytest.raises(SpecError, match=r"bias_gelu: got .*, expected .*Fix: "):
        plan_bias_gelu(rows, channels, quantize=quantize)


def test_bytes_of_bias_gelu_count_every_array_once() -> None:
    assert count_bias_gelu_bytes(10, 768) == 2 * 10 * 768 * 2 + 768 * 2
    assert count_bias_gelu_bytes(10, 768, quantize=True) == 10 * (768 * 2 + 768 + 4) + 768 * 2
