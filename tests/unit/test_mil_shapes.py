"""Operations of the MIL interpreter that move elements, on arrays small enough to follow by eye."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="the extra 'coreml' is not installed")
pytest.importorskip("coremltools", reason="the extra 'coreml' is not installed")

from pixio_edge.errors import InputError
from tests.mil_programs import floats, mb, run_op, trace_op

COUNT = np.arange(24, dtype=np.float32).reshape(2, 3, 4)


@pytest.mark.parametrize(
    ("shape", "expected"), [((4, 6), (4, 6)), ((2, -1), (2, 12)), ((0, 12, -1), (2, 12, 1)), ((0, 0, 4), (2, 3, 4))]
)
def test_reshape_keeps_the_order_of_elements(shape: tuple[int, ...], expected: tuple[int, ...]) -> None:
    np.testing.assert_array_equal(run_op(lambda x: mb.reshape(x=x, shape=shape), COUNT), COUNT.reshape(expected))


def test_reshape_with_zero_and_another_rank_is_refused() -> None:
    with pytest.raises(InputError, match=r"got reshape with 0 in shape \[0, 12\] of 3 dimensions"):
        run_op(lambda x, shape: mb.reshape(x=x, shape=shape), COUNT, np.array([0, 12], np.int32))


def test_transpose_orders_dimensions_by_perm() -> None:
    np.testing.assert_array_equal(run_op(lambda x: mb.transpose(x=x, perm=[2, 0, -2]), COUNT), COUNT.transpose(2, 0, 1))


@pytest.mark.parametrize(
    ("axes", "shape"), [([0], (1, 2, 3, 4)), ([-1, 1], (2, 1, 3, 4, 1)), ([3, 2], (2, 3, 1, 1, 4))]
)
def test_expand_dims_counts_places_in_the_result(axes: list[int], shape: tuple[int, ...]) -> None:
    np.testing.assert_array_equal(run_op(lambda x: mb.expand_dims(x=x, axes=axes), COUNT), COUNT.reshape(shape))


@pytest.mark.parametrize(("axes", "shape"), [([0], (3, 1, 4)), ([-2], (1, 3, 4)), (None, (3, 4)), ([0, 1], (3, 1, 4))])
def test_squeeze_takes_only_dimensions_of_one_element(axes: list[int] | None, shape: tuple[int, ...]) -> None:
    x = COUNT[:1].reshape(1, 3, 1, 4)
    given = {"axes": axes} if axes else {}

    np.testing.assert_array_equal(run_op(lambda x: mb.squeeze(x=x, **given), x), x.reshape(shape))


@pytest.mark.parametrize(("axis", "shape"), [(1, (2, 12)), (2, (6, 4)), (-1, (6, 4))])
def test_flatten2d_leaves_two_dimensions(axis: int, shape: tuple[int, int]) -> None:
    np.testing.assert_array_equal(run_op(lambda x: mb.flatten2d(x=x, axis=axis), COUNT), COUNT.reshape(shape))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"begin": [0, 1, 1], "end": [2, 3, 4]}, COUNT[:, 1:, 1:]),
        ({"begin": [1, 0, 0], "end": [2, -1, 4]}, COUNT[1:, :-1]),
        ({"begin": [0, 0, 3], "end": [2, 3, 0], "stride": [1, 1, -2]}, COUNT[:, :, 3:0:-2]),
        (
            {
                "begin": [7, 1, 3],
                "end": [9, 9, 9],
                "stride": [1, 1, -1],
                "begin_mask": [True, False, False],
                "end_mask": [True, True, True],
            },
            COUNT[:, 1:, 3::-1],
        ),
        ({"begin": [0, -1, 1], "end": [2, 0, 3], "squeeze_mask": [False, True, False]}, COUNT[:, -1, 1:3]),
        ({"begin": [0, 0, 0], "end": [2, 3, 4], "stride": [1, 2, 3]}, COUNT[:, ::2, ::3]),
    ],
    ids=["bounds", "negative", "backwards", "masks", "squeeze", "strides"],
)
def test_slice_by_index_slices_as_numpy_does(given: dict[str, Any], expected: np.ndarray) -> None:
    result = run_op(lambda x: mb.slice_by_index(x=x, **given), COUNT)

    np.testing.assert_array_equal(result, expected)


def test_slice_by_size_takes_the_rest_with_minus_one() -> None:
    result = run_op(lambda x: mb.slice_by_size(x=x, begin=[1, 0, 1], size=[1, 2, -1]), COUNT)

    np.testing.assert_array_equal(result, COUNT[1:2, :2, 1:])


def test_crop_takes_rows_and_columns_off() -> None:
    result = run_op(lambda x: mb.crop(x=x, crop_height=[1, 0], crop_width=[1, 2]), COUNT)

    np.testing.assert_array_equal(result, COUNT[:, 1:, 1:-2])


@pytest.mark.parametrize(
    "given", [{"split_sizes": [1, 3]}, {"num_splits": 2}, {"num_splits": 2, "split_sizes": [3, 1]}]
)
def test_split_gives_parts_of_the_sizes(given: dict[str, Any]) -> None:
    place = given.get("split_sizes", [2])[0]

    outputs = trace_op(lambda x: mb.split(x=x, axis=-1, **given), COUNT).outputs

    first, second = outputs.values()
    np.testing.assert_array_equal(first, COUNT[..., :place])
    np.testing.assert_array_equal(second, COUNT[..., place:])


@pytest.mark.parametrize(
    ("interleave", "expected"),
    [
        (False, [[1, 2], [3, 4], [5, 6], [7, 8], [9, 10], [11, 12]]),
        (True, [[1, 2], [7, 8], [3, 4], [9, 10], [5, 6], [11, 12]]),
    ],
)
def test_concat_follows_the_documented_example(interleave: bool, expected: list[list[int]]) -> None:
    x, y = np.array([[1, 2], [3, 4], [5, 6]], np.float32), np.array([[7, 8], [9, 10], [11, 12]], np.float32)

    result = run_op(lambda x, y: mb.concat(values=(x, y), axis=0, interleave=interleave), x, y)

    np.testing.assert_array_equal(result, expected)


def test_concat_makes_a_vector_of_numbers() -> None:
    def make(x: Any) -> Any:
        last = mb.gather(x=mb.shape(x=x), indices=np.int32(2), axis=0)
        return mb.concat(values=(last, np.int32(-1), last), axis=0)

    np.testing.assert_array_equal(run_op(make, COUNT), [4, -1, 4])


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_stack_makes_a_new_axis(axis: int) -> None:
    result = run_op(lambda x, y: mb.stack(values=(x, y), axis=axis), COUNT, COUNT + 1)

    np.testing.assert_array_equal(result, np.stack([COUNT, COUNT + 1], axis=axis))


def test_tile_repeats_each_dimension() -> None:
    np.testing.assert_array_equal(run_op(lambda x: mb.tile(x=x, reps=[1, 2, 3]), COUNT), np.tile(COUNT, [1, 2, 3]))


@pytest.mark.parametrize("axes", [[1], [0, -1], None])
def test_reverse_turns_axes_round(axes: list[int] | None) -> None:
    given = {"axes": axes} if axes else {}

    np.testing.assert_array_equal(run_op(lambda x: mb.reverse(x=x, **given), COUNT), np.flip(COUNT, axes))


@pytest.mark.parametrize(
    ("mode", "expected"),
    [("constant", [9, 9, 0, 1, 2, 3, 9]), ("reflect", [2, 1, 0, 1, 2, 3, 2]), ("replicate", [0, 0, 0, 1, 2, 3, 3])],
)
def test_pad_adds_to_the_last_dimensions(mode: str, expected: list[int]) -> None:
    result = run_op(lambda x: mb.pad(x=x, pad=[2, 1], mode=mode, constant_val=9.0), COUNT[0])

    np.testing.assert_array_equal(result[0], expected)
    assert result.shape == (3, 7)


def test_pixel_shuffle_and_depth_to_space_differ_in_which_channels_make_a_block() -> None:
    x = np.arange(8, dtype=np.float32).reshape(1, 8, 1, 1)

    shuffled = run_op(lambda x: mb.pixel_shuffle(x=x, upscale_factor=2), x)
    spaced = run_op(lambda x: mb.depth_to_space(x=x, block_size=2), x)

    np.testing.assert_array_equal(shuffled, [[[[0, 1], [2, 3]], [[4, 5], [6, 7]]]])
    np.testing.assert_array_equal(spaced, [[[[0, 2], [4, 6]], [[1, 3], [5, 7]]]])


def test_pixel_unshuffle_and_space_to_depth_go_back() -> None:
    x = floats(2, 8, 3, 5)

    def there_and_back(x: Any) -> tuple[Any, Any]:
        return (
            mb.pixel_unshuffle(x=mb.pixel_shuffle(x=x, upscale_factor=2), downscale_factor=np.uint32(2)),
            mb.space_to_depth(x=mb.depth_to_space(x=x, block_size=2), block_size=2),
        )

    for output in trace_op(there_and_back, x).outputs.values():
        np.testing.assert_array_equal(output, x)


def test_shape_gives_the_sizes() -> None:
    result = run_op(lambda x: mb.shape(x=mb.reshape(x=x, shape=[4, 6])), COUNT)

    np.testing.assert_array_equal(result, [4, 6])


@pytest.mark.parametrize(("axis", "indices"), [(0, [1, 0, 1]), (1, [[2, 0], [1, 1]]), (-1, [3])])
def test_gather_picks_by_index(axis: int, indices: list[Any]) -> None:
    result = run_op(lambda x: mb.gather(x=x, indices=np.array(indices, np.int32), axis=axis), COUNT)

    np.testing.assert_array_equal(result, np.take(COUNT, indices, axis=axis))


def test_gather_of_one_index_takes_the_dimension_away() -> None:
    result = run_op(lambda x: mb.gather(x=mb.shape(x=x), indices=np.int32(2), axis=0), COUNT)

    assert result.shape == ()
    assert result == 4


def test_gather_below_zero_counts_from_the_end_before_ios17() -> None:
    result = run_op(lambda x: mb.gather(x=x, indices=np.array([-1], np.int32), axis=2), COUNT, target="iOS16")

    np.testing.assert_array_equal(result, COUNT[..., -1:])


def test_gather_in_batches_is_refused() -> None:
    with pytest.raises(InputError, match="got gather with batch_dims 1"):
        run_op(lambda x: mb.gather(x=x, indices=np.zeros((2, 1), np.int32), axis=1, batch_dims=1), COUNT)


def test_fill_gives_one_value_in_a_computed_shape() -> None:
    shape = np.array([2, 3], np.int32)

    np.testing.assert_array_equal(run_op(lambda shape: mb.fill(shape=shape, value=1.5), shape), np.full((2, 3), 1.5))


def test_reshape_to_a_computed_shape_works() -> None:
    def make(x: Any, shape: Any) -> Any:
        return mb.reshape(x=x, shape=shape)

    result = run_op(make, COUNT, np.array([4, 6], np.int32))

    np.testing.assert_array_equal(result, COUNT.reshape(4, 6))
