"""One launch of a kernel: its buffers, parameters, shared memory, special registers."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from ptx_access import SPACES, qualifier_words
from ptx_errors import PtxError
from ptx_memory import GlobalMemory, Region
from ptx_parse import TYPE_BYTES, Entry
from ptx_schedule import Control, Scheduler
from ptx_shadow import Clock
from ptx_state import BITS, WARP, Program, State

Argument = np.ndarray | int | float | bytes | None
Extent = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Shape:
    """Blocks of a grid, threads of a block, and the dynamic shared memory of a block in bytes."""

    grid: Extent
    block: Extent
    dynamic_bytes: int


class Launch:
    """Buffers, shared memory and counters of one launch."""

    def __init__(
        self, program: Program, controls: list[Control], shape: Shape, *, check_races: bool, max_branches: int
    ) -> None:
        self.max_branches = max_branches
        self.program, self.controls, self.check_races = program, controls, check_races
        self.grid, self.block = shape.grid, shape.block
        self.threads = int(np.prod(shape.block))
        self.lanes_per_block = -(-self.threads // WARP) * WARP
        self.units = _units(program.entry)
        self.memory = GlobalMemory(self.units["global"])
        self.shared_bytes = _used(program, "shared") + shape.dynamic_bytes
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
                data = self.arguments[index].base.to_bytes(parameter.size, "little")
            else:
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
        Scheduler(self.program, self.controls, state, self.counts, self.max_branches).run()
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
