import math
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from pixio_edge.depth import DepthMap
from pixio_edge.errors import InputError, OutputError
from pixio_edge.point_cloud import Intrinsics, PointCloud

CAMERA = Intrinsics(fx=100.0, fy=50.0, cx=2.0, cy=1.0)

FLOAT32_RTOL = 1e-5
"""A few float32 roundings of 6e-8 each; 1/x and the near-far spread add some more."""


def relative(values: object) -> DepthMap:
    return DepthMap(np.array(values, np.float32))


def metric(values: object) -> DepthMap:
    return DepthMap(np.array(values, np.float32), kind="metric", unit="m")


def picture(height: int, width: int) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_point_lies_right_of_and_below_the_axis_when_its_pixel_does() -> None:
    depth = metric(np.full((3, 5), 2.0))

    points = depth.to_point_cloud(CAMERA).points.reshape(3, 5, 3)

    np.testing.assert_allclose(points[1, 2], [0.0, 0.0, 2.0])
    np.testing.assert_allclose(points[2, 4], [2 / 100 * 2.0, 1 / 50 * 2.0, 2.0], rtol=FLOAT32_RTOL)
    np.testing.assert_allclose(points[0, 0], [-2 / 100 * 2.0, -1 / 50 * 2.0, 2.0], rtol=FLOAT32_RTOL)
    assert points.dtype == np.float32


def test_points_of_a_tilted_plane_are_coplanar() -> None:
    camera = Intrinsics.from_fov((60, 80), 65.0)
    rows, columns = np.mgrid[:60, :80]
    rays = np.stack([(columns - camera.cx) / camera.fx, (rows - camera.cy) / camera.fy, np.ones((60, 80))], axis=-1)
    normal, distance = np.array([0.2, -0.5, 0.8]), 3.0
    depth = metric(distance / (rays @ normal))

    points = depth.to_point_cloud(camera).points

    assert len(points) == 60 * 80
    np.testing.assert_allclose(points @ normal, distance, rtol=FLOAT32_RTOL)


def test_pixels_without_a_usable_depth_are_left_out_with_their_colours() -> None:
    depth = metric([[1.0, 0.0, -2.0], [np.nan, np.inf, 200.0], [3.0, 80.0, 5.0]])
    rgb = picture(3, 3)

    cloud = depth.to_point_cloud(CAMERA, rgb=rgb)

    assert cloud.points[:, 2].tolist() == [1.0, 3.0, 80.0, 5.0]
    assert cloud.colors is not None
    np.testing.assert_array_equal(cloud.colors, rgb[[0, 2, 2, 2], [0, 0, 1, 2]])


def test_max_depth_limits_the_points() -> None:
    depth = metric([[1.0, 2.0, 300.0]])

    assert len(depth.to_point_cloud(CAMERA)) == 2
    assert len(depth.to_point_cloud(CAMERA, max_depth=1.5)) == 1
    assert len(depth.to_point_cloud(CAMERA, max_depth=1000.0)) == 3


def test_relative_map_becomes_metric_by_scale_and_shift() -> None:
    depth = relative([[0.0, 1.0, 4.0, -1.0]])

    with_shift = depth.to_point_cloud(CAMERA, scale=0.5, shift=0.1)
    without_shift = depth.to_point_cloud(CAMERA, scale=0.5)

    # 1/(0.5 v + 0.1): 10 m, 1.67 m, 0.48 m, and behind the camera; without the shift the first is at infinity.
    np.testing.assert_allclose(with_shift.points[:, 2], [10.0, 1 / 0.6, 1 / 2.1], rtol=FLOAT32_RTOL)
    np.testing.assert_allclose(without_shift.points[:, 2], [2.0, 0.5], rtol=FLOAT32_RTOL)


@pytest.mark.parametrize("far", [90.0, 61.0])  # 61: in float32, 1 / (1 / 61) is larger than 61
def test_relative_depth_range_puts_the_extremes_at_near_and_far_and_keeps_every_point(far: float) -> None:
    values = np.random.default_rng(0).normal(size=(100, 100)).astype(np.float32)
    depth = relative(values)

    points = depth.to_point_cloud(CAMERA, relative_depth_range=(0.7, far)).points

    assert len(points) == 10_000
    assert math.isclose(points[values.argmax(), 2], 0.7, rel_tol=FLOAT32_RTOL)
    assert math.isclose(points[values.argmin(), 2], far, rel_tol=FLOAT32_RTOL)


