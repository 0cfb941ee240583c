"""What a commit is made of in GitHub's calls, and what its listings say. PURE.

`POST trees` takes a base tree and entries: what shall stand at a path, by SHA or with its text, or null for nothing. One
call takes at most `ENTRIES` and `INLINE_BYTES` of text. What is not text goes as a blob first.
"""

from __future__ import annotations

import base64
import hashlib
import urllib.parse
from collections.abc import Iterable, Mapping, Sequence, Set
from datetime import UTC, datetime
from typing import Any, Final

from collab.ids import BlobSha, Path
from snapshots import trees
from snapshots.remotes.base import NewCommit, TreeEntry, TreeSha

ENTRIES: Final = 100
INLINE_BYTES: Final = 1_000_000
"""Of one call."""

BLOB_BYTES: Final = 100_000_000
"""Larger files GitHub does not take at all."""

WORKFLOWS: Final = ".github/workflows/"

Entry = dict[str, Any]
"""One of a call to `POST trees`: path, mode, type, and `sha` or `content`."""


def entry(path: Path, at: TreeEntry, content: str | None = None) -> Entry:
    made = _place(path, at.mode)
    return {**made, "sha": at.sha} if content is None else {**made, "content": content}


def nothing(path: Path, mode: int) -> Entry:
    """The path is taken out. It must be there: null for what is not is an error."""
    return {**_place(path, mode), "sha": None}


def text(content: bytes) -> str | None:
    """What may travel inside a call; None: it goes as a blob."""
    if len(content) > INLINE_BYTES or b"\0" in content:
        return None
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return None


def blob(content: bytes) -> Mapping[str, str]:
    return {"content": base64.b64encode(content).decode(), "encoding": "base64"}


def inline_bytes(each: Entry) -> int:
    return len(each["content"].encode()) if "content" in each else 0


def blob_sha(content: bytes) -> BlobSha:
    return BlobSha(hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest())


def quoted(name: str) -> str:
    """A path or a branch in an address."""
    return urllib.parse.quote(name, safe="/")


def expressible(path: Path) -> bool:
    """Whether JSON can carry the path: it must be UTF-8."""
    try:
        path.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def halves(entries: Sequence[Entry]) -> tuple[Sequence[Entry], Sequence[Entry]]:
    middle = len(entries) // 2
    return entries[:middle], entries[middle:]


def commit_body(new: NewCommit, tree: TreeSha, parents: Sequence[str], *, signed: bool) -> Mapping[str, Any]:
    """`signed`: by GitHub, which it does only when it is told neither author nor date."""
    body: dict[str, Any] = {"message": message(new), "tree": tree, "parents": list(parents)}
    return body if signed else {**body, "author": author(new)}


def message(new: NewCommit) -> str:
    return told(new.message)


def told(words: str) -> str:
    """What JSON can carry of them: a path in a message may hold bytes that are not UTF-8."""
    return words.encode("utf-8", "replace").decode()


def author(new: NewCommit) -> Mapping[str, str]:
    date = datetime.fromtimestamp(new.at, tz=UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {"name": told(new.author.name), "email": new.author.email, "date": date}


def listed(entries: Iterable[Mapping[str, Any]], prefix: str = "") -> tuple[dict[Path, TreeEntry], dict[str, TreeSha]]:
    """The files and the directories of a listing."""
    files: dict[Path, TreeEntry] = {}
    directories: dict[str, TreeSha] = {}
    for each in entries:
        if (mode := int(each["mode"], 8)) == trees.DIRECTORY:
            directories[prefix + each["path"]] = TreeSha(each["sha"])
        else:
            files[Path(prefix + each["path"])] = TreeEntry(BlobSha(each["sha"]), mode)
    return files, directories


def level_sha(entries: Iterable[Mapping[str, Any]]) -> TreeSha:
    """Of one directory, listed without what lies below it."""
    held = {each["path"].encode(): TreeEntry(BlobSha(each["sha"]), int(each["mode"], 8)) for each in entries}
    return trees.sha_of(trees.encode(held))


def in_the_way(files: Mapping[Path, TreeEntry], path: Path, mode: int) -> list[Path]:
    """What must be taken out before `path` can be put: a file where it needs a directory, a directory where it shall
    stand, a submodule where a file shall, and the other way round."""
    found = [each for each in files if path.startswith(f"{each}/") or each.startswith(f"{path}/")]
    here = files.get(path)
    if here is not None and (here.mode == trees.SUBMODULE) != (mode == trees.SUBMODULE):
        found.append(path)
    return found


def clashing(gone: Iterable[Path], writes: Mapping[Path, TreeEntry]) -> set[Path]:
    """Of what is taken out, what has to go in a call of its own, first: a file becomes a directory, or a directory one."""
    above = {parent for path in writes for parent in _parents(path)}
    return {path for path in gone if path in above or any(parent in writes for parent in _parents(path))}


def outcome(
    before: Mapping[Path, TreeEntry], gone: Set[Path], writes: Mapping[Path, TreeEntry]
) -> Mapping[Path, TreeEntry]:
    """The files of the commit: what is written also replaces the directory that stood there, and the file above it."""
    above = {parent for path in writes for parent in _parents(path)}
    kept = {
        path: each
        for path, each in before.items()
        if path not in gone and path not in above and not any(parent in writes for parent in _parents(path))
    }
    return {**kept, **writes}


def emptied(gone: Iterable[Path], rest: Iterable[Path]) -> list[Path]:
    """The topmost directories that hold nothing any more."""
    standing = {parent for path in rest for parent in _parents(path)}
    empty = {parent for path in gone for parent in _parents(path)} - standing - set(rest)
    return sorted(each for each in empty if not any(parent in empty for parent in _parents(each)))


def _place(path: Path, mode: int) -> Entry:
    kind = {trees.SUBMODULE: "commit", trees.DIRECTORY: "tree"}.get(mode, "blob")
    return {"path": path, "mode": f"{mode:06o}", "type": kind}


def _parents(path: Path) -> list[Path]:
    parts = path.split("/")
    return [Path("/".join(parts[:n])) for n in range(1, len(parts))]
