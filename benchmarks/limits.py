"""Measures what this machine can do at best: rates of large products in every precision, and bandwidth of memory.

Products are those of large matrices and of wide 3x3 convolutions, through the same engines and threads as the models;
the best of them is the limit. Memory is copied, and read twice for each write (triad), by one thread for each core.

    python benchmarks/limits.py            # 20 seconds, appends to records/limits.jsonl
    python benchmarks/limits.py --quick    # small products, no record
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from engine_jobs import STREAM_BYTES, Job
from engine_worker import Worker, WorkerError
from machine_load import LoadReading, load_since
from onnx import TensorProto, helper, numpy_helper
from recording import append_records

from pixio_edge.files import write_bytes_atomic
from pixio_edge.host import probe_host

FOLDER = Path("build/limits")
# Large enough that reading is nothing beside computing; a chain, so that the ends weigh little.
MATMUL_SIDE, CONV_CHANNELS, CONV_SIDE, CHAIN = 2048, 256, 64, 2
QUICK_MATMUL_SIDE, QUICK_CONV_CHANNELS, QUICK_CONV_SIDE = 128, 16, 16
ROUNDS, QUICK_ROUNDS = 7, 2
OPSET = 17
# Bytes of an element in each precision.
ELEMENT_BYTES = {"fp32": 4.0, "bf16": 2.0, "int8": 1.0}


@dataclass(frozen=True)
class LimitCase:
    """One thing that is timed to learn a limit.

    Attributes:
        name: For tables.
        precision: Of a product; "memory" for traffic.
        work: Multiply-adds, or bytes, of one run.
        job: What runs.
    """

    name: str
    precision: str
    work: float
    job: Job


def list_cases(threads: int, folder: Path = FOLDER, *, is_quick: bool = False) -> list[LimitCase]:
    """All cases that this processor can run; writes their graphs."""
    side = QUICK_MATMUL_SIDE if is_quick else MATMUL_SIDE
    channels, image = (QUICK_CONV_CHANNELS, QUICK_CONV_SIDE) if is_quick else (CONV_CHANNELS, CONV_SIDE)
    macs = {"matmul": CHAIN * float(side) ** 3, "conv": CHAIN * 9.0 * (channels * image) ** 2}
    paths = {
        (shape, form): _write(folder, shape, form, side if shape == "matmul" else channels, image)
        for shape in macs
        for form in ("float", "int8")
    }
    forms = {"fp32": ("float", "f32"), "bf16": ("float", "bf16"), "int8": ("int8", "f32")}
    has_bf16 = not probe_host().lacks_bf16
    cases = [
        LimitCase(
            f"{engine} {shape}",
            precision,
            macs[shape],
            Job(engine, str(paths[shape, form]), threads=threads, hint=hint),
        )
        for shape in macs
        for engine in ("openvino", "ort")
        for precision, (form, hint) in forms.items()
        if precision != "bf16" or (engine == "openvino" and has_bf16)
    ]
    stream = min(STREAM_BYTES, 2**22) if is_quick else STREAM_BYTES
    for name, arrays in (("copy", 2), ("triad", 3)):
        settings = {"triad": name == "triad", "bytes": stream}
        cases.append(
            LimitCase(name, "memory", float(arrays * stream), Job("stream", threads=threads, settings=settings))
        )
    return cases


def summarise(cases: list[LimitCase], times_ms: Mapping[str, list[float]]) -> list[dict[str, Any]]:
    """One record for each case that ran: median time, and work in a second at that."""
    records = []
    for case in cases:
        found = times_ms.get(case_key(case))
        if found:
            p50 = statistics.median(found)
            fields = {"what": case.name, "precision": case.precision, "engine": case.job.kind, "p50_ms": p50}
            records.append(fields | {"threads": case.job.threads, "per_s": case.work / (p50 / 1e3), "runs": len(found)})
    return records


def case_key(case: LimitCase) -> str:
    """Name of a case in a run."""
    return f"limit: {case.name} {case.precision}"


def best_rates(records: list[dict[str, Any]]) -> dict[str, float]:
    """By precision, the most multiply-adds in a second that any engine reached; by "memory", bytes in a second."""
    rates: dict[str, float] = {}
    for record in records:
        rates[record["precision"]] = max(record["per_s"], rates.get(record["precision"], 0.0))
    return rates


def measure(cases: list[LimitCase], rounds: int) -> dict[str, list[float]]:
    """Milliseconds of every case, in turn; what does not open is said and left out."""
    workers: dict[str, Worker] = {}
    times: dict[str, list[float]] = {}
    try:
        for case in cases:
            try:
                workers[case_key(case)] = Worker(case.job)
            except WorkerError as error:
                print(f"  {case_key(case)}: {error}")
        for _ in range(rounds):
            for key, worker in workers.items():
                times.setdefault(key, []).extend(worker.run(1, warm=1))
    finally:
        for worker in workers.values():
            worker.close()
    return times


def main() -> None:
    """Measure and append to `records/limits.jsonl`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--quick", action="store_true", help="small products, two rounds, no record")
    parser.add_argument("--dry-run", action="store_true", help="list what would run")
    arguments = parser.parse_args()
    cases = list_cases(arguments.threads, is_quick=arguments.quick)
    if arguments.dry_run:
        print("\n".join(case_key(case) for case in cases))
        return
    before = LoadReading.now()
    times = measure(cases, QUICK_ROUNDS if arguments.quick else ROUNDS)
    load = load_since(before)
    records = [record | load for record in summarise(cases, times)]
    for record in records:
        unit = "GB" if record["precision"] == "memory" else "GMAC"
        print(f"{record['what']:20} {record['precision']:7} {record['per_s'] / 1e9:8.1f} {unit}/s")
    if not arguments.quick:
        append_records("limits", records)


