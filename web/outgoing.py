"""Where the server may be sent to fetch something, by somebody who does not run it."""

from __future__ import annotations

import ipaddress
import socket
from urllib.parse import urlsplit

import anyio

from collab.errors import Forbidden, Invalid


async def check_public(url: str, *, field: str) -> None:
    """Every address of the host must be a public one: the server is no way into the network it stands in.

    What breaks it: a name that resolves otherwise a moment later. Root is not asked."""
    parts = urlsplit(url)
    if parts.hostname is None:
        raise Invalid(f"{url!r} names no host", field=field)
    try:
        found = await anyio.getaddrinfo(parts.hostname, parts.port or 443, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        raise Invalid(f"there is no host {parts.hostname!r} ({error.strerror})", field=field) from error
    for *_, address in found:
        if not ipaddress.ip_address(address[0].partition("%")[0]).is_global:
            raise Forbidden(f"{parts.hostname} is not on the public internet: only root may import from there")
