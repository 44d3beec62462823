"""Integer instructions (PTX ISA, "Integer Arithmetic Instructions", "Logic and Shift Instructions")."""

from collections.abc import Callable

import numpy as np
from ptx_parse import Instruction
from ptx_state import BITS, DTYPE, Program, State, Step, decodes, reader, unknown, writer

Row = np.ndarray


def apply(
    instruction: Instruction, program: Program, kind: str, function: Callable[..., Row], result: str = ""
) -> Step:
    """A closure that writes ``function`` of all source operands, read as ``kind``, into the first operand."""
    destination = writer(program, instruction.operands[0], result or kind)
    sources = [reader(program, text, kind) for text in instruction.operands[1:]]
    if len(sources) == 1:
        only = sources[0]
        return lambda state: destination(state, function(only(state)))
    if len(sources) == 2:
        first, second = sources
        return lambda state: destination(state, function(first(state), second(state)))
    return lambda state: destination(state, function(*(source(state) for source in sources)))


def integer_step(instruction: Instruction, program: Program) -> Step:
    """add, sub, mul, mad, div, rem, min, max, abs, neg of integers."""
    base, qualifiers = instruction.base, instruction.qualifiers
    kind = qualifiers[-1]
    if {"cc", "sat"} & set(qualifiers) or kind not in DTYPE or kind[0] not in "us":
        raise unknown(instruction)
    if base in {"mul", "mad"}:
        return _multiply(instruction, program, kind)
    function = {
        "add": np.add, "sub": np.subtract, "min": np.minimum, "max": np.maximum, "abs": np.abs, "neg": np.negative,
        "div": _divide, "rem": _remainder,
    }[base]  # fmt: skip
    return apply(instruction, program, kind, function)


def _divide(first: Row, second: Row) -> Row:
    """Truncating division; the result of a division by zero is unspecified and is all ones here."""
    safe = np.where(second == 0, 1, second).astype(first.dtype)
    quotient = first // safe
    if first.dtype.kind == "i":
        quotient += ((first % safe != 0) & ((first < 0) != (safe < 0))).astype(first.dtype)
    return np.where(second == 0, ~np.zeros_like(first), quotient)


def _remainder(first: Row, second: Row) -> Row:
    return np.where(second == 0, first, first - second * _divide(first, second))


def _multiply(instruction: Instruction, program: Program, kind: str) -> Step:
    mode = instruction.qualifiers[0]
    wide = f"{kind[0]}{2 * DTYPE[kind].itemsize * 8}"
    if mode == "lo":
        function = np.multiply if instruction.base == "mul" else lambda a, b, c: a * b + c
        return apply(instruction, program, kind, function)
    if mode == "hi":
        high = _high_64 if wide not in DTYPE else _high
        if instruction.base == "mul":
            return apply(instruction, program, kind, high)
        return apply(instruction, program, kind, lambda a, b, c: high(a, b) + c)
    if mode != "wide":
        raise unknown(instruction)
    target = writer(program, instruction.operands[0], wide)
    first, second = (reader(program, text, kind) for text in instruction.operands[1:3])
    dtype = DTYPE[wide]
    if instruction.base == "mul":
        return lambda state: target(state, first(state).astype(dtype) * second(state))
    third = reader(program, instruction.operands[3], wide)
    return lambda state: target(state, first(state).astype(dtype) * second(state) + third(state))


def _high(first: Row, second: Row) -> Row:
    bits = first.dtype.itemsize * 8
    wide = np.dtype(f"{first.dtype.kind}{2 * first.dtype.itemsize}")
    return ((first.astype(wide) * second) >> wide.type(bits)).astype(first.dtype)


def _high_64(first: Row, second: Row) -> Row:
    product = first.astype(object) * second.astype(object)
    return np.array([value >> 64 for value in product], first.dtype)


@decodes("mul24", "mad24", "addc", "subc", "madc")
def _unsupported(instruction: Instruction, program: Program) -> Step:
    raise unknown(instruction)


