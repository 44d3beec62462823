"""Control flow: branches, barriers, exits, and which lanes execute next.

Lanes that are at the same instruction run together; of several places the one with the smallest index runs first, which
brings diverged lanes together again where the compiler joins them. An instruction that needs its whole warp or block
parks the lanes that arrive until the others do; when nothing else can run, it never will, and that is an error.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from ptx_errors import DivergenceError, PtxError, RaceError
from ptx_parse import Instruction
from ptx_state import DECODERS, WARP, Program, State, Step, decodes, predicate_reader, reader, unknown

Row = np.ndarray
END = 1 << 60
FULL_WARP = np.uint32(0xFFFF_FFFF)
WHOLE_WARP = {"mma", "ldmatrix"}
NAMED_LANES = {"shfl": -1, "vote": -1, "redux": -1}


@dataclass(slots=True)
class Control:
    """How one instruction steers: ``kind`` is step, branch, exit, warp, warp_barrier or barrier.

    ``members`` gives the membermask of a warp instruction; ``number`` and ``threads`` the operands of a barrier.
    """

    kind: str
    step: Step | None = None
    target: int = 0
    guard: Callable[[State], Row] | None = None
    members: Callable[[State], Row] | None = None
    number: Callable[[State], Row] | None = None
    threads: Callable[[State], Row] | None = None


@decodes("membar", "fence", "nanosleep", "prefetch", "prefetchu", "pragma")
def _nothing(instruction: Instruction, program: Program) -> Step:
    """Order and timing hints: fences order the memory of one thread, and barriers are what the race checker accepts."""
    if "proxy" in instruction.opcode:
        raise unknown(instruction)
    return lambda state: None


@decodes("trap", "brkpt")
def _trap(instruction: Instruction, program: Program) -> Step:
    def step(state: State) -> None:
        raise PtxError("the kernel stops itself with a trap")

    return step


def decode_control(instruction: Instruction, program: Program) -> Control:
    """Decode one instruction with its guard.

    Raises:
        UnknownInstructionError: It has no meaning here.
    """
    guard = predicate_reader(program, instruction.guard) if instruction.guard else None
    base = instruction.base
    if base == "bra":
        if instruction.operands[0] not in program.entry.labels:
            raise unknown(instruction)
        return Control("branch", target=program.entry.labels[instruction.operands[0]], guard=guard)
    if base in {"ret", "exit"}:
        return Control("exit", guard=guard)
    if base in {"bar", "barrier"}:
        return _barrier(instruction, program, guard)
    if base not in DECODERS:
        raise unknown(instruction)
    step = DECODERS[base](instruction, program)
    if base in WHOLE_WARP:
        return Control("warp", step, guard=guard)
    if base in NAMED_LANES:
        return Control("warp", step, guard=guard, members=reader(program, instruction.operands[-1], "u32"))
    return Control("step", _guarded(step, guard) if guard else step)


def _barrier(instruction: Instruction, program: Program, guard: Callable[[State], Row] | None) -> Control:
    words = [word for word in instruction.qualifiers if word not in {"cta", "aligned"}]
    if words == ["warp", "sync"]:
        members = reader(program, instruction.operands[0], "u32")
        return Control("warp_barrier", lambda state: state.clock.join_lanes(state.lanes), guard=guard, members=members)
    if words != ["sync"]:
        raise unknown(instruction)
    operands = [reader(program, text, "u32") for text in instruction.operands]
    if len(operands) > 1:
        return Control("barrier", guard=guard, number=operands[0], threads=operands[1])
    return Control("barrier", lambda state: state.clock.join_blocks(state.lanes), guard=guard)


def _guarded(step: Step, guard: Callable[[State], Row]) -> Step:
    def run(state: State) -> None:
        active = guard(state) & (state.alive if state.mask is None else state.mask)
        if active.any():
            kept = state.mask, state.lanes
            state.mask, state.lanes = active, np.flatnonzero(active)
            step(state)
            state.mask, state.lanes = kept

    return run


@dataclass(slots=True)
class Scheduler:
    """Runs one set of blocks to the end; ``counts`` adds up the warps that executed each instruction."""

    program: Program
    controls: list[Control]
    state: State
    counts: np.ndarray
    branches_left: int
    ready: dict[int, Row] = field(default_factory=dict)
    parked: dict[int, Row] = field(default_factory=dict)

    def run(self) -> None:
        """Run until every lane has exited.

        Raises:
            PtxError: A check failed; the message names the instruction.
        """
        self.ready[0] = self.state.alive.copy()
        try:
            while self.ready:
                place = min(self.ready)
                self._run_together(place, self.ready.pop(place))
            if self.parked:
                self.state.place = min(self.parked)
                raise DivergenceError(self._deadlock())
        except PtxError as error:
            if not error.where:
                error.where = str(self.program.entry.code[self.state.place])
                if isinstance(error, RaceError):
                    error.where += f"; the other access: {self.program.entry.code[error.other_place]}"
            raise

    def _activate(self, mask: Row) -> int:
        """Make these lanes the executing ones; the number of warps among them."""
        state, count = self.state, int(np.count_nonzero(mask))
        state.lanes = slice(None) if count == state.count else np.flatnonzero(mask)
        state.mask = None if count == int(np.count_nonzero(state.alive)) else mask
        return int(np.count_nonzero(mask.reshape(-1, WARP).any(1)))

    def _run_together(self, place: int, mask: Row) -> None:
        state, controls, counts = self.state, self.controls, self.counts
        warps = self._activate(mask)
        limit = min(self.ready, default=END)
        while place < limit:
            state.place = place
            control = controls[place]
            if control.kind == "step":
                counts[place] += warps
                control.step(state)
                place += 1
                continue
            outcome = self._steer(control, place, mask)
            if outcome is None:
                return
            counts[place] += warps
            place, before, mask = outcome[0], mask, outcome[1]
            if mask is not before or control.kind == "exit":
                warps = self._activate(mask)
            limit = min(self.ready, default=END)
        self._add(self.ready, place, mask)

    def _steer(self, control: Control, place: int, mask: Row) -> tuple[int, Row] | None:
        """Where which lanes go on; None when they are queued, parked or gone."""
        taken = mask if control.guard is None else mask & control.guard(self.state)
        other = mask if taken is mask else mask & ~taken
        splits = taken is not mask and bool(other.any())
        if not taken.any():
            return place + 1, mask
        if control.kind == "exit":
            self.state.alive &= ~taken
            self._release()
            return (place + 1, other) if splits else None
        if splits:
            self._add(self.ready, place + 1, other)
        if control.kind == "branch":
            self.branches_left -= 1
            if self.branches_left < 0:
                raise PtxError("the kernel does not end: the emulator gives up (max_branches)")
            if splits:
                self.counts[place] += 1
                self._add(self.ready, control.target, taken)
                return None
            return control.target, mask
        return self._meet(control, place, taken)

    def _meet(self, control: Control, place: int, arriving: Row) -> tuple[int, Row] | None:
        """Let complete warps or blocks through an instruction that needs them whole, park the others."""
        if self._everybody(control, arriving):
            control.step(self.state)
            return place + 1, arriving
        waiting = arriving | self.parked.pop(place, False)
        complete = waiting & self._complete(control, waiting)
        if (rest := waiting & ~complete).any():
            self.parked[place] = rest
        if not complete.any():
            return None
        self._activate(complete)
        if control.step is not None:
            control.step(self.state)
        return place + 1, complete

    def _everybody(self, control: Control, arriving: Row) -> bool:
        """The usual case, decided quickly: all lanes there are arrive, and each names its whole warp."""
        if control.number is not None or not arriving.all():
            return False
        return control.members is None or bool((control.members(self.state) == FULL_WARP).all())

    def _complete(self, control: Control, waiting: Row) -> Row:
        if control.kind == "barrier":
            return self._complete_barriers(control, waiting)
        warps, living = waiting.reshape(-1, WARP), self.state.alive.reshape(-1, WARP)
        if control.members is None:
            if (living.any(1) & ~living.all(1) & warps.any(1)).any():
                raise DivergenceError("a lane of the warp has exited (or the block is no multiple of 32 threads)")
            return np.repeat(warps.all(1), WARP)
        members = control.members(self.state).reshape(-1, WARP, 1) >> np.arange(WARP, dtype=np.uint32) & 1
        needed = members.astype(bool) & living[:, None]
        own = np.diagonal(members, axis1=1, axis2=2).astype(bool)
        if (warps & ~own).any():
            raise DivergenceError("a lane executes it that its membermask does not name")
        if control.kind == "warp_barrier" and (needed != living[:, None])[warps].any():
            raise DivergenceError("bar.warp.sync with part of a warp: the race checker knows whole warps only")
        return (needed <= warps[:, None]).all(2).reshape(-1)

    def _complete_barriers(self, control: Control, waiting: Row) -> Row:
        """Lanes of complete barriers; those with a thread count are joined here, each number by itself."""
        lanes = self.state.clock.lanes_per_block
        if control.threads is None or control.number is None:
            return np.repeat((waiting | ~self.state.alive).reshape(-1, lanes).all(1), lanes)
        numbers, wanted = control.number(self.state), control.threads(self.state)
        complete = np.zeros_like(waiting)
        for block in np.flatnonzero(waiting.reshape(-1, lanes).any(1)):
            here = np.flatnonzero(waiting[block * lanes : (block + 1) * lanes]) + block * lanes
            for number in np.unique(numbers[here]):
                arrived = here[numbers[here] == number]
                if len(arrived) == wanted[arrived[0]]:
                    self.state.clock.join(arrived)
                    complete[arrived] = True
        return complete

    def _release(self) -> None:
        """Lanes have exited: others that wait may be complete now."""
        for place in list(self.parked):
            self._add(self.ready, place, self.parked.pop(place))

    @staticmethod
    def _add(queue: dict[int, Row], place: int, mask: Row) -> None:
        queue[place] = queue[place] | mask if place in queue else mask

    def _deadlock(self) -> str:
        code = self.program.entry.code
        places = [f"{int(mask.sum())} lanes at {code[place]}" for place, mask in sorted(self.parked.items())]
        return f"divergence: not every lane that has to arrives; waiting: {'; '.join(places)}"
