import pytest

from pixio_edge import env
from pixio_edge.errors import InputError

COMMERCIAL, COMPILED = "PIXIO_EDGE_REQUIRE_COMMERCIAL", "PIXIO_EDGE_KEEP_COMPILED"
CHOICES = {"PIXIO_EDGE_KERNELS": env.kernels, "PIXIO_EDGE_REQUIRE": env.requires_cuda}
READERS = {"PIXIO_EDGE_MAX_PIXELS": env.max_pixels, "PIXIO_EDGE_THREADS": env.threads}


def test_every_listed_variable_has_a_reader_and_a_meaning() -> None:
    assert {variable.name for variable in env.VARIABLES} == {
        *READERS,
        *CHOICES,
        COMMERCIAL,
        COMPILED,
        "PIXIO_EDGE_CACHE",
    }
    assert all(variable.meaning for variable in env.VARIABLES)


@pytest.mark.parametrize(("name", "default"), [("PIXIO_EDGE_MAX_PIXELS", 80_000_000), ("PIXIO_EDGE_THREADS", None)])
@pytest.mark.parametrize("text", [None, "", "  "])
def test_reader_gives_the_default_when_unset_or_blank(
    monkeypatch: pytest.MonkeyPatch, name: str, default: int | None, text: str | None
) -> None:
    monkeypatch.delenv(name, raising=False)
    if text is not None:
        monkeypatch.setenv(name, text)

    assert READERS[name]() == default


@pytest.mark.parametrize("name", READERS)
def test_reader_gives_the_number_when_set(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, " 12 ")

    assert READERS[name]() == 12


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("text", ["many", "0", "-3", "1.5"])
def test_reader_names_the_variable_when_it_is_not_a_positive_number(
    monkeypatch: pytest.MonkeyPatch, name: str, text: str
) -> None:
    monkeypatch.setenv(name, text)

    with pytest.raises(InputError, match=rf"{name}: got '{text}'.*Fix: unset {name}"):
        READERS[name]()


def test_silence_ffmpeg_keeps_the_level_that_the_user_chose(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENCV_FFMPEG_LOGLEVEL", "48")

    env.silence_ffmpeg()

    assert env.os.environ["OPENCV_FFMPEG_LOGLEVEL"] == "48"


@pytest.mark.parametrize(
    ("text", "expected"), [("1", True), (" Yes ", True), ("0", False), ("false", False), ("", False), (None, False)]
)
def test_commercial_switch_reads_yes_and_no(monkeypatch: pytest.MonkeyPatch, text: str | None, expected: bool) -> None:
    monkeypatch.delenv(COMMERCIAL, raising=False)
    if text is not None:
        monkeypatch.setenv(COMMERCIAL, text)

    assert env.require_commercial() is expected


def test_commercial_switch_names_the_variable_when_it_is_neither(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(COMMERCIAL, "perhaps")

    with pytest.raises(InputError, match=rf"{COMMERCIAL}: got 'perhaps'.*Fix: unset {COMMERCIAL}"):
        env.require_commercial()


def test_insisting_reaches_the_processes_that_are_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(COMMERCIAL, "0")  # restored at the end

    env.insist_on_commercial()

    assert env.require_commercial()
    assert env.os.environ[COMMERCIAL] == "1"


@pytest.mark.parametrize(
    ("text", "expected"), [(None, None), (" ", None), ("cuda", "cuda"), (" CUDA ", "cuda"), ("reference", "reference")]
)
def test_kernels_are_those_that_are_forced(
    monkeypatch: pytest.MonkeyPatch, text: str | None, expected: str | None
) -> None:
    monkeypatch.delenv("PIXIO_EDGE_KERNELS", raising=False)
    if text is not None:
        monkeypatch.setenv("PIXIO_EDGE_KERNELS", text)

    assert env.kernels() == expected


def test_gpu_is_required_only_when_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PIXIO_EDGE_REQUIRE", raising=False)
    assert not env.requires_cuda()

    monkeypatch.setenv("PIXIO_EDGE_REQUIRE", "cuda")
    assert env.requires_cuda()


@pytest.mark.parametrize("name", CHOICES)
def test_choice_that_is_not_one_is_refused_naming_the_variable(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "1")

    with pytest.raises(InputError, match=rf"{name}: got '1', expected (cuda or reference|cuda)\. Fix: unset {name}"):
        CHOICES[name]()


@pytest.mark.parametrize(("text", "expected"), [("0", False), ("no", False), ("1", True), ("", True), (None, True)])
def test_compiled_graphs_are_kept_unless_told_otherwise(
    monkeypatch: pytest.MonkeyPatch, text: str | None, expected: bool
) -> None:
    monkeypatch.delenv(COMPILED, raising=False)
    if text is not None:
        monkeypatch.setenv(COMPILED, text)

    assert env.keeps_compiled() is expected


def test_compiled_switch_names_the_variable_when_it_is_neither_yes_nor_no(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(COMPILED, "perhaps")

    with pytest.raises(InputError, match=rf"{COMPILED}: got 'perhaps'.*Fix: unset {COMPILED}"):
        env.keeps_compiled()
