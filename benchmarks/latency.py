"""Measures one input size of a bundle on every runtime of this host, torch eager included, in one run."""

from __future__ import annotations

import argparse
from dataclasses import replace

from recording import append_records

from pixio_edge import Bundle
from pixio_edge.bench.isolated import bench_isolated
from pixio_edge.bench.plan import list_plans
from pixio_edge.cli.options import parse_size


def main() -> None:
    """Measure and append to `records/latency.jsonl`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundle", default="nano")
    parser.add_argument("--size", default="256x256")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    size = parse_size(arguments.size) or (256, 256)
    bundle = Bundle.open(arguments.bundle)
    plans = list_plans(bundle, arguments.bundle, size=size)
    records = [bench_isolated(replace(plan, threads=arguments.threads)).to_json() for plan in plans]
    for record in records:
        print(record["runtime"], record["precision"], record["p50_ms"], record["status"])
    append_records("latency", records)


if __name__ == "__main__":
    main()
