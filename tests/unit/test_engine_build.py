import os
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import onnx
import pytest
from fake_builder import FakeConfig, MemoryPoolType, ProfilingVerbosity, fake_builder_module
from tiny_graphs import block_graph

from pixio_edge.engines.build import BuildSettings, build_engine, find_capability
from pixio_edge.engines.progress import PhaseTree
from pixio_edge.errors import RuntimeUnavailableError
from pixio_edge.export.trt.recipe import InputProfile

SHAPE = (1, 32, 32, 3)
PROFILE = (InputProfile(input="image", minimum=SHAPE, optimum=SHAPE, maximum=SHAPE),)


@pytest.fixture
def library() -> Any:
    return fake_builder_module()


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    path = tmp_path / "graph.onnx"
    onnx.save(block_graph(), path)
    return path


def settings(**changes: Any) -> BuildSettings:
    return BuildSettings(**{"profile": PROFILE, "level": 4, "workspace": 1 << 20, **changes})


def test_engine_is_built_as_the_recipe_says(library: Any, graph: Path) -> None:
    built = build_engine(library, graph, settings(builder_flags=("TF32",), network_flags=("STRONGLY_TYPED",)))

    config: FakeConfig = library.configs[0]
    assert built.data == b"engine of tiny"
    assert built.build_s > 0
    assert config.builder_optimization_level == 4
    assert config.pools == {MemoryPoolType.WORKSPACE: 1 << 20}
    assert config.profiles[0].shapes == {"image": (SHAPE, SHAPE, SHAPE)}
    assert [flag.name for flag in config.flags] == ["TF32"]
    assert config.profiling_verbosity is ProfilingVerbosity.DETAILED
    assert config.num_compute_capabilities == 0


def test_progress_grows_to_the_end_and_names_what_is_done(library: Any, graph: Path) -> None:
    told: list[tuple[float, str]] = []

    build_engine(library, graph, settings(), progress=lambda share, label: told.append((share, label)))

    shares = [share for share, _ in told]
    assert shares == sorted(shares)
    assert shares[0] == 0.0
    assert 0.45 < max(shares) <= 1.0
    assert "Timing tactics" in {label for _, label in told}


def test_graph_that_the_parser_refuses_is_explained_in_one_line(library: Any, graph: Path) -> None:
    library.problems = [("head/Resize", "Resize", "antialias\n  is not supported"), ("", "", "second")]

    with pytest.raises(RuntimeUnavailableError) as caught:
        build_engine(library, graph, settings())

    assert str(caught.value).startswith(
        "tensorrt 10.3.0 cannot read graph.onnx: node 'head/Resize' (Resize): antialias is not supported (and 1 more)."
    )
    assert "\n" not in str(caught.value)
    assert "Fix: " in str(caught.value)


def test_build_that_fails_gives_the_reason_of_the_library(library: Any, graph: Path) -> None:
    library.fails = "Error Code 2: OutOfMemory (no further information)"

    with pytest.raises(RuntimeUnavailableError, match=r"cannot build graph.onnx: Error Code 2: OutOfMemory.*Fix: "):
        build_engine(library, graph, settings())


def test_host_without_a_gpu_is_told_how_to_build_without_one(library: Any, graph: Path) -> None:
    library.has_gpu = False

    with pytest.raises(RuntimeUnavailableError, match=r"error: 35\. Fix: .*NVIDIA GPU.*--compute-capability"):
        build_engine(library, graph, settings())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_build_ends_between_two_steps_when_it_is_interrupted(library: Any, graph: Path, number: int) -> None:
    steps = []

    def interrupt_in_the_third_step() -> None:
        steps.append(1)
        if len(steps) == 3:
            os.kill(os.getpid(), number)

    library.on_step = interrupt_in_the_third_step
    before = signal.getsignal(number)

    with pytest.raises(KeyboardInterrupt):
        build_engine(library, graph, settings())

    assert len(steps) <= 4
    assert signal.getsignal(number) is before


def test_engine_is_built_in_a_thread_where_no_signals_arrive(library: Any, graph: Path) -> None:
    before = signal.getsignal(signal.SIGINT)
    during: list[Any] = []
    library.on_step = lambda: during.append(signal.getsignal(signal.SIGINT))

    with ThreadPoolExecutor(1) as pool:
        built = pool.submit(build_engine, library, graph, settings()).result()

    assert built.data
    assert set(during) == {before}


def test_times_of_kernels_are_kept_when_the_build_is_interrupted(library: Any, graph: Path, tmp_path: Path) -> None:
    library.on_step = lambda: os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        build_engine(library, graph, settings(timing_cache=tmp_path / "timing.cache"))

    assert (tmp_path / "timing.cache").read_bytes() == b"TIMES:10.3.0"


