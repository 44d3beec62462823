"""Compiled kernels come from the disk the second time, and run all the same where there is no usable disk."""

from __future__ import annotations

import errno
import multiprocessing
import os
from pathlib import Path

import pytest

from pixio_edge.errors import OutputError, RuntimeUnavailableError
from pixio_edge.files import give_lock_back, take_lock
from pixio_edge.kernels import cache
from pixio_edge.kernels import compile as compiler
from pixio_edge.kernels.cache import Cached, load_kernel
from pixio_edge.kernels.catalogue import Kernel

pytest.importorskip("cuda.bindings.nvrtc", reason="the extra 'cuda' is not installed")

SM = "sm_87"
DEFINES = {"TIMES": 1}


def files(folder: Path, suffix: str) -> list[Path]:
    return sorted(folder.rglob(f"*{suffix}"))


@pytest.fixture
def compilations(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Targets that were really compiled for, in order."""
    done: list[str] = []
    compile_source = compiler.compile_source

    def note(kernel: Kernel, source: object, sm: str, defines: dict[str, int]) -> compiler.Compiled:
        done.append(sm)
        return compile_source(kernel, source, sm, defines)

    monkeypatch.setattr(compiler, "compile_source", note)
    return done


def test_second_load_comes_from_the_disk_with_the_same_code(
    shift: Kernel, own_cache: Path, compilations: list[str]
) -> None:
    first, second = load_kernel(shift, SM, DEFINES), load_kernel(shift, SM, DEFINES)

    assert compilations == [SM]
    assert (first.is_from_disk, second.is_from_disk) == (False, True)
    assert second.compiled.cubin == first.compiled.cubin
    assert second.compiled.resources == first.compiled.resources
    assert first.problem is None
    assert [path.name.partition("-")[0] for path in files(own_cache / "kernels", ".cubin")] == ["shift"]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no mode bits")
def test_cache_is_for_its_owner_alone(shift: Kernel, own_cache: Path) -> None:
    load_kernel(shift, SM, DEFINES)

    assert (own_cache / "kernels").stat().st_mode & 0o777 == 0o700


def test_other_gpus_macros_and_headers_are_other_files(shift: Kernel, own_cache: Path, compilations: list[str]) -> None:
    load_kernel(shift, SM, DEFINES)
    load_kernel(shift, "sm_86", DEFINES)
    load_kernel(shift, SM, {"TIMES": 2})
    (shift.folder / "deeper.cuh").write_text("constexpr float kShift = 5.0f;\n")
    load_kernel(shift, SM, DEFINES)

    assert len(compilations) == len(files(own_cache, ".cubin")) == 4


def test_code_for_a_desktop_gpu_is_never_taken_for_orin(shift: Kernel, own_cache: Path) -> None:
    desktop = load_kernel(shift, "sm_86", DEFINES)
    orin = load_kernel(shift, "sm_87", DEFINES)

    assert not orin.is_from_disk
    assert orin.compiled.cubin != desktop.compiled.cubin


@pytest.mark.parametrize("damage", [b"", b"\x7fELF", None])
def test_damaged_code_is_compiled_again_and_repaired(
    shift: Kernel, own_cache: Path, compilations: list[str], damage: bytes | None
) -> None:
    good = load_kernel(shift, SM, DEFINES).compiled.cubin
    (path,) = files(own_cache, ".cubin")
    path.write_bytes(good[:-1] + b"?" if damage is None else damage)

    again = load_kernel(shift, SM, DEFINES)

    assert again.compiled.cubin == good
    assert len(compilations) == 2
    assert load_kernel(shift, SM, DEFINES).is_from_disk


@pytest.mark.parametrize("text", ["", "{", "[]", '{"digest": 1}', "null"])
def test_damaged_record_is_compiled_again(shift: Kernel, own_cache: Path, compilations: list[str], text: str) -> None:
    load_kernel(shift, SM, DEFINES)
    (path,) = files(own_cache, ".json")
    path.write_text(text)

    assert not load_kernel(shift, SM, DEFINES).is_from_disk
    assert load_kernel(shift, SM, DEFINES).is_from_disk


def test_record_of_another_variant_is_not_taken_for_this_one(shift: Kernel, own_cache: Path) -> None:
    load_kernel(shift, SM, DEFINES)
    (path,) = files(own_cache, ".json")
    path.write_text(path.read_text().replace('"digest": "', '"digest": "0'))

    assert not load_kernel(shift, SM, DEFINES).is_from_disk


def test_cache_that_is_a_file_only_costs_a_compilation_each_time(
    shift: Kernel, own_cache: Path, compilations: list[str]
) -> None:
    own_cache.write_text("not a folder")

    first, second = load_kernel(shift, SM, DEFINES), load_kernel(shift, SM, DEFINES)

    assert len(compilations) == 2
    assert first.compiled.cubin == second.compiled.cubin
    assert first.problem is not None
    assert first.problem.startswith("cannot create folder")
    assert first.problem.endswith("; compiled again in each process")
    assert "Fix" not in first.problem


def test_full_disk_only_costs_a_compilation_each_time(
    shift: Kernel, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, _: bytes) -> None:
        raise OutputError(f"cannot write {path}: {os.strerror(errno.ENOSPC).lower()}. Fix: free some space")

    monkeypatch.setattr(cache, "write_bytes_atomic", refuse)

    loaded = load_kernel(shift, SM, DEFINES)

    assert loaded.compiled.cubin
    assert loaded.problem is not None
    assert "no space left on device; compiled again" in loaded.problem
    assert not files(own_cache, ".cubin")


def test_lock_that_is_never_given_back_is_waited_for_once_and_said(
    shift: Kernel, own_cache: Path, compilations: list[str]
) -> None:
    load_kernel(shift, SM, DEFINES)
    (path,) = files(own_cache, ".cubin")
    path.unlink()
    with path.with_suffix(".lock").open("a", encoding="utf-8") as held:
        assert take_lock(held)
        loaded = load_kernel(shift, SM, DEFINES, lock_timeout_s=0.2)
        give_lock_back(held)

    assert loaded.compiled.cubin
    assert loaded.problem is not None
    assert "for 0.2 s; compiled again" in loaded.problem
    assert not files(own_cache, ".cubin")


def test_source_that_is_refused_leaves_nothing_behind(shift: Kernel, own_cache: Path) -> None:
    shift.path.write_text("nonsense")

    with pytest.raises(RuntimeUnavailableError, match="does not compile"):
        load_kernel(shift, SM, DEFINES)

    assert not files(own_cache, ".cubin") + files(own_cache, ".json")


def load_in_another_process(kernel: Kernel, folder: str, ready: object, results: object) -> None:
    ready.wait(30)
    loaded: Cached = load_kernel(kernel, SM, DEFINES, folder=Path(folder))
    results.put((loaded.is_from_disk, loaded.problem, loaded.compiled.cubin))


def test_two_processes_at_once_compile_once(shift: Kernel, tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork" if os.name == "posix" else "spawn")
    ready, results = context.Event(), context.Queue()
    arguments = (shift, str(tmp_path / "both"), ready, results)
    processes = [context.Process(target=load_in_another_process, args=arguments) for _ in range(2)]
    for process in processes:
        process.start()
    ready.set()
    outcomes = [results.get(timeout=60) for _ in processes]
    for process in processes:
        process.join(30)

    assert sorted(is_from_disk for is_from_disk, _, _ in outcomes) == [False, True]
    assert [problem for _, problem, _ in outcomes] == [None, None]
    assert outcomes[0][2] == outcomes[1][2]
