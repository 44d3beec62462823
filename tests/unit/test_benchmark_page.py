"""docs/benchmarks.md says what the records say: who is faster, what bounds what, and what was not measured."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("psutil", reason="psutil, of the developer tools, is not installed")
ROOT = Path(__file__).parents[2]
HOST = {"cpu": "test cpu", "usable_cores": 2, "logical_cores": 4, "os": "Linux", "packages": {"onnxruntime": "1.0"}}
COMMON = {"run": "2026-01-01T00:00:00Z", "host": HOST, "commit": "abc", "loaded": False, "others_cpu_share": 0.0}

Load = Callable[[str], Any]
Record = dict[str, Any]


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Load:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return importlib.import_module


def peer(system: str, side: int, engine: str, precision: str, p50_ms: float, **changes: Any) -> Record:
    record = {
        "system": system,
        "size": [side, side],
        "engine": engine,
        "precision": precision,
        "setting": "default",
        "scope": "model",
        "weights": "random",
        "threads": 2,
        "status": "ok",
        "reason": None,
        "p50_ms": p50_ms,
        "load_ms": 10.0,
        "peak_rss_mib": 100.0,
        "min_ms": p50_ms,
        "compute_ms": p50_ms / 4,
        "memory_ms": p50_ms / 10,
    }
    return COMMON | record | changes


@pytest.fixture
def peers() -> list[Record]:
    accuracy = {"delta1": 0.625, "abs_rel": 0.2, "source": "accuracy 2026"}
    return [
        peer("depth-anything-v2-small", 518, "transformers pipeline", "fp32", 1000.0, scope="image to depth"),
        peer("depth-anything-v2-small", 518, "transformers pipeline", "bf16", 800.0, scope="image to depth"),
        peer("depth-anything-v2-small", 518, "ONNX Runtime", "fp32", 900.0),
        peer("depth-anything-v2-small", 518, "OpenVINO", "int8", 500.0, setting="NNCF, rest fp32"),
        peer("depth-anything-v2-small", 518, "OpenVINO", "int8", 450.0, setting="NNCF, rest bf16"),
        peer("yolo26n-depth", 256, "OpenVINO", "int8", 6.0, ultralytics="8.4"),
        peer("yolo26n-depth", 768, "OpenVINO", "int8", 40.0),
        peer("nano", 256, "OpenVINO", "int8", 4.0, weights="trained", accuracy=accuracy),
        peer("nano", 768, "OpenVINO", "int8", 80.0),
        peer("nano", 256, "OpenVINO", "int8", 5.0, scope="image to depth"),
        peer("small", 512, "OpenVINO", "int8", 45.0, memory_ms=30.0),
        peer("small", 256, "torch eager", "fp32", 0.0, status="failed", reason="it died (exit status 1)"),
        COMMON | {"system": "other", "status": "unavailable", "reason": "it downloads"},
    ]


def test_peers_page_shows_the_fastest_setting_and_says_which(load: Load, peers: list[Record]) -> None:
    block = load("peers_table").render_peers(peers)

    assert "| OpenVINO | int8 | NNCF, rest bf16 | 450.0 |" in block
    assert "NNCF, rest fp32" not in block
    assert "test cpu" in block
    assert "ultralytics 8.4" in block


def test_peers_page_says_how_many_times_as_fast_and_also_where_ours_is_slower(load: Load, peers: list[Record]) -> None:
    block = load("peers_table").render_peers(peers)

    assert "nano int8 in OpenVINO is 200.0x as fast as the pipeline of transformers by default, and 160.0x" in block
    assert "nano takes 4.0 ms at 256x256 and YOLO26n-depth 40.0 ms at 768x768, which is 9 times the pixels." in block
    assert "each at its own input (256x256 and 518x518)" in block
    assert "At 256x256 in OpenVINO int8, nano takes 4.0 ms and YOLO26n-depth 6.0 ms: nano is 1.50x as fast." in block
    assert (
        "At 768x768 in OpenVINO int8, nano takes 80.0 ms and YOLO26n-depth 40.0 ms: nano is 2.00x **slower**." in block
    )
    assert "20.0x as fast as Depth Anything V2 Small in ONNX Runtime fp32 at 518x518, and 10.0x" in block


def test_peers_page_lists_what_was_not_measured_with_its_reason(load: Load, peers: list[Record]) -> None:
    block = load("peers_table").render_peers(peers)

    assert "- small: it died (exit status 1)." in block
    assert "- other: it downloads." in block


def test_share_of_the_limit_names_what_limits(load: Load, peers: list[Record]) -> None:
    block = load("peers_table").render_peers(peers)

    assert "| 25% (arithmetic) |" in block
    assert "| 67% (memory) |" in block
    assert "| trained | 0.625 |" in block


def test_table_of_a_loaded_machine_says_so(load: Load, peers: list[Record]) -> None:
    loaded = [record | {"loaded": True, "others_cpu_share": 0.5} for record in peers]

    assert "**loaded machine: other processes used 50% of it" in load("peers_table").render_peers(loaded)
    assert "loaded" not in load("peers_table").render_peers(peers)


def test_page_of_nothing_says_that_nothing_was_measured(load: Load) -> None:
    tables = load("tables")

    rendered = {render([]) for render in tables.PAGES["docs/benchmarks.md"].values()}

    assert rendered == {tables.NOT_MEASURED}


def test_median_far_above_the_fastest_run_is_marked_and_compared_by_both(load: Load, peers: list[Record]) -> None:
    changed = [
        record | {"times_ms": [4.0, record["p50_ms"]], "min_ms": 4.0} if record.get("p50_ms") == 6.0 else record
        for record in peers
    ]

    block = load("peers_table").render_peers(changed)

    assert "| ~6.0 |" in block
    assert "nano is 1.50x as fast. By the fastest run of each: 4.0 and 4.0 ms." in block
    assert "A tilde marks" in block
    assert "A tilde marks" not in load("peers_table").render_peers(peers)


def test_process_that_died_in_a_later_round_failed(load: Load, tmp_path: Path) -> None:
    peers, interleave = load("peers"), load("interleave")
    contender = next(item for item in load("peers_contenders").list_contenders(tmp_path, 2) if item.system != "nano")

    record = peers.make_record(contender, interleave.Outcome([5.0, 6.0], 1.0, None, "it died"), None, {})

    assert (record["status"], record["reason"]) == ("failed", "after 2 runs: it died")
    assert peers.make_record(contender, interleave.Outcome([5.0]), None, {})["status"] == "ok"


def test_attention_of_an_int8_graph_is_held_against_the_rate_of_its_float_type(load: Load) -> None:
    """Of a rate that it cannot reach, it would seem to be bound by nothing."""
    module = load("scaling_table")
    rates = {"limits_per_s": {"int8": 400.0, "bf16": 200.0, "fp32": 100.0}}
    record = stage("attention", 10.0, 4.0, 1.0) | rates

    adapted = module.in_its_precision(record)

    assert (adapted["compute_ms"], adapted["memory_ms"]) == (8.0, 2.0)
    assert "in bf16) is bound by arithmetic: 80% of the best rate" in module.explain_stage(adapted)
    assert module.in_its_precision(record | {"engine": "ort"})["compute_ms"] == 16.0
    head = stage("head", 10.0, 4.0, 1.0) | rates
    assert module.in_its_precision(head) == head


def scaling_record(tokens: int, p50_ms: float, **changes: Any) -> Record:
    side = int(tokens**0.5) * 16
    record = {
        "preset": "nano",
        "size": [side, side],
        "tokens": tokens,
        "engine": "openvino",
        "precision": "int8",
        "threads": 2,
        "in_flight": 1,
        "status": "ok",
        "p50_ms": p50_ms,
        "throughput_fps": 1e3 / p50_ms,
        "peak_rss_mib": 120.0,
        "gmac": tokens / 100,
        "compute_ms": p50_ms / 2,
        "memory_ms": p50_ms / 8,
    }
    return COMMON | record | changes


def stage(name: str, profiled: float, compute: float, memory: float) -> Record:
    fields = {"stage": name, "profiled_ms": profiled, "share": 0.5, "compute_ms": compute, "memory_ms": memory}
    return scaling_record(256, 1.0) | fields


@pytest.fixture
def scaling() -> list[Record]:
    sizes = [scaling_record(64, 2.0), scaling_record(256, 4.0), scaling_record(1024, 16.0), scaling_record(4096, 128.0)]
    threads = [scaling_record(256, 6.0, threads=1)]
    flights = [scaling_record(256, 8.0, in_flight=2, throughput_fps=250.0)]
    stages = [
        stage("attention", 10.0, 2.0, 1.0),
        stage("linear layers of the encoder", 10.0, 8.0, 1.0),
        stage("head", 10.0, 2.0, 7.0),
        stage("rest", 10.0, 0.0, 0.0),
    ]
    return [*sizes, *threads, *flights, *stages]


def test_scaling_page_has_a_row_for_each_size_thread_count_and_load(load: Load, scaling: list[Record]) -> None:
    block = load("scaling_table").render_scaling(scaling)

    assert "| 256x256 | 256 | 2.56 | 4.0 (50%) | 120 |" in block
    assert "| openvino int8 | 256 | 6.0 | 4.0 | 1.50x |" in block
    assert "| openvino int8 | 256 | 250.0 | 250.0 |" in block


def test_scaling_page_says_how_latency_grows_at_both_ends(load: Load, scaling: list[Record]) -> None:
    block = load("scaling_table").render_scaling(scaling)

    assert "with the 0.50th power of the number of tokens from 64 to 256" in block
    assert "with the 1.50th from 1024 to 4096; fixed costs weigh" in block
    assert "attention, which is quadratic, shows" in block


@pytest.mark.parametrize(
    ("index", "sentence"),
    [
        (0, "is bound by neither rate (20% of the arithmetic, 10% of the memory)"),
        (1, "is bound by arithmetic: 80% of the best rate"),
        (2, "is bound by memory: 70% of the bandwidth, 20% of the best arithmetic rate"),
        (3, "has no products"),
    ],
)
def test_stage_is_explained_by_the_rate_that_it_comes_near(
    load: Load, scaling: list[Record], index: int, sentence: str
) -> None:
    stages = [record for record in scaling if "stage" in record]

    assert sentence in load("scaling_table").explain_stage(stages[index])


def soak_record(**changes: Any) -> Record:
    record = {
        "model": "nano",
        "phase": "threads",
        "callers": 8,
        "runtime": "openvino",
        "precision": "int8",
        "threads": 2,
        "concurrency": 1,
        "phase_minutes": 30.0,
        "frames": 12345,
        "fps": 50.0,
        "wrong": 0,
        "errors": [],
        "p50_ms": 10.0,
        "p99_ms": 20.0,
        "growth_mib": 0.25,
        "allocated_growth_mib": 0.01,
        "rss_loaded_mib": 140.0,
        "rss_half_mib": 149.0,
        "rss_mib": 150.0,
        "memory": [[second, 140.0 + min(second, 10.0)] for second in range(40)],
    }
    return COMMON | record | changes


def test_soak_page_says_that_all_was_right_only_if_it_was(load: Load) -> None:
    render = load("soak_table").render_soak

    good = render([soak_record()])
    bad = render([soak_record(wrong=3, growth_mib=9.0, errors=["E: x"])])

    assert "| 8 threads share one estimator | 12,345 | 50.0 | 0 | 10.0 | 20.0 | 140.0, 149.0, 150.0 |" in good
    assert "| 140.0, 149.0, 150.0 | +0.25 MiB | +0.01 MiB |" in good
    assert "Every output had the bits of the single-thread result, over 12,345 frames; no error." in good
    assert "Growth of resident memory: at most +0.25 MiB in 30 minutes, within the limit of 2 MiB." in good
    assert "**3 outputs did not have the bits**" in bad
    assert "**errors: E: x**" in bad
    assert "resident memory: at most +9.00 MiB in 30 minutes, **above** the limit of 2 MiB" in bad


def test_soak_page_never_passes_what_was_not_judged(load: Load) -> None:
    render = load("soak_table").render_soak

    assert "resident memory was **not judged** in 1 of 2 phases" in render(
        [soak_record(), soak_record(growth_mib=None)]
    )
    unknown = render([soak_record(allocated_growth_mib=None)])
    assert "bytes given out by malloc was **not judged** in 1 of 1" in unknown


def test_older_record_of_a_soak_is_judged_by_its_second_half(load: Load) -> None:
    older = soak_record(minutes=30.0, memory=[[second, 100.0 + 0.01 * second] for second in range(0, 900, 9)])
    for name in ("phase_minutes", "rss_loaded_mib", "rss_half_mib"):
        del older[name]

    block = load("soak_table").render_soak([older])

    assert "| 100.0, 104.5, 150.0 | +18.00 MiB | not judged |" in block
    assert "15 minutes each" in block


def test_pictures_are_the_same_each_time_and_linked_when_they_are_there(
    load: Load, peers: list[Record], scaling: list[Record], tmp_path: Path
) -> None:
    pytest.importorskip("matplotlib", reason="the extra 'report' is not installed")
    for kind, found in (("peers", peers), ("scaling", scaling), ("soak", [soak_record()])):
        (tmp_path / f"{kind}.jsonl").write_text("\n".join(map(json.dumps, found)))
    plots, pages = load("plots"), load("pages")

    first = [path.read_text() for path in plots.draw_all(tmp_path, tmp_path / "one")]
    second = [path.read_text() for path in plots.draw_all(tmp_path, tmp_path / "two")]

    assert first == second
    assert len(first) == 3
    assert all(text.lstrip().startswith("<?xml") and "yolo" in first[0] for text in first)
    assert pages.plot_link("soak", "text", tmp_path / "one") == "![text](benchmarks/soak.svg)"
    assert pages.plot_link("absent", "text", tmp_path / "one") == ""


def test_contenders_have_names_of_their_own_and_peers_get_every_float_type(
    load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = load("peers_contenders")
    monkeypatch.setattr(module, "hints", lambda: ("f32", "bf16"))

    found = module.list_contenders(Path("folder"), 2)

    assert len({item.name for item in found}) == len(found)
    yolo = {(item.engine, item.precision, item.job.hint) for item in found if item.system == "yolo26n-depth"}
    assert {("OpenVINO", "int8", "f32"), ("OpenVINO", "int8", "bf16"), ("ONNX Runtime", "fp32", "f32")} <= yolo
    assert ("ONNX Runtime", "int8", "f32") in yolo
    trained = {item.system for item in found if item.weights == "trained"}
    assert trained == {"nano"}
    assert all(Path(item.job.path).is_file() for item in found if item.weights == "trained")


def test_contender_that_was_not_prepared_or_failed_is_a_record_with_a_reason(load: Load) -> None:
    module, contenders = load("peers"), load("peers_contenders").list_contenders(Path("absent"), 2)
    outcome = load("interleave").Outcome
    rates = {"fp32": 1e9, "bf16": 2e9, "int8": 4e9, "memory": 1e9}
    cost = load("graph_cost").Cost(macs=10**9, weights=10**6, activations=10**6)
    fp32 = next(item for item in contenders if item.precision == "fp32")

    absent = module.make_record(fp32, None, None, rates)
    failed = module.make_record(fp32, outcome(error="it died"), None, rates)
    measured = module.make_record(fp32, outcome(times_ms=[3.0, 1.0, 2.0], load_ms=5.0), cost, rates)

    assert (absent["status"], "--prepare" in absent["reason"]) == ("unavailable", True)
    assert (failed["status"], failed["reason"]) == ("failed", "it died")
    assert (measured["p50_ms"], measured["min_ms"], measured["compute_ms"], measured["memory_ms"]) == (2, 1, 1e3, 8)


def test_environment_of_ultralytics_takes_nothing_along(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    module = load("peers_environment")
    monkeypatch.setattr("sys.argv", ["peers_environment.py", "--dry-run"])
    monkeypatch.setattr(module.subprocess, "run", lambda *_, **__: pytest.fail("it ran"))

    commands = module.list_commands(Path("there"), None)
    module.main()

    (alone,) = (command for command in commands if "--no-deps" in command)
    assert any(item.startswith("ultralytics==") for item in alone)
    assert not any("ultralytics==" in item for command in commands if command is not alone for item in command)


def test_scaling_cases_cover_sizes_threads_and_load_and_each_once(load: Load) -> None:
    module = load("scaling_cases")

    cases = module.list_cases(Path("folder"))

    assert {case.tokens for case in cases} == {64, 144, 256, 576, 1024, 2304, 4096}
    assert {case.in_flight for case in cases} == {1, 2, 4, 8}
    assert {1, max(module.thread_counts())} <= {case.threads for case in cases}
    assert len({case.name for case in cases}) == len(cases)
    assert any(case.has_stages for case in cases)


@pytest.mark.parametrize("script", ["peers", "scaling", "limits"])
def test_dry_run_lists_and_measures_nothing(
    load: Load, script: str, monkeypatch: pytest.MonkeyPatch, capsys: Any, tmp_path: Path
) -> None:
    module = load(script)
    monkeypatch.setattr("sys.argv", [f"{script}.py", "--dry-run"])
    monkeypatch.setattr(module, "measure", lambda *_, **__: pytest.fail("it ran"))
    monkeypatch.setattr(load("limits"), "product_graph", lambda *_: load("onnx").ModelProto())
    monkeypatch.chdir(tmp_path)

    module.main()

    assert len(capsys.readouterr().out.splitlines()) > 5


def test_groups_hold_every_contender_once_and_pipelines_with_the_small_inputs(load: Load) -> None:
    contenders = load("peers_contenders").list_contenders(Path("absent"), 2)

    near, large = load("peers").split(contenders)

    assert sorted(item.name for item in (*near, *large)) == sorted(item.name for item in contenders)
    assert {max(item.size) for item in near if item.scope == "model"} == {256}
    assert all(max(item.size) > 256 and item.scope == "model" for item in large)


def test_system_that_cannot_be_prepared_is_named_and_the_others_go_on(
    load: Load, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    module = load("peers_prepare")
    prepared: list[Path] = []
    monkeypatch.setattr(module, "prepare_ours", prepared.append)
    monkeypatch.setattr(module, "prepare_depth_anything", prepared.append)

    failed = module.prepare(tmp_path, tmp_path / "absent" / "python")

    assert prepared == [tmp_path, tmp_path]
    assert list(failed) == ["yolo26n-depth"]
    assert "Fix: python benchmarks/peers_environment.py" in failed["yolo26n-depth"]


@pytest.mark.slow
def test_graph_quantised_by_nncf_runs_in_int8(load: Load, tmp_path: Path) -> None:
    pytest.importorskip("nncf", reason="the extra 'bench' is not installed")
    source, target = tmp_path / "conv.onnx", tmp_path / "conv_nncf.xml"
    source.write_bytes(load("limits").product_graph("conv", "float", 16, 32).SerializeToString())
    jobs = load("engine_jobs")

    load("peers_prepare").quantize(source, target, is_transformer=False)
    compiled = jobs.openvino_model(jobs.Job("openvino", str(target), threads=1))

    facts = [node.get_rt_info() for node in compiled.get_runtime_model().get_ordered_ops()]
    executed = {(item["layerType"].astype(str), item["runtimePrecision"].astype(str)) for item in facts}
    assert {("Convolution", "i8"), ("Convolution", "u8")} & executed
