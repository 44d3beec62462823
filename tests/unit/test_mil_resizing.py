"""Resizing of the MIL interpreter: the grids that Apple's documentation prints, and torch where it has the mode."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra 'coreml' is not installed")
pytest.importorskip("coremltools", reason="the extra 'coreml' is not installed")

from pixio_edge.errors import InputError  # noqa: E402
from tests.mil_programs import floats, mb, run_op  # noqa: E402

ATOL = 1e-6
# As printed, with two places: where in [0, 1] the samples lie when two elements become five or six.
DOCUMENTED = {
    ("UNALIGN_CORNERS", 5): [0.0, 0.1, 0.5, 0.9, 1.0],
    ("STRICT_ALIGN_CORNERS", 5): [0.0, 0.25, 0.5, 0.75, 1.0],
    ("ALIGN_CORNERS", 5): [0.0, 0.25, 0.5, 0.75, 1.0],
    ("DEFAULT", 5): [0.0, 0.4, 0.8, 1.0, 1.0],
    ("OFFSET_CORNERS", 5): [0.1, 0.3, 0.5, 0.7, 0.9],
    ("UNALIGN_CORNERS", 6): [0.0, 0.0, 0.33, 0.67, 1.0, 1.0],
    ("STRICT_ALIGN_CORNERS", 6): [0.0, 0.2, 0.4, 0.6, 0.8, 1.0],
    ("ALIGN_CORNERS", 6): [0.0, 0.2, 0.4, 0.6, 0.8, 1.0],
    ("DEFAULT", 6): [0.0, 0.33, 0.67, 1.0, 1.0, 1.0],
    ("OFFSET_CORNERS", 6): [0.08, 0.25, 0.42, 0.58, 0.75, 0.92],
}
PRINTED_ATOL = 0.005


@pytest.mark.parametrize(("mode", "size"), DOCUMENTED)
@pytest.mark.parametrize("is_height", [True, False])
def test_resize_bilinear_samples_where_the_documentation_says(mode: str, size: int, is_height: bool) -> None:
    ramp = np.array([[[[0.0, 1.0]]]], np.float32)
    x = ramp.swapaxes(2, 3).copy() if is_height else ramp
    target = {"target_size_height": size if is_height else 1, "target_size_width": 1 if is_height else size}

    result = run_op(lambda x: mb.resize_bilinear(x=x, **target, sampling_mode=mode), x)

    np.testing.assert_allclose(result.reshape(-1), DOCUMENTED[mode, size], atol=PRINTED_ATOL)


@pytest.mark.parametrize(
    ("mode", "expected"),
    [("STRICT_ALIGN_CORNERS", 0.0), ("ALIGN_CORNERS", 1.0), ("DEFAULT", 0.0), ("UNALIGN_CORNERS", 1.0)],
)
def test_one_sample_lies_at_the_start_or_in_the_middle(mode: str, expected: float) -> None:
    x = np.array([[[[0.0, 1.0, 2.0]]]], np.float32)

    result = run_op(lambda x: mb.resize_bilinear(x=x, target_size_height=1, target_size_width=1, sampling_mode=mode), x)

    assert result.item() == expected


@pytest.mark.parametrize("align_corners", [True, False])
@pytest.mark.parametrize("scales", [(2.0, 2.0), (1.5, 4.0)])
def test_upsample_bilinear_is_what_torch_computes(align_corners: bool, scales: tuple[float, float]) -> None:
    x = floats(1, 3, 4, 6)
    size = (int(4 * scales[0]), int(6 * scales[1]))
    expected = torch.nn.functional.interpolate(
        torch.from_numpy(x), size=size, mode="bilinear", align_corners=align_corners
    )

    result = run_op(
        lambda x: mb.upsample_bilinear(
            x=x, scale_factor_height=scales[0], scale_factor_width=scales[1], align_corners=align_corners
        ),
        x,
    )

    np.testing.assert_allclose(result, expected, atol=ATOL)


@pytest.mark.parametrize(("mode", "align_corners"), [("STRICT_ALIGN_CORNERS", True), ("UNALIGN_CORNERS", False)])
def test_resize_keeps_a_dimension_of_zero_and_is_what_torch_computes(mode: str, align_corners: bool) -> None:
    x = floats(1, 2, 5, 7)
    expected = torch.nn.functional.interpolate(
        torch.from_numpy(x), size=(5, 11), mode="bilinear", align_corners=align_corners
    )

    result = run_op(
        lambda x: mb.resize(
            x=x, shape=[0, 11], resized_dims=np.uint32(2), interpolation_mode="LINEAR", sampling_mode=mode
        ),
        x,
    )

    np.testing.assert_allclose(result, expected, atol=ATOL)


def test_nearest_neighbour_repeats_elements() -> None:
    x = np.array([[[[1.0, 2.0, 3.0]]]], np.float32)

    doubled = run_op(lambda x: mb.upsample_nearest_neighbor(x=x, scale_factor_height=2, scale_factor_width=2), x)
    five = run_op(lambda x: mb.resize_nearest_neighbor(x=x, target_size_height=1, target_size_width=5), x)
    resized = run_op(
        lambda x: mb.resize(x=x, shape=[1, 5], resized_dims=np.uint32(2), interpolation_mode="NEAREST_NEIGHBOR"), x
    )

    np.testing.assert_array_equal(doubled[0, 0], [[1, 1, 2, 2, 3, 3]] * 2)
    np.testing.assert_array_equal(five[0, 0], [[1, 1, 2, 2, 3]])
    np.testing.assert_array_equal(resized, five)


def test_resize_of_three_dimensions_is_refused() -> None:
    with pytest.raises(InputError, match="got resize with resized_dims 3"):
        run_op(lambda x: mb.resize(x=x, shape=[3, 4, 5], resized_dims=np.uint32(3)), floats(1, 2, 3, 4))


def test_nearest_neighbour_on_another_grid_is_refused() -> None:
    with pytest.raises(InputError, match="NEAREST_NEIGHBOR with sampling_mode 'UNALIGN_CORNERS'"):
        run_op(
            lambda x: mb.resize(
                x=x,
                shape=[4, 4],
                resized_dims=np.uint32(2),
                interpolation_mode="NEAREST_NEIGHBOR",
                sampling_mode="UNALIGN_CORNERS",
            ),
            floats(1, 1, 2, 2),
        )
