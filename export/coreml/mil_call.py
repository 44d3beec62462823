"""What an operation of a MIL program is given, and the table of those that the interpreter knows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pixio_edge.errors import InputError
from pixio_edge.export.coreml.mil_program import dtype_of

# Floats are held in float32 whatever their declared type: fp16 is emulated by rounding, not by computing in it.
TORCH_DTYPES = {
    "fp16": torch.float32,
    "fp32": torch.float32,
    "bool": torch.bool,
    "int8": torch.int8,
    "uint8": torch.uint8,
    "int16": torch.int16,
    "uint16": torch.int32,
    "int32": torch.int32,
}


@dataclass(frozen=True, slots=True)
class Call:
    """One operation with the values of its inputs.

    Args:
        operation: coremltools' operation.
        values: What was computed so far, by variable.
    """

    operation: Any
    values: Mapping[Any, Tensor]

    def has(self, name: str) -> bool:
        """Whether an optional input is given."""
        return self.operation.inputs.get(name) is not None

    def tensor(self, name: str) -> Tensor:
        """An input as a tensor."""
        return self._read(self.operation.inputs[name])

    def tensors(self, name: str) -> list[Tensor]:
        """An input that is a list of tensors."""
        return [self._read(variable) for variable in self.operation.inputs[name]]

    def array(self, name: str) -> np.ndarray:
        """A constant as stored, with its own type."""
        variable = self.operation.inputs[name]
        if variable.val is None:
            return self._read(variable).numpy()
        return np.asarray(variable.val)

    def ints(self, name: str) -> list[int]:
        """An input of whole numbers, constant or computed."""
        return [int(value) for value in self.array(name).reshape(-1)]

    def integer(self, name: str) -> int:
        """One whole number."""
        return int(self.array(name))

    def number(self, name: str) -> float:
        """One number."""
        return float(self.array(name))

    def flag(self, name: str) -> bool:
        """A truth value; false where it is left out."""
        return self.has(name) and bool(self.array(name))

    def flags(self, name: str, count: int) -> list[bool]:
        """Truth values; all false where they are left out."""
        return [bool(value) for value in self.array(name)] if self.has(name) else [False] * count

    def text(self, name: str) -> str:
        """A constant text."""
        return str(self.operation.inputs[name].val)

    def dtype(self, name: str) -> str:
        """Declared type of an input."""
        return dtype_of(self.operation.inputs[name])

    def refuse(self, what: str) -> InputError:
        """An error that says which form of the operation is not known."""
        return InputError(
            f"MIL operation '{self.operation.name}': got {self.operation.op_type} with {what}, expected a form that "
            "the interpreter knows. Fix: check the package on macOS, or add the form to pixio_edge.export.coreml"
        )

    def _read(self, variable: Any) -> Tensor:
        if variable in self.values:
            return self.values[variable]
        return as_tensor(np.asarray(variable.val))


Implementation = Callable[[Call], "Tensor | tuple[Tensor, ...]"]
MIL_OPS: dict[str, Implementation] = {}


def mil_op(*names: str) -> Callable[[Implementation], Implementation]:
    """Enter a function into the table under the names of the operations that it computes."""

    def enter(function: Implementation) -> Implementation:
        MIL_OPS.update(dict.fromkeys(names, function))
        return function

    return enter


def as_tensor(array: np.ndarray) -> Tensor:
    """Copy an array to a tensor of the type in which the interpreter computes."""
    if array.dtype == np.float16:
        array = array.astype(np.float32)
    if array.dtype in (np.uint16, np.uint32, np.int64):
        array = array.astype(np.int32)
    return torch.from_numpy(np.array(array))
