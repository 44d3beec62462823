from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from pixio_edge.errors import InputError, OutputError
from pixio_edge.video import VideoReader, VideoWriter

SIZE = (48, 64)

CODEC_ERROR = 4
"""Grey levels by which MPEG-4 and Motion JPEG change a flat frame; measured 3. Neighbouring frames differ by 10."""


def flat(level: int, size: tuple[int, int] = SIZE) -> NDArray[np.uint8]:
    frame = np.zeros((*size, 3), np.uint8)
    frame[..., 0] = level
    return frame


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".avi"])
def test_writer_makes_a_video_that_the_reader_gives_back(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"été{suffix}"

    with VideoWriter(path, 30.0, SIZE) as writer:
        for index in range(20):
            writer.write(flat(10 * index))
        assert not path.exists()

    assert writer.frames_written == 20
    assert [child.name for child in tmp_path.iterdir()] == [path.name]
    with VideoReader(path) as reader:
        frames = list(reader)
    assert len(frames) == 20
    assert reader.size == SIZE
    assert np.abs(frames[12].astype(int) - flat(120)).max() <= CODEC_ERROR


def test_writer_leaves_out_the_last_row_and_column_when_the_size_is_odd(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "odd.mp4", 30.0, (33, 47)) as writer:
        writer.write(flat(100, (33, 47)))

    assert VideoReader(tmp_path / "odd.mp4").size == (32, 46)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ValueError("stop")])
def test_writer_leaves_nothing_when_the_block_raises(tmp_path: Path, error: BaseException) -> None:
    with pytest.raises(type(error)) as caught, VideoWriter(tmp_path / "a.mp4", 30.0, SIZE) as writer:
        writer.write(flat(1))
        raise error

    assert caught.value is error
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".avi"])
def test_writer_says_disk_full_and_leaves_nothing_when_the_disk_is_tiny(tiny_disk: Path, suffix: str) -> None:
    generator = np.random.default_rng(0)
    path = tiny_disk / f"a{suffix}"

    with (
        pytest.raises(OutputError, match=r"incomplete, the disk is probably full.*Fix:"),
        VideoWriter(path, 30.0, (240, 320)) as writer,
    ):
        for _ in range(30):
            writer.write(generator.integers(0, 256, (240, 320, 3), dtype=np.uint8))

    assert list(tiny_disk.iterdir()) == []


def test_writer_says_so_when_the_folder_is_read_only_or_missing(unwritable_folder: Path) -> None:
    with pytest.raises(OutputError, match=r"cannot open it for writing.*Fix:"):
        VideoWriter(unwritable_folder / "a.mp4", 30.0, SIZE).__enter__()
    with pytest.raises(OutputError, match="Fix:"):
        VideoWriter(unwritable_folder / "gone" / "a.mp4", 30.0, SIZE).__enter__()


def test_writer_says_so_when_no_frame_was_written(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="no frame was written"), VideoWriter(tmp_path / "a.mp4", 30.0, SIZE):
        pass

    assert list(tmp_path.iterdir()) == []


def test_writer_refuses_other_frames_suffixes_rates_and_use_outside_a_block(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "a.mp4", 30.0, SIZE) as writer:
        writer.write(flat(1))
        with pytest.raises(InputError, match=r"got size \(10, 10\), expected \(48, 64\)"):
            writer.write(flat(1, (10, 10)))
        with pytest.raises(InputError, match="float32"):
            writer.write(np.zeros((*SIZE, 3), np.float32))  # type: ignore[arg-type]

    with pytest.raises(OutputError, match=r"got suffix '.gif'"):
        VideoWriter(tmp_path / "a.gif", 30.0, SIZE)
    with pytest.raises(InputError, match="0 < fps < 1000"):
        VideoWriter(tmp_path / "a.mp4", 0.0, SIZE)
    with pytest.raises(OutputError, match="not open"):
        VideoWriter(tmp_path / "b.mp4", 30.0, SIZE).write(flat(1))
