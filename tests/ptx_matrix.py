"""Matrix instructions of a warp: mma.sync and ldmatrix.

Layouts are those of the PTX ISA: "Matrix Fragments for mma.m16n8k16 with floating point type", "Matrix Fragments for
mma.m16n8k8", "Matrix Fragments for mma.m16n8k16 with integer type", "Matrix Fragments for mma.m16n8k32" and "Warp-level
matrix load instruction: ldmatrix". With groupID = lane / 4 and t = lane % 4, and e elements in a 32-bit register:

* A (16 x k), register r: row groupID + 8 (r & 1), columns t e + i + 4 e (r >> 1) for i < e.
* B (k x 8), register r: rows t e + i + 4 e r, column groupID.
* C and D (16 x 8), element i: row groupID + 8 (i >> 1), column 2 t + (i & 1).

Order of accumulation. Products are exact. PTX leaves the order and the rounding of the fp32 sum open. Measurements on
tensor cores (Fasi, Higham, Mikaitis and Pranesh, "Numerical behavior of NVIDIA tensor cores", 2021) found blocks of the
k dimension summed with the accumulator in one go, aligned to the largest term and truncated. Here a block is 8 products
and the accumulator, summed in float64 and truncated to fp32: the same bias towards zero, with a sum inside the block
that is more exact than the hardware's. The difference is at most 9 x 2^-23 of the largest term for each block; a test
that compares with the error of an fp16 computation (2^-11) covers it. ``rough`` programs have that difference too: they
cut every term at the last fp32 bit of the largest, which is the oldest of the measured tensor cores, the coarsest.
"""

import numpy as np
from ptx_access import address_reader, split_address
from ptx_floats import F64, from_bf16, truncated_f32
from ptx_memory import Region
from ptx_parse import Instruction
from ptx_state import WARP, Program, State, Step, decodes, reader, unknown, writer

Row = np.ndarray
BLOCK_PRODUCTS = 8
F32_DIGITS = 24
ROW_BYTES = 16
FORMATS = {"f16": 2, "bf16": 2, "s8": 4, "u8": 4}
SHAPES = {"m16n8k8": 8, "m16n8k16": 16, "m16n8k32": 32}


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.strip("{} ").split(",")]


@decodes("mma")
def _mma(instruction: Instruction, program: Program) -> Step:
    qualifiers = [name for name in instruction.qualifiers if name not in {"sync", "aligned", "satfinite"}]
    shape, row, column, result, left, right, addend = qualifiers if len(qualifiers) == 7 else [""] * 7
    integer = left in {"s8", "u8"}
    known = shape in SHAPES and (row, column) == ("row", "col") and left in FORMATS and right in FORMATS
    if not known or (result, addend) != (("s32", "s32") if integer else ("f32", "f32")):
        raise unknown(instruction)
    rows, columns, sums, out = (_names(text) for text in (*instruction.operands[1:4], instruction.operands[0]))
    if len(rows) != SHAPES[shape] // (2 * FORMATS[left]) or len(columns) * 2 != len(rows):
        raise unknown(instruction)
    a = [reader(program, name, "b32") for name in rows]
    b = [reader(program, name, "b32") for name in columns]
    c = [reader(program, name, addend) for name in sums]
    d = [writer(program, name, result) for name in out]
    clamp = "satfinite" in instruction.qualifiers
    product = _rough_product if program.rough else _float_product

    def step(state: State) -> None:
        first = _left(np.stack([register(state) for register in a]), left)
        second = _right(np.stack([register(state) for register in b]), right)
        total = _accumulator(np.stack([register(state) for register in c]))
        total = _integer_product(first, second, total, clamp) if integer else product(first, second, total)
        for store, element in zip(d, _elements(total), strict=True):
            store(state, element)

    return step


def _numbers(registers: Row, kind: str) -> Row:
    """(r, lanes) of bits to (r, warps, group, t, e) of float64, which holds every product and sum here."""
    elements = registers.view({"s8": np.int8, "u8": np.uint8}.get(kind, np.uint16))
    if kind == "f16":
        elements = elements.view(np.float16)
    if kind == "bf16":
        elements = from_bf16(elements)
    return elements.reshape(len(registers), -1, 8, 4, FORMATS[kind]).astype(F64)


