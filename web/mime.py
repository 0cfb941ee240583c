"""What kind of thing a file is, by its name, and how a browser may be handed it. PURE.

The table is our own and Python's, never the machine's: the same file gets the same type everywhere.
"""

from __future__ import annotations

import functools
import mimetypes
from dataclasses import dataclass
from typing import Final

from collab import paths
from collab.store.base import DocumentKind

OURS: Final = {
    ".c": "text/x-c",
    ".cc": "text/x-c++",
    ".cpp": "text/x-c++",
    ".go": "text/x-go",
    ".h": "text/x-c",
    ".ini": "text/plain",
    ".java": "text/x-java",
    ".jsx": "text/javascript",
    ".lock": "text/plain",
    ".md": "text/markdown",
    ".mdx": "text/markdown",
    ".rb": "text/x-ruby",
    ".rs": "text/rust",
    ".rst": "text/x-rst",
    ".sh": "text/x-sh",
    ".sql": "application/sql",
    ".toml": "application/toml",
    ".ts": "text/typescript",
    ".tsx": "text/typescript",
    ".woff": "font/woff",
    ".woff2": "font/woff2",
    ".yaml": "application/yaml",
    ".yml": "application/yaml",
}
_KNOWN: Final = mimetypes.MimeTypes(filenames=()).types_map[True] | OURS

INLINE: Final = ("image/", "audio/", "video/", "font/")
"""What a browser shows or plays without running anything in our origin; SVG is not among it."""
SVG: Final = "image/svg+xml"
BYTES: Final = "application/octet-stream"
TEXT: Final = "text/plain"


@functools.lru_cache(maxsize=1000)
def _by_ending(ending: str) -> str | None:
    return _KNOWN.get(ending)


def guess(path: str, kind: DocumentKind) -> str:
    if kind == "symlink":
        return "inode/symlink"
    if kind == "submodule":
        return "application/x-git-submodule"
    name = path.rpartition("/")[2]
    dot = name.rfind(".")
    known = _by_ending(name[dot:].lower()) if dot > 0 else None
    return known or (TEXT if kind in ("text", "lfs") else BYTES)


@dataclass(frozen=True, slots=True)
class Serving:
    content_type: str
    inline: bool


def serving(path: str, kind: DocumentKind) -> Serving:
    """Text is plain text whatever it means; what could run as a page is a download (in an `<img>`, SVG works still)."""
    mime = guess(path, kind)
    if mime == SVG:
        return Serving(SVG, inline=False)
    if kind in ("text", "symlink", "submodule", "lfs"):
        return Serving("text/plain; charset=utf-8", inline=mime not in ("text/html", "application/xhtml+xml"))
    if mime.startswith(INLINE):
        return Serving(mime, inline=True)
    return Serving(mime if mime != "text/html" else BYTES, inline=False)


def disposition(path: str, *, inline: bool) -> str:
    """Content-Disposition with the file's own name (RFC 6266)."""
    name = paths.to_bytes(path.rpartition("/")[2])
    plain = "".join(chr(byte) if (chr(byte).isalnum() and byte < 128) or byte in b"._- " else "_" for byte in name)
    encoded = "".join(
        chr(byte) if byte < 128 and (chr(byte).isalnum() or byte in b"._-") else f"%{byte:02X}" for byte in name
    )
    extended = f"; filename*=UTF-8''{encoded}" if encoded != plain else ""
    return f'{"inline" if inline else "attachment"}; filename="{plain}"{extended}'
