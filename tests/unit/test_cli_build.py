"""`pixio-edge build` on a device, with fakes of CUDA and TensorRT that keep the rules of the real ones."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import onnx
import pytest
from command import run_here
from engine_bundle import ORIN_GPU, fake_gpu
from fake_builder import add_builder, fake_builder_module
from fake_tensorrt import layer, make_engine
from typed_bundle import write_typed_bundle

from pixio_edge.bundle import Bundle
from pixio_edge.cli.build import parse_capability, parse_library
from pixio_edge.engine_cache import find_engines, list_records
from pixio_edge.engines import workbench
from pixio_edge.engines.workbench import DeviceWorkbench, find_library_here, time_in_turns
from pixio_edge.errors import InputError, RuntimeUnavailableError
from pixio_edge.export.trt.emulation import emulated
from pixio_edge.golden import check_golden
from pixio_edge.runtimes import trt
from pixio_edge.runtimes.base import RuntimeOptions
from pixio_edge.runtimes.registry import make_runtime

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return write_typed_bundle(tmp_path_factory.mktemp("typed") / "bundle")


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    """An Orin with TensorRT 10.3 that can build, and a way to make it slow in INT8."""
    with fake_gpu(monkeypatch, tmp_path / "cache") as module:
        add_builder(module, serialise)
        monkeypatch.setattr(workbench, "load_cudart", trt.load_cudart)
        monkeypatch.setattr(workbench, "WARMUP_S", 0.0)
        yield module


def serialise(model: onnx.ModelProto) -> bytes:
    is_int8 = any(node.op_type == "QuantizeLinear" for node in model.graph.node)
    # Emulated: the basic optimisations of ONNX Runtime 1.31 spoil INT8 graphs in half precision.
    return make_engine(emulated(model), layers=(layer("gemm", "Int8" if is_int8 else "Half"),))


def times(monkeypatch: pytest.MonkeyPatch, **ms: float) -> None:
    """What the stopwatch shows, by precision; the steps are run."""

    def by_name(steps: dict[str, Callable[[], object]]) -> dict[str, float]:
        for step in steps.values():
            step()
        return {name: ms[name.split("-")[1]] for name in steps}

    monkeypatch.setattr(workbench, "time_in_turns", by_name)


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs the command in this process: its status and what it printed."""

    return partial(run_here, monkeypatch, capsys)


