import json
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from pixio_edge.depth import DepthMap, read_depth_png
from pixio_edge.errors import InputError

METRIC_STEP_M = 0.0005001
"""Half a millimetre, and float32 rounding at 65 m (4e-6 m) below it."""


def relative(height: int = 48, width: int = 64, *, invalid: float | None = None) -> DepthMap:
    values = np.random.default_rng(0).normal(2.0, 3.0, (height, width)).astype(np.float32)
    if invalid is not None:
        values[3, 5] = invalid
    return DepthMap(values, source="ort/onnx-fp32-256x256")


def metric(values: object) -> DepthMap:
    return DepthMap(np.array(values, np.float32), kind="metric", unit="m")


@pytest.mark.parametrize("shift", [0.0, 1e6, -1e-6])
def test_depth_png_gives_relative_values_back_within_half_a_step(tmp_path: Path, shift: float) -> None:
    values = (np.random.default_rng(0).random((48, 64)) + shift).astype(np.float32)
    values[3, 5] = np.nan
    DepthMap(values, source="ort/x").save(str(tmp_path / "été.depth.png"))

    restored = read_depth_png(tmp_path / "été.depth.png")

    step = (np.nanmax(values) - np.nanmin(values)) / 65534
    rounding = np.spacing(np.nanmax(np.abs(values)))
    np.testing.assert_allclose(restored.values, values, rtol=0, atol=step / 2 + rounding)
    assert (restored.kind, restored.unit, restored.source) == ("relative_inverse", None, "ort/x")
    assert np.isnan(restored.values[3, 5])


def test_depth_png_spreads_relative_values_over_the_whole_range(tmp_path: Path) -> None:
    relative(invalid=np.inf).save(tmp_path / "a.png")

    stored = cv2.imread(str(tmp_path / "a.png"), cv2.IMREAD_UNCHANGED)

    assert stored.dtype == np.uint16
    assert stored[3, 5] == 0
    assert sorted(np.unique(stored))[1] == 1
    assert stored.max() == 65535


def test_depth_png_stores_metric_depth_in_millimetres_and_clips(tmp_path: Path) -> None:
    metric([[1.2344, 65.535, 200.0, 0.0001], [0.0, -1.0, np.nan, np.inf]]).save(tmp_path / "m.depth.png")

    stored = cv2.imread(str(tmp_path / "m.depth.png"), cv2.IMREAD_UNCHANGED)
    restored = read_depth_png(tmp_path / "m.depth.png")

    np.testing.assert_array_equal(stored, [[1234, 65535, 65535, 1], [0, 0, 0, 0]])
    assert (restored.kind, restored.unit) == ("metric", "m")
    np.testing.assert_allclose(restored.values[0, :2], [1.2344, 65.535], atol=METRIC_STEP_M)
    assert np.isnan(restored.values[1]).all()


@pytest.mark.parametrize("value", [0.0, 2.5, np.nan])
def test_depth_png_gives_a_constant_map_back(tmp_path: Path, value: float) -> None:
    values = np.full((1, 1), value, np.float32)
    DepthMap(values).save(tmp_path / "c.png")

    np.testing.assert_array_equal(read_depth_png(tmp_path / "c.png").values, values)


def test_depth_png_is_a_valid_png_for_other_readers(tmp_path: Path) -> None:
    relative().save(tmp_path / "a.depth.png")

    with Image.open(tmp_path / "a.depth.png") as image:
        image.load()
        record = json.loads(image.info["pixio-edge"])

    assert record["kind"] == "relative_inverse"
    assert record["scale"] > 0


def replace_record(path: Path, record: str, *, breaks_checksum: bool = False) -> None:
    """Put another text chunk behind the header of a plain 16-bit PNG."""
    plain = cv2.imencode(".png", np.ones((2, 2), np.uint16))[1].tobytes()
    body = b"tEXtpixio-edge\0" + record.encode("latin-1")
    checksum = zlib.crc32(body) ^ breaks_checksum
    path.write_bytes(plain[:33] + struct.pack(">I", len(body) - 4) + body + struct.pack(">I", checksum) + plain[33:])


GOOD_RECORD = '{"version": 1, "kind": "metric", "unit": "m", "offset": 0.0, "scale": 0.001, "source": null}'


def test_read_depth_png_takes_the_hand_made_record(tmp_path: Path) -> None:
    replace_record(tmp_path / "a.png", GOOD_RECORD)

    assert read_depth_png(tmp_path / "a.png").values[0, 0] == np.float32(0.001)


@pytest.mark.parametrize(
    "record",
    [
        "",
        "not json",
        "[]",
        "{}",
        GOOD_RECORD.replace('"version": 1', '"version": 2'),
        GOOD_RECORD.replace("0.001", "0"),
        GOOD_RECORD.replace("0.001", "NaN"),
        GOOD_RECORD.replace("0.001", '"0.001"'),
        GOOD_RECORD.replace('"m"', "null"),
        GOOD_RECORD.replace('"metric"', '["metric"]'),
        GOOD_RECORD.replace('"source": null', '"sauce": null'),
    ],
)
def test_read_depth_png_refuses_a_record_it_does_not_understand(tmp_path: Path, record: str) -> None:
    replace_record(tmp_path / "a.png", record)

    with pytest.raises(InputError, match=r"record is damaged or of a newer release.*Fix:"):
        read_depth_png(tmp_path / "a.png")


def test_read_depth_png_refuses_a_record_with_a_flipped_byte(tmp_path: Path) -> None:
    replace_record(tmp_path / "a.png", GOOD_RECORD, breaks_checksum=True)

    with pytest.raises(InputError, match="has no 'pixio-edge' record"):
        read_depth_png(tmp_path / "a.png")


def test_read_depth_png_refuses_other_pictures(tmp_path: Path) -> None:
    relative().save_color(tmp_path / "a.color.png")
    relative().save_color(tmp_path / "a.jpg")

    for name in ("a.color.png", "a.jpg"):
        with pytest.raises(InputError, match="has no 'pixio-edge' record"):
            read_depth_png(tmp_path / name)
    with pytest.raises(InputError, match="no such file"):
        read_depth_png(tmp_path / "gone.png")


def test_read_depth_png_refuses_a_truncated_file(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    relative().save(path)
    path.write_bytes(path.read_bytes()[:-20])

    with pytest.raises(InputError, match="cut off"):
        read_depth_png(path)
