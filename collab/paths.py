"""What a path in a project may be. PURE.

A `Path` is bytes to git and `str` to us: valid UTF-8 as it is, every other byte as a surrogate escape, so that
`to_bytes` and `from_bytes` lose nothing. Two gates let paths in. `check_new` is for names that are made here: they must
work in a checkout on Linux, macOS and Windows, and must look like what they are. `check_carried` is for names that git
brings: whatever git itself can check out is carried, however odd it looks.

What breaks it: a path that went past neither gate.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from collab.errors import Invalid, PathInvalid
from collab.ids import Path

PART_LIMIT: Final = 255
"""Bytes of one part: what ext4, APFS and NTFS take."""
PATH_LIMIT: Final = 4096
"""Bytes of a whole path: PATH_MAX of Linux."""
PROJECT_NAME_LIMIT: Final = 100

_FORBIDDEN: Final = '<>:"|?*\\'
_PROJECT_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]*")
_SURROGATE: Final = re.compile("[\ud800-\udfff]")

# Windows opens the device whatever the extension is; superscript digits count as digits there.
_RESERVED: Final = frozenset(
    [
        "con",
        "prn",
        "aux",
        "nul",
        "conin$",
        "conout$",
        *(device + digit for device in ("com", "lpt") for digit in "0123456789¹²³"),
    ]
)

# Zero width without being of the category Cf: joiners, fillers, variation selectors.
_BLANK: Final = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)

_ESCAPES: Final = {7: "a", 8: "b", 9: "t", 10: "n", 11: "v", 12: "f", 13: "r", 34: '"', 92: "\\"}
_UNESCAPES: Final = {letter: byte for byte, letter in _ESCAPES.items()}
_QUOTED: Final = re.compile(r'\\([abtnvfr"\\])|\\([0-3][0-7]{2})|([^"\\]+)')


def to_bytes(path: str) -> bytes:
    """The path as git stores it."""
    return path.encode("utf-8", "surrogateescape")


def from_bytes(raw: bytes) -> Path:
    """The inverse of `to_bytes`; checks nothing."""
    return Path(raw.decode("utf-8", "surrogateescape"))


def show(path: str) -> str:
    """What JSON and people get: the path itself, or git's quoted form (`"caf\\351"`) when it is not valid UTF-8 or
    begins with a double quote."""
    if not path.startswith('"') and not _SURROGATE.search(path):
        return path
    return '"' + "".join(_escape(byte) for byte in to_bytes(path)) + '"'


def parse(shown: str) -> Path:
    """The inverse of `show`. Takes whatever `git ls-files` prints; checks nothing but the form."""
    if _SURROGATE.search(shown):
        raise _bad('is not valid Unicode: write bytes that are not UTF-8 in git\'s quoted form, like "caf\\351"', shown)
    if not shown.startswith('"'):
        return Path(shown)
    if len(shown) < 2 or not shown.endswith('"'):
        raise _bad("begins with a double quote and does not end with one: quote it as git does", shown)
    raw, at, end = bytearray(), 1, len(shown) - 1
    while at < end:
        match = _QUOTED.match(shown, at, end)
        if match is None:
            raise _bad(f"has no escape that git knows at character {at + 1}: quote it as git does", shown)
        letter, octal, plain = match.groups()
        if letter:
            raw.append(_UNESCAPES[letter])
        elif octal:
            raw.append(int(octal, 8))
        else:
            raw += plain.encode()
        at = match.end()
    return from_bytes(bytes(raw))


def check_new(path: str) -> Path:
    """A path that is made here, unchanged. Raises `PathInvalid`, whose message says what would be right."""
    if not path:
        raise PathInvalid("A path cannot be empty: give a name like notes.md or docs/notes.md", field="path")
    if _SURROGATE.search(path):
        raise _bad("is not valid UTF-8: a new path must be", path)
    if path.startswith("/"):
        raise _bad("is absolute: begin with a name, as in docs/notes.md", path)
    if len(path.encode()) > PATH_LIMIT:
        raise _bad(f"is longer than {PATH_LIMIT} bytes: use shorter or fewer names", path)
    for part in path.split("/"):
        _check_part(part, path)
    normal = unicodedata.normalize("NFC", path)
    if normal != path:
        raise PathInvalid(
            f"The path {_quote(path)} is not in Unicode normal form C: write it as {_quote(normal)} in NFC",
            field="path",
            details={"suggestion": normal},
        )
    return Path(path)


def check_carried(raw: bytes) -> Path:
    """A path that git brings. Raises `PathInvalid` for what no git would check out."""
    path = from_bytes(raw)
    if not raw:
        raise PathInvalid("A path from git cannot be empty", field="path")
    if b"\0" in raw:
        raise _bad("holds a NUL byte", path)
    if raw.startswith(b"/"):
        raise _bad("is absolute", path)
    for part in raw.split(b"/"):
        if part in (b"", b".", b".."):
            raise _bad(f"has the part {_quote(part.decode())}, which names no file", path)
        if part.lower() == b".git":
            raise _bad("has a part .git, which is git's own", path)
    return path


def twin_key(path: str) -> str:
    """Equal for paths that some file system takes for one: they differ in case or in normal form only."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", path).casefold())


