"""Uploads are cut into their parts wherever the network cuts them."""

from __future__ import annotations

import pathlib
from collections.abc import AsyncIterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.requests import Request
from starlette.types import Message

from collab.errors import Invalid, TooLarge
from web.uploads import Received, receive

pytestmark = pytest.mark.anyio


def body(files: dict[str, bytes]) -> bytes:
    parts = [
        b'--cut\r\nContent-Disposition: form-data; name="files"; filename="%s"\r\n\r\n%s\r\n' % (path.encode(), content)
        for path, content in files.items()
    ]
    return b"".join(parts) + b"--cut--\r\n"


def request(content: bytes, step: int, kind: str = "multipart/form-data; boundary=cut") -> Request:
    async def chunks() -> AsyncIterator[Message]:
        for start in range(0, len(content), step):
            yield {"type": "http.request", "body": content[start : start + step], "more_body": True}
        yield {"type": "http.request", "body": b"", "more_body": False}

    messages = chunks()

    async def receive_message() -> Message:
        return await anext(messages)

    scope = {"type": "http", "method": "POST", "headers": [(b"content-type", kind.encode())]}
    return Request(scope, receive_message)


def held(received: Received) -> dict[str, bytes]:
    return {path: (received.folder / path).read_bytes() for path in received.files}


def left_in(folder: pathlib.Path) -> list[pathlib.Path]:
    return list(folder.iterdir())


@given(
    contents=st.dictionaries(
        st.sampled_from(["a", "b/c", "d e.md", "ü.txt"]), st.binary(max_size=300), min_size=1, max_size=4
    ),
    step=st.integers(1, 400),
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_every_file_arrives_whole_however_it_is_cut(
    tmp_path: pathlib.Path, contents: dict[str, bytes], step: int
) -> None:
    received = await receive(request(body(contents), step), tmp_path, 1_000_000)
    assert held(received) == contents


async def test_the_limit_counts_what_came_not_what_was_announced(tmp_path: pathlib.Path) -> None:
    with pytest.raises(TooLarge, match="100 bytes"):
        await receive(request(body({"a": b"x" * 200}), 10), tmp_path, 100)
    assert left_in(tmp_path) == []


async def test_a_body_without_its_end_is_refused(tmp_path: pathlib.Path) -> None:
    with pytest.raises(Invalid, match="last part"):
        await receive(request(body({"a": b"x"})[:-12], 10), tmp_path, 1000)
    assert left_in(tmp_path) == []


async def test_a_value_beside_the_files_is_short(tmp_path: pathlib.Path) -> None:
    content = b'--cut\r\nContent-Disposition: form-data; name="existing"\r\n\r\n%s\r\n--cut--\r\n'
    received = await receive(request(content % b"keep", 7), tmp_path, 10_000)
    assert received.fields == {"existing": "keep"}
    with pytest.raises(TooLarge):
        await receive(request(content % (b"x" * 2000), 7), tmp_path, 10_000)
