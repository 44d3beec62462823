"""A model through the fused operators is the model, for every kind of model that there is."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

torch = pytest.importorskip("torch", reason="the extra 'export' is not installed")

from torch import Tensor  # noqa: E402
from torch.utils._python_dispatch import TorchDispatchMode  # noqa: E402

from pixio_edge.errors import SpecError  # noqa: E402
from pixio_edge.kernels.launch import record_starts  # noqa: E402
from pixio_edge.models.depth_model import DepthModel  # noqa: E402
from pixio_edge.models.fused import FusedDepthModel  # noqa: E402
from tests.random_models import CONFIGS, SIZES, random_model  # noqa: E402

# Rounding of float32 in some dozens of layers, relative to the largest depth: measured 0 to 4e-7 (LayerScale).
FLOAT32_ROUNDING = 5e-6
# Of INT8 queries and keys in random models with heads of 16: measured 4e-4 to 2e-3.
INT8_ATTENTION = 1e-2

every_model = pytest.mark.parametrize("name", CONFIGS)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Models this small take ten times as long where several threads wait for a core that is busy."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def picture(size: tuple[int, int], batch: int = 2) -> Tensor:
    return torch.randn((batch, 3, *size), generator=torch.Generator().manual_seed(7))


def relative(found: Tensor, expected: Tensor) -> float:
    return float((found.double() - expected.double()).abs().max() / expected.double().abs().max())


@every_model
@pytest.mark.parametrize("size", SIZES)
def test_fused_model_is_the_model(name: str, size: tuple[int, int]) -> None:
    model, image = random_model(name), picture(size)

    with torch.no_grad():
        expected = model(image)
        assert relative(FusedDepthModel(model)(image), expected) < FLOAT32_ROUNDING
        assert relative(FusedDepthModel(model, size=size)(image), expected) < FLOAT32_ROUNDING


class Count(TorchDispatchMode):
    """Operators by name, as often as they run."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.names.append(str(function.overloadpacket))
        return function(*args, **(kwargs or {}))


@every_model
def test_every_block_runs_through_the_operators_and_no_other_norm_gelu_or_attention(name: str) -> None:
    model = FusedDepthModel(random_model(name), size=SIZES[0])
    depth, taps = model.config.head.indices[-1] + 1, len(model.config.head.indices)

    with torch.no_grad(), Count() as count:
        model(picture(SIZES[0]))

    assert count.names.count("pixio_edge.attention") == depth
    assert count.names.count("pixio_edge.bias_gelu") == depth
    assert count.names.count("pixio_edge.add_layer_norm") == 2 * depth + 1
    assert count.names.count("aten.native_layer_norm") <= taps - 1
    assert not {"aten.gelu", "aten._scaled_dot_product_flash_attention_for_cpu"} & set(count.names)


@every_model
def test_state_dict_is_the_models(name: str) -> None:
    model = random_model(name)
    before = {key: value.clone() for key, value in model.state_dict().items()}

    fused = FusedDepthModel(model, size=SIZES[0]).state_dict()

    assert list(fused) == list(before)
    assert all(torch.equal(fused[key], value) for key, value in before.items())


@pytest.mark.parametrize("name", ["stem", "depth_anything"])
def test_quantised_attention_is_close_and_is_what_runs(name: str) -> None:
    model, image = random_model(name), picture(SIZES[0])

    with torch.no_grad(), Count() as count:
        found = FusedDepthModel(model, quantize_attention=True)(image)
        names = list(count.names)
    with torch.no_grad():
        error = relative(found, model(image))

    assert names.count("pixio_edge.attention_int8") == model.config.head.indices[-1] + 1
    assert "pixio_edge.attention" not in names
    assert 0 < error < INT8_ATTENTION


