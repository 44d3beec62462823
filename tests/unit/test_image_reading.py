import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from pixio_edge.errors import InputError
from pixio_edge.image import find_images, read_image

JPEG_MEAN_ERROR = 3.0
"""Grey levels: JPEG at quality 95 with halved chroma loses 2.2 on these blocks of random colours."""


def blocks(height: int = 96, width: int = 160, *, side: int = 32) -> NDArray[np.uint8]:
    """Blocks of random colours: easy for every codec, and no two orientations alike."""
    small = np.random.default_rng(0).integers(0, 256, (height // side, width // side, 3), dtype=np.uint8)
    return small.repeat(side, axis=0).repeat(side, axis=1)


def smooth(height: int, width: int) -> NDArray[np.uint8]:
    noise = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    blurred = cv2.GaussianBlur(noise, (0, 0), 3).astype(np.float32)
    return ((blurred - blurred.min()) * (255 / (blurred.max() - blurred.min()))).astype(np.uint8)


def test_read_image_gives_the_exact_pixels_in_rgb_order_when_the_file_is_a_png(tmp_path: Path) -> None:
    Image.fromarray(blocks()).save(tmp_path / "image.png")

    rgb = read_image(str(tmp_path / "image.png"))

    assert rgb.dtype == np.uint8
    assert rgb.flags.c_contiguous
    np.testing.assert_array_equal(rgb, blocks())


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_read_image_turns_the_picture_upright_when_exif_says_so(tmp_path: Path, orientation: int, suffix: str) -> None:
    upright = blocks()
    undo = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright, 1),
        7: upright[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(upright, -1),
    }
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"turned{suffix}"
    Image.fromarray(np.ascontiguousarray(undo[orientation])).save(path, exif=exif, quality=95)

    rgb = read_image(path)

    assert rgb.shape == upright.shape
    assert np.abs(rgb.astype(int) - upright).mean() < JPEG_MEAN_ERROR


@pytest.mark.parametrize(
    ("mode", "suffix"),
    [
        *[(mode, ".png") for mode in ("L", "LA", "1", "P", "RGBA")],
        *[("L", ".jpg"), ("CMYK", ".jpg"), ("CMYK", ".tiff"), ("P", ".gif")],
        *[("RGB", suffix) for suffix in (".webp", ".bmp", ".tiff", ".ppm")],
    ],
)
def test_read_image_agrees_with_pil_when_the_mode_is_not_plain_rgb(tmp_path: Path, mode: str, suffix: str) -> None:
    path = tmp_path / f"image{suffix}"
    Image.fromarray(blocks()).convert(mode).save(path)
    with Image.open(path) as image:
        expected = np.asarray(image.convert("RGB")).astype(int)

    rgb = read_image(path)

    assert rgb.shape == (96, 160, 3)
    # Measured: 1 level for CMYK, whose conversion the two libraries round differently, else equal.
    assert np.abs(rgb - expected).max() <= 1


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
@pytest.mark.parametrize("is_grey", [True, False])
def test_read_image_scales_to_8_bits_when_the_file_has_16_bits(tmp_path: Path, suffix: str, is_grey: bool) -> None:
    deep = blocks()[..., 0] if is_grey else blocks()
    path = tmp_path / f"deep{suffix}"
    cv2.imwrite(str(path), (deep[..., ::-1] if not is_grey else deep).astype(np.uint16) * 256 + 17)

    rgb = read_image(path)

    expected = np.repeat(deep[..., None], 3, axis=2) if is_grey else deep
    # One level: OpenCV divides by 256 or by 257, depending on the format.
    assert np.abs(rgb.astype(int) - expected).max() <= 1


def test_read_image_drops_alpha_when_pixels_are_transparent(tmp_path: Path) -> None:
    transparent = np.dstack([blocks(), np.zeros((96, 160), np.uint8)])
    Image.fromarray(transparent).save(tmp_path / "alpha.png")

    np.testing.assert_array_equal(read_image(tmp_path / "alpha.png"), blocks())


@pytest.mark.parametrize("size", [(1, 1), (7, 5000), (5000, 7)])
def test_read_image_takes_odd_sizes(tmp_path: Path, size: tuple[int, int]) -> None:
    image = np.full((*size, 3), 77, np.uint8)
    Image.fromarray(image).save(tmp_path / "odd.png")

    np.testing.assert_array_equal(read_image(tmp_path / "odd.png"), image)


def test_read_image_takes_a_path_that_is_not_ascii(tmp_path: Path) -> None:
    folder = tmp_path / "été 深度"
    folder.mkdir()
    Image.fromarray(blocks()).save(folder / "фото.png")

    assert read_image(folder / "фото.png").shape == (96, 160, 3)


def test_read_image_takes_a_jpeg_with_a_thumbnail_padding_and_bytes_behind_its_end(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x010E] = "\xff\xd9" * 20  # the end marker inside the EXIF block
    path = tmp_path / "photo.jpg"
    Image.fromarray(blocks()).save(path, exif=exif, progressive=True)
    path.write_bytes(path.read_bytes() + b"maker's trailer")

    assert read_image(path).shape == (96, 160, 3)


def missing(path: Path) -> None:
    pass


def folder(path: Path) -> None:
    path.mkdir()


def empty(path: Path) -> None:
    path.touch()


def text(path: Path) -> None:
    path.write_text("This is no picture.\n" * 100)


def damaged_header(path: Path) -> None:
    path.write_bytes(b"\xff\xd8\xff\xe0" + bytes(500))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (missing, "no such file"),
        (folder, "is a folder"),
        (empty, "the file is empty"),
        (text, "not an image"),
        (damaged_header, "Fix:"),
    ],
)
def test_read_image_says_what_is_wrong_when_there_is_no_image(
    tmp_path: Path, make: Callable[[Path], None], message: str
) -> None:
    path = tmp_path / "photo.jpg"
    make(path)

    with pytest.raises(InputError, match=message) as caught:
        read_image(path)

    assert str(path) in str(caught.value)
    assert "Fix:" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("share", [0.4, 0.7, 0.99])
