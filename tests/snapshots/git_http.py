"""Serves the repositories of a folder by git's own smart HTTP, on a free port that it prints.

python -m tests.snapshots.git_http FOLDER
"""

from __future__ import annotations

import gzip
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.snapshots.git import ENVIRONMENT


class Handler(BaseHTTPRequestHandler):
    """One request: one run of `git http-backend`, as CGI has it. `/page` is a web page and no
    repository; `/moved` leads on to the rest of the path, `/away` to there on another host."""

    def do_GET(self) -> None:
        if self.path.startswith("/page"):
            self._answer(200, "text/html", b"<html>Not a repository</html>")
        elif self.path.startswith("/moved/"):
            self._redirect(self.path.removeprefix("/moved"))
        elif self.path.startswith("/away/"):
            self._redirect(f"http://localhost:{self.server.server_port}{self.path.removeprefix('/away')}")  # type: ignore[attr-defined]
        else:
            self._run(b"")

    def do_POST(self) -> None:
        body = (
            self.rfile.read(int(self.headers["Content-Length"])) if "Content-Length" in self.headers else self._chunks()
        )
        self._run(gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Says nothing."""

    def _chunks(self) -> bytes:
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _run(self, body: bytes) -> None:
        path, _, query = self.path.partition("?")
        environment = {
            **ENVIRONMENT,
            "GIT_PROJECT_ROOT": sys.argv[1],
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "REQUEST_METHOD": self.command,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
        }
        done = subprocess.run(["git", "http-backend"], input=body, env=environment, capture_output=True, check=True)
        head, _, answer = done.stdout.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
        self._answer(int(headers.get("Status", "200").split()[0]), headers["Content-Type"], answer)

    def _redirect(self, target: str) -> None:
        self.send_response(302)
        self.send_header("Location", target)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _answer(self, status: int, kind: str, content: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


def main() -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        sys.stdout.write(f"{server.server_port}\n")
        sys.stdout.flush()
        server.serve_forever()


if __name__ == "__main__":
    main()
