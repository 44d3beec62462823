"""`doctor` on a Jetson, on fakes of TensorRT and CUDA: what it says before and after engines are built."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pixio_edge.bundle import Bundle
from pixio_edge.cli.doctor import choose, open_once, print_choice
from pixio_edge.host import Host, probe_host
from tests.engine_bundle import fake_gpu, store_engine, store_engines, write_engine_bundle


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder = tmp_path_factory.mktemp("doctor") / "tiny"
    return write_engine_bundle(folder, precisions=("fp16", "int8"), with_onnx=True)


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    with fake_gpu(monkeypatch, tmp_path / "cache") as module:
        yield module


@pytest.fixture
def host() -> Host:
    return replace(probe_host(), packages={"onnxruntime": "1.23.0", "tensorrt": "10.3.0"})


def test_runtime_without_engines_is_usable_and_says_how_to_build_them(bundle: Bundle, host: Host, library: Any) -> None:
    row = open_once("tensorrt", [bundle], "tensorrt 10.3.0", host)

    assert row == {
        "providers": ["cuda:0"],
        "reason": "tensorrt 10.3.0; no engine was built on this host. Fix: pixio-edge build BUNDLE",
    }
    choice = choose(bundle, host)
    assert choice["runtime"] == "ort"
    assert {"no engine was built on this host. Fix: pixio-edge build BUNDLE"} <= {
        item["reason"] for item in choice["rejected"] if item["runtime"] == "tensorrt"
    }


def test_first_artifact_that_was_built_is_opened(bundle: Bundle, host: Host, library: Any) -> None:
    built = [artifact for artifact in bundle.artifacts if artifact.kind == "tensorrt"][-1]
    store_engine(bundle, built)

    row = open_once("tensorrt", [bundle], "tensorrt 10.3.0", host)

    assert row == {"providers": ["cuda:0"], "device": "Orin (SM 8.7), CUDA graph"}


def test_choice_of_a_bundle_with_engines_is_tensorrt(bundle: Bundle, host: Host, library: Any) -> None:
    store_engines(bundle)

    assert choose(bundle, host)["runtime"] == "tensorrt"


def test_gpu_that_fails_makes_the_runtime_unusable_with_the_fix(bundle: Bundle, host: Host, library: Any) -> None:
    library.cuda.fail("cudaGetDeviceCount", 35)

    row = open_once("tensorrt", [bundle], "tensorrt 10.3.0", host)

    assert row["usable"] is False
    assert row["reason"].startswith("CUDA: cudaGetDeviceCount gave error 35")
    assert "Fix: update the NVIDIA driver" in row["reason"]


def test_artifacts_that_are_rejected_alike_are_listed_together(
    bundle: Bundle, host: Host, library: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    print_choice(choose(bundle, host))

    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("  not ")]
    (unbuilt,) = (line for line in lines if "no engine was built" in line)
    names, _, reason = unbuilt.removeprefix("  not ").partition(" in tensorrt: ")
    assert sorted(names.split(", ")) == sorted(item.name for item in bundle.artifacts if item.kind == "tensorrt")
    assert reason == "no engine was built on this host. Fix: pixio-edge build BUNDLE"
    reasons = [line.partition(" in ")[2] for line in lines]
    assert len(reasons) == len(set(reasons))


def test_kind_that_a_runtime_does_not_run_is_said_before_its_installation(bundle: Bundle, host: Host) -> None:
    choice = choose(bundle, replace(host, packages={"onnxruntime": "1.23.0"}))

    reasons = {item["reason"] for item in choice["rejected"] if item["runtime"] == "openvino"}
    assert "runs onnx, not tensorrt" in reasons
    assert any("openvino is not installed" in reason for reason in reasons)