def parents(path: str) -> list[Path]:
    """The directories above a path, the outermost first."""
    return [Path(path[:at]) for at, char in enumerate(path) if char == "/"]


def check_project_name(name: str) -> str:
    """A project's name, unchanged: it is a part of URLs, and of the name of a bare repository."""
    if len(name) > PROJECT_NAME_LIMIT:
        raise Invalid(f"A project's name has at most {PROJECT_NAME_LIMIT} characters, not {len(name)}", field="name")
    if not _PROJECT_NAME.fullmatch(name):
        raise Invalid(
            f"The project name {_quote(name)} cannot be: "
            "use a-z, 0-9, dots, hyphens and underscores, and begin with a letter or a digit",
            field="name",
        )
    if name.endswith((".git", ".lock")):
        raise Invalid(
            f"The project name {_quote(name)} ends in .git or .lock, which git uses: leave that off", field="name"
        )
    return name


def _check_part(part: str, path: str) -> None:
    if part in ("", "."):
        raise _bad("has an empty part: put exactly one / between names, and none at the end", path)
    if part == "..":
        raise _bad("has a part ..: name the place itself", path)
    for char in part:
        _check_char(char, path)
    if match := _BLANK.search(part):
        raise _bad(f"holds the invisible character {_code(match.group())}: leave it out", path)
    if _is_git(part):
        raise _bad(f"has the part {_quote(part)}, which some systems take for .git: use another name", path)
    if part[-1] in ". ":
        raise _bad("has a part that ends in a dot or a space, which Windows drops: leave that off", path)
    if part.partition(".")[0].rstrip(" ").casefold() in _RESERVED:
        raise _bad(f"has the part {_quote(part)}, which is a device on Windows: use another name", path)
    if len(part.encode()) > PART_LIMIT:
        raise _bad(f"has a part longer than {PART_LIMIT} bytes: use a shorter name", path)


def _check_char(char: str, path: str) -> None:
    if char in _FORBIDDEN:
        hint = "separate names with /" if char == "\\" else "leave it out"
        raise _bad(f"holds the character {char}, which Windows cannot store: {hint}", path)
    if char.isalnum() or char.isprintable():
        return
    category = unicodedata.category(char)
    if category in ("Cc", "Zl", "Zp"):
        raise _bad(f"holds the control character {_code(char)}: leave it out", path)
    if category == "Cf":
        raise _bad(f"holds the invisible character {_code(char)}: leave it out", path)


def _is_git(part: str) -> bool:
    """Whether a file system may take the part for `.git`: HFS+ skips invisible characters, NTFS drops trailing dots,
    spaces and what follows a colon, and has the short name `git~1`."""
    visible = _BLANK.sub("", "".join(char for char in part if unicodedata.category(char) != "Cf"))
    name = unicodedata.normalize("NFKC", visible).casefold().partition(":")[0].rstrip(". ")
    return name in (".git", "git~1")


def _escape(byte: int) -> str:
    if byte in _ESCAPES:
        return "\\" + _ESCAPES[byte]
    return chr(byte) if 0x20 <= byte < 0x7F else f"\\{byte:03o}"


def _code(char: str) -> str:
    return f"U+{ord(char):04X}"


def _quote(text: str) -> str:
    """The text for a message: in quotes, with everything invisible escaped, and not longer than anybody reads."""
    shown = ascii(text) if _SURROGATE.search(text) else repr(text)
    return shown if len(shown) <= 200 else shown[:197] + "..."


def _bad(why: str, path: str) -> PathInvalid:
    return PathInvalid(f"The path {_quote(path)} {why}", field="path")
