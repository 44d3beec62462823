"""Depth in 16-bit PNG: any viewer opens it, and a text chunk says what the numbers mean.

value = offset + scale * stored; stored 0 means "no value". The chunk is a PNG tEXt chunk with the keyword `pixio-edge`.
"""

from __future__ import annotations

import json
import math
import struct
import zlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pixio_edge.errors import InputError
from pixio_edge.image_reading import decode, read_checked

METRIC_SCALE = 0.001
"""Metres per stored step of a metric map: millimetres, as depth cameras store them."""

_LARGEST = 65535
_VERSION = 1
_KEYWORD = b"pixio-edge\0"
_SIGNATURE_BYTES = 8
_HEADER_BYTES = _SIGNATURE_BYTES + 12 + 13  # signature and the IHDR chunk, which has to come first


@dataclass(frozen=True, slots=True)
class DepthRecord:
    """Meaning of the stored numbers: value = offset + scale * stored, in `unit`."""

    kind: str
    unit: str | None
    offset: float
    scale: float
    source: str | None


def encode_depth_png(values: NDArray[np.float32], *, kind: str, unit: str | None, source: str | None) -> bytes:
    """Quantise to 16 bits and encode.

    Metric depth is stored in millimetres and clipped at 65.535 m. Relative values are scaled so that the smallest is
    stored as 1 and the largest as 65535. Values that are not finite, and metric depth at or below 0, are stored as 0.
    """
    import cv2  # noqa: PLC0415  (importing OpenCV takes longer than the rest of the package together)

    valid = np.isfinite(values)
    if kind == "metric":
        valid &= values > 0
        offset, scale = 0.0, METRIC_SCALE
    else:
        offset, scale = _linear_map(values[valid])
    known = np.where(valid, values, np.float32(0)).astype(np.float64)
    stored = np.clip(np.rint((known - offset) / scale), 1, _LARGEST).astype(np.uint16)
    stored[~valid] = 0
    _, data = cv2.imencode(".png", stored)
    record = DepthRecord(kind=kind, unit=unit, offset=offset, scale=scale, source=source)
    encoded = data.tobytes()
    return encoded[:_HEADER_BYTES] + _text_chunk(record) + encoded[_HEADER_BYTES:]


def decode_depth_png(path: Path) -> tuple[NDArray[np.float32], DepthRecord]:
    """Read what `encode_depth_png` made: float32 (H, W), NaN where there is no value.

    Raises:
        InputError: The file cannot be read, is not a 16-bit PNG, or has no valid `pixio-edge` record.
    """
    import cv2  # noqa: PLC0415

    data = read_checked(path)
    record = _read_record(data, path)
    stored = decode(data, path, cv2.IMREAD_UNCHANGED)
    if stored.dtype != np.uint16 or stored.ndim != 2:
        raise InputError(
            f"{path}: got {stored.dtype.name} {stored.shape}, expected a 16-bit grey PNG. "
            "Fix: write it with DepthMap.save"
        )
    values = (record.offset + record.scale * stored.astype(np.float64)).astype(np.float32)
    values[stored == 0] = np.nan
    return values, record


def _linear_map(values: NDArray[np.float32]) -> tuple[float, float]:
    """Offset and scale that spread the values over 1..65535."""
    if values.size == 0:
        return 0.0, 1.0
    smallest, largest = float(values.min()), float(values.max())
    scale = (largest - smallest) / (_LARGEST - 1) or 1.0  # a constant map is stored as 1 everywhere
    return smallest - scale, scale


def _text_chunk(record: DepthRecord) -> bytes:
    body = b"tEXt" + _KEYWORD + json.dumps({"version": _VERSION, **asdict(record)}).encode("ascii")
    return struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))


def _read_record(data: bytes, path: Path) -> DepthRecord:
    found = next((body for body in _text_chunks(data) if body.startswith(_KEYWORD)), None)
    if found is None:
        raise InputError(
            f"{path}: has no 'pixio-edge' record, expected a depth PNG of this package. "
            "Fix: write it with DepthMap.save"
        )
    try:
        fields: dict[str, Any] = json.loads(found[len(_KEYWORD) :])
        version = fields.pop("version")
        record = DepthRecord(**fields)
        is_known = version == _VERSION and (record.kind, record.unit) in {("metric", "m"), ("relative_inverse", None)}
        is_usable = is_known and math.isfinite(record.offset) and math.isfinite(record.scale) and record.scale > 0
    except (ValueError, TypeError, KeyError, AttributeError):
        is_usable = False
    if not is_usable:
        raise InputError(
            f"{path}: the 'pixio-edge' record is damaged or of a newer release, expected version {_VERSION}. "
            "Fix: write the file again, or update pixio-edge"
        )
    return record


def _text_chunks(data: bytes) -> Iterator[bytes]:
    """Content of each tEXt chunk whose checksum is right."""
    position = _SIGNATURE_BYTES
    while position + 12 <= len(data):
        length = int(struct.unpack_from(">I", data, position)[0])
        body = data[position + 4 : position + 8 + length]
        checksum = data[position + 8 + length : position + 12 + length]
        if body[:4] == b"tEXt" and checksum == struct.pack(">I", zlib.crc32(body)):
            yield body[4:]
        position += 12 + length
