"""The PTX for Blackwell and Thor, which another part of the compiler makes than that for sm_80, on the emulator."""

from __future__ import annotations

import re

import numpy as np
import pytest
from attention_cases import make_case, run_attention
from attention_int8_cases import run_attention_int8, simulate
from compiled_kernels import shipped_ptx
from row_cases import make_norm_case, run_gelu, run_norm

from pixio_edge.kernels import oracle
from pixio_edge.kernels.catalogue import KERNELS
from pixio_edge.kernels.oracle import RATIO_LIMIT

pytest.importorskip("cuda.bindings.nvrtc", reason="the extra 'cuda' is not installed")

# Equal to that for compute_120 but in GELU, which is therefore run from both.
NEWER = "compute_100"


def test_attention_is_within_twice_the_naive_error() -> None:
    case = make_case(65, with_bias=True)

    out, _ = run_attention(case, "attention_32", arch=NEWER)

    assert case.ratio(out) <= RATIO_LIMIT


def test_int8_attention_is_that_of_numpy() -> None:
    case = make_case(65)

    out = run_attention_int8(case, arch=NEWER).out

    # One place of float16: sums of another order.
    assert np.abs(out - simulate(case)).max() <= 2.0**-10 * np.abs(out).max()


def test_norm_is_within_twice_the_naive_error() -> None:
    case = make_norm_case(3, 192, precision="fp16", residual="fp32")

    assert max(case.ratios(*run_norm(case, arch=NEWER).outputs)) <= RATIO_LIMIT


@pytest.mark.parametrize("arch", [NEWER, "compute_120"])
def test_gelu_is_within_twice_the_naive_error(arch: str) -> None:
    case = make_norm_case(3, 192, precision="fp16")
    x, bias = case.branch, case.bias

    (active,) = run_gelu(x, bias, "fp16", arch=arch).outputs

    naive = oracle.naive_bias_gelu(x, bias, precision="fp16")
    assert oracle.ratio_to_naive(active, oracle.bias_gelu(x, bias), naive) <= RATIO_LIMIT


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "one", "other"),
    [
        *((name, "80", other) for name in KERNELS for other in ("87", "90")),
        *((name, "100", "120") for name in KERNELS if name != "bias_gelu"),
    ],
)
def test_targets_that_are_not_run_have_the_instructions_of_one_that_is(name: str, one: str, other: str) -> None:
    defines = next(KERNELS[name].variants())

    first, second = (instructions(shipped_ptx(name, defines, f"compute_{arch}")) for arch in (one, other))

    assert first == second


def instructions(ptx: str) -> str:
    """Everything but the lines that name the target."""
    return re.sub(r"^(\.target|\.version|//).*$", "", ptx, flags=re.MULTILINE)
