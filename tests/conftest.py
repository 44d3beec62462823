"""Starts every test process with the same signals, and knows which tests need a GPU."""

from __future__ import annotations

import importlib
import os
import signal

import pytest

from pixio_edge import env
from pixio_edge.kernels.select import describe_kernels

CUDA_PACKAGES = ("torch", "safetensors", "cuda.core", "cuda.bindings.nvrtc")


def pytest_configure() -> None:
    """Take SIGINT back: a shell that starts a job in the background has it ignored, and children inherit that."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    # No test leaves files in the user's cache, or depends on what is there; those about it set both variables.
    os.environ["PIXIO_EDGE_KEEP_COMPILED"] = "0"
    # Modules skip themselves where a package is missing, before any test is set up.
    if env.requires_cuda() and (missing := missing_for_cuda()):
        pytest.exit(f"PIXIO_EDGE_REQUIRE=cuda, but these cannot be imported: {', '.join(missing)}", returncode=1)


def missing_for_cuda() -> list[str]:
    """Packages that the tests for GPUs use and that cannot be imported here."""
    missing = []
    for name in CUDA_PACKAGES:
        try:
            importlib.import_module(name)
        except ImportError:
            missing.append(name)
    return missing


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what needs an NVIDIA GPU where there is none, or fail it if PIXIO_EDGE_REQUIRE=cuda wants one."""
    if item.get_closest_marker("cuda") is None:
        return
    reason = _reason_without_gpu()
    if reason is None:
        return
    if env.requires_cuda():
        pytest.fail(f"PIXIO_EDGE_REQUIRE=cuda, but {reason}", pytrace=False)
    pytest.skip(f"kernels: {reason}")


def _reason_without_gpu() -> str | None:
    """Why the tests that are marked `cuda` cannot run here; None if they can. Their arrays are torch's."""
    usable, reason = describe_kernels()
    if not usable:
        return reason
    try:
        torch = importlib.import_module("torch")
    except ImportError:
        return "torch, whose arrays they use, is not installed"
    return None if torch.cuda.is_available() else "the installed torch has no CUDA"
