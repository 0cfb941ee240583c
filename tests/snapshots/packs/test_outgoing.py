"""Packs that real git reads, made of what real git wrote."""

from __future__ import annotations

import contextlib
import pathlib
from collections.abc import Iterator

import pytest

from snapshots.packs import history, outgoing
from snapshots.packs.entries import Kind, Oid, oid
from snapshots.packs.history import Graph
from snapshots.packs.objects import Objects
from tests.snapshots.git import commit_all, git, new_repository


@pytest.fixture(params=["loose", "packed", "both"])
def source(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> pathlib.Path:
    """Ten versions of a text that is worth a delta, among others."""
    folder = new_repository(tmp_path / "source")
    (folder / "d").mkdir()
    for number in range(10):
        (folder / "d" / "long.md").write_text("".join(f"line {line} {line % 7}\n" for line in range(400 + number)))
        (folder / f"f{number}.md").write_text(f"{number}\n")
        commit_all(folder)
        if request.param == "packed" or (request.param == "both" and number == 5):
            git(folder, "repack", "-q", "-a", "-d", "-f")
    return folder


@contextlib.contextmanager
def opened(folder: pathlib.Path) -> Iterator[Objects]:
    with contextlib.closing(Objects(folder / ".git" / "objects")) as objects:
        yield objects


def commits(folder: pathlib.Path) -> list[Oid]:
    return [oid(sha) for sha in git(folder, "rev-list", "HEAD").split()]


@pytest.mark.parametrize("ofs_delta", [True, False])
def test_a_clone_is_read_by_git_and_is_whole(source: pathlib.Path, tmp_path: pathlib.Path, ofs_delta: bool) -> None:
    with opened(source) as objects:
        selection = history.select(Graph(objects), commits(source)[:1], [])
        pack = b"".join(outgoing.pack(objects, selection, ofs_delta=ofs_delta, thin=False))
    bare = tmp_path / "bare.git"
    git(tmp_path, "init", "--quiet", "--bare", "bare.git")
    git(bare, "index-pack", "--stdin", "--strict", "--fsck-objects", stdin=pack)
    git(bare, "update-ref", "refs/heads/main", git(source, "rev-parse", "HEAD"))
    assert git(bare, "fsck", "--full", "--strict") == ""
    assert git(bare, "rev-list", "--objects", "main") == git(source, "rev-list", "--objects", "main")


def test_what_lies_as_a_delta_goes_out_as_one(source: pathlib.Path) -> None:
    with opened(source) as objects:
        selection = history.select(Graph(objects), commits(source)[:1], [])
        pack = b"".join(outgoing.pack(objects, selection, ofs_delta=True, thin=False))
        size = sum(objects.size(each) for each in selection.oids)
        there = sum(each.stat().st_size for each in (source / ".git" / "objects" / "pack").glob("*.pack"))
    if there and not list((source / ".git" / "objects").glob("[0-9a-f][0-9a-f]")):
        assert len(pack) <= there
    assert len(pack) < size


def test_a_thin_pack_is_made_of_what_the_client_has(source: pathlib.Path, tmp_path: pathlib.Path) -> None:
    newest, *_, before, oldest = commits(source)
    bare = tmp_path / "bare.git"
    git(tmp_path, "init", "--quiet", "--bare", "bare.git")
    with opened(source) as objects:
        for want, have in ((oldest, None), (before, oldest), (newest, before)):
            haves = [] if have is None else [have]
            selection = history.select(Graph(objects), [want], haves)
            pack = b"".join(outgoing.pack(objects, selection, ofs_delta=True, thin=True))
            git(bare, "index-pack", "--stdin", "--fix-thin", "--strict", stdin=pack)
    git(bare, "update-ref", "refs/heads/main", newest.hex())
    assert git(bare, "fsck", "--full", "--strict") == ""


def test_sizes_and_kinds_are_told_without_reading_whole_objects(source: pathlib.Path) -> None:
    listed = git(source, "cat-file", "--batch-check", "--batch-all-objects").splitlines()
    with opened(source) as objects:
        for row in listed:
            name, kind, size = row.split()
            assert (objects.kind(oid(name)).name.lower(), objects.size(oid(name))) == (kind, int(size))
            assert len(objects.get(oid(name))[1]) == int(size)
        assert len(listed) > 30
        assert Oid(b"\1" * 20) not in objects
        with pytest.raises(KeyError):
            objects.kind(Oid(b"\1" * 20))


def test_what_is_packed_meanwhile_is_found(source: pathlib.Path) -> None:
    with opened(source) as objects:
        (source / "new.md").write_text("new\n")
        commit_all(source)
        git(source, "repack", "-q", "-a", "-d")
        assert commits(source)[0] in objects
        assert objects.kind(commits(source)[0]) is Kind.COMMIT
