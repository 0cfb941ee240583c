"""Buckets for tests; the S3 server is started once, by whoever asks first."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest

from tests.harness.s3 import Proxy, make_bucket, proxy_before, s3_server


@pytest.fixture(scope="session")
def s3_address() -> Iterator[str]:
    with s3_server() as address:
        yield address


@pytest.fixture
def bucket_name(s3_address: str) -> str:
    """An empty bucket of this test's own."""
    name = f"b-{secrets.token_hex(8)}"
    make_bucket(s3_address, name)
    return name


@pytest.fixture
def proxy(s3_address: str) -> Iterator[Proxy]:
    """The same server, with faults when a test orders them."""
    with proxy_before(s3_address) as made:
        yield made
