"""Core ML keeps the contract: on a Mac for real, elsewhere under the real coremltools on an imitation of Core ML."""

from __future__ import annotations

import platform
import shutil
import sys
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

pytest.importorskip("torch", reason="the extra 'coreml' is not installed")
pytest.importorskip("coremltools", reason="the extra 'coreml' is not installed")
pytest.importorskip("PIL", reason="pillow is not installed")

from pixio_edge.bundle import Bundle
from pixio_edge.errors import BundleError, MissingDependencyError, RuntimeUnavailableError
from pixio_edge.host import probe_host
from pixio_edge.parity import Tolerance
from pixio_edge.runtimes.base import Runtime, RuntimeOptions
from pixio_edge.runtimes.coreml import TIMED_RUNS, WARMUP_RUNS
from pixio_edge.runtimes.registry import list_providers, make_runtime, runtime_status
from tests.contracts.runtime_contract import THREADS, RuntimeContract
from tests.coreml_packages import SIZES, tiny_reference, write_coreml_bundle
from tests.fake_coreml import FakeCoreMl
from tests.tiny_bundle import tiny_image

IS_MACOS = platform.system() == "Darwin"
# fp16 rounds the image, two layers and the depth: four times 2^-11.
FP16_TOLERANCE = Tolerance(max_rel=4 * 2**-11)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return write_coreml_bundle(tmp_path_factory.mktemp("coreml") / "tiny")


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeCoreMl:
    fake = FakeCoreMl()
    fake.install(monkeypatch, with_clock=True)
    return fake


class TestCoreMl(RuntimeContract):
    runtime_name = "coreml"
    # On a Mac the unit that runs all of it, so that nothing falls back.
    options: ClassVar[RuntimeOptions] = RuntimeOptions(threads=THREADS, provider="cpu_only" if IS_MACOS else None)

    @pytest.fixture(autouse=True)
    def _core_ml(self, monkeypatch: pytest.MonkeyPatch) -> None:
        if not IS_MACOS:
            FakeCoreMl().install(monkeypatch)


@pytest.mark.parametrize("image_output", [False, True])
def test_half_precision_comes_out_as_float32_with_three_dimensions(
    tmp_path: Path, fake: FakeCoreMl, image_output: bool
) -> None:
    bundle = write_coreml_bundle(
        tmp_path / "half", sizes=SIZES[:1], precision="fp16", tolerance=FP16_TOLERANCE, image_output=image_output
    )
    artifact = bundle.artifacts[0]
    image = tiny_image(artifact.size)[None]

    with make_runtime("coreml", bundle.read_artifact(artifact), RuntimeOptions(precision="fp16")) as runtime:
        depth = runtime.run({"image": image})["depth"]
        info = runtime.info(profile=True)

    assert (depth.dtype, depth.shape) == (np.float32, (1, *artifact.size))
    np.testing.assert_allclose(depth, tiny_reference(image), rtol=4 * 2**-11)
    assert info.kernels is not None
    assert info.kernels["conv/fp16"] == 2


def open_coreml(bundle: Bundle, options: RuntimeOptions | None = None) -> Runtime:
    return make_runtime("coreml", bundle.read_artifact(bundle.artifacts[0]), options or RuntimeOptions())


def test_fastest_compute_unit_is_taken_and_all_times_are_told(bundle: Bundle, fake: FakeCoreMl) -> None:
    fake.seconds = {"CPU_AND_NE": 0.004, "CPU_AND_GPU": 0.002, "ALL": 0.003, "CPU_ONLY": 0.008}

    with open_coreml(bundle) as runtime:
        info = runtime.info()

    assert info.device == "cpu_and_gpu"
    assert info.device_ms == pytest.approx({"cpu_and_ne": 4.0, "cpu_and_gpu": 2.0, "all": 3.0, "cpu_only": 8.0})
    assert fake.loaded == ["CPU_AND_NE", "CPU_AND_GPU", "ALL", "CPU_ONLY"]


def test_median_passes_over_interruptions_and_the_first_runs(bundle: Bundle, fake: FakeCoreMl) -> None:
    fake.seconds = {"CPU_AND_NE": 0.001, "CPU_AND_GPU": 0.002, "ALL": 0.002, "CPU_ONLY": 0.002}
    # Runs on the first unit: those that warm up, and two that are timed. With the former, they would be the majority.
    last = WARMUP_RUNS + TIMED_RUNS - 1
    fake.interruptions = {*range(WARMUP_RUNS), last - 1, last}

    with open_coreml(bundle) as runtime:
        info = runtime.info()

    assert info.device == "cpu_and_ne"
    assert info.device_ms == pytest.approx({"cpu_and_ne": 1.0, "cpu_and_gpu": 2.0, "all": 2.0, "cpu_only": 2.0})


def test_choice_is_remembered_when_opened_again(bundle: Bundle, fake: FakeCoreMl) -> None:
    fake.seconds = {"CPU_ONLY": 0.0001}
    with open_coreml(bundle):
        pass
    fake.loaded.clear()
    fake.seconds = {"CPU_AND_NE": 0.0001, "CPU_ONLY": 1.0}

    with open_coreml(bundle) as runtime:
        info = runtime.info()

    assert fake.loaded == ["CPU_ONLY"]
    assert info.device == "cpu_only"
    assert info.device_ms is not None


