"""Run the PTX of a CUDA kernel on numpy, with the checks of a memory and a race checker: tests of kernels without a GPU.

``run_ptx`` executes all threads of some blocks side by side, one numpy operation for each instruction. It reports
out-of-bounds and misaligned accesses, reads of bytes that nobody wrote, races between threads, cp.async data used before
its wait, and instructions of a whole warp or block that not all of it reaches. Timing, caches, bank conflicts and the
order in which hardware runs warps are not modelled. What is approximate is said where it is computed: `ptx_float` for
ex2, rcp and the like, `ptx_matrix` for the accumulation of mma.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import ptx_async
import ptx_convert
import ptx_float
import ptx_integer
import ptx_matrix
import ptx_select
import ptx_warp
from ptx_access import SPACES, qualifier_words
from ptx_errors import PtxError
from ptx_memory import GlobalMemory, Region
from ptx_parse import TYPE_BYTES, Entry, Instruction, parse_entry
from ptx_schedule import Control, Scheduler, decode_control
from ptx_shadow import Clock
from ptx_state import BITS, WARP, Program, State

DECODER_MODULES = (ptx_async, ptx_convert, ptx_float, ptx_integer, ptx_matrix, ptx_select, ptx_warp)
Argument = np.ndarray | int | float | bytes | None
DEFAULT_LANES = 2048


@dataclass(frozen=True, slots=True)
class Report:
    """What ran.

    Attributes:
        instructions: Full opcode to the number of warps that executed it.
        unwritten: For each argument declared undefined, how many of its bytes nobody wrote.
        shared_bytes: Static and dynamic shared memory of a block.
    """

    instructions: Counter[str]
    unwritten: dict[int, int]
    shared_bytes: int

    def count(self, prefix: str) -> int:
        """Warp instructions whose opcode starts with ``prefix``, such as ``mma.sync`` or ``cp.async.cg``."""
        return sum(number for opcode, number in self.instructions.items() if opcode.startswith(prefix))


def run_ptx(
    ptx: str,
    entry: str,
    grid: tuple[int, int, int],
    block: tuple[int, int, int],
    args: Sequence[Argument],
    shared_bytes: int = 0,
    *,
    check_races: bool = True,
    undefined: Sequence[int] = (),
    max_lanes: int = DEFAULT_LANES,
) -> Report:
    """Run a kernel over a whole grid; arrays are device buffers, written in place even when a check fails.

    Args:
        ptx: The PTX text.
        entry: Name of the kernel.
        grid: Blocks in x, y, z.
        block: Threads in x, y, z.
        args: C-contiguous arrays (bf16 as uint16 or ml_dtypes), numbers, None for a null pointer, bytes for a struct.
        shared_bytes: Dynamic shared memory of a block.
        check_races: Look for races; without, a run takes about half the time.
        undefined: Positions of arrays that count as uninitialised: they are poisoned, and reading them is an error.
        max_lanes: How many threads run side by side, in whole blocks.

    Raises:
        PtxError: A check failed or an instruction is unknown: a subclass says which.
        ValueError: Arguments do not fit the kernel.
    """
    program, controls = _decode(ptx, entry)
    threads = int(np.prod(block))
    _check_launch(program.entry, args, threads, undefined)
    launch = _Launch(program, controls, grid, block, shared_bytes, check_races)
    buffers = launch.bind(args, undefined)
    blocks = int(np.prod(grid))
    together = max(1, max_lanes // launch.lanes_per_block)
    try:
        with np.errstate(all="ignore"):
            for first in range(0, blocks, together):
                launch.run(np.arange(first, min(first + together, blocks)))
    finally:
        for array, region in buffers:
            array.reshape(-1).view(np.uint8)[:] = region.bytes[: region.size]
    return launch.report(undefined)


def _check_launch(entry: Entry, args: Sequence[Argument], threads: int, undefined: Sequence[int]) -> None:
    if len(args) != len(entry.parameters):
        names = [parameter.name for parameter in entry.parameters]
        raise ValueError(f"{entry.name}: {len(args)} arguments, the kernel has {len(names)}: {names}")
    if entry.max_threads and threads > entry.max_threads:
        raise ValueError(f"{entry.name}: {threads} threads, its launch bound is {entry.max_threads}")
    for index, argument in enumerate(args):
        if isinstance(argument, np.ndarray) and not argument.flags.c_contiguous:
            raise ValueError(f"{entry.name}: argument {index} is not C-contiguous")
    for index in undefined:
        if not isinstance(args[index], np.ndarray):
            raise ValueError(f"{entry.name}: argument {index} is declared undefined and is no array")


@lru_cache(maxsize=64)
def _decode(ptx: str, name: str) -> tuple[Program, list[Control]]:
    entry = parse_entry(ptx, name)
    program = Program(entry)
    offsets = {"shared": 0, "local": 0}
    for variable in sorted(entry.variables, key=lambda one: one.size == 0):
        if variable.space in offsets:
            start = -(-offsets[variable.space] // variable.align) * variable.align
            program.symbols[variable.name] = (variable.space, start)
            offsets[variable.space] = start + variable.size
        else:
            program.symbols[variable.name] = (variable.space, 0)
    controls = [decode_control(instruction, program) for instruction in entry.code]
    controls.append(Control("exit"))
    entry.code.append(Instruction("ret", (), "", 0, "end of the kernel", 0))
    return program, controls


class _Launch:
    """Buffers, shared memory and counters of one launch."""

    def __init__(
        self, program: Program, controls: list[Control], grid: tuple, block: tuple, dynamic: int, check_races: bool
    ) -> None:
        self.program, self.controls, self.grid, self.block, self.check_races = (
            program,
            controls,
            grid,
            block,
            check_races,
        )
        self.threads = int(np.prod(block))
        self.lanes_per_block = -(-self.threads // WARP) * WARP
        self.units = _units(program.entry)
        self.memory = GlobalMemory(self.units["global"])
        self.shared_bytes = _used(program, "shared") + dynamic
        self.counts = np.zeros(len(controls), np.int64)
        self.now = 0
        self.parameters = np.zeros(0, np.uint8)
        self.symbols = {name: offset for name, (_, offset) in program.symbols.items()}
        self.arguments: dict[int, Region] = {}

    def bind(self, args: Sequence[Argument], undefined: Sequence[int]) -> list[tuple[np.ndarray, Region]]:
        """Put arguments into the parameter space and arrays into global memory."""
        last = self.program.entry.parameters[-1:]
        self.parameters = np.zeros(sum(last[0].offset + last[0].size for _ in last), np.uint8)
        regions: dict[int, tuple[np.ndarray, Region]] = {}
        for index, (parameter, argument) in enumerate(zip(self.program.entry.parameters, args, strict=True)):
            if isinstance(argument, np.ndarray):
                where = argument.__array_interface__["data"][0]
                if where not in regions:
                    regions[where] = argument, self._buffer(f"argument {index}", argument, index in undefined)
                self.arguments[index] = regions[where][1]
                argument = regions[where][1].base
            data = _parameter_bytes(parameter.type, parameter.size, argument)
            self.parameters[parameter.offset : parameter.offset + parameter.size] = np.frombuffer(data, np.uint8)
        for variable in self.program.entry.variables:
            if variable.space in {"global", "const"}:
                region = self.memory.add(f"variable {variable.name}", variable.size)
                region.fill(variable.data.ljust(variable.size, b"\0"))
                self.symbols[variable.name] = region.base
        return list(regions.values())

    def _buffer(self, name: str, array: np.ndarray, undefined: bool) -> Region:
        region = self.memory.add(name, array.nbytes)
        if not undefined:
            region.fill(array.reshape(-1).view(np.uint8))
        return region

    def run(self, blocks: np.ndarray) -> None:
        """Run these blocks, by their linear numbers, side by side."""
        state = State(self.program, len(blocks) * self.lanes_per_block)
        self._place_threads(state, blocks)
        state.memory, state.parameters, state.check_races = self.memory, self.parameters, self.check_races
        state.shared = Region("shared memory", self.shared_bytes, copies=len(blocks), unit=self.units["shared"])
        local = _used(self.program, "local")
        state.local = Region("local memory", local, copies=state.count if local else 1, unit=self.units["local"])
        self._fill_slots(state, blocks)
        Scheduler(self.program, self.controls, state, self.counts).run()
        self.now = int(state.clock.now) + 1

    def _place_threads(self, state: State, blocks: np.ndarray) -> None:
        thread = np.tile(np.arange(self.lanes_per_block), len(blocks))
        state.block_row = np.repeat(np.arange(len(blocks)), self.lanes_per_block)
        state.alive = thread < self.threads
        number = np.repeat(blocks, self.lanes_per_block) * self.lanes_per_block + thread
        state.clock = Clock(number, self.lanes_per_block, self.now)

    def _fill_slots(self, state: State, blocks: np.ndarray) -> None:
        program = self.program
        for slot, value in program.constants.items():
            state.R[slot] = np.full(state.count, value, BITS[program.widths[slot]])
        for slot, name in program.addresses.items():
            state.R[slot] = np.full(state.count, self.symbols[name], BITS[program.widths[slot]])
        known = self._special_registers(state, blocks)
        for slot, name in program.specials.items():
            if name not in known:
                raise PtxError(f"the emulator has no special register %{name}")
            state.R[slot] = np.broadcast_to(known[name], state.count).astype(BITS[program.widths[slot]])

    def _special_registers(self, state: State, blocks: np.ndarray) -> dict[str, np.ndarray | int]:
        thread = np.tile(np.arange(self.lanes_per_block), len(blocks))
        number = np.repeat(blocks, self.lanes_per_block)
        lane = thread % WARP
        known: dict[str, np.ndarray | int] = {
            "laneid": lane,
            "warpid": thread // WARP,
            "nwarpid": self.lanes_per_block // WARP,
        }
        for axis, name in enumerate("xyz"):
            inner, blocks_inner = int(np.prod(self.block[:axis])), int(np.prod(self.grid[:axis]))
            known[f"tid.{name}"] = thread // inner % self.block[axis]
            known[f"ctaid.{name}"] = number // blocks_inner % self.grid[axis]
            known[f"ntid.{name}"], known[f"nctaid.{name}"] = self.block[axis], self.grid[axis]
        one = np.left_shift(np.uint64(1), lane.astype(np.uint64))
        known |= {"lanemask_eq": one, "lanemask_lt": one - 1, "lanemask_le": 2 * one - 1}
        known |= {"lanemask_ge": 2**32 - one, "lanemask_gt": 2**32 - 2 * one}
        return known | {"dynamic_smem_size": self.shared_bytes - _used(self.program, "shared")}

    def report(self, undefined: Sequence[int]) -> Report:
        instructions: Counter[str] = Counter()
        for instruction, count in zip(self.program.entry.code, self.counts, strict=True):
            if count and instruction.line:
                instructions[instruction.opcode] += int(count)
        unwritten = {index: _unwritten(self.arguments[index]) for index in undefined}
        return Report(instructions, unwritten, self.shared_bytes)


def _unwritten(region: Region) -> int:
    assert region.initialised is not None, region.name
    return int(np.count_nonzero(~region.initialised[: region.size // region.unit])) * region.unit


def _used(program: Program, space: str) -> int:
    ends = [
        program.symbols[variable.name][1] + variable.size
        for variable in program.entry.variables
        if variable.space == space
    ]
    return max(ends, default=0)


def _parameter_bytes(kind: str, size: int, argument: Argument) -> bytes:
    if isinstance(argument, bytes):
        return argument.ljust(size, b"\0")
    if kind in {"f32", "f64"}:
        return np.array(argument, np.float32 if kind == "f32" else np.float64).tobytes()
    if isinstance(argument, float):
        raise ValueError(f"a float for a parameter of type .{kind}")
    return (int(argument or 0) % (1 << (8 * size))).to_bytes(size, "little")


def _units(entry: Entry) -> dict[str, int]:
    """The smallest access of each space in bytes: the unit of its checks."""
    units = dict.fromkeys(("global", "shared", "local"), 16)
    for instruction in entry.code:
        words = qualifier_words(instruction)
        if instruction.base in {"ld", "ldu", "st", "atom", "red"}:
            count = next((int(word[1:]) for word in words if word in {"v2", "v4"}), 1)
            size = TYPE_BYTES[words[-1]] * count
            named = [word for word in words if word in SPACES]
        elif instruction.base == "cp" and len(instruction.operands) > 2:
            size, named = int(instruction.operands[2], 0), ["global", "shared"]
        else:
            continue
        for space in named or list(units):
            if space in units:
                units[space] = min(units[space], size)
    return units
