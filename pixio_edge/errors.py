"""Every exception this package raises on purpose.

The message is one line: what is wrong, what was got, what was expected, how to fix it. The command line prints it and
exits with `exit_code`.
"""

from __future__ import annotations


class PixioEdgeError(Exception):
    """Base of all errors that a caller may want to catch."""

    exit_code = 2


class InputError(PixioEdgeError):
    """An image, array, video, dataset or path given by the caller cannot be used."""


class OutputError(PixioEdgeError):
    """A result cannot be written: folder missing or read-only, disk full."""


class SpecError(PixioEdgeError):
    """A tensor does not have the name, shape or dtype that a graph expects."""


class BundleError(PixioEdgeError):
    """A bundle is missing, incomplete, altered, or points outside its folder."""


class SchemaError(BundleError):
    """A manifest has a schema version or field this release does not know."""


class RuntimeUnavailableError(PixioEdgeError):
    """The requested runtime, provider or precision cannot run on this host."""


class DownloadError(PixioEdgeError):
    """Weights cannot be fetched: no access, no network, or not what was announced."""


class LicenceError(PixioEdgeError):
    """The terms of weights do not allow what was asked, or were not accepted."""


class MissingDependencyError(PixioEdgeError):
    """An optional package is not installed.

    Args:
        package: Name of the package that failed to import.
        extra: The extra of this project that installs it.
        purpose: What needs it, as a short phrase.
    """

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        self.package = package
        self.extra = extra
        super().__init__(
            f"{purpose} needs the package '{package}', which is not installed. Fix: pip install 'pixio-edge[{extra}]'"
        )


class CheckFailedError(PixioEdgeError):
    """A verification ran and found a difference; the input itself was fine."""

    exit_code = 1