def test_compute_unit_that_was_asked_for_is_not_measured_against_others(bundle: Bundle, fake: FakeCoreMl) -> None:
    with open_coreml(bundle, RuntimeOptions(provider="CPU_AND_NE")) as runtime:
        info = runtime.info()

    assert (info.device, info.device_ms) == ("cpu_and_ne", None)
    assert fake.loaded == ["CPU_AND_NE"]


def test_units_that_do_not_work_are_passed_over(bundle: Bundle, fake: FakeCoreMl) -> None:
    fake.broken = {"CPU_AND_NE": "no engine"}
    fake.failing = {"CPU_AND_GPU": "out of memory"}
    fake.infinite = frozenset({"ALL"})

    with open_coreml(bundle) as runtime:
        info = runtime.info()

    assert info.device == "cpu_only"
    assert set(info.device_ms or {}) == {"cpu_only"}


def test_package_that_runs_nowhere_is_refused_with_every_reason(bundle: Bundle, fake: FakeCoreMl) -> None:
    fake.broken = {"CPU_AND_NE": "no engine"}
    fake.failing = {"CPU_AND_GPU": "out of memory", "CPU_ONLY": "never"}
    fake.infinite = frozenset({"ALL"})
    runtime = open_coreml(bundle)

    with pytest.raises(RuntimeUnavailableError) as caught:
        runtime.open()

    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith("coreml cannot run artifact 'coreml-fp32-16x24' (cpu_and_ne: ")
    assert all(reason in message for reason in ("no engine", "out of memory", "depth is not finite", "never", "Fix: "))
    assert not runtime.is_open


def test_unit_that_was_asked_for_and_gives_infinite_depth_is_refused(bundle: Bundle, fake: FakeCoreMl) -> None:
    fake.infinite = frozenset({"CPU_AND_NE"})

    with pytest.raises(RuntimeUnavailableError, match=r"\(cpu_and_ne: depth is not finite\)\. Fix: "):
        open_coreml(bundle, RuntimeOptions(provider="cpu_and_ne")).open()


def test_operations_that_run_elsewhere_are_fallbacks(bundle: Bundle, fake: FakeCoreMl) -> None:
    fake.elsewhere = {"relu": "cpu"}

    with open_coreml(bundle, RuntimeOptions(provider="cpu_and_ne")) as runtime:
        info = runtime.info(profile=True)

    assert info.fallbacks == ("relu on cpu",)
    assert info.float_ops == 2


def test_system_that_does_not_tell_where_operations_run_leaves_kernels_out(bundle: Bundle, fake: FakeCoreMl) -> None:
    fake.has_plan = False

    with open_coreml(bundle) as runtime:
        info = runtime.info(profile=True)

    assert (info.kernels, info.fallbacks) == (None, None)


def test_package_with_a_file_that_is_not_listed_is_refused(bundle: Bundle, tmp_path: Path, fake: FakeCoreMl) -> None:
    bundle = Bundle.open(shutil.copytree(bundle.folder, tmp_path / "more"))
    stray = bundle.folder / "coreml_16x24.mlpackage" / "Data" / "stray.bin"
    stray.write_bytes(b"1")

    with pytest.raises(BundleError, match=r"holds 'coreml_16x24\.mlpackage/Data/stray\.bin', which the manifest does"):
        open_coreml(bundle).open()
    assert fake.loaded == []


def test_other_precision_than_that_of_the_package_is_refused(bundle: Bundle, fake: FakeCoreMl) -> None:
    with pytest.raises(
        RuntimeUnavailableError, match=r"got precision 'fp16' .*, expected 'fp32', which is in the pack"
    ):
        open_coreml(bundle, RuntimeOptions(precision="fp16")).open()
    assert fake.loaded == []


def test_cores_to_pin_to_are_refused(bundle: Bundle, fake: FakeCoreMl) -> None:
    with pytest.raises(RuntimeUnavailableError, match=r"pin_cores: got \(0,\), but Core ML .*Fix: leave pin_cores out"):
        open_coreml(bundle, RuntimeOptions(pin_cores=(0,))).open()
    assert fake.loaded == []


@pytest.mark.skipif(IS_MACOS, reason="this is a Mac")
def test_other_systems_are_told_so_before_anything_is_imported(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "coremltools", None)

    with pytest.raises(RuntimeUnavailableError, match=r"this is \w+, expected macOS 13 or later\. Fix: "):
        open_coreml(bundle).open()


@pytest.mark.skipif(IS_MACOS, reason="this is a Mac")
def test_other_systems_find_the_runtime_unusable_although_coremltools_is_there() -> None:
    status = runtime_status(probe_host())["coreml"]

    assert not status.usable
    assert status.reason.startswith("runs on macOS only, this is ")


@pytest.mark.parametrize(("module", "package"), [("coremltools", "coremltools"), ("PIL.Image", "pillow")])
def test_package_that_is_missing_is_named_with_its_extra(
    bundle: Bundle, fake: FakeCoreMl, monkeypatch: pytest.MonkeyPatch, module: str, package: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)

    with pytest.raises(
        MissingDependencyError, match=rf"needs the package '{package}'.*pip install 'pixio-edge\[coreml\]'"
    ):
        open_coreml(bundle).open()


def test_providers_are_the_compute_units() -> None:
    assert list_providers("coreml") == ("cpu_and_ne", "cpu_and_gpu", "all", "cpu_only")
