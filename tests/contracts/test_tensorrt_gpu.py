"""The runtime contract on a real GPU, with whichever of the two libraries works there.

Never run by the authors: where this project is made there is no GPU. Everything that can be known without one is in
`test_tensorrt.py` and `test_tensorrt_protocol.py`.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from pixio_edge.bundle import Bundle
from pixio_edge.engines.build import BuildSettings, build_engine
from pixio_edge.errors import PixioEdgeError, RuntimeUnavailableError
from pixio_edge.export.trt.recipe import WORKSPACE, make_recipe
from pixio_edge.parity import Tolerance
from pixio_edge.runtimes.base import Runtime, RuntimeOptions
from pixio_edge.runtimes.cuda import list_gpus
from pixio_edge.runtimes.cudart import load_cudart
from pixio_edge.runtimes.registry import make_runtime
from pixio_edge.runtimes.trt import host_gpu
from pixio_edge.runtimes.trt_library import load_library
from tests.contracts.runtime_contract import THREADS, RuntimeContract
from tests.engine_bundle import store_engine, write_engine_bundle

# TensorRT multiplies fp32 in TF32, with 10 bits of mantissa: one rounding is 2^-11 = 0.0005, and two layers round two
# factors each.
TF32_TOLERANCE = Tolerance(max_rel=0.005)
QUICK = 0  # optimisation level: the first kernel that works

try:
    list_gpus(load_cudart())
except RuntimeUnavailableError as error:
    pytest.skip(f"needs a GPU: {error}", allow_module_level=True)


class OnGpu(RuntimeContract):
    options = RuntimeOptions(threads=THREADS, precision="fp16")

    @pytest.fixture(scope="class")
    def built(self, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bundle]:
        name = self.runtime_name
        try:
            library, gpu = load_library(name), host_gpu(name)
        except PixioEdgeError as error:
            pytest.skip(f"{name}: {error}")
        folder = tmp_path_factory.mktemp("gpu")
        bundle = write_engine_bundle(folder / "tiny", tolerance=TF32_TOLERANCE)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PIXIO_EDGE_CACHE", str(folder / "cache"))
            recipe = make_recipe(bundle.artifacts)
            for artifact in bundle.artifacts:
                settings = BuildSettings(profile=recipe.of(artifact).profile, level=QUICK, workspace=WORKSPACE)
                data = build_engine(library, bundle.folder / artifact.path, settings).data
                store_engine(bundle, artifact, gpu, data=data)
            yield bundle

    @pytest.fixture
    def bundle(self, built: Bundle) -> Bundle:
        return built

    def test_unknown_provider_is_refused_naming_those_that_are_there(self, closed: Runtime) -> None:
        options = RuntimeOptions(provider="abacus", precision="fp16")

        with pytest.raises(RuntimeUnavailableError, match=r"'abacus': .* expected one of: cuda:0"):
            make_runtime(self.runtime_name, closed.artifact, options).open()

    def test_info_says_what_runs(self, runtime: Runtime, feeds: dict[str, np.ndarray]) -> None:
        info = runtime.info(profile=True)

        assert info.runtime == self.runtime_name
        assert info.device.endswith("CUDA graph"), "the inference is recorded, and not started kernel by kernel"
        assert info.kernels is not None
        assert sum(info.kernels.values()) >= 1


class TestTensorRtOnGpu(OnGpu):
    runtime_name = "tensorrt"


class TestTensorRtRtxOnGpu(OnGpu):
    runtime_name = "tensorrt-rtx"
