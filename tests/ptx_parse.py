"""PTX text to a list of instructions: statements, scopes, registers, variables (PTX ISA, "Syntax" and "Variables")."""

import re
from dataclasses import dataclass, field

import numpy as np
from ptx_errors import UnknownInstructionError

TYPE_BYTES = {"pred": 0, "b8": 1, "u8": 1, "s8": 1, "b16": 2, "u16": 2, "s16": 2, "f16": 2, "bf16": 2}
TYPE_BYTES |= {"b32": 4, "u32": 4, "s32": 4, "f32": 4, "f16x2": 4, "bf16x2": 4}
TYPE_BYTES |= {"b64": 8, "u64": 8, "s64": 8, "f64": 8, "b128": 16}

_NAME = r"[A-Za-z_$%][\w$]*"
_IDENTIFIER = re.compile(_NAME)
_SPACE = re.compile(r"\s*")
_LABEL = re.compile(rf"\s*({_NAME}|\$[\w$]+)\s*:(?!:)")
_ENTRY = re.compile(rf"\.entry\s+({_NAME})\s*\(([^)]*)\)([^{{;]*)\{{")
_VARIABLE = re.compile(
    rf"(?:\.(?:visible|extern|weak)\s+)*\.(shared|global|const|local)\s+(?:\.align\s+(\d+)\s+)?"
    rf"(?:\.(v2|v4)\s+)?\.(\w+)\s+({_NAME})((?:\[\d*\])*)\s*(?:=\s*(.*))?$",
    re.S,
)
_PARAM = re.compile(rf"\.param\s+(?:\.align\s+(\d+)\s+)?\.(\w+)\s+(?:\.ptr\b[^,]*?\s)?({_NAME})(?:\[(\d+)\])?\s*$")


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction: ``guard`` is ``%p1`` or ``!%p1`` or empty, ``line`` its line in the PTX text."""

    opcode: str
    operands: tuple[str, ...]
    guard: str
    line: int
    text: str
    source_line: int

    @property
    def base(self) -> str:
        """The opcode without qualifiers."""
        return self.opcode.split(".", 1)[0]

    @property
    def qualifiers(self) -> tuple[str, ...]:
        """The qualifiers in order, without their dots."""
        return tuple(self.opcode.split(".")[1:])

    def __str__(self) -> str:
        source = f", source line {self.source_line}" if self.source_line else ""
        return f"PTX line {self.line}{source}: {self.text}"


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable in memory: ``size`` 0 means the array whose size the launch gives (dynamic shared memory)."""

    name: str
    space: str
    align: int
    size: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Parameter:
    """A kernel parameter at ``offset`` bytes in the parameter space."""

    name: str
    type: str
    offset: int
    size: int


@dataclass(slots=True)
class Entry:
    """One kernel: code, the instruction index of each label, register types by name, its own and module variables."""

    name: str
    parameters: list[Parameter]
    code: list[Instruction] = field(default_factory=list)
    labels: dict[str, int] = field(default_factory=dict)
    registers: dict[str, str] = field(default_factory=dict)
    variables: list[Variable] = field(default_factory=list)
    max_threads: int = 0


def parse_entry(ptx: str, name: str) -> Entry:
    """Find and parse one kernel.

    Raises:
        KeyError: The text has no such kernel; the message names those it has.
    """
    text, source_lines = _without_comments(ptx)
    found = {match.group(1): match for match in _ENTRY.finditer(text)}
    if name not in found:
        raise KeyError(f"entry {name!r}: the PTX has {', '.join(found) or 'none'}")
    match = found[name]
    entry = Entry(name, _parameters(match.group(2)))
    if limit := re.search(r"\.(?:max|req)ntid\s+(\d+)(?:\s*,\s*(\d+))?(?:\s*,\s*(\d+))?", match.group(3)):
        entry.max_threads = int(np.prod([int(part) for part in limit.groups() if part]))
    entry.variables = _module_variables(text)
    _parse_body(entry, text, match.end(), source_lines)
    return entry


def _without_comments(ptx: str) -> tuple[str, dict[int, int]]:
    """Blank comments and line-terminated debug directives, keep line numbers; also the source line of each line."""
    blanked = re.sub(r"/\*.*?\*/", lambda found: re.sub(r"[^\n]", " ", found.group()), ptx.rstrip("\0"), flags=re.S)
    blanked = re.sub(r"//[^\n]*", "", blanked)
    lines, source_lines, current = [], {}, 0
    for number, line in enumerate(blanked.split("\n"), 1):
        if location := re.match(r"\s*\.loc\s+\d+\s+(\d+)", line):
            current = int(location.group(1))
        source_lines[number] = current
        lines.append("" if re.match(r"\s*\.(loc|file|version|target|address_size)\b", line) else line)
    return re.sub(r"\.section[^{]*\{[^}]*\}", "", "\n".join(lines)), source_lines


