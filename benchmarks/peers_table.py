"""Tables of `peers.py`: whole pipelines, models alone, and what they say about each other."""

from __future__ import annotations

from collections.abc import Sequence

from machine_load import load_note
from pages import plot_link
from table_text import NOT_MEASURED, UNSTEADY_NOTE, Record, footer, is_unsteady, score, size_of, steady_ms, table, tenth

OURS = ("nano", "small")
PIPELINE = "image to depth"
MODELS_HEADER = (
    "model",
    "input",
    "M parameters",
    "GMAC",
    "engine",
    "precision",
    "best setting",
    "p50 ms",
    "of the limit",
    "load ms",
    "peak RSS MiB",
    "weights",
    "δ1",
)


def render_peers(records: list[Record]) -> str:
    """Pipelines, then models with the fastest setting of each engine and precision, then ratios in words."""
    if not records:
        return NOT_MEASURED
    measured = fastest([record for record in records if record["status"] == "ok"])
    pipelines = [record for record in measured if record["scope"] == PIPELINE]
    models = [record for record in measured if record["scope"] != PIPELINE]
    parts = [f"From an image of {_frame(pipelines)} to depth of its size:", table(*_pipeline_rows(pipelines))]
    parts += ["The models alone, in the fastest engine of each precision:", table(*_short_rows(models))]
    sentences = ratios(pipelines, models)
    parts += ["\n".join(f"- {sentence}" for sentence in sentences)] if sentences else []
    parts += [plot_link("peers", "latency of every model and input size")]
    whole = table(MODELS_HEADER, [_model_row(record) for record in models])
    parts += [f"<details><summary>Every engine and precision</summary>\n\n{whole}\n\n</details>"]
    parts += [UNSTEADY_NOTE] if any(map(is_unsteady, measured)) else []
    parts += [_absent(records)]
    return "\n\n".join(part for part in parts if part) + footer((measured or records)[-1], _caption(measured))


def _short_rows(models: Sequence[Record]) -> tuple[Sequence[str], list[list[object]]]:
    """One row for each model and input: its fastest time in each precision, and of the fastest of all what it needs."""
    header = ("model", "input", "GMAC", "fp32 ms", "bf16 ms", "int8 ms", "fastest in", "of the limit", "peak RSS MiB")
    rows: list[list[object]] = []
    for system, size in dict.fromkeys((record["system"], tuple(record["size"])) for record in models):
        same = [record for record in models if (record["system"], tuple(record["size"])) == (system, size)]
        cells = []
        for precision in ("fp32", "bf16", "int8"):
            best = _least([record for record in same if record["precision"] == precision])
            cells.append("–" if best is None else steady_ms(best))
        first = min(same, key=lambda record: record["p50_ms"])
        row = [system, size_of(first), tenth(first.get("gmac")), *cells, f"{first['engine']} {first['precision']}"]
        rows.append([*row, limit_cell(first), tenth(first["peak_rss_mib"])])
    return header, rows


def fastest(records: Sequence[Record]) -> list[Record]:
    """Of several settings of one model, input, engine and precision, the one with the lowest median."""
    best: dict[tuple[object, ...], Record] = {}
    for record in records:
        key = (record["system"], tuple(record["size"]), record["engine"], record["precision"], record["scope"])
        if key not in best or record["p50_ms"] < best[key]["p50_ms"]:
            best[key] = record
    return list(best.values())


def ratios(pipelines: Sequence[Record], models: Sequence[Record]) -> list[str]:
    """What the rows say about each other, in words; nothing about a row that is not there."""
    sentences = []
    default = _find(pipelines, engine="transformers pipeline", precision="fp32")
    best_default = _least([record for record in pipelines if record["system"] not in OURS])
    for name in OURS:
        ours = _least([record for record in pipelines if record["system"] == name])
        if default and ours and best_default:
            sentences.append(
                f"From image to depth, each at its own input ({size_of(ours)} and {size_of(default)}), {name} "
                f"{ours['precision']} in {ours['engine']} is {_times(default, ours)} as fast as the pipeline of "
                f"transformers by default, and {_times(best_default, ours)} as fast as its best setting "
                f"({best_default['precision']})."
            )
    sentences += _against_yolo(models)
    large = _least([record for record in models if record["system"] == "small" and record["size"] == [512, 512]])
    plain = _find(models, system="depth-anything-v2-small", engine="ONNX Runtime", precision="fp32")
    same = _find(models, system="depth-anything-v2-small", engine="OpenVINO", precision="int8")
    if large and plain and same:
        sentences.append(
            f"At about the same input and with the same encoder width, small ({large['precision']} at 512x512) is "
            f"{_times(plain, large)} as fast as Depth Anything V2 Small in ONNX Runtime fp32 at 518x518, and "
            f"{_times(same, large)} as fast as its NNCF INT8 in OpenVINO."
        )
    return sentences


