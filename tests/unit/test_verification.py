"""The parity ladder: what is planned, what is run and measured, and what is said of the rest."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_bundle import SIZES, tiny_header, write_tiny_bundle

from pixio_edge.bundle import Bundle
from pixio_edge.bundle_writer import write_bundle
from pixio_edge.errors import BundleError, CheckFailedError, InputError, OutputError, RuntimeUnavailableError
from pixio_edge.golden import read_golden
from pixio_edge.host import Host, probe_host
from pixio_edge.manifest import ArtifactEntry, Requirements
from pixio_edge.parity import Tolerance
from pixio_edge.verification import execute, reasons, run
from pixio_edge.verification.ladder import RUNGS, Check, Outcome, plan_checks
from pixio_edge.verification.measure import measure, relative_max, relative_mean
from pixio_edge.verification.reasons import reason_to_skip
from pixio_edge.verification.report import VerificationReport, allowed_text, write_report
from pixio_edge.verification.run import VerificationRequest, conclude, verify_bundle

ORT = VerificationRequest(runtimes=("ort",))


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The tiny ladder, and the graph of its first size once more as that of a TensorRT engine."""
    folder = tmp_path_factory.mktemp("bundles") / "device"
    source = write_tiny_bundle(tmp_path_factory.mktemp("bundles") / "tiny")
    with write_bundle(folder, tiny_header()) as writer:
        writer.take_over(source)
        writer.add_artifact(as_engine_graph(source.artifacts[0]))
    return Bundle.open(folder)


def as_engine_graph(artifact: ArtifactEntry, **changes: object) -> ArtifactEntry:
    height, width = artifact.size
    record = {
        "name": f"tensorrt-fp16-{height}x{width}",
        "kind": "tensorrt",
        "precision": "fp16",
        "verified": False,
        "requires": Requirements(runtimes=("tensorrt", "tensorrt-rtx")),
    }
    return artifact.model_copy(update={**record, **changes})


def as_mlpackage(artifact: ArtifactEntry) -> ArtifactEntry:
    return as_engine_graph(artifact, name="coreml-fp16", kind="coreml", requires=Requirements(runtimes=("coreml",)))


def gpu_free(host: Host) -> Host:
    return dataclasses.replace(host, gpus=())


def test_plan_climbs_from_float_to_the_device(bundle: Bundle) -> None:
    mlpackage = as_mlpackage(bundle.artifacts[0])

    rungs = [check.rung for check in plan_checks([mlpackage, *reversed(bundle.artifacts)])]

    assert rungs == sorted(rungs, key=RUNGS.index)
    assert {"fp32", "fp16", "mlpackage"} <= set(rungs)


def test_plan_runs_the_graph_of_an_engine_in_onnxruntime(bundle: Bundle) -> None:
    (check,) = plan_checks(bundle.artifacts[-1:], ["ort"])

    assert (check.means, check.runtime, check.rung) == ("typed graph", "ort", "fp16")


def test_plan_builds_for_each_gpu_only_when_it_is_asked_to(bundle: Bundle) -> None:
    engines = bundle.artifacts[-1:]

    ahead = [check for check in plan_checks(engines, (), ("8.6", "8.9")) if check.means == "ahead of time"]

    assert [check.compute_capability for check in ahead] == ["8.6", "8.9"]
    assert all(check.rung == "engine" for check in ahead)
    assert all(check.means != "ahead of time" for check in plan_checks(engines))


def test_plan_interprets_a_core_ml_program_in_both_precisions(bundle: Bundle) -> None:
    checks = plan_checks([as_mlpackage(bundle.artifacts[0])])

    assert [check.precision for check in checks if check.means == "MIL interpreter"] == ["fp32", "fp16"]
    assert plan_checks([as_mlpackage(bundle.artifacts[0])], ["ort"]) == []


