"""`inspect`, `doctor`, `verify` and `evaluate` from the outside."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from command import EXECUTABLE, TIMEOUT_S, assert_one_line_error, run_command
from tiny_bundle import SIZES, tiny_graph, tiny_weights, write_tiny_bundle

from pixio_edge.bundle import Bundle
from pixio_edge.bundle_writer import write_bundle
from pixio_edge.evaluation.index_folder import INDEX_NAME
from pixio_edge.manifest import BundleHeader
from pixio_edge.prediction_sheet import CELL_SIZE, GAP

VERBS = (
    "predict",
    "stream",
    "evaluate",
    "benchmark",
    "report",
    "verify",
    "conformance",
    "inspect",
    "doctor",
    "train",
    "distill",
    "scenes",
    "export",
    "pull",
    "demo",
)


@pytest.mark.parametrize("verb", VERBS)
def test_help_shows_an_example_for_every_verb(verb: str) -> None:
    result = run_command(verb, "--help", env={"COLUMNS": "120"})

    assert result.returncode == 0, result.stderr
    assert "Examples:" in result.stdout
    assert f"pixio-edge {verb}" in result.stdout.split("Examples:")[1]


def test_help_lists_every_verb_when_no_verb_is_given() -> None:
    result = run_command("--help")

    assert result.returncode == 0
    assert all(f" {verb} " in result.stdout for verb in VERBS)


def test_inspect_shows_the_contract_and_every_artifact(bundle: Path) -> None:
    result = run_command("inspect", bundle)

    assert result.returncode == 0, result.stderr
    assert "relative_inverse, larger_is_nearer" in result.stdout
    assert all(f"onnx-fp32-{height}x{width}" in result.stdout for height, width in SIZES)


def test_inspect_prints_the_manifest_when_json_is_asked_for(bundle: Path) -> None:
    manifest = json.loads(run_command("inspect", bundle, "--json").stdout)

    assert manifest["schema_version"] == 1
    assert [artifact["size"] for artifact in manifest["artifacts"]] == [list(size) for size in SIZES]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no broken pipes of this kind")
def test_command_ends_quietly_when_the_reader_of_its_output_goes_away(bundle: Path) -> None:
    process = subprocess.Popen(
        [str(EXECUTABLE), "inspect", str(bundle), "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    process.stdout.close()

    assert process.stderr is not None
    assert process.stderr.read() == ""
    assert process.wait(TIMEOUT_S) == 1


def test_doctor_explains_every_runtime_and_the_choice(bundle: Path) -> None:
    result = run_command("doctor", "--bundle", bundle, "--json")

    assert result.returncode == 0, result.stderr
    report = json.loads(result.stdout)
    runtimes = {row["runtime"]: row for row in report["runtimes"]}
    assert runtimes["ort"]["usable"] is True
    assert runtimes["ort"]["device"] == "CPUExecutionProvider"
    assert "CPUExecutionProvider" in runtimes["ort"]["providers"]
    assert all(row["reason"] for row in runtimes.values())
    (choice,) = report["bundles"]
    assert choice["runtime"] in runtimes
    assert all(item["reason"] for item in choice["rejected"])
    assert report["host"]["usable_cores"] >= 1
    assert set(report["gpu"]) >= {"gpus", "driver", "jetpack", "tensorrt"}
    assert all(set(problem) == {"what", "fix"} for problem in report["problems"])
    assert set(report["kernels"]) == {"usable", "reason"}
    assert report["kernels"]["reason"]
    assert {item["name"] for item in report["environment"]} >= {"PIXIO_EDGE_MAX_PIXELS", "PIXIO_EDGE_THREADS"}


def test_doctor_blames_the_bundle_and_no_runtime_when_a_file_is_damaged(tmp_path: Path) -> None:
    folder = write_tiny_bundle(tmp_path / "altered").folder
    content = bytearray((folder / "weights.bin").read_bytes())
    content[100] ^= 1
    (folder / "weights.bin").write_bytes(content)

    assert_one_line_error(run_command("doctor", "--bundle", folder), "weights.bin", "altered")


def test_doctor_ends_with_1_when_nothing_of_the_bundle_can_run(tmp_path: Path) -> None:
    folder = write_tiny_bundle(tmp_path / "unverified", verified=False).folder

    result = run_command("doctor", "--bundle", folder)

    assert_one_line_error(result, "nothing in bundle tiny can run", exit_code=1)
    assert "never verified" in result.stdout
    assert "\nkernels   " in result.stdout


def test_verify_runs_every_artifact_on_ort_and_ends_with_0(bundle: Path) -> None:
    result = run_command("verify", bundle, "--json")

    assert result.returncode == 0, result.stderr
    rows = json.loads(result.stdout)["results"]
    outcomes = {(row["artifact"], row["runtime"], row["precision"]): row for row in rows}
    for height, width in SIZES:
        row = outcomes[f"onnx-fp32-{height}x{width}", "ort", "fp32"]
        assert row["status"] == "ok"
        assert 0 <= row["margin"] <= 1


def test_verify_ends_with_1_and_names_the_artifact_when_the_output_differs(tmp_path: Path) -> None:
    folder = tmp_path / "wrong"
    write_tiny_bundle(folder, sizes=SIZES[:1])
    replace_weights(folder, tmp_path / "altered")

    result = run_command("verify", tmp_path / "altered", "--runtime", "ort")

    assert_one_line_error(result, "1 of 1 checks failed", "onnx-fp32-32x32 on ort", exit_code=1)
    assert "parity fails" in result.stdout


def replace_weights(source: Path, target: Path) -> None:
    """Write the same bundle with honest hashes and other weights, so that only the comparison can find it."""
    original = Bundle.open(source)
    header = BundleHeader(**{name: getattr(original.manifest, name) for name in BundleHeader.model_fields})
    other = tiny_weights(seed=1)
    with write_bundle(target, header) as writer:
        (writer.folder / "weights.bin").write_bytes(other.first.tobytes() + other.second.tobytes())
        data = writer.describe("weights.bin", "weights")
        (artifact,) = original.artifacts
        (writer.folder / artifact.path).write_bytes(tiny_graph(artifact.size, other))
        shutil.copy(source / str(artifact.golden), writer.folder)
        writer.add_file(str(artifact.golden), "golden")
        graph = writer.describe(artifact.path, "graph")
        changed = {"data": (data,), "sha256": graph.sha256, "bytes": graph.bytes}
        writer.add_artifact(artifact.model_copy(update=changed))


def test_benchmark_prints_and_appends_one_record_for_each_measurement(bundle: Path, tmp_path: Path) -> None:
    out = tmp_path / "records" / "latency.jsonl"
    arguments = ("benchmark", bundle, "--runtime", "ort", "--size", "32x48", "--threads", "1", "--runs", "10")

    result = run_command(*arguments, "--json", "--out", out)

    assert result.returncode == 0, result.stderr
    (record,) = json.loads(result.stdout)
    assert (record["runtime"], record["precision"], record["size"]) == ("ort", "fp32", [32, 48])
    assert (record["status"], record["threads"], record["runs"]) == ("ok", 1, 10)
    assert 0 < record["p50_ms"] <= record["p90_ms"] <= record["p99_ms"]
    assert record["float_ops"] == 2  # the two convolutions of the tiny network
    assert json.loads(out.read_text()) == record


def test_benchmark_gives_no_time_and_ends_with_1_when_the_output_is_wrong(tmp_path: Path) -> None:
    write_tiny_bundle(tmp_path / "right", sizes=SIZES[:1])
    replace_weights(tmp_path / "right", tmp_path / "wrong")

    result = run_command("benchmark", tmp_path / "wrong", "--runtime", "ort", "--json")

    assert_one_line_error(result, "not timed", exit_code=1)
    (record,) = json.loads(result.stdout)
    assert record["status"] == "failed_accuracy"
    assert record["reason"].startswith("parity fails")
    assert record["p50_ms"] is None


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """Two sets of two images whose true depth grows downwards with the colour of the image."""
    for name in ("ramp", "slope"):
        folder = tmp_path / "sets" / name
        folder.mkdir(parents=True)
        lines = ["rgb,depth,scale"]
        for index in range(2):
            grey = np.repeat(np.linspace(250, 20 + index, 40)[:, None], 60, axis=1).astype(np.uint8)
            cv2.imwrite(str(folder / f"{index}.png"), cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR))
            cv2.imwrite(str(folder / f"{index}.depth.png"), (250_000 / (grey.astype(np.float32) + 5)).astype(np.uint16))
            lines.append(f"{index}.png,{index}.depth.png,1000")
        (folder / INDEX_NAME).write_text("\n".join(lines) + "\n")
    return tmp_path / "sets"


def test_evaluate_prints_macro_sets_and_floor_when_json_is_asked_for(bundle: Path, dataset: Path) -> None:
    result = run_command("evaluate", bundle, "--data", dataset, "--json")

    assert result.returncode == 0, result.stderr
    report = json.loads(result.stdout)
    assert list(report["sets"]) == ["ramp", "slope"]
    # The tiny network is brightness, weighted: the true inverse depth of these images up to scale and shift.
    assert report["macro"]["delta1"] > 0.9
    assert {"delta1", "abs_rel", "floor_delta1", "images"} <= set(report["sets"]["ramp"])


def test_evaluate_draws_a_sheet_when_asked(bundle: Path, dataset: Path, tmp_path: Path) -> None:
    result = run_command("evaluate", bundle, "--data", dataset, "--sheet", tmp_path / "sheet.png")

    assert result.returncode == 0, result.stderr
    assert cv2.imread(str(tmp_path / "sheet.png")).shape[1] == GAP + 4 * (CELL_SIZE[1] + GAP)


def test_evaluate_takes_one_set_when_named(bundle: Path, dataset: Path) -> None:
    result = run_command("evaluate", bundle, "--data", dataset, "--set", "slope", "--json")

    assert list(json.loads(result.stdout)["sets"]) == ["slope"]


def test_evaluate_explains_itself_in_one_line_when_the_set_is_unknown(bundle: Path, dataset: Path) -> None:
    result = run_command("evaluate", bundle, "--data", dataset, "--set", "moon")

    assert_one_line_error(result, "moon", "ramp, slope")


def test_evaluate_explains_itself_in_one_line_when_there_is_no_data(bundle: Path, tmp_path: Path) -> None:
    assert_one_line_error(run_command("evaluate", bundle, "--data", tmp_path), "no data set")
    assert_one_line_error(run_command("evaluate", bundle), "--data")
