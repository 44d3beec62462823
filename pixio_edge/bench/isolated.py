"""Each measurement in a fresh process, so that load time, memory and thread pools are its own."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from pixio_edge.bench.measure import bench, failed_record
from pixio_edge.bench.plan import BenchPlan
from pixio_edge.bench.record import BenchRecord
from pixio_edge.bundle import Bundle

# On top of the two timed loops: loading, warm-up and profiling on a slow device.
EXTRA_TIMEOUT_S = 300.0


def bench_isolated(plan: BenchPlan) -> BenchRecord:
    """Measure in a process of its own, after the files were found to be what the manifest says.

    Returns:
        A record; when the process died or did not end, its `status` says so.

    Raises:
        BundleError: The bundle or the artifact of the plan does not exist or is damaged.
    """
    _check_files(plan)
    command = [sys.executable, "-m", "pixio_edge.bench.isolated"]
    try:
        result = subprocess.run(
            command,
            input=json.dumps(plan.to_json()),
            capture_output=True,
            text=True,
            check=False,
            timeout=2 * plan.budget_s + EXTRA_TIMEOUT_S,
        )
    except subprocess.TimeoutExpired as error:
        return failed_record(plan, f"the process did not end within {error.timeout:.0f} s")
    if result.returncode != 0:
        lines = result.stderr.strip().splitlines()
        reason = lines[-1] if lines else "it said nothing"
        return failed_record(plan, f"the process ended with {result.returncode}: {reason}")
    content: dict[str, Any] = json.loads(result.stdout.splitlines()[-1])
    return BenchRecord.from_json(content)


def _check_files(plan: BenchPlan) -> None:
    """Here and not in the process, whose exception would come back as text: damage is no property of a runtime."""
    bundle = Bundle.open(plan.bundle)
    artifact = bundle.artifact(plan.artifact)
    bundle.read_artifact(artifact)
    if artifact.golden is not None:
        bundle.read_golden(artifact)


def _main() -> None:
    """The process: a plan on standard input, a record as the last line of standard output."""
    record = bench(BenchPlan.from_json(json.loads(sys.stdin.read())))
    sys.stdout.write(f"\n{json.dumps(record.to_json())}\n")


if __name__ == "__main__":
    _main()