def test_plan_names_an_artifact_that_nothing_runs(bundle: Bundle) -> None:
    (check,) = plan_checks([as_engine_graph(bundle.artifacts[0], kind="tflite")])

    assert check.means == "none"
    assert "kind 'tflite'" in (reason_to_skip(check, probe_host()) or "")


def test_plan_refuses_a_runtime_that_does_not_exist(bundle: Bundle) -> None:
    with pytest.raises(RuntimeUnavailableError, match="'nope'"):
        plan_checks(bundle.artifacts, ["nope"])


def test_every_artifact_that_can_run_here_is_measured(bundle: Bundle) -> None:
    outcomes = verify_bundle(bundle, ORT)

    assert [outcome.status for outcome in outcomes] == ["ok"] * (len(SIZES) + 1)
    typed = outcomes[-1]
    assert typed.rung == "fp16"
    assert "no engine" in typed.how
    assert typed.against == "golden_32x32.npz"
    assert typed.max_rel is not None
    assert 0 <= typed.max_rel <= 1e-5
    assert typed.mean_rel is not None
    assert typed.mean_rel <= typed.max_rel
    assert typed.delta1 == 1.0
    assert typed.allowed == {"max_rel": 1e-5}
    assert typed.margin == pytest.approx(typed.max_rel / 1e-5)
    assert (typed.step_from, typed.step_max_rel) == ("onnx-fp32-32x32 in ort", 0.0)


def verified_steps(bundle: Bundle, monkeypatch: pytest.MonkeyPatch, checks: list[Check]) -> dict[str, str | None]:
    """What each check is a step from, if every one of them could run here."""
    image, depth = read_golden(bundle, bundle.artifacts[0])
    monkeypatch.setattr(run, "reason_to_skip", lambda *_: None)
    monkeypatch.setattr(run, "read_golden", lambda *_: (image, depth))
    monkeypatch.setattr(run, "execute", lambda *_, **__: execute.Ran(depth, "nothing"))
    outcomes = run.run_checks(bundle, checks, VerificationRequest())
    return {f"{item.artifact} in {item.runtime} {item.precision}": item.step_from for item in outcomes}


