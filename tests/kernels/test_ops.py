"""The operators in torch: what compile and export see, what is refused, and what reaches a GPU."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="the extra 'export' is not installed")
pytest.importorskip("cuda.bindings.nvrtc", reason="the extra 'cuda' is not installed")

from operator_arguments import (  # noqa: E402
    CHANNELS,
    EPS,
    HEAD_DIM,
    HEADS,
    OPERATORS,
    SCALE,
    TOKENS,
    addresses,
    attention_arguments,
    gelu_arguments,
    norm_arguments,
    normal,
    transposed,
)
from torch import Tensor  # noqa: E402
from torch.nn import functional  # noqa: E402

from pixio_edge.errors import RuntimeUnavailableError, SpecError  # noqa: E402
from pixio_edge.kernels import devices, launch, ops, ops_cuda  # noqa: E402
from pixio_edge.kernels.arrays import ArrayView  # noqa: E402
from pixio_edge.kernels.geometry_attention_int8 import plan_workspace  # noqa: E402
from tests.fake_cuda_core import FakeCuda, install, name_code  # noqa: E402

# Rounding of float32 in a sum of some hundred products.
FLOAT32_ROUNDING = 1e-5


every_operator = pytest.mark.parametrize(("name", "make"), OPERATORS, ids=[name for name, _ in OPERATORS])


@every_operator
def test_operator_passes_torchs_own_checks(name: str, make: Callable[[], tuple[Any, ...]]) -> None:
    torch.library.opcheck(getattr(ops, name), make())


@every_operator
def test_results_of_inputs_that_are_not_contiguous_lie_as_the_fake_says(
    name: str, make: Callable[[], tuple[Any, ...]]
) -> None:
    arguments = tuple(map(transposed, make()))

    torch.library.opcheck(getattr(ops, name), arguments, test_utils="test_faketensor")
    found = getattr(ops, name)(*arguments)

    assert not arguments[0].is_contiguous()
    assert all(value.is_contiguous() for value in (found if isinstance(found, tuple) else (found,)))


@every_operator
def test_kernel_that_is_forced_is_not_replaced_by_the_reference_on_the_cpu(
    name: str, make: Callable[[], tuple[Any, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIXIO_EDGE_KERNELS", "cuda")

    with pytest.raises(RuntimeUnavailableError, match=r"the arrays are on cpu, expected .*PIXIO_EDGE_KERNELS=cuda"):
        getattr(ops, name)(*make())


@pytest.mark.slow
@pytest.mark.parametrize(("name", "make"), [pair for pair in OPERATORS if pair[0] in ("attention", "add_layer_norm")])
def test_operator_passes_torchs_own_checks_without_the_optional_arguments(
    name: str, make: Callable[[], tuple[Any, ...]]
) -> None:
    arguments = list(make())
    arguments[1 if name == "attention" else 2] = None

    torch.library.opcheck(getattr(ops, name), tuple(arguments))


@every_operator
def test_schema_says_that_nothing_is_written(name: str, make: Callable[[], tuple[Any, ...]]) -> None:
    schema = getattr(torch.ops.pixio_edge, name).default._schema

    assert not schema.is_mutable
    assert all(argument.alias_info is None for argument in (*schema.arguments, *schema.returns))


@every_operator
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_fake_tells_the_types_and_shapes_of_the_real_one(
    name: str, make: Callable[[torch.dtype], tuple[Any, ...]], dtype: torch.dtype
) -> None:
    arguments = make(dtype)
    real = getattr(ops, name)(*arguments)
    with torch._subclasses.FakeTensorMode() as mode:
        inputs = [mode.from_tensor(item) if isinstance(item, Tensor) else item for item in arguments]
        fake = getattr(ops, name)(*inputs)

    pairs = zip(*((value if isinstance(value, tuple) else (value,)) for value in (real, fake)), strict=True)
    assert [(one.dtype, one.shape) == (two.dtype, two.shape) for one, two in pairs].count(False) == 0


def test_attention_is_torchs_own() -> None:
    qkv, bias, _ = attention_arguments()
    query, key, value = (qkv + bias).permute(2, 0, 3, 1, 4)
    expected = functional.scaled_dot_product_attention(query, key, value).transpose(1, 2).reshape(2, TOKENS, -1)

    torch.testing.assert_close(ops.attention(qkv, bias, SCALE), expected, rtol=0, atol=FLOAT32_ROUNDING)


def test_add_layer_norm_is_torchs_own() -> None:
    x, branch, branch_bias, layer_scale, weight, bias, _ = norm_arguments()
    total = x + layer_scale * (branch + branch_bias)

    found = ops.add_layer_norm(x, branch, branch_bias, layer_scale, weight, bias, EPS)

    torch.testing.assert_close(found[0], total, rtol=0, atol=FLOAT32_ROUNDING)
    expected = functional.layer_norm(total, (CHANNELS,), weight, bias, EPS)
    torch.testing.assert_close(found[1], expected, rtol=0, atol=FLOAT32_ROUNDING)


class Everything(torch.nn.Module):
    """All operators in a row, as a model would use them."""

    def forward(self, qkv: Tensor, bias: Tensor, vector: Tensor) -> Tensor:
        mixed = ops.attention(qkv, bias, SCALE) + ops.attention_int8(qkv, bias, SCALE)
        total, normed = ops.add_layer_norm(mixed, mixed * 0.5, vector, None, vector, vector, EPS)
        total, codes, scales = ops.add_layer_norm_int8(total, normed, vector, vector, vector, vector, EPS)
        active, active_scales = ops.bias_gelu_int8(codes * scales[..., None], vector)
        return ops.bias_gelu(total, vector) + active * active_scales[..., None]


def test_compile_sees_through_every_operator_without_a_graph_break() -> None:
    qkv, bias, _ = attention_arguments()
    vector = normal(CHANNELS, seed=9)
    model = Everything()

    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")

    torch.testing.assert_close(compiled(qkv, bias, vector), model(qkv, bias, vector), rtol=0, atol=0)


def test_export_keeps_every_operator_as_one_node_for_any_number_of_tokens() -> None:
    qkv, bias, _ = attention_arguments()
    vector = normal(CHANNELS, seed=9)
    dynamic = {"qkv": {1: torch.export.Dim("tokens", min=2)}, "bias": None, "vector": None}

    program = torch.export.export(Everything(), (qkv, bias, vector), dynamic_shapes=dynamic)

    targets = {str(node.target) for node in program.graph.nodes}
    assert {f"pixio_edge.{name}.default" for name, _ in OPERATORS} <= targets
    other = normal(2, 5, 3, HEADS, HEAD_DIM, seed=3)
    torch.testing.assert_close(program.module()(other, bias, vector), Everything()(other, bias, vector))


def test_wrong_shape_is_refused_by_the_operator_and_by_its_fake() -> None:
    with pytest.raises(SpecError, match=r"^attention: got qkv of shape \(2, 3\), expected \(batch, tokens.*Fix: "):
        ops.attention(torch.zeros(2, 3), None, SCALE)
    with torch._subclasses.FakeTensorMode(), pytest.raises(SpecError, match=r"^attention: got qkv of shape"):
        ops.attention(torch.zeros(2, 3), None, SCALE)


@pytest.mark.parametrize("scale", [0.0, -1.0, float("nan"), float("inf")])
def test_scale_that_is_no_positive_number_is_refused(scale: float) -> None:
    qkv, bias, _ = attention_arguments()

    with pytest.raises(SpecError, match="expected a finite number above 0"):
        ops.attention(qkv, bias, scale)


STREAM = 55


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeCuda]:
    """Tensors of the host are taken for tensors of a GPU, on which a stand-in notes what is started."""
    monkeypatch.delenv("PIXIO_EDGE_KERNELS", raising=False)

    def on_gpu(tensor: Tensor, name: str) -> ArrayView:
        dtype = str(tensor.dtype).removeprefix("torch.")
        return ArrayView(tensor.data_ptr(), tuple(tensor.shape), dtype, 0, tensor)

    select = ops_cuda.select
    monkeypatch.setattr(ops_cuda, "_view", on_gpu)
    monkeypatch.setattr(ops_cuda, "_stream", lambda _: STREAM)
    monkeypatch.setattr(ops_cuda, "select", lambda name, **facts: select(name, **(facts | {"device": "cuda:0"})))
    monkeypatch.setattr(launch, "load_kernel", name_code)
    with install(monkeypatch, FakeCuda()) as fake:
        yield fake


@pytest.mark.parametrize("with_bias", [True, False])
def test_attention_on_a_gpu_starts_the_kernel_on_torchs_stream(cuda: FakeCuda, with_bias: bool) -> None:
    qkv, bias, _ = attention_arguments(torch.float16)
    given = bias if with_bias else None

    out = ops_cuda.attention(qkv, given, SCALE)

    (started,) = cuda.starts
    assert started.entry.startswith("attention_")
    assert started.cubin == b"attention sm_87 ELEMENT_BF16=0 HEAD_DIM=64"
    assert started.stream == STREAM
    assert started.arguments[:3] == addresses(qkv, given, out)
    assert started.arguments[3:] == (2, TOKENS, HEADS, pytest.approx(SCALE))
    assert (out.shape, out.dtype) == ((2, TOKENS, HEADS * HEAD_DIM), torch.float16)


@pytest.mark.parametrize("operator", [ops_cuda.attention, ops_cuda.attention_int8])
def test_attention_on_a_gpu_is_divided_for_its_multiprocessors(cuda: FakeCuda, operator: Any) -> None:
    qkv = torch.zeros(1, 264, 3, 3, HEAD_DIM, dtype=torch.float16)

    for cuda.multiprocessors in (1, 100):
        devices._read_multiprocessors.cache_clear()
        operator(qkv, None, SCALE)

    attended = [started for started in cuda.starts if "prepare" not in started.entry]
    assert attended[0].grid[0] < attended[1].grid[0]


def test_int8_attention_on_a_gpu_starts_all_its_launches_with_one_workspace(cuda: FakeCuda) -> None:
    qkv, bias, _ = attention_arguments(torch.bfloat16)
    made: list[Tensor] = []
    original = Tensor.new_empty

    def note(tensor: Tensor, *shape: Any, **options: Any) -> Tensor:
        made.append(original(tensor, *shape, **options))
        return made[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Tensor, "new_empty", note)
        out = ops_cuda.attention_int8(qkv, bias, SCALE)

    workspace = made[1]
    assert workspace.numel() == plan_workspace(2, TOKENS, HEADS, HEAD_DIM).size
    entries = [started.entry for started in cuda.starts]
    assert [entry.startswith("attention_int8_prepare") for entry in entries] == [True, True, False]
    assert {started.cubin for started in cuda.starts} == {b"attention_int8 sm_87 ELEMENT_BF16=1 HEAD_DIM=64"}
    assert {started.arguments[:4] for started in cuda.starts} == {addresses(qkv, bias, out, workspace)}


def test_norm_on_a_gpu_starts_the_variant_of_its_types_with_every_argument_in_its_place(cuda: FakeCuda) -> None:
    x, branch, branch_bias, layer_scale, weight, bias, _ = norm_arguments(torch.float16)

    total, normed = ops_cuda.add_layer_norm(x, branch, branch_bias, layer_scale, weight, bias, EPS)
    plain = ops_cuda.add_layer_norm(x.half(), branch, None, None, weight, bias, EPS)

    wide, narrow = cuda.starts
    inputs = addresses(x, branch, branch_bias, layer_scale, weight, bias)
    assert wide.arguments[:8] == (*inputs, *addresses(total, normed))
    assert wide.arguments[8:] == (2 * TOKENS, CHANNELS, pytest.approx(EPS))
    assert (total.dtype, normed.dtype, plain[0].dtype) == (torch.float32, torch.float16, torch.float16)
    assert narrow.arguments[2:4] == (0, 0)
    assert wide.cubin == b"add_layer_norm sm_87 ELEMENT_BF16=0 RESIDUAL_FP32=1"
    assert narrow.cubin == b"add_layer_norm sm_87 ELEMENT_BF16=0 RESIDUAL_FP32=0"


def test_quantised_norm_and_gelu_on_a_gpu_write_codes_and_scales(cuda: FakeCuda) -> None:
    x, bias = gelu_arguments(torch.float16)

    total, codes, scales = ops_cuda.add_layer_norm_int8(*norm_arguments(torch.float16))
    active, active_scales = ops_cuda.bias_gelu_int8(x, bias)
    out = ops_cuda.bias_gelu(x, bias)

    norm, gelu, plain = cuda.starts
    assert norm.arguments[6:9] == addresses(total, codes, scales)
    assert gelu.arguments == (*addresses(x, bias, active, active_scales), 2 * TOKENS, CHANNELS)
    assert plain.arguments == (*addresses(x, bias, out), 2 * TOKENS, CHANNELS)
    assert (codes.dtype, scales.dtype, scales.shape) == (torch.int8, torch.float32, (2, TOKENS))
    assert all("_int8_" in started.entry for started in (norm, gelu))


@pytest.mark.usefixtures("cuda")
def test_type_without_a_kernel_is_refused_on_a_gpu() -> None:
    with pytest.raises(RuntimeUnavailableError, match=r"no kernel for float32.*Fix: .*PIXIO_EDGE_KERNELS=reference"):
        ops_cuda.attention(*attention_arguments())


@every_operator
def test_reference_runs_on_a_gpu_when_it_is_forced(
    cuda: FakeCuda, monkeypatch: pytest.MonkeyPatch, name: str, make: Callable[[torch.dtype], tuple[Any, ...]]
) -> None:
    monkeypatch.setenv("PIXIO_EDGE_KERNELS", "reference")
    arguments = make(torch.float16)

    found = getattr(ops_cuda, name)(*arguments)

    torch.testing.assert_close(found, getattr(ops, name)(*arguments), rtol=0, atol=0)
    assert not cuda.starts


def test_tensor_of_the_host_beside_one_of_a_gpu_is_refused() -> None:
    with pytest.raises(SpecError, match=r"^bias: got a tensor on cpu, expected one on the GPU\. Fix: bias\.cuda"):
        ops_cuda._view(torch.zeros(8), "bias")
