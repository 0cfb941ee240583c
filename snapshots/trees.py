"""Git's tree objects: parsed, written, and rebuilt along the paths that changed. PURE.

A path is split at `/`; an entry of a tree is a name (bytes), a mode and a SHA. `rebuild` reads only the trees on the way
to what changed, so that its cost follows the change and not the size of the project. Nothing here recurses: a path may
be thousands of directories deep.

What breaks it: `read` giving something else than the tree that was asked for.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from dataclasses import dataclass
from typing import Final

from collab import paths
from collab.errors import Invalid
from collab.ids import BlobSha, Path
from snapshots.remotes.base import TreeEntry, TreeSha

DIRECTORY: Final = 0o040000
SUBMODULE: Final = 0o160000
EMPTY_TREE: Final = TreeSha("4b825dc642cb6eb9a060e54bf8d69288fbee4904")

Tree = dict[bytes, TreeEntry]
"""One directory: name -> entry, in no order."""

ReadTree = Callable[[TreeSha], bytes]
"""The content of a tree object, without its header."""


@dataclass(frozen=True, slots=True)
class Rebuilt:
    root: TreeSha
    objects: Mapping[TreeSha, bytes]
    """Every tree on the changed paths, content by SHA; some may be known already."""


def parse(content: bytes) -> Tree:
    tree: Tree = {}
    at = 0
    while at < len(content):
        space = content.index(b" ", at)
        end = content.index(b"\0", space)
        sha = content[end + 1 : end + 21]
        tree[content[space + 1 : end]] = TreeEntry(BlobSha(sha.hex()), int(content[at:space], 8))
        at = end + 21
    return tree


def encode(tree: Tree) -> bytes:
    """In git's order: a directory sorts as if its name ended in a slash."""
    entries = sorted(tree.items(), key=lambda each: each[0] + b"/" if each[1].mode == DIRECTORY else each[0])
    return b"".join(b"%o %s\0" % (entry.mode, name) + bytes.fromhex(entry.sha) for name, entry in entries)


def sha_of(content: bytes) -> TreeSha:
    return TreeSha(hashlib.sha1(b"tree %d\0" % len(content) + content, usedforsecurity=False).hexdigest())


def walk(root: TreeSha, read: ReadTree) -> Iterator[tuple[Path, TreeEntry]]:
    """Every file below `root`; directories are read one at a time."""
    waiting: list[tuple[bytes, TreeSha]] = [(b"", root)]
    while waiting:
        prefix, sha = waiting.pop()
        for name, entry in parse(read(sha)).items():
            if entry.mode == DIRECTORY:
                waiting.append((prefix + name + b"/", TreeSha(entry.sha)))
            else:
                yield paths.from_bytes(prefix + name), entry


def below(root: TreeSha, folder: str, read: ReadTree) -> Iterator[tuple[Path, TreeEntry]]:
    """Every file below a folder, with its whole path; where a file stands at it or above it, that one."""
    at, sha = b"", root
    for name in paths.to_bytes(folder).split(b"/"):
        entry = parse(read(sha)).get(name)
        if entry is None:
            return
        if entry.mode != DIRECTORY:
            yield paths.from_bytes(at + name), entry
            return
        at, sha = at + name + b"/", TreeSha(entry.sha)
    for path, entry in walk(sha, read):
        yield paths.from_bytes(at + paths.to_bytes(path)), entry


def tree_of(files: Mapping[Path, TreeEntry]) -> TreeSha:
    """The SHA of the tree that holds exactly these files."""
    return rebuild(None, files, (), _nothing_to_read).root


def rebuild(root: TreeSha | None, writes: Mapping[Path, TreeEntry], deletes: Iterable[Path], read: ReadTree) -> Rebuilt:
    """`root` with `deletes` taken out and `writes` put. A file that is written where a directory stood replaces it whole,
    and the other way round; a directory that has become empty is gone. Deleting what is not there changes nothing."""
    put = {paths.to_bytes(path): entry for path, entry in writes.items()}
    gone = {paths.to_bytes(path) for path in deletes} - put.keys()
    files = put.keys()
    touched = {parent for path in put for parent in _parents(path)}
    if clash := touched & files:
        raise Invalid(
            f"{paths.show(paths.from_bytes(min(clash)))} cannot be a file and a directory at once", field="path"
        )
    touched |= {parent for path in gone for parent in _parents(path) if not _below(parent, files)}
    touched.add(b"")
    trees = _load(root, touched, read)
    for path in gone:
        parent, name = _split(path)
        if parent in trees and (found := trees[parent].get(name)) is not None and found.mode != DIRECTORY:
            del trees[parent][name]
    for path, entry in put.items():
        parent, name = _split(path)
        trees[parent][name] = entry
    return _store(trees)


def _load(root: TreeSha | None, touched: set[bytes], read: ReadTree) -> dict[bytes, Tree]:
    """The directories `touched` as they stand, parents first; what is no directory yet is empty."""
    trees: dict[bytes, Tree] = {}
    for directory in sorted(touched, key=lambda each: (each.count(b"/"), each)):
        if not directory:
            trees[directory] = parse(read(root)) if root is not None else {}
            continue
        parent, name = _split(directory)
        entry = trees[parent].get(name)
        stands = entry is not None and entry.mode == DIRECTORY
        trees[directory] = parse(read(TreeSha(entry.sha))) if entry is not None and stands else {}
    return trees


def _store(trees: dict[bytes, Tree]) -> Rebuilt:
    """Writes children before their parents, because a parent holds its children's SHAs."""
    objects: dict[TreeSha, bytes] = {}
    for directory in sorted(trees, key=lambda each: each.count(b"/") if each else -1, reverse=True):
        content = encode(trees[directory])
        sha = sha_of(content)
        if not directory:
            objects[sha] = content
            return Rebuilt(sha, objects)
        parent, name = _split(directory)
        if content:
            objects[sha] = content
            trees[parent][name] = TreeEntry(BlobSha(sha), DIRECTORY)
        elif (entry := trees[parent].get(name)) is not None and entry.mode == DIRECTORY:
            del trees[parent][name]
    raise AssertionError("the root is always among the trees")


def _parents(path: bytes) -> Iterator[bytes]:
    at = path.rfind(b"/")
    while at > 0:
        yield path[:at]
        at = path.rfind(b"/", 0, at)


def _below(directory: bytes, files: Set[bytes]) -> bool:
    """Whether `directory` is one of `files`, or lies in what is now a file."""
    return directory in files or any(parent in files for parent in _parents(directory))


def _split(path: bytes) -> tuple[bytes, bytes]:
    parent, _, name = path.rpartition(b"/")
    return parent, name


def _nothing_to_read(sha: TreeSha) -> bytes:
    raise Invalid(f"tree {sha} was not expected to be read")
