"""What GitHub's API answers of a repository, over a real git repository on this disk: to be read, and not written.

For trees that are too large, or too ugly, to be brought into the server in Node: listings are git's own, cut short where a
test says so, names that are not UTF-8 as GitHub shows them, and the tarball is made by git. Blocking, in threads of its own.
"""

from __future__ import annotations

import base64
import contextlib
import json
import pathlib
import re
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

NAME: Final = "alice/there"
NUMBER: Final = 4242
EMPTY: Final = "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"


@dataclass
class Octo:
    """`cut`: a recursive listing of more entries than this is truncated. `latency`: seconds before each answer."""

    folder: pathlib.Path
    url: str = ""
    tarball: bool = True
    cut: int = 100_000
    latency: float = 0.0
    requests: list[str] = field(default_factory=list)

    def git(self, *arguments: str) -> bytes:
        return subprocess.run(["git", "-C", str(self.folder), *arguments], check=True, capture_output=True).stdout

    def answer(self, path: str) -> tuple[int, dict[str, str], bytes]:
        tail, _, query = path.partition("?")
        if tail == f"/repos/{NAME}":
            return self._json(self._repository())
        if tail == f"/repositories/{NUMBER}":
            return self._json(self._repository())
        if tail.startswith("/codeload/"):
            made = self.git("archive", "--format=tar.gz", "--prefix=alice-there-0123456/", tail.rpartition("/")[2])
            return 200, {"Content-Type": "application/x-gzip"}, made
        return self._below(tail.removeprefix(f"/repos/{NAME}"), query)

    def _below(self, tail: str, query: str) -> tuple[int, dict[str, str], bytes]:
        kind, _, name = tail.removeprefix("/").rpartition("/")
        try:
            match kind:
                case "git/ref/heads":
                    sha = self.git("rev-parse", "--verify", "--quiet", f"refs/heads/{name}").decode().strip()
                    return self._json({"ref": f"refs/heads/{name}", "object": {"sha": sha, "type": "commit"}})
                case "git/commits":
                    tree = self.git("rev-parse", "--verify", "--quiet", f"{name}^{{tree}}").decode().strip()
                    return self._json({"sha": name, "tree": {"sha": tree}, "parents": [], "message": "There"})
                case "git/trees":
                    return self._json(self._tree(name, recursive="recursive=1" in query))
                case "git/blobs":
                    content = self.git("cat-file", "blob", name)
                    return self._json(
                        {"sha": name, "encoding": "base64", "content": base64.b64encode(content).decode()}
                    )
                case "tarball" if self.tarball:
                    return 302, {"Location": f"{self.url}/codeload/{name}"}, b""
        except subprocess.CalledProcessError:
            pass
        return self._json({"message": "Not Found"}, 404)

    def _repository(self) -> dict[str, Any]:
        return {
            "id": NUMBER,
            "full_name": NAME,
            "private": True,
            "archived": False,
            "default_branch": "main",
            "clone_url": f"{self.url}/{NAME}.git",
            "permissions": {"admin": False, "push": True, "pull": True},
        }

    def _tree(self, sha: str, *, recursive: bool) -> dict[str, Any]:
        listed = self.git("ls-tree", "-z", *(["-r", "-t"] if recursive else []), sha)
        entries = []
        for line in listed.split(b"\0")[:-1]:
            head, _, path = line.partition(b"\t")
            mode, kind, name = head.decode().split()
            # GitHub's JSON cannot carry what is not UTF-8.
            entries.append({"path": path.decode("utf-8", "replace"), "mode": mode, "type": kind, "sha": name})
        truncated = recursive and len(entries) > self.cut
        return {"sha": sha, "tree": entries[: self.cut] if truncated else entries, "truncated": truncated}

    def _json(self, body: Any, status: int = 200) -> tuple[int, dict[str, str], bytes]:
        return status, {"Content-Type": "application/json"}, json.dumps(body).encode()


@contextlib.contextmanager
def octo(folder: pathlib.Path, **how: Any) -> Iterator[Octo]:
    there = Octo(folder, **how)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            there.requests.append(re.sub(r"[0-9a-f]{40}", "SHA", f"GET {self.path}"))
            time.sleep(there.latency)
            self._send(*there.answer(self.path))

        def do_POST(self) -> None:
            """Only the empty blob is made, by which somebody finds out whether he may write."""
            self.rfile.read(int(self.headers["Content-Length"]))
            self._send(201, {"Content-Type": "application/json"}, json.dumps({"sha": EMPTY}).encode())

        def _send(self, status: int, headers: dict[str, str], body: bytes) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: Any) -> None:
            """Nothing is printed."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    there.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield there
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