def test_times_of_kernels_serve_the_next_build(library: Any, graph: Path, tmp_path: Path) -> None:
    for _ in range(2):
        build_engine(library, graph, settings(timing_cache=tmp_path / "timing.cache"))

    assert (tmp_path / "timing.cache").read_bytes() == b"TIMES:10.3.0+timed+timed"


@pytest.mark.parametrize("content", [b"TIMES:10.16.2+timed", b"rubbish", b"\x00"])
def test_times_of_another_version_are_begun_anew(library: Any, graph: Path, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "timing.cache").write_bytes(content)

    build_engine(library, graph, settings(timing_cache=tmp_path / "timing.cache"))

    assert (tmp_path / "timing.cache").read_bytes() == b"TIMES:10.3.0+timed"


def test_build_that_fails_does_not_blame_the_times_of_another_version(
    library: Any, graph: Path, tmp_path: Path
) -> None:
    (tmp_path / "timing.cache").write_bytes(b"TIMES:10.16.2+timed")
    library.fails = "Error Code 2: OutOfMemory"

    with pytest.raises(RuntimeUnavailableError, match=r"cannot build graph.onnx: Error Code 2: OutOfMemory\. Fix: "):
        build_engine(library, graph, settings(timing_cache=tmp_path / "timing.cache"))


def test_engine_is_built_when_the_times_cannot_be_kept(library: Any, graph: Path, tmp_path: Path) -> None:
    assert build_engine(library, graph, settings(timing_cache=tmp_path / "missing" / "timing.cache")).data


def test_no_timing_cache_is_used_where_the_library_has_none(graph: Path, tmp_path: Path) -> None:
    library = fake_builder_module("tensorrt_rtx", "1.7.1")

    build_engine(library, graph, settings(timing_cache=tmp_path / "timing.cache"))

    assert library.configs[0].cache is None
    assert not (tmp_path / "timing.cache").exists()


def test_compute_capability_is_set_ahead_of_time(library: Any, graph: Path) -> None:
    build_engine(library, graph, settings(compute_capability="12.0"))

    assert [item.name for item in library.configs[0].capabilities] == ["SM120"]


def test_unknown_compute_capability_is_refused_with_those_that_there_are(library: Any) -> None:
    with pytest.raises(RuntimeUnavailableError, match=r"compute capability 8\.7; expected one of: 8\.6, 12\.0\. Fix: "):
        find_capability(library, "8.7")


def test_library_that_builds_only_for_its_host_says_so(library: Any) -> None:
    del library.ComputeCapability

    with pytest.raises(RuntimeUnavailableError, match="it only builds for the GPU of this host"):
        find_capability(library, "8.6")


def test_flag_that_the_library_does_not_know_is_refused(library: Any, graph: Path) -> None:
    with pytest.raises(RuntimeUnavailableError, match="got flag 'FP16', which this version of TensorRT does not know"):
        build_engine(library, graph, settings(builder_flags=("FP16",)))


def test_warnings_are_reported_once(library: Any, graph: Path) -> None:
    library.says = [(library.ILogger.Severity.WARNING, "careful"), (library.ILogger.Severity.WARNING, "careful")]

    assert build_engine(library, graph, settings()).warnings == ("careful",)


def test_layers_are_read_when_they_are_asked_for(library: Any, graph: Path) -> None:
    text = "Layers:\nName: a, LayerType: gemm, Inputs: [], Constants: [], Outputs: [], Metadata: [ONNX Layer: q]"
    library.says = [(library.ILogger.Severity.VERBOSE, text)]

    assert build_engine(library, graph, settings()).layers == ()
    assert [layer.nodes for layer in build_engine(library, graph, settings(), lists=True).layers] == [("q",)]


def test_settings_that_change_an_engine_change_its_description() -> None:
    described = {
        settings().describe(),
        settings(level=5).describe(),
        settings(workspace=2).describe(),
        settings(builder_flags=("TF32",)).describe(),
        settings(profile=(PROFILE[0].model_copy(update={"maximum": (2, 32, 32, 3)}),)).describe(),
    }

    assert len(described) == 5
    assert settings(timing_cache=Path("x")).describe() == settings().describe()


def test_share_of_phases_never_goes_back() -> None:
    tree = PhaseTree()
    tree.start("all", None, 2)
    tree.start("first", "all", 4)
    tree.step("first", 1)
    assert tree.share == pytest.approx(0.25)
    assert tree.label == "first"
    tree.finish("first")
    tree.step("all", 0)
    assert tree.share == pytest.approx(0.5)
    tree.start("second", "all", 1)
    tree.start("inner", "second", 2)
    tree.step("inner", 0)
    assert tree.share == pytest.approx(0.75)
    tree.finish("inner")
    assert tree.share == pytest.approx(0.75)
    tree.step("all", 5)
    assert tree.share == 1.0
    tree.finish("second")
    tree.finish("all")
    assert tree.label == ""
