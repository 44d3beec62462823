import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from pixio_edge.errors import InputError, OutputError, SchemaError, SpecError
from pixio_edge.image import ImageSpec, as_rgb, read_image, write_image

JPEG_MEAN_ERROR = 3.0
"""Grey levels: JPEG at quality 95 with halved chroma loses 2.2 on these blocks of random colours."""

AREA_MEAN_ERROR = 1.8
"""Grey levels: halving, then blending, differs by 1.64 from one INTER_AREA on this noise, and by 0.2 on photos."""

BLENDED_SHARE = 0.75
"""Of the error of a plain bilinear, which skips pixels: 0.71 at most, 1280x720."""

AREA_RTOL = 1e-6
"""The float32 weights of INTER_AREA sum to one within some ulps of 1.2e-7; measured 2.4e-7."""


def blocks(height: int = 96, width: int = 160, *, side: int = 32) -> NDArray[np.uint8]:
    """Blocks of random colours: easy for every codec, and no two orientations alike."""
    small = np.random.default_rng(0).integers(0, 256, (height // side, width // side, 3), dtype=np.uint8)
    return small.repeat(side, axis=0).repeat(side, axis=1)


def smooth(height: int, width: int) -> NDArray[np.uint8]:
    noise = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    blurred = cv2.GaussianBlur(noise, (0, 0), 3).astype(np.float32)
    return ((blurred - blurred.min()) * (255 / (blurred.max() - blurred.min()))).astype(np.uint8)


def test_as_rgb_does_not_copy_when_the_array_is_right() -> None:
    image = blocks()

    assert as_rgb(image) is image


def test_as_rgb_makes_the_array_contiguous_when_it_is_a_view() -> None:
    view = blocks()[::2, ::-1]

    rgb = as_rgb(view)

    assert rgb.flags.c_contiguous
    np.testing.assert_array_equal(rgb, view)


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "P", "CMYK", "1", "I;16"])
def test_as_rgb_converts_a_pil_image_of_any_mode(mode: str) -> None:
    source = Image.new(mode, (20, 10)) if mode == "I;16" else Image.fromarray(blocks()).convert(mode)

    rgb = as_rgb(source)

    assert rgb.dtype == np.uint8
    assert rgb.flags.c_contiguous
    np.testing.assert_array_equal(rgb, np.asarray(source.convert("RGB")))


def test_as_rgb_refuses_when_a_pil_image_is_truncated(tmp_path: Path) -> None:
    path = tmp_path / "cut.png"
    Image.fromarray(smooth(96, 160)).save(path)
    path.write_bytes(path.read_bytes()[:2000])

    with Image.open(path) as image, pytest.raises(InputError, match=r"PIL image: cannot be decoded.*Fix:"):
        as_rgb(image)


def test_as_rgb_refuses_a_pil_image_of_too_many_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIXIO_EDGE_MAX_PIXELS", "1000")

    with pytest.raises(InputError, match="PIL image: 96x160"):
        as_rgb(Image.fromarray(blocks()))


@pytest.mark.parametrize(
    ("array", "got", "fix"),
    [
        (np.zeros((4, 5, 3), np.float32), r"float32 \(4, 5, 3\)", r"\(image \* 255\)"),
        (np.full((4, 5, 3), np.nan), r"float64 \(4, 5, 3\)", "NaN or infinite"),
        (np.zeros((4, 5, 3), np.uint16), r"uint16 \(4, 5, 3\)", "image >> 8"),
        (np.zeros((4, 5, 3), np.int64), r"int64 \(4, 5, 3\)", "convert it to uint8"),
        (np.zeros((4, 5), np.uint8), r"uint8 \(4, 5\)", "repeat the grey channel"),
        (np.zeros((4, 5, 1), np.uint8), r"uint8 \(4, 5, 1\)", "repeat the grey channel"),
        (np.zeros((4, 5, 4), np.uint8), r"uint8 \(4, 5, 4\)", "drop the alpha channel"),
        (np.zeros((3, 4, 5), np.uint8), r"uint8 \(3, 4, 5\)", "put the channels last"),
        (np.zeros((1, 4, 5, 3), np.uint8), r"uint8 \(1, 4, 5, 3\)", "without the batch axis"),
        (np.zeros((0, 5, 3), np.uint8), r"uint8 \(0, 5, 3\)", "at least one pixel"),
        (np.array("photo.jpg"), r"str\d+ \(\)", "convert it to uint8"),
    ],
)
def test_as_rgb_says_got_expected_and_fix_when_the_array_is_wrong(array: object, got: str, fix: str) -> None:
    with pytest.raises(InputError, match=rf"got {got}, expected uint8 \(H, W, 3\).*Fix: .*{fix}"):
        as_rgb(array)


@pytest.mark.parametrize("thing", [None, 3, [[1, 2], [3, 4]], b"bytes"])
def test_as_rgb_names_the_type_when_it_is_no_image(thing: object) -> None:
    with pytest.raises(InputError, match=f"got {type(thing).__name__}, expected a path"):
        as_rgb(thing)


@pytest.mark.parametrize("original", [(1, 1), (7, 5000), (256, 256), (255, 257), (720, 1280), (2000, 100)])
@pytest.mark.parametrize("size", [(256, 256), (192, 336), (16, 16)])
def test_prepare_and_restore_give_the_two_sizes(original: tuple[int, int], size: tuple[int, int]) -> None:
    spec = ImageSpec()

    prepared = spec.prepare(np.full((*original, 3), 77, np.uint8), size)
    restored = spec.restore(np.full((1, *size), 0.25, np.float32), original)

    assert (prepared.shape, prepared.dtype) == ((1, *size, 3), np.uint8)
    assert prepared.flags.c_contiguous
    assert (prepared == 77).all()
    assert (restored.shape, restored.dtype) == (original, np.float32)
    np.testing.assert_allclose(restored, 0.25, rtol=AREA_RTOL)