def test_bundle_is_built_and_then_runs_with_what_was_chosen(
    gpu: Any, bundle: Bundle, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    times(monkeypatch, fp16=4.0, int8=2.0)

    status, out, notes = command("build", bundle.folder, "--budget", "100")

    assert status == 0, notes
    assert "TensorRT 10.3.0 on Orin (SM 8.7)" in out
    assert "2.00 times as fast as fp16 (2.00 against 4.00 ms)" in out
    assert "tensorrt-fp16-64x64: built in" in notes
    chosen = bundle.artifact("tensorrt-int8-64x64")
    assert [record.chosen for record in find_engines(chosen, ORIN_GPU)] == [True]
    before = gpu.executions
    with make_runtime("tensorrt", bundle.read_artifact(chosen), RuntimeOptions(precision="int8")) as runtime:
        assert check_golden(bundle, runtime)
    assert gpu.executions > before


def test_results_are_printed_as_json_alone(
    gpu: Any, bundle: Bundle, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    times(monkeypatch, fp16=4.0, int8=5.0)

    status, out, _ = command("build", bundle.folder, "--json")

    report = json.loads(out)
    assert status == 0
    assert report["gpu"] == "TensorRT 10.3.0 on Orin (SM 8.7)"
    half, eight = report["engines"]
    assert (half["artifact"], half["status"], half["chosen"]) == ("tensorrt-fp16-64x64", "built", True)
    assert half["parity"]["margin"] < 1
    assert half["layers"] == {"fp16": 1}
    assert half["pinned"] == []
    assert half["latency_ms"] == 4.0
    assert (eight["chosen"], eight["layers"]) == (False, {"int8": 1})


def test_second_command_does_nothing_and_dry_run_says_so(
    gpu: Any, bundle: Bundle, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    times(monkeypatch, fp16=4.0, int8=5.0)
    command("build", bundle.folder)
    configs = len(gpu.configs)

    status, out, _ = command("build", bundle.folder)
    preview, previewed, _ = command("build", bundle.folder, "--dry-run", "--json")

    assert (status, preview) == (0, 0)
    assert len(gpu.configs) == configs
    assert out.count("cached") == 2
    assert [item["status"] for item in json.loads(previewed)["engines"]] == ["cached", "cached"]


def test_status_is_0_when_the_engine_that_runs_was_built_before(
    gpu: Any, bundle: Bundle, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    times(monkeypatch, fp16=4.0, int8=2.0)
    command("build", bundle.folder, "--budget", "100")

    status, out, problem = command("build", bundle.folder, "--budget", "100", "--precision", "fp16", "--json")

    assert (status, problem.count("no engine passed")) == (0, 0)
    (half,) = json.loads(out)["engines"]
    assert not half["chosen"]
    assert half["reason"] == "int8 is 2.00 times as fast"


def test_kernel_times_are_kept_beside_the_engines(
    gpu: Any, bundle: Bundle, command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    times(monkeypatch, fp16=4.0, int8=5.0)

    command("build", bundle.folder)

    assert (tmp_path / "cache" / "engines" / "timing.cache").read_bytes() == b"TIMES:10.3.0+timed+timed"


def test_status_is_1_when_a_size_has_no_engine(gpu: Any, bundle: Bundle, command: Command) -> None:
    gpu.problems = [("fc1", "MatMul", "not supported")]

    status, out, problem = command("build", bundle.folder)

    assert status == 1
    assert "node 'fc1' (MatMul): not supported" in out
    assert "pixio-edge: no engine passed for 64x64. Fix: " in problem
    assert list_records(bundle.artifact("tensorrt-fp16-64x64")) == ()


def test_engine_that_does_not_execute_fails_with_the_reason(gpu: Any, bundle: Bundle, command: Command) -> None:
    gpu.refusals["execution"] = "Error Code 1: Cuda Runtime (an illegal memory access)"

    status, out, _ = command("build", bundle.folder, "--precision", "fp16")

    assert status == 1
    assert "illegal memory access" in out


def test_interruption_ends_with_its_status_and_keeps_what_was_finished(
    gpu: Any, bundle: Bundle, command: Command
) -> None:
    steps: list[int] = []

    def interrupt_the_second_build() -> None:
        steps.append(1)
        if len(steps) == 30:
            os.kill(os.getpid(), signal.SIGINT)

    gpu.on_step = interrupt_the_second_build

    status, _, problem = command("build", bundle.folder)

    assert status == 130
    assert problem.splitlines()[-1] == "pixio-edge: interrupted"
    assert len(list_records(bundle.artifact("tensorrt-fp16-64x64"))) == 1
    assert list_records(bundle.artifact("tensorrt-int8-64x64")) == ()


def test_host_without_a_driver_is_told_so(gpu: Any, bundle: Bundle, command: Command, monkeypatch: Any) -> None:
    def no_driver() -> Any:
        raise RuntimeUnavailableError("CUDA: no NVIDIA driver, expected one. Fix: install it")

    monkeypatch.setattr(workbench, "load_cudart", no_driver)

    status, out, problem = command("build", bundle.folder)

    assert (status, out, problem) == (2, "", "pixio-edge: CUDA: no NVIDIA driver, expected one. Fix: install it\n")


def test_library_that_is_installed_is_taken(gpu: Any) -> None:
    assert find_library_here(pytest.fail) == "tensorrt"
    assert DeviceWorkbench("tensorrt").gpu == ORIN_GPU


@pytest.mark.parametrize(
    ("installed", "said"),
    [
        ("9.0.0", ["tensorrt: got version 9.0.0, expected 10.3 or newer. Fix: ", "Until then 'tensorrt-rtx' is taken"]),
        (None, []),
    ],
    ids=["too old", "absent"],
)
def test_library_that_is_installed_and_not_taken_is_named_with_the_reason(
    monkeypatch: pytest.MonkeyPatch, installed: str | None, said: list[str]
) -> None:
    old = None if installed is None else fake_builder_module("tensorrt", installed)
    monkeypatch.setitem(sys.modules, "tensorrt", old)
    monkeypatch.setitem(sys.modules, "tensorrt_rtx", fake_builder_module("tensorrt_rtx", "1.7.1"))
    notes: list[str] = []

    assert find_library_here(notes.append) == "tensorrt-rtx"

    assert len(notes) == bool(said)
    assert all(text in notes[0] for text in said)


def test_host_without_either_library_is_told_both_reasons(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", fake_builder_module("tensorrt", "9.0.0"))
    monkeypatch.setitem(sys.modules, "tensorrt_rtx", None)

    with pytest.raises(RuntimeUnavailableError, match=r"got version 9\.0\.0.* Or: .*tensorrt_rtx"):
        find_library_here(pytest.fail)


def test_steps_take_turns_in_alternating_order_and_the_median_counts() -> None:
    now, order = [0.0], []
    cost = {"fp16": iter([9.0, *[0.004] * 99]), "int8": iter([9.0, *[0.002] * 99])}

    def step(name: str) -> Callable[[], None]:
        def run() -> None:
            order.append(name)
            now[0] += next(cost[name])

        return run

    measured = time_in_turns({name: step(name) for name in cost}, clock=lambda: now[0], rounds=3, runs=2)

    assert measured == {"fp16": pytest.approx(4.0), "int8": pytest.approx(2.0)}
    assert order == ["fp16", "int8", *["fp16"] * 2, *["int8"] * 4, *["fp16"] * 4, *["int8"] * 2]


def test_slow_steps_are_timed_less_often() -> None:
    now, calls = [0.0], []

    def step() -> None:
        calls.append(1)
        now[0] += 100.0

    assert time_in_turns({"fp16": step}, clock=lambda: now[0], rounds=2, runs=50) == {"fp16": 100_000.0}
    assert len(calls) == 3


@pytest.mark.parametrize(
    ("text", "expected"), [("8.6", "8.6"), ("86", "8.6"), ("sm_120", "12.0"), (" SM89 ", "8.9"), ("12.1", "12.1")]
)
def test_compute_capability_is_read_in_all_its_spellings(text: str, expected: str) -> None:
    assert parse_capability(text) == expected


@pytest.mark.parametrize("text", ["", "8", "orin", "8.6.1", "-8.6", "8,6"])
def test_what_is_no_compute_capability_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"--compute-capability: got .*Fix: --compute-capability 8\.6"):
        parse_capability(text)


def test_library_is_read_in_both_spellings() -> None:
    assert parse_library("TensorRT_RTX") == "tensorrt-rtx"
    with pytest.raises(InputError, match="--runtime: got 'trt', expected one of tensorrt, tensorrt-rtx"):
        parse_library("trt")
