import os
from pathlib import Path
from typing import Any

import pytest
from engine_bundle import engine_record
from tiny_bundle import write_tiny_bundle

from pixio_edge import env
from pixio_edge.bundle import Bundle
from pixio_edge.engine_cache import (
    EngineRecord,
    HostGpu,
    artifact_digest,
    engine_folder,
    engine_path,
    explain_absence,
    find_engines,
    list_records,
    load_engine,
    read_engine,
    remove,
    store,
    write_record,
)
from pixio_edge.errors import InputError, OutputError, RuntimeUnavailableError
from pixio_edge.manifest import ArtifactEntry
from pixio_edge.parity import Tolerance

ORIN = HostGpu(library="tensorrt", version="10.3.0", sm="8.7", device="Orin")
DATA = b"engine" * 100


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PIXIO_EDGE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "engines"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return write_tiny_bundle(tmp_path_factory.mktemp("bundle") / "tiny", sizes=((32, 32), (32, 48)))


@pytest.fixture
def artifact(bundle: Bundle) -> ArtifactEntry:
    return bundle.artifacts[0]


def record_of(artifact: ArtifactEntry, gpu: HostGpu = ORIN, *, data: bytes = DATA, **changes: Any) -> EngineRecord:
    measured: dict[str, Any] = {"build_s": 61.5, "parity": {"margin": 0.4, "sqnr_db": None}}
    return engine_record(artifact, gpu, data, **(measured | changes))


def test_stored_engine_is_read_back_with_its_record(artifact: ArtifactEntry, cache: Path) -> None:
    record = record_of(artifact, pinned=("b", "a"), latency_ms={"fp32": 2.5}, agreement={"sqnr_db": None})

    path = store(record, DATA)

    assert path.is_relative_to(cache)
    assert read_engine(artifact, ORIN).data == DATA
    assert read_engine(artifact, ORIN).record == record


def test_engine_of_another_bundle_with_equal_graph_and_other_weights_is_not_found(artifact: ArtifactEntry) -> None:
    store(record_of(artifact), DATA)
    weights = artifact.data[0].model_copy(update={"sha256": "0" * 64})

    assert find_engines(artifact.model_copy(update={"data": (weights,)}), ORIN) == ()


@pytest.mark.parametrize(
    "change", [{"library": "tensorrt-rtx"}, {"version": "10.16.2"}, {"sm": "8.6"}, {"device": "Orin Nano"}]
)
def test_engine_is_refused_in_plain_words_when_it_is_foreign(artifact: ArtifactEntry, change: dict[str, str]) -> None:
    store(record_of(artifact), DATA)
    here = ORIN.model_copy(update=change)

    assert find_engines(artifact, here) == ()
    with pytest.raises(RuntimeUnavailableError) as caught:
        read_engine(artifact, here)
    assert "built by TensorRT 10.3.0 on Orin (SM 8.7), and an engine runs nowhere else" in str(caught.value)
    assert f"expected one for {here}. Fix: pixio-edge build BUNDLE" in str(caught.value)


def test_engine_is_refused_when_none_was_built_from_the_graph(bundle: Bundle) -> None:
    store(record_of(bundle.artifacts[0]), DATA)

    with pytest.raises(RuntimeUnavailableError, match=r"no engine was built from this graph.*Fix: pixio-edge build"):
        read_engine(bundle.artifacts[1], ORIN)


def test_engine_is_refused_when_it_was_cut_off(artifact: ArtifactEntry) -> None:
    path = store(record_of(artifact), DATA)
    path.write_bytes(DATA[:-1])

    assert find_engines(artifact, ORIN) == ()
    with pytest.raises(RuntimeUnavailableError, match=r"has 599 bytes of 600, it was cut off.*Fix: pixio-edge build"):
        read_engine(artifact, ORIN)


