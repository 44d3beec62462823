"""Graphs that OpenVINO compiled are kept, read back with the same results, and never trusted when damaged."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pixio_edge.bench.isolated import bench_isolated
from pixio_edge.bench.plan import BenchPlan
from pixio_edge.bundle import Bundle
from pixio_edge.runtimes import ov_compiled
from pixio_edge.runtimes.base import Runtime, RuntimeOptions
from pixio_edge.runtimes.registry import make_runtime
from tests import tiny_bundle
from tests.tiny_bundle import write_tiny_bundle

openvino = pytest.importorskip("openvino", reason="the extra 'openvino' is not installed")


class Calls:
    """How often OpenVINO compiled and imported."""

    def __init__(self) -> None:
        self.compiled = self.imported = 0


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    counted = Calls()
    library = openvino.Core

    class Core:
        def __init__(self) -> None:
            self._core = library()

        def compile_model(self, *arguments: Any) -> Any:
            counted.compiled += 1
            return self._core.compile_model(*arguments)

        def import_model(self, *arguments: Any) -> Any:
            counted.imported += 1
            return self._core.import_model(*arguments)

        def __getattr__(self, name: str) -> Any:
            return getattr(self._core, name)

    monkeypatch.setattr(openvino, "Core", Core)
    return counted


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache, empty."""
    monkeypatch.setenv("PIXIO_EDGE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PIXIO_EDGE_KEEP_COMPILED", "1")
    return ov_compiled.compiled_folder()


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return write_tiny_bundle(tmp_path / "tiny")


def opened(bundle: Bundle, threads: int = 1) -> Runtime:
    return make_runtime("openvino", bundle.read_artifact(bundle.artifacts[0]), RuntimeOptions(threads=threads))


def run(bundle: Bundle, threads: int = 1) -> np.ndarray:
    spec = bundle.artifacts[0].inputs[0]
    image = np.random.default_rng(0).integers(0, 256, spec.shape, dtype=np.uint8)
    with opened(bundle, threads) as runtime:
        (depth,) = runtime.run({spec.name: image}).values()
    return depth


def test_second_load_reads_what_the_first_compiled_and_computes_the_same(bundle: Bundle, folder: Path, calls: Calls):
    first, second = run(bundle), run(bundle)

    assert (calls.compiled, calls.imported) == (1, 1)
    np.testing.assert_array_equal(first, second)
    assert len(list(folder.iterdir())) == 1


def test_kernels_are_counted_the_same_after_reading(bundle: Bundle, folder: Path, calls: Calls):
    kernels = []
    for _ in range(2):
        with opened(bundle) as runtime:
            kernels.append(runtime.info(profile=True).kernels)

    assert calls.imported == 1
    assert kernels[0] == kernels[1] != {}


def test_other_options_and_other_weights_have_files_of_their_own(
    bundle: Bundle, folder: Path, calls: Calls, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    # The same graph file in both bundles: only the weights beside it differ.
    other_weights = tiny_bundle.tiny_weights(seed=1)
    monkeypatch.setattr(tiny_bundle, "tiny_weights", lambda: other_weights)
    other = write_tiny_bundle(tmp_path / "other")
    assert other.artifacts[0].sha256 == bundle.artifacts[0].sha256

    results = [run(bundle), run(bundle, threads=2), run(other)]

    assert (calls.compiled, calls.imported) == (3, 0)
    assert len(list(folder.iterdir())) == 3
    assert not np.array_equal(results[0], results[2])


@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "foreign"])
def test_damaged_file_is_compiled_anew_and_replaced(bundle: Bundle, folder: Path, calls: Calls, damage: str):
    expected = run(bundle)
    (path,) = folder.iterdir()
    content = path.read_bytes()
    foreign = ov_compiled.hashlib.sha256(b"not a model").digest() + b"not a model"
    flipped = content[:200] + bytes([content[200] ^ 1]) + content[201:]
    path.write_bytes({"cut": content[:-9], "flip": flipped, "empty": b"", "foreign": foreign}[damage])

    np.testing.assert_array_equal(run(bundle), expected)

    assert calls.compiled == 2
    assert ov_compiled._read(path) is not None


def test_folder_that_cannot_be_made_does_not_stop_a_graph(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, calls: Calls, folder: Path
):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("PIXIO_EDGE_CACHE", str(tmp_path / "file" / "cache"))

    np.testing.assert_array_equal(run(bundle), run(bundle))

    assert calls.compiled == 2


def test_nothing_is_kept_when_told_so(bundle: Bundle, folder: Path, calls: Calls, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PIXIO_EDGE_KEEP_COMPILED", "0")

    run(bundle)

    assert (calls.compiled, folder.exists()) == (1, False)


def test_large_graph_is_not_kept(bundle: Bundle, folder: Path, calls: Calls, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(ov_compiled, "LARGEST_MIB", 0)

    run(bundle)

    assert (calls.compiled, folder.exists()) == (1, False)


def test_files_written_longest_ago_make_room(bundle: Bundle, folder: Path, monkeypatch: pytest.MonkeyPatch):
    run(bundle)
    (kept,) = folder.iterdir()
    old = folder / f"old{ov_compiled.SUFFIX}"
    old.write_bytes(bytes(1 << 20))
    os.utime(old, (0, 0))
    monkeypatch.setattr(ov_compiled, "LARGEST_CACHE_MIB", 1)

    run(bundle, threads=2)

    assert not old.exists()
    assert kept in list(folder.iterdir())
    assert len(list(folder.iterdir())) == 2


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
def test_folder_is_for_its_owner_alone(bundle: Bundle, folder: Path):
    run(bundle)

    assert folder.stat().st_mode & 0o077 == 0


def test_benchmark_measures_a_first_load(bundle: Bundle, folder: Path):
    plan = BenchPlan(str(bundle.folder), "openvino", bundle.artifacts[0].name, threads=1, runs=1, warmup=0)

    assert bench_isolated(plan).status == "ok"

    assert not folder.exists()


def test_device_without_an_export_runs_its_graph(
    bundle: Bundle, folder: Path, calls: Calls, monkeypatch: pytest.MonkeyPatch
):
    def refuse(_: object) -> bytes:
        raise RuntimeError("export_model is not implemented by this device")

    expected = run(bundle)
    monkeypatch.setattr(openvino.CompiledModel, "export_model", refuse)

    np.testing.assert_array_equal(run(bundle, threads=2), expected)

    assert calls.compiled == 2
    assert len(list(folder.iterdir())) == 1


def test_device_that_does_not_tell_what_it_is_runs_its_graph_and_keeps_nothing(
    bundle: Bundle, folder: Path, calls: Calls, monkeypatch: pytest.MonkeyPatch
):
    def refuse(*_: object) -> str:
        raise RuntimeError("unsupported property FULL_DEVICE_NAME")

    monkeypatch.setattr(ov_compiled, "_device_facts", refuse)

    run(bundle)

    assert (calls.compiled, folder.exists()) == (1, False)