@pytest.mark.parametrize(
    ("suffix", "options"),
    [(".png", {}), (".jpg", {}), (".jpg", {"progressive": True}), (".webp", {}), (".tiff", {}), (".bmp", {})],
)
def test_read_image_refuses_when_the_file_is_truncated(
    tmp_path: Path, suffix: str, options: dict[str, bool], share: float, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / f"cut{suffix}"
    Image.fromarray(smooth(96, 160)).save(path, **options)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])

    with pytest.raises(InputError, match=r"cut off|damaged|cannot be decoded"):
        read_image(path)

    assert capfd.readouterr().err == ""  # the libraries inside OpenCV like to write there


@pytest.mark.parametrize(("suffix", "lost_bytes"), [(".png", 1), (".png", 12), (".jpg", 1), (".jpg", 2)])
def test_read_image_says_cut_off_when_only_the_end_marker_is_missing(
    tmp_path: Path, suffix: str, lost_bytes: int
) -> None:
    path = tmp_path / f"cut{suffix}"
    Image.fromarray(blocks()).save(path)
    path.write_bytes(path.read_bytes()[:-lost_bytes])

    with pytest.raises(InputError, match=r"cut off, expected a complete file. Fix: copy or download it again"):
        read_image(path)


READ_AND_MEASURE = """
import pathlib, re, sys
import cv2
from pixio_edge.errors import InputError
from pixio_edge.image import read_image

def peak_kib():
    # Not getrusage: its peak begins with that of the process that started this one.
    return int(re.search(r"VmHWM:\\s+(\\d+)", pathlib.Path("/proc/self/status").read_text())[1])

before = peak_kib()
try:
    read_image(sys.argv[1])
except InputError as error:
    print(error, file=sys.stderr)
print(peak_kib() - before)
"""

REFUSAL_GROWTH_KIB = 16 * 1024
"""The header is some bytes; the decoded image of the test takes 100 MB in grey and 300 MB in colour."""


def write_hundred_megapixels(path: Path) -> None:
    ok, data = cv2.imencode(path.suffix, np.zeros((10_000, 10_000), np.uint8))
    assert ok
    path.write_bytes(data.tobytes())


@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read in KiB, as Linux gives it")
@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_read_image_refuses_100_megapixels_with_bounded_memory(
    tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / f"huge{suffix}"
    write_hundred_megapixels(path)
    command = [sys.executable, "-c", READ_AND_MEASURE, str(path)]

    refused = subprocess.run(command, capture_output=True, text=True, check=True)
    monkeypatch.setenv("PIXIO_EDGE_MAX_PIXELS", "100000000")
    allowed = subprocess.run(command, capture_output=True, text=True, check=True)

    assert "10000x10000 is 100.0 megapixels, expected at most 80.0" in refused.stderr
    assert "set PIXIO_EDGE_MAX_PIXELS=100000000" in refused.stderr
    assert int(refused.stdout) < REFUSAL_GROWTH_KIB
    assert allowed.stderr == ""
    assert int(allowed.stdout) > 10 * REFUSAL_GROWTH_KIB  # so the measurement can tell


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def test_find_images_lists_a_folder_sorted_without_subfolders_hidden_files_and_results(tmp_path: Path) -> None:
    touch(tmp_path, "b.JPG", "a.png", "notes.txt", ".hidden.png", "sub/c.png", "a.depth.png", "a.color.png", "a.npy")

    assert [path.name for path in find_images([str(tmp_path)])] == ["a.png", "b.JPG"]


def test_find_images_expands_globs_sorted_and_names_each_file_once(tmp_path: Path) -> None:
    touch(tmp_path, "b.png", "a.png", "sub/c.png")

    found = find_images([str(tmp_path / "b.png"), str(tmp_path / "*.png"), str(tmp_path / "**" / "*.png")])

    assert [path.name for path in found] == ["b.png", "a.png", "c.png"]


def test_find_images_takes_a_file_by_name_when_the_name_looks_like_a_glob(tmp_path: Path) -> None:
    touch(tmp_path, "photo[1].png", "photo1.png")

    assert [path.name for path in find_images([str(tmp_path / "photo[1].png")])] == ["photo[1].png"]


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("gone.png", "no such file or folder"),
        ("*.png", "matches no file"),
        ("empty", "the folder has no image"),
        ("x" * 300 + ".png", "Fix:"),
        ("a\0b.png", "Fix:"),
    ],
)
def test_find_images_says_what_is_missing(tmp_path: Path, pattern: str, message: str) -> None:
    (tmp_path / "empty").mkdir()

    with pytest.raises(InputError, match=message):
        find_images([str(tmp_path / pattern)])


def test_find_images_refuses_an_empty_list() -> None:
    with pytest.raises(InputError, match="no image given"):
        find_images([])
