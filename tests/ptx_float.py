"""Floating point instructions (PTX ISA, "Floating Point Instructions", "Half Precision Floating Point Instructions").

The approximations of the hardware (ex2, rcp, rsqrt, sqrt, lg2, tanh, sin, cos with ``.approx``, div with ``.approx`` or
``.full``) are computed to the last bit of fp32 here. The ISA allows them about 2 ulp, tanh a relative 2^-11 and sin and
cos an absolute 2^-20.5: results on a GPU may be that much further from a float64 oracle than results here. ``rough``
programs err by that much, up or down as the last bit of the input says, to show that a kernel bears it.
"""

from collections.abc import Callable

import numpy as np
from ptx_floats import (
    F32,
    F64,
    directed_f32,
    exact_sum,
    flush,
    fma_exact,
    fma_f32,
    fma_f64,
    from_bf16,
    halves,
    pack,
    saturate,
    to_bf16,
)
from ptx_integer import apply, integer_step
from ptx_parse import Instruction
from ptx_state import Program, Step, decodes, reader, unknown

Row = np.ndarray
PACKED = {"f16x2": "f16", "bf16x2": "bf16"}
ROUNDINGS = {"rn", "rz", "rm", "rp"}
_CANONICAL_NAN = np.uint32(0x7FFF_FFFF).view(F32)


def _minimum(a: Row, b: Row) -> Row:
    """The number when one is NaN; -0 is less than +0 (PTX ISA, "min")."""
    return np.where((a == b) & (a == 0), np.where(np.signbit(a), a, b), np.fmin(a, b))


def _maximum(a: Row, b: Row) -> Row:
    return np.where((a == b) & (a == 0), np.where(np.signbit(a), b, a), np.fmax(a, b))


def _nan_aware(function: Callable[..., Row]) -> Callable[..., Row]:
    return lambda a, b: np.where(np.isnan(a) | np.isnan(b), np.asarray(_CANONICAL_NAN, a.dtype), function(a, b))


