from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from pixio_edge.colormap import COLORMAPS, INVALID_COLOR
from pixio_edge.depth import DepthMap, Intrinsics, Timing
from pixio_edge.errors import InputError, OutputError

ALIGNED_RTOL = 1e-5
"""float32 inverse depth resolves 6e-8; scale and shift amplify it by the ratio of the largest to the smallest depth."""


def relative(height: int = 48, width: int = 64, *, invalid: float | None = None) -> DepthMap:
    values = np.random.default_rng(0).normal(2.0, 3.0, (height, width)).astype(np.float32)
    if invalid is not None:
        values[3, 5] = invalid
    return DepthMap(values, source="ort/onnx-fp32-256x256")


def metric(values: object) -> DepthMap:
    return DepthMap(np.array(values, np.float32), kind="metric", unit="m")


def test_depth_map_keeps_the_values_it_was_given() -> None:
    depth = relative()

    assert depth.size == (48, 64)
    assert (depth.kind, depth.unit, depth.timing) == ("relative_inverse", None, None)
    assert depth.inverse() is depth.values


def test_timing_adds_up() -> None:
    assert Timing(pre_ms=1.5, infer_ms=12.0, post_ms=0.5).total_ms == 14.0


@pytest.mark.parametrize(
    "values", [np.zeros((4, 5)), np.zeros((1, 4, 5), np.float32), np.zeros((0, 5), np.float32), np.zeros(4, np.float32)]
)
def test_depth_map_refuses_other_arrays(values: NDArray[np.float32]) -> None:
    with pytest.raises(InputError, match=r"expected float32 \(H, W\). Fix:"):
        DepthMap(values)


@pytest.mark.parametrize(("kind", "unit"), [("metric", None), ("relative_inverse", "m"), ("metric", "mm"), ("x", None)])
def test_depth_map_refuses_a_kind_with_the_wrong_unit(kind: str, unit: str | None) -> None:
    with pytest.raises(InputError, match=f"got kind '{kind}' with unit"):
        DepthMap(np.zeros((2, 2), np.float32), kind=kind, unit=unit)  # type: ignore[arg-type]


def test_inverse_of_metric_depth_is_nan_where_depth_is_not_finite_and_positive() -> None:
    inverse = metric([[0.5, 4.0, 0.0], [-1.0, np.nan, np.inf]]).inverse()

    np.testing.assert_array_equal(inverse, np.array([[2.0, 0.25, np.nan], [np.nan, np.nan, np.nan]], np.float32))


@pytest.mark.parametrize("colormap", COLORMAPS)
def test_colorize_shows_near_bright_and_far_dark_for_both_kinds(colormap: str) -> None:
    inverse = np.linspace(0.1, 1.0, 200, dtype=np.float32).reshape(10, 20)

    from_relative = DepthMap(inverse).colorize(colormap)
    from_metric = metric(1 / inverse).colorize(colormap)

    assert (from_relative.dtype, from_relative.shape) == (np.uint8, (10, 20, 3))
    assert np.abs(from_relative.astype(int) - from_metric).max() <= 16  # 1/x rounds: one entry of the table up or down
    if colormap != "turbo":  # the one map whose brightness does not grow
        luma = from_relative.astype(float) @ [0.299, 0.587, 0.114]
        assert luma[0, 0] < luma[5, 0] < luma[9, 19]


def test_colorize_is_red_green_blue() -> None:
    ends = DepthMap(np.array([[0.0, 1.0]], np.float32)).colorize("turbo", low=0, high=100)

    far, near = ends[0].astype(int)
    assert near[0] > 2 * near[2]  # turbo ends in red
    assert far[2] > far[1]  # and starts in dark blue


def test_colorize_uses_the_percentiles() -> None:
    values = np.arange(101, dtype=np.float32).reshape(1, 101)

    grey = DepthMap(values).colorize("gray", low=10, high=90)[0, :, 0]

    assert (grey[:11] == 0).all()
    assert (grey[90:] == 255).all()
    assert grey[50] == 127


@pytest.mark.parametrize("value", [0.0, 1.0, -3e38, 1e-40])
def test_colorize_gives_the_middle_colour_when_the_map_is_constant(value: float) -> None:
    colors = DepthMap(np.full((4, 5), value, np.float32)).colorize("gray")

    assert (colors == 127).all()


def test_colorize_does_not_show_rounding_noise_when_the_map_is_nearly_constant() -> None:
    values = np.full((4, 5), 1.0, np.float32)
    values[::2] = np.nextafter(np.float32(1), np.float32(2))

    assert len(np.unique(DepthMap(values).colorize("gray"))) == 1


@pytest.mark.parametrize("invalid", [np.nan, np.inf, -np.inf])
def test_colorize_marks_values_that_are_not_finite_and_leaves_the_others(invalid: float) -> None:
    with_gap = relative(invalid=invalid)

    colors = with_gap.colorize()

    assert tuple(colors[3, 5]) == INVALID_COLOR
    finite = np.isfinite(with_gap.values)
    assert not (colors[finite] == INVALID_COLOR).all(axis=1).any()


def test_colorize_marks_everything_when_nothing_is_finite() -> None:
    colors = DepthMap(np.full((4, 5), np.nan, np.float32)).colorize()

    assert (colors == INVALID_COLOR).all()


