"""What every kernel takes of every GPU, by the assembler's own report: registers, spills, shared memory, warps at once.

No GPU is needed and none is asked: the numbers say what the code was compiled to, not how fast it is.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from recording import append_records
from table_text import NOT_MEASURED, table

from pixio_edge.kernels.catalogue import KERNELS, SMS, Kernel, Launch
from pixio_edge.kernels.compile import Resources, compile_kernel, nvrtc_version
from pixio_edge.kernels.geometry_attention import GPUS, RESERVED_SHARED_BYTES, SPLITS, THREADS
from pixio_edge.kernels.geometry_attention_int8 import launch_split, plan_attention_int8

Record = dict[str, Any]

RECORD = "kernel_resources"
REGISTERS = 65_536  # of a multiprocessor; a warp takes them in units of 256 (CUDA C++ Programming Guide)
REGISTER_UNIT = 8  # of one thread: 256 of a warp


@dataclass(frozen=True, slots=True)
class Limits:
    """What a multiprocessor holds at once ("Technical Specifications" of the guide)."""

    warps: int
    blocks: int


LIMITS: Mapping[str, Limits] = {
    "sm_80": Limits(64, 32),
    "sm_86": Limits(48, 16),
    "sm_87": Limits(48, 16),
    "sm_89": Limits(48, 24),
    "sm_90": Limits(64, 32),
    "sm_100": Limits(64, 32),
    "sm_110": Limits(48, 24),
    "sm_120": Limits(48, 24),
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Compile every variant and append to `records/kernel_resources.jsonl`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sm", action="append", choices=SMS, help="only this GPU; may be given several times")
    parser.add_argument("--kernel", action="append", choices=tuple(KERNELS), help="only this kernel; likewise")
    given = parser.parse_args(arguments)
    records: list[Record] = []
    for name in given.kernel or KERNELS:
        for sm in given.sm or SMS:
            entries = [row for defines in KERNELS[name].variants() for row in measure(KERNELS[name], sm, defines)]
            records.append({"kernel": name, "sm": sm, "nvrtc": nvrtc_version(), "entries": entries})
            spilled = sum(row["spill_bytes"] for row in entries)
            print(f"{name} {sm}: {len(entries)} entry points, {spilled} bytes spilled", flush=True)
    print(append_records(RECORD, records))


def measure(kernel: Kernel, sm: str, defines: Mapping[str, int]) -> list[Record]:
    """Compile one variant; one row for each of its entry points."""
    compiled = compile_kernel(kernel, sm, defines)
    launches = known_launches(kernel.name, defines)
    return [
        {"entry": entry, "defines": dict(defines)} | describe(resources, launches.get(entry), sm)
        for entry, resources in compiled.resources.items()
    ]


def describe(resources: Resources, launch: Launch | None, sm: str) -> Record:
    """Resources of an entry point, and what they leave room for where a block's size does not depend on the arrays."""
    dynamic = 0 if launch is None else launch.shared_bytes
    record: Record = {
        "registers": resources.registers,
        "spill_bytes": resources.spill_bytes,
        "shared_bytes": resources.shared_bytes + dynamic,
        "warps": None,
    }
    if launch is not None:
        record["warps"] = warps_at_once(resources.registers, record["shared_bytes"], launch.block[0], sm)
    return record


def warps_at_once(registers: int, shared_bytes: int, threads: int, sm: str) -> int:
    """Warps that one multiprocessor holds of blocks of `threads` threads."""
    limits = LIMITS[sm]
    warps = threads // 32
    rounded = -(-registers // REGISTER_UNIT) * REGISTER_UNIT
    by_registers = REGISTERS // (rounded * threads)
    by_shared = GPUS[sm].shared_bytes // (shared_bytes + RESERVED_SHARED_BYTES)
    return warps * min(by_registers, by_shared, limits.warps // warps, limits.blocks)


def known_launches(kernel: str, defines: Mapping[str, int]) -> dict[str, Launch]:
    """Launches by entry point, where threads and shared memory of a block are the same for all arrays."""
    if kernel == "attention":
        head_dim = defines["HEAD_DIM"]
        return {
            split.entry: Launch(split.entry, (1, 1, 1), (THREADS, 1, 1), split.shared_bytes(head_dim))
            for split in SPLITS
        }
    if kernel == "attention_int8":
        shape = (1, 584, 6, defines["HEAD_DIM"])
        launches = (*plan_attention_int8(*shape), *(launch_split(split, *shape) for split in SPLITS))
        return {launch.entry: launch for launch in launches}
    return {}


def render(records: Sequence[Record]) -> str:
    """Registers of a thread for each GPU, with the warps that a multiprocessor holds where that is fixed; float16."""
    if not records:
        return NOT_MEASURED
    sms = list(dict.fromkeys(record["sm"] for record in records))
    compiled = [(record["sm"], row) for record in records for row in record["entries"]]
    lines: dict[tuple[str, str], dict[str, Record]] = {}
    for sm, row in compiled:
        if not row["defines"].get("ELEMENT_BF16"):
            lines.setdefault((row["entry"], variant(row)), {})[sm] = row
    rows = [
        [f"`{entry}`", what, shared(next(iter(by_sm.values()))), *(cell(by_sm.get(sm)) for sm in sms)]
        for (entry, what), by_sm in lines.items()
    ]
    spilled = sum(row["spill_bytes"] for _, row in compiled)
    note = (
        "\n\n<sub>Registers of a thread · warps that a multiprocessor holds at once, where a block is always of one "
        f"size; float16; {len(compiled)} entry points with those for bfloat16, {spilled} bytes spilled; NVRTC "
        f"{records[0]['nvrtc']}; {records[0]['run'][:10]}; commit {records[0]['commit']}</sub>"
    )
    return table(["entry point", "variant", "shared KiB", *sms], rows) + note


def variant(row: Record) -> str:
    """The macros of an entry point but for the element type."""
    defines = row["defines"]
    if "HEAD_DIM" in defines:
        return f"head_dim {defines['HEAD_DIM']}"
    return "float32 residual" if defines.get("RESIDUAL_FP32") else ""


def shared(row: Record) -> str:
    """Shared memory of a block in KiB."""
    return f"{row['shared_bytes'] / 1024:.1f}"


def cell(row: Record | None) -> str:
    """Registers and warps of one entry point on one GPU."""
    if row is None:
        return "—"
    return str(row["registers"]) + (f" · {row['warps']}" if row["warps"] else "")


if __name__ == "__main__":
    main()
