"""S3 for tests: a real server on loopback, and a proxy before it that loses, delays and spoils what it is told to."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

import httpx

from collab.objects.s3 import Bucket, S3Objects

ERROR = "<?xml version='1.0'?><Error><Code>{}</Code><Message>as the test wants it</Message></Error>"


@contextlib.contextmanager
def s3_server() -> Iterator[str]:
    """Its address."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.harness.moto_process"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        assert address, "the S3 server did not start"
        yield address
        assert process.stdin is not None
        process.stdin.close()


def make_bucket(address: str, name: str) -> None:
    httpx.put(f"{address}/{name}", headers={"authorization": SIGNED}).raise_for_status()


SIGNED = "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0"


def bucket(address: str, name: str, prefix: str = "") -> Bucket:
    return Bucket(
        name=name,
        prefix=prefix,
        endpoint=address,
        region="us-east-1",
        access_key="test",
        secret_key="test",
        addressing="path",
    )


def objects_in(address: str, name: str, prefix: str = "") -> S3Objects:
    """With waits so short that a test does not notice them."""
    return S3Objects(bucket(address, name, prefix), first_wait=0.01, chance=lambda: 0.0)


@dataclass(frozen=True)
class Fault:
    """`before`: the request never arrives; `after`: it is carried out, and its answer is lost; `cut`: half of the answer
    comes; a number: that status with that code, and nothing is done."""

    kind: Literal["before", "after", "cut"] | int
    code: str = "InternalError"
    method: str | None = None
    key: str = ""

    def fits(self, method: str, path: str) -> bool:
        return self.method in (None, method) and self.key in path


@dataclass
class Proxy:
    """Faults are used up one by one; `down` refuses everything."""

    address: str
    faults: deque[Fault] = field(default_factory=deque)
    down: bool = False
    requests: Counter[str] = field(default_factory=Counter)
    """How many of each method came."""

    def take(self, method: str, path: str) -> Fault | None:
        self.requests[method] += 1
        if self.down:
            return Fault("before")
        found = next((each for each in self.faults if each.fits(method, path)), None)
        if found is not None:
            self.faults.remove(found)
        return found


@contextlib.contextmanager
def proxy_before(address: str) -> Iterator[Proxy]:
    client = httpx.Client(timeout=30)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            return

        def handle_one(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            fault = proxy.take(self.command, self.path)
            if fault is not None and fault.kind == "before":
                self.close_connection = True
                return
            if fault is not None and isinstance(fault.kind, int):
                self.answer(fault.kind, ERROR.format(fault.code).encode(), {})
                return
            headers = {key: value for key, value in self.headers.items() if key.lower() not in ("expect", "connection")}
            answer = client.request(self.command, address + self.path, content=body, headers=headers)
            if fault is not None and fault.kind == "after":
                self.close_connection = True
                return
            self.answer(answer.status_code, answer.content, dict(answer.headers), cut=fault is not None)

        def answer(self, status: int, body: bytes, headers: dict[str, str], *, cut: bool = False) -> None:
            self.send_response_only(status)
            for key, value in headers.items():
                if key.lower() not in ("content-length", "transfer-encoding", "connection", "content-encoding"):
                    self.send_header(key, value)
            length = headers.get("content-length") if self.command == "HEAD" else str(len(body))
            self.send_header("content-length", length or "0")
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body[: len(body) // 2] if cut else body)
            self.close_connection = self.close_connection or cut

        do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = handle_one  # noqa: N815

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        proxy = Proxy(f"http://127.0.0.1:{server.server_address[1]}")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield proxy
        finally:
            server.shutdown()
            thread.join()
            client.close()