def test_colorize_finds_the_few_valid_pixels_when_they_lie_between_the_samples() -> None:
    values = np.full((1024, 1024), np.nan, np.float32)
    values[1, 1], values[1, 3] = 0.0, 1.0

    colors = DepthMap(values).colorize("gray", low=0, high=100)

    assert (colors[1, 1, 0], colors[1, 3, 0]) == (0, 255)


def test_colorize_names_the_colormaps_when_the_name_is_unknown() -> None:
    with pytest.raises(InputError, match=r"got 'jet', expected one of inferno, turbo"):
        relative().colorize("jet")


@pytest.mark.parametrize(("low", "high"), [(98, 2), (50, 50), (-1, 98), (2, 101), (np.nan, 98)])
def test_colorize_refuses_percentiles_out_of_order(low: float, high: float) -> None:
    with pytest.raises(InputError, match="expected 0 <= low < high <= 100"):
        relative().colorize(low=low, high=high)


def test_save_npy_keeps_every_bit(tmp_path: Path) -> None:
    depth = relative(invalid=np.nan)

    depth.save(tmp_path / "photo.npy")

    loaded = np.load(tmp_path / "photo.npy", allow_pickle=False)
    assert loaded.dtype == np.float32
    np.testing.assert_array_equal(loaded, depth.values)


def test_save_chooses_the_format_by_suffix(tmp_path: Path) -> None:
    depth = relative()

    depth.save(tmp_path / "a.color.png")
    depth.save_color(tmp_path / "b.png")

    for name in ("a.color.png", "b.png"):
        picture = cv2.imread(str(tmp_path / name), cv2.IMREAD_UNCHANGED)
        np.testing.assert_array_equal(picture[..., ::-1], depth.colorize())


@pytest.mark.parametrize("name", ["a.jpg", "a.tiff", "a", "a.npz", ".npyx"])
def test_save_refuses_a_suffix_it_does_not_know(tmp_path: Path, name: str) -> None:
    with pytest.raises(OutputError, match=r"expected .png, .color.png or .npy. Fix:"):
        relative().save(tmp_path / name)

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["a.npy", "a.depth.png", "a.color.png"])
def test_save_leaves_nothing_when_the_disk_is_full(tiny_disk: Path, name: str) -> None:
    with pytest.raises(OutputError, match="no space left on device"):
        relative(480, 640).save(tiny_disk / name)

    assert list(tiny_disk.iterdir()) == []


@pytest.mark.parametrize("name", ["a.npy", "a.depth.png", "a.color.png"])
def test_save_says_permission_when_the_folder_is_read_only(unwritable_folder: Path, name: str) -> None:
    with pytest.raises(OutputError, match="permission denied"):
        relative().save(unwritable_folder / name)


@pytest.mark.parametrize("name", ["a.npy", "a.depth.png"])
def test_save_leaves_the_old_file_when_interrupted(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / name).write_bytes(b"old")

    def interrupt(path: Path, data: object) -> int:
        path.touch()
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "write_bytes", interrupt)
    with pytest.raises(KeyboardInterrupt):
        relative().save(tmp_path / name)

    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_bytes() == b"old"


def test_align_to_recovers_metric_depth_from_any_scale_and_shift() -> None:
    depth_m = np.random.default_rng(0).uniform(1.0, 20.0, (48, 64)).astype(np.float32)
    timing = Timing(1.0, 2.0, 3.0)
    prediction = DepthMap(7 / depth_m - 2, timing=timing, source="ort/x")

    aligned = prediction.align_to(depth_m)

    assert (aligned.kind, aligned.unit, aligned.timing, aligned.source) == ("metric", "m", timing, "ort/x")
    np.testing.assert_allclose(aligned.values, depth_m, rtol=ALIGNED_RTOL)


def test_align_to_uses_only_valid_pixels_and_clamps_the_far_ones() -> None:
    depth_m = np.random.default_rng(0).uniform(1.0, 20.0, (48, 64)).astype(np.float32)
    prediction = DepthMap(1 / depth_m)
    prediction.values[0] = 0.0
    known = depth_m.copy()
    known[0], known[1], known[2] = np.nan, 0.0, 1e6
    valid = np.ones((48, 64), np.bool_)
    valid[2] = False

    aligned = prediction.align_to(known, valid, max_depth=50.0)

    np.testing.assert_allclose(aligned.values[3:], depth_m[3:], rtol=ALIGNED_RTOL)
    assert (aligned.values[0] == 50.0).all()


def test_align_to_refuses_other_shapes_and_nothing_valid() -> None:
    with pytest.raises(InputError, match=r"known depth: got shape \(2, 3\), expected \(48, 64\)"):
        relative().align_to(np.ones((2, 3), np.float32))
    with pytest.raises(InputError, match=r"valid mask: got shape \(2, 3\)"):
        relative().align_to(np.ones((48, 64), np.float32), np.ones((2, 3), np.bool_))
    with pytest.raises(InputError, match="Fix:"):
        relative().align_to(np.zeros((48, 64), np.float32))


def test_public_names_of_depth_include_the_camera() -> None:
    assert Intrinsics(1.0, 1.0, 0.0, 0.0).fx == 1.0
