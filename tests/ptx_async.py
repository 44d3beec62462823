"""cp.async (PTX ISA, "cp.async", "cp.async.commit_group", "cp.async.wait_group"): copies that complete at a wait.

Between the instruction and the wait of the thread that issued it, the destination holds poison and touching it is an
error. After the wait the bytes count as written by that thread, so that other threads still need a barrier.
The source is read when the instruction is issued.
"""

import numpy as np
from ptx_access import address_reader, qualifier_words, region_parts, split_address, who_of
from ptx_memory import POISON
from ptx_parse import Instruction
from ptx_state import Program, State, Step, decodes, predicate_reader, reader, unknown

Row = np.ndarray


class Copy:
    """Copies of one instruction that some lanes still have to wait for."""

    __slots__ = ("data", "group", "lanes", "offsets", "size")

    def __init__(self, lanes: Row, offsets: Row, data: Row, group: Row) -> None:
        self.lanes, self.offsets, self.data, self.group = lanes, offsets, data, group
        self.size = data.shape[1]

    def split(self, done: Row) -> tuple["Copy", "Copy"]:
        """The copies that are done and the others."""
        return tuple(
            Copy(self.lanes[part], self.offsets[part], self.data[part], self.group[part]) for part in (done, ~done)
        )


@decodes("cp")
def _cp(instruction: Instruction, program: Program) -> Step:
    words = qualifier_words(instruction)
    if words[0] != "async" or "bulk" in words or "mbarrier" in words:
        raise unknown(instruction)
    if words[1] == "commit_group":
        return _commit
    if words[1] == "wait_all":
        return lambda state: _wait(state, None)
    if words[1] == "wait_group":
        still = int(instruction.operands[0], 0)
        return lambda state: _wait(state, still)
    return _issue_step(instruction, program)


def _issue_step(instruction: Instruction, program: Program) -> Step:
    names = [split_address(text) for text in instruction.operands[:2]]
    destination, source = (address_reader(program, name) for name, _ in names)
    size = int(instruction.operands[2], 0)
    if size not in {4, 8, 16} or ("cg" in instruction.qualifiers and size != 16):
        raise unknown(instruction)
    limit = _source_size(instruction, program, size)

    def step(state: State) -> None:
        wanted = limit(state)[state.lanes] if limit else np.full(state.count, size, np.uint32)[state.lanes]
        lanes = np.arange(state.count)[state.lanes]
        data = _fetch(state, source(state)[state.lanes].astype(np.int64) + names[1][1], np.minimum(wanted, size), size)
        offsets = state.shared.offsets(
            destination(state)[state.lanes].astype(np.int64) + names[0][1], size, state.block_row[state.lanes]
        )
        state.shared.begin_async(offsets, size, who_of(state, state.shared, slice(None), size))
        state.shared.bytes[offsets[:, None] + np.arange(size)] = POISON
        state.asynchronous.append(Copy(lanes, offsets, data, state.async_groups[state.lanes]))

    return step


def _source_size(instruction: Instruction, program: Program, size: int) -> object:
    """The optional fourth operand: bytes to read, the rest becomes zero; or a predicate that ignores the source."""
    if len(instruction.operands) < 4:
        return None
    text = instruction.operands[3]
    if program.entry.registers.get(text.lstrip("!")) != "pred":
        return reader(program, text, "u32")
    ignore = predicate_reader(program, text)
    return lambda state: np.where(ignore(state), 0, size).astype(np.uint32)


def _fetch(state: State, addresses: Row, wanted: Row, size: int) -> Row:
    """The source bytes as (lanes, size), zero beyond what is wanted; lanes that want none do not touch their source."""
    data = np.zeros((len(addresses), size), np.uint8)
    kept = state.lanes
    for length in np.unique(wanted):
        here = np.flatnonzero(wanted == length)
        if length == 0:
            continue
        state.lanes = np.arange(state.count)[kept][here]
        for region, inside, _, positions in region_parts(state, "global", addresses[here]):
            offsets = region.offsets(inside, int(length), None, multiple=size)
            whole = -(-int(length) // region.unit) * region.unit
            region.check_read(offsets, whole, who_of(state, region, positions, whole))
            data[here[positions], :length] = region.bytes[offsets[:, None] + np.arange(length)]
    state.lanes = kept
    return data


def _commit(state: State) -> None:
    groups = state.async_groups.copy()
    groups[state.lanes] += 1
    state.async_groups = groups


def _wait(state: State, still: int | None) -> None:
    """Complete what the executing lanes issued: everything, or all but their latest ``still`` groups."""
    executing = np.zeros(state.count, bool)
    executing[state.lanes] = True
    kept, remaining = state.lanes, []
    for copy in state.asynchronous:
        done = executing[copy.lanes]
        if still is not None:
            done &= copy.group < state.async_groups[copy.lanes] - still
        finished, rest = copy.split(done)
        if len(finished.lanes):
            _complete(state, finished)
        if len(rest.lanes):
            remaining.append(rest)
    state.lanes, state.asynchronous = kept, remaining


def _complete(state: State, copy: Copy) -> None:
    state.lanes = copy.lanes
    state.shared.end_async(copy.offsets, copy.size, who_of(state, state.shared, slice(None), copy.size))
    state.shared.bytes[copy.offsets[:, None] + np.arange(copy.size)] = copy.data
