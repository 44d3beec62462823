"""Stored outputs: read with care, and compared within the limits of what was executed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pixio_edge.bundle import Bundle
from pixio_edge.bundle_writer import write_bundle
from pixio_edge.errors import BundleError
from pixio_edge.golden import BF16_TOLERANCE, check_golden, read_golden, tolerance_for
from pixio_edge.runtimes.base import RuntimeOptions
from pixio_edge.runtimes.registry import make_runtime
from tests.tiny_bundle import TINY_TOLERANCE, tiny_header, write_tiny_bundle


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return write_tiny_bundle(tmp_path / "tiny", sizes=((32, 48),))


def with_golden(bundle: Bundle, target: Path, content: bytes) -> Bundle:
    """The same bundle with honest hashes and another golden file."""
    (artifact,) = bundle.artifacts
    with write_bundle(target, tiny_header()) as writer:
        for entry in (artifact.file, *artifact.data):
            (writer.folder / entry.path).write_bytes((bundle.folder / entry.path).read_bytes())
        (writer.folder / str(artifact.golden)).write_bytes(content)
        writer.add_file(str(artifact.golden), "golden")
        writer.add_artifact(artifact)
    return Bundle.open(target)


def npz_without_depth(folder: Path) -> bytes:
    np.savez(folder / "other.npz", image=np.zeros(3, np.uint8))
    return (folder / "other.npz").read_bytes()


def npz_with_objects(folder: Path) -> bytes:
    np.savez(folder / "objects.npz", image=np.array([{}], object), depth=np.zeros(3, np.float32))
    return (folder / "objects.npz").read_bytes()


def test_golden_is_the_input_and_the_reference_of_the_artifact(bundle: Bundle) -> None:
    image, depth = read_golden(bundle, bundle.artifacts[0])

    assert (image.dtype, image.shape) == (np.uint8, (1, 32, 48, 3))
    assert (depth.dtype, depth.shape) == (np.float32, (1, 32, 48))


def test_runtime_that_computes_the_reference_passes(bundle: Bundle) -> None:
    artifact = bundle.read_artifact(bundle.artifacts[0])

    with make_runtime("ort", artifact, RuntimeOptions(threads=1)) as runtime:
        report = check_golden(bundle, runtime)

    assert report, report.message
    assert report.tolerance == TINY_TOLERANCE


@pytest.mark.parametrize(
    "make",
    [
        lambda _: b"PK\x03\x04 but no archive",
        lambda _: b"no npz",
        lambda _: b"",
        npz_without_depth,
        npz_with_objects,
    ],
    ids=["broken archive", "text", "empty", "no depth", "pickled objects"],
)
def test_golden_that_is_not_one_is_a_bundle_error_though_its_hash_fits(bundle: Bundle, tmp_path: Path, make) -> None:
    hostile = with_golden(bundle, tmp_path / "hostile", make(tmp_path))

    with pytest.raises(BundleError, match=r"golden_32x48\.npz: not an npz with 'image' and 'depth' .*Fix: "):
        read_golden(hostile, hostile.artifacts[0])


def test_limits_are_those_of_the_manifest_but_for_an_fp32_artifact_executed_in_bf16(bundle: Bundle) -> None:
    (artifact,) = bundle.artifacts

    assert tolerance_for(artifact, "fp32") == TINY_TOLERANCE
    assert tolerance_for(artifact, "bf16") == BF16_TOLERANCE


@pytest.mark.parametrize("missing", ["golden", "tolerance"])
def test_artifact_without_golden_output_or_limits_says_so(bundle: Bundle, missing: str) -> None:
    artifact = bundle.artifacts[0].model_copy(update={missing: None})

    with pytest.raises(BundleError, match=rf"{missing}.*Fix: export the bundle"):
        read_golden(bundle, artifact)
        tolerance_for(artifact, "fp32")
