"""The tables of kernel speed: each kernel beside the best that torch has, and whole models."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from kernels_journal import last_tries
from table_text import Record, footer, table

NOT_TIMED = "_Not measured yet: `python benchmarks/kernel_speed.py` on an NVIDIA GPU._"
BARE = ", without transposes"
MODEL_CONTENDERS = ("ours", "ours int8 attention", "eager", "compile default", "compile max-autotune")

Group = dict[str, Record]


def render_kernel_speed(records: list[Record]) -> str:
    """Attention, rows, models, and what is missing; the newest run with everything that resumed it."""
    last = last_tries(records)
    measured = [one for one in last if one["status"] == "ok" and one["key"]["part"] not in ("peaks", "compiled")]
    if not measured:
        return NOT_TIMED
    parts = [attention_table(last), rows_table(last), models_table(last)]
    return "\n\n".join(part for part in parts if part) + footer(measured[-1], caption(last))


def attention_table(records: list[Record]) -> str:
    """One row for each shape; times warm and cold in microseconds, of torch the best backend, which is named."""
    groups = grouped(records, "attention", ("dtype", "batch", "tokens", "heads", "head_dim"))
    header = (
        "attention",
        "ours",
        "best SDPA",
        "ours ×",
        "ours × flash",
        "without transposes",
        "int8",
        "int8 × ours",
        "roofline, cold",
    )
    rows = []
    for shape, group in groups.items():
        dtype, batch, tokens, heads, head_dim = shape
        torchs = {name: one for name, one in group.items() if name.startswith("sdpa")}
        best = fastest({name: one for name, one in torchs.items() if not name.endswith(BARE)})
        bare = fastest({name: one for name, one in torchs.items() if name.endswith(BARE)})
        ours, int8 = group.get("ours"), group.get("ours int8")
        rows.append(
            (
                f"{dtype} {batch}x{tokens}, {heads} heads of {head_dim}",
                both(ours),
                named(best),
                ratio(best, ours),
                ratio(group.get("sdpa flash"), ours),
                named(bare),
                both(int8),
                ratio(ours, int8),
                share(ours),
            )
        )
    return table(header, rows) if rows else ""


def rows_table(records: list[Record]) -> str:
    """One row for each kernel and shape; what torch.compile makes of it, and a copy of as many bytes."""
    groups = grouped(records, "rows", ("operator", "dtype", "batch", "tokens", "channels"))
    header = ("rows", "ours", "eager", "torch.compile", "ours ×", "copy", "of its bandwidth", "roofline, cold")
    rows = []
    for shape, group in groups.items():
        operator, dtype, batch, tokens, channels = shape
        ours, copy = group.get("ours"), group.get("copy of as many bytes")
        compiled = group.get("torch.compile")
        rows.append(
            (
                f"{operator} {dtype} {batch}x{tokens}x{channels}",
                both(ours),
                both(group.get("torch eager")),
                both(compiled),
                ratio(compiled, ours),
                both(copy),
                ratio(copy, ours),
                share(ours),
            )
        )
    return table(header, rows) if rows else ""


def models_table(records: list[Record]) -> str:
    """One row for each model and size: GPU time of one graph, and by the wall clock, in milliseconds."""
    groups = grouped(records, "model", ("model", "size", "dtype"))
    header = ("model", "clock", *MODEL_CONTENDERS, "ours × max-autotune")
    rows = []
    for (model, size, dtype), group in groups.items():
        for clock in ("graph", "wall"):
            ours, rival = beside(records, model, size, dtype)
            cells = [time_of(group.get(name), clock, scale=1) for name in MODEL_CONTENDERS]
            rows.append((f"{model} {size}x{size} {dtype}", clock, *cells, quotient(rival, ours, clock)))
    return table(header, rows) if rows else ""


def beside(records: list[Record], *shape: object) -> tuple[Record | None, Record | None]:
    """Ours and max-autotune as they took turns: of other steps, the clock of the GPU may have been another."""
    found: Group = {}
    for one in records:
        key = one["key"]
        if key["part"] != "model" or (key["model"], key["size"], key["dtype"]) != shape:
            continue
        if key["rival"] == "compile max-autotune" and "contender" in one:
            found[one["contender"]] = one
    return found.get("ours"), found.get("compile max-autotune")


def grouped(records: list[Record], part: str, names: tuple[str, ...]) -> dict[tuple[Any, ...], Group]:
    """Records of a part by shape and contender."""
    groups: dict[tuple[Any, ...], Group] = defaultdict(dict)
    for one in records:
        if one["key"]["part"] == part and "contender" in one:
            groups[tuple(one[name] for name in names)][one["contender"]] = one
    return groups


def fastest(group: Group) -> Record | None:
    """The one with the shortest cold time; of those that ran."""
    ran = [one for one in group.values() if one["status"] == "ok" and "cold" in one]
    return min(ran, key=lambda one: float(one["cold"]["median_ms"]), default=None)


def both(record: Record | None) -> str:
    """Warm and cold time in microseconds, or why there is none."""
    if record is not None and record["status"] != "ok":
        return str(record["status"])
    return f"{time_of(record, 'warm')} / {time_of(record, 'cold')}"


def named(record: Record | None) -> str:
    """The same with the name of the backend."""
    if record is None:
        return "none"
    return f"{record['contender'].removeprefix('sdpa ').removesuffix(BARE)} {both(record)}"


def time_of(record: Record | None, mode: str, *, scale: float = 1e3) -> str:
    """One time; a dash where there is none."""
    if record is None or mode not in record:
        return "–" if record is None or record["status"] == "ok" else str(record["status"])
    return f"{scale * record[mode]['median_ms']:.{1 if scale > 1 else 3}f}"


def ratio(slower: Record | None, faster: Record | None) -> str:
    """How many times as fast the second is, warm and cold."""
    return f"{quotient(slower, faster, 'warm')} / {quotient(slower, faster, 'cold')}"


def quotient(slower: Record | None, faster: Record | None, mode: str) -> str:
    """How many times as fast the second is."""
    if slower is None or faster is None or mode not in slower or mode not in faster:
        return "–"
    return f"{slower[mode]['median_ms'] / faster[mode]['median_ms']:.2f}"


def share(record: Record | None) -> str:
    """Share of the roofline, cold, and which limit that is; a star where it is above 1, which the caption explains."""
    if record is None or "cold" not in record:
        return "–"
    cold = record["cold"]
    return f"{cold['roofline']:.0%} of {cold['limit']}{'*' if 'above_1' in cold else ''}"


def caption(records: list[Record]) -> str:
    """GPU, clocks, versions, and what has no number."""
    environment = next(one["environment"] for one in reversed(records))
    facts = [f"{environment['gpu']} ({environment['sm']}), torch {environment['torch']}, NVRTC {environment['nvrtc']}"]
    smi = environment.get("smi") or {}
    if "driver_version" in smi:
        facts.append(f"driver {smi['driver_version']}")
    facts.append("warm / cold second-level cache in µs, models in ms; × is how many times as fast")
    above = {one["cold"]["limit"]: one["cold"]["above_1"] for one in records if "above_1" in one.get("cold", {})}
    facts += [f"* above the measured peak of {limit}: {why}" for limit, why in above.items()]
    spilled = [one for one in records if one["key"]["part"] == "compiled" and one.get("spill_bytes")]
    facts += [f"{one['kernel']} spills {one['spill_bytes']} bytes here" for one in spilled]
    without = {status: sum(one["status"] == status for one in records) for status in ("skipped", "failed", "wrong")}
    facts += [f"{number} {status}" for status, number in without.items() if number]
    return "; ".join(facts)
