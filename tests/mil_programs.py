"""Small MIL programs made in memory, and their results in the interpreter."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from coremltools import target as ct_target
from coremltools.converters.mil import Builder
from coremltools.converters.mil.mil import types

from pixio_edge.export.coreml.interpreter import InterpreterPrecision, MilInterpreter, MilTrace
from pixio_edge.export.coreml.mil_program import Feature, Program

mb = Builder  # its name in all of Apple's documentation

MIL_TYPES = {"float32": types.fp32, "float16": types.fp16, "int32": types.int32, "bool": types.bool, "int8": types.int8}


def mil_program(make: Callable[..., Any], *arrays: np.ndarray, target: str = "iOS18") -> Program:
    """A program whose inputs are the parameters of `make`, shaped as the arrays, and whose outputs are what it returns.

    The inputs are no constants, so nothing is computed while the program is built.
    """
    specs = [mb.TensorSpec(shape=array.shape, dtype=MIL_TYPES[array.dtype.name]) for array in arrays]
    function = mb.program(input_specs=specs, opset_version=getattr(ct_target, target))(make).functions["main"]
    return Program(
        inputs=tuple(
            Feature(name, None, array.shape, (), array.dtype.name)
            for name, array in zip(function.inputs, arrays, strict=True)
        ),
        outputs=tuple(Feature(variable.name, None, (), (), "float32") for variable in function.outputs),
        function=function,
        specification_version=0,
    )


def trace_op(
    make: Callable[..., Any], *arrays: np.ndarray, precision: InterpreterPrecision = "fp32", target: str = "iOS18"
) -> MilTrace:
    program = mil_program(make, *arrays, target=target)
    names = (feature.name for feature in program.inputs)
    return MilInterpreter(program, precision).trace(dict(zip(names, arrays, strict=True)))


def run_op(
    make: Callable[..., Any], *arrays: np.ndarray, precision: InterpreterPrecision = "fp32", target: str = "iOS18"
) -> np.ndarray:
    """The only output of a program."""
    (output,) = trace_op(make, *arrays, precision=precision, target=target).outputs.values()
    return output


def floats(*shape: int, seed: int = 0) -> np.ndarray:
    """float32 noise."""
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)
