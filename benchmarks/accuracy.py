"""Measures the accuracy of a bundle on a folder of RGB-D sets, beside the row-index floor."""

from __future__ import annotations

import argparse
from pathlib import Path

from recording import append_records

from pixio_edge import DepthEstimator
from pixio_edge.evaluation.datasets import open_datasets
from pixio_edge.evaluation.protocol import evaluate


def main() -> None:
    """Evaluate and append to `records/accuracy.jsonl`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="folder of sets, as for `pixio-edge evaluate --data`")
    parser.add_argument("--bundle", default="nano")
    parser.add_argument("--runtime", default="ort")
    arguments = parser.parse_args()
    with DepthEstimator.open(arguments.bundle, runtime=arguments.runtime) as estimator:
        report = evaluate(lambda rgb: estimator.predict(rgb).inverse(), open_datasets(arguments.data))
        source = f"{arguments.runtime}, sizes {', '.join('x'.join(map(str, size)) for size in estimator.sizes)}"
        made = estimator.bundle.manifest.model.created
    for row in report.to_table():
        print("  ".join(cell.ljust(24 if index == 0 else 8) for index, cell in enumerate(row)))
    append_records("accuracy", [{"bundle": arguments.bundle, "made": made, "source": source} | report.to_json()])


if __name__ == "__main__":
    main()
