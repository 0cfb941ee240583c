"""What a client is told first: which refs there are, and what can be asked for. PURE.

Versions 0 and 1 send the refs at once, with the capabilities behind the first; version 2 sends the capabilities alone, and
the refs when they are asked for (`ls-refs`). Pushes know versions 0 and 1 only, as in git itself. The clauses are those of
gitprotocol-pack, gitprotocol-capabilities and gitprotocol-v2.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from collab.errors import ProtocolError
from snapshots.packs.refs import Refs
from web.git.pktline import FLUSH, Mark, line, packets, text

Service = Literal["git-upload-pack", "git-receive-pack"]
UPLOAD: Final[Service] = "git-upload-pack"
RECEIVE: Final[Service] = "git-receive-pack"

AGENT: Final = "agent=quire"
NOTHING: Final = "0" * 40
HEAD: Final = b"HEAD"

UPLOAD_CAPABILITIES: Final = (
    "multi_ack thin-pack side-band side-band-64k ofs-delta shallow deepen-since deepen-not deepen-relative no-progress "
    "include-tag multi_ack_detailed no-done filter allow-tip-sha1-in-want allow-reachable-sha1-in-want "
    f"object-format=sha1 {AGENT}"
)
RECEIVE_CAPABILITIES: Final = (
    f"report-status delete-refs side-band-64k quiet atomic ofs-delta push-options object-format=sha1 {AGENT}"
)
VERSION_2: Final = (AGENT, "ls-refs=unborn", "fetch=shallow filter wait-for-done", "object-format=sha1")

PREFIXES_MOST: Final = 65_536
"""Beyond so many, `ref-prefix` is taken for no limit at all, as in git."""


def version(header: str | None) -> int:
    """What `Git-Protocol: version=2` asks for; 0 when nothing does, or something that is not known."""
    asked = [key.removeprefix("version=") for key in (header or "").split(":") if key.startswith("version=")]
    return max((int(each) for each in asked if each in ("1", "2")), default=0)


def content_type(service: Service, what: Literal["advertisement", "request", "result"]) -> str:
    return f"application/x-{service}-{what}"


def advertisement(service: Service, refs: Refs, asked: int) -> bytes:
    """The answer to `GET info/refs?service=...`."""
    if service == UPLOAD and asked == 2:
        return b"".join([line("version 2"), *map(line, VERSION_2), FLUSH])
    parts = [line(f"# service={service}"), FLUSH]
    if asked == 1:
        parts.append(line("version 1"))
    return b"".join([*parts, *_refs(service, refs), FLUSH])


def _refs(service: Service, refs: Refs) -> Iterator[bytes]:
    rows = list(_rows(service, refs))
    capabilities = RECEIVE_CAPABILITIES
    if service == UPLOAD:
        head = refs.head.decode("utf-8", "surrogateescape")
        capabilities = UPLOAD_CAPABILITIES + (f" symref=HEAD:{head}" if refs.at_head is not None else "")
    if not rows:
        rows = [(NOTHING, b"capabilities^{}")]
    for number, (name, ref) in enumerate(rows):
        extra = b"" if number else b"\0" + capabilities.encode("utf-8", "surrogateescape")
        yield line(name.encode() + b" " + ref + extra)
    for each in sorted(refs.shallow):
        yield line(f"shallow {each.hex()}")


def _rows(service: Service, refs: Refs) -> Iterator[tuple[str, bytes]]:
    if service == UPLOAD and refs.at_head is not None:
        yield refs.at_head.hex(), HEAD
    for name, target in refs.all.items():
        yield target.hex(), name
        if service == UPLOAD and name in refs.peeled:
            yield refs.peeled[name].hex(), name + b"^{}"


# -- version 2 ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Command:
    """One request of version 2."""

    name: str
    arguments: tuple[str, ...]


def command(body: bytes) -> Command | None:
    """None: the client has nothing more to say."""
    name = None
    arguments: list[str] = []
    behind = False
    for each in packets(body):
        if isinstance(each, Mark):
            if each is Mark.FLUSH:
                break
            behind = True
        elif behind:
            arguments.append(text(each))
        elif each.startswith(b"command="):
            name = text(each).removeprefix("command=")
        elif each.startswith(b"object-format=") and text(each) != "object-format=sha1":
            raise ProtocolError("objects are named by SHA-1 here")
    if name is None:
        if arguments or behind:
            raise ProtocolError("the request names no command")
        return None
    if name not in ("ls-refs", "fetch"):
        raise ProtocolError(f"the command {name[:80]!r} is not known here: ls-refs and fetch are")
    return Command(name, tuple(arguments))


def ls_refs(refs: Refs, arguments: Sequence[str]) -> bytes:
    prefixes: list[bytes] = []
    flags: set[str] = set()
    for each in arguments:
        if each.startswith("ref-prefix "):
            prefixes.append(each.removeprefix("ref-prefix ").encode("utf-8", "surrogateescape"))
        elif each in ("peel", "symrefs", "unborn"):
            flags.add(each)
        else:
            raise ProtocolError(f"the argument {each[:80]!r} of ls-refs is not known here")
    wanted = tuple(prefixes) if len(prefixes) <= PREFIXES_MOST else ()
    return b"".join([*_listed(refs, flags, wanted), FLUSH])


def _listed(refs: Refs, flags: Iterable[str], prefixes: tuple[bytes, ...]) -> Iterator[bytes]:
    if not prefixes or HEAD.startswith(prefixes):
        symbolic = b" symref-target:" + refs.head if "symrefs" in flags else b""
        if refs.at_head is not None:
            yield line(refs.at_head.hex().encode() + b" HEAD" + symbolic)
        elif "unborn" in flags:
            yield line(b"unborn HEAD" + symbolic)
    for name, target in refs.all.items():
        if not prefixes or name.startswith(prefixes):
            peeled = refs.peeled.get(name) if "peel" in flags else None
            extra = b"" if peeled is None else b" peeled:" + peeled.hex().encode()
            yield line(target.hex().encode() + b" " + name + extra)


def refused(words: str) -> bytes:
    """An answer in place of everything else; git prints the words."""
    return line(f"ERR {words}")