@pytest.mark.parametrize("original", [(720, 1280), (600, 800), (719, 1279), (300, 300)])
def test_prepare_averages_like_one_area_resize_when_the_image_shrinks(original: tuple[int, int]) -> None:
    image = smooth(*original)
    expected = cv2.resize(image, (256, 256), interpolation=cv2.INTER_AREA)

    prepared = ImageSpec().prepare(image, (256, 256))[0]

    error = np.abs(prepared.astype(int) - expected).mean()
    assert error < AREA_MEAN_ERROR
    if min(original) >= 2 * 256:
        plain = cv2.resize(image, (256, 256), interpolation=cv2.INTER_LINEAR)
        assert error < BLENDED_SHARE * np.abs(plain.astype(int) - expected).mean()


def test_prepare_averages_the_long_side_when_the_other_grows() -> None:
    stripes = np.zeros((7, 5120, 3), np.uint8)
    stripes[:, ::2] = 200  # any sampling without averaging would give 0 or 200 somewhere

    prepared = ImageSpec().prepare(stripes, (256, 256))

    assert (prepared == 100).all()


def test_prepare_is_not_mirrored_or_shifted() -> None:
    ramp = np.zeros((512, 1024, 3), np.uint8)
    ramp[..., 0] = np.arange(1024) // 4
    ramp[..., 1] = np.arange(512)[:, None] // 2

    prepared = ImageSpec().prepare(ramp, (128, 256))[0].astype(float)

    # One graph pixel covers 4 columns and 4 rows: the means are 1 and 2 levels per pixel (and rounding).
    np.testing.assert_allclose(prepared[..., 0], np.broadcast_to(np.arange(256), (128, 256)), atol=1)
    np.testing.assert_allclose(prepared[..., 1], np.broadcast_to(np.arange(128)[:, None] * 2 + 0.5, (128, 256)), atol=1)


def test_prepare_gives_a_view_when_the_size_fits() -> None:
    image = np.zeros((256, 256, 3), np.uint8)

    assert np.shares_memory(ImageSpec().prepare(image, (256, 256)), image)


@pytest.mark.parametrize("size", [(256, 256), (32, 48)])
def test_restore_gives_memory_of_its_own(size: tuple[int, int]) -> None:
    depth = np.random.default_rng(0).random((1, *size), dtype=np.float32)

    restored = ImageSpec().restore(depth, (256, 256))

    assert not np.shares_memory(restored, depth)
    assert restored.flags.c_contiguous
    assert restored.flags.writeable


def test_prepare_refuses_an_image_of_the_wrong_dtype() -> None:
    with pytest.raises(InputError, match="float32"):
        ImageSpec().prepare(np.zeros((4, 5, 3), np.float32), (256, 256))  # type: ignore[arg-type]


@pytest.mark.parametrize("size", [(250, 256), (256, 8), (0, 16), (-16, 16)])
def test_prepare_refuses_a_size_that_is_not_a_multiple(size: tuple[int, int]) -> None:
    with pytest.raises(SpecError, match=r"expected multiples of 16. Fix:"):
        ImageSpec().prepare(blocks(), size)


@pytest.mark.parametrize(
    "depth",
    [np.zeros((2, 4, 4), np.float32), np.zeros((4, 4)), np.zeros(4, np.float32), np.zeros((1, 0, 4), np.float32)],
)
def test_restore_refuses_what_is_no_depth(depth: NDArray[np.float32]) -> None:
    with pytest.raises(SpecError, match=r"expected float32 \(1, h, w\) or \(h, w\)"):
        ImageSpec().restore(depth, (10, 10))


def test_image_spec_survives_json() -> None:
    spec = ImageSpec(multiple_of=32)

    assert ImageSpec.from_json(spec.to_json()) == spec
    assert ImageSpec().to_json() == {
        "layout": "NHWC",
        "color": "RGB",
        "dtype": "uint8",
        "resize": "stretch",
        "multiple_of": 16,
    }


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"layout": "NCHW"}, "layout is 'NCHW', expected 'NHWC'"),
        ({"resize": "letterbox"}, "resize is 'letterbox'"),
        ({"multiple_of": 0}, "multiple_of is 0"),
        ({"multiple_of": "16"}, "multiple_of is '16'"),
        ({"mean": [0, 0, 0]}, "unknown field 'mean'"),
    ],
)
def test_image_spec_refuses_what_this_release_cannot_prepare(record: dict[str, object], message: str) -> None:
    with pytest.raises(SchemaError, match=message):
        ImageSpec.from_json(record)


@pytest.mark.parametrize("suffix", [".png", ".webp", ".jpg"])
def test_write_image_can_be_read_back(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"é{suffix}"

    write_image(path, blocks())

    assert np.abs(read_image(path).astype(int) - blocks()).mean() < JPEG_MEAN_ERROR
    assert [child.name for child in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", ["", ".xyz", ".txt"])
def test_write_image_refuses_an_unknown_suffix(tmp_path: Path, suffix: str) -> None:
    with pytest.raises(OutputError, match=rf"got suffix '{suffix}'.*Fix: use .png"):
        write_image(tmp_path / f"image{suffix}", blocks())

    assert list(tmp_path.iterdir()) == []


def test_import_does_not_load_opencv() -> None:
    code = "import sys, pixio_edge.image, pixio_edge.depth, pixio_edge.video; print('cv2' in sys.modules)"

    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert result.stdout == "False\n"
