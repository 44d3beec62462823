"""From the model down to machine code without a GPU: every kernel that a forward starts is run from its PTX.

What the tests of single kernels cannot see is seen here: that the operators hand over the right arrays in the right
places, with the geometry and the variant that belong to them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra 'export' is not installed")
pytest.importorskip("cuda.bindings.nvrtc", reason="the extra 'cuda' is not installed")

from compiled_kernels import shipped_ptx  # noqa: E402
from ptx_emulator import run_ptx  # noqa: E402
from torch import Tensor  # noqa: E402

from pixio_edge.kernels import devices, launch, ops_cuda  # noqa: E402
from pixio_edge.kernels.arrays import ArrayView  # noqa: E402
from pixio_edge.kernels.catalogue import Launch  # noqa: E402
from pixio_edge.models import fused  # noqa: E402
from pixio_edge.models.depth_model import DepthModel  # noqa: E402
from pixio_edge.models.fused import FusedDepthModel  # noqa: E402
from tests.random_models import CONFIGS, randomise_  # noqa: E402

SIZE = (64, 64)
# What quantised queries and keys may cost in depth, as in test_fused.py.
INT8_ATTENTION = 1e-2


@dataclass
class EmulatedGpu:
    """Memory of the host, on which kernels are run from their PTX, one launch after the other."""

    arrays: dict[int, np.ndarray] = field(default_factory=dict)
    entries: list[str] = field(default_factory=list)
    instructions: Counter[str] = field(default_factory=Counter)

    def view(self, tensor: Tensor, name: str) -> ArrayView:
        assert tensor.is_contiguous(), name
        plain = tensor.detach().view(torch.int16) if tensor.dtype == torch.bfloat16 else tensor.detach()
        self.arrays[tensor.data_ptr()] = plain.numpy()
        dtype = str(tensor.dtype).removeprefix("torch.")
        return ArrayView(tensor.data_ptr(), tuple(tensor.shape), dtype, 0, tensor)

    def start(
        self,
        name: str,
        defines: Mapping[str, int],
        launches: Sequence[Launch],
        arguments: Sequence[Any],
        *,
        device: int,
        stream: int,
    ) -> None:
        given = [self.arrays[item] if type(item) is int else item for item in arguments]
        given = [item.item() if isinstance(item, np.generic) else item for item in given]
        for one in launches:
            ptx = shipped_ptx(name, defines)
            report = run_ptx(ptx, one.entry, one.grid, one.block, given, one.shared_bytes, check_races=False)
            self.entries.append(one.entry)
            self.instructions += report.instructions


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[EmulatedGpu]:
    monkeypatch.delenv("PIXIO_EDGE_KERNELS", raising=False)
    emulated = EmulatedGpu()
    monkeypatch.setattr(ops_cuda, "_view", emulated.view)
    monkeypatch.setattr(ops_cuda, "_stream", lambda _: 0)
    monkeypatch.setattr(ops_cuda, "_is_reference", lambda *_, **__: False)
    monkeypatch.setattr(launch, "start", emulated.start)
    monkeypatch.setattr(devices, "sm_of", lambda _: "sm_80")
    monkeypatch.setattr(devices, "multiprocessors_of", lambda _: 16)
    monkeypatch.setattr(fused, "ops", ops_cuda)
    yield emulated


def model_of(name: str) -> DepthModel:
    """One head of 64, two blocks and three taps at most: what an emulator gets through in seconds."""
    config = CONFIGS[name]
    encoder = replace(config.encoder, embed_dim=64, num_heads=1, depth=2)
    head = replace(config.head, indices=(0, 1) if config.head.use_stem else (0, 0, 1, 1))
    return randomise_(DepthModel(replace(config, encoder=encoder, head=head)))


def relative(found: Tensor, expected: Tensor) -> float:
    return float((found.double() - expected.double()).abs().max() / expected.double().abs().max())


@pytest.mark.parametrize(
    ("dtype", "quantize"),
    [
        (torch.float16, False),
        pytest.param(torch.bfloat16, False, marks=pytest.mark.slow),
        pytest.param(torch.float16, True, marks=pytest.mark.slow),
    ],
)
def test_depth_from_emulated_kernels_is_the_models(gpu: EmulatedGpu, dtype: torch.dtype, quantize: bool) -> None:
    """At most twice the error of plain torch at the same precision, the rule of every single kernel."""
    image = torch.randn((1, 3, *SIZE), generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        exact = model_of("stem").double()(image.double())
        plain = relative(model_of("stem").to(dtype)(image.to(dtype)), exact)
        model = FusedDepthModel(model_of("stem"), size=SIZE, quantize_attention=quantize).convert_("cpu", dtype)
        found = relative(model(image.to(dtype)), exact)

    starts = Counter(entry.rpartition("_")[0] for entry in gpu.entries if "prepare" not in entry)
    attention = "attention_int8" if quantize else "attention"
    assert starts[attention] == starts["bias_gelu"] == 2
    assert starts["add_layer_norm"] == 5
    products = sum(count for opcode, count in gpu.instructions.items() if opcode.startswith("mma.sync"))
    assert products > 0
    assert 0 < found <= 2 * plain + (INT8_ATTENTION if quantize else 0)
