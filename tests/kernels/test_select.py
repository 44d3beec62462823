"""What runs an operator, and why, without a GPU to ask."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from pixio_edge.errors import RuntimeUnavailableError, SpecError
from pixio_edge.kernels import compile as compiler
from pixio_edge.kernels.select import Selection, Situation, choose, describe_kernels, insist, select
from tests.fake_cuda_core import FakeCuda, install

pytest.importorskip("cuda.bindings.nvrtc", reason="the extra 'cuda' is not installed")

FINE = Situation("cuda:0", "float16", head_dim=64, channels=384, gpu="sm_87, compiled by NVRTC 13.5")
OBJECTIONS = [
    ({"device": "cpu"}, "the arrays are on cpu"),
    ({"dtype": "float32"}, "no kernel for float32, only for float16 and bfloat16"),
    ({"head_dim": 32}, "no kernel for heads of 32, only of 64, 80, 96"),
    ({"channels": 20}, "no kernel for rows of 20, only for multiples of 8 up to 12288"),
    ({"channels": 16384}, "no kernel for rows of 16384, only for multiples of 8 up to 12288"),
    ({"obstacle": "kernels: got GPU 'sm_72', too old"}, "kernels: got GPU 'sm_72', too old"),
]


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeCuda]:
    monkeypatch.delenv("PIXIO_EDGE_KERNELS", raising=False)
    with install(monkeypatch, FakeCuda(capabilities=((8, 7), (7, 2)))) as fake:
        yield fake


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("head_dim", [None, 64, 80, 96])
def test_kernel_is_chosen_where_nothing_is_in_the_way(dtype: str, head_dim: int | None) -> None:
    situation = replace(FINE, dtype=dtype, head_dim=head_dim)

    assert choose("attention", situation) == Selection("cuda", "sm_87, compiled by NVRTC 13.5")


@pytest.mark.parametrize(("changes", "reason"), OBJECTIONS)
def test_reference_is_chosen_with_what_is_in_the_way(changes: dict[str, object], reason: str) -> None:
    assert choose("attention", replace(FINE, **changes)) == Selection("reference", reason)


@pytest.mark.parametrize(("changes", "reason"), OBJECTIONS)
def test_forced_kernel_that_cannot_run_is_an_error_with_what_is_in_the_way(
    changes: dict[str, object], reason: str
) -> None:
    with pytest.raises(RuntimeUnavailableError) as caught:
        choose("attention", replace(FINE, forced="cuda", **changes))

    assert str(caught.value).startswith(f"kernel 'attention': {reason}, expected to run it")
    assert str(caught.value).endswith("Fix: remove what is in the way, or unset PIXIO_EDGE_KERNELS")


def test_forced_reference_wins_over_a_usable_gpu() -> None:
    assert choose("attention", replace(FINE, forced="reference")) == Selection(
        "reference", "PIXIO_EDGE_KERNELS=reference"
    )


def test_unknown_operator_is_refused() -> None:
    with pytest.raises(SpecError, match="kernel 'conv': unknown"):
        choose("conv", FINE)


@pytest.mark.parametrize("forced", [None, "cuda"])
def test_reference_on_a_gpu_is_refused_unless_it_was_asked_for(forced: str | None) -> None:
    reference = Selection("reference", "no kernel for float32")

    with pytest.raises(RuntimeUnavailableError, match=r"'attention': no kernel for float32.*KERNELS=reference"):
        insist("attention", reference, forced=forced)
    insist("attention", reference, forced="reference")
    insist("attention", Selection("cuda", ""), forced=forced)


@pytest.mark.usefixtures("cuda")
def test_select_asks_the_gpu_that_the_arrays_are_on() -> None:
    first = select("attention", device="cuda:0", dtype="float16", head_dim=64)
    second = select("attention", device="cuda:1", dtype="float16", head_dim=64)
    host = select("attention", device="cpu", dtype="float16", head_dim=64)

    assert first == Selection("cuda", f"sm_87, compiled by NVRTC {compiler.nvrtc_version()}")
    assert second.implementation == "reference"
    assert "got GPU 'sm_72'" in second.reason
    assert host == Selection("reference", "the arrays are on cpu")


def test_driver_older_than_the_code_is_what_is_in_the_way(cuda: FakeCuda, monkeypatch: pytest.MonkeyPatch) -> None:
    """JetPack 6.2 has CUDA 12.6, whose driver does not load what NVRTC 13 makes."""
    version = compiler.nvrtc_version()
    major = int(version.partition(".")[0])
    cuda.driver = (major - 1) * 1000 + 60

    selection = select("attention", device="cuda:0", dtype="float16", head_dim=64)
    usable, reason = describe_kernels()

    assert selection.implementation == "reference"
    expected = (
        f"got a driver for CUDA {major - 1}.6, expected one for CUDA {major}, which code of NVRTC {version} needs"
    )
    assert expected in selection.reason
    assert (usable, reason) == (False, selection.reason)


def test_driver_of_the_same_major_version_loads_the_code_of_a_newer_compiler(cuda: FakeCuda) -> None:
    cuda.driver = int(compiler.nvrtc_version().partition(".")[0]) * 1000

    assert select("attention", device="cuda:0", dtype="float16", head_dim=64).implementation == "cuda"


@pytest.mark.usefixtures("cuda")
def test_select_obeys_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIXIO_EDGE_KERNELS", "reference")
    assert select("attention", device="cuda", dtype="float16").implementation == "reference"

    monkeypatch.setenv("PIXIO_EDGE_KERNELS", "cuda")
    assert select("attention", device="cuda", dtype="float16").implementation == "cuda"
    with pytest.raises(RuntimeUnavailableError):
        select("attention", device="cpu", dtype="float16")


def test_description_names_the_gpu_and_the_compiler(cuda: FakeCuda, monkeypatch: pytest.MonkeyPatch) -> None:
    assert describe_kernels() == (True, f"sm_87, compiled by NVRTC {compiler.nvrtc_version()}")

    monkeypatch.setenv("PIXIO_EDGE_KERNELS", "reference")
    assert describe_kernels() == (False, "PIXIO_EDGE_KERNELS=reference")
    monkeypatch.delenv("PIXIO_EDGE_KERNELS")

    cuda.capabilities = ()
    assert describe_kernels() == (
        False,
        f"no NVIDIA GPU; NVRTC {compiler.nvrtc_version()} can compile for one ahead of time",
    )


@pytest.mark.usefixtures("cuda")
def test_description_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    class Bindings:
        def __getattr__(self, name: str) -> object:
            raise RuntimeError("no libnvrtc")

    monkeypatch.setattr(compiler, "_nvrtc", Bindings)

    usable, reason = describe_kernels()

    assert not usable
    assert reason.endswith("Fix: pip install 'pixio-edge[cuda]'")


@pytest.mark.cuda
def test_first_gpu_of_this_host_runs_kernels() -> None:
    assert select("attention", device="cuda:0", dtype="float16", head_dim=64).implementation == "cuda"
