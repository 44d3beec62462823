"""The threads of some blocks side by side: registers as rows of untyped bits, the active set, memories, clocks."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from ptx_errors import UnknownInstructionError
from ptx_memory import GlobalMemory, Region
from ptx_parse import TYPE_BYTES, Entry, Instruction
from ptx_shadow import Accessors, Clock

BITS = {0: np.dtype(bool), 1: np.dtype(np.uint8), 2: np.dtype(np.uint16), 4: np.dtype(np.uint32)}
BITS |= {8: np.dtype(np.uint64)}
NUMBER = {"u8": np.uint8, "s8": np.int8, "u16": np.uint16, "s16": np.int16, "u32": np.uint32, "s32": np.int32}
NUMBER |= {"u64": np.uint64, "s64": np.int64, "f16": np.float16, "f32": np.float32, "f64": np.float64}
NUMBER |= {"b8": np.uint8, "b16": np.uint16, "b32": np.uint32, "b64": np.uint64, "bf16": np.uint16}
NUMBER |= {"f16x2": np.uint32, "bf16x2": np.uint32}
DTYPE = {name: np.dtype(kind) for name, kind in NUMBER.items()}

WARP = 32
Step = Callable[["State"], None]


@dataclass(slots=True)
class Program:
    """A kernel decoded once: ``steps`` are closures over register slots; the rest is what a launch has to fill in.

    Attributes:
        rough: Whether approximations err by as much as they may.
        widths: Bytes of each register slot; constants and special registers are slots too.
        constants: Slot to its value.
        specials: Slot to the name of a special register such as ``tid.x``.
        symbols: Variable name to (space, offset in that space); global ones are filled in by the launch.
    """

    entry: Entry
    rough: bool = False
    slots: dict[str, int] = field(default_factory=dict)
    widths: list[int] = field(default_factory=list)
    constants: dict[int, int] = field(default_factory=dict)
    specials: dict[int, str] = field(default_factory=dict)
    addresses: dict[int, str] = field(default_factory=dict)
    symbols: dict[str, tuple[str, int]] = field(default_factory=dict)
    steps: list[Step | None] = field(default_factory=list)

    def slot(self, name: str, width: int = 4) -> int:
        """The slot of a register, special register, symbol or literal; ``width`` is for those without a type."""
        kind = self.entry.registers.get(name)
        key = name if kind else f"{name}:{width}"
        if key not in self.slots:
            self.slots[key] = len(self.widths)
            self.widths.append(TYPE_BYTES[kind] if kind else width)
            if not kind:
                self._fill(self.slots[key], name, width)
        return self.slots[key]

    def _fill(self, slot: int, name: str, width: int) -> None:
        if name.startswith("%"):
            self.specials[slot] = name[1:]
        elif name in self.symbols:
            self.addresses[slot] = name
        else:
            self.constants[slot] = literal(name, width)

    def is_register(self, name: str) -> bool:
        return name in self.entry.registers


def literal(text: str, width: int) -> int:
    """The bits of a constant (PTX ISA, "Constants"), cut to ``width`` bytes."""
    if text[:2] in {"0f", "0F", "0d", "0D"}:
        bits = int(text[2:], 16)
        if text[1] in "dD" and width == 4:
            bits = int(np.float32(np.uint64(bits).view(np.float64)).view(np.uint32))
        if text[1] in "fF" and width == 8:
            bits = int(np.float64(np.uint32(bits).view(np.float32)).view(np.uint64))
        return bits
    try:
        value = int(text.rstrip("U"), 0) if not _is_octal(text) else int(text, 8)
    except ValueError as error:
        raise UnknownInstructionError(f"operand {text!r}") from error
    return value % (1 << (8 * width)) if width else int(bool(value))


def _is_octal(text: str) -> bool:
    return len(text) > 1 and text[0] == "0" and text.isdigit()


class State:
    """What the closures of a program work on.

    Attributes:
        R: One row of bits for each register slot, an element for each lane. Rows are replaced, never written in place.
        mask: The lanes that execute, or None when all that are alive do, so that a row may be replaced whole.
        lanes: Their indices, or a slice of everything.
        block_row: Which of the blocks side by side a lane belongs to.
    """

    def __init__(self, program: Program, lanes: int) -> None:
        self.R: list[np.ndarray] = [np.zeros(lanes, BITS[width]) for width in program.widths]
        self.count = lanes
        self.mask: np.ndarray | None = None
        self.lanes: np.ndarray | slice = slice(None)
        self.place = 0
        self.clock: Clock
        self.block_row: np.ndarray
        self.lane_row = np.arange(lanes)
        self.memory: GlobalMemory
        self.shared: Region
        self.local: Region
        self.parameters: np.ndarray
        self.check_races = True
        self.alive = np.ones(lanes, bool)
        self.asynchronous: list = []
        self.async_groups = np.zeros(lanes, np.int64)

    def write(self, slot: int, row: np.ndarray) -> None:
        """Put a row of bits into a register for the lanes that execute."""
        self.R[slot] = row if self.mask is None else np.where(self.mask, row, self.R[slot])

    def scatter(self, slot: int, values: np.ndarray) -> None:
        """Put one value for each executing lane into a register."""
        if isinstance(self.lanes, slice):
            self.R[slot] = values
        else:
            row = self.R[slot].copy()
            row[self.lanes] = values
            self.R[slot] = row

    def who(self, repeat: int, *, collective: bool = False) -> Accessors | None:
        """The executing lanes for the race checker, each ``repeat`` times; None when races are not looked for."""
        if not self.check_races:
            return None
        return Accessors(self.clock, self.lanes, self.place, repeat, collective=collective)


Decoder = Callable[[Instruction, Program], Step]
DECODERS: dict[str, Decoder] = {}


def decodes(*bases: str) -> Callable[[Decoder], Decoder]:
    """Register how instructions with these base opcodes become closures."""

    def register(decoder: Decoder) -> Decoder:
        DECODERS.update(dict.fromkeys(bases, decoder))
        return decoder

    return register


def unknown(instruction: Instruction) -> UnknownInstructionError:
    """The error for an instruction or qualifier without a meaning here."""
    return UnknownInstructionError(f"the emulator does not know {instruction.opcode!r} ({instruction})")


def reader(program: Program, text: str, kind: str) -> Callable[[State], np.ndarray]:
    """A closure that gives an operand as numbers of a PTX type; wider registers give their low bits."""
    dtype = DTYPE[kind]
    slot = program.slot(text, dtype.itemsize)
    width = program.widths[slot]
    if width == dtype.itemsize:
        return lambda state: state.R[slot].view(dtype)
    if width < dtype.itemsize:
        raise UnknownInstructionError(f"operand {text!r} has {width} bytes, too few for .{kind}")
    low = BITS[dtype.itemsize]
    return lambda state: state.R[slot].astype(low).view(dtype)


def writer(program: Program, text: str, kind: str) -> Callable[[State, np.ndarray], None]:
    """A closure that puts numbers of a PTX type into a register; signed ones are extended to wider registers."""
    if text == "_":
        return lambda state, values: None
    slot = program.slot(text)
    width = program.widths[slot]
    bits = BITS[width]
    if width == DTYPE[kind].itemsize:
        return lambda state, values: state.write(slot, values.view(bits))
    signed = np.dtype(f"i{width}")
    if kind.startswith("s"):
        return lambda state, values: state.write(slot, values.astype(signed).view(bits))
    return lambda state, values: state.write(slot, values.view(BITS[DTYPE[kind].itemsize]).astype(bits))


def predicate_reader(program: Program, text: str) -> Callable[[State], np.ndarray]:
    """A closure that gives a predicate operand, which may be negated with ``!``."""
    slot = program.slot(text.lstrip("!"), 0)
    if text.startswith("!"):
        return lambda state: ~state.R[slot]
    return lambda state: state.R[slot]
