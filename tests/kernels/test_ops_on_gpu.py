"""The operators on a real GPU: that the kernels run, on the stream and device that they are told, and are right."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="the extra 'export' is not installed")
pytest.importorskip("cuda.bindings.nvrtc", reason="the extra 'cuda' is not installed")

from operator_arguments import (  # noqa: E402
    EPS,
    HEAD_DIM,
    HEADS,
    OPERATORS,
    SCALE,
    TOKENS,
    as_tuple,
    attention_arguments,
    gelu_arguments,
    norm_arguments,
)
from torch import Tensor  # noqa: E402

from pixio_edge.errors import RuntimeUnavailableError, SpecError  # noqa: E402
from pixio_edge.kernels import devices, functions, launch, ops  # noqa: E402
from pixio_edge.kernels.catalogue import find_kernel  # noqa: E402
from pixio_edge.kernels.launch import record_starts  # noqa: E402

pytestmark = pytest.mark.cuda
every_operator = pytest.mark.parametrize(("name", "make"), OPERATORS, ids=[name for name, _ in OPERATORS])
Make = Callable[[torch.dtype], tuple[Any, ...]]
# Clock ticks of a GPU that waits: some tens of milliseconds, far more than it takes to start what follows.
WAIT_TICKS = 50_000_000


def to_gpu(arguments: tuple[Any, ...], device: str = "cuda") -> tuple[Any, ...]:
    return tuple(item.to(device) if isinstance(item, Tensor) else item for item in arguments)


@every_operator
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_operator_runs_the_kernel_and_agrees_with_the_reference(name: str, make: Make, dtype: torch.dtype) -> None:
    arguments = make(dtype)
    with record_starts() as started:
        found = as_tuple(getattr(ops, name)(*to_gpu(arguments)))
    torch.cuda.synchronize()

    kernel = find_kernel(name if name == "attention_int8" else name.removesuffix("_int8"))
    assert len(started) == (3 if name == "attention_int8" else 1)
    assert {one.entry for one in started} <= set(kernel.entries)
    assert all(("int8" in one.entry) == ("int8" in name) for one in started)
    assert {one.sm for one in started} == {devices.sm_of(0)}
    # Both round to a type with 8 bits or more, from sums of different order: one step of the coarser type, or of INT8.
    for one, two in zip(found, as_tuple(getattr(ops, name)(*arguments)), strict=True):
        assert (one.cpu().float() - two.float()).abs().max() <= two.float().abs().max() * 2**-6 + (
            one.dtype == torch.int8
        )


@every_operator
def test_operator_is_recorded_in_a_graph(name: str, make: Make) -> None:
    arguments, operator = to_gpu(make(torch.float16)), getattr(ops, name)
    expected = operator(*arguments)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        found = operator(*arguments)

    for result in as_tuple(found):
        result.zero_()
    graph.replay()
    torch.cuda.synchronize()

    torch.testing.assert_close(found, expected, rtol=0, atol=0)


def test_first_start_in_a_recording_is_refused_and_load_prepares_it(monkeypatch: pytest.MonkeyPatch) -> None:
    qkv, bias, scale = to_gpu(attention_arguments(torch.float16))
    monkeypatch.setattr(launch, "_loaded", {})

    with (
        pytest.raises(RuntimeUnavailableError, match="first start of a kernel in the recording"),
        torch.cuda.graph(torch.cuda.CUDAGraph()),
    ):
        ops.attention(qkv, bias, scale)

    launch.load("attention", {"HEAD_DIM": HEAD_DIM, "ELEMENT_BF16": 0}, device=0)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        found = ops.attention(qkv, bias, scale)
    graph.replay()
    torch.cuda.synchronize()
    torch.testing.assert_close(found, ops.attention(qkv, bias, scale), rtol=0, atol=0)


@every_operator
def test_operator_waits_for_the_work_before_it_on_its_stream_and_is_waited_for(name: str, make: Make) -> None:
    arguments = to_gpu(make(torch.float16))
    expected = [value.clone() for value in as_tuple(getattr(ops, name)(*arguments))]
    late = [torch.full_like(item, float("nan")) if isinstance(item, Tensor) else item for item in arguments]
    torch.cuda.synchronize()
    stream = torch.cuda.Stream()

    with torch.cuda.stream(stream):
        torch.cuda._sleep(WAIT_TICKS)
        for target, source in zip(late, arguments, strict=True):
            if isinstance(target, Tensor):
                target.copy_(source)
        found = [value.clone() for value in as_tuple(getattr(ops, name)(*late))]
        for target in late:
            if isinstance(target, Tensor):
                target.fill_(float("nan"))
    stream.synchronize()

    torch.testing.assert_close(found, expected, rtol=0, atol=0)


@every_operator
def test_operator_runs_on_the_device_of_its_tensors(name: str, make: Make) -> None:
    """On every GPU that there is, with the first being the current one."""
    expected = [value.cpu() for value in as_tuple(getattr(ops, name)(*to_gpu(make(torch.float16))))]
    for device in range(torch.cuda.device_count()):
        found = as_tuple(getattr(ops, name)(*to_gpu(make(torch.float16), f"cuda:{device}")))
        assert {value.device.index for value in found} == {device}
        for one, two in zip(found, expected, strict=True):
            # GPUs of two kinds may divide the keys differently: one step of float16, or of INT8.
            allowed = float(two.float().abs().max()) * 2**-9 + (one.dtype == torch.int8)
            assert float((one.cpu().float() - two.float()).abs().max()) <= allowed
        assert torch.cuda.current_device() == 0


def test_tensors_that_the_kernels_cannot_read_are_refused() -> None:
    qkv, bias, scale = to_gpu(attention_arguments(torch.float16))
    x, vector = to_gpu(gelu_arguments(torch.float16))

    with pytest.raises(SpecError, match=r"^qkv: got strides .*Fix: qkv\.contiguous"):
        ops.attention(qkv.transpose(0, 1).contiguous().transpose(0, 1), bias, scale)
    odd = torch.empty(x.numel() + 1, dtype=x.dtype, device="cuda")[1:].view(x.shape)
    with pytest.raises(SpecError, match=r"^x: got memory at .*Fix: x\.clone"):
        ops.bias_gelu(odd, vector)
    with pytest.raises(SpecError, match=r"^bias: got a tensor on cpu"):
        ops.attention(qkv, bias.cpu(), scale)
    with pytest.raises(RuntimeUnavailableError, match="no kernel for float32"):
        ops.attention(qkv.float(), bias.float(), scale)


def test_functions_on_tensors_of_a_gpu_are_the_operators() -> None:
    qkv, bias, _ = to_gpu(attention_arguments(torch.float16))
    x, branch, branch_bias, layer_scale, weight, norm_bias, _ = to_gpu(norm_arguments(torch.float16))
    names = {"branch_bias": branch_bias, "layer_scale": layer_scale, "weight": weight, "bias": norm_bias}
    stream = torch.cuda.current_stream().cuda_stream
    out = torch.empty(2, TOKENS, HEADS * HEAD_DIM, dtype=qkv.dtype, device="cuda")
    size = functions.int8_workspace_bytes(2, TOKENS, HEADS, HEAD_DIM)
    workspace = torch.empty(size, dtype=torch.uint8, device="cuda")
    for name, extra in (("attention", ()), ("attention_int8", (workspace,))):
        selection = getattr(functions, name)(qkv, bias, out, *extra, stream=stream)
        torch.testing.assert_close(out, getattr(ops, name)(qkv, bias, SCALE), rtol=0, atol=0)
        assert selection.implementation == "cuda"

    arguments = (x, branch, branch_bias, layer_scale, weight, norm_bias, EPS)
    for name in ("add_layer_norm", "add_layer_norm_int8"):
        expected = getattr(ops, name)(*arguments)
        outputs = tuple(map(torch.empty_like, expected))
        functions.add_layer_norm(x, branch, outputs, **names, eps=EPS, stream=stream)
        torch.testing.assert_close(outputs, expected, rtol=0, atol=0)
    for name in ("bias_gelu", "bias_gelu_int8"):
        expected = as_tuple(getattr(ops, name)(branch, norm_bias))
        outputs = tuple(map(torch.empty_like, expected))
        functions.bias_gelu(branch, norm_bias, outputs, stream=stream)
        torch.testing.assert_close(outputs, expected, rtol=0, atol=0)