def test_relative_depth_range_leaves_out_missing_values_and_puts_a_constant_map_far_away() -> None:
    with_gap = relative([[0.0, np.nan, 1.0]]).to_point_cloud(CAMERA, relative_depth_range=(1.0, 10.0))
    constant = relative([[3.0, 3.0]]).to_point_cloud(CAMERA, relative_depth_range=(1.0, 10.0))
    nothing = relative([[np.nan]]).to_point_cloud(CAMERA, relative_depth_range=(1.0, 10.0))

    np.testing.assert_allclose(with_gap.points[:, 2], [10.0, 1.0], rtol=FLOAT32_RTOL)
    np.testing.assert_allclose(constant.points[:, 2], [10.0, 10.0], rtol=FLOAT32_RTOL)
    assert len(nothing) == 0


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"shift": 0.5},
        {"scale": 1.0, "relative_depth_range": (1.0, 2.0)},
        {"shift": 1.0, "relative_depth_range": (1, 2)},
    ],
)
def test_relative_map_is_refused_when_its_unit_is_not_given_once(options: dict[str, object]) -> None:
    with pytest.raises(InputError, match=r"a relative map has no unit, expected either scale .*Fix: use align_to"):
        relative([[1.0]]).to_point_cloud(CAMERA, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("options", [{"scale": 1.0}, {"shift": 0.5}, {"relative_depth_range": (1.0, 2.0)}])
def test_metric_map_is_refused_when_a_scale_is_given(options: dict[str, object]) -> None:
    with pytest.raises(InputError, match="with a metric map, expected none"):
        metric([[1.0]]).to_point_cloud(CAMERA, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("depth_range", [(2.0, 1.0), (0.0, 1.0), (-1.0, 1.0), (1.0, math.inf), (math.nan, 1.0)])
def test_relative_depth_range_is_refused_when_it_is_no_range(depth_range: tuple[float, float]) -> None:
    with pytest.raises(InputError, match="expected 0 < near < far"):
        relative([[1.0]]).to_point_cloud(CAMERA, relative_depth_range=depth_range)


def test_colours_are_refused_when_the_picture_has_another_size_or_dtype() -> None:
    with pytest.raises(InputError, match=r"rgb: got shape \(2, 2\), expected \(1, 1\)"):
        metric([[1.0]]).to_point_cloud(CAMERA, rgb=picture(2, 2))
    with pytest.raises(InputError, match="float64"):
        metric([[1.0]]).to_point_cloud(CAMERA, rgb=np.zeros((1, 1, 3)))  # type: ignore[arg-type]


def test_from_fov_centres_the_camera_and_spans_the_angle() -> None:
    camera = Intrinsics.from_fov((480, 640), 90.0)

    assert (camera.cx, camera.cy) == (319.5, 239.5)
    assert camera.fx == camera.fy
    assert math.isclose(camera.fx, 320.0)


@pytest.mark.parametrize("angle", [0.0, 180.0, -5.0, math.nan])
def test_from_fov_refuses_an_angle_that_no_camera_has(angle: float) -> None:
    with pytest.raises(InputError, match="expected an angle between 0 and 180"):
        Intrinsics.from_fov((480, 640), angle)


@pytest.mark.parametrize("values", [(0.0, 1.0, 0.0, 0.0), (1.0, -1.0, 0.0, 0.0), (1.0, 1.0, math.nan, 0.0)])
def test_intrinsics_refuse_what_is_no_camera(values: tuple[float, float, float, float]) -> None:
    with pytest.raises(InputError, match=r"positive focal lengths in pixels. Fix:"):
        Intrinsics(*values)


def read_ply(path: Path) -> tuple[list[str], bytes]:
    header, _, body = path.read_bytes().partition(b"end_header\n")
    return header.decode("ascii").splitlines(), body


def test_save_ply_writes_positions_and_colours_little_endian(tmp_path: Path) -> None:
    points = np.array([[1.0, -2.0, 3.5], [4.0, 5.0, 6.0]], np.float32)
    colors = np.array([[1, 2, 3], [253, 254, 255]], np.uint8)

    PointCloud(points, colors).save_ply(tmp_path / "cloud.ply")

    header, body = read_ply(tmp_path / "cloud.ply")
    assert header == [
        "ply",
        "format binary_little_endian 1.0",
        "element vertex 2",
        *[f"property float {axis}" for axis in "xyz"],
        *[f"property uchar {channel}" for channel in ("red", "green", "blue")],
    ]
    assert len(body) == 2 * 15
    assert np.frombuffer(body[15:27], "<f4").tolist() == [4.0, 5.0, 6.0]
    assert list(body[27:]) == [253, 254, 255]


@pytest.mark.parametrize("count", [0, 3])
def test_save_ply_leaves_colours_out_when_there_are_none(tmp_path: Path, count: int) -> None:
    points = np.arange(count * 3, dtype=np.float32).reshape(count, 3)

    PointCloud(points).save_ply(tmp_path / "cloud.ply")

    header, body = read_ply(tmp_path / "cloud.ply")
    assert f"element vertex {count}" in header
    assert len(header) == 6
    np.testing.assert_array_equal(np.frombuffer(body, "<f4").reshape(-1, 3), points)


def test_save_ply_refuses_another_suffix_and_leaves_nothing_when_the_disk_is_full(tiny_disk: Path) -> None:
    cloud = PointCloud(np.zeros((100_000, 3), np.float32))

    with pytest.raises(OutputError, match=r"got suffix '.xyz', expected .ply"):
        cloud.save_ply(tiny_disk / "cloud.xyz")
    with pytest.raises(OutputError, match="no space left on device"):
        cloud.save_ply(tiny_disk / "cloud.ply")

    assert list(tiny_disk.iterdir()) == []


@pytest.mark.parametrize(
    ("points", "colors"),
    [
        (np.zeros((4, 3)), None),
        (np.zeros((4, 2), np.float32), None),
        (np.zeros((4, 3), np.float32), np.zeros((5, 3), np.uint8)),
        (np.zeros((4, 3), np.float32), np.zeros((4, 3), np.float32)),
    ],
)
def test_point_cloud_refuses_arrays_that_do_not_belong_together(
    points: NDArray[np.float32], colors: NDArray[np.uint8] | None
) -> None:
    with pytest.raises(InputError, match="expected"):
        PointCloud(points, colors)
