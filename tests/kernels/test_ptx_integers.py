"""Integer and logic instructions of the PTX emulator against Python's integers, as the PTX ISA defines them."""

import numpy as np
import pytest
from ptx_compile import compile_cuda
from ptx_emulator import run_ptx

COUNT = 256
MASK = 2**32 - 1


def signed(value: int, bits: int = 32) -> int:
    return (value & (2**bits - 1)) - (2**bits if value >> (bits - 1) & 1 else 0)


def byte_permute(a: int, b: int, selector: int) -> int:
    pool, result = a | b << 32, 0
    for index in range(4):
        choice = selector >> 4 * index & 15
        byte = pool >> 8 * (choice & 7) & 255
        result |= (255 * (byte >> 7) if choice & 8 else byte) << 8 * index
    return result


def lookup(a: int, b: int, c: int, table: int) -> int:
    bits = ((a >> i & 1) << 2 | (b >> i & 1) << 1 | (c >> i & 1) for i in range(32))
    return sum((table >> index & 1) << i for i, index in enumerate(bits))


def extract(value: int, position: int, length: int, sign: bool) -> int:
    """The pseudo-code of "bfe": bits beyond the sign position repeat it."""
    position, length = position & 255, length & 255
    fill = value >> min(position + length - 1, 31) & 1 if sign and length else 0
    bits = [value >> position + i & 1 if i < length and position + i <= 31 else fill for i in range(32)]
    return sum(bit << i for i, bit in enumerate(bits))


def insert(a: int, b: int, position: int, length: int) -> int:
    position, length = position & 255, length & 255
    for i in range(length):
        if position + i <= 31:
            b = b & ~(1 << position + i) | (a >> i & 1) << position + i
    return b


CASES = {
    "add.s32": lambda a, b, c: a + b,
    "sub.u32": lambda a, b, c: a - b,
    "mul.lo.s32": lambda a, b, c: a * b,
    "mul.hi.u32": lambda a, b, c: a * b >> 32,
    "mul.hi.s32": lambda a, b, c: signed(a) * signed(b) >> 32,
    "mad.lo.s32 c": lambda a, b, c: a * b + c,
    "mad.hi.s32 c": lambda a, b, c: (signed(a) * signed(b) >> 32) + c,
    "div.u32": lambda a, b, c: a // b,
    "div.s32": lambda a, b, c: abs(signed(a)) // abs(signed(b)) * (1 if signed(a) * signed(b) > 0 else -1),
    "rem.u32": lambda a, b, c: a % b,
    "min.s32": lambda a, b, c: min(signed(a), signed(b)),
    "max.u32": lambda a, b, c: max(a, b),
    "and.b32": lambda a, b, c: a & b,
    "xor.b32": lambda a, b, c: a ^ b,
    "shl.b32": lambda a, b, c: a << b if b < 32 else 0,
    "shr.u32": lambda a, b, c: a >> b if b < 32 else 0,
    "shr.s32": lambda a, b, c: signed(a) >> min(b, 31),
    "shf.l.wrap.b32 c": lambda a, b, c: ((b << 32 | a) << (c & 31)) >> 32,
    "shf.r.clamp.b32 c": lambda a, b, c: (b << 32 | a) >> min(c, 32),
    "prmt.b32 c": byte_permute,
    "lop3.b32 c 0xE8": lambda a, b, c: lookup(a, b, c, 0xE8),
    "lop3.b32 c 0x1D": lambda a, b, c: lookup(a, b, c, 0x1D),
    "bfe.u32 c": lambda a, b, c: extract(a, b, c, sign=False),
    "bfe.s32 c": lambda a, b, c: extract(a, b, c, sign=True),
    "dp4a.s32.s32 c": lambda a, b, c: sum(signed(a >> s, 8) * signed(b >> s, 8) for s in (0, 8, 16, 24)) + c,
    "sad.u32 c": lambda a, b, c: abs(a - b) + c,
}
SMALL = {"shl.b32": "b", "shr.u32": "b", "shr.s32": "b", "bfe.u32 c": "bc", "bfe.s32 c": "bc"}
SMALL |= {"shf.l.wrap.b32 c": "c", "shf.r.clamp.b32 c": "c"}


def kernel() -> str:
    lines = []
    for index, case in enumerate(CASES):
        opcode, *rest = case.split()
        operands = "%0, %1, %2" + (", %3" if rest else "") + (f", {rest[1]}" if len(rest) > 1 else "")
        lines.append(f'asm("{opcode} {operands};" : "=r"(r) : "r"(a), "r"(b), "r"(c)); o[{index}] = r;')
        values = SMALL.get(case, "")
        names = {name: f"{name} & 63" if name in values else name for name in "abc"}
        lines[-1] = lines[-1].replace('"r"(b)', f'"r"({names["b"]})').replace('"r"(c)', f'"r"({names["c"]})')
    lines.append('asm("bfi.b32 %0, %1, %2, %3, %4;" : "=r"(r) : "r"(a), "r"(b), "r"(c & 63), "r"(a & 63));')
    lines.append(f"o[{len(CASES)}] = r;")
    body = "\n  ".join(lines)
    return f"""extern "C" __global__ void integers(const u32* in, u32* out) {{
  u32 a = in[3 * threadIdx.x], b = in[3 * threadIdx.x + 1], c = in[3 * threadIdx.x + 2], r;
  u32* o = out + {len(CASES) + 1} * threadIdx.x;
  {body}
}}"""


@pytest.fixture(scope="module")
def results() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    values = rng.integers(1, 2**32, (COUNT, 3), dtype=np.uint32)
    values[:32] = rng.choice(np.array([1, 2, 31, 32, 2**31, 2**31 - 1, MASK, 0x80], np.uint32), (32, 3))
    out = np.zeros((COUNT, len(CASES) + 1), np.uint32)
    run_ptx(compile_cuda(kernel()), "integers", (1, 1, 1), (COUNT, 1, 1), [values, out], undefined=(1,))
    return values, out


@pytest.mark.parametrize("case", CASES)
def test_an_integer_instruction_gives_what_the_isa_defines(case, results):
    values, out = results
    small = SMALL.get(case, "")
    for (a, b, c), got in zip(values.tolist(), out[:, list(CASES).index(case)].tolist(), strict=True):
        first, second = (b & 63 if "b" in small else b), (c & 63 if "c" in small else c)
        assert got == CASES[case](a, first, second) & MASK, (hex(a), hex(first), hex(second))


def test_bfi_inserts_the_low_bits_of_one_word_into_another(results):
    values, out = results
    for (a, b, c), got in zip(values.tolist(), out[:, -1].tolist(), strict=True):
        assert got == insert(a, b, c & 63, a & 63) & MASK
