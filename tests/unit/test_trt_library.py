"""TensorRT is imported in one place, and what is wrong with an installation is said in one line."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from pixio_edge.errors import MissingDependencyError, RuntimeUnavailableError
from pixio_edge.runtimes import trt_library
from pixio_edge.runtimes.cudart import Cudart
from pixio_edge.runtimes.trt_library import collected_log, load_library, logger_of, parse_version
from pixio_edge.runtimes.trt_session import EngineSession
from tests.fake_cuda import FakeCuda
from tests.fake_tensorrt import Severity, fake_tensorrt


@pytest.fixture
def library() -> Any:
    return fake_tensorrt(FakeCuda())


def test_unknown_library_is_refused_naming_both() -> None:
    with pytest.raises(RuntimeUnavailableError, match="got 'trt', expected one of: tensorrt, tensorrt-rtx"):
        load_library("trt")


def test_tensorrt_that_is_not_installed_says_where_jetpack_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", None)

    with pytest.raises(RuntimeUnavailableError, match=r"not installed\. Fix: on a Jetson, .*--system-site-packages"):
        load_library("tensorrt")


def test_tensorrt_rtx_that_is_not_installed_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt_rtx", None)

    with pytest.raises(MissingDependencyError, match=r"pip install 'pixio-edge\[tensorrt-rtx\]'"):
        load_library("tensorrt-rtx")


@pytest.mark.parametrize(
    "error",
    [
        ImportError("libnvinfer.so.10: cannot open shared object file"),
        ModuleNotFoundError("No module named 'tensorrt_libs'", name="tensorrt_libs"),
        OSError("libcudart.so.13: cannot open"),
    ],
)
def test_library_that_cannot_be_loaded_is_told_from_one_that_is_missing(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(_: object) -> None:
        raise error

    monkeypatch.setattr(trt_library, "_import", fail)

    with pytest.raises(
        RuntimeUnavailableError, match=r"is installed and cannot be loaded \(.*Fix: its version has to fit"
    ):
        load_library("tensorrt")


@pytest.mark.parametrize(
    ("version", "is_taken"), [("8.6.2", False), ("10.2.0", False), ("10.3.0", True), ("11.4", True)]
)
def test_versions_from_10_3_on_are_taken(monkeypatch: pytest.MonkeyPatch, version: str, is_taken: bool) -> None:
    module = fake_tensorrt(FakeCuda(), version=version)
    monkeypatch.setitem(sys.modules, "tensorrt", module)

    if is_taken:
        assert load_library("tensorrt") is module
    else:
        with pytest.raises(RuntimeUnavailableError, match=f"got version {version}, expected 10.3 or newer"):
            load_library("tensorrt")


@pytest.mark.parametrize(
    ("text", "expected"),
    [("10.3.0", (10, 3, 0)), ("11.4.0.106", (11, 4, 0, 106)), ("10.3.0rc1", (10, 3, 0)), ("next", ())],
)
def test_version_is_compared_by_its_leading_numbers(text: str, expected: tuple[int, ...]) -> None:
    assert parse_version(text) == expected


def test_library_is_given_one_logger_for_good(library: Any) -> None:
    assert logger_of(library) is logger_of(library)
    assert logger_of(library).is_constructed


def test_messages_are_collected_by_severity_on_one_line_each(library: Any) -> None:
    logger = logger_of(library)
    logger.log(Severity.ERROR, "before")
    with collected_log(library) as outer:
        with collected_log(library, wants_details=True) as inner:
            logger.log(Severity.INTERNAL_ERROR, "first\n  line")
            logger.log(Severity.INFO, "detail")
        logger.log(Severity.ERROR, "second")
        logger.log(Severity.WARNING, "careful")
    logger.log(Severity.ERROR, "after")

    assert (inner.errors, inner.details) == (["first line"], ["detail"])
    assert (outer.errors, outer.warnings, outer.details) == (["first line", "second"], ["careful"], [])
    assert outer.cause() == "first line"


def test_tensorrt_for_rtx_itself_refuses_what_is_no_engine_in_plain_words() -> None:
    pytest.importorskip("tensorrt_rtx", reason="the extra 'tensorrt-rtx' is not installed")
    library = load_library("tensorrt-rtx")

    with pytest.raises(
        RuntimeUnavailableError, match="cannot open its engine, as it is damaged, or built by"
    ) as caught:
        EngineSession(library, Cudart(FakeCuda(), "fake"), bytes(4096), device=0, name="artifact 'x'")

    assert "\n" not in str(caught.value)
    assert "magicTag" in str(caught.value.__cause__)
