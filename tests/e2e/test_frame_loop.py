"""The frame loop of an application: memory stays where it is."""

from __future__ import annotations

import gc
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest

from pixio_edge import DepthEstimator
from pixio_edge.cli.stream import run
from pixio_edge.host import probe_host
from pixio_edge.runtimes.registry import runtime_status
from pixio_edge.video import VideoReader, VideoWriter

FRAME_SIZE = (180, 320)
VIDEO_SIZE = (90, 160)
FRAMES = 2000
WARM_UP_FRAMES = 200
# One depth map of this size has 225 KiB, so leaking one in each hundred frames shows; allocators breathe by less.
GROWTH_LIMIT_MIB = 4.0
# 22 MiB: some of it fits into blocks that earlier tests left free.
LEAKED_FRAMES = 100


@pytest.mark.parametrize("runtime", ["ort", "openvino"])
def test_memory_is_flat_over_two_thousand_frames(runtime: str, bundle: Path) -> None:
    if not runtime_status(probe_host())[runtime].usable:
        pytest.skip(f"{runtime} is not installed")
    random = np.random.default_rng(0)
    frames = [random.integers(0, 256, (*FRAME_SIZE, 3), dtype=np.uint8) for _ in range(4)]
    process = psutil.Process()

    with DepthEstimator.open(bundle, runtime=runtime, threads=1) as estimator:
        for depth in estimator.stream(frames[index % 4] for index in range(WARM_UP_FRAMES)):
            depth.colorize()
        gc.collect()
        before = process.memory_info().rss
        count = 0
        for depth in estimator.stream(frames[index % 4] for index in range(FRAMES)):
            depth.colorize()
            count += 1
        gc.collect()
        growth_mib = (process.memory_info().rss - before) / 2**20

    assert count == FRAMES
    assert growth_mib < GROWTH_LIMIT_MIB


class WatchedReader(VideoReader):
    """Notes the memory of the process once the loop is warm."""

    taken = 0
    warm_mib = 0.0

    def __next__(self) -> np.ndarray:
        if self.taken == WARM_UP_FRAMES:
            gc.collect()
            self.warm_mib = psutil.Process().memory_info().rss / 2**20
        self.taken += 1
        return super().__next__()


@pytest.fixture
def restored_signals() -> Iterator[None]:
    """The verb takes SIGTERM for its process, which here is that of all tests."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.mark.usefixtures("restored_signals")
def test_memory_is_flat_while_a_video_is_read_and_another_is_written(bundle: Path, tmp_path: Path) -> None:
    frame = np.random.default_rng(0).integers(0, 256, (*VIDEO_SIZE, 3), dtype=np.uint8)
    with VideoWriter(tmp_path / "long.avi", 25.0, VIDEO_SIZE) as writer:
        for _ in range(FRAMES):
            writer.write(frame)

    with (
        DepthEstimator.open(bundle, runtime="ort", threads=1) as estimator,
        WatchedReader(tmp_path / "long.avi") as reader,
    ):
        out = tmp_path / "out.mp4"
        progress, _ = run(reader, estimator, output=out, show=False, max_frames=None, colormap="inferno")
    gc.collect()

    assert progress.frames == FRAMES
    assert psutil.Process().memory_info().rss / 2**20 - reader.warm_mib < GROWTH_LIMIT_MIB


def test_memory_check_sees_a_leak_when_frames_are_kept(bundle: Path) -> None:
    frame = np.zeros((*FRAME_SIZE, 3), np.uint8)
    process = psutil.Process()

    with DepthEstimator.open(bundle, runtime="ort", threads=1) as estimator:
        before = process.memory_info().rss
        kept = list(estimator.stream(frame for _ in range(LEAKED_FRAMES)))
        growth_mib = (process.memory_info().rss - before) / 2**20

    assert len(kept) == LEAKED_FRAMES
    assert growth_mib > GROWTH_LIMIT_MIB
