"""Starts every test process with the same signals, whoever started pytest."""

from __future__ import annotations

import signal


def pytest_configure() -> None:
    """Take SIGINT back: a shell that starts a job in the background has it ignored, and children inherit that."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