EXACT: dict[str, Callable[..., Row]] = {"add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.divide}
# In float64, for one later rounding; sums are rounded to odd where even float64 cannot hold them.
WIDE: dict[str, Callable[..., Row]] = {
    "add": lambda a, b: exact_sum(a.astype(F64), b.astype(F64)),
    "sub": lambda a, b: exact_sum(a.astype(F64), -b.astype(F64)),
    "mul": lambda a, b: a.astype(F64) * b,
    "div": lambda a, b: a.astype(F64) / b,
}
SELECT: dict[str, Callable[..., Row]] = {"min": _minimum, "max": _maximum, "abs": np.abs, "neg": np.negative}


@decodes("add", "sub", "mul", "div", "min", "max", "abs", "neg", "mad", "fma", "rem")
def _arithmetic(instruction: Instruction, program: Program) -> Step:
    kind = instruction.qualifiers[-1]
    if kind[0] in "us":
        return integer_step(instruction, program)
    if kind in PACKED:
        return _packed(instruction, program, PACKED[kind])
    if kind in {"f16", "bf16"}:
        return _half(instruction, program, kind)
    if kind == "f32":
        return _single(instruction, program)
    if kind == "f64":
        return _double(instruction, program)
    raise unknown(instruction)


def _rounding(instruction: Instruction) -> str:
    return next((name for name in instruction.qualifiers if name in ROUNDINGS), "rn")


def _check(instruction: Instruction, *allowed: str) -> set[str]:
    """The qualifiers without rounding and type; an unknown one is an error."""
    extra = set(instruction.qualifiers[:-1]) - ROUNDINGS
    if extra - set(allowed):
        raise unknown(instruction)
    return extra


def _single(instruction: Instruction, program: Program) -> Step:
    extra = _check(instruction, "ftz", "sat", "approx", "full", "NaN")
    base, mode = instruction.base, _rounding(instruction)
    if base in {"fma", "mad"}:
        function = fma_f32 if mode == "rn" else lambda a, b, c: directed_f32(fma_exact(a, b, c), mode)
    elif base in SELECT:
        function = _nan_aware(SELECT[base]) if "NaN" in extra else SELECT[base]
    elif program.rough and {"approx", "full"} & extra:
        rough = _roughened(WIDE[base], base)
        function = lambda a, b: rough(a, b).astype(F32)  # noqa: E731 - one of five closures
    elif mode == "rn":
        function = EXACT[base]
    else:
        function = lambda a, b: directed_f32(WIDE[base](a, b), mode)  # noqa: E731 - one of five closures
    return apply(instruction, program, "f32", _finished(function, extra))


def _finished(function: Callable[..., Row], extra: set[str]) -> Callable[..., Row]:
    """Add flushing of inputs and result, and saturation."""
    if "ftz" in extra:
        inner = function
        function = lambda *rows: flush(inner(*(flush(row) for row in rows)))  # noqa: E731
    if "sat" in extra:
        unbounded = function
        return lambda *rows: saturate(unbounded(*rows))
    return function


def _double(instruction: Instruction, program: Program) -> Step:
    _check(instruction)
    if _rounding(instruction) != "rn":
        raise unknown(instruction)
    return apply(instruction, program, "f64", (EXACT | SELECT | {"fma": fma_f64})[instruction.base])


def _half_function(instruction: Instruction) -> Callable[..., Row]:
    """On fp32 values of fp16 or bf16 operands, exact or in float64, so that packing rounds once."""
    base = instruction.base
    extra = _check(instruction, "ftz", "sat", "NaN", "relu")
    if base in {"fma", "mad"}:
        function = fma_exact
    elif base in SELECT:
        function = _nan_aware(SELECT[base]) if "NaN" in extra else SELECT[base]
    else:
        function = WIDE[base]
    if "relu" in extra:
        inner = function
        function = lambda *rows: np.where(inner(*rows) > 0, inner(*rows), inner(*rows) * 0)  # noqa: E731
    if "sat" in extra:
        unbounded = function
        return lambda *rows: saturate(unbounded(*rows))
    return function


def _packed(instruction: Instruction, program: Program, kind: str) -> Step:
    function = _half_function(instruction)
    return apply(instruction, program, "b32", lambda *rows: pack(function(*(halves(row, kind) for row in rows)), kind))


def _half(instruction: Instruction, program: Program, kind: str) -> Step:
    function = _half_function(instruction)
    if kind == "bf16":
        return apply(instruction, program, "b16", lambda *rows: to_bf16(function(*(from_bf16(row) for row in rows))))
    round_once = lambda *rows: function(*(row.astype(F32) for row in rows)).astype(np.float16)  # noqa: E731
    return apply(instruction, program, "f16", round_once)


ROUGH = {"tanh": 2.0**-11, "sin": 2.0**-20.5, "cos": 2.0**-20.5}
ROUGH_RELATIVE = 2.0**-22


def _roughened(function: Callable[..., Row], base: str) -> Callable[..., Row]:
    """The function with the largest error that PTX allows, in float64."""

    def rough(*rows: Row) -> Row:
        result = function(*rows).astype(F64)
        sign = np.where(rows[-1].view(np.uint32) & 1, 1.0, -1.0)
        size = 1.0 if base in {"sin", "cos"} else np.abs(result)
        error = np.where(np.isfinite(result), sign * size * ROUGH.get(base, ROUGH_RELATIVE), 0)
        return result + error

    return rough


def _wide(function: Callable[[Row], Row]) -> Callable[[Row], Row]:
    return lambda a: function(a.astype(F64))


UNARY: dict[str, Callable[[Row], Row]] = {
    "ex2": _wide(np.exp2), "lg2": _wide(np.log2), "rcp": _wide(np.reciprocal), "sqrt": _wide(np.sqrt),
    "rsqrt": _wide(lambda a: 1 / np.sqrt(a)), "tanh": _wide(np.tanh), "sin": _wide(np.sin), "cos": _wide(np.cos),
}  # fmt: skip


@decodes(*UNARY)
def _unary(instruction: Instruction, program: Program) -> Step:
    kind, function = instruction.qualifiers[-1], UNARY[instruction.base]
    extra = _check(instruction, "ftz", "approx")
    mode = _rounding(instruction)
    if kind in PACKED:
        half = PACKED[kind]
        return apply(instruction, program, "b32", lambda a: pack(function(halves(a, half)), half))
    if kind == "f32":
        single = _roughened(function, instruction.base) if program.rough and "approx" in extra else function
        return apply(instruction, program, "f32", _finished(lambda a: directed_f32(single(a), mode), extra))
    if kind == "f16":
        return apply(instruction, program, "f16", lambda a: function(a).astype(np.float16))
    if kind == "bf16":
        return apply(instruction, program, "b16", lambda a: to_bf16(function(from_bf16(a))))
    return apply(instruction, program, "f64", function)


@decodes("copysign")
def _copysign(instruction: Instruction, program: Program) -> Step:
    """Sign of the first operand, magnitude of the second (PTX ISA, "copysign")."""
    return apply(instruction, program, instruction.qualifiers[-1], lambda a, b: np.copysign(b, a))


@decodes("testp")
def _testp(instruction: Instruction, program: Program) -> Step:
    tests = {
        "finite": np.isfinite, "infinite": np.isinf, "number": lambda a: ~np.isnan(a), "notanumber": np.isnan,
        "normal": lambda a: np.isfinite(a) & (np.abs(a) >= np.finfo(a.dtype).tiny),
        "subnormal": lambda a: (np.abs(a) < np.finfo(a.dtype).tiny) & (a != 0),
    }  # fmt: skip
    test = tests[instruction.qualifiers[0]]
    slot = program.slot(instruction.operands[0])
    value = reader(program, instruction.operands[1], instruction.qualifiers[-1])
    return lambda state: state.write(slot, test(value(state)))
