"""Run the PTX of a CUDA kernel on numpy with memory and race checks, to test kernels without a GPU.

``run_ptx`` executes all threads of some blocks side by side, one numpy operation for each instruction. It reports
out-of-bounds and misaligned accesses, reads of bytes that nobody wrote, races between threads, cp.async data used
before its wait, and instructions of a whole warp or block that not all of it reaches. Timing, caches, bank conflicts
and the order in which hardware runs warps are not modelled. What is approximate is said where it is computed:
`ptx_float` for ex2, rcp and the like, `ptx_matrix` for the accumulation of mma.
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
from ptx_launch import Argument, Extent, Launch, Shape
from ptx_memory import Region
from ptx_parse import Entry, Instruction, parse_entry
from ptx_schedule import Control, decode_control
from ptx_state import Program

DECODER_MODULES = (ptx_async, ptx_convert, ptx_float, ptx_integer, ptx_matrix, ptx_select, ptx_warp)
DEFAULT_LANES = 2048
DEFAULT_BRANCHES = 1_000_000


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


def run_ptx(  # noqa: PLR0917 - what a launch is, in the order of <<<grid, block, shared>>>
    ptx: str,
    entry: str,
    grid: Extent,
    block: Extent,
    args: Sequence[Argument],
    shared_bytes: int = 0,
    *,
    check_races: bool = True,
    undefined: Sequence[int] = (),
    rough: bool = False,
    max_lanes: int = DEFAULT_LANES,
    max_branches: int = DEFAULT_BRANCHES,
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
        rough: Approximations err by as much as PTX allows, up or down as the bits of their input say.
        max_lanes: How many threads run side by side, in whole blocks.
        max_branches: How many branches the blocks side by side may execute before the kernel counts as endless.

    Raises:
        PtxError: A check failed or an instruction is unknown: a subclass says which.
        ValueError: Arguments do not fit the kernel.
    """
    program, controls = _decode(ptx, entry, rough=rough)
    threads = int(np.prod(block))
    _check_launch(program.entry, args, threads, undefined)
    launch = Launch(
        program, controls, Shape(grid, block, shared_bytes), check_races=check_races, max_branches=max_branches
    )
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
    return _report(launch, undefined)


def _report(launch: Launch, undefined: Sequence[int]) -> Report:
    instructions: Counter[str] = Counter()
    for instruction, count in zip(launch.program.entry.code, launch.counts, strict=True):
        if count and instruction.line:
            instructions[instruction.opcode] += int(count)
    unwritten = {index: _unwritten(launch.arguments[index]) for index in undefined}
    return Report(instructions, unwritten, launch.shared_bytes)


def _unwritten(region: Region) -> int:
    assert region.initialised is not None, region.name
    return int(np.count_nonzero(~region.initialised[: region.size // region.unit])) * region.unit


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
def _decode(ptx: str, name: str, *, rough: bool = False) -> tuple[Program, list[Control]]:
    entry = parse_entry(ptx, name)
    program = Program(entry, rough=rough)
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
