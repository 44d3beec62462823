"""Conversions of the ROS 2 example: images of every encoding, depth images, point clouds byte by byte, intrinsics."""

from __future__ import annotations

import struct
import sys

import fake_ros
import numpy as np
import pytest
from fake_ros import make_image, make_info, region
from jetson_example import load_example

from pixio_edge.depth import DepthMap, Intrinsics, PointCloud
from pixio_edge.errors import InputError

images = load_example("pixio_edge_ros.image_message")
infos = load_example("pixio_edge_ros.camera_info")
clouds = load_example("pixio_edge_ros.cloud_message")
metres = load_example("pixio_edge_ros.metres")

# Fixed point of OpenCV against the formula of BT.601.
YUV_LEVELS = 2


def colours(size: tuple[int, int]) -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (*size, 3), dtype=np.uint8)


def padded(rows: np.ndarray, step: int) -> bytes:
    """Rows of bytes with rubbish up to `step`, none after the last."""
    assert rows.ndim == 2
    full = np.full((rows.shape[0], step), 0xEE, np.uint8)
    full[:, : rows.shape[1]] = rows
    return full.tobytes()[: step * (rows.shape[0] - 1) + rows.shape[1]]


@pytest.mark.parametrize(
    ("encoding", "order"),
    [("rgb8", (0, 1, 2)), ("bgr8", (2, 1, 0)), ("rgba8", (0, 1, 2, 0)), ("bgra8", (2, 1, 0, 0))],
)
@pytest.mark.parametrize("padding", [0, 7])
def test_packed_image_decodes_to_rgb_whatever_its_stride(encoding: str, order: tuple[int, ...], padding: int) -> None:
    rgb = colours((5, 6))
    rows = rgb[..., order].reshape(5, -1)
    step = rows.shape[1] + padding

    decoded = images.decode_image(make_image(padded(rows, step), size=(5, 6), encoding=encoding, step=step))

    np.testing.assert_array_equal(decoded, rgb)


@pytest.mark.parametrize("encoding", ["mono8", "8UC1"])
def test_grey_image_decodes_to_three_equal_channels(encoding: str) -> None:
    grey = colours((4, 3))[..., 0]

    decoded = images.decode_image(make_image(padded(grey, 8), size=(4, 3), encoding=encoding, step=8))

    np.testing.assert_array_equal(decoded, np.repeat(grey[..., None], 3, axis=2))


@pytest.mark.parametrize(("is_bigendian", "dtype"), [(0, "<u2"), (1, ">u2")])
@pytest.mark.parametrize(("encoding", "order"), [("mono16", (0,)), ("rgb16", (0, 1, 2)), ("bgr16", (2, 1, 0))])
def test_deep_image_keeps_its_upper_bits_in_either_byte_order(
    is_bigendian: int, dtype: str, encoding: str, order: tuple[int, ...]
) -> None:
    rgb = colours((3, 5))
    if encoding == "mono16":
        rgb = np.repeat(rgb[..., :1], 3, axis=2)
    deep = np.ascontiguousarray(rgb[..., order].astype(np.uint16) << 8 | 0x21, dtype)
    rows = deep.view(np.uint8).reshape(3, -1)
    step = rows.shape[1] + 3  # odd, so that samples lie at odd addresses too

    message = make_image(padded(rows, step), size=(3, 5), encoding=encoding, step=step, is_bigendian=is_bigendian)

    np.testing.assert_array_equal(images.decode_image(message), rgb)


# Red in BT.601 with limited range; red and blue change places when U and V do.
RED_YUV = (82, 90, 240)


def packed_yuv(order: str) -> np.ndarray:
    y, u, v = RED_YUV
    pair = {"y": y, "u": u, "v": v}
    return np.array([[pair[letter] for letter in order] * 2] * 2, np.uint8)  # 2 rows of 4 pixels


@pytest.mark.parametrize(
    ("encoding", "order"), [("yuyv", "yuyv"), ("yuv422_yuy2", "yuyv"), ("uyvy", "uyvy"), ("yuv422", "uyvy")]
)
def test_packed_yuv_decodes_to_its_colour(encoding: str, order: str) -> None:
    message = make_image(padded(packed_yuv(order), 11), size=(2, 4), encoding=encoding, step=11)

    decoded = images.decode_image(message).astype(int)

    assert np.abs(decoded - (255, 0, 0)).max() <= YUV_LEVELS


@pytest.mark.parametrize(("encoding", "pair"), [("nv12", (90, 240)), ("nv21", (240, 90))])
def test_planar_yuv_decodes_to_its_colour(encoding: str, pair: tuple[int, int]) -> None:
    rows = np.full((3, 4), RED_YUV[0], np.uint8)  # two rows of luminance, one of colour
    rows[2] = pair * 2

    decoded = images.decode_image(make_image(padded(rows, 9), size=(2, 4), encoding=encoding, step=9)).astype(int)

    assert decoded.shape == (2, 4, 3)
    assert np.abs(decoded - (255, 0, 0)).max() <= YUV_LEVELS


