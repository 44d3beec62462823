"""What insisting on commercial use refuses, and where."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_bundle import tiny_header, write_tiny_bundle

from pixio_edge.bundle import Bundle
from pixio_edge.bundle_writer import rewrite_manifest, write_bundle
from pixio_edge.cli.export_weights import read_terms
from pixio_edge.errors import InputError, LicenceError
from pixio_edge.licences import check_commercial
from pixio_edge.manifest import LicenceEntry
from pixio_edge.models.checkpoints import load_checkpoint, save_checkpoint
from pixio_edge.models.presets import build_model
from pixio_edge.weights.catalogue import find_weights
from pixio_edge.weights.lock import Lock, lock_path, write_lock
from pixio_edge.weights.terms import licence_of

SWITCH = "PIXIO_EDGE_REQUIRE_COMMERCIAL"
FREE = LicenceEntry(weights="Apache-2.0", commercial=True, notice="")
NONCOMMERCIAL = LicenceEntry(weights="CC-BY-NC-4.0", commercial=False, notice="distilled from a noncommercial teacher")


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A bundle that was distilled from noncommercial weights."""
    folder = tmp_path / "student"
    manifest = write_tiny_bundle(folder, sizes=((32, 32),)).manifest
    rewrite_manifest(folder, manifest.model_copy(update={"licence": NONCOMMERCIAL}))
    return folder


@pytest.fixture
def insist(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SWITCH, "1")


def pin(weights: Path, licence: LicenceEntry) -> None:
    write_lock(
        weights,
        Lock(
            name="a",
            repository="b/c",
            file=weights.name,
            commit="1" * 40,
            sha256="2" * 64,
            bytes=1,
            licence=licence,
            tool="tests",
        ),
    )


@pytest.mark.parametrize(
    ("licence", "switch", "insist", "is_refused"),
    [
        (NONCOMMERCIAL, None, None, False),
        (NONCOMMERCIAL, "1", None, True),
        (NONCOMMERCIAL, None, True, True),
        (NONCOMMERCIAL, "1", False, False),
        (FREE, "1", True, False),
    ],
)
def test_check_refuses_only_noncommercial_weights_and_only_when_it_is_insisted_on(
    monkeypatch: pytest.MonkeyPatch, licence: LicenceEntry, switch: str | None, insist: bool | None, is_refused: bool
) -> None:
    monkeypatch.delenv(SWITCH, raising=False)
    if switch is not None:
        monkeypatch.setenv(SWITCH, switch)

    if is_refused:
        with pytest.raises(LicenceError, match=r"mine: licence CC-BY-NC-4\.0 forbids commercial use.*Fix: use other"):
            check_commercial(licence, what="mine", insist=insist)
    else:
        check_commercial(licence, what="mine", insist=insist)


def test_bundle_with_a_noncommercial_teacher_opens_unless_commercial_use_is_insisted_on(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(SWITCH, raising=False)

    assert Bundle.open(bundle).manifest.licence == NONCOMMERCIAL
    with pytest.raises(LicenceError, match="forbids commercial use"):
        Bundle.open(bundle, require_commercial=True)


def test_bundle_is_refused_by_the_environment(bundle: Path, insist: None) -> None:
    with pytest.raises(LicenceError, match=SWITCH):
        Bundle.open(bundle)

    assert Bundle.open(bundle, require_commercial=False).manifest.licence == NONCOMMERCIAL


def test_embedded_bundle_may_be_used_commercially(insist: None) -> None:
    assert Bundle.open("nano").manifest.licence.commercial


def test_noncommercial_bundle_is_not_written_when_commercial_use_is_insisted_on(tmp_path: Path, insist: None) -> None:
    header = tiny_header().model_copy(update={"licence": NONCOMMERCIAL})

    with pytest.raises(LicenceError, match="forbids commercial use"), write_bundle(tmp_path / "new", header):
        pytest.fail("no work may be done")

    assert list(tmp_path.iterdir()) == []


def test_checkpoint_with_a_noncommercial_pin_is_refused_before_it_is_read(tmp_path: Path, insist: None) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"not even weights")
    pin(path, NONCOMMERCIAL)

    with pytest.raises(LicenceError, match=r"model\.safetensors: licence CC-BY-NC-4\.0"):
        load_checkpoint(path)


@pytest.mark.parametrize("is_pinned", [True, False])
def test_checkpoint_that_is_free_or_unknown_loads(tmp_path: Path, insist: None, is_pinned: bool) -> None:
    path = tmp_path / "model.safetensors"
    save_checkpoint(path, build_model("tiny"))
    if is_pinned:
        pin(path, FREE)

    assert load_checkpoint(path) is not None


def test_licence_is_known_from_the_name_when_there_is_no_pin(tmp_path: Path) -> None:
    assert licence_of(tmp_path / "pixio_vith16.pth") == find_weights("pixio-vith16").terms.to_entry()
    assert (
        licence_of(tmp_path / "depth_anything_v2_vits.pth") == find_weights("depth-anything-v2-small").terms.to_entry()
    )
    assert licence_of(tmp_path / "model.safetensors") is None


def test_licence_of_a_folder_is_the_strictest_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, licence in (("a.safetensors", FREE), ("b.safetensors", NONCOMMERCIAL), ("c.safetensors", FREE)):
        (tmp_path / name).touch()
        pin(tmp_path / name, licence)
    monkeypatch.chdir(tmp_path)

    assert licence_of(tmp_path) == licence_of(Path()) == NONCOMMERCIAL
    assert licence_of(tmp_path.parent) is None


def test_pin_goes_before_the_name(tmp_path: Path) -> None:
    path = tmp_path / "pixio_vith16.pth"
    pin(path, FREE)

    assert licence_of(path) == FREE


def test_licence_of_a_damaged_pin_is_not_guessed(tmp_path: Path) -> None:
    path = tmp_path / "pixio_vith16.pth"
    lock_path(path).write_text("{")

    with pytest.raises(InputError, match="not a record of a pull"):
        licence_of(path)


def test_export_takes_over_the_terms_of_pulled_weights(tmp_path: Path) -> None:
    path = tmp_path / "pixio_vith16.pth"
    path.touch()

    terms = read_terms(str(path), None, commercial=None, notice="")

    assert terms == find_weights("pixio-vith16").terms.to_entry()


def test_export_does_not_call_noncommercial_weights_commercial(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.touch()
    pin(path, NONCOMMERCIAL)

    with pytest.raises(LicenceError, match=r"got --commercial, expected --noncommercial as its licence CC-BY-NC-4\.0"):
        read_terms(str(path), "MIT", commercial=True, notice="")

    kept = read_terms(str(path), "CC-BY-NC-4.0", commercial=False, notice="mine")
    assert kept is not None
    assert not kept.commercial
