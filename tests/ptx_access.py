"""Loads, stores and atomics (PTX ISA, "ld", "st", "red", "atom"), and which memory an address means."""

from collections.abc import Callable, Iterator

import numpy as np
from ptx_errors import OutOfBoundsError
from ptx_memory import GUARD, LOCAL_WINDOW, SHARED_WINDOW, VIEWS, Region
from ptx_parse import Instruction
from ptx_state import BITS, DTYPE, Program, State, Step, decodes, reader, unknown, writer

Row = np.ndarray
SPACES = {"global", "shared", "local", "param", "const"}
# Qualifiers that change caching or ordering between agents, not the value that a race-free kernel sees.
HINTS = {
    "nc", "ca", "cg", "cs", "lu", "cv", "wb", "wt", "weak", "relaxed", "volatile", "acquire", "release", "gpu", "cta",
    "sys", "L1", "L2", "no_allocate", "evict_last", "evict_first", "evict_normal", "evict_unchanged", "64B", "128B",
    "256B", "noftz", "mmio", "cluster", "acq_rel",
}  # fmt: skip


def qualifier_words(instruction: Instruction) -> list[str]:
    """The qualifiers with ``::`` parts apart, so that ``shared::cta`` and ``L2::128B`` are two words each."""
    return [word for name in instruction.qualifiers for word in name.split("::")]


def split_address(text: str) -> tuple[str, int]:
    """``[%rd4+16]`` to the name and the byte offset."""
    name, _, offset = text.strip("[] ").partition("+")
    return name.strip(), int(offset.strip() or "0", 0)


def address_reader(program: Program, name: str) -> Callable[[State], Row]:
    """A closure for the address in a register, or of a symbol."""
    kind = program.entry.registers.get(name, "u64")
    return reader(program, name, "u64" if kind.endswith("64") else "u32")


def region_parts(state: State, space: str, addresses: Row) -> Iterator[tuple[Region, Row, Row | None, Row | slice]]:
    """Split accesses by region: (region, addresses in it, which copy of it, positions among the accesses)."""
    everything = slice(None)
    if space in {"global", "const"}:
        yield from _global_parts(state, addresses)
    elif space == "shared":
        yield state.shared, addresses, state.block_row[state.lanes], everything
    elif space == "local":
        yield state.local, addresses, state.lane_row[state.lanes], everything
    else:
        yield from _generic_parts(state, addresses)


def _global_parts(state: State, addresses: Row) -> Iterator[tuple[Region, Row, Row | None, Row | slice]]:
    region = state.memory.find(addresses)
    near = np.abs(addresses - region.base) < region.size + GUARD // 2
    if near.all():
        yield region, addresses, None, slice(None)
        return
    left = np.arange(len(addresses))
    while len(left):
        region = state.memory.find(addresses[left])
        here = np.abs(addresses[left] - region.base) < region.size + GUARD // 2
        yield region, addresses[left[here]], None, left[here]
        left = left[~here]


def _generic_parts(state: State, addresses: Row) -> Iterator[tuple[Region, Row, Row | None, Row | slice]]:
    windows = addresses >> 56
    for window, space, base in ((0, "global", 0), (1, "shared", SHARED_WINDOW), (2, "local", LOCAL_WINDOW)):
        here = np.flatnonzero(windows == window)
        if not len(here):
            continue
        kept = state.lanes
        state.lanes = np.arange(state.count)[kept][here]
        for region, inside, copy, positions in region_parts(state, space, addresses[here] - base):
            yield region, inside, copy, here[positions]
        state.lanes = kept
    if ((windows < 0) | (windows > 2)).any():
        raise OutOfBoundsError(f"generic address {int(addresses[np.flatnonzero((windows < 0) | (windows > 2))[0]]):#x}")


def who_of(state: State, region: Region, positions: Row | slice, size: int) -> object:
    """The accessors of one part; memory of one thread needs none."""
    if region is state.local or not state.check_races:
        return None
    kept = state.lanes
    if not isinstance(positions, slice) and not isinstance(kept, slice):
        state.lanes = kept[positions] if len(positions) != len(kept) else kept
    elif not isinstance(positions, slice):
        state.lanes = positions
    who = state.who(size // region.unit)
    state.lanes = kept
    return who


def _form(instruction: Instruction) -> tuple[str, int, str]:
    """The state space (empty: generic), vector length and type of a load or store."""
    words = qualifier_words(instruction)
    space = next((word for word in words if word in SPACES), "")
    count = next((int(word[1:]) for word in words if word in {"v2", "v4", "v8"}), 1)
    kind = words[-1]
    rest = set(words[:-1]) - SPACES - HINTS - {"v2", "v4", "v8"}
    if rest or kind not in DTYPE:
        raise unknown(instruction)
    return space, count, kind


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.strip("{} ").split(",")]


