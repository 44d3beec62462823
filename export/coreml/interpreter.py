"""Run a converted Core ML program without Core ML, to hold it against the model that it was made from.

Every operation is computed in float32 by torch from the semantics that Apple documents for it. With precision "fp16"
the result of each operation that is declared fp16 is rounded to fp16, once, as hardware that accumulates in float32
does. The Neural Engine keeps some sums in fp16, so its own error can be larger; only a device tells.
"""

from __future__ import annotations

import importlib
import logging
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pixio_edge.errors import InputError, SpecError
from pixio_edge.export.coreml.mil_call import MIL_OPS, TORCH_DTYPES, Call
from pixio_edge.export.coreml.mil_program import Feature, Program, dtype_of, load_program

__all__ = ["MilInterpreter", "MilTrace", "Overflow", "load_program"]

logger = logging.getLogger(__name__)

# Each enters its operations into the table.
for _module in ("compression", "elementwise", "products", "reductions", "resizing", "shapes"):
    importlib.import_module(f"pixio_edge.export.coreml.mil_{_module}")

InterpreterPrecision = Literal["fp32", "fp16"]


@dataclass(frozen=True, slots=True)
class Overflow:
    """An operation whose inputs were finite and whose output is not.

    Args:
        name: Of the operation.
        op_type: Its type, such as "matmul".
        elements: How many elements of its output are infinite or not a number.
        size: How many elements its output has.
    """

    name: str
    op_type: str
    elements: int
    size: int


@dataclass(frozen=True, slots=True)
class MilTrace:
    """What one run gave.

    Args:
        outputs: Outputs by name, as `MilInterpreter.run` gives them.
        overflows: Operations that overflowed, the first of them first.
        peak: Largest finite magnitude in any fp16 output, to hold against 65504, the largest in fp16.
        peak_name: Operation that gave it.
    """

    outputs: dict[str, NDArray[Any]]
    overflows: tuple[Overflow, ...]
    peak: float
    peak_name: str


