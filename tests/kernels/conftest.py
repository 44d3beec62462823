"""What the tests of kernels share: an own cache, a kernel of a few lines, and arrays on a GPU where there is one."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from attention_cases import Case, run_attention, run_on_gpu

from pixio_edge.kernels.catalogue import Kernel
from pixio_edge.kernels.precision import from_bf16, to_bf16

# Each thread adds a bias from a header to one element: enough to have a header, a macro and shared memory.
SHIFT_SOURCE = """
#include "shift.cuh"
extern "C" __global__ void shift(const float* x, float* out, int count, float factor) {
  __shared__ float staged[128];
  const int i = blockIdx.x * 128 + threadIdx.x;
  staged[threadIdx.x] = i < count ? x[i] * factor : 0.0f;
  __syncthreads();
  if (i < count) out[i] = staged[threadIdx.x] + kShift * TIMES;
}
"""
SHIFT_HEADER = '#pragma once\n#include "deeper.cuh"\n'
DEEPER_HEADER = "constexpr float kShift = 3.0f;\n"


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No test reads what another compiled, or leaves anything in the user's cache."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("PIXIO_EDGE_CACHE", str(folder))
    return folder


@pytest.fixture
def shift(tmp_path: Path) -> Kernel:
    """A kernel that can be changed without changing one that ships."""
    folder = tmp_path / "sources"
    folder.mkdir()
    (folder / "shift.cu").write_text(SHIFT_SOURCE)
    (folder / "shift.cuh").write_text(SHIFT_HEADER)
    (folder / "deeper.cuh").write_text(DEEPER_HEADER)
    return Kernel("shift", "shift.cu", ("shift",), {"TIMES": (1, 2)}, folder)


# Beside every array: more than any kernel writes at once, and a multiple of the alignment that kernels ask for.
# None where each array is an allocation of its own: there compute-sanitizer sees reads past it as well.
GUARD_BYTES = 0 if os.environ.get("PYTORCH_NO_CUDA_MEMORY_CACHING") == "1" else 4096
GUARD = 0xA5


class Gpu:
    """Arrays on the first GPU, kept by torch; mark tests that use it `cuda`.

    Each lies between guard bytes, which `check_guards` looks at: memory of torch comes in large pieces, so that a write
    past an array is within them, and no tool need notice it.
    """

    def __init__(self, torch: ModuleType, device: str = "cuda") -> None:
        self._torch = torch
        self._device = device
        self._guarded: list[tuple[Any, Any]] = []  # whole memory of an array, and the array
        # One of its own: the default stream waits for everything, and so hides what is not waited for.
        self._side = torch.cuda.Stream() if device == "cuda" else None

    @property
    def stream(self) -> int:
        """Handle of the stream that kernels are started on."""
        return 0 if self._side is None else int(self._side.cuda_stream)

    def upload(self, values: np.ndarray, precision: str = "fp32") -> Any:
        """Float values as a tensor of "fp32", "fp16" or "bf16", rounded to nearest even; integers as they are."""
        if values.dtype.kind in "iu":
            return self._guard(self._torch.from_numpy(values.copy()))
        if precision == "bf16":
            return self._guard(self._torch.from_numpy(to_bf16(values).view(np.int16)).view(self._torch.bfloat16))
        dtype = {"fp16": np.float16, "fp32": np.float32}[precision]
        return self._guard(self._torch.from_numpy(values.astype(dtype)))

    def download(self, tensor: Any) -> np.ndarray:
        """Values of a tensor, floats as float32, when all work on the GPU is done and has written in its place."""
        self.check_guards()
        if tensor.dtype == self._torch.bfloat16:
            return from_bf16(tensor.view(self._torch.int16).cpu().numpy().view(np.uint16))
        values: np.ndarray = tensor.cpu().numpy()
        return values.astype(np.float32) if values.dtype.kind == "f" else values

    def poisoned(self, shape: tuple[int, ...], precision: str) -> Any:
        """Memory that is all NaN (or the least integer, for "int8"): what a kernel leaves unwritten shows."""
        if precision == "int8":
            return self._guard(self._torch.full(shape, -128, dtype=self._torch.int8))
        dtype = {"fp32": "float32", "fp16": "float16", "bf16": "bfloat16"}[precision]
        return self._guard(self._torch.full(shape, float("nan"), dtype=getattr(self._torch, dtype)))

    def check_guards(self) -> None:
        """Wait for all work, and fail if any of it wrote beside an array."""
        self._synchronize()
        for memory, array in self._guarded:
            end = GUARD_BYTES + array.numel() * array.element_size()
            for part, place in ((memory[:GUARD_BYTES], "before"), (memory[end:], "behind")):
                assert bool((part == GUARD).all()), f"written {place} an array of {tuple(array.shape)}"

    def _guard(self, values: Any) -> Any:
        size = values.numel() * values.element_size()
        memory = self._torch.full((2 * GUARD_BYTES + size,), GUARD, dtype=self._torch.uint8, device=self._device)
        array = memory[GUARD_BYTES : GUARD_BYTES + size].view(values.dtype).view(values.shape)
        array.copy_(values)
        self._guarded.append((memory, array))
        self._synchronize()  # before another stream reads it
        return array

    def _synchronize(self) -> None:
        if self._device == "cuda":
            self._torch.cuda.synchronize()


@pytest.fixture
def gpu() -> Gpu:
    """The first GPU, for tests that are marked `cuda`; they are skipped where there is none (tests/conftest.py)."""
    return Gpu(importlib.import_module("torch"))


@pytest.fixture(params=["emulator", pytest.param("gpu", marks=pytest.mark.cuda)])
def attend(request: pytest.FixtureRequest) -> Callable[[Case, str], np.ndarray]:
    """Fused attention of a case by one entry point: on the emulator, and on a GPU where there is one."""
    if request.param == "emulator":
        return lambda case, entry: run_attention(case, entry)[0]
    gpu: Gpu = request.getfixturevalue("gpu")
    return lambda case, entry: run_on_gpu(gpu, case, entry)
