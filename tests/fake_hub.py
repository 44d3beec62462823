"""The part of the Hugging Face hub that a download of one file touches, on this machine, with faults on demand.

Two servers, as in reality: the hub answers with commit, hash and length and redirects to a storage of another origin.
"""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TOKEN = "hf_test"


@dataclass(frozen=True)
class Request:
    """What a server was asked."""

    server: str
    method: str
    path: str
    range: str | None
    has_token: bool


@dataclass
class FakeHub:
    """State of both servers; tests change it between calls.

    Attributes:
        commits: Content of the one file, by commit, oldest first.
        gated: Whether a token is needed.
        allowed: Whether the token has access.
        refusal: Status, X-Error-Code and X-Error-Message of every answer of the hub; None to answer.
        is_bare: Answer 200 without any of the hub's headers, as a captive portal does.
        served: Bytes that the storage sends instead of the content.
        cuts: After how many bytes the storage hangs up, for each coming answer.
        hold_after: After how many bytes the storage stops sending, until `released`.
        ignores_range: Whether the storage sends everything from the start whatever is asked.
        requests: All that was asked.
    """

    repository: str
    file: str
    commits: dict[str, bytes]
    gated: bool = False
    allowed: bool = True
    refusal: tuple[int, str, str] | None = None
    is_bare: bool = False
    served: bytes | None = None
    cuts: list[int] = field(default_factory=list)
    hold_after: int | None = None
    held: threading.Event = field(default_factory=threading.Event)
    released: threading.Event = field(default_factory=threading.Event)
    ignores_range: bool = False
    requests: list[Request] = field(default_factory=list)
    endpoint: str = ""
    storage: str = ""

    def asked(self, server: str, method: str) -> list[Request]:
        return [request for request in self.requests if (request.server, request.method) == (server, method)]

    def commit_of(self, revision: str) -> str | None:
        newest = list(self.commits)[-1]
        return newest if revision == "main" else revision if revision in self.commits else None


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@contextmanager
def serve(hub: FakeHub) -> Iterator[FakeHub]:
    """Run both servers; their addresses are in `hub`."""
    servers = {name: _Server(name, hub) for name in ("hub", "storage")}
    # Two names, because a client may tell origins by the host alone.
    hub.endpoint = f"http://127.0.0.1:{servers['hub'].server_port}"
    hub.storage = f"http://localhost:{servers['storage'].server_port}"
    for server in servers.values():
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    try:
        yield hub
    finally:
        hub.released.set()
        for server in servers.values():
            server.shutdown()
            server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, name: str, hub: FakeHub) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.name = name
        self.hub = hub

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hung up is part of the tests."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def log_message(self, format: str, *args: object) -> None:
        """Silent."""

    def _answer(self) -> None:
        hub, token = self.server.hub, self.headers.get("Authorization")
        if self.path.startswith("/api/"):  # what else the library asks about itself
            self._send(404, {"Content-Length": "0"})
            return
        asked = Request(self.server.name, self.command, self.path, self.headers.get("Range"), token is not None)
        hub.requests.append(asked)
        if self.server.name == "storage":
            self._send_content(hub)
        else:
            self._send_place(hub, token)

    def _send_place(self, hub: FakeHub, token: str | None) -> None:
        match = re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", self.path)
        assert match is not None, self.path
        repository, revision, file = match.groups()
        commit = hub.commit_of(revision)
        if hub.refusal is not None:
            self._refuse(*hub.refusal)
        elif hub.is_bare:
            self._send(200, {"Content-Length": "0"})
        elif repository != hub.repository:
            self._refuse(401, "RepoNotFound", "Repository not found")
        elif hub.gated and token != f"Bearer {TOKEN}":
            self._refuse(401, "GatedRepo", f"Access to model {repository} is restricted.\nYou must log in.")
        elif hub.gated and not hub.allowed:
            self._refuse(403, "GatedRepo", f"Access to model {repository} is restricted.\nAsk for access.")
        elif commit is None:
            self._refuse(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        elif file != hub.file:
            self._refuse(404, "EntryNotFound", "Entry not found")
        else:
            content = hub.commits[commit]
            self._send(
                302,
                {
                    "Location": f"{hub.storage}/{sha256(content)}",
                    "X-Repo-Commit": commit,
                    "X-Linked-Etag": f'"{sha256(content)}"',
                    "X-Linked-Size": str(len(content)),
                    "Content-Length": "0",
                },
            )

    def _send_content(self, hub: FakeHub) -> None:
        content = hub.served
        if content is None:
            content = next(item for item in hub.commits.values() if sha256(item) == self.path.strip("/"))
        start = 0
        match = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if match and not hub.ignores_range:
            start = int(match[1])
            partial = {"Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}"}
        else:
            partial = {}
        self._send(206 if partial else 200, {"Content-Length": str(len(content) - start), **partial})
        body = content[start:]
        if hub.cuts:
            body = body[: hub.cuts.pop(0)]
        if hub.hold_after is not None:
            self.wfile.write(body[: hub.hold_after])
            hub.held.set()
            hub.released.wait()
            return
        self.wfile.write(body)

    def _refuse(self, status: int, code: str, message: str) -> None:
        headers = {"X-Error-Code": code} if code else {}
        self._send(status, {**headers, "X-Error-Message": message.splitlines()[0], "Content-Length": "0"})

    def _send(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