def test_engine_is_refused_when_its_file_is_gone(artifact: ArtifactEntry) -> None:
    record = record_of(artifact)
    store(record, DATA).unlink()

    assert "is missing" in explain_absence(artifact, ORIN)
    with pytest.raises(RuntimeUnavailableError, match=r"no such file.*Fix: pixio-edge build"):
        load_engine(record)


def test_engine_is_refused_when_a_byte_changed(artifact: ArtifactEntry) -> None:
    path = store(record_of(artifact), DATA)
    path.write_bytes(b"x" + DATA[1:])

    assert len(find_engines(artifact, ORIN)) == 1  # the length alone does not tell
    with pytest.raises(RuntimeUnavailableError, match=r"not those that were built.*Fix: pixio-edge build"):
        read_engine(artifact, ORIN)


@pytest.mark.parametrize("changes", [{"finite": False}, {"parity": {"margin": 1.01}}, {"parity": {"margin": None}}])
def test_engine_that_failed_its_checks_is_never_opened(artifact: ArtifactEntry, changes: dict[str, Any]) -> None:
    store(record_of(artifact, reason="its output is not finite", **changes), DATA)

    assert find_engines(artifact, ORIN) == ()
    with pytest.raises(RuntimeUnavailableError, match=r"failed the checks on this host \(its output is not finite\)"):
        read_engine(artifact, ORIN)


def test_engine_is_refused_when_the_bundle_tightens_its_tolerance(artifact: ArtifactEntry) -> None:
    measured = {"max_abs": 0.1, "max_rel": 0.04, "rel_l2": 0.02, "sqnr_db": 34.0, "margin": 0.4}
    store(record_of(artifact, parity=measured, tolerance=Tolerance(rel_l2=0.05)), DATA)
    wide = artifact.model_copy(update={"tolerance": Tolerance(rel_l2=0.03)})
    tight = artifact.model_copy(update={"tolerance": Tolerance(rel_l2=0.03, max_rel=0.03)})

    assert read_engine(wide, ORIN).record.parity == measured | {"margin": pytest.approx(2 / 3)}
    assert find_engines(tight, ORIN) == ()
    with pytest.raises(RuntimeUnavailableError, match=r"outside the tolerance of this bundle.*Fix: pixio-edge build"):
        read_engine(tight, ORIN)


@pytest.mark.parametrize("tolerance", [None, Tolerance(rel_l2=10.0)])
def test_engine_of_which_too_little_was_recorded_is_not_held_to_other_limits(
    artifact: ArtifactEntry, tolerance: Tolerance | None
) -> None:
    store(record_of(artifact), DATA)

    assert find_engines(artifact.model_copy(update={"tolerance": tolerance}), ORIN) == ()


def test_engine_built_ahead_of_time_is_not_opened_before_it_was_checked(artifact: ArtifactEntry) -> None:
    any_orin = ORIN.model_copy(update={"device": None})
    store(record_of(artifact, any_orin, finite=None, parity=None), DATA)

    assert list_records(artifact)[0].passed is None
    with pytest.raises(RuntimeUnavailableError, match="ahead of time and never checked on this GPU"):
        read_engine(artifact, ORIN)


def test_engine_for_a_compute_capability_fits_every_device_of_it(artifact: ArtifactEntry) -> None:
    store(record_of(artifact, ORIN.model_copy(update={"device": None})), DATA)

    assert read_engine(artifact, ORIN).data == DATA
    assert find_engines(artifact, ORIN.model_copy(update={"sm": "8.6"})) == ()


def test_chosen_engine_goes_before_newer_ones(artifact: ArtifactEntry) -> None:
    for pinned, created, chosen in (("a", "2026-01-01", True), ("b", "2026-01-03", False), ("c", "2026-01-02", False)):
        store(record_of(artifact, pinned=(pinned,), created=created, chosen=chosen), DATA)

    assert [record.key.pinned for record in find_engines(artifact, ORIN)] == [("a",), ("b",), ("c",)]