def _write(folder: Path, shape: str, form: str, width: int, image: int) -> Path:
    path = folder / f"{shape}_{form}_{width}.onnx"
    if not path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        write_bytes_atomic(path, product_graph(shape, form, width, image).SerializeToString())
    return path


def product_graph(shape: str, form: str, width: int, image: int) -> onnx.ModelProto:
    """A chain of products, in float or with INT8 between pairs of QuantizeLinear and DequantizeLinear.

    Args:
        shape: "matmul" of (width, width), or "conv": 3x3 with `width` channels.
        form: "float" or "int8".
        width: Side of a matrix, or channels.
        image: Height and width of what is convolved.
    """
    random = np.random.default_rng(0)
    dims = [width, width] if shape == "matmul" else [1, width, image, image]
    weight_dims = (width, width) if shape == "matmul" else (width, width, 3, 3)
    axis = 1 if shape == "matmul" else 0
    nodes, constants = [], []
    value = "x"

    def constant(name: str, array: np.ndarray[Any, Any]) -> str:
        constants.append(numpy_helper.from_array(array, name))
        return name

    for step in range(CHAIN):
        weight = random.integers(-127, 128, weight_dims, np.int8)
        # Keeps the spread of the values: a sum of n products of values around 73 (bytes) and 1.
        scales = np.full(width, 1 / (73.0 * np.sqrt(weight[0].size if shape == "conv" else width)), np.float32)
        if form == "float":
            spread = scales.reshape([-1 if index == axis else 1 for index in range(len(weight_dims))])
            name = constant(f"w{step}", weight.astype(np.float32) * spread)
        else:
            zero = constant(f"wz{step}", np.zeros(width, np.int8))
            inputs = [constant(f"q{step}", weight), constant(f"ws{step}", scales), zero]
            nodes.append(helper.make_node("DequantizeLinear", inputs, [f"w{step}"], axis=axis))
            name = f"w{step}"
            scale = [constant(f"s{step}", np.array(0.03, np.float32)), constant(f"z{step}", np.array(128, np.uint8))]
            nodes.append(helper.make_node("QuantizeLinear", [value, *scale], [f"b{step}"]))
            nodes.append(helper.make_node("DequantizeLinear", [f"b{step}", *scale], [f"v{step}"]))
            value = f"v{step}"
        if shape == "matmul":
            nodes.append(helper.make_node("MatMul", [value, name], [f"y{step}"]))
        else:
            nodes.append(helper.make_node("Conv", [value, name], [f"y{step}"], pads=[1, 1, 1, 1], kernel_shape=[3, 3]))
        value = f"y{step}"
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, dims) for name in ("x", value)]
    graph = helper.make_graph(nodes, "limit", ends[:1], ends[1:], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)


if __name__ == "__main__":
    main()