def _parameters(text: str) -> list[Parameter]:
    parameters, offset = [], 0
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        found = _PARAM.search(part)
        if not found:
            raise UnknownInstructionError(f"kernel parameter {part!r}")
        align, kind, name, count = found.groups()
        size = TYPE_BYTES[kind] * int(count or 1)
        step = int(align or TYPE_BYTES[kind])
        offset = -(-offset // step) * step
        parameters.append(Parameter(name, kind if not count else "bytes", offset, size))
        offset += size
    return parameters


def _module_variables(text: str) -> list[Variable]:
    """Variables that the module declares outside of functions, with their initial bytes."""
    depth, start, variables = 0, 0, []
    for found in re.finditer(r"[{};]", text):
        if found.group() == "{":
            depth += 1
        elif found.group() == "}":
            depth -= 1
            if depth == 0 and "=" not in text[start : found.start()]:
                start = found.end()
        elif depth == 0:
            if variable := _variable(text[start : found.start()].strip()):
                variables.append(variable)
            start = found.end()
    return variables


def _variable(statement: str) -> Variable | None:
    found = _VARIABLE.match(statement)
    if not found:
        return None
    space, align, vector, kind, name, dimensions, initial = found.groups()
    counts = [int(number or 0) for number in re.findall(r"\[(\d*)\]", dimensions)]
    width = TYPE_BYTES[kind] * int((vector or "v1")[1:])
    size = width * int(np.prod(counts)) if counts else width
    data = _initial_bytes(initial, kind) if initial else b""
    return Variable(name, space, int(align or width), size, data)


def _initial_bytes(text: str, kind: str) -> bytes:
    values = []
    for word in re.findall(r"[-\w.]+", text):
        if word[:2] in {"0f", "0d"}:
            values.append(int(word[2:], 16))
        else:
            values.append(int(word.rstrip("U"), 0))
    width = TYPE_BYTES[kind]
    return b"".join((value % (1 << (8 * width))).to_bytes(width, "little") for value in values)


class _Scopes:
    """Registers of nested blocks get unique names: inline assembly declares its own in braces."""

    def __init__(self) -> None:
        self.stack: list[dict[str, str]] = [{}]
        self.declared = 0

    def open(self) -> None:
        self.stack.append({})

    def close(self) -> bool:
        """Leave a block; true when it was the body of the kernel."""
        self.stack.pop()
        return not self.stack

    def declare(self, name: str) -> str:
        self.declared += 1
        unique = name if len(self.stack) == 1 else f"{name}@{self.declared}"
        self.stack[-1][name] = unique
        return unique

    def resolve(self, text: str) -> str:
        if not any(self.stack[1:]):
            return text
        return _IDENTIFIER.sub(lambda found: self._unique(found.group()), text)

    def _unique(self, name: str) -> str:
        return next((scope[name] for scope in reversed(self.stack) if name in scope), name)


def _parse_body(entry: Entry, text: str, position: int, source_lines: dict[int, int]) -> None:
    scopes, line, counted = _Scopes(), 1, 0
    while True:
        position = _SPACE.match(text, position).end()
        line += text.count("\n", counted, position)
        counted = position
        if text[position] == "{":
            scopes.open()
            position += 1
        elif text[position] == "}":
            position += 1
            if scopes.close():
                return
        elif found := _LABEL.match(text, position):
            entry.labels[found.group(1)] = len(entry.code)
            position = found.end()
        else:
            end = text.index(";", position)
            _statement(entry, scopes, text[position:end].strip(), line, source_lines.get(line, 0))
            position = end + 1


def _statement(entry: Entry, scopes: _Scopes, text: str, line: int, source_line: int) -> None:
    if text.startswith(".reg"):
        kind, names = re.match(r"\.reg\s+\.(\w+)\s+(.*)", text, re.S).groups()
        for name in (piece.strip() for piece in names.split(",")):
            many = re.fullmatch(r"(.*)<(\d+)>", name)
            every = [f"{many.group(1)}{index}" for index in range(int(many.group(2)))] if many else [name]
            entry.registers.update({scopes.declare(one): kind for one in every})
    elif text.startswith((".shared", ".local", ".const", ".global")):
        entry.variables.append(_variable(text))
    elif text and not text.startswith(".pragma"):
        entry.code.append(_instruction(scopes.resolve(text), line, source_line))


def _instruction(text: str, line: int, source_line: int) -> Instruction:
    text = " ".join(text.split())
    guard, rest = "", text
    if text.startswith("@"):
        guard, rest = text[1:].split(None, 1)
    opcode, _, operands = rest.partition(" ")
    return Instruction(opcode, tuple(_split_operands(operands)), guard, line, text, source_line)


def _split_operands(text: str) -> list[str]:
    parts, depth, current = [], 0, ""
    for character in text:
        depth += (character in "{[(") - (character in "}])")
        if character == "," and depth == 0:
            parts.append(current.strip())
            current = ""
        else:
            current += character
    return [*parts, current.strip()] if current.strip() else parts
