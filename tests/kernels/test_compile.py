"""NVRTC compiles kernels for GPUs that are not there, and says what they need."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from compiled_kernels import shipped_cubin

from pixio_edge.errors import InputError, MissingDependencyError, RuntimeUnavailableError, SpecError
from pixio_edge.kernels import ahead
from pixio_edge.kernels import compile as compiler
from pixio_edge.kernels.catalogue import KERNELS, SMS, Kernel, find_kernel
from pixio_edge.kernels.compile import compile_kernel, compile_ptx, read_resources
from pixio_edge.kernels.source import read_source

pytest.importorskip("cuda.bindings.nvrtc", reason="the extra 'cuda' is not installed")

ELF = b"\x7fELF"


@pytest.mark.parametrize("sm", SMS)
def test_kernel_compiles_for_every_listed_gpu(shift: Kernel, sm: str) -> None:
    compiled = compile_kernel(shift, sm, {"TIMES": 1})

    assert compiled.cubin.startswith(ELF)
    assert compiled.ptx is not None
    assert f".target {sm}".encode() in compiled.ptx
    resources = compiled.resources["shift"]
    assert resources.registers > 0
    assert resources.shared_bytes >= 128 * 4
    assert (resources.spill_bytes, resources.stack_bytes) == (0, 0)


def test_macro_and_headers_reach_the_compiler(shift: Kernel) -> None:
    once, twice = (compile_ptx(shift, {"TIMES": times}) for times in (1, 2))

    assert "0f40400000" in once  # 3.0, of the inner header
    assert "0f40C00000" in twice


def test_ptx_is_for_the_common_base_unless_told(shift: Kernel) -> None:
    assert ".target sm_80" in compile_ptx(shift, {"TIMES": 1})
    assert ".target sm_90" in compile_ptx(shift, {"TIMES": 1}, arch="compute_90")


@pytest.mark.parametrize("defines", [{}, {"TIMES": 1, "OTHER": 1}, {"TIMES": 3}])
def test_macro_that_the_kernel_has_not_is_refused(shift: Kernel, defines: dict[str, int]) -> None:
    with pytest.raises(SpecError, match=r"kernel 'shift': got .*expected .*Fix: "):
        compile_kernel(shift, "sm_87", defines)


@pytest.mark.parametrize("sm", ["sm_75", "sm_86x", "87", ""])
def test_gpu_older_than_ampere_is_refused(shift: Kernel, sm: str) -> None:
    with pytest.raises(RuntimeUnavailableError, match=rf"got GPU '{sm}', expected sm_80 \(Ampere\) or newer\. Fix: "):
        compile_kernel(shift, sm, {"TIMES": 1})


def test_gpu_newer_than_the_compiler_is_refused_and_not_served_with_older_code(shift: Kernel) -> None:
    with pytest.raises(RuntimeUnavailableError, match=r"got GPU 'sm_999', which NVRTC .*Fix: pip install -U nvidia"):
        compile_kernel(shift, "sm_999", {"TIMES": 1})


def test_source_that_does_not_compile_is_one_line_with_the_log_as_its_cause(shift: Kernel) -> None:
    shift.path.write_text('extern "C" __global__ void shift(float* x) { x[0] = nothing; }\n')

    with pytest.raises(RuntimeUnavailableError) as caught:
        compile_kernel(shift, "sm_87", {"TIMES": 1})

    assert "\n" not in str(caught.value)
    assert 'identifier "nothing" is undefined' in str(caught.value)
    assert "1 error detected" in str(caught.value.__cause__)


def test_header_that_is_missing_is_an_input_error(shift: Kernel) -> None:
    (shift.folder / "deeper.cuh").unlink()

    with pytest.raises(InputError, match=r"deeper\.cuh: no such file.*Fix: install pixio-edge again"):
        compile_kernel(shift, "sm_87", {"TIMES": 1})


def test_missing_nvrtc_names_the_extra(shift: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    class Bindings:
        def __getattr__(self, name: str) -> object:
            raise RuntimeError("no libnvrtc")

    monkeypatch.setattr(compiler, "_nvrtc", Bindings)

    with pytest.raises(MissingDependencyError, match=r"'nvidia-cuda-nvrtc'.*pip install 'pixio-edge\[cuda\]'"):
        compile_kernel(shift, "sm_87", {"TIMES": 1})


def test_missing_bindings_name_the_extra(shift: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cuda.bindings.nvrtc", None)
    compiler._nvrtc.cache_clear()
    try:
        with pytest.raises(MissingDependencyError, match=r"'cuda-bindings'.*pip install 'pixio-edge\[cuda\]'"):
            compile_kernel(shift, "sm_87", {"TIMES": 1})
    finally:
        compiler._nvrtc.cache_clear()


def digest(kernel: Kernel, **changes: object) -> str:
    arguments = {"sm": "sm_87", "defines": {"TIMES": 1}, "compiler": "nvrtc 13.0", "options": ("-O3",)}
    return read_source(kernel).digest(**(arguments | changes))


@pytest.mark.parametrize(
    "changes", [{"sm": "sm_86"}, {"defines": {"TIMES": 2}}, {"compiler": "nvrtc 13.1"}, {"options": ()}]
)
def test_digest_is_another_for_another_target_macro_compiler_or_option(
    shift: Kernel, changes: dict[str, object]
) -> None:
    assert digest(shift) == digest(shift)
    assert digest(shift, **changes) != digest(shift)


@pytest.mark.parametrize("name", ["shift.cu", "shift.cuh", "deeper.cuh"])
def test_digest_is_another_when_the_source_or_any_header_changes(shift: Kernel, name: str) -> None:
    before = digest(shift)
    path = shift.folder / name
    path.write_text(path.read_text() + "\n")

    assert digest(shift) != before


def test_digest_ignores_headers_that_are_not_included(shift: Kernel) -> None:
    before = digest(shift)
    (shift.folder / "other.cuh").write_text("int unused;")

    assert digest(shift) == before


def test_resources_are_read_by_entry_with_spills_and_without_shared_memory() -> None:
    log = """ptxas info    : Compiling entry function 'one' for 'sm_87'
