"""The choice of artifact and runtime, for machines that are not at hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixio_edge.errors import RuntimeUnavailableError, SpecError
from pixio_edge.host import PACKAGES, Host
from pixio_edge.manifest import ArtifactEntry, Requirements
from pixio_edge.resolve import RuntimeRequest, choose_size, resolve
from pixio_edge.runtimes.registry import RUNTIMES, runtime_status
from pixio_edge.tensor import TensorSpec

X86 = Host(
    os="Linux 6",
    arch="x86_64",
    cpu="some",
    logical_cores=8,
    physical_cores=4,
    affinity=tuple(range(8)),
    usable_cores=4,
    isa=("avx2", "avx512f", "avx512_bf16"),
    ram_mib=16_000,
    python="3.11.0",
    packages={"onnxruntime": "1.20.0", "openvino": "2025.0", "torch": "2.9"},
)
ARM = replace(X86, arch="aarch64", isa=("asimddp",))
BARE = replace(X86, packages={"onnxruntime": "1.20.0"})


def artifact(size: tuple[int, int] = (256, 256), **changes: Any) -> ArtifactEntry:
    precision, kind = changes.get("precision", "fp32"), changes.get("kind", "onnx")
    fields: dict[str, Any] = {
        "name": f"{kind}-{precision}-{size[0]}x{size[1]}",
        "kind": kind,
        "precision": precision,
        "size": size,
        "path": "graph.onnx",
        "sha256": "0" * 64,
        "bytes": 1,
        "inputs": (TensorSpec("image", (1, *size, 3), "uint8"),),
        "outputs": (TensorSpec("depth", (1, *size), "float32"),),
        "requires": Requirements(runtimes=("ort", "openvino")),
        "verified": True,
    }
    return ArtifactEntry(**(fields | changes))


LADDER = (artifact((256, 256)), artifact((192, 320)), artifact((320, 192)))
INT8_OPENVINO = artifact(precision="int8", requires=Requirements(runtimes=("openvino",)))


@pytest.mark.parametrize(
    ("host", "runtime"), [(X86, "openvino"), (ARM, "ort"), (BARE, "ort"), (replace(X86, arch="AMD64"), "openvino")]
)
def test_best_installed_runtime_of_the_host_is_chosen(host: Host, runtime: str) -> None:
    resolution = resolve(LADDER, host, RuntimeRequest())

    assert (resolution.runtime, resolution.precision) == (runtime, "fp32")
    assert resolution.ladder == LADDER
    assert resolution.chosen == LADDER[0]


def test_rejections_say_why_for_every_other_pair() -> None:
    resolution = resolve((*LADDER, INT8_OPENVINO), BARE, RuntimeRequest())

    reasons = {(item.artifact, item.runtime): item.reason for item in resolution.rejected}
    assert len(reasons) == 5
    assert reasons["onnx-fp32-256x256", "openvino"] == (
        "openvino is not installed. Fix: pip install 'pixio-edge[openvino]'"
    )
    assert reasons["onnx-int8-256x256", "ort"] == "was built for openvino"


def test_requested_runtime_is_the_only_one_looked_at() -> None:
    resolution = resolve(LADDER, X86, RuntimeRequest(runtime="ort"))

    assert resolution.runtime == "ort"
    assert resolution.rejected == ()


def test_requested_runtime_that_is_missing_is_not_replaced_by_another() -> None:
    with pytest.raises(
        RuntimeUnavailableError, match=r"openvino is not installed. Fix: pip install 'pixio-edge\[openvino\]'"
    ):
        resolve(LADDER, BARE, RuntimeRequest(runtime="openvino"))


def test_unknown_runtime_lists_the_known_ones() -> None:
    with pytest.raises(RuntimeUnavailableError, match=f"'tpu': unknown, expected one of: {', '.join(RUNTIMES)}"):
        resolve(LADDER, X86, RuntimeRequest(runtime="tpu"))


def test_bf16_is_chosen_only_when_asked_for() -> None:
    assert resolve(LADDER, X86, RuntimeRequest()).precision == "fp32"
    assert resolve(LADDER, X86, RuntimeRequest(precision="bf16")).precision == "bf16"


def test_bf16_is_refused_on_a_processor_that_is_known_to_lack_it() -> None:
    host = replace(X86, isa=("avx2",))

    with pytest.raises(RuntimeUnavailableError, match="no bf16 arithmetic"):
        resolve(LADDER, host, RuntimeRequest(runtime="openvino", precision="bf16"))


def test_bf16_is_left_to_the_engine_where_the_system_does_not_tell() -> None:
    host = replace(X86, isa=())

    assert resolve(LADDER, host, RuntimeRequest(precision="bf16")).runtime == "openvino"


def test_bf16_is_never_promised_by_ort() -> None:
    with pytest.raises(RuntimeUnavailableError, match="does not execute a fp32 artifact in bf16"):
        resolve(LADDER, X86, RuntimeRequest(runtime="ort", precision="bf16"))


def test_int8_is_chosen_only_when_asked_for() -> None:
    artifacts = (INT8_OPENVINO, *LADDER)

    assert resolve(artifacts, X86, RuntimeRequest()).ladder == LADDER
    assert resolve(artifacts, X86, RuntimeRequest(precision="int8")).ladder == (INT8_OPENVINO,)


def test_reason_is_said_once_when_a_whole_ladder_fails_for_it() -> None:
    with pytest.raises(RuntimeUnavailableError) as caught:
        resolve(LADDER, X86, RuntimeRequest(runtime="ort", precision="bf16"))

    assert str(caught.value).count("does not execute a fp32 artifact in bf16") == 1
    assert f"{LADDER[0].name} and {len(LADDER) - 1} more" in str(caught.value)


def test_requested_size_is_exact() -> None:
    assert resolve(LADDER, X86, RuntimeRequest(size=(192, 320))).ladder == LADDER[1:2]
    with pytest.raises(RuntimeUnavailableError, match=r"got 200x300, expected one of .*320x192"):
        resolve(LADDER, X86, RuntimeRequest(size=(200, 300)))


def test_unverified_artifacts_are_chosen_only_when_allowed() -> None:
    artifacts = (artifact(verified=False),)

    with pytest.raises(RuntimeUnavailableError, match="never verified on real hardware"):
        resolve(artifacts, X86, RuntimeRequest())
    assert resolve(artifacts, X86, RuntimeRequest(allow_unverified=True)).ladder == artifacts


def test_artifact_kind_that_no_runtime_knows_is_rejected_with_the_reason() -> None:
    artifacts = (artifact(kind="engine"), *LADDER)

    resolution = resolve(artifacts, X86, RuntimeRequest())

    assert resolution.ladder == LADDER
    assert resolution.rejected[0].reason == "runs onnx, not engine"


def test_pytorch_runs_only_when_asked_for() -> None:
    artifacts = (artifact(kind="safetensors", requires=Requirements(runtimes=("pytorch",))),)

    with pytest.raises(RuntimeUnavailableError, match="runs onnx, not safetensors"):
        resolve(artifacts, X86, RuntimeRequest())
    assert resolve(artifacts, X86, RuntimeRequest(runtime="pytorch")).runtime == "pytorch"


def test_failure_is_one_line_with_a_fix_even_for_an_empty_bundle() -> None:
    with pytest.raises(RuntimeUnavailableError) as caught:
        resolve((), X86, RuntimeRequest())

    assert "the bundle has no artifacts. Fix: " in str(caught.value)
    assert "\n" not in str(caught.value)


def test_every_registered_runtime_has_a_status_with_a_fix_when_unusable() -> None:
    status = runtime_status(replace(X86, packages={}))

    assert set(status) == set(RUNTIMES)
    assert all(not item.usable and "Fix: pip install" in item.reason for item in status.values())


def test_host_looks_for_every_package_that_makes_a_runtime_usable() -> None:
    packages = {package for entry in RUNTIMES.values() for package in entry.packages}

    assert packages <= set(PACKAGES)


SIZES = [(256, 256), (384, 384), (192, 320), (320, 192)]


@pytest.mark.parametrize(
    ("image_size", "expected"),
    [
        ((1000, 1000), (384, 384)),
        ((720, 1280), (192, 320)),
        ((1920, 1080), (320, 192)),
        ((480, 640), (192, 320)),
        ((480, 560), (384, 384)),
        ((1, 1), (384, 384)),
        ((7, 5000), (192, 320)),
        ((5000, 7), (320, 192)),
    ],
)
def test_size_of_the_nearest_aspect_ratio_is_chosen(image_size: tuple[int, int], expected: tuple[int, int]) -> None:
    assert choose_size(SIZES, image_size) == expected
    assert choose_size(SIZES[::-1], image_size) == expected


@given(st.tuples(st.integers(1, 10_000), st.integers(1, 10_000)))
def test_turning_the_image_turns_the_choice(image_size: tuple[int, int]) -> None:
    chosen = choose_size(SIZES, image_size)

    turned = choose_size(SIZES, image_size[::-1])

    square = image_size[0] == image_size[1]
    assert turned == chosen[::-1] or square


def test_no_sizes_is_an_error() -> None:
    with pytest.raises(SpecError, match="sizes: got none"):
        choose_size([], (1, 1))
