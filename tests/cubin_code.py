"""Instructions of a cubin by their opcode, without a disassembler."""

import struct
from collections import Counter

# The low 12 bits of an instruction, from sm_80 to sm_120 as `nvdisasm` 13 names them.
OPCODES = {0x23C: "HMMA", 0x237: "IMMA", 0x83B: "LDSM", 0xFAE: "LDGSTS"}
ACCESSES = {0x981: "LDG", 0x986: "STG"}
# Bits 73 to 75 of an access to global memory; below 4 it is of one or two bytes.
ACCESS_BYTES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 8, 6: 16}
INSTRUCTION_BYTES = 16
_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")  # ELF64
_SECTION = struct.Struct("<IIQQQQIIQQ")


def count_opcodes(cubin: bytes) -> dict[str, Counter[str]]:
    """How many instructions of the named kinds each entry point has."""
    return {
        entry: Counter(OPCODES.get(low & 0xFFF, "other") for low, _ in words)
        for entry, words in _read_code(cubin).items()
    }


def count_accesses(cubin: bytes) -> dict[str, Counter[tuple[str, int]]]:
    """How many loads and stores of global memory each entry point has, by name and bytes of one thread."""
    return {
        entry: Counter(
            (ACCESSES[low & 0xFFF], ACCESS_BYTES[(high >> 9) & 7]) for low, high in words if low & 0xFFF in ACCESSES
        )
        for entry, words in _read_code(cubin).items()
    }


def _read_code(cubin: bytes) -> dict[str, list[tuple[int, int]]]:
    """Lower and upper half of each instruction, by entry point."""
    *_, offset, _, _, _, _, size, count, names_at = _HEADER.unpack_from(cubin)
    assert size == _SECTION.size
    sections = [_SECTION.unpack_from(cubin, offset + index * size) for index in range(count)]
    names = sections[names_at]
    code = {}
    for name_offset, _, _, _, start, length, *_ in sections:
        begin = names[4] + name_offset
        name = cubin[begin : cubin.index(b"\0", begin)].decode()
        if name.startswith(".text."):
            code[name.removeprefix(".text.")] = list(struct.iter_unpack("<QQ", cubin[start : start + length]))
    return code
