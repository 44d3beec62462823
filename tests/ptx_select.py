"""Comparison, selection, data movement between registers (PTX ISA, "Comparison and Selection Instructions", "mov")."""

from collections.abc import Callable

import numpy as np
from ptx_floats import F32, flush, from_bf16, halves
from ptx_parse import Instruction
from ptx_state import DTYPE, Program, State, Step, decodes, predicate_reader, reader, unknown, writer

Row = np.ndarray
COMPARE: dict[str, Callable[[Row, Row], Row]] = {
    "eq": np.equal, "ne": np.not_equal, "lt": np.less, "le": np.less_equal, "gt": np.greater, "ge": np.greater_equal,
    "lo": np.less, "ls": np.less_equal, "hi": np.greater, "hs": np.greater_equal,
}  # fmt: skip
BOOLEAN = {"and": np.bitwise_and, "or": np.bitwise_or, "xor": np.bitwise_xor}


def _comparison(name: str, kind: str) -> Callable[[Row, Row], Row]:
    """Floating point: ordered forms are false for NaN, ``u`` forms true, num and nan ask about it."""
    floating = "f" in kind and kind != "pred"
    if not floating:
        return COMPARE[name]
    unordered = lambda a, b: np.isnan(a) | np.isnan(b)  # noqa: E731 - used by three closures below
    if name == "nan":
        return unordered
    if name == "num":
        return lambda a, b: ~unordered(a, b)
    if name.endswith("u") and name[:-1] in COMPARE:
        inner = COMPARE[name[:-1]]
        return lambda a, b: inner(a, b) | unordered(a, b)
    if name == "ne":
        return lambda a, b: (a != b) & ~unordered(a, b)
    return COMPARE[name]


def _operand(program: Program, text: str, kind: str, qualifiers: tuple[str, ...]) -> Callable[[State], Row]:
    if kind == "bf16":
        bits = reader(program, text, "b16")
        return lambda state: from_bf16(bits(state))
    source = reader(program, text, kind)
    if "ftz" in qualifiers and kind == "f32":
        return lambda state: flush(source(state))
    if kind == "f16":
        return lambda state: source(state).astype(F32)
    return source


@decodes("setp")
def _setp(instruction: Instruction, program: Program) -> Step:
    qualifiers, kind = instruction.qualifiers, instruction.qualifiers[-1]
    if kind in {"f16x2", "bf16x2"}:
        return _setp_packed(instruction, program)
    compare = _comparison(qualifiers[0], kind)
    first, second = (_operand(program, text, kind, qualifiers) for text in instruction.operands[1:3])
    targets = [None if name == "_" else program.slot(name) for name in instruction.operands[0].split("|")]
    combine = next((BOOLEAN[name] for name in qualifiers[1:] if name in BOOLEAN), None)
    extra = predicate_reader(program, instruction.operands[3]) if combine else None

    def step(state: State) -> None:
        result = compare(first(state), second(state))
        for slot, value in zip(targets, (result, ~result) if len(targets) > 1 else (result,), strict=True):
            if slot is not None:
                state.write(slot, combine(value, extra(state)) if combine else value)

    return step


def _setp_packed(instruction: Instruction, program: Program) -> Step:
    kind = instruction.qualifiers[-1][:-2]
    compare = _comparison(instruction.qualifiers[0], kind)
    first, second = (reader(program, text, "b32") for text in instruction.operands[1:3])
    low, high = (program.slot(name) for name in instruction.operands[0].split("|"))

    def step(state: State) -> None:
        both = compare(halves(first(state), kind), halves(second(state), kind))
        state.write(low, both[:, 0].copy())
        state.write(high, both[:, 1].copy())

    return step


@decodes("set")
def _set(instruction: Instruction, program: Program) -> Step:
    qualifiers = instruction.qualifiers
    result, kind = qualifiers[-2], qualifiers[-1]
    if set(qualifiers) & set(BOOLEAN) or result not in {"u32", "s32", "f32"}:
        raise unknown(instruction)
    compare = _comparison(qualifiers[0], kind)
    first, second = (_operand(program, text, kind, qualifiers) for text in instruction.operands[1:3])
    target = writer(program, instruction.operands[0], result)
    yes = DTYPE[result].type(1 if result == "f32" else -1 if result == "s32" else 0xFFFF_FFFF)
    return lambda state: target(state, np.where(compare(first(state), second(state)), yes, yes.dtype.type(0)))


@decodes("selp")
def _selp(instruction: Instruction, program: Program) -> Step:
    kind = instruction.qualifiers[-1]
    target = writer(program, instruction.operands[0], kind)
    first, second = (reader(program, text, kind) for text in instruction.operands[1:3])
    choose = predicate_reader(program, instruction.operands[3])
    return lambda state: target(state, np.where(choose(state), first(state), second(state)))


@decodes("slct")
def _slct(instruction: Instruction, program: Program) -> Step:
    kind, sign = instruction.qualifiers[-2:]
    target = writer(program, instruction.operands[0], kind)
    first, second = (reader(program, text, kind) for text in instruction.operands[1:3])
    choose = reader(program, instruction.operands[3], sign)
    return lambda state: target(state, np.where(choose(state) >= 0, first(state), second(state)))


@decodes("mov")
def _mov(instruction: Instruction, program: Program) -> Step:
    kind = instruction.qualifiers[-1]
    target, source = instruction.operands
    if target.startswith("{"):
        return _unpack(program, target, source, kind)
    if source.startswith("{"):
        return _pack(program, target, source, kind)
    if kind == "pred":
        slot, from_slot = program.slot(target), program.slot(source, 0)
        return lambda state: state.write(slot, state.R[from_slot])
    value = reader(program, source, kind)
    store = writer(program, target, kind)
    return lambda state: store(state, value(state))


def _pieces(text: str) -> list[str]:
    return [piece.strip() for piece in text.strip("{}").split(",")]


def _unpack(program: Program, target: str, source: str, kind: str) -> Step:
    names = _pieces(target)
    small = f"b{DTYPE[kind].itemsize * 8 // len(names)}"
    value = reader(program, source, kind)
    stores = [writer(program, name, small) for name in names]

    def step(state: State) -> None:
        parts = value(state).view(DTYPE[small]).reshape(-1, len(stores))
        for index, store in enumerate(stores):
            store(state, np.ascontiguousarray(parts[:, index]))

    return step


def _pack(program: Program, target: str, source: str, kind: str) -> Step:
    names = _pieces(source)
    small = f"b{DTYPE[kind].itemsize * 8 // len(names)}"
    values = [reader(program, name, small) for name in names]
    store = writer(program, target, kind)
    return lambda state: store(state, np.stack([value(state) for value in values], 1).view(DTYPE[kind]).reshape(-1))
