"""What the tests of kernels share: an own cache, a kernel of a few lines, and arrays on a GPU where there is one."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

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


class Gpu:
    """Arrays on the first GPU, kept by torch; mark tests that use it `cuda`."""

    def __init__(self, torch: ModuleType) -> None:
        self._torch = torch

    def upload(self, values: np.ndarray, precision: str = "fp32") -> Any:
        """Float values as a tensor of "fp32", "fp16" or "bf16", rounded to nearest even; integers as they are."""
        if values.dtype.kind in "iu":
            return self._torch.from_numpy(values.copy()).cuda()
        if precision == "bf16":
            bits = self._torch.from_numpy(to_bf16(values).view(np.int16)).cuda()
            return bits.view(self._torch.bfloat16)
        return self._torch.from_numpy(values.astype({"fp16": np.float16, "fp32": np.float32}[precision])).cuda()

    def download(self, tensor: Any) -> np.ndarray:
        """Values of a tensor, floats as float32, when all work on the GPU is done."""
        self._torch.cuda.synchronize()
        if tensor.dtype == self._torch.bfloat16:
            return from_bf16(tensor.view(self._torch.int16).cpu().numpy().view(np.uint16))
        values: np.ndarray = tensor.cpu().numpy()
        return values.astype(np.float32) if values.dtype.kind == "f" else values

    def poisoned(self, shape: tuple[int, ...], precision: str) -> Any:
        """Memory that is all NaN (or the least integer, for "int8"): what a kernel leaves unwritten shows."""
        if precision == "int8":
            return self._torch.full(shape, -128, dtype=self._torch.int8, device="cuda")
        dtype = {"fp32": "float32", "fp16": "float16", "bf16": "bfloat16"}[precision]
        return self._torch.full(shape, float("nan"), dtype=getattr(self._torch, dtype), device="cuda")


@pytest.fixture
def gpu() -> Gpu:
    """The first GPU, for tests that are marked `cuda`; they are skipped where there is none (tests/conftest.py)."""
    return Gpu(importlib.import_module("torch"))