def test_step_stays_in_its_kind_and_runtime(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    first, typed = bundle.artifacts[0], bundle.artifacts[-1]
    int8 = first.model_copy(update={"name": "onnx-int8", "precision": "int8"})
    typed8 = as_engine_graph(first, name="tensorrt-int8", precision="int8")
    checks = [
        Check(first, "runtime", "openvino", "fp32"),
        Check(first, "runtime", "ort", "fp32"),
        Check(first, "runtime", "openvino", "bf16"),
        Check(typed, "typed graph", "ort", "fp16"),
        Check(int8, "runtime", "openvino", "int8"),
        Check(int8, "runtime", "ort", "int8"),
        Check(int8, "runtime", "abacus", "int8"),
        Check(typed8, "typed graph", "ort", "int8"),
        Check(as_mlpackage(first), "MIL interpreter", "mil-interpreter", "fp32"),
        Check(as_mlpackage(first), "MIL interpreter", "mil-interpreter", "fp16"),
        Check(typed8, "runtime", "tensorrt", "int8"),
    ]

    assert verified_steps(bundle, monkeypatch, checks) == {
        "onnx-fp32-32x32 in openvino fp32": None,
        "onnx-fp32-32x32 in ort fp32": None,
        "onnx-fp32-32x32 in openvino bf16": "onnx-fp32-32x32 in openvino",
        "tensorrt-fp16-32x32 in ort fp16": "onnx-fp32-32x32 in ort",
        "onnx-int8 in openvino int8": "onnx-fp32-32x32 in openvino",
        "onnx-int8 in ort int8": "onnx-fp32-32x32 in ort",
        "onnx-int8 in abacus int8": "onnx-fp32-32x32 in openvino",
        "tensorrt-int8 in ort int8": "tensorrt-fp16-32x32 in ort",
        "coreml-fp16 in mil-interpreter fp32": "onnx-fp32-32x32 in openvino",
        "coreml-fp16 in mil-interpreter fp16": "coreml-fp16 in mil-interpreter",
        "tensorrt-int8 in tensorrt int8": "tensorrt-int8 in ort",
    }


def test_step_of_int8_is_from_the_float_graph_and_not_from_one_of_small_weights(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = bundle.artifacts[0]
    small = first.model_copy(update={"name": "small", "precision": "fp16"})
    int8 = first.model_copy(update={"name": "onnx-int8", "precision": "int8"})
    checks = [Check(item, "runtime", "ort", "fp32") for item in (small, first)]

    steps = verified_steps(bundle, monkeypatch, [*checks, Check(int8, "runtime", "ort", "int8")])

    assert steps["onnx-int8 in ort int8"] == f"{first.name} in ort"


def test_only_artifacts_that_are_asked_for_are_verified(bundle: Bundle) -> None:
    height, width = SIZES[0]
    by_size = verify_bundle(bundle, VerificationRequest(runtimes=("ort",), sizes=(SIZES[0],)))
    by_name = verify_bundle(bundle, VerificationRequest(runtimes=("ort",), artifacts=("tensorrt-fp16-32x32",)))

    assert [item.artifact for item in by_size] == [f"onnx-fp32-{height}x{width}", f"tensorrt-fp16-{height}x{width}"]
    assert [item.artifact for item in by_name] == ["tensorrt-fp16-32x32"]


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"artifacts": ("nope",)}, r"artifact 'nope'.*onnx-fp32-32x32.*Fix"),
        ({"sizes": ((7, 7),)}, r"size 7x7.*expected one of 32x32.*Fix"),
        ({"sizes": (SIZES[1],), "artifacts": ("onnx-fp32-32x32",)}, r"expected one of 32x32\. Fix"),
    ],
)
def test_artifacts_that_are_not_there_are_refused(bundle: Bundle, wanted: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        verify_bundle(bundle, VerificationRequest(**wanted))


def test_breach_fails_with_the_measured_error(tmp_path: Path, bundle: Bundle) -> None:
    with write_bundle(tmp_path / "strict", tiny_header()) as writer:
        writer.take_over(bundle, drop=[artifact.name for artifact in bundle.artifacts[1:]])
        strict = bundle.artifacts[0].model_copy(update={"name": "strict", "tolerance": Tolerance(max_rel=1e-12)})
        writer.add_artifact(strict)

    outcomes = verify_bundle(Bundle.open(tmp_path / "strict"), ORT)

    assert [outcome.status for outcome in outcomes] == ["ok", "failed"]
    assert "parity fails" in outcomes[1].note
    assert outcomes[1].margin is not None
    assert outcomes[1].margin > 1
    with pytest.raises(CheckFailedError, match="1 of 2 checks failed: strict on ort"):
        conclude(outcomes)


def test_engine_is_skipped_with_a_reason_where_there_is_no_gpu(bundle: Bundle) -> None:
    checks = [check for check in plan_checks(bundle.artifacts) if check.rung == "engine"]

    for check in checks:
        assert reason_to_skip(check, gpu_free(probe_host()))


def test_interpreter_is_skipped_and_named_where_its_packages_are_missing(
    monkeypatch: pytest.MonkeyPatch, bundle: Bundle
) -> None:
    monkeypatch.setattr(reasons, "find_spec", lambda name: None)
    check = Check(as_mlpackage(bundle.artifacts[0]), "MIL interpreter", "mil-interpreter", "fp32")

    assert "pixio-edge[coreml]" in (reason_to_skip(check, probe_host()) or "")


def test_verification_ends_at_a_damaged_file(tmp_path: Path, bundle: Bundle) -> None:
    shutil.copytree(bundle.folder, tmp_path / "copy")
    (tmp_path / "copy" / "weights.bin").write_bytes(b"x" * bundle.artifacts[0].data[0].bytes)

    with pytest.raises(BundleError, match=r"weights\.bin"):
        verify_bundle(Bundle.open(tmp_path / "copy"), ORT)


def test_conclusion_is_a_failure_when_nothing_could_run() -> None:
    skipped = Outcome("engine", "a", "tensorrt", "fp16", "-", None, "skipped", "no GPU")

    with pytest.raises(CheckFailedError, match="no artifact could be run"):
        conclude([skipped])


def test_report_lists_what_ran_and_what_did_not(tmp_path: Path, bundle: Bundle) -> None:
    ran = verify_bundle(bundle, ORT)
    skipped = Outcome("engine", "tensorrt-fp16-32x32", "tensorrt", "fp16", "tensorrt in fp16", None, "skipped", "a|b")
    report = VerificationReport(bundle, 9, [*ran, skipped])

    write_report(report, tmp_path / "report.json")
    write_report(report, tmp_path / "report.md")

    record = json.loads((tmp_path / "report.json").read_text())
    assert record["counts"] == {"ok": 4, "failed": 0, "skipped": 1}
    assert record["host"]["usable_cores"] >= 1
    assert [item["rung"] for item in record["results"]] == ["fp32", "fp32", "fp32", "fp16", "engine"]
    text = (tmp_path / "report.md").read_text()
    assert "| fp32 | onnx-fp32-32x32 |" in text
    assert text.index("What could not be run") < text.index("a\\|b")


def test_report_refuses_a_suffix_it_cannot_write(tmp_path: Path, bundle: Bundle) -> None:
    with pytest.raises(OutputError, match=r"\.json or \.md"):
        write_report(VerificationReport(bundle, 1, []), tmp_path / "report.txt")

    assert not list(tmp_path.iterdir())


def test_json_of_an_outcome_has_no_infinities() -> None:
    outcome = Outcome("fp32", "a", "ort", "fp32", "ort", "golden", "failed", "", max_rel=float("inf"), margin=2.0)

    assert outcome.to_json()["max_rel"] is None
    assert outcome.to_json()["margin"] == 2.0


def test_limits_are_shown_beside_what_was_measured() -> None:
    outcome = Outcome(
        "int8", "a", "ort", "int8", "ort", "golden", "ok", "", measured={"sqnr_db": 40.0}, allowed={"min_sqnr_db": 30.0}
    )

    assert allowed_text(outcome) == "min_sqnr_db 4.0e+01 of 3.0e+01"


def test_relative_errors_are_those_of_a_hand_computed_case() -> None:
    reference = np.array([[[1.0, -4.0], [2.0, 0.0]]], np.float32)
    candidate = reference + np.array([[[0.4, 0.0], [0.0, -0.4]]], np.float32)

    assert relative_max(reference, candidate) == pytest.approx(0.1)
    assert relative_mean(reference, candidate) == pytest.approx(0.05)
    assert relative_mean(reference * 0, reference * 0) == 0.0
    assert relative_max(reference * 0, reference) == float("inf")
    assert relative_mean(reference, reference * np.nan) == float("inf")


def test_depths_agree_after_alignment_and_not_when_they_are_turned_round() -> None:
    reference = np.linspace(1, 10, 64, dtype=np.float32).reshape(1, 8, 8)
    noise = np.random.default_rng(0).normal(size=reference.shape).astype(np.float32)

    aligned = measure(reference, 2 * reference + 3, Tolerance(max_rel=0.01), "relative_inverse")
    broken = measure(reference, noise, Tolerance(max_rel=0.01), "relative_inverse")

    assert aligned.delta1 == 1.0
    assert broken.delta1 is not None
    assert broken.delta1 < 0.9
    assert not aligned


def test_candidate_that_is_not_finite_fails_without_an_agreement() -> None:
    reference = np.linspace(1, 10, 64, dtype=np.float32).reshape(1, 8, 8)

    measured = measure(reference, np.full_like(reference, np.nan), Tolerance(max_rel=0.01), "relative_inverse")

    assert not measured
    assert measured.delta1 is None