@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        *((name, torch.bfloat16) for name in CONFIGS),
        # Slow on a processor.
        ("depth_anything", torch.float16),
    ],
)
def test_half_precision_is_no_worse_than_the_plain_model_in_it(name: str, dtype: torch.dtype) -> None:
    """Twice the error of the plain model at the same precision: the rule of the kernels, for the whole."""
    image = picture(SIZES[0])
    with torch.no_grad():
        exact = random_model(name).double()(image.double())
        plain = relative(random_model(name).to(dtype)(image.to(dtype)), exact)
        fused = FusedDepthModel(random_model(name), size=SIZES[0]).convert_("cpu", dtype)
        found = relative(fused(image.to(dtype)), exact)

    assert fused.encoder.blocks[0].attn.qkv.weight.dtype == dtype
    assert fused.encoder.pos_embed.dtype == torch.float32
    assert 0 < found <= 2 * plain


@pytest.mark.slow
@every_model
def test_compiled_and_exported_model_keeps_the_operators(name: str) -> None:
    model, image = FusedDepthModel(random_model(name), size=SIZES[0]), picture(SIZES[0], batch=1)
    with torch.no_grad():
        expected = model(image)
        program = torch.export.export(model, (image,))
        compiled = torch.compile(model, fullgraph=True, backend="aot_eager")(image)

    targets = [str(node.target) for node in program.graph.nodes]
    assert targets.count("pixio_edge.attention.default") == model.config.head.indices[-1] + 1
    assert relative(compiled, expected) < FLOAT32_ROUNDING
    assert relative(program.module()(image), expected) < FLOAT32_ROUNDING


def test_image_of_another_size_than_was_given_is_refused() -> None:
    model = FusedDepthModel(random_model("stem"), size=SIZES[0])

    with torch.no_grad(), pytest.raises(SpecError, match="Fix: "):
        model(picture(SIZES[1]))
    with pytest.raises(SpecError, match="multiples of 16"):
        model(picture((60, 60)))


@pytest.mark.cuda
@every_model
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_fused_model_on_a_real_gpu_is_no_worse_than_the_plain_one(name: str, dtype: torch.dtype) -> None:
    wide = wide_model(name)
    image = picture(SIZES[0])
    with torch.no_grad():
        exact = wide_model(name).double()(image.double())
        plain = relative(wide_model(name).to("cuda", dtype)(image.to("cuda", dtype)).cpu(), exact)
        fused = FusedDepthModel(wide, size=SIZES[0]).convert_("cuda", dtype)
        found = relative(fused(image.to("cuda", dtype)).cpu(), exact)

    assert 0 < found <= 2 * plain


@pytest.mark.cuda
@pytest.mark.parametrize("mode", ["default", "max-autotune"])
@pytest.mark.parametrize("name", ["stem", "depth_anything"])
def test_fused_model_compiled_on_a_real_gpu_is_no_worse_than_the_plain_one(name: str, mode: str) -> None:
    image = picture(SIZES[0])
    with torch.no_grad():
        exact = wide_model(name).double()(image.double())
        half = image.to("cuda", torch.float16)
        plain = relative(wide_model(name).to("cuda", torch.float16)(half).cpu(), exact)
        fused = FusedDepthModel(wide_model(name), size=SIZES[0]).convert_("cuda", torch.float16)
        found = relative(torch.compile(fused, fullgraph=True, mode=mode)(half).cpu(), exact)

    assert 0 < found <= 2 * plain


@pytest.mark.cuda
def test_model_with_int8_attention_on_a_real_gpu_starts_it_and_is_close() -> None:
    image = picture(SIZES[0])
    with torch.no_grad():
        exact = wide_model("stem").double()(image.double())
        fused = FusedDepthModel(wide_model("stem"), size=SIZES[0], quantize_attention=True)
        with record_starts() as started:
            found = fused.convert_("cuda", torch.float16)(image.to("cuda", torch.float16)).cpu()

    blocks = fused.config.head.indices[-1] + 1
    assert sum(one.entry.startswith("attention_int8_prepare") for one in started) == 2 * blocks
    assert not any(one.entry.startswith("attention_") and "int8" not in one.entry for one in started)
    assert 0 < relative(found, exact) < INT8_ATTENTION


def wide_model(name: str) -> DepthModel:
    """As `random_model`, with heads of a width that there is a kernel for."""
    from dataclasses import replace  # noqa: PLC0415

    from tests.random_models import randomise_  # noqa: PLC0415

    config = CONFIGS[name]
    return randomise_(DepthModel(replace(config, encoder=replace(config.encoder, embed_dim=128, num_heads=2))))
