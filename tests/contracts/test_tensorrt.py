"""TensorRT keeps the contract, on fakes of TensorRT and CUDA that keep the rules of the real ones strictly.

No GPU is needed; nothing here was run on one.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pixio_edge.bundle import Bundle
from pixio_edge.engine_cache import HostGpu
from pixio_edge.errors import RuntimeUnavailableError
from pixio_edge.runtimes.base import Runtime, RuntimeOptions
from pixio_edge.runtimes.registry import make_runtime
from tests.contracts.runtime_contract import THREADS, RuntimeContract
from tests.engine_bundle import fake_gpu, store_engines, write_engine_bundle


class OnFakes(RuntimeContract):
    options = RuntimeOptions(threads=THREADS, precision="fp16")
    version = "10.3.0"

    @pytest.fixture
    def library(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
        with fake_gpu(monkeypatch, tmp_path / "cache", library=self.runtime_name, version=self.version) as module:
            yield module

    @pytest.fixture
    def bundle(self, library: Any, tmp_path: Path) -> Bundle:
        bundle = write_engine_bundle(tmp_path / "tiny")
        store_engines(bundle, HostGpu(library=self.runtime_name, version=self.version, sm="8.7", device="Orin"))
        return bundle

    def test_unknown_provider_is_refused_naming_those_that_are_there(self, closed: Runtime) -> None:
        options = RuntimeOptions(provider="abacus", precision="fp16")

        with pytest.raises(RuntimeUnavailableError, match=r"'abacus': .* expected one of: cuda:0\. Fix: "):
            make_runtime(self.runtime_name, closed.artifact, options).open()

    def test_inference_runs_as_one_cuda_graph(self, runtime: Runtime, feeds: dict[str, Any], library: Any) -> None:
        library.cuda.calls.clear()

        runtime.run(feeds)

        assert library.cuda.count("cudaGraphLaunch") == 1
        assert library.cuda.count("cudaMemcpyAsync") == 0, "copies are in the graph"
        assert runtime.info().device == "Orin (SM 8.7), CUDA graph"


class TestTensorRt103(OnFakes):
    """What JetPack 6.2 carries."""

    runtime_name = "tensorrt"


class TestTensorRt11(OnFakes):
    runtime_name = "tensorrt"
    version = "11.4.0.106"


class TestTensorRtRtx(OnFakes):
    runtime_name = "tensorrt-rtx"
    version = "1.7.1.116"

    def test_engine_that_says_it_cannot_be_recorded_runs_without_a_graph(
        self, closed: Runtime, feeds: dict[str, Any], library: Any
    ) -> None:
        with closed as runtime:
            expected = runtime.run(feeds)["depth"]
        library.refusals["recording"] = "unused"

        with closed as runtime:
            depth = runtime.run(feeds)["depth"]
            device = runtime.info().device

        np.testing.assert_array_equal(depth, expected)
        assert device == "Orin (SM 8.7), no CUDA graph: the engine cannot be recorded"