@pytest.mark.parametrize(
    ("encoding", "fix"),
    [("bayer_rggb8", "debayer"), ("8UC3", "rgb8 or bgr8; 8UC3 leaves"), ("32FC1", "rgb8 or bgr8"), ("", "rgb8")],
)
def test_encoding_that_is_not_a_picture_is_refused_with_advice(encoding: str, fix: str) -> None:
    with pytest.raises(InputError, match=f"Fix: .*{fix}"):
        images.decode_image(make_image(bytes(48), size=(4, 4), encoding=encoding, step=12))


@pytest.mark.parametrize(
    ("length", "size", "step", "encoding"),
    [
        (47, (4, 4), 12, "rgb8"),
        (48, (4, 4), 11, "rgb8"),
        (48, (0, 4), 12, "rgb8"),
        (48, (4, 0), 12, "rgb8"),
        (48, (4, 3), 6, "yuyv"),
        (48, (3, 4), 4, "nv12"),
        (0, (4, 4), 12, "rgb8"),
    ],
)
def test_message_that_contradicts_itself_is_refused_before_it_is_read(
    length: int, size: tuple[int, int], step: int, encoding: str
) -> None:
    with pytest.raises(InputError, match="Fix: check the driver"):
        images.decode_image(make_image(bytes(length), size=size, encoding=encoding, step=step))


def test_rgb8_is_not_copied() -> None:
    message = make_image(bytes(36), size=(3, 4), encoding="rgb8", step=12)

    decoded = images.decode_image(message)
    message.data[0] = 200

    assert decoded[0, 0, 0] == 200


def test_depth_image_has_the_bytes_stamp_and_frame_of_its_source() -> None:
    values = np.array([[1.5, np.nan, np.inf], [0.25, 2.0, 80.0]], np.float32)
    message, header = fake_ros.Image(), fake_ros.Header(fake_ros.Stamp(7, 8), "optical")

    images.fill_depth_image(message, values[:, ::-1], header)

    assert (message.height, message.width, message.encoding, message.step) == (2, 3, "32FC1", 12)
    assert message.is_bigendian == (sys.byteorder == "big")
    assert message.data.tobytes() == struct.pack("=6f", np.inf, np.nan, 1.5, 80.0, 2.0, 0.25)
    assert message.header == header
    assert message.header is not header


def test_point_cloud_is_laid_out_byte_by_byte_as_pcl_reads_it() -> None:
    points = np.array([[1.0, -2.0, 3.0], [0.5, 0.25, 8.0]], np.float32)
    colors = np.array([[255, 1, 2], [16, 32, 64]], np.uint8)
    message, header = fake_ros.PointCloud2(), fake_ros.Header(fake_ros.Stamp(7, 8), "optical")

    clouds.fill_cloud(message, PointCloud(points, colors), header, fake_ros.PointField)

    expected = struct.pack("=3fI3fI", 1.0, -2.0, 3.0, 0xFF0102, 0.5, 0.25, 8.0, 0x102040)
    assert message.data.tobytes() == expected
    assert [(f.name, f.offset, f.datatype, f.count) for f in message.fields] == [
        ("x", 0, 7, 1),
        ("y", 4, 7, 1),
        ("z", 8, 7, 1),
        ("rgb", 12, 7, 1),
    ]
    assert (message.height, message.width, message.point_step, message.row_step) == (1, 2, 16, 32)
    assert message.is_bigendian is (sys.byteorder == "big")
    assert message.is_dense is True
    assert message.header == header


def test_empty_cloud_is_a_message_without_points() -> None:
    message = fake_ros.PointCloud2()

    clouds.fill_cloud(message, PointCloud(np.zeros((0, 3), np.float32)), fake_ros.Header(), fake_ros.PointField)

    assert (message.width, message.row_step, len(message.data)) == (0, 0, 0)


def test_thinned_cloud_holds_points_of_the_full_one() -> None:
    generator = np.random.default_rng(0)
    depth_m = generator.uniform(1, 9, (7, 10)).astype(np.float32)
    depth_m[0, 0], depth_m[3, 6] = np.nan, np.inf
    rgb, camera = colours((7, 10)), Intrinsics(50.0, 60.0, 4.5, 3.0)

    full = clouds.make_cloud(depth_m, rgb, camera, stride=1, max_depth_m=20.0)
    thinned = clouds.make_cloud(depth_m, rgb, camera, stride=3, max_depth_m=20.0)

    by_place = {tuple(np.round(point, 4)): tuple(color) for point, color in zip(full.points, full.colors, strict=True)}
    assert len(full) == 68
    assert len(thinned) == 3 * 4 - 2
    for point, color in zip(thinned.points, thinned.colors, strict=True):
        assert by_place[tuple(np.round(point, 4))] == tuple(color)


