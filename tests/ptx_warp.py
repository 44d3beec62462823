"""Instructions that exchange registers in a warp (PTX ISA, "shfl.sync", "vote.sync", "activemask", "redux.sync")."""

import numpy as np
from ptx_errors import DivergenceError
from ptx_parse import Instruction
from ptx_state import DTYPE, WARP, Program, State, Step, decodes, predicate_reader, reader, unknown, writer

Row = np.ndarray
_LANE = np.arange(WARP, dtype=np.int64)


def active(state: State) -> Row:
    """The executing lanes as a boolean row."""
    row = np.zeros(state.count, bool)
    row[state.lanes] = True
    return row


@decodes("shfl")
def _shfl(instruction: Instruction, program: Program) -> Step:
    """A lane outside the segment that c describes gives the own value and predicate false (PTX ISA, "shfl.sync")."""
    if instruction.qualifiers[0] != "sync" or instruction.qualifiers[2] != "b32":
        raise unknown(instruction)
    mode = instruction.qualifiers[1]
    names = instruction.operands[0].split("|")
    target = writer(program, names[0], "b32")
    valid_slot = program.slot(names[1]) if len(names) > 1 and names[1] != "_" else None
    value, distance, limits = (reader(program, text, "u32") for text in instruction.operands[1:4])

    def step(state: State) -> None:
        shape = (-1, WARP)
        amount = distance(state).reshape(shape).astype(np.int64) & 31
        control = limits(state).reshape(shape).astype(np.int64)
        from_lane, valid = _source_lane(mode, amount, control & 31, control >> 8 & 31)
        if not isinstance(state.lanes, slice):
            _check_sources(state, from_lane)
        taken = np.take_along_axis(value(state).reshape(shape), from_lane, 1)
        target(state, taken.reshape(-1))
        if valid_slot is not None:
            state.write(valid_slot, np.broadcast_to(valid, from_lane.shape).reshape(-1))

    return step


def _source_lane(mode: str, amount: Row, clamp: Row, segment: Row) -> tuple[Row, Row]:
    highest = (_LANE & segment) | (clamp & ~segment)
    lowest = _LANE & segment
    if mode == "up":
        lane = _LANE - amount
        valid = lane >= highest
    else:
        lane = {"down": _LANE + amount, "bfly": _LANE ^ amount, "idx": lowest | (amount & ~segment)}[mode]
        valid = lane <= highest
    return np.where(valid, lane, _LANE), valid


def _check_sources(state: State, from_lane: Row) -> None:
    executing = active(state).reshape(-1, WARP)
    if (executing & ~np.take_along_axis(executing, from_lane, 1)).any():
        raise DivergenceError("shfl.sync reads a lane that does not take part")


@decodes("vote")
def _vote(instruction: Instruction, program: Program) -> Step:
    mode, kind = instruction.qualifiers[1:]
    source = predicate_reader(program, instruction.operands[1])
    slot = program.slot(instruction.operands[0])
    if kind not in {"pred", "b32"}:
        raise unknown(instruction)

    def step(state: State) -> None:
        executing = active(state).reshape(-1, WARP)
        votes = source(state).reshape(-1, WARP)
        if mode == "ballot":
            state.write(slot, np.repeat(_ballot(votes & executing), WARP))
            return
        every, some = (votes | ~executing).all(1), (votes & executing).any(1)
        result = {"all": every, "any": some, "uni": every | ~some}[mode]
        state.write(slot, np.repeat(result, WARP))

    return step


def _ballot(votes: Row) -> Row:
    return np.packbits(votes, 1, bitorder="little").view(np.uint32).reshape(-1)


@decodes("activemask")
def _activemask(instruction: Instruction, program: Program) -> Step:
    slot = program.slot(instruction.operands[0])
    return lambda state: state.write(slot, np.repeat(_ballot(active(state).reshape(-1, WARP)), WARP))


@decodes("redux")
def _redux(instruction: Instruction, program: Program) -> Step:
    _, operation, kind = instruction.qualifiers
    dtype = DTYPE[kind]
    functions = {"add": np.add, "min": np.minimum, "max": np.maximum}
    functions |= {"and": np.bitwise_and, "or": np.bitwise_or, "xor": np.bitwise_xor}
    if operation not in functions:
        raise unknown(instruction)
    limits = np.iinfo(dtype)
    neutral = {"min": limits.max, "max": limits.min, "and": dtype.type(0) if kind == "f32" else ~dtype.type(0)}
    target = writer(program, instruction.operands[0], kind)
    source = reader(program, instruction.operands[1], kind)

    def step(state: State) -> None:
        values = np.where(active(state), source(state), dtype.type(neutral.get(operation, 0))).reshape(-1, WARP)
        target(state, np.repeat(functions[operation].reduce(values, axis=1).astype(dtype), WARP))

    return step
