"""Instructions of a cubin by their opcode, without a disassembler."""

import struct
from collections import Counter

# The low 12 bits of an instruction, from sm_80 to sm_120 as `nvdisasm` 13 names them.
OPCODES = {0x23C: "HMMA", 0x237: "IMMA", 0x83B: "LDSM", 0xFAE: "LDGSTS"}
INSTRUCTION_BYTES = 16
_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")  # ELF64
_SECTION = struct.Struct("<IIQQQQIIQQ")


def count_opcodes(cubin: bytes) -> dict[str, Counter[str]]:
    """How many instructions of the named kinds each entry point has."""
    *_, offset, _, _, _, _, size, count, names_at = _HEADER.unpack_from(cubin)
    assert size == _SECTION.size
    sections = [_SECTION.unpack_from(cubin, offset + index * size) for index in range(count)]
    names = sections[names_at]
    counts = {}
    for name_offset, _, _, _, start, length, *_ in sections:
        begin = names[4] + name_offset
        name = cubin[begin : cubin.index(b"\0", begin)].decode()
        if name.startswith(".text."):
            words = struct.iter_unpack("<QQ", cubin[start : start + length])
            counts[name.removeprefix(".text.")] = Counter(OPCODES.get(low & 0xFFF, "other") for low, _ in words)
    return counts
