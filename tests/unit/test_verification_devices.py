"""The upper rungs of the ladder: engines and Core ML programs, with the device and with what stands in for it."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from engine_bundle import ORIN_GPU, fake_gpu, store_engines, write_engine_bundle
from tiny_bundle import TINY_TOLERANCE, tiny_header, tiny_image
from typed_bundle import write_typed_bundle

from pixio_edge.bundle import Bundle
from pixio_edge.bundle_writer import write_bundle
from pixio_edge.cli.verify import verify
from pixio_edge.engine_cache import engine_path, list_records
from pixio_edge.engines import ahead
from pixio_edge.errors import InputError, MissingDependencyError, RuntimeUnavailableError, SpecError
from pixio_edge.host import probe_host
from pixio_edge.manifest import ArtifactEntry, Requirements
from pixio_edge.tensor import TensorSpec
from pixio_edge.verification import execute, run
from pixio_edge.verification.execute import check_capabilities, package_folder
from pixio_edge.verification.ladder import Outcome
from pixio_edge.verification.run import VerificationRequest, verify_bundle

ON_TENSORRT = VerificationRequest(runtimes=("tensorrt",))
COREML_SIZE = (16, 24)


@pytest.fixture
def engines(monkeypatch: pytest.MonkeyPatch) -> None:
    """The fakes are no distributions, so the host does not list them."""
    host = probe_host()
    packages = host.packages | {"tensorrt": "10.3.0"}
    monkeypatch.setattr(run, "probe_host", lambda: dataclasses.replace(host, packages=packages))


@pytest.fixture(scope="module")
def typed(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return write_typed_bundle(tmp_path_factory.mktemp("bundles") / "typed")


def by_rung(outcomes: tuple[Outcome, ...]) -> dict[str, list[Outcome]]:
    rungs: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        rungs.setdefault(outcome.rung, []).append(outcome)
    return rungs


@pytest.mark.usefixtures("engines")
def test_engine_of_this_host_is_run_and_measured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with fake_gpu(monkeypatch, tmp_path / "cache"):
        bundle = write_engine_bundle(tmp_path / "tiny", sizes=((32, 32),))
        store_engines(bundle)
        (outcome,) = verify_bundle(bundle, ON_TENSORRT)

    assert (outcome.rung, outcome.status) == ("engine", "ok"), outcome.note
    assert "Orin (SM 8.7)" in outcome.how
    assert outcome.max_rel is not None
    assert outcome.allowed == {"max_rel": TINY_TOLERANCE.max_rel}


@pytest.mark.usefixtures("engines")
def test_engine_that_was_not_built_is_skipped_with_the_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with fake_gpu(monkeypatch, tmp_path / "cache"):
        bundle = write_engine_bundle(tmp_path / "tiny", sizes=((32, 32),))
        (outcome,) = verify_bundle(bundle, ON_TENSORRT)

    assert outcome.status == "skipped"
    assert "pixio-edge build" in outcome.note


@pytest.mark.usefixtures("engines")
def test_engine_that_is_damaged_fails(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with fake_gpu(monkeypatch, tmp_path / "cache"):
        bundle = write_engine_bundle(tmp_path / "tiny", sizes=((32, 32),))
        store_engines(bundle, ORIN_GPU)
        path = engine_path(list_records(bundle.artifacts[0])[0])
        path.write_bytes(b"x" * path.stat().st_size)
        (outcome,) = verify_bundle(bundle, ON_TENSORRT)

    assert outcome.status == "failed"
    assert "damaged" in outcome.note


def test_typed_graphs_stand_in_for_engines_at_their_own_precision(typed: Bundle) -> None:
    rungs = by_rung(verify_bundle(typed, VerificationRequest(runtimes=("ort",))))

    assert {rung: [outcome.status for outcome in outcomes] for rung, outcomes in rungs.items()} == {
        "fp32": ["ok"],
        "fp16": ["ok"],
        "int8": ["ok"],
    }
    (half,), (int8,) = rungs["fp16"], rungs["int8"]
    assert half.max_rel is not None
    assert int8.max_rel is not None
    assert 0 < half.max_rel < int8.max_rel
    assert half.step_from == "onnx-fp32-64x64 in ort"
    assert int8.step_from == "tensorrt-fp16-64x64 in ort"


def test_what_was_built_ahead_of_time_is_told_and_nothing_is_kept(
    typed: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("tensorrt_rtx", reason="the extra 'tensorrt-rtx' is not installed")
    folders: list[Path] = []

    def build(bundle: Bundle, request: ahead.AheadRequest, **_: object) -> list[SimpleNamespace]:
        folders.append(request.output)
        assert request.output.is_dir()
        (artifact,) = (item for item in bundle.artifacts if item.name == f"tensorrt-{request.precisions[0]}-64x64")
        gpu = SimpleNamespace(library="tensorrt-rtx", version="1.7.1")
        record = SimpleNamespace(
            key=SimpleNamespace(gpu=gpu), bytes=3 << 20, build_s=2.0, layers={"int8": 5, "fp16": 1}
        )
        refused = request.precisions == ("int8",)
        return [SimpleNamespace(artifact=artifact, record=None if refused else record, reason="no kernel")]

    monkeypatch.setattr(ahead, "build_ahead", build)
    request = VerificationRequest(runtimes=("tensorrt-rtx",), compute_capabilities=("8.6",))

    built = [outcome for outcome in verify_bundle(typed, request) if "8.6" in outcome.how + outcome.note]

    assert {outcome.artifact: outcome.status for outcome in built} == {
        "tensorrt-fp16-64x64": "ok",
        "tensorrt-int8-64x64": "failed",
    }
    assert built[0].note == "3.0 MiB in 2 s; products 1 fp16, 5 int8"
    assert "run on no GPU" in built[0].how
    assert built[0].max_rel is None, "nothing was measured"
    assert "no kernel" in built[1].note
    assert len(folders) == 2
    assert not any(folder.exists() for folder in folders)


def test_unknown_compute_capability_is_refused_before_any_work() -> None:
    pytest.importorskip("tensorrt_rtx", reason="the extra 'tensorrt-rtx' is not installed")

    check_capabilities(["8.6", "8.9", "12.0"])
    with pytest.raises(RuntimeUnavailableError, match=r"8\.7"):
        check_capabilities(["8.7"])


def test_compute_capability_is_read_as_build_reads_it(typed: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[tuple[str, ...]] = []

    def stop(capabilities: tuple[str, ...]) -> None:
        given.append(capabilities)
        raise InputError("enough")

    monkeypatch.setattr(execute, "check_capabilities", stop)

    with pytest.raises(InputError, match="enough"):
        verify(str(typed.folder), ahead_of_time=True, compute_capabilities=["sm_86", "8.9", "86"])

    assert given == [("8.6", "8.9")]


@pytest.mark.parametrize("module", ["tensorrt_rtx", "onnx"])
def test_ahead_of_time_is_refused_when_a_package_for_it_is_missing(
    typed: Bundle, monkeypatch: pytest.MonkeyPatch, module: str
) -> None:
    pytest.importorskip("tensorrt_rtx", reason="the extra 'tensorrt-rtx' is not installed")
    if module == "onnx":
        monkeypatch.setattr(execute, "find_spec", lambda name: None)
    else:
        monkeypatch.setitem(sys.modules, module, None)  # import raises ModuleNotFoundError

    with pytest.raises(MissingDependencyError, match=rf"'{module}'.*Fix: pip install 'pixio-edge\[tensorrt-rtx\]'"):
        verify(str(typed.folder), ahead_of_time=True)


def test_ahead_of_time_is_refused_when_the_bundle_has_no_typed_graphs() -> None:
    pytest.importorskip("tensorrt_rtx", reason="the extra 'tensorrt-rtx' is not installed")

    with pytest.raises(InputError, match=r"without graphs for TensorRT.*Fix: pixio-edge export --format tensorrt"):
        verify("nano", ahead_of_time=True)


@pytest.mark.slow
def test_typed_graphs_build_ahead_of_time_for_real(typed: Bundle) -> None:
    pytest.importorskip("tensorrt_rtx", reason="the extra 'tensorrt-rtx' is not installed")
    request = VerificationRequest(runtimes=("tensorrt-rtx",), compute_capabilities=("8.6",))

    built = [outcome for outcome in verify_bundle(typed, request) if outcome.status != "skipped"]

    assert {outcome.artifact: outcome.status for outcome in built} == {
        "tensorrt-fp16-64x64": "ok",
        "tensorrt-int8-64x64": "ok",
    }
    assert "int8" in built[1].note


@pytest.fixture(scope="module")
def mlpackage(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    pytest.importorskip("torch", reason="the extra 'coreml' is not installed")
    pytest.importorskip("coremltools", reason="the extra 'coreml' is not installed")
    from coreml_packages import convert_tiny, tiny_reference  # noqa: PLC0415

    folder = tmp_path_factory.mktemp("bundles") / "coreml"
    with write_bundle(folder, tiny_header()) as writer:
        package = convert_tiny(writer.folder / "tiny.mlpackage")
        names = [path.relative_to(writer.folder).as_posix() for path in package.rglob("*") if path.is_file()]
        graph = writer.describe(next(name for name in names if name.endswith(".mlmodel")), "graph")
        image = tiny_image(COREML_SIZE)[None]
        np.savez(writer.folder / "golden.npz", image=image, depth=tiny_reference(image))
        writer.add_file("golden.npz", "golden")
        writer.add_artifact(
            ArtifactEntry(
                name="coreml-fp32",
                kind="coreml",
                precision="fp32",
                size=COREML_SIZE,
                path=graph.path,
                sha256=graph.sha256,
                bytes=graph.bytes,
                data=tuple(writer.describe(name, "weights") for name in names if name != graph.path),
                inputs=(TensorSpec("image", (1, *COREML_SIZE, 3), "uint8"),),
                outputs=(TensorSpec("depth", (1, *COREML_SIZE), "float32"),),
                requires=Requirements(runtimes=("coreml",)),
                golden="golden.npz",
                tolerance=TINY_TOLERANCE,
            )
        )
    return Bundle.open(folder)


def test_core_ml_program_is_interpreted_where_there_is_no_core_ml(mlpackage: Bundle) -> None:
    outcomes = [item for item in verify_bundle(mlpackage) if item.runtime == "mil-interpreter"]

    assert [(item.precision, item.rung, item.status) for item in outcomes] == [
        ("fp32", "mlpackage", "ok"),
        ("fp16", "mlpackage", "ok"),
    ]
    assert all("not Core ML" in item.how for item in outcomes)
    assert outcomes[1].step_from == "coreml-fp32 in mil-interpreter"


def test_package_is_the_folder_around_the_model_file(mlpackage: Bundle) -> None:
    verified = mlpackage.read_artifact(mlpackage.artifacts[0])

    assert package_folder(verified) == mlpackage.folder / "tiny.mlpackage"
    elsewhere = verified.entry.model_copy(update={"path": "model.mlmodel"})
    with pytest.raises(SpecError, match=r"\.mlpackage"):
        package_folder(dataclasses.replace(verified, entry=elsewhere))
