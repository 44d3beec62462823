"""Compressed weights and quantised activations of the MIL interpreter, packed and unpacked by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="the extra 'coreml' is not installed")
pytest.importorskip("coremltools", reason="the extra 'coreml' is not installed")

from coremltools.converters.mil.mil import types

from pixio_edge.errors import InputError
from tests.mil_programs import mb, run_op

ZERO = np.zeros(1, np.float32)


def decode(make_weight: Any, *, target: str, precision: Any = "fp32", dtype: str = "fp32") -> np.ndarray:
    """The weight that an operation makes of constants, added to zero so that the program has an input."""

    def make(x: Any) -> Any:
        x = mb.cast(x=x, dtype=dtype) if dtype != "fp32" else x
        return mb.add(x=x, y=make_weight())

    return run_op(make, ZERO, target=target, precision=precision)


def test_affine_dequantize_has_a_scale_and_zero_point_for_each_place_on_the_axis() -> None:
    data = np.array([[10, 12], [0, -4], [127, -128]], np.int8)

    result = decode(
        lambda: mb.constexpr_affine_dequantize(
            quantized_data=data,
            zero_point=np.array([10, 0, -1], np.int8),
            scale=np.array([0.5, 2.0, 1.0], np.float32),
            axis=0,
        ),
        target="iOS16",
    )

    np.testing.assert_array_equal(result, [[0.0, 1.0], [0.0, -8.0], [128.0, -127.0]])


def test_affine_dequantize_takes_one_scale_for_all() -> None:
    result = decode(
        lambda: mb.constexpr_affine_dequantize(
            quantized_data=np.array([[0, 255]], np.uint8), zero_point=np.uint8(128), scale=np.float32(0.25), axis=0
        ),
        target="iOS16",
    )

    np.testing.assert_array_equal(result, [[-32.0, 31.75]])


def test_palette_indices_are_packed_with_the_lowest_bit_first() -> None:
    """Six bits: index 1 in the low bits of byte 0, index 63 over both, index 2 from bit 4 of byte 1 to byte 2."""
    bits = 1 | 63 << 6 | 2 << 12
    packed = np.array([bits & 255, bits >> 8 & 255, bits >> 16 & 255], np.uint8)
    lut = np.arange(64, dtype=np.float32) * 10

    result = decode(
        lambda: mb.constexpr_lut_to_dense(indices=packed, lut=lut, shape=np.array([3, 1], np.uint32)), target="iOS16"
    )

    np.testing.assert_array_equal(result, [[10.0], [630.0], [20.0]])


def test_palette_of_256_values_has_a_byte_for_each_index() -> None:
    lut = np.linspace(-1, 1, 256).astype(np.float32)

    result = decode(
        lambda: mb.constexpr_lut_to_dense(
            indices=np.array([0, 255, 7, 8], np.uint8), lut=lut, shape=np.array([2, 2], np.uint32)
        ),
        target="iOS16",
    )

    np.testing.assert_array_equal(result, lut[[[0, 255], [7, 8]]])


def sub_byte(values: Any, dtype: Any) -> np.ndarray:
    """As coremltools marks whole numbers of fewer than eight bits."""
    return np.array(values).astype(types.nptype_from_builtin(dtype))


def test_palettes_of_ios18_belong_to_blocks_as_in_the_documented_example() -> None:
    indices = sub_byte([[2, 3], [3, 0], [1, 0], [3, 0], [2, 1], [0, 3]], types.uint2)
    lut = np.array([1.0, 5.0, 9.0, 13.0, 2.0, 10.0, 18.0, 26.0], np.float32).reshape(2, 1, 4, 1)

    result = decode(lambda: mb.constexpr_lut_to_dense(indices=indices, lut=lut), target="iOS18")

    np.testing.assert_array_equal(result, [[9, 13], [13, 1], [5, 1], [26, 2], [18, 10], [2, 26]])


def test_palette_of_vectors_is_refused() -> None:
    indices = sub_byte([[0, 1]], types.uint1)

    with pytest.raises(InputError, match="got constexpr_lut_to_dense with palettes of vectors of 3"):
        decode(
            lambda: mb.constexpr_lut_to_dense(
                indices=indices, lut=np.ones((1, 1, 2, 3), np.float32), vector_axis=np.int32(1)
            ),
            target="iOS18",
        )


@pytest.mark.parametrize("with_offset", [True, False])
def test_blockwise_shift_scale_has_a_scale_for_each_block(with_offset: bool) -> None:
    data = np.array([[1, 2, 3, 4], [-1, -2, -3, -4]], np.int8)
    scale = np.array([[1.0, 10.0], [0.5, 2.0]], np.float32)
    given = {"offset": np.array([[1, 0], [0, -4]], np.int8)} if with_offset else {}

    result = decode(lambda: mb.constexpr_blockwise_shift_scale(data=data, scale=scale, **given), target="iOS18")

    shifted = [[0, 1, 30, 40], [-0.5, -1, 2, 0]]
    np.testing.assert_array_equal(result, shifted if with_offset else [[1, 2, 30, 40], [-0.5, -1, -6, -8]])


def test_blockwise_scale_reads_signed_four_bit_numbers() -> None:
    data = sub_byte([[7, -8]], types.int4)

    result = decode(
        lambda: mb.constexpr_blockwise_shift_scale(data=data, scale=np.array([[2.0]], np.float32)), target="iOS18"
    )

    np.testing.assert_array_equal(result, [[14.0, -16.0]])


def test_sparse_weight_of_ios16_has_its_mask_packed() -> None:
    result = decode(
        lambda: mb.constexpr_sparse_to_dense(
            nonzero_data=np.array([3.0, 5.0], np.float32),
            mask=np.array([0b01001], np.uint8),
            shape=np.array([5], np.uint32),
        ),
        target="iOS16",
    )

    np.testing.assert_array_equal(result, [3.0, 0.0, 0.0, 5.0, 0.0])


def test_sparse_weight_of_ios18_has_a_mask_of_its_own_shape() -> None:
    mask = sub_byte([[1, 0], [0, 1]], types.uint1)

    result = decode(
        lambda: mb.constexpr_sparse_to_dense(nonzero_data=np.array([3.0, 5.0], np.float32), mask=mask), target="iOS18"
    )

    np.testing.assert_array_equal(result, [[3.0, 0.0], [0.0, 5.0]])


def test_constexpr_cast_gives_the_stored_half_as_a_float() -> None:
    stored = np.array([1.5, 0.1], np.float16)

    result = decode(lambda: mb.constexpr_cast(source_val=stored, output_dtype="fp32"), target="iOS16")

    np.testing.assert_array_equal(result, stored.astype(np.float32))


def test_decoded_weight_of_declared_fp16_is_rounded_when_fp16_is_emulated() -> None:
    data, scale = np.array([127], np.int8), np.array([0.1], np.float16)

    def weight() -> Any:
        return mb.constexpr_affine_dequantize(quantized_data=data, zero_point=np.int8(0), scale=scale[0], axis=0)

    exact = decode(weight, target="iOS16", dtype="fp16")
    rounded = decode(weight, target="iOS16", dtype="fp16", precision="fp16")

    assert exact == np.float32(127) * np.float32(scale[0])
    assert rounded == np.float16(exact[0])
    assert exact != rounded


def test_quantize_rounds_halves_to_even_adds_the_zero_point_and_clips() -> None:
    x = np.array([0.0, 0.5, 1.5, -0.5, 1000.0, -1000.0], np.float32)

    result = run_op(
        lambda x: mb.quantize(input=x, scale=np.float32(1.0), zero_point=np.int8(3), output_dtype="int8"), x
    )

    assert result.dtype == np.int8
    np.testing.assert_array_equal(result, [3, 3, 5, 3, 127, -128])


def test_quantize_and_dequantize_along_an_axis_go_there_and_back() -> None:
    x = np.array([[1.0, -2.0], [30.0, 40.0]], np.float32)
    given = {"scale": np.array([0.5, 10.0], np.float32), "zero_point": np.array([0, -2], np.int8), "axis": 0}

    def there_and_back(x: Any) -> Any:
        return mb.dequantize(input=mb.quantize(input=x, output_dtype="int8", **given), **given)

    np.testing.assert_array_equal(run_op(there_and_back, x), x)


def test_dequantize_subtracts_in_a_type_that_does_not_overflow() -> None:
    x = np.array([-128, 127], np.int8)

    result = run_op(lambda x: mb.dequantize(input=x, scale=np.float32(1.0), zero_point=np.int8(127)), x)

    np.testing.assert_array_equal(result, [-255.0, 0.0])
