"""Engines are chosen where they were built and checked on this host, and the reasons say what to do where not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pixio_edge import estimator as estimator_module
from pixio_edge.bundle import Bundle
from pixio_edge.errors import RuntimeUnavailableError
from pixio_edge.estimator import DepthEstimator
from pixio_edge.host import Host
from pixio_edge.resolve import Resolution, RuntimeRequest, resolve
from pixio_edge.runtimes.built import EngineState, probe_engines
from tests.engine_bundle import ORIN_GPU, fake_gpu, store_engine, store_engines, write_engine_bundle
from tests.tiny_bundle import SIZES, tiny_image

JETSON = Host(
    os="Linux 5.15",
    arch="aarch64",
    cpu="ARMv8",
    logical_cores=6,
    physical_cores=6,
    affinity=tuple(range(6)),
    usable_cores=6,
    isa=("asimddp",),
    ram_mib=8_000,
    python="3.10.12",
    packages={"onnxruntime": "1.23.0", "tensorrt": "10.3.0"},
    gpus=("NVIDIA Jetson Orin Nano Developer Kit",),
)
BUILT, SLOWER = EngineState(), EngineState(passed_over="int8 takes 4.0 ms, fp16 2.0 ms")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder = tmp_path_factory.mktemp("engines") / "tiny"
    return write_engine_bundle(folder, precisions=("fp16", "int8"), with_onnx=True)


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    monkeypatch.setattr(estimator_module, "probe_host", lambda: JETSON)
    with fake_gpu(monkeypatch, tmp_path / "cache") as module:
        yield module


def names(bundle: Bundle, precision: str, kind: str = "tensorrt") -> list[str]:
    return [a.name for a in bundle.artifacts if (a.kind, a.precision) == (kind, precision)]


def states(bundle: Bundle, **by_precision: EngineState) -> dict[tuple[str, str], EngineState]:
    return {("tensorrt", name): state for precision, state in by_precision.items() for name in names(bundle, precision)}


def ladder(resolution: Resolution) -> list[str]:
    return [artifact.name for artifact in resolution.ladder]


def reasons(resolution: Resolution, runtime: str) -> dict[str, str]:
    return {item.artifact: item.reason for item in resolution.rejected if item.runtime == runtime}


def test_built_engines_are_chosen_before_any_cpu_runtime(bundle: Bundle) -> None:
    resolution = resolve(bundle.artifacts, JETSON, RuntimeRequest(), states(bundle, fp16=BUILT, int8=SLOWER))

    assert (resolution.runtime, resolution.precision) == ("tensorrt", "fp16")
    assert ladder(resolution) == names(bundle, "fp16")
    assert reasons(resolution, "tensorrt")[names(bundle, "int8")[0]] == SLOWER.passed_over
    assert reasons(resolution, "ort")[names(bundle, "fp32", "onnx")[0]] == "tensorrt is preferred on this host"


def test_engine_that_was_slower_runs_when_its_precision_is_asked_for(bundle: Bundle) -> None:
    engines = states(bundle, fp16=BUILT, int8=SLOWER)

    resolution = resolve(bundle.artifacts, JETSON, RuntimeRequest(precision="int8"), engines)

    assert ladder(resolution) == names(bundle, "int8")
    assert resolution.precision == "int8"


def test_each_size_runs_in_the_precision_that_was_chosen_for_it(bundle: Bundle) -> None:
    fp16, int8 = names(bundle, "fp16"), names(bundle, "int8")
    engines = {("tensorrt", name): BUILT for name in (int8[0], *fp16[1:])}
    engines |= {("tensorrt", name): SLOWER for name in (fp16[0], *int8[1:])}

    resolution = resolve(bundle.artifacts, JETSON, RuntimeRequest(), engines)

    assert sorted(ladder(resolution)) == sorted([int8[0], *fp16[1:]])
    assert {resolution.precision_of(item) for item in resolution.ladder} == {"fp16", "int8"}


def test_without_an_engine_the_cpu_runs_and_the_reasons_say_how_to_build_one(bundle: Bundle) -> None:
    resolution = resolve(bundle.artifacts, JETSON, RuntimeRequest())

    assert (resolution.runtime, resolution.precision) == ("ort", "fp32")
    assert set(reasons(resolution, "tensorrt").values()) == {
        "no engine was built on this host. Fix: pixio-edge build BUNDLE",
        "runs tensorrt, not onnx",
    }
    assert "tensorrt_rtx is not installed" in reasons(resolution, "tensorrt-rtx")[names(bundle, "fp16")[0]]


def test_tensorrt_that_is_asked_for_without_an_engine_fails_with_the_command_that_builds_one(bundle: Bundle) -> None:
    with pytest.raises(
        RuntimeUnavailableError,
        match=r"no engine was built on this host; .*\. Fix: pixio-edge build BUNDLE; or ask",
    ) as caught:
        resolve(bundle.artifacts, JETSON, RuntimeRequest(runtime="tensorrt"))

    assert str(caught.value).count("Fix: ") == 1


def test_engines_for_some_sizes_only_run_when_asked_for(bundle: Bundle) -> None:
    engines: Mapping[tuple[str, str], EngineState] = {("tensorrt", names(bundle, "fp16")[0]): BUILT}

    unasked = resolve(bundle.artifacts, JETSON, RuntimeRequest(), engines)

    assert unasked.runtime == "ort"
    assert reasons(unasked, "tensorrt")[names(bundle, "fp16")[0]] == (
        f"engines for 1 of {len(SIZES)} sizes only, so not unless asked for. Fix: pixio-edge build BUNDLE"
    )
    for request in (RuntimeRequest(runtime="tensorrt"), RuntimeRequest(size=SIZES[0])):
        assert ladder(resolve(bundle.artifacts, JETSON, request, engines)) == names(bundle, "fp16")[:1]


@pytest.mark.parametrize(("provider", "runtime"), [("cpu", "ort"), ("cuda", "tensorrt"), ("CUDA:0", "tensorrt")])
def test_provider_that_is_no_gpu_is_respected(bundle: Bundle, provider: str, runtime: str) -> None:
    request = RuntimeRequest(provider=provider)

    assert resolve(bundle.artifacts, JETSON, request, states(bundle, fp16=BUILT)).runtime == runtime


def test_bundle_without_typed_graphs_is_not_compared_with_engine_runtimes(bundle: Bundle) -> None:
    onnx = [artifact for artifact in bundle.artifacts if artifact.kind == "onnx"]

    resolution = resolve(onnx, JETSON, RuntimeRequest())

    assert {item.runtime for item in resolution.rejected} <= {"openvino"}


def test_cuda_is_not_started_where_nothing_was_built(bundle: Bundle, library: Any) -> None:
    library.cuda.calls.clear()

    found = probe_engines(bundle.artifacts, JETSON)

    assert library.cuda.calls == []
    assert {state.absence for state in found.values()} == {
        "no engine was built on this host. Fix: pixio-edge build BUNDLE"
    }


@pytest.mark.parametrize(
    ("gpu", "reason"),
    [
        ({"version": "10.4.0"}, "built by TensorRT 10.4.0 on Orin"),
        ({"sm": "8.6", "device": "NVIDIA RTX A2000"}, "built by TensorRT 10.3.0 on NVIDIA RTX A2000"),
    ],
)
def test_engine_of_another_version_or_gpu_is_absent_with_the_reason(
    bundle: Bundle, library: Any, gpu: dict[str, str], reason: str
) -> None:
    store_engines(bundle, ORIN_GPU.model_copy(update=gpu))

    state = probe_engines(bundle.artifacts, JETSON)["tensorrt", names(bundle, "fp16")[0]]

    assert state.absence is not None
    assert reason in state.absence
    assert state.absence.endswith("expected one for TensorRT 10.3.0 on Orin (SM 8.7). Fix: pixio-edge build BUNDLE")


def test_engine_that_failed_its_checks_is_absent(bundle: Bundle, library: Any) -> None:
    for artifact in bundle.artifacts:
        if artifact.kind == "tensorrt":
            store_engine(bundle, artifact, finite=False)

    found = probe_engines(bundle.artifacts, JETSON)

    assert all("failed the checks" in str(state.absence) for state in found.values())


def test_gpu_that_cannot_be_used_is_a_reason_and_no_failure(bundle: Bundle, library: Any) -> None:
    store_engines(bundle)
    library.cuda.fail("cudaGetDeviceCount", 999)

    found = probe_engines(bundle.artifacts, JETSON)

    assert all("cudaGetDeviceCount gave error 999" in str(state.absence) for state in found.values())


def test_estimator_picks_built_engines_by_itself(bundle: Bundle, library: Any) -> None:
    for artifact in bundle.artifacts:
        if artifact.kind == "tensorrt":
            store_engine(bundle, artifact, chosen=artifact.precision == "fp16", reason="fp16 was as fast")

    with DepthEstimator.open(bundle) as estimator:
        depth = estimator.predict(tiny_image((40, 60)))
        device = estimator.info().device

    assert depth.source == "tensorrt/tensorrt-fp16-32x48"
    assert device == "Orin (SM 8.7), CUDA graph"
    with DepthEstimator.open(bundle, runtime="ort") as reference:
        np.testing.assert_allclose(depth.values, reference.predict(tiny_image((40, 60))).values, rtol=1e-4)


def test_estimator_without_engines_runs_on_the_cpu_and_says_what_to_do(bundle: Bundle, library: Any) -> None:
    with DepthEstimator.open(bundle) as estimator:
        assert estimator.predict(tiny_image((40, 60))).source == "ort/onnx-fp32-32x48"
        reason = reasons(estimator.resolution, "tensorrt")[names(bundle, "fp16")[0]]

    assert reason == "no engine was built on this host. Fix: pixio-edge build BUNDLE"


def test_estimator_with_mixed_precisions_runs_each_size_in_its_own(bundle: Bundle, library: Any) -> None:
    for artifact in bundle.artifacts:
        if artifact.kind == "tensorrt":
            is_chosen = (artifact.precision == "int8") == (artifact.size == SIZES[0])
            store_engine(bundle, artifact, chosen=is_chosen, reason="slower")

    with DepthEstimator.open(bundle) as estimator:
        sources = {estimator.predict(tiny_image(size)).source for size in SIZES}

    assert sources == {
        f"tensorrt/tensorrt-{'int8' if size == SIZES[0] else 'fp16'}-{size[0]}x{size[1]}" for size in SIZES
    }


def test_second_gpu_runs_its_own_engines(bundle: Bundle, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    gpus = (("Orin", (8, 7), True), ("NVIDIA RTX 4090", (8, 9), False))
    monkeypatch.setattr(estimator_module, "probe_host", lambda: replace(JETSON, gpus=("a", "b")))
    with fake_gpu(monkeypatch, tmp_path / "cache", gpus=gpus) as module:
        store_engines(bundle, ORIN_GPU.model_copy(update={"sm": "8.9", "device": "NVIDIA RTX 4090"}))
        with DepthEstimator.open(bundle, runtime="tensorrt", precision="fp16", provider="cuda:1") as estimator:
            estimator.predict(tiny_image((40, 60)))
            device = estimator.info().device
        assert device == "NVIDIA RTX 4090 (SM 8.9), CUDA graph"
        assert module.cuda.current == 0, "the device of the caller is put back"
