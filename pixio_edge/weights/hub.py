"""The Hugging Face hub, seen through huggingface_hub: what a file is, and its bytes. The one module that imports it.

`hf_hub_download` is not used: since its release 2 it throws a half-received file away when the process ends, which with
22 GB on a slow line is most of a day. Its parts are public, and with them a file goes on where it stopped.
"""

from __future__ import annotations

import errno
import io
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from huggingface_hub import get_hf_file_metadata, get_token, hf_hub_url
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.file_download import http_get
from huggingface_hub.utils import build_hf_headers, disable_progress_bars  # type: ignore[attr-defined]

from pixio_edge.errors import DownloadError, OutputError, PixioEdgeError

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Buffer

    from pixio_edge.weights.catalogue import Weights

LOGIN = "log in with `hf auth login` or set HF_TOKEN"
FULL_DISK = (errno.ENOSPC, errno.EDQUOT)
# The base class of the HTTP client that this version of the library uses: httpx, or httpx2 since its release 2.
NETWORK_ERROR: type[Exception] = HfHubHTTPError.__bases__[0]


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file on the hub at one commit.

    Args:
        weights: What it is.
        commit: The commit that the revision resolved to.
        sha256: Its content, as the hub announces it.
        bytes: Its length.
    """

    weights: Weights
    commit: str
    sha256: str
    bytes: int


def find_remote(weights: Weights, revision: str) -> RemoteFile:
    """Ask the hub what a file is at a revision; one request without a body.

    Args:
        weights: From the catalogue.
        revision: Commit, branch or tag.

    Raises:
        DownloadError: No access, no network, no such revision or file, or an answer without commit, hash and length.
    """
    try:
        found = get_hf_file_metadata(_url(weights, revision))
    except (NETWORK_ERROR, OSError) as error:
        raise DownloadError(_explain(error, weights, revision)) from error
    commit, sha256 = found.commit_hash or "", found.etag or ""
    if not re.fullmatch("[0-9a-f]{40}", commit) or not re.fullmatch("[0-9a-f]{64}", sha256) or not found.size:
        raise DownloadError(
            f"{weights.name}: the answer for {weights.repository}/{weights.file} has no commit, SHA-256 and length, so "
            "the file could not be checked. Fix: check HF_ENDPOINT and the proxy; it is not the hub that answers"
        )
    return RemoteFile(weights, commit, sha256, found.size)


def fetch(remote: RemoteFile, part: Path, on_progress: Callable[[int, int], None]) -> None:
    """Receive the bytes of a file that `part` does not have yet, and flush them to the disk; its hash is not checked.

    Short interruptions are bridged. What was received stays in `part` whatever happens, for the next call.

    Args:
        remote: What to receive.
        part: File to fill; created if missing.
        on_progress: Called with bytes there and bytes in all, about every ten megabytes.

    Raises:
        DownloadError: The connection or the access went away.
        OutputError: `part` cannot be written, or the disk is full.
    """
    disable_progress_bars("huggingface_hub.http_get")  # ours is drawn instead
    try:
        with _CountingFile(part, lambda done: on_progress(done, remote.bytes)) as file:
            there = file.seek(0, io.SEEK_END)
            # The redirect to the storage is followed by the client, which leaves the token behind.
            http_get(
                _url(remote.weights, remote.commit),
                file,
                resume_size=there,
                headers=build_hf_headers(),
                expected_size=remote.bytes,
            )
            file.flush()
            os.fsync(file.fileno())
    except (NETWORK_ERROR, OSError) as error:
        raise _explain_broken(error, remote, part) from error


class _CountingFile(io.BufferedRandom):
    """A file that tells its length after every write."""

    def __init__(self, path: Path, report: Callable[[int], None]) -> None:
        path.touch()
        super().__init__(io.FileIO(path, "r+"))
        self._report = report

    def write(self, data: Buffer) -> int:
        written = super().write(data)
        self._report(self.tell())
        return written


def _url(weights: Weights, revision: str) -> str:
    return hf_hub_url(weights.repository, weights.file, revision=revision)


def _explain_broken(error: Exception, remote: RemoteFile, part: Path) -> PixioEdgeError:
    """What ended a download that had begun."""
    name = remote.weights.name
    if isinstance(error, (HfHubHTTPError, OfflineModeIsEnabled)):
        return DownloadError(_explain(error, remote.weights, remote.commit))
    again = "run the same command again; it goes on from there"
    if isinstance(error, OSError) and error.errno is not None:
        room = "free some space" if error.errno in FULL_DISK else "check the folder"
        return OutputError(f"{name}: cannot write {part}: {_reason(error)}. Fix: {room} and {again}")
    there = part.stat().st_size if part.is_file() else 0
    return DownloadError(
        f"{name}: the connection broke at {there} of {remote.bytes} bytes ({_reason(error)}). Fix: {again}"
    )


def _explain(error: Exception, weights: Weights, revision: str) -> str:
    """What kept the hub from answering, and what to do about it."""
    if isinstance(error, OfflineModeIsEnabled):
        return (
            f"{weights.name}: HF_HUB_OFFLINE is set and the file is not here. Fix: unset HF_HUB_OFFLINE, or copy the "
            "folder from a machine that has pulled it"
        )
    if isinstance(error, OSError) and error.filename:  # the file of the token
        return f"{weights.name}: cannot read {error.filename} ({_reason(error)}). Fix: {LOGIN}, or correct the file"
    if not isinstance(error, HfHubHTTPError):
        return (
            f"{weights.name}: the hub cannot be reached ({_reason(error)}). "
            "Fix: check the network, the proxy and HF_ENDPOINT"
        )
    repository = weights.repository
    if isinstance(error, GatedRepoError):
        return f"{weights.name}: {repository} is gated and {_how_to_get_in(weights)}"
    # In this order: the classes build on each other.
    answers: tuple[tuple[bool, str], ...] = (
        (
            isinstance(error, RevisionNotFoundError),
            f"{repository} has no revision '{revision}'. Fix: give a commit of it with --revision",
        ),
        (
            isinstance(error, EntryNotFoundError),
            f"{repository} has no {weights.file} at '{revision}'. Fix: give another --revision",
        ),
        (
            isinstance(error, RepositoryNotFoundError),
            f"{repository} is not there, or not for you. Fix: look at {weights.page} and {LOGIN}",
        ),
        (error.response.status_code == 401, f"the hub refused your token. Fix: {LOGIN} with a valid one"),
        (
            error.response.status_code == 403,
            f"the hub forbids {repository} to your token. Fix: let it read gated repositories in its settings",
        ),
        (error.response.status_code == 429, "the hub is asked too often from here. Fix: wait some minutes"),
        (True, f"the hub answered with status {error.response.status_code}. Fix: try again later"),
    )
    return f"{weights.name}: {next(text for applies, text in answers if applies)}"


def _how_to_get_in(weights: Weights) -> str:
    if get_token() is None:
        return f"you are not logged in. Fix: ask for access at {weights.page}, {LOGIN}, then pull again"
    return (
        f"your account has no access. Fix: ask for it at {weights.page}, wait until it is granted (by hand, which can "
        "take days), then pull again"
    )


def _reason(error: Exception) -> str:
    text = error.strerror.lower() if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(text.split())[:160] or type(error).__name__
