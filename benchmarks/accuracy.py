"""Measures the accuracy of a bundle on a folder of RGB-D sets, beside the row-index floor."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from recording import append_records

from pixio_edge import DepthEstimator
from pixio_edge.errors import RuntimeUnavailableError
from pixio_edge.evaluation.datasets import open_datasets
from pixio_edge.evaluation.protocol import evaluate
from pixio_edge.manifest import Precision

# The reference, then what runs by default where each runtime is installed.
RUNS: tuple[tuple[str, Precision], ...] = (("ort", "fp32"), ("openvino", "int8"), ("ort", "int8"))


def main() -> None:
    """Evaluate every runtime that works here and append to `records/accuracy.jsonl`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="folder of sets, as for `pixio-edge evaluate --data`")
    parser.add_argument("--bundle", default="nano")
    arguments = parser.parse_args()
    records = []
    for runtime, precision in RUNS:
        print(f"{runtime} {precision}")
        try:
            records.append(measure(arguments.bundle, runtime, precision, arguments.data))
        except RuntimeUnavailableError as error:
            print(f"  left out: {error}")
    append_records("accuracy", records)


def measure(bundle: str, runtime: str, precision: Precision, data: Path) -> dict[str, Any]:
    """Evaluate one runtime on all sets."""
    with DepthEstimator.open(bundle, runtime=runtime, precision=precision) as estimator:
        report = evaluate(lambda rgb: estimator.predict(rgb).inverse(), open_datasets(data))
        source = f"sizes {', '.join('x'.join(map(str, size)) for size in estimator.sizes)}"
        made = estimator.bundle.manifest.model.created
    for row in report.to_table():
        print("  ".join(cell.ljust(24 if index == 0 else 8) for index, cell in enumerate(row)))
    facts = {"bundle": bundle, "runtime": runtime, "precision": precision, "made": made, "source": source}
    return facts | report.to_json()


if __name__ == "__main__":
    main()