ptxas info    : Function properties for one
    16 bytes stack frame, 12 bytes spill stores, 8 bytes spill loads
ptxas info    : Used 255 registers, used 1 barriers, 512 bytes smem, 380 bytes cmem[0]
ptxas info    : Compiling entry function 'two' for 'sm_87'
ptxas info    : Function properties for two
    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 8 registers, 352 bytes cmem[0]
"""
    resources = read_resources(log)

    assert (resources["one"].registers, resources["one"].spill_bytes) == (255, 20)
    assert (resources["one"].shared_bytes, resources["one"].stack_bytes) == (512, 16)
    assert (resources["two"].registers, resources["two"].spill_bytes, resources["two"].shared_bytes) == (8, 0, 0)


def test_unknown_kernel_is_refused_naming_those_that_are_there() -> None:
    with pytest.raises(SpecError, match=r"kernel 'conv': unknown, expected one of: attention.*Fix: "):
        find_kernel("conv")


def test_variants_are_every_combination_of_the_macros() -> None:
    variants = list(KERNELS["attention"].variants())

    assert len(variants) == len({tuple(variant.items()) for variant in variants}) == 6
    assert {"HEAD_DIM": 80, "ELEMENT_BF16": 1} in variants


@pytest.mark.parametrize("name", KERNELS)
def test_catalogue_names_exactly_the_entry_points_of_the_source(name: str) -> None:
    kernel = KERNELS[name]

    compiled = shipped_cubin(name, "sm_87", next(kernel.variants()))

    assert set(compiled.resources) == set(kernel.entries)


def test_building_ahead_writes_code_and_report(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pixio_edge.kernels.compile", "--sm", "87", "-o", str(tmp_path / "out")]
    done = subprocess.run([*command, "--kernel", "bias_gelu"], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "out" / "kernels.json").read_text())
    rows = report["kernels"]
    assert [row["defines"] for row in rows] == [{"ELEMENT_BF16": 0}, {"ELEMENT_BF16": 1}]
    assert all((tmp_path / "out" / row["file"]).read_bytes().startswith(ELF) for row in rows)
    assert all(row["sm"] == "sm_87" and set(row["resources"]) == set(KERNELS["bias_gelu"].entries) for row in rows)
    assert report["compiler"].startswith("nvrtc ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--sm", "70"], "expected sm_80"),
        (["--sm", "87", "--kernel", "conv"], "kernel 'conv': unknown"),
        (["--sm", "87", "--nvcc", "no-such-nvcc"], "no-such-nvcc"),
    ],
)
def test_building_ahead_says_what_is_wrong_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert ahead.main([*arguments, "-o", str(tmp_path / "out")]) == 2

    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert said.count("\n") == 1
    assert message in said
    assert not list(tmp_path.glob("out/*"))


def test_nvcc_is_known_by_its_version_and_not_by_its_path(tmp_path: Path) -> None:
    nvcc = tmp_path / "nvcc"
    nvcc.write_text("#!/bin/sh\necho 'Cuda compilation tools, release 13.0, V13.0.88'\n")
    nvcc.chmod(0o755)
    assert ahead.read_nvcc_version(str(nvcc)) == "nvcc 13.0.88"

    nvcc.write_text("#!/bin/sh\necho 'something else'\n")
    with pytest.raises(RuntimeUnavailableError, match=r"got no version from --version.*Fix: "):
        ahead.read_nvcc_version(str(nvcc))


def test_nvcc_that_is_given_compiles_instead(tmp_path: Path, shift: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in for nvcc that notes what it was called with: the tests need no toolkit."""
    stand_in = tmp_path / "nvcc"
    stand_in.write_text(
        f"#!{sys.executable}\nimport sys\nfrom pathlib import Path\n"
        "Path(sys.argv[sys.argv.index('-o') + 1]).write_bytes(b'code')\n"
        "Path(__file__).with_suffix('.args').write_text(' '.join(sys.argv[1:]))\n"
        "print('ptxas info    : Compiling entry function \\'shift\\' for \\'sm_87\\'', file=sys.stderr)\n"
        "print('    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads', file=sys.stderr)\n"
        "print('ptxas info    : Used 9 registers, 512 bytes smem', file=sys.stderr)\n"
    )
    stand_in.chmod(0o755)

    compiled = ahead.compile_with_nvcc(str(stand_in), replace(shift), "sm_87", {"TIMES": 2})

    assert compiled.cubin == b"code"
    assert compiled.resources["shift"].registers == 9
    arguments = (tmp_path / "nvcc.args").read_text()
    assert "-cubin" in arguments
    assert "-arch=sm_87" in arguments
    assert "-DTIMES=2" in arguments
    assert arguments.endswith(str(shift.path))
