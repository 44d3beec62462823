import errno
import hashlib
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pixio_edge.errors import InputError, OutputError
from pixio_edge.files import atomic_path, create_folder, sha256_file, write_bytes_atomic, write_text_atomic

INTERRUPTED_WRITER = """
import sys, time
from pathlib import Path
from pixio_edge.files import atomic_path

with atomic_path(Path(sys.argv[1])) as temporary, temporary.open("wb") as file:
    while True:
        file.write(b"x" * 1000)
        file.flush()
        print("written", flush=True)
        time.sleep(0.01)
"""


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_atomic_path_renames_when_the_block_ends(tmp_path: Path) -> None:
    target = tmp_path / "result.npy"

    with atomic_path(target) as temporary:
        assert temporary.parent == tmp_path
        assert temporary.suffix == ".npy"
        np.save(temporary, np.arange(3))
        assert not target.exists()

    assert names(tmp_path) == ["result.npy"]
    assert np.load(target, allow_pickle=False).tolist() == [0, 1, 2]


def test_atomic_path_takes_a_name_as_long_as_the_file_system_allows(tmp_path: Path) -> None:
    target = tmp_path / ("é" * 125 + ".png")  # 254 bytes in UTF-8, of 255

    write_bytes_atomic(target, b"data")

    assert target.read_bytes() == b"data"


@pytest.mark.parametrize("error", [ValueError("bad"), KeyboardInterrupt(), SystemExit(3)])
def test_atomic_path_keeps_the_old_file_and_nothing_else_when_the_block_raises(
    tmp_path: Path, error: BaseException
) -> None:
    target = tmp_path / "result.bin"
    target.write_bytes(b"old")

    with pytest.raises(type(error)) as caught, atomic_path(target) as temporary:
        temporary.write_bytes(b"half")
        raise error

    assert caught.value is error
    assert names(tmp_path) == ["result.bin"]
    assert target.read_bytes() == b"old"


@pytest.mark.skipif(sys.platform == "win32", reason="SIGINT to one process needs POSIX")
def test_atomic_path_leaves_nothing_when_ctrl_c_comes_during_a_write(tmp_path: Path) -> None:
    command = [sys.executable, "-c", INTERRUPTED_WRITER, str(tmp_path / "result.bin")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "written\n"
        assert len(names(tmp_path)) == 1

        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=30)

    assert "KeyboardInterrupt" in stderr
    assert names(tmp_path) == []


def test_atomic_path_says_so_when_nothing_was_written(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"nothing was written.*Fix:"), atomic_path(tmp_path / "result.png"):
        pass

    assert names(tmp_path) == []


def test_atomic_path_passes_on_an_error_that_is_not_about_the_target(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="other"), atomic_path(tmp_path / "result.bin"):
        (tmp_path / "other").read_bytes()

    assert names(tmp_path) == []


def test_write_names_the_folder_when_it_is_missing(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"nowhere is not a folder. Fix: create .*nowhere first"):
        write_bytes_atomic(tmp_path / "nowhere" / "result.bin", b"data")


def test_write_refuses_when_the_target_is_a_folder(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"it is a folder. Fix: give a file name inside it"):
        write_bytes_atomic(tmp_path, b"data")


def test_write_says_permission_when_the_folder_is_read_only(unwritable_folder: Path) -> None:
    with pytest.raises(OutputError, match=r"permission denied. Fix: choose a folder you may write to"):
        write_bytes_atomic(unwritable_folder / "result.bin", b"data")

    assert names(unwritable_folder) == []


def test_write_says_disk_full_and_leaves_nothing_when_the_disk_is_tiny(tiny_disk: Path) -> None:
    write_bytes_atomic(tiny_disk / "old.bin", b"old")

    with pytest.raises(OutputError, match=r"no space left on device. Fix: free some space"):
        write_bytes_atomic(tiny_disk / "old.bin", bytes(100_000))

    assert names(tiny_disk) == ["old.bin"]
    assert (tiny_disk / "old.bin").read_bytes() == b"old"


@pytest.mark.parametrize(
    ("number", "fix"),
    [
        (errno.ENOSPC, "free some space"),
        (errno.EDQUOT, "free some of your quota"),
        (errno.EROFS, "not mounted read-only"),
        (None, "check the path"),  # numpy's tofile raises OSError without a number when the disk is full
    ],
)
def test_write_explains_the_error_and_leaves_nothing_when_the_system_refuses(
    tmp_path: Path, number: int | None, fix: str
) -> None:
    refusal = OSError("9 requested and 3 written") if number is None else OSError(number, "Refused")

    with pytest.raises(OutputError, match=fix) as caught, atomic_path(tmp_path / "result.bin") as temporary:
        temporary.write_bytes(b"half")
        raise refusal

    assert caught.value.__cause__ is refusal
    assert "\n" not in str(caught.value)
    assert names(tmp_path) == []


def test_write_text_writes_utf8_with_unix_line_ends(tmp_path: Path) -> None:
    write_text_atomic(tmp_path / "text.txt", "é\nb\n")

    assert (tmp_path / "text.txt").read_bytes() == b"\xc3\xa9\nb\n"


@pytest.mark.parametrize("size", [0, 5, (1 << 20) + 1])
def test_sha256_file_matches_hashlib_when_the_file_is_longer_than_a_block_or_not(tmp_path: Path, size: int) -> None:
    data = np.random.default_rng(0).integers(0, 256, size, dtype=np.uint8).tobytes()
    (tmp_path / "file").write_bytes(data)

    assert sha256_file(tmp_path / "file") == hashlib.sha256(data).hexdigest()


def test_sha256_file_refuses_when_the_file_is_missing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot read .*gone: no such file"):
        sha256_file(tmp_path / "gone")


def test_folder_is_created_with_those_above_it_and_may_be_there_already(tmp_path: Path) -> None:
    create_folder(tmp_path / "a" / "b")
    create_folder(tmp_path / "a" / "b")

    assert (tmp_path / "a" / "b").is_dir()


def test_folder_is_refused_when_a_file_is_in_its_way(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("in the way")

    for folder in (tmp_path / "a", tmp_path / "a" / "b"):
        with pytest.raises(OutputError, match="cannot create folder"):
            create_folder(folder)