class MilInterpreter:
    """Runs a program.

    Args:
        program: From `load_program`.
        precision: "fp32" computes everything in float32, so that only the stored weights are rounded; "fp16" also
            rounds what is declared fp16.

    Raises:
        InputError: The program has an operation that is not known.
    """

    def __init__(self, program: Program, precision: InterpreterPrecision = "fp32") -> None:
        self.program = program
        self.precision = precision
        unknown = Counter(op.op_type for op in program.operations if op.op_type not in MIL_OPS)
        if unknown:
            raise InputError(
                f"MIL program: got operations that the interpreter does not know: {', '.join(sorted(unknown))}. "
                "Fix: check the package on macOS, or add them to pixio_edge.export.coreml"
            )

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Execute once.

        Args:
            feeds: Every input by name. An image as uint8 RGB (1, H, W, 3), whatever its layout inside; an array as is.

        Returns:
            Every output by name, in float32 where it is a float. An image of depth as (1, H, W); an array as is.

        Raises:
            SpecError: An input is missing, unknown, or of another dtype or shape.
        """
        return self.trace(feeds).outputs

    @torch.inference_mode()
    def trace(self, feeds: Mapping[str, NDArray[Any]]) -> MilTrace:
        """Execute once, as `run` does, and tell what overflowed."""
        values = self._read_feeds(feeds)
        last_use = self._last_use()
        overflows: list[Overflow] = []
        peak, peak_name = 0.0, ""
        for index, operation in enumerate(self.program.operations):
            results = self._execute(operation, values)
            for variable, result in zip(operation.outputs, results, strict=True):
                values[variable] = result
                if result.is_floating_point():
                    largest = _largest_finite(result)
                    if dtype_of(variable) == "fp16" and largest > peak:
                        peak, peak_name = largest, operation.name
            overflow = _overflow(operation, values, results)
            overflows += [overflow] if overflow else []
            for variable in last_use.get(index, ()):
                values.pop(variable, None)
        if overflows:
            first = overflows[0]
            logger.warning("%s (%s): %d of %d overflow", first.name, first.op_type, first.elements, first.size)
        outputs = {
            feature.name: _as_output(feature, values[variable])
            for feature, variable in zip(self.program.outputs, self._ordered_outputs(), strict=True)
        }
        return MilTrace(outputs, tuple(overflows), peak, peak_name)

    def _execute(self, operation: Any, values: Mapping[Any, Tensor]) -> tuple[Tensor, ...]:
        computed = MIL_OPS[operation.op_type](Call(operation, values))
        results = computed if isinstance(computed, tuple) else (computed,)
        return tuple(
            self._settle(operation, variable, result)
            for variable, result in zip(operation.outputs, results, strict=True)
        )

    def _settle(self, operation: Any, variable: Any, result: Tensor) -> Tensor:
        """Round to what is declared, and check that the result has the declared shape and type."""
        declared = [size for size in variable.shape if isinstance(size, int | np.integer)]
        is_static = len(declared) == len(variable.shape)
        dtype = TORCH_DTYPES[dtype_of(variable)]
        if (is_static and tuple(result.shape) != tuple(declared)) or result.dtype != dtype:
            raise TypeError(
                f"MIL operation '{operation.name}' ({operation.op_type}): computed {result.dtype} "
                f"{list(result.shape)}, declared {dtype_of(variable)} {list(variable.shape)}: our defect"
            )
        if self.precision == "fp16" and dtype_of(variable) == "fp16":
            return result.half().float()
        return result

    def _read_feeds(self, feeds: Mapping[str, NDArray[Any]]) -> dict[Any, Tensor]:
        expected = {feature.name for feature in self.program.inputs}
        if set(feeds) != expected:
            raise SpecError(
                f"inputs: got {sorted(feeds)}, expected {sorted(expected)}. Fix: feed every input by its name"
            )
        variables = self.program.function.inputs
        return {
            variables[feature.name]: self._round_input(variables[feature.name], _as_input(feature, feeds[feature.name]))
            for feature in self.program.inputs
        }

    def _round_input(self, variable: Any, value: Tensor) -> Tensor:
        return value.half().float() if self.precision == "fp16" and dtype_of(variable) == "fp16" else value

    def _ordered_outputs(self) -> list[Any]:
        by_name = {variable.name: variable for variable in self.program.function.outputs}
        return [by_name[feature.name] for feature in self.program.outputs]

    def _last_use(self) -> dict[int, list[Any]]:
        """Variables that nothing needs after an operation, by its index: their memory is given back there."""
        last: dict[Any, int] = {}
        for index, operation in enumerate(self.program.operations):
            for variable in (*_variables(operation), *operation.outputs):
                last[variable] = index
        kept = set(self.program.function.outputs)
        uses: dict[int, list[Any]] = {}
        for variable, index in last.items():
            if variable not in kept:
                uses.setdefault(index, []).append(variable)
        return uses


def _variables(operation: Any) -> list[Any]:
    found: list[Any] = []
    for given in operation.inputs.values():
        if given is not None:
            found += given if isinstance(given, list | tuple) else [given]
    return found


def _largest_finite(tensor: Tensor) -> float:
    if tensor.numel() == 0:
        return 0.0
    return float(torch.nan_to_num(tensor, nan=0.0, posinf=0.0, neginf=0.0).abs().max())


def _overflow(operation: Any, values: Mapping[Any, Tensor], results: tuple[Tensor, ...]) -> Overflow | None:
    """What a non-finite output of finite inputs is; None where all is finite, or an input was not already."""
    wrong = sum(int((~torch.isfinite(result)).sum()) for result in results if result.is_floating_point())
    if wrong == 0:
        return None
    inputs = [values[variable] for variable in _variables(operation) if variable in values]
    if not all(bool(torch.isfinite(tensor).all()) for tensor in inputs if tensor.is_floating_point()):
        return None
    return Overflow(operation.name, operation.op_type, wrong, sum(result.numel() for result in results))


def _as_input(feature: Feature, array: NDArray[Any]) -> Tensor:
    """An image becomes (1, channels, height, width) in pixel values: scale and bias are operations of the program."""
    if feature.layout is None:
        wanted, is_fine = f"{feature.dtype} {feature.shape}", array.shape == feature.shape
    else:
        sizes = feature.sizes or (feature.shape[1:3],)
        is_fine = array.dtype == np.uint8 and array.shape in {(1, *size, feature.shape[3]) for size in sizes}
        wanted = f"uint8 {feature.shape}" + (f" at one of {sizes}" if feature.sizes else "")
    if not is_fine:
        raise SpecError(
            f"tensor '{feature.name}': got {array.dtype} {array.shape}, expected {wanted}. "
            "Fix: prepare images with ImageSpec.prepare(image, size)"
        )
    tensor = torch.from_numpy(np.array(array))
    if feature.layout is None:
        return tensor.float() if tensor.is_floating_point() else tensor
    planes = tensor.float().permute(0, 3, 1, 2)
    return planes.flip(1) if feature.layout == "BGR" else planes


def _as_output(feature: Feature, tensor: Tensor) -> NDArray[Any]:
    array: NDArray[Any] = tensor.contiguous().numpy()
    if feature.layout == "GRAYSCALE_FLOAT16":
        return array[:, 0].copy()
    if feature.layout is not None:
        raise InputError(
            f"Core ML output '{feature.name}': got an image of layout {feature.layout}, expected an array or "
            "GRAYSCALE_FLOAT16. Fix: convert with one of these"
        )
    return array.copy()
