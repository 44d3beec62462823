"""The kernels by name: which source, which entry points, which variants. Adding one is a source and a line here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from pixio_edge.errors import SpecError

SOURCES = Path(__file__).with_name("cuda")
"""Folder of the CUDA C++ sources and the headers that they include."""

SMS = ("sm_80", "sm_86", "sm_87", "sm_89", "sm_90", "sm_100", "sm_110", "sm_120")
"""GPUs that every kernel is compiled for: A100, RTX 30, Orin, RTX 40, Hopper, data-centre Blackwell, Thor, RTX 50.

A cubin of one Tegra chip is not promised to run on a desktop chip of the same generation, nor the other way round, so
sm_87 is a target of its own and never served with code for sm_86 (CUDA C++ Programming Guide, "Binary Compatibility").
"""

HEAD_DIMS = (64, 80, 96)
"""Widths of an attention head: of every student and of Pixio up to L, of Pixio-H and of Pixio-5B."""


@dataclass(frozen=True, slots=True)
class Launch:
    """One start of one entry point.

    Args:
        entry: Name of the `extern "C" __global__` function.
        grid: Thread blocks along x, y and z.
        block: Threads of a block along x, y and z.
        shared_bytes: Dynamic shared memory of a block, beside what the kernel declares itself.
    """

    entry: str
    grid: tuple[int, int, int]
    block: tuple[int, int, int]
    shared_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Kernel:
    """One source file and the variants of it that are compiled.

    Args:
        name: Of the operator that it implements.
        source: File in `folder`.
        entries: Its `extern "C" __global__` functions.
        defines: Macros that it needs, each with the values that are compiled ahead of time; all values are whole
            numbers, flags are 0 or 1. Every combination is one variant.
        folder: Where the source and its headers are.
    """

    name: str
    source: str
    entries: tuple[str, ...]
    defines: Mapping[str, tuple[int, ...]]
    folder: Path = SOURCES

    @property
    def path(self) -> Path:
        """Source file."""
        return self.folder / self.source

    def variants(self) -> Iterator[dict[str, int]]:
        """Every combination of the macros' values."""
        for values in product(*self.defines.values()):
            yield dict(zip(self.defines, values, strict=True))

    def check(self, defines: Mapping[str, int]) -> None:
        """Hold macros against those that the kernel has.

        Raises:
            SpecError: One is missing, unknown, or has a value that the kernel is not made for.
        """
        if set(defines) != set(self.defines):
            raise SpecError(
                f"kernel '{self.name}': got macros {sorted(defines)}, expected {sorted(self.defines)}. "
                "Fix: give every macro of the kernel a value"
            )
        for name, value in defines.items():
            if value not in self.defines[name]:
                raise SpecError(
                    f"kernel '{self.name}': got {name}={value}, expected one of: "
                    f"{', '.join(map(str, self.defines[name]))}. Fix: use a shape and dtype that the kernel is "
                    "made for, or PIXIO_EDGE_KERNELS=reference"
                )


_ELEMENT = {"ELEMENT_BF16": (0, 1)}
_RESIDUAL = {"RESIDUAL_FP32": (0, 1)}

KERNELS: Mapping[str, Kernel] = {
    kernel.name: kernel
    for kernel in (
        Kernel(
            "attention",
            "attention.cu",
            ("attention_128", "attention_64", "attention_32", "attention_16"),
            {"HEAD_DIM": HEAD_DIMS, **_ELEMENT},
        ),
        Kernel(
            "attention_int8",
            "attention_int8.cu",
            (
                "attention_int8_prepare",
                "attention_int8_prepare_keys",
                "attention_int8_128",
                "attention_int8_64",
                "attention_int8_32",
                "attention_int8_16",
            ),
            {"HEAD_DIM": HEAD_DIMS, **_ELEMENT},
        ),
        Kernel(
            "add_layer_norm",
            "add_layer_norm.cu",
            ("add_layer_norm_3", "add_layer_norm_5", "add_layer_norm_int8_3", "add_layer_norm_int8_5"),
            {**_ELEMENT, **_RESIDUAL},
        ),
        Kernel(
            "bias_gelu",
            "bias_gelu.cu",
            ("bias_gelu_1", "bias_gelu_2", "bias_gelu_int8_3", "bias_gelu_int8_5"),
            _ELEMENT,
        ),
    )
}
"""Every kernel by name. ELEMENT_BF16: the element is bfloat16 and not float16. RESIDUAL_FP32: the residual stream is
float32 and not the element. HEAD_DIM: width of an attention head."""


def find_kernel(name: str) -> Kernel:
    """Look a kernel up.

    Raises:
        SpecError: There is none of that name.
    """
    if name not in KERNELS:
        raise SpecError(f"kernel '{name}': unknown, expected one of: {', '.join(KERNELS)}. Fix: choose one of these")
    return KERNELS[name]
