"""Time of every node of a graph, by the profilers of the engines themselves."""

from __future__ import annotations

import json
import statistics
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

from engine_jobs import Job, openvino_feeds, openvino_model, ort_feeds, ort_session
from graph_cost import REST, stage_of

KERNEL_SUFFIX = "_kernel_time"
WARM_RUNS = 3
# Products with weights that OpenVINO's INT8 rewrites leave without any name of the graph: in our models one of those of
# each block, as all other matrix products with weights keep theirs.
NAMELESS_TYPE, NAMELESS_STAGE = "FullyConnected", "encoder.blocks"


def profile_job(job: Job, runs: int) -> dict[str, float]:
    """Milliseconds by the name of the node, median of some runs; nodes that an engine fused have the name it kept.

    Raises:
        ValueError: The job is not a graph in an engine that has a profiler.
    """
    profilers = {"ort": _profile_ort, "openvino": _profile_openvino}
    if job.kind not in profilers:
        raise ValueError(f"no profiler for jobs of kind {job.kind!r}")
    return profilers[job.kind](job, runs)


def _profile_ort(job: Job, runs: int) -> dict[str, float]:
    times: dict[str, list[float]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as folder:
        session = ort_session(job, profile_prefix=str(Path(folder) / "profile"))
        feeds = ort_feeds(session)
        for _ in range(WARM_RUNS + runs):
            session.run(None, feeds)
        events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith(KERNEL_SUFFIX):
            times[event["name"].removesuffix(KERNEL_SUFFIX)].append(event["dur"] / 1e3)
    return {name: statistics.median(values[-runs:]) for name, values in times.items()}


def _profile_openvino(job: Job, runs: int) -> dict[str, float]:
    compiled = openvino_model(job, counts_time=True)
    feeds = openvino_feeds(compiled)
    request = compiled.create_infer_request()
    names = _original_names(compiled)
    times: dict[str, list[float]] = defaultdict(list)
    for index in range(WARM_RUNS + runs):
        request.infer(feeds, share_inputs=True)
        if index >= WARM_RUNS:
            for node in request.profiling_info:
                times[names.get(node.node_name, node.node_name)].append(node.real_time.total_seconds() * 1e3)
    return {name: statistics.median(values) for name, values in times.items() if any(values)}


def _original_names(compiled: Any) -> dict[str, str]:
    """By the name of an executed node, a name of the graph that says its stage, then its own."""
    names = {}
    for node in compiled.get_runtime_model().get_ordered_ops():
        own, facts = node.get_friendly_name(), node.get_rt_info()
        originals = facts["originalLayersNames"].astype(str).split(",")
        known = next((name for name in (own, *originals) if stage_of(name) != REST), "")
        if not known and facts["layerType"].astype(str) == NAMELESS_TYPE:
            known = NAMELESS_STAGE
        names[own] = f"{known} as {own}" if known not in ("", own) else own
    return names
