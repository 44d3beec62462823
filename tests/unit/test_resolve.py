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
from pixio_edge.quantization import WEIGHTS_FLAVOUR, QuantizationEntry, SpeedEntry
from pixio_edge.resolve import RuntimeRequest, resolve
from pixio_edge.runtimes.registry import RUNTIMES, runtime_status
from pixio_edge.sizes import choose_size
from pixio_edge.tensor import TensorSpec

X86 = Host(
    os="Linux 6",
    arch="x86_64",
    cpu="some",
    logical_cores=8,
    physical_cores=4,
    affinity=tuple(range(8)),
    usable_cores=4,
    isa=("avx2", "avx512f", "avx512_vnni", "avx512_bf16"),
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
VNNI = ("avx512_vnni", "avx_vnni", "amx_int8")


def int8_artifact(
    runtime: str = "openvino", size: tuple[int, int] = (256, 256), *, speedup: float | None = 2.0, **changes: Any
) -> ArtifactEntry:
    """An INT8 artifact for one runtime, timed there unless `speedup` is None."""
    timed = (
        None
        if speedup is None
        else SpeedEntry(
            runtime=runtime,
            size=size,
            threads=2,
            float_ms=20.0 * speedup,
            int8_ms=20.0,
            speedup=speedup,
            rounds=3,
            int8_ops=50,
            float_ops=20,
            cpu="some",
        )
    )
    fields: dict[str, Any] = {
        "name": f"onnx-int8-{runtime}-{size[0]}x{size[1]}",
        "precision": "int8",
        "requires": Requirements(runtimes=(runtime,), isa=VNNI),
        "quantization": QuantizationEntry(flavour=runtime, speed=() if timed is None else (timed,)),
    }
    return artifact(size, **(fields | changes))


INT8_OPENVINO = int8_artifact()
INT8_LADDER = tuple(int8_artifact(size=entry.size) for entry in LADDER)


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
    assert reasons["onnx-int8-openvino-256x256", "ort"] == "was built for openvino"


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


def reason_against(artifacts: tuple[ArtifactEntry, ...], host: Host, request: RuntimeRequest, runtime: str) -> str:
    """Why the first artifact is not run; checks that fp32 is, in its place."""
    resolution = resolve(artifacts, host, request)
    assert (resolution.precision, resolution.ladder) == ("fp32", LADDER)
    return next(r.reason for r in resolution.rejected if (r.artifact, r.runtime) == (artifacts[0].name, runtime))


@pytest.mark.parametrize("artifacts", [(*INT8_LADDER, *LADDER), (*LADDER, *INT8_LADDER)])
def test_int8_is_chosen_unasked_where_it_was_measured_to_win(artifacts: tuple[ArtifactEntry, ...]) -> None:
    resolution = resolve(artifacts, X86, RuntimeRequest())

    assert (resolution.runtime, resolution.precision, resolution.ladder) == ("openvino", "int8", INT8_LADDER)
    reasons = {(item.artifact, item.runtime): item.reason for item in resolution.rejected}
    assert reasons[LADDER[0].name, "openvino"] == "'onnx-int8-openvino-256x256' was measured 2.00 times as fast"
    assert reasons[LADDER[0].name, "ort"] == "openvino is preferred on this host"


def test_fp32_is_always_run_when_asked_for() -> None:
    resolution = resolve((*INT8_LADDER, *LADDER), X86, RuntimeRequest(precision="fp32"))

    assert (resolution.precision, resolution.ladder) == ("fp32", LADDER)


def test_int8_that_was_not_faster_is_run_only_when_asked_for() -> None:
    for speedup in (None, 0.9, 1.0):
        slow = tuple(int8_artifact(size=entry.size, speedup=speedup) for entry in LADDER)

        assert "not measured to be faster in openvino" in reason_against(
            (*slow, *LADDER), X86, RuntimeRequest(), "openvino"
        )
        assert resolve((*slow, *LADDER), X86, RuntimeRequest(precision="int8")).ladder == slow


def test_int8_that_won_in_one_runtime_is_not_chosen_in_another() -> None:
    both = Requirements(runtimes=("openvino", "ort"), isa=VNNI)
    artifacts = (*(int8_artifact("ort", entry.size, requires=both) for entry in LADDER), *LADDER)

    reason = reason_against(artifacts, X86, RuntimeRequest(runtime="openvino"), "openvino")

    assert reason == "INT8 that was not measured to be faster in openvino, so not unless asked for"
    assert resolve(artifacts, BARE, RuntimeRequest()).precision == "int8"


def test_int8_that_won_comes_before_float_in_the_preferred_runtime() -> None:
    artifacts = (*(int8_artifact("ort", entry.size) for entry in LADDER), *LADDER)

    unasked = resolve(artifacts, X86, RuntimeRequest())
    as_float = resolve(artifacts, X86, RuntimeRequest(precision="fp32"))

    assert (unasked.runtime, unasked.precision) == ("ort", "int8")
    assert (as_float.runtime, as_float.precision) == ("openvino", "fp32")


@pytest.mark.parametrize(
    ("isa", "reason"), [(("avx2",), "this processor has none of"), ((), "not known to exist here")]
)
def test_int8_is_not_chosen_where_its_instructions_are_not_known_to_exist(isa: tuple[str, ...], reason: str) -> None:
    host = replace(X86, isa=isa)

    assert reason in reason_against((*INT8_LADDER, *LADDER), host, RuntimeRequest(), "openvino")


def test_int8_is_refused_even_when_asked_for_on_a_processor_that_is_known_to_lack_its_instructions() -> None:
    with pytest.raises(RuntimeUnavailableError, match="none of avx512_vnni, avx_vnni, amx_int8"):
        resolve(INT8_LADDER, replace(X86, isa=("avx2",)), RuntimeRequest(precision="int8"))


def test_int8_that_was_never_verified_is_not_chosen() -> None:
    artifacts = (*(int8_artifact(size=entry.size, verified=False) for entry in LADDER), *LADDER)

    assert "never verified" in reason_against(artifacts, X86, RuntimeRequest(), "openvino")


def test_int8_measured_on_the_cpu_is_not_chosen_for_another_provider() -> None:
    artifacts = (*INT8_LADDER, *LADDER)

    assert "not on GPU" in reason_against(artifacts, X86, RuntimeRequest(provider="GPU"), "openvino")
    assert resolve(artifacts, X86, RuntimeRequest(provider="CPU")).precision == "int8"


def test_int8_for_some_sizes_only_leaves_the_whole_ladder_to_fp32() -> None:
    artifacts = (*INT8_LADDER[:2], *LADDER)

    assert "INT8 for 2 of 3 sizes only" in reason_against(artifacts, X86, RuntimeRequest(), "openvino")
    assert resolve(artifacts, X86, RuntimeRequest(size=(192, 320))).ladder == INT8_LADDER[1:2]


def test_ladder_never_mixes_flavours() -> None:
    others = tuple(
        int8_artifact(size=entry.size, name=f"other-{index}", quantization=QuantizationEntry(flavour="other"))
        for index, entry in enumerate(LADDER)
    )

    resolution = resolve((*INT8_LADDER, *others, *LADDER), X86, RuntimeRequest(precision="int8"))

    assert resolution.ladder == INT8_LADDER


@pytest.mark.parametrize("storage", ["int8", "fp16"])
def test_small_weights_alone_are_never_taken_for_arithmetic_in_their_type(storage: Any) -> None:
    small = int8_artifact(name="small", precision=storage, quantization=QuantizationEntry(flavour=WEIGHTS_FLAVOUR))

    with pytest.raises(RuntimeUnavailableError, match=f"an fp32 graph with {storage} weights in {storage}"):
        resolve((small, *LADDER), X86, RuntimeRequest(precision=storage))
    assert resolve((small, INT8_OPENVINO), X86, RuntimeRequest(precision="int8")).ladder == (INT8_OPENVINO,)


def test_small_weights_alone_run_in_fp32_where_the_bundle_has_no_float_graph() -> None:
    small = int8_artifact(name="small", quantization=QuantizationEntry(flavour=WEIGHTS_FLAVOUR))

    assert resolve((small, *LADDER), X86, RuntimeRequest()).ladder == LADDER
    for asked in (RuntimeRequest(), RuntimeRequest(precision="fp32")):
        resolution = resolve((small,), X86, asked)
        assert (resolution.ladder, resolution.precision) == ((small,), "fp32")


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
    elsewhere = {name for name, entry in RUNTIMES.items() if entry.system not in ("", "Linux")}
    assert all(not item.usable for item in status.values())
    assert all("Fix: pip install" in item.reason for name, item in status.items() if name not in elsewhere)
    assert all("Fix: choose another runtime" in status[name].reason for name in elsewhere)


def test_runtime_of_one_system_is_usable_only_there() -> None:
    packages = {"coremltools": "9.1"}
    mac = replace(ARM, os="Darwin 24.5.0", packages=packages)

    assert runtime_status(mac)["coreml"].usable
    assert runtime_status(replace(mac, packages={}))["coreml"].reason.endswith("pip install 'pixio-edge[coreml]'")
    linux = runtime_status(replace(X86, packages=packages))["coreml"]
    assert not linux.usable
    assert linux.reason == "runs on macOS only, this is Linux. Fix: choose another runtime"


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