@decodes("and", "or", "xor", "not", "cnot")
def _logic(instruction: Instruction, program: Program) -> Step:
    kind = instruction.qualifiers[-1]
    function = {
        "and": np.bitwise_and, "or": np.bitwise_or, "xor": np.bitwise_xor, "not": np.invert,
        "cnot": lambda a: (a == 0).astype(a.dtype),
    }[instruction.base]  # fmt: skip
    if kind != "pred":
        return apply(instruction, program, kind, function)
    slot = program.slot(instruction.operands[0])
    sources = [program.slot(text, 0) for text in instruction.operands[1:]]
    return lambda state: state.write(slot, function(*(state.R[source] for source in sources)))


@decodes("shl", "shr")
def _shift(instruction: Instruction, program: Program) -> Step:
    """Shifts clamp their count to the width (PTX ISA, "shl", "shr")."""
    kind = instruction.qualifiers[-1]
    bits = DTYPE[kind].itemsize * 8
    target = writer(program, instruction.operands[0], kind)
    value = reader(program, instruction.operands[1], kind)
    amount = reader(program, instruction.operands[2], "u32")
    left, signed = instruction.base == "shl", kind[0] == "s"

    def step(state: State) -> None:
        source, count = value(state), amount(state)
        clamped = np.minimum(count, bits - 1).astype(source.dtype)
        result = source << clamped if left else source >> clamped
        if not (signed and not left) and (over := count >= bits).any():
            result = np.where(over, 0, result).astype(source.dtype)
        target(state, result)

    return step


@decodes("shf")
def _funnel(instruction: Instruction, program: Program) -> Step:
    """Funnel shift of the 64 bits b:a (PTX ISA, "shf")."""
    direction, mode, _ = instruction.qualifiers
    target = writer(program, instruction.operands[0], "b32")
    low, high, amount = (reader(program, text, "u32") for text in instruction.operands[1:])

    def step(state: State) -> None:
        count = amount(state)
        count = (count & 31 if mode == "wrap" else np.minimum(count, 32)).astype(np.uint64)
        both = (high(state).astype(np.uint64) << np.uint64(32)) | low(state)
        if direction == "l":
            target(state, ((both << count) >> np.uint64(32)).astype(np.uint32))
        else:
            target(state, (both >> count).astype(np.uint32))

    return step


@decodes("lop3")
def _lop3(instruction: Instruction, program: Program) -> Step:
    """Any function of three bits, from its truth table (PTX ISA, "lop3")."""
    if "|" in instruction.operands[0]:
        raise unknown(instruction)
    table = int(instruction.operands[4], 0)
    target = writer(program, instruction.operands[0], "b32")
    sources = [reader(program, text, "u32") for text in instruction.operands[1:4]]

    def step(state: State) -> None:
        a, b, c = (source(state) for source in sources)
        result = np.zeros_like(a)
        for index in range(8):
            if table >> index & 1:
                term = a if index & 4 else ~a
                term = term & (b if index & 2 else ~b)
                result = result | (term & (c if index & 1 else ~c))
        target(state, result)

    return step


@decodes("prmt")
def _permute(instruction: Instruction, program: Program) -> Step:
    """Pick four of eight bytes (PTX ISA, "prmt", default mode); bit 3 of a selector replicates the sign."""
    if instruction.qualifiers != ("b32",):
        raise unknown(instruction)
    target = writer(program, instruction.operands[0], "b32")
    first, second, selector = (reader(program, text, "u32") for text in instruction.operands[1:])

    def step(state: State) -> None:
        both = np.stack([first(state), second(state)], 1).view(np.uint8)
        chosen = selector(state)[:, None] >> (np.arange(4, dtype=np.uint32) * np.uint32(4))
        picked = np.take_along_axis(both, (chosen & 7).astype(np.int64), 1)
        sign = (picked.view(np.int8) >> 7).view(np.uint8)
        picked = np.where(chosen & 8, sign, picked)
        target(state, np.ascontiguousarray(picked).view(np.uint32).reshape(-1))

    return step


