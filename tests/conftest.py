"""Starts every test process with the same signals, and knows which tests need a GPU."""

from __future__ import annotations

import os
import signal

import pytest

from pixio_edge import env
from pixio_edge.kernels.select import describe_kernels


def pytest_configure() -> None:
    """Take SIGINT back: a shell that starts a job in the background has it ignored, and children inherit that."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    # No test leaves files in the user's cache, or depends on what is there; those about it set both variables.
    os.environ["PIXIO_EDGE_KEEP_COMPILED"] = "0"


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what needs an NVIDIA GPU where there is none, or fail it if PIXIO_EDGE_REQUIRE=cuda wants one."""
    if item.get_closest_marker("cuda") is None:
        return
    usable, reason = describe_kernels()
    if not usable and env.requires_cuda():
        pytest.fail(f"PIXIO_EDGE_REQUIRE=cuda, but {reason}", pytrace=False)
    if not usable:
        pytest.skip(f"kernels: {reason}")
