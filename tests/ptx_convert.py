"""Conversions between types (PTX ISA, "Data Movement and Conversion Instructions: cvt", "cvt.pack", "cvta")."""

from collections.abc import Callable

import numpy as np
from ptx_floats import F32, F64, directed_f32, flush, from_bf16, saturate, to_bf16, to_f16
from ptx_memory import LOCAL_WINDOW, SHARED_WINDOW
from ptx_parse import Instruction
from ptx_state import DTYPE, Program, State, Step, decodes, reader, unknown, writer

Row = np.ndarray
ROUND_TO_INTEGER: dict[str, Callable[[Row], Row]] = {"rni": np.rint, "rzi": np.trunc, "rmi": np.floor, "rpi": np.ceil}
ROUND = {"rn", "rz", "rm", "rp", "rna"}
FLOATS = {"f16", "bf16", "f32", "f64"}


@decodes("cvt")
def _cvt(instruction: Instruction, program: Program) -> Step:
    qualifiers = instruction.qualifiers
    if qualifiers[0] == "pack":
        return _cvt_pack(instruction, program)
    result, kind = qualifiers[-2:]
    extra = set(qualifiers[:-2])
    if extra - ROUND - set(ROUND_TO_INTEGER) - {"ftz", "sat", "relu", "satfinite"} or "rna" in extra:
        raise unknown(instruction)
    if result in {"f16x2", "bf16x2"}:
        return _cvt_pair(instruction, program, result[:-2], extra)
    if result not in DTYPE or kind not in DTYPE or {"satfinite"} & extra:
        raise unknown(instruction)
    function = _conversion(result, kind, extra)
    target = writer(program, instruction.operands[0], "b16" if result == "bf16" else result)
    source = reader(program, instruction.operands[1], kind)
    return lambda state: target(state, function(source(state)))


def _conversion(result: str, kind: str, extra: set[str]) -> Callable[[Row], Row]:
    if kind not in FLOATS and result not in FLOATS:
        return _integer_to_integer(result, "sat" in extra)
    if kind not in FLOATS:
        return _integer_to_float(result, extra)
    widen = _widen(kind, "ftz" in extra)
    if result not in FLOATS:
        to_integer = _float_to_integer(result, extra)
        return lambda a: to_integer(widen(a))
    narrow = _narrow(result, kind, extra)
    return lambda a: narrow(widen(a))


def _widen(kind: str, ftz: bool) -> Callable[[Row], Row]:
    if kind == "bf16":
        return from_bf16
    if kind == "f16":
        return lambda a: a.astype(F32)
    if kind == "f32" and ftz:
        return flush
    return lambda a: a


def _integer_to_integer(result: str, sat: bool) -> Callable[[Row], Row]:
    dtype = DTYPE[result]
    if not sat:
        return lambda a: a.astype(dtype)
    limits = np.iinfo(dtype)

    def function(a: Row) -> Row:
        mine = np.iinfo(a.dtype)
        return np.clip(a, max(limits.min, mine.min), min(limits.max, mine.max)).astype(dtype)

    return function


def _integer_to_float(result: str, extra: set[str]) -> Callable[[Row], Row]:
    mode = next(iter(extra & ROUND), "rn")
    if result == "f32":
        return lambda a: a.astype(F32) if mode == "rn" else directed_f32(a.astype(F64), mode)
    if result == "f16":
        return lambda a: to_f16(a.astype(F64), mode)
    if result == "bf16":
        return lambda a: to_bf16(a.astype(F64), mode)
    return lambda a: a.astype(F64)