@decodes("ld", "ldu")
def _load(instruction: Instruction, program: Program) -> Step:
    space, count, kind = _form(instruction)
    names = _names(instruction.operands[0])
    if space == "param":
        return _load_parameter(instruction, program, names, kind)
    width = DTYPE[kind].itemsize
    name, shift = split_address(instruction.operands[1])
    address = address_reader(program, name)
    extend = [_scatter(program, name, kind) for name in names]
    size = width * count

    def step(state: State) -> None:
        addresses = address(state)[state.lanes].astype(np.int64) + shift
        values = np.zeros((count, len(addresses)), VIEWS[width])
        for region, inside, copy, positions in region_parts(state, space, addresses):
            offsets = region.offsets(inside, size, copy)
            region.check_read(offsets, size, who_of(state, region, positions, size))
            index = offsets // width
            for element in range(count):
                values[element, positions] = region.views[width][index + element]
        for store, row in zip(extend, values, strict=True):
            store(state, row)

    return step


def _scatter(program: Program, name: str, kind: str) -> Callable[[State, Row], None]:
    """Loaded bits into a register: signed types extend their sign, others zero (PTX ISA, "ld")."""
    if name == "_":
        return lambda state, values: None
    slot = program.slot(name)
    width = program.widths[slot]
    if kind.startswith("s") and width > DTYPE[kind].itemsize:
        return lambda state, values: state.scatter(slot, values.view(DTYPE[kind]).astype(f"i{width}").view(BITS[width]))
    return lambda state, values: state.scatter(slot, values.astype(BITS[width], copy=False))


def _load_parameter(instruction: Instruction, program: Program, names: list[str], kind: str) -> Step:
    symbol, shift = split_address(instruction.operands[1])
    start = {parameter.name: parameter.offset for parameter in program.entry.parameters}.get(symbol)
    if start is None:
        raise unknown(instruction)
    stores = [writer(program, name, kind) for name in names]
    dtype = DTYPE[kind]

    def step(state: State) -> None:
        first = start + shift
        values = state.parameters[first : first + dtype.itemsize * len(stores)].view(dtype)
        for store, value in zip(stores, values, strict=True):
            store(state, np.full(state.count, value, dtype))

    return step


@decodes("st")
def _store(instruction: Instruction, program: Program) -> Step:
    space, count, kind = _form(instruction)
    width = DTYPE[kind].itemsize
    name, shift = split_address(instruction.operands[0])
    address = address_reader(program, name)
    sources = [reader(program, source, f"b{8 * width}") for source in _names(instruction.operands[1])]
    size = width * count
    if space in {"param", "const"}:
        raise unknown(instruction)

    def step(state: State) -> None:
        addresses = address(state)[state.lanes].astype(np.int64) + shift
        values = [source(state)[state.lanes] for source in sources]
        for region, inside, copy, positions in region_parts(state, space, addresses):
            offsets = region.offsets(inside, size, copy)
            region.check_write(offsets, size, who_of(state, region, positions, size))
            index = offsets // width
            for element, value in enumerate(values):
                region.views[width][index + element] = value[positions]

    return step


ATOMIC: dict[str, Callable[[object, object], object]] = {
    "add": lambda old, new: old + new, "min": min, "max": max, "exch": lambda old, new: new,
    "and": lambda old, new: old & new, "or": lambda old, new: old | new, "xor": lambda old, new: old ^ new,
}  # fmt: skip


@decodes("atom", "red")
def _atomic(instruction: Instruction, program: Program) -> Step:
    """Lanes take their turn in order of their number: one of the orders that the hardware may choose."""
    words = [word for word in qualifier_words(instruction) if word not in HINTS]
    space = next((word for word in words if word in SPACES), "")
    operation, kind = words[-2:]
    if operation not in {*ATOMIC, "cas"} or kind not in DTYPE or kind in {"f16", "bf16", "f16x2", "bf16x2"}:
        raise unknown(instruction)
    returns = instruction.base == "atom"
    target, *sources = instruction.operands if returns else (None, *instruction.operands)
    name, shift = split_address(sources[0])
    address = address_reader(program, name)
    operands = [reader(program, source, kind) for source in sources[1:]]
    extend = _scatter(program, target, f"b{8 * DTYPE[kind].itemsize}") if returns else None
    dtype = DTYPE[kind]

    def step(state: State) -> None:
        addresses = address(state)[state.lanes].astype(np.int64) + shift
        values = [operand(state)[state.lanes] for operand in operands]
        old = np.zeros(len(addresses), dtype)
        for region, inside, copy, positions in region_parts(state, space, addresses):
            offsets = region.offsets(inside, dtype.itemsize, copy)
            who = who_of(state, region, positions, dtype.itemsize)
            _check_initialised(region, offsets, dtype.itemsize)
            region.check_write(offsets, dtype.itemsize, who, atomic=True)
            cells = region.views[dtype.itemsize].view(dtype)
            every = np.arange(len(addresses))[positions]
            for lane, cell in zip(every, offsets // dtype.itemsize, strict=True):
                old[lane] = cells[cell]
                cells[cell] = _turn(operation, cells[cell], *(value[lane] for value in values))
        if extend:
            extend(state, old.view(BITS[dtype.itemsize]))

    return step


def _check_initialised(region: Region, offsets: Row, size: int) -> None:
    region.check_read(offsets, size, None)


def _turn(operation: str, old: object, *values: object) -> object:
    if operation == "cas":
        return values[1] if old == values[0] else old
    return ATOMIC[operation](old, values[0])
