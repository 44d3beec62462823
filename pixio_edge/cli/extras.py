"""Verbs that need an optional package say which extra has it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pixio_edge.errors import MissingDependencyError


@contextmanager
def needs_extra(extra: str, purpose: str) -> Iterator[None]:
    """Wrap the imports of a verb.

    Raises:
        MissingDependencyError: A package outside this project is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package in ("", "pixio_edge"):
            raise
        raise MissingDependencyError(package, extra, purpose) from error