def test_intrinsics_are_k_of_a_raw_and_p_of_a_rectified_image() -> None:
    info = make_info((30, 40))

    assert infos.intrinsics_of(info, (30, 40), is_rectified=False) == Intrinsics(50.0, 60.0, 20.0, 15.0)
    assert infos.intrinsics_of(info, (30, 40), is_rectified=True) == Intrinsics(40.0, 45.0, 21.0, 16.0)


def test_intrinsics_follow_the_region_of_interest_and_the_binning() -> None:
    info = make_info((60, 80), binning_x=2, binning_y=4, roi=region(x_offset=10, y_offset=8, width=40, height=20))

    camera = infos.intrinsics_of(info, (5, 20), is_rectified=False)

    assert camera == Intrinsics(25.0, 15.0, 5.0, 1.75)


def test_uncalibrated_camera_is_refused() -> None:
    with pytest.raises(InputError, match=r"uncalibrated.*Fix: calibrate"):
        infos.intrinsics_of(make_info((30, 40), k=[0.0] * 9), (30, 40), is_rectified=False)


def test_camera_info_of_another_size_is_refused() -> None:
    with pytest.raises(InputError, match=r"images of 40x30, got one of 20x15\. Fix"):
        infos.intrinsics_of(make_info((30, 40)), (15, 20), is_rectified=False)


def relative(values: list[list[float]]) -> DepthMap:
    return DepthMap(np.array(values, np.float32))


def test_fixed_scale_turns_relative_values_into_metres() -> None:
    rule = metres.MetreRule(scale=0.5, shift=0.25, max_depth_m=3.0)

    depth_m = rule.to_metres(relative([[0.5, 1.5, 0.0], [-0.5, -4.0, np.nan]]))

    np.testing.assert_allclose(depth_m, [[2.0, 1.0, np.inf], [np.inf, np.inf, np.nan]], rtol=1e-6)


def test_reference_points_are_met_exactly_in_every_frame() -> None:
    rule = metres.MetreRule(points=metres.parse_points("0,0,1.0 1,1,4.0"), max_depth_m=50.0)
    inverse = np.array([[1.0, 0.5], [0.8, 0.25]], np.float32)

    for scale, shift in ((1.0, 0.0), (7.0, -3.0), (0.01, 2.0)):  # what a relative model leaves open
        depth_m = rule.to_metres(DepthMap((inverse * scale + shift).astype(np.float32)))

        np.testing.assert_allclose(depth_m, [[1.0, 2.0], [1.25, 4.0]], rtol=1e-4)


def test_points_that_contradict_the_prediction_are_refused() -> None:
    rule = metres.MetreRule(points=metres.parse_points("0,0,4.0 1,0,1.0"))

    with pytest.raises(InputError, match="far points look nearer"):
        rule.to_metres(relative([[1.0, 0.25]]))


def test_point_outside_of_the_image_is_refused() -> None:
    rule = metres.MetreRule(points=metres.parse_points("0,0,4.0 2,0,1.0"))

    with pytest.raises(InputError, match="got 2,0, expected pixels of a 2x1 image"):
        rule.to_metres(relative([[1.0, 0.25]]))


def test_metric_map_stays_as_it_is_up_to_the_limit() -> None:
    depth = DepthMap(np.array([[0.0, 2.0], [-1.0, 30.0]], np.float32), kind="metric", unit="m")

    np.testing.assert_array_equal(metres.MetreRule().to_metres(depth), [[np.nan, 2.0], [np.nan, np.inf]])


@pytest.mark.parametrize("text", ["1,2", "1,2,x", "1,2,-3", "-1,2,3", "1.5,2,3", "1,2,inf"])
def test_point_that_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"reference_points: got .*Fix"):
        metres.parse_points(text)


def test_one_point_is_too_few_for_scale_and_shift() -> None:
    with pytest.raises(InputError, match="got 1, expected at least 2"):
        metres.MetreRule(points=metres.parse_points("1,2,3"))


@pytest.mark.parametrize(
    "values",
    [
        {"scale": -1.0},
        {"scale": float("nan")},
        {"max_depth_m": 0.0},
        {"scale": 1.0, "points": metres.parse_points("1,2,3 4,5,6")},
    ],
)
def test_rule_that_makes_no_sense_is_refused(values: dict[str, object]) -> None:
    with pytest.raises(InputError, match="Fix"):
        metres.MetreRule(**values)
