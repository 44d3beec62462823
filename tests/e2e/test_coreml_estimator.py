"""From weights to depth through Core ML: exported, opened by the estimator, and run on an imitation of Core ML."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch", reason="the extra 'coreml' is not installed")
pytest.importorskip("coremltools", reason="the extra 'coreml' is not installed")
pytest.importorskip("PIL", reason="pillow is not installed")

from pixio_edge import DepthEstimator
from pixio_edge.bundle import Bundle
from pixio_edge.bundle_writer import write_bundle
from pixio_edge.errors import RuntimeUnavailableError
from pixio_edge.export.bundle_details import BundleDetails
from pixio_edge.export.coreml.artifacts import add_coreml
from pixio_edge.export.pipeline import export_bundle
from pixio_edge.golden import check_golden
from pixio_edge.manifest import LicenceEntry
from pixio_edge.runtimes.base import RuntimeOptions
from pixio_edge.runtimes.registry import make_runtime
from tests.coreml_models import tiny_model
from tests.fake_coreml import FakeCoreMl
from tests.tiny_bundle import tiny_image

pytestmark = pytest.mark.slow  # two exports

SIZE = (64, 64)
TERMS = LicenceEntry(weights="Apache-2.0", commercial=True, notice="made of random numbers")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder = tmp_path_factory.mktemp("coreml")
    plain = export_bundle(tiny_model(), folder / "plain", details=BundleDetails("tiny", "tiny", TERMS), sizes=(SIZE,))
    with write_bundle(folder / "packages", plain.manifest) as writer:
        writer.take_over(plain)
        add_coreml(plain, writer, variants=("fp16",), output="image")
    return Bundle.open(folder / "packages")


def test_estimator_predicts_with_an_exported_package(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeCoreMl(seconds={"CPU_AND_NE": 0.001, "CPU_AND_GPU": 0.002, "ALL": 0.003, "CPU_ONLY": 0.004})
    fake.install(monkeypatch, with_clock=True)
    image = tiny_image((80, 80))

    with DepthEstimator.open(bundle.folder, runtime="ort") as reference:
        expected = reference.predict(image).values
    with DepthEstimator.open(bundle.folder, runtime="coreml", allow_unverified=True) as estimator:
        found = estimator.predict(image).values

    assert set(fake.loaded) == {"CPU_AND_NE", "CPU_AND_GPU", "ALL", "CPU_ONLY"}
    assert found.shape == (80, 80)
    # Half precision against float32 on noise: 0.001 here.
    assert np.linalg.norm(found - expected) < 0.01 * np.linalg.norm(expected)


def test_exported_package_is_within_its_tolerance(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    FakeCoreMl().install(monkeypatch)
    entry = next(artifact for artifact in bundle.artifacts if artifact.kind == "coreml")

    with make_runtime("coreml", bundle.read_artifact(entry), RuntimeOptions(precision="fp16")) as runtime:
        report = check_golden(bundle, runtime)

    assert report, report.message


def test_package_that_never_ran_on_a_mac_is_not_chosen_unasked(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    FakeCoreMl().install(monkeypatch)

    with pytest.raises(RuntimeUnavailableError, match="never verified on real hardware"):
        DepthEstimator.open(bundle.folder, runtime="coreml")
