"""The operators on arrays of any library: numpy's are computed here, a GPU's reach the kernels."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from pixio_edge.errors import RuntimeUnavailableError, SpecError
from pixio_edge.kernels import functions, launch, reference
from pixio_edge.kernels.launch import record_starts
from pixio_edge.kernels.select import Selection
from tests.fake_cuda_core import FakeCuda, install, name_code

pytest.importorskip("cuda.bindings.nvrtc", reason="the extra 'cuda' is not installed")

BATCH, TOKENS, HEADS, HEAD_DIM, CHANNELS = 1, 17, 2, 64, 128
HOST = Selection("reference", "the arrays are on cpu")
EPS = 1e-6


def normal(*shape: int, seed: int = 0, dtype: str = "float16") -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def attention_arrays() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    qkv, bias = normal(BATCH, TOKENS, 3, HEADS, HEAD_DIM), normal(3, HEADS, HEAD_DIM, seed=1)
    return qkv, bias, np.full((BATCH, TOKENS, HEADS * HEAD_DIM), np.nan, np.float16)


def vectors() -> dict[str, np.ndarray]:
    names = ("branch_bias", "layer_scale", "weight", "bias")
    return {name: normal(CHANNELS, seed=seed) for seed, name in enumerate(names)}


def test_arrays_of_numpy_are_computed_by_the_reference_which_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PIXIO_EDGE_KERNELS", raising=False)
    qkv, bias, out = attention_arrays()

    assert functions.attention(qkv, bias, out) == HOST
    np.testing.assert_array_equal(out, reference.attention(qkv, bias, scale=HEAD_DIM**-0.5))

    assert functions.attention_int8(qkv, None, out, None, scale=0.5) == HOST
    np.testing.assert_array_equal(out, reference.attention_int8(qkv, None, scale=0.5))


def test_forced_kernel_leaves_arrays_of_numpy_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIXIO_EDGE_KERNELS", "cuda")
    qkv, bias, out = attention_arrays()
    x, result = normal(TOKENS, CHANNELS), np.full((TOKENS, CHANNELS), np.nan, np.float16)

    with pytest.raises(RuntimeUnavailableError, match="the arrays are on cpu"):
        functions.attention(qkv, bias, out)
    with pytest.raises(RuntimeUnavailableError, match="the arrays are on cpu"):
        functions.attention_int8(qkv, bias, out, None)
    with pytest.raises(RuntimeUnavailableError, match="the arrays are on cpu"):
        functions.add_layer_norm(x, x, (result, result), **vectors())
    with pytest.raises(RuntimeUnavailableError, match="the arrays are on cpu"):
        functions.bias_gelu(x, vectors()["bias"], (result,))

    assert np.isnan(out).all()
    assert np.isnan(result).all()


def test_kernels_need_numpy_alone() -> None:
    """Where only torch's image is at hand, such as on a lent GPU."""
    code = (
        "import sys; from pixio_edge.kernels import ahead, cache, functions, launch, select; "
        "print(sorted({'pydantic', 'torch', 'cv2', 'onnxruntime', 'imagesize'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"


def test_norm_and_gelu_of_numpy_have_both_kinds_of_outputs() -> None:
    x, branch = normal(TOKENS, CHANNELS, dtype="float32"), normal(TOKENS, CHANNELS, seed=1)
    total, normed = np.empty_like(x), np.empty_like(branch)
    codes, scales = np.empty(branch.shape, np.int8), np.empty(TOKENS, np.float32)

    functions.add_layer_norm(x, branch, (total, normed), **vectors())
    expected = reference.add_layer_norm(x, branch, **vectors(), eps=EPS)
    np.testing.assert_array_equal(total, expected[0])
    np.testing.assert_array_equal(normed, expected[1])

    functions.add_layer_norm(x, branch, (total, codes, scales), **vectors())
    np.testing.assert_array_equal(codes, reference.add_layer_norm_int8(x, branch, **vectors(), eps=EPS)[1])

    functions.bias_gelu(branch, vectors()["bias"], (normed,))
    np.testing.assert_array_equal(normed, reference.bias_gelu(branch, vectors()["bias"]))
    functions.bias_gelu(branch, vectors()["bias"], (codes, scales))
    np.testing.assert_array_equal(scales, reference.bias_gelu_int8(branch, vectors()["bias"])[1])


class OnGpu:
    """An array of numpy that says it is on the second GPU."""

    def __init__(self, array: np.ndarray) -> None:
        # Where kernels want memory to begin.
        buffer = np.empty(array.nbytes + 16, np.uint8)
        start = -buffer.ctypes.data % 16
        self.array = buffer[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
        self.array[...] = array

    @property
    def address(self) -> int:
        return self.array.ctypes.data

    def __dlpack_device__(self) -> tuple[int, int]:
        return (2, 1)

    def __dlpack__(self, *, stream: int) -> Any:
        return self.array.__dlpack__()


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeCuda]:
    monkeypatch.delenv("PIXIO_EDGE_KERNELS", raising=False)
    monkeypatch.setattr(launch, "load_kernel", name_code)
    with install(monkeypatch, FakeCuda(capabilities=((7, 2), (8, 7)))) as fake:
        yield fake


def test_attention_of_another_library_starts_the_kernel_on_its_gpu_and_stream(cuda: FakeCuda) -> None:
    qkv, bias, out = map(OnGpu, attention_arrays())

    selection = functions.attention(qkv, bias, out, stream=77)

    (started,) = cuda.starts
    assert selection.implementation == "cuda"
    assert selection.reason.startswith("sm_87")
    assert (started.device, started.stream) == (1, 77)
    assert started.arguments[:3] == (qkv.address, bias.address, out.address)
    assert started.arguments[3:] == (BATCH, TOKENS, HEADS, pytest.approx(HEAD_DIM**-0.5))


def test_int8_attention_takes_its_workspace_from_the_caller(cuda: FakeCuda) -> None:
    qkv, _, out = map(OnGpu, attention_arrays())
    size = functions.int8_workspace_bytes(BATCH, TOKENS, HEADS, HEAD_DIM)
    workspace = OnGpu(np.empty(size, np.uint8))

    functions.attention_int8(qkv, None, out, workspace)

    assert {started.arguments[:4] for started in cuda.starts} == {(qkv.address, 0, out.address, workspace.address)}
    with pytest.raises(SpecError, match=rf"workspace: got uint8 \({size - 16},\), expected uint8 \({size},\)"):
        functions.attention_int8(qkv, None, out, OnGpu(np.empty(size - 16, np.uint8)))


def test_norm_and_gelu_of_another_library_start_the_kernels(cuda: FakeCuda) -> None:
    x, branch = OnGpu(normal(TOKENS, CHANNELS, dtype="float32")), OnGpu(normal(TOKENS, CHANNELS))
    parameters = {name: OnGpu(vector) for name, vector in vectors().items()}
    total, normed = OnGpu(x.array), OnGpu(branch.array)

    functions.add_layer_norm(x, branch, (total, normed), **parameters)
    functions.bias_gelu(branch, parameters["bias"], (normed,))

    norm, gelu = cuda.starts
    order = [parameters[name].address for name in ("branch_bias", "layer_scale", "weight", "bias")]
    assert norm.arguments[:8] == (x.address, branch.address, *order, total.address, normed.address)
    assert gelu.arguments[:3] == (branch.address, parameters["bias"].address, normed.address)


@pytest.mark.usefixtures("cuda")
def test_arrays_of_numpy_and_of_a_gpu_together_are_refused() -> None:
    qkv, bias, out = attention_arrays()

    with pytest.raises(SpecError, match="some arrays of numpy and some on a GPU"):
        functions.attention(OnGpu(qkv), bias, OnGpu(out))


@pytest.mark.usefixtures("cuda")
def test_type_without_a_kernel_is_refused() -> None:
    qkv, _, out = (OnGpu(array.astype(np.float32)) for array in attention_arrays())

    with pytest.raises(RuntimeUnavailableError, match="no kernel for float32"):
        functions.attention(qkv, None, out)


@pytest.mark.usefixtures("cuda")
def test_forced_reference_is_refused_where_there_is_no_torch_to_run_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIXIO_EDGE_KERNELS", "reference")
    qkv, _, out = map(OnGpu, attention_arrays())

    with pytest.raises(SpecError, match=r"PIXIO_EDGE_KERNELS=reference.*Fix: copy them to the host"):
        functions.attention(qkv, None, out)


@pytest.mark.parametrize(
    "wrong", [np.zeros((BATCH, TOKENS, 1), np.float16), np.zeros((BATCH, TOKENS, 128), np.float32)]
)
def test_output_of_another_shape_or_type_is_refused(wrong: np.ndarray) -> None:
    qkv, bias, _ = attention_arrays()

    with pytest.raises(SpecError, match=r"attention: got output 0 of .*Fix: "):
        functions.attention(qkv, bias, wrong)


@pytest.mark.parametrize("outputs", [(), (np.empty(1),) * 4])
def test_wrong_number_of_outputs_is_refused(outputs: tuple[np.ndarray, ...]) -> None:
    with pytest.raises(SpecError, match=rf"got {len(outputs)} outputs, expected 1, or 2 for INT8"):
        functions.bias_gelu(normal(1, 8), normal(8), outputs)


@pytest.mark.cuda
def test_attention_on_a_real_gpu_agrees_with_the_reference(gpu: Any) -> None:
    qkv, bias, out = attention_arrays()
    target = gpu.poisoned(out.shape, "fp16")

    with record_starts() as started:
        functions.attention(gpu.upload(qkv, "fp16"), gpu.upload(bias, "fp16"), target)

    expected = reference.attention(qkv, bias, scale=HEAD_DIM**-0.5).astype(np.float32)
    assert [start.entry.partition("_")[0] for start in started] == ["attention"]
    # Two steps of float16 at the size of the largest value.
    np.testing.assert_allclose(gpu.download(target), expected, rtol=0, atol=2 * 2**-10 * np.abs(expected).max())
