"""Bad input to the command line: status 2, one line with the fix, and nothing half-written."""

from __future__ import annotations

import hashlib
import json
import shutil
import struct
import subprocess
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from command import EXECUTABLE, TIMEOUT_S, assert_one_line_error, leftovers, run_command
from pictures import write_photo

from pixio_edge.video import VideoWriter

# A 100-megapixel RGB image takes 300 MB decoded; the command with its libraries stays near 100 MB.
PEAK_LIMIT_MIB = 250


# Peak memory of a command, read by a small process: a child starts with the peak of the process that forks it.
MEASURE = """
import json, os, subprocess, sys
process = subprocess.Popen(sys.argv[1:])
_, status, usage = os.wait4(process.pid, 0)
unit = 2**20 if sys.platform == "darwin" else 2**10
print(json.dumps({"status": os.waitstatus_to_exitcode(status), "peak_mib": usage.ru_maxrss / unit}))
"""


def png_of_zeros(height: int, width: int) -> bytes:
    """A valid RGB PNG of any size, made without holding its pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    compressor = zlib.compressobj()
    rows = b"".join(compressor.compress(bytes(1 + 3 * width)) for _ in range(height)) + compressor.flush()
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


@pytest.fixture
def altered(bundle: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "altered"
    shutil.copytree(bundle, folder)
    return folder


def rewrite_manifest(folder: Path, change: dict[str, object]) -> None:
    """Change a manifest and make its hash fit again, as someone hostile would."""
    path = folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    sums = (folder / "manifest.sha256").read_text().splitlines()
    sums[0] = f"{hashlib.sha256(path.read_bytes()).hexdigest()}  manifest.json"
    (folder / "manifest.sha256").write_text("\n".join(sums) + "\n")


@pytest.mark.parametrize(
    ("name", "content", "fragment"),
    [
        ("missing.png", None, "no such file"),
        ("text.jpg", b"this is text\n" * 100, "not an image"),
        ("empty.png", b"", "empty"),
        ("cut.png", png_of_zeros(50, 50)[:-20], "cut off"),
    ],
)
def test_bad_image_is_explained_in_one_line(
    name: str, content: bytes | None, fragment: str, bundle: Path, tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)

    result = run_command("predict", name, "-b", bundle, "-o", "out", cwd=tmp_path)

    assert_one_line_error(result, name, fragment)
    assert leftovers(tmp_path / "out") == []


def test_folder_without_images_is_explained_in_one_line(bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()

    result = run_command("predict", "folder", "-b", bundle, "-o", "out", cwd=tmp_path)

    assert_one_line_error(result, "folder", "no image")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no wait4 to read the peak memory of one child")
def test_huge_image_is_refused_in_bounded_memory(bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "huge.png").write_bytes(png_of_zeros(10_000, 10_000))

    command = [str(EXECUTABLE), "predict", "huge.png", "-b", str(bundle), "-o", "out"]
    launcher = [sys.executable, "-c", MEASURE, *command]
    result = subprocess.run(launcher, capture_output=True, text=True, timeout=TIMEOUT_S, check=True, cwd=tmp_path)
    outcome = json.loads(result.stdout)

    assert outcome["status"] == 2
    assert "100.0 megapixels" in result.stderr
    assert "PIXIO_EDGE_MAX_PIXELS=100000000" in result.stderr
    assert outcome["peak_mib"] < PEAK_LIMIT_MIB
    assert leftovers(tmp_path) == ["huge.png"]


def test_unknown_bundle_is_explained_in_one_line(photo: Path, tmp_path: Path) -> None:
    assert_one_line_error(run_command("predict", photo, "-b", "giant", "-o", tmp_path / "out"), "giant")
    assert_one_line_error(run_command("inspect", tmp_path), "manifest.json")


def test_missing_artifact_is_explained_in_one_line(altered: Path, photo: Path, tmp_path: Path) -> None:
    (altered / "graph_32x48.onnx").unlink()

    result = run_command("predict", photo, "-b", altered, "-o", tmp_path / "out")

    assert_one_line_error(result, "graph_32x48.onnx", "missing")


@pytest.mark.parametrize(
    "name", ["weights.bin", "graph_32x48.onnx", "golden_32x48.npz", "manifest.json", "manifest.sha256"]
)
def test_one_flipped_byte_is_found(name: str, altered: Path) -> None:
    content = bytearray((altered / name).read_bytes())
    content[len(content) // 2] ^= 1
    (altered / name).write_bytes(content)

    assert_one_line_error(run_command("verify", altered), str(altered))


def test_flipped_byte_in_the_weights_stops_a_prediction(altered: Path, photo: Path, tmp_path: Path) -> None:
    content = bytearray((altered / "weights.bin").read_bytes())
    content[100] ^= 1
    (altered / "weights.bin").write_bytes(content)

    result = run_command("predict", photo, "-b", altered, "-o", tmp_path / "out")

    assert_one_line_error(result, "weights.bin", "altered")
    assert leftovers(tmp_path / "out") == []


def test_newer_schema_is_explained_in_one_line(altered: Path) -> None:
    rewrite_manifest(altered, {"schema_version": 2})

    assert_one_line_error(run_command("inspect", altered), "schema version 2", "upgrade")


@pytest.mark.parametrize("path", ["../outside.bin", "/etc/hostname", "a/../../outside.bin"])
def test_path_out_of_the_bundle_is_refused(path: str, altered: Path) -> None:
    (altered.parent / "outside.bin").write_bytes(b"outside")
    digest = hashlib.sha256(b"outside").hexdigest()
    rewrite_manifest(altered, {"files": [{"path": path, "role": "x", "sha256": digest, "bytes": 7}]})

    assert_one_line_error(run_command("inspect", altered), "path")


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege on Windows")
def test_link_out_of_the_bundle_is_refused(altered: Path, photo: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside.bin"
    (altered / "weights.bin").rename(outside)
    (altered / "weights.bin").symlink_to(outside)

    result = run_command("predict", photo, "-b", altered, "-o", tmp_path / "out")

    assert_one_line_error(result, "weights.bin", "outside the bundle")


def test_output_that_is_a_file_is_explained_in_one_line(bundle: Path, photo: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")

    for output in (tmp_path / "file", tmp_path / "file" / "below"):
        assert_one_line_error(run_command("predict", photo, "-b", bundle, "-o", output), "cannot create folder")
    assert leftovers(tmp_path) == ["file"]


def mount_tmpfs(folder: Path, options: str) -> None:
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except OSError as error:
        pytest.skip(f"needs root to mount a small file system: {error}")
    if result.returncode != 0:
        pytest.skip(f"needs root to mount a small file system: {result.stderr.strip()}")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 128 KiB."""
    folder = tmp_path / "small"
    mount_tmpfs(folder, "size=128k")
    yield folder
    subprocess.run(["umount", str(folder)], timeout=10, check=True)


