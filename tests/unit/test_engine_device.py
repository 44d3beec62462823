import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typed_bundle import MS, ORIN, SIZE, FakeBench, write_typed_bundle

from pixio_edge.bundle import Bundle
from pixio_edge.calibration.budget import Budget
from pixio_edge.engine_cache import find_engines, list_records, load_engine, read_engine, store
from pixio_edge.engines.device import BuildOptions, preview_jobs
from pixio_edge.engines.lock import LOCK_FILE, only_builder
from pixio_edge.engines.outcome import Outcome
from pixio_edge.engines.plan import check_version, plan_jobs
from pixio_edge.engines.selection import SUPERSEDED, build_bundle
from pixio_edge.engines.workbench import Trial
from pixio_edge.errors import BundleError, InputError, OutputError, RuntimeUnavailableError
from pixio_edge.golden import read_golden
from pixio_edge.parity import Tolerance
from pixio_edge.runtimes.trt_layers import EngineLayer

# Random weights give a depth of which INT8 changes more than of a real one.
WIDE_BUDGET = Budget(100.0)
HELD = """
import sys, time
from pathlib import Path
from pixio_edge.runtimes.trt_layers import EngineLayer
from pixio_edge.engines.lock import only_builder
with only_builder(Path(sys.argv[1]), print):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return write_typed_bundle(tmp_path_factory.mktemp("typed") / "bundle")


@pytest.fixture
def options(tmp_path: Path) -> BuildOptions:
    return BuildOptions(WIDE_BUDGET, folder=tmp_path / "engines")


class Build:
    """Runs `build_bundle` and keeps what was said."""

    def __init__(self, bundle: Bundle, options: BuildOptions) -> None:
        self.bundle, self.options = bundle, options
        self.change: dict[str, Any] = {}
        self.notes: list[str] = []
        self.shares: list[float] = []

    def __call__(self, bench: FakeBench, **selection: Any) -> dict[str, Outcome]:
        jobs = plan_jobs(self.bundle, timing_folder=self.options.folder, **selection)
        changed = [[replace(job, settings=replace(job.settings, **self.change)) for job in group] for group in jobs]
        outcomes = build_bundle(
            self.bundle,
            bench,
            changed,
            self.options,
            progress=lambda share, label: self.shares.append(share),
            notify=self.notes.append,
        )
        return {item.artifact.precision: item for item in outcomes}


@pytest.fixture
def build(bundle: Bundle, options: BuildOptions) -> Build:
    return Build(bundle, options)


def test_engines_are_built_checked_timed_and_the_faster_one_is_chosen(build: Build, options: BuildOptions) -> None:
    bench = FakeBench()

    made = build(bench)

    assert [made[name].status for name in ("fp16", "int8")] == ["built", "built"]
    assert bench.timed == [["fp16", "int8"]]
    assert made["int8"].chosen
    assert not made["fp16"].chosen
    record = made["int8"].record
    assert record is not None
    assert record.passed
    assert record.latency_ms == {"fp16": MS["fp16"], "int8": MS["int8"]}
    assert record.layers == {"int8": 3}
    assert record.agreement is not None
    assert "2.00 times as fast as fp16" in made["int8"].reason
    engine = read_engine(made["int8"].artifact, ORIN, folder=options.folder)
    assert engine.record == record
    assert str(made["int8"].file).startswith(str(options.folder))
    assert build.shares == sorted(build.shares)


def test_fp16_is_chosen_when_int8_is_slower(build: Build, options: BuildOptions) -> None:
    made = build(FakeBench(ms=MS | {"int8": 4.1}))

    assert made["fp16"].chosen
    assert not made["int8"].chosen
    assert [item.chosen for item in find_engines(made["int8"].artifact, ORIN, folder=options.folder)] == [False]


def test_fp16_is_chosen_when_int8_is_outside_the_budget(build: Build, options: BuildOptions) -> None:
    build.options = replace(options, budget=Budget(1e-6))

    made = build(FakeBench())

    assert made["fp16"].chosen
    assert "the float depth, allowed" in made["int8"].reason


def test_other_budget_changes_the_choice_and_builds_nothing(build: Build, options: BuildOptions) -> None:
    build.options = replace(options, budget=Budget(1e-6))
    build(FakeBench())
    build.options = options
    bench = FakeBench()

    made = build(bench)

    assert bench.built == []
    assert made["int8"].chosen
    assert not made["fp16"].chosen


def test_int8_is_refused_when_no_product_of_it_runs_in_int8(build: Build) -> None:
    bench = FakeBench()
    real = bench.run
    half = EngineLayer("gemm", "gemm", ("fp16",), ("fp16",), ())
    bench.run = lambda trial, image: replace(real(trial, image), layers=(half, half))  # type: ignore[method-assign]

    made = build(bench)

    assert made["int8"].record is not None
    assert made["int8"].record.layers == {"fp16": 2}
    assert made["int8"].reason == "no matrix product or convolution of it runs in INT8"
    assert made["fp16"].chosen


def test_second_run_builds_and_times_nothing(build: Build) -> None:
    first = build(FakeBench())
    bench = FakeBench()

    second = build(bench)

    assert bench.built == []
    assert bench.timed == []
    assert {name: item.status for name, item in second.items()} == {"fp16": "cached", "int8": "cached"}
    assert {name: item.record for name, item in second.items()} == {name: item.record for name, item in first.items()}


def test_forced_run_builds_again_and_leaves_one_engine_of_each(build: Build, options: BuildOptions) -> None:
    build(FakeBench(overflows={"fp16": ("fc1",)}))
    build.options = replace(options, force=True)
    bench = FakeBench()

    made = build(bench)

    assert len(bench.built) == 2
    assert [len(list_records(item.artifact, folder=options.folder)) for item in made.values()] == [1, 1]
    assert len(list(Path(str(options.folder)).rglob("*.engine"))) == 2


def test_run_goes_on_where_an_interrupted_one_stopped(build: Build, options: BuildOptions) -> None:
    bench = FakeBench()
    real = bench.build

    def interrupted(graph: Path, *arguments: Any) -> Any:
        if "int8" in graph.name:
            raise KeyboardInterrupt
        return real(graph, *arguments)

    bench.build = interrupted  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        build(bench)
    assert len(list(Path(str(options.folder)).rglob("*.engine"))) == 1
    again = FakeBench()

    made = build(again)

    assert again.built == ["graph_tensorrt-int8_64x64.onnx"]
    assert made["fp16"].status == "cached"
    assert made["int8"].chosen


def chosen_records(build: Build) -> list[str]:
    """Precisions of all engines in the cache that are marked as the one to run."""
    artifacts = [item for item in build.bundle.artifacts if item.kind == "tensorrt"]
    records = [record for item in artifacts for record in list_records(item, folder=build.options.folder)]
    return [record.precision for record in records if record.chosen]


def test_engine_of_an_older_recipe_is_removed_when_the_new_one_chooses_another(build: Build) -> None:
    build.change = {"level": 3}
    assert build(FakeBench())["int8"].chosen
    build.change = {"level": 4}

    made = build(FakeBench(ms=MS | {"int8": 5.0}))

    assert made["fp16"].chosen
    assert chosen_records(build) == ["fp16"]
    assert len(list_records(made["int8"].artifact, folder=build.options.folder)) == 1


@pytest.mark.parametrize("has_new_recipe", [True, False], ids=["new recipe", "forced"])
def test_engine_that_cannot_be_built_again_is_no_longer_chosen(build: Build, has_new_recipe: bool) -> None:
    assert build(FakeBench())["int8"].chosen
    if has_new_recipe:
        build.change = {"level": 3}
    else:
        build.options = replace(build.options, force=True)
    bench = FakeBench()
    bench.refuses = {"int8"}

    made = build(bench)

    assert made["int8"].status == "failed"
    assert made["fp16"].chosen
    assert chosen_records(build) == ["fp16"]
    (left,) = find_engines(made["int8"].artifact, ORIN, folder=build.options.folder)
    assert left.reason == SUPERSEDED


def test_engine_of_another_gpu_stays_chosen_there(build: Build) -> None:
    build(FakeBench())

    build(FakeBench(ORIN.model_copy(update={"device": "Orin Nano"}), ms=MS | {"int8": 5.0}))

    assert sorted(chosen_records(build)) == ["fp16", "int8"]


def test_engine_outside_a_tightened_tolerance_is_built_again(build: Build) -> None:
    made = build(FakeBench())
    assert made["fp16"].record is not None
    tight = Tolerance(rel_l2=made["fp16"].record.parity["rel_l2"] / 2)
    opened = Bundle.open(build.bundle.folder)
    artifacts = tuple(
        item.model_copy(update={"tolerance": tight}) if item.name == made["fp16"].artifact.name else item
        for item in opened.artifacts
    )
    opened.manifest = opened.manifest.model_copy(update={"artifacts": artifacts})
    build.bundle = opened
    bench = FakeBench()

    again = build(bench)

    assert bench.built[0] == "graph_tensorrt-fp16_64x64.onnx"
    assert not any("int8" in name for name in bench.built)
    assert any("states another tolerance now" in note for note in build.notes)
    assert again["fp16"].record is not None
    assert again["fp16"].record.tolerance == tight


@pytest.mark.parametrize("content", [b"", b"x", None], ids=["cut off", "other", "gone"])
def test_damaged_engine_is_built_again(build: Build, content: bytes | None) -> None:
    made = build(FakeBench())
    path = Path(str(made["fp16"].file))
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)
    bench = FakeBench()

    again = build(bench)

    assert bench.built == ["graph_tensorrt-fp16_64x64.onnx"]
    assert again["fp16"].status == "built"
    assert any("built again" in note for note in build.notes)


@pytest.mark.parametrize("change", [{"version": "10.16.2"}, {"sm": "8.9"}, {"device": "Thor"}])
def test_engine_of_another_version_or_gpu_is_not_taken(build: Build, change: dict[str, str]) -> None:
    build(FakeBench())
    bench = FakeBench(ORIN.model_copy(update=change))

    made = build(bench)

    assert len(bench.built) == 2
    assert all(item.status == "built" for item in made.values())


def test_nodes_that_overflow_are_pinned_and_named(build: Build, options: BuildOptions) -> None:
    bench = FakeBench(overflows={"fp16": ("fc1",)})

    made = build(bench)

    record = made["fp16"].record
    assert record is not None
    assert record.key.pinned == ("fc1",)
    assert record.passed
    assert record.build_s == 60.0 * (len(bench.built) - 1)  # the last one is INT8
    assert any("not finite; looking among" in note for note in build.notes)
    assert any("1 of 15 nodes in fp32: passes" in note for note in build.notes)
    assert [path.name for path in Path(str(options.folder)).iterdir() if path.name.startswith("pin-")] == []
    engine = load_engine(record, folder=options.folder)
    assert bench.run(trial_of(made["fp16"], engine.data), golden(build.bundle, made["fp16"])).depth.max() < 1e9


def test_pinned_engine_is_taken_from_the_cache(build: Build) -> None:
    build(FakeBench(overflows={"fp16": ("fc1",)}))
    bench = FakeBench(overflows={"fp16": ("fc1",)})

    made = build(bench)

    assert bench.built == []
    assert made["fp16"].status == "cached"


def test_int8_engine_that_overflows_gets_nodes_pinned_too(build: Build) -> None:
    made = build(FakeBench(overflows={"int8": ("scores",)}))

    assert made["int8"].record is not None
    assert made["int8"].record.key.pinned == ("scores",)
    assert made["int8"].chosen


def test_engine_that_fails_with_everything_in_fp32_is_said_to_fail_and_not_built_again(
    build: Build, options: BuildOptions
) -> None:
    bench = FakeBench()
    real = bench.run

    def wrong(trial: Any, image: Any) -> Any:
        ran = real(trial, image)
        return replace(ran, depth=-ran.depth) if trial.artifact.precision == "fp16" else ran

    bench.run = wrong  # type: ignore[method-assign]

    made = build(bench)

    assert made["fp16"].status == "failed"
    assert "times as far from the golden depth as allowed" in made["fp16"].reason
    assert made["fp16"].file is None
    assert made["int8"].chosen
    assert len(bench.built) == 3  # fp16, fp16 with everything in fp32, int8
    with pytest.raises(RuntimeUnavailableError, match="failed the checks on this host"):
        read_engine(made["fp16"].artifact, ORIN, folder=options.folder)
    again = FakeBench()
    assert build(again)["fp16"].status == "failed"
    assert again.built == []


def test_graph_that_the_library_refuses_fails_alone(build: Build) -> None:
    bench = FakeBench()
    bench.refuses = {"int8"}

    made = build(bench)

    assert made["int8"].status == "failed"
    assert made["int8"].record is None
    assert "cannot build graph_tensorrt-int8" in made["int8"].reason
    assert made["fp16"].chosen


def test_engines_that_cannot_be_timed_are_chosen_without_int8(build: Build) -> None:
    bench = FakeBench()

    def out_of_memory(trials: Sequence[Any], image: Any) -> dict[str, float]:
        raise RuntimeUnavailableError("out of memory. Fix: none")

    bench.time = out_of_memory  # type: ignore[method-assign]

    made = build(bench)

    assert made["fp16"].chosen
    assert not made["int8"].chosen
    assert any("not timed, as out of memory" in note for note in build.notes)


def test_later_run_for_one_precision_weighs_it_against_what_is_there(build: Build) -> None:
    build(FakeBench(ms=MS | {"int8": 5.0}), precisions=("fp16",))
    bench = FakeBench(ms=MS | {"int8": 5.0})

    made = build(bench, precisions=("int8",))

    assert sorted(bench.timed[0]) == ["fp16", "int8"]
    assert not made["int8"].chosen
    assert build(FakeBench())["fp16"].chosen


def test_engine_built_ahead_of_time_is_checked_and_taken(build: Build, options: BuildOptions, tmp_path: Path) -> None:
    made = build(FakeBench())
    elsewhere = tmp_path / "elsewhere"
    for item in made.values():
        record = item.record
        assert record is not None
        gpu = record.key.gpu.model_copy(update={"device": None})
        ahead = record.model_copy(
            update={"key": record.key.model_copy(update={"gpu": gpu}), "finite": None, "parity": None, "chosen": False}
        )
        store(ahead, load_engine(record, folder=options.folder).data, folder=elsewhere)
    build.options = replace(options, folder=tmp_path / "fresh", prebuilt=elsewhere)
    bench = FakeBench()

    taken = build(bench)

    assert bench.built == []
    assert taken["int8"].chosen
    assert taken["int8"].record is not None
    assert taken["int8"].record.key.gpu == ORIN
    assert read_engine(taken["int8"].artifact, ORIN, folder=tmp_path / "fresh").record.passed


def test_engine_that_was_not_built_ahead_of_time_is_built(build: Build, options: BuildOptions, tmp_path: Path) -> None:
    build(FakeBench(), precisions=("fp16",))
    build.options = replace(options, folder=tmp_path / "fresh", prebuilt=options.folder)
    bench = FakeBench()

    build(bench)

    assert bench.built == ["graph_tensorrt-int8_64x64.onnx"]
    assert any(f"for {ORIN}, it is built" in note for note in build.notes)


@pytest.mark.parametrize("name", ["nowhere", "empty", "another"])
def test_folder_without_engines_built_ahead_of_time_is_refused_before_any_build(
    build: Build, options: BuildOptions, tmp_path: Path, name: str
) -> None:
    (tmp_path / "empty").mkdir()
    build.options = replace(options, folder=tmp_path / "another")
    build(FakeBench(ORIN.model_copy(update={"sm": "8.9"})))
    build.options = replace(options, prebuilt=tmp_path / name)
    bench = FakeBench()

    with pytest.raises(InputError, match=rf"--prebuilt: got .*{name}.*expected .*Fix: "):
        build(bench)
    with pytest.raises(InputError, match="--prebuilt: got "):
        preview_jobs(build.bundle, bench, plan_jobs(build.bundle), build.options)

    assert bench.built == []


@pytest.mark.parametrize("version", ["10.2", "12.0.0"])
def test_version_that_the_recipe_does_not_name_is_refused_before_any_build(build: Build, version: str) -> None:
    bench = FakeBench(ORIN.model_copy(update={"version": version}))

    with pytest.raises(RuntimeUnavailableError, match=rf"got version {version}, expected 10\.3 to 11.*Fix: install"):
        build(bench)
    with pytest.raises(RuntimeUnavailableError, match=rf"got version {version}"):
        preview_jobs(build.bundle, bench, plan_jobs(build.bundle), build.options)

    assert bench.built == []


@pytest.mark.parametrize(
    ("library", "version"), [("tensorrt", "10.3.0"), ("tensorrt", "11.4.1.2"), ("tensorrt-rtx", "1.7.1.116")]
)
def test_version_that_the_recipe_names_is_taken(bundle: Bundle, library: str, version: str) -> None:
    check_version(bundle, ORIN.model_copy(update={"library": library, "version": version}))


def test_folder_that_cannot_be_written_is_refused_before_any_build(bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    bench = FakeBench()

    with pytest.raises(OutputError, match="Fix: set PIXIO_EDGE_CACHE"):
        Build(bundle, BuildOptions(folder=tmp_path / "file" / "engines"))(bench)

    assert bench.built == []


def test_preview_says_what_would_be_built_and_writes_nothing(build: Build, options: BuildOptions) -> None:
    jobs = plan_jobs(build.bundle, timing_folder=options.folder)

    planned = preview_jobs(build.bundle, FakeBench(), jobs, options)

    assert [item.status for item in planned] == ["planned", "planned"]
    assert not Path(str(options.folder)).exists()
    build(FakeBench(), precisions=("fp16",))
    assert [i.status for i in preview_jobs(build.bundle, FakeBench(), jobs, options)] == ["cached", "planned"]
    assert [i.status for i in preview_jobs(build.bundle, None, jobs, options)] == ["planned", "planned"]
    forced = preview_jobs(build.bundle, FakeBench(), jobs, replace(options, force=True))
    assert [item.status for item in forced] == ["planned", "planned"]


def test_second_builder_waits_for_the_first(tmp_path: Path) -> None:
    holder = subprocess.Popen([sys.executable, "-c", HELD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        told: list[str] = []

        def end_the_first(note: str) -> None:
            told.append(note)
            holder.kill()

        with only_builder(tmp_path, end_the_first):
            assert (tmp_path / LOCK_FILE).read_text().strip() != str(holder.pid)
        assert told == [f"waiting for process {holder.pid}, which is building engines in {tmp_path}"]
    finally:
        holder.kill()
        holder.wait()
        assert holder.stdout is not None
        holder.stdout.close()


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
def test_all_folders_of_a_new_cache_are_for_their_owner_alone(build: Build, tmp_path: Path) -> None:
    build.options = replace(build.options, folder=tmp_path / "new" / "cache" / "engines")
    before = os.umask(0o002)
    try:
        made = build(FakeBench(), precisions=("fp16",))
    finally:
        os.umask(before)

    leaf = Path(str(made["fp16"].file)).parent
    created = [leaf, *(folder for folder in leaf.parents if folder.is_relative_to(tmp_path / "new"))]
    assert len(created) == 4
    assert [folder.stat().st_mode & 0o777 for folder in created] == [0o700] * 4


def test_lock_is_free_again_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="ours"), only_builder(tmp_path, pytest.fail):
        raise ValueError("ours")

    with only_builder(tmp_path, pytest.fail):
        pass


@pytest.mark.parametrize(
    ("selection", "message"),
    [
        ({"precisions": ("fp32",)}, "--precision: got 'fp32', expected one of: fp16, int8. Fix: "),
        ({"sizes": ((1, 1),)}, f"--size: got 1x1, expected one of: {SIZE[0]}x{SIZE[1]}. Fix: "),
    ],
)
def test_selection_that_the_bundle_has_not_is_refused(bundle: Bundle, selection: Any, message: str) -> None:
    with pytest.raises(InputError) as caught:
        plan_jobs(bundle, **selection)
    assert message in str(caught.value)


def test_bundle_without_typed_graphs_is_told_how_to_get_them() -> None:
    with pytest.raises(InputError, match="Fix: pixio-edge export --format tensorrt nano -o FOLDER"):
        plan_jobs(Bundle.open("nano"))


def test_bundle_without_a_recipe_is_refused(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = Bundle.open(bundle.folder)
    files = tuple(entry for entry in opened.manifest.files if entry.role != "recipe")
    opened.manifest = opened.manifest.model_copy(update={"files": files})

    with pytest.raises(BundleError, match="has no recipe for TensorRT"):
        plan_jobs(opened)


def trial_of(outcome: Outcome, data: bytes) -> Any:
    return Trial(outcome.artifact, data)


def golden(bundle: Bundle, outcome: Outcome) -> Any:
    return read_golden(bundle, outcome.artifact)[0]