def _float_to_integer(result: str, extra: set[str]) -> Callable[[Row], Row]:
    """Out of range goes to the nearest end, NaN to zero (PTX ISA, "cvt")."""
    rounding = next((ROUND_TO_INTEGER[name] for name in extra if name in ROUND_TO_INTEGER), np.trunc)
    dtype = DTYPE[result]
    limits = np.iinfo(dtype)

    def function(a: Row) -> Row:
        rounded = rounding(a.astype(F64))
        inside = (rounded > limits.min) & (rounded < limits.max)
        exact = np.where(inside, rounded, 0).astype(dtype)
        outside = np.where(rounded >= limits.max, dtype.type(limits.max), dtype.type(limits.min))
        return np.where(inside, exact, np.where(np.isnan(a), dtype.type(0), outside))

    return function


def _narrow(result: str, kind: str, extra: set[str]) -> Callable[[Row], Row]:
    mode = next(iter(extra & ROUND), "rn")
    whole = next((ROUND_TO_INTEGER[name] for name in extra if name in ROUND_TO_INTEGER), None)

    def prepare(a: Row) -> Row:
        a = whole(a) if whole else a
        a = np.where(a > 0, a, a * 0) if "relu" in extra else a
        return saturate(a) if "sat" in extra else a

    if result == "f16":
        return lambda a: to_f16(prepare(a), mode)
    if result == "bf16":
        return lambda a: to_bf16(prepare(a), mode)
    if result == "f32":
        convert = (lambda a: a) if kind != "f64" else (lambda a: directed_f32(a, mode))
        finish = flush if "ftz" in extra else (lambda a: a)
        return lambda a: finish(convert(prepare(a)))
    return lambda a: prepare(a).astype(F64)


def _cvt_pair(instruction: Instruction, program: Program, half: str, extra: set[str]) -> Step:
    """Two fp32 into a packed pair: the first source is the upper half (PTX ISA, "cvt")."""
    if instruction.qualifiers[-1] != "f32":
        raise unknown(instruction)
    narrow = _narrow(half, "f32", extra)
    target = writer(program, instruction.operands[0], "b32")
    high, low = (reader(program, text, "f32") for text in instruction.operands[1:])
    widen = _widen("f32", "ftz" in extra)

    def step(state: State) -> None:
        pair = np.stack([widen(low(state)), widen(high(state))], 1)
        target(state, narrow(pair).view(np.uint32).reshape(-1))

    return step


def _cvt_pack(instruction: Instruction, program: Program) -> Step:
    """Two 32-bit integers saturate into the upper bits of a word, c supplies the rest (PTX ISA, "cvt.pack")."""
    _, sat, result, kind, *tail = instruction.qualifiers
    if sat != "sat" or result not in {"u8", "s8", "u16", "s16"} or kind != "s32":
        raise unknown(instruction)
    target = writer(program, instruction.operands[0], "b32")
    first, second = (reader(program, text, "s32") for text in instruction.operands[1:3])
    third = reader(program, instruction.operands[3], "u32") if tail else None
    limits, bits = np.iinfo(DTYPE[result]), DTYPE[result].itemsize * 8
    low = np.uint32((1 << bits) - 1)

    def step(state: State) -> None:
        a, b = (np.clip(row(state), limits.min, limits.max).view(np.uint32) & low for row in (first, second))
        word = (a << np.uint32(bits)) | b
        target(state, word if third is None else (third(state) << np.uint32(2 * bits)) | word)

    return step


@decodes("cvta")
def _cvta(instruction: Instruction, program: Program) -> Step:
    """Between generic addresses and those of one space: windows of the address space, as on the device."""
    qualifiers = instruction.qualifiers
    to_space = qualifiers[0] == "to"
    space = (qualifiers[1] if to_space else qualifiers[0]).split("::")[0]
    window = {"shared": SHARED_WINDOW, "local": LOCAL_WINDOW, "global": 0, "const": 0, "param": None}.get(space)
    if window is None:
        raise unknown(instruction)
    target = writer(program, instruction.operands[0], "u64")
    source = reader(program, instruction.operands[1], "u64")
    shift = np.uint64(window)
    if to_space:
        return lambda state: target(state, source(state) - shift)
    return lambda state: target(state, source(state) + shift)