@decodes("bfe")
def _extract(instruction: Instruction, program: Program) -> Step:
    kind = instruction.qualifiers[-1]
    bits = DTYPE[kind].itemsize * 8
    target = writer(program, instruction.operands[0], kind)
    value = reader(program, instruction.operands[1], kind)
    start, length = (reader(program, text, "u32") for text in instruction.operands[2:])

    def step(state: State) -> None:
        source = value(state)
        first = (start(state) & 0xFF).astype(np.int64)
        many = (length(state) & 0xFF).astype(np.int64)
        left = np.clip(bits - first - many, 0, bits - 1).astype(source.dtype)
        right = np.clip(bits - many, 0, bits - 1).astype(source.dtype)
        shifted = (source << left) >> right
        sign = source >> source.dtype.type(bits - 1) if kind[0] == "s" else np.zeros_like(source)
        beyond = np.where(first >= bits, sign, source >> np.minimum(first, bits - 1).astype(source.dtype))
        result = np.where(first + many > bits, beyond, shifted)
        target(state, np.where(many == 0, 0, result).astype(source.dtype))

    return step


@decodes("bfi")
def _insert(instruction: Instruction, program: Program) -> Step:
    kind = instruction.qualifiers[-1]
    bits = DTYPE[kind].itemsize * 8
    target = writer(program, instruction.operands[0], kind)
    source, base = (reader(program, text, kind) for text in instruction.operands[1:3])
    start, length = (reader(program, text, "u32") for text in instruction.operands[3:])

    def step(state: State) -> None:
        first, many = (start(state) & 0xFF).astype(object), (length(state) & 0xFF).astype(object)
        ones = np.array([((1 << n) - 1 << f) % (1 << bits) for f, n in zip(first, many, strict=True)], BITS[bits // 8])
        shift = np.minimum(start(state) & 0xFF, bits - 1).astype(ones.dtype)
        target(state, (base(state) & ~ones) | ((source(state) << shift) & ones))

    return step


@decodes("popc", "clz", "brev", "bfind")
def _count(instruction: Instruction, program: Program) -> Step:
    kind = instruction.qualifiers[-1]
    width = DTYPE[kind].itemsize
    bits = width * 8
    result = kind if instruction.base == "brev" else "u32"

    def function(value: Row) -> Row:
        if instruction.base == "bfind" and kind[0] == "s":
            value = np.where(value < 0, ~value, value)
        digits = np.unpackbits(np.ascontiguousarray(value).view(np.uint8).reshape(-1, width), 1, bitorder="little")
        if instruction.base == "popc":
            return digits.sum(1, dtype=np.uint32)
        if instruction.base == "brev":
            return np.packbits(digits[:, ::-1], 1, bitorder="little").reshape(-1).view(BITS[width])
        leading = np.where(digits.any(1), digits[:, ::-1].argmax(1), bits)
        if instruction.base == "clz":
            return leading.astype(np.uint32)
        found = leading if "shiftamt" in instruction.qualifiers else bits - 1 - leading
        return np.where(leading == bits, -1, found).astype(np.int32)

    return apply(instruction, program, kind, function, result)


@decodes("dp4a")
def _dot_four(instruction: Instruction, program: Program) -> Step:
    kinds = [np.dtype(np.int8 if kind == "s32" else np.uint8) for kind in instruction.qualifiers]
    target = writer(program, instruction.operands[0], "s32")
    first, second, third = (reader(program, text, "u32") for text in instruction.operands[1:])

    def step(state: State) -> None:
        a = first(state).view(kinds[0]).reshape(-1, 4).astype(np.int32)
        b = second(state).view(kinds[1]).reshape(-1, 4).astype(np.int32)
        target(state, (a * b).sum(1, dtype=np.int32) + third(state).view(np.int32))

    return step


@decodes("sad")
def _sad(instruction: Instruction, program: Program) -> Step:
    distance = lambda a, b, c: np.maximum(a, b) - np.minimum(a, b) + c  # noqa: E731
    return apply(instruction, program, instruction.qualifiers[-1], distance)