def _against_yolo(models: Sequence[Record]) -> list[str]:
    sentences = []
    defaults = (("nano", [256, 256]), ("yolo26n-depth", [768, 768]))
    ours, theirs = (_least([r for r in models if (r["system"], r["size"]) == wanted]) for wanted in defaults)
    if ours and theirs:
        sentences.append(
            f"Each at its own default input, nano takes {ours['p50_ms']:.1f} ms at 256x256 and YOLO26n-depth "
            f"{theirs['p50_ms']:.1f} ms at 768x768, which is 9 times the pixels."
        )
    for size in ([256, 256], [640, 640], [768, 768]):
        for engine, precision in (("OpenVINO", "int8"), ("ONNX Runtime", "fp32")):
            chosen = {"size": size, "engine": engine, "precision": precision}
            ours, theirs = _find(models, system="nano", **chosen), _find(models, system="yolo26n-depth", **chosen)
            if ours and theirs:
                ratio = theirs["p50_ms"] / ours["p50_ms"]
                sentences.append(
                    f"At {size[0]}x{size[1]} in {engine} {precision}, nano takes {ours['p50_ms']:.1f} ms and "
                    f"YOLO26n-depth {theirs['p50_ms']:.1f} ms: nano is "
                    f"{f'{ratio:.2f}x as fast' if ratio >= 1 else f'{1 / ratio:.2f}x **slower**'}."
                    f"{_fastest_runs(ours, theirs)}"
                )
    return sentences


def _fastest_runs(ours: Record, theirs: Record) -> str:
    """Both again by what nothing disturbed, where medians are not steady."""
    if not is_unsteady(ours) and not is_unsteady(theirs):
        return ""
    return f" By the fastest run of each: {ours['min_ms']:.1f} and {theirs['min_ms']:.1f} ms."


def _find(records: Sequence[Record], **wanted: object) -> Record | None:
    return next((record for record in records if all(record[name] == value for name, value in wanted.items())), None)


def _least(records: Sequence[Record]) -> Record | None:
    return min(records, key=lambda record: record["p50_ms"], default=None)


def _times(slow: Record, fast: Record) -> str:
    return f"{slow['p50_ms'] / fast['p50_ms']:.1f}x"


def _pipeline_rows(records: Sequence[Record]) -> tuple[Sequence[str], list[list[object]]]:
    header = ("model", "input of the model", "engine", "precision", "p50 ms", "peak RSS MiB", "weights")
    rows = [
        [
            record["system"],
            size_of(record),
            record["engine"],
            record["precision"],
            steady_ms(record),
            tenth(record["peak_rss_mib"]),
            record["weights"],
        ]
        for record in records
    ]
    return header, rows


def _model_row(record: Record) -> list[object]:
    accuracy, parameters = record.get("accuracy"), record.get("parameters")
    return [
        record["system"],
        size_of(record),
        "–" if parameters is None else tenth(parameters / 1e6),
        tenth(record.get("gmac")),
        record["engine"],
        record["precision"],
        record["setting"],
        steady_ms(record),
        limit_cell(record),
        tenth(record["load_ms"]),
        tenth(record["peak_rss_mib"]),
        record["weights"],
        score(accuracy["delta1"]) if accuracy else "–",
    ]


def limit_cell(record: Record) -> str:
    """Share of the machine's best rate that a time comes to: of arithmetic, or of memory where that allows less."""
    compute, memory = record.get("compute_ms"), record.get("memory_ms")
    if compute is None or memory is None:
        return "–"
    return f"{max(compute, memory) / record['p50_ms']:.0%} ({'arithmetic' if compute >= memory else 'memory'})"


def _absent(records: Sequence[Record]) -> str:
    missing: dict[str, list[str]] = {}
    for record in records:
        if record["status"] != "ok":
            missing.setdefault(record["reason"], []).append(record["system"])
    lines = [f"- {', '.join(dict.fromkeys(systems))}: {reason}." for reason, systems in missing.items()]
    return "Not measured:\n\n" + "\n".join(lines) if lines else ""


def _frame(pipelines: Sequence[Record]) -> str:
    theirs = [record for record in pipelines if record["system"] not in OURS]
    return size_of(theirs[0]) if theirs else "518x518"


def _caption(records: Sequence[Record]) -> str:
    if not records:
        return "nothing was measured"
    versions = {f"ultralytics {record['ultralytics']}" for record in records if "ultralytics" in record}
    versions |= {f"{name} {version}" for name, version in records[0].get("versions", {}).items()}
    known = f"; {', '.join(sorted(versions))}" if versions else ""
    return f"{load_note(records[0])}{records[0]['threads']} threads, in turns, p50; random weights where said{known}"
