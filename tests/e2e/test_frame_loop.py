"""The frame loop of an application: memory stays where it is."""

from __future__ import annotations

import gc
from pathlib import Path

import numpy as np
import psutil
import pytest

from pixio_edge import DepthEstimator
from pixio_edge.host import probe_host
from pixio_edge.runtimes.registry import runtime_status

FRAME_SIZE = (180, 320)
FRAMES = 2000
WARM_UP_FRAMES = 200
# One depth map of this size has 225 KiB, so leaking one in each hundred frames shows; allocators breathe by less.
GROWTH_LIMIT_MIB = 4.0


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


def test_memory_check_sees_a_leak_when_frames_are_kept(bundle: Path) -> None:
    frame = np.zeros((*FRAME_SIZE, 3), np.uint8)
    process = psutil.Process()

    with DepthEstimator.open(bundle, runtime="ort", threads=1) as estimator:
        before = process.memory_info().rss
        kept = list(estimator.stream(frame for _ in range(FRAMES // 100)))
        growth_mib = (process.memory_info().rss - before) / 2**20

    assert len(kept) == FRAMES // 100
    assert growth_mib > GROWTH_LIMIT_MIB
