"""ONNX Runtime keeps the contract, and runs on what it was told to."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import onnxruntime
import pytest

from pixio_edge.bundle import Bundle
from pixio_edge.errors import RuntimeUnavailableError
from pixio_edge.runtimes.base import Runtime, RuntimeOptions
from pixio_edge.runtimes.ort import with_companions
from pixio_edge.runtimes.registry import make_runtime
from tests.contracts.runtime_contract import RuntimeContract, threads_of_process
from tests.tiny_bundle import tiny_image, write_tiny_bundle

needs_affinity = pytest.mark.skipif(sys.platform != "linux", reason="this system has no thread affinity")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return write_tiny_bundle(tmp_path_factory.mktemp("ort") / "tiny")


class TestOrt(RuntimeContract):
    runtime_name = "ort"


def open_ort(bundle: Bundle, **options: object) -> Runtime:
    artifact = bundle.read_artifact(bundle.artifacts[0])
    return make_runtime("ort", artifact, RuntimeOptions(**options))  # type: ignore[arg-type]


def test_ort_runs_on_the_cpu_provider_unless_told_otherwise(bundle: Bundle) -> None:
    with open_ort(bundle) as runtime:
        assert runtime.info().device == "CPUExecutionProvider"


@pytest.mark.filterwarnings("ignore:Specified provider:UserWarning")
def test_ort_refuses_a_provider_that_silently_fell_back(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    """A build that lists CUDA on a machine without it: ORT logs and runs on the CPU, we do not."""
    monkeypatch.setattr(
        onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"]
    )

    with pytest.raises(RuntimeUnavailableError) as caught, open_ort(bundle, provider="cuda"):
        pass

    assert "CUDAExecutionProvider" in str(caught.value)
    assert "Fix: " in str(caught.value)


@pytest.mark.parametrize(
    ("provider", "available", "expected"),
    [
        ("CPUExecutionProvider", ["CUDA", "CPU"], ["CPU"]),
        ("CUDAExecutionProvider", ["Tensorrt", "CUDA", "CPU"], ["CUDA", "CPU"]),
        ("TensorrtExecutionProvider", ["Tensorrt", "CUDA", "CPU"], ["Tensorrt", "CUDA", "CPU"]),
        ("TensorrtExecutionProvider", ["Tensorrt", "CPU"], ["Tensorrt", "CPU"]),
    ],
)
def test_nodes_that_tensorrt_does_not_take_stay_on_the_gpu_where_cuda_is_there(
    provider: str, available: list[str], expected: list[str]
) -> None:
    providers = with_companions(provider, [f"{name}ExecutionProvider" for name in available])

    assert providers == [f"{name}ExecutionProvider" for name in expected]


def test_cuda_computes_fp32_products_in_fp32(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[object] = []

    def record(path: str, *, sess_options: object, providers: list[object]) -> None:
        given.extend(providers)
        raise RuntimeError("no GPU in this test")

    cuda, cpu = "CUDAExecutionProvider", "CPUExecutionProvider"
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [cuda, cpu])
    monkeypatch.setattr(onnxruntime, "InferenceSession", record)

    with pytest.raises(RuntimeUnavailableError, match="no GPU in this test"):
        open_ort(bundle, provider="cuda").open()

    assert given == [(cuda, {"use_tf32": "0"}), (cpu, {})]


@needs_affinity
def test_ort_starts_as_many_threads_as_asked_for(bundle: Bundle) -> None:
    before = threads_of_process()

    with open_ort(bundle, threads=3) as runtime:
        runtime.run({"image": tiny_image(bundle.artifacts[0].size)[None]})
        started = set(threads_of_process()) - set(before)

    assert len(started) == 2, "the caller is the third"


@needs_affinity
def test_ort_binds_its_threads_and_gives_the_caller_back(bundle: Bundle) -> None:
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        pytest.skip("needs two cores")
    before = threads_of_process()

    with open_ort(bundle, pin_cores=(cores[0], cores[1])) as runtime:
        runtime.run({"image": tiny_image(bundle.artifacts[0].size)[None]})
        now = threads_of_process()

    started = {task: allowed for task, allowed in now.items() if task not in before}
    assert list(started.values()) == [str(cores[1])]
    assert os.sched_getaffinity(0) == set(cores)


@needs_affinity
def test_pinning_to_a_core_that_is_not_there_is_refused(bundle: Bundle) -> None:
    with pytest.raises(RuntimeUnavailableError, match=r"pin_cores: got \(4096,\), expected cores out of"):
        open_ort(bundle, pin_cores=(4096,)).open()


@pytest.mark.parametrize("location", ["../secret.bin", "{folder}/secret.bin", "link.bin"])
def test_ort_refuses_weights_outside_the_bundle(tmp_path: Path, location: str) -> None:
    """The manifest of such a bundle is consistent, so only the engine sees where the graph points."""
    (tmp_path / "secret.bin").write_bytes(bytes(10_000))
    hostile = write_tiny_bundle(tmp_path / "hostile", location=location.format(folder=tmp_path))
    (hostile.folder / "link.bin").symlink_to(tmp_path / "secret.bin")

    with pytest.raises(RuntimeUnavailableError, match="cannot open artifact"), open_ort(hostile):
        pass


def test_ort_reads_external_weights_from_any_working_directory(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    with open_ort(bundle) as runtime:
        assert runtime.run({"image": tiny_image(bundle.artifacts[0].size)[None]})["depth"].any()