def test_equal_keys_replace_each_other(artifact: ArtifactEntry) -> None:
    store(record_of(artifact), DATA)
    other = DATA + b"new"
    store(record_of(artifact, data=other), other)

    assert len(list_records(artifact)) == 1
    assert read_engine(artifact, ORIN).data == other


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"schema_version": 2}', "\x00\xff"])
def test_file_that_is_no_record_counts_as_absent(artifact: ArtifactEntry, text: str) -> None:
    record = record_of(artifact)
    store(record, DATA)
    engine_path(record).with_suffix(".json").write_text(text)

    assert list_records(artifact) == ()


def test_record_never_names_a_file_outside_its_folder(artifact: ArtifactEntry, tmp_path: Path) -> None:
    record = record_of(artifact)
    path = store(record, DATA)
    (tmp_path / "evil.engine").write_bytes(DATA)
    text = path.with_suffix(".json").read_text()
    path.with_suffix(".json").write_text(text.replace(record.file, "../../evil.engine"))

    assert list_records(artifact) == ()


def test_record_copied_to_another_graph_is_ignored(bundle: Bundle) -> None:
    first, second = bundle.artifacts
    source = store(record_of(first), DATA).parent
    source.rename(source.parent / artifact_digest(second)[:16])

    assert list_records(second) == ()


def test_choice_is_changed_without_touching_the_engine(artifact: ArtifactEntry) -> None:
    path = store(record_of(artifact, chosen=False), DATA)
    before = path.stat().st_mtime_ns

    write_record(record_of(artifact, chosen=True))

    assert find_engines(artifact, ORIN)[0].chosen
    assert path.stat().st_mtime_ns == before


def test_removed_engines_leave_nothing(artifact: ArtifactEntry) -> None:
    record = record_of(artifact)
    folder = store(record, DATA).parent

    remove([record, record])

    assert list(folder.iterdir()) == []


def test_folder_that_cannot_be_written_is_said_with_the_variable(
    artifact: ArtifactEntry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("PIXIO_EDGE_CACHE", str(tmp_path / "file"))

    assert find_engines(artifact, ORIN) == ()
    with pytest.raises(OutputError, match="Fix: set PIXIO_EDGE_CACHE to a folder you may write"):
        store(record_of(artifact), DATA)


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
def test_engines_are_for_their_owner_alone(artifact: ArtifactEntry) -> None:
    assert store(record_of(artifact), DATA).parent.stat().st_mode & 0o077 == 0


def test_cache_is_in_the_folder_that_the_user_names(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PIXIO_EDGE_CACHE", " ~/here ")
    monkeypatch.setenv("HOME", str(tmp_path))

    assert engine_folder() == tmp_path / "here" / "engines"


@pytest.mark.parametrize(
    ("platform", "variables", "expected"),
    [
        ("linux", {"XDG_CACHE_HOME": "/xdg"}, "/xdg/pixio-edge"),
        ("linux", {"XDG_CACHE_HOME": "relative"}, "/home/me/.cache/pixio-edge"),
        ("linux", {}, "/home/me/.cache/pixio-edge"),
        ("darwin", {"XDG_CACHE_HOME": "/xdg"}, "/home/me/Library/Caches/pixio-edge"),
        ("win32", {}, "/home/me/AppData/Local/pixio-edge"),
    ],
)
def test_cache_is_where_the_system_keeps_caches_when_no_folder_is_named(
    monkeypatch: pytest.MonkeyPatch, platform: str, variables: dict[str, str], expected: str
) -> None:
    for name in ("PIXIO_EDGE_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"HOME": "/home/me", **variables}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(env.sys, "platform", platform)

    assert env.cache_folder().as_posix() == expected


def test_user_without_a_home_is_told_to_name_a_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("PIXIO_EDGE_CACHE")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", no_home)

    with pytest.raises(InputError, match=r"PIXIO_EDGE_CACHE: got no usable folder.*Fix: set PIXIO_EDGE_CACHE"):
        env.cache_folder()