def test_read_only_output_is_explained_in_one_line(bundle: Path, photo: Path, tmp_path: Path) -> None:
    folder = tmp_path / "read-only"
    mount_tmpfs(folder, "ro")
    try:
        result = run_command("predict", photo, "-b", bundle, "-o", folder)
    finally:
        subprocess.run(["umount", str(folder)], timeout=10, check=True)

    assert_one_line_error(result, "cannot write", "read-only")


def test_full_disk_leaves_no_partial_picture(bundle: Path, small_disk: Path, tmp_path: Path) -> None:
    write_photo(tmp_path / "large.png", (480, 640))  # 1.2 MB as npy

    result = run_command("predict", tmp_path / "large.png", "-b", bundle, "-o", small_disk)

    assert_one_line_error(result, "no space left", "free some space")
    written = leftovers(small_disk)
    assert "large.npy" not in written
    assert not [name for name in written if name.startswith(".tmp")]


def test_full_disk_leaves_no_partial_video(bundle: Path, small_disk: Path, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (240, 320, 3), dtype=np.uint8)
    with VideoWriter(tmp_path / "noise.avi", 25.0, (240, 320)) as writer:
        for _ in range(40):
            writer.write(noise)

    result = run_command("stream", tmp_path / "noise.avi", "-b", bundle, "-o", small_disk / "out.mp4")

    assert result.returncode == 2, result.stderr
    assert "Fix: free some space" in result.stderr.splitlines()[-1]
    assert leftovers(small_disk) == []


BLOCKED = """
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == {library!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Blocker())
from pixio_edge.cli.main import main
main()
"""


def run_without(library: str, *arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", BLOCKED.format(library=library), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False, cwd=cwd)


def test_missing_runtime_extra_is_explained_in_one_line(bundle: Path, photo: Path, tmp_path: Path) -> None:
    result = run_without("openvino", "predict", photo, "-b", bundle, "--runtime", "openvino", cwd=tmp_path)

    assert_one_line_error(result, "openvino", "pip install")


def test_missing_dataset_extra_is_explained_in_one_line(bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "nyu_depth_v2_labeled.mat").write_bytes(b"MATLAB 7.3 MAT-file")

    result = run_without("h5py", "evaluate", bundle, "--data", "nyu_depth_v2_labeled.mat", cwd=tmp_path)

    assert_one_line_error(result, "h5py", "pip install 'pixio-edge[nyu]'")


@pytest.mark.parametrize(
    ("arguments", "extra"),
    [
        (("train", "run"), "train"),
        (("export", "model.safetensors", "-o", "bundle", "--licence", "MIT", "--commercial"), "export"),
    ],
)
def test_missing_torch_is_explained_in_one_line(arguments: tuple[str, ...], extra: str, tmp_path: Path) -> None:
    result = run_without("torch", *arguments, cwd=tmp_path)

    assert_one_line_error(result, "'torch'", f"pip install 'pixio-edge[{extra}]'")
    assert leftovers(tmp_path) == []