def _left(registers: Row, kind: str) -> Row:
    """A as (warps, 16, k)."""
    numbers = _numbers(registers, kind)
    split = numbers.reshape(-1, 2, *numbers.shape[1:])  # (column half, row half, warp, group, t, e)
    return split.transpose(2, 1, 3, 0, 4, 5).reshape(numbers.shape[1], 16, -1)


def _right(registers: Row, kind: str) -> Row:
    """B as (warps, k, 8)."""
    numbers = _numbers(registers, kind)  # (row half, warp, group, t, e)
    return numbers.transpose(1, 0, 3, 4, 2).reshape(numbers.shape[1], -1, 8)


def _accumulator(registers: Row) -> Row:
    """C as (warps, 16, 8)."""
    split = registers.reshape(2, 2, -1, 8, 4)  # (row half, e, warp, group, t)
    return split.transpose(2, 0, 3, 4, 1).reshape(-1, 16, 8)


def _elements(total: Row) -> Row:
    """D as (4, lanes): the inverse of `_accumulator`."""
    split = total.reshape(-1, 2, 8, 4, 2).transpose(1, 4, 0, 2, 3)
    return np.ascontiguousarray(split).reshape(4, -1)


def _float_product(first: Row, second: Row, total: Row) -> Row:
    for start in range(0, first.shape[2], BLOCK_PRODUCTS):
        part = slice(start, start + BLOCK_PRODUCTS)
        total = truncated_f32(first[:, :, part] @ second[:, part] + total)
    return total


def _rough_product(first: Row, second: Row, total: Row) -> Row:
    for start in range(0, first.shape[2], BLOCK_PRODUCTS):
        part = slice(start, start + BLOCK_PRODUCTS)
        products = first[:, :, None, part] * second[:, part].transpose(0, 2, 1)[:, None]
        terms = np.concatenate([products, total[..., None]], 3)
        _, exponent = np.frexp(np.abs(terms).max(3, keepdims=True))
        last_bit = np.ldexp(1.0, exponent - F32_DIGITS)
        total = truncated_f32((np.trunc(terms / last_bit) * last_bit).sum(3))
    return total


def _integer_product(first: Row, second: Row, total: Row, clamp: bool) -> Row:
    wide = (first @ second).astype(np.int64) + total
    if clamp:
        limits = np.iinfo(np.int32)
        wide = np.clip(wide, limits.min, limits.max)
    return wide.astype(np.int32)


@decodes("ldmatrix")
def _ldmatrix(instruction: Instruction, program: Program) -> Step:
    """Lane 8 q + i holds the address of row i of matrix q; lane 4 i + t receives elements 2 t and 2 t + 1 of row i."""
    qualifiers = [name.split("::")[0] for name in instruction.qualifiers]
    count = {"x1": 1, "x2": 2, "x4": 4}.get(qualifiers[3])
    if qualifiers[2] != "m8n8" or count is None or qualifiers[-1] != "b16" or "shared" not in qualifiers:
        raise unknown(instruction)
    stores = [writer(program, name, "b32") for name in _names(instruction.operands[0])]
    name, shift = split_address(instruction.operands[1])
    address = address_reader(program, name)
    transposed = "trans" in qualifiers

    def step(state: State) -> None:
        lanes = np.arange(state.count)[state.lanes].reshape(-1, WARP)[:, : 8 * count].reshape(-1)
        addresses = address(state)[lanes].astype(np.int64) + shift
        words = _load_rows(state, state.shared, lanes, addresses).reshape(-1, count, 8, 4)
        if transposed:
            words = np.ascontiguousarray(words.view(np.uint16).transpose(0, 1, 3, 2)).view(np.uint32)
        warps = np.zeros((state.count // WARP, count, 8, 4), np.uint32)
        warps[lanes[:: 8 * count] // WARP] = words
        for index, store in enumerate(stores):
            store(state, np.ascontiguousarray(warps[:, index]).reshape(-1))

    return step


def _load_rows(state: State, shared: Region, lanes: Row, addresses: Row) -> Row:
    offsets = shared.offsets(addresses, ROW_BYTES, state.block_row[lanes])
    who = None
    if state.check_races:
        kept, state.lanes = state.lanes, lanes
        who = state.who(ROW_BYTES // shared.unit, collective=True)
        state.lanes = kept
    shared.check_read(offsets, ROW_BYTES, who)
    return shared.views[4].reshape(-1, 4)[offsets >> 4]
