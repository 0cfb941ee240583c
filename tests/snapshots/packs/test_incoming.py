"""Packs that somebody sends: honest ones are kept as git would keep them, others are refused in words."""

from __future__ import annotations

import contextlib
import hashlib
import os
import pathlib
import random
import subprocess
import tracemalloc
import zlib

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collab.errors import QuireError
from snapshots.packs import incoming
from snapshots.packs.entries import Kind, Oid, head, oid
from snapshots.packs.incoming import Incoming, Refused
from snapshots.packs.objects import Objects
from snapshots.packs.verdict import PushLimits
from tests.snapshots.git import ENVIRONMENT, commit_all, git, new_repository
from tests.snapshots.packs.memory import Memory
from tests.snapshots.packs.packing import copy, delta, entry, insert, number, pack

NOTHING = Memory()


def judged(
    folder: pathlib.Path, raw: bytes, there: Memory | Objects = NOTHING, limits: PushLimits | None = None
) -> dict[Oid, Kind]:
    folder.mkdir(exist_ok=True)
    (folder / "received").write_bytes(raw)
    return Incoming(folder / "received", there, limits or PushLimits(), lambda what, done, total: None).judge()


def refused(folder: pathlib.Path, raw: bytes, there: Memory = NOTHING, limits: PushLimits | None = None) -> str:
    with pytest.raises(Refused) as caught:
        judged(folder, raw, there, limits)
    assert not list((folder / "pack").glob("*"))
    return caught.value.why


def blob(content: bytes) -> Oid:
    return Memory().blob(content)


# honest ones


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    folder = new_repository(tmp_path_factory.mktemp("source") / "source")
    for step in range(8):
        (folder / "long.md").write_text("".join(f"line {line} {line % 7}\n" for line in range(500 + step)))
        (folder / f"f{step}.bin").write_bytes(random.Random(step).randbytes(2_000))
        commit_all(folder)
    git(folder, "tag", "--annotate", "--message", "One", "v1")
    return folder


def sent(source: pathlib.Path, *what: str, thin: bool = False) -> bytes:
    options = ["--stdout", "--revs", "--delta-base-offset", *(["--thin"] if thin else [])]
    asked = "\n".join(what).encode() + b"\n"
    done = subprocess.run(
        ["git", "-C", str(source), "pack-objects", "-q", *options],
        input=asked,
        capture_output=True,
        env=ENVIRONMENT,
        check=True,
    )
    return done.stdout


def listed(source: pathlib.Path, *what: str) -> set[str]:
    return {row.split()[0] for row in git(source, "rev-list", "--objects", *what).splitlines()}


def test_what_git_sends_is_kept_as_git_would_keep_it(source: pathlib.Path, tmp_path: pathlib.Path) -> None:
    found = judged(tmp_path / "in", sent(source, "HEAD", "v1"))
    assert {each.hex() for each in found} == listed(source, "HEAD", "v1")
    (kept,) = (tmp_path / "in" / "pack").glob("*.pack")
    assert git(source, "verify-pack", str(kept.with_suffix(".idx"))) == ""
    with contextlib.closing(Objects(tmp_path / "in")) as objects:
        for each in found:
            assert objects.kind(each).name.lower() == git(source, "cat-file", "-t", each.hex())
            assert objects.size(each) == int(git(source, "cat-file", "-s", each.hex()))


def test_a_thin_pack_is_completed(source: pathlib.Path, tmp_path: pathlib.Path) -> None:
    with contextlib.closing(Objects(source / ".git" / "objects")) as there:
        raw = sent(source, "HEAD", "^HEAD~1", thin=True)
        found = judged(tmp_path / "in", raw, there)
    assert {each.hex() for each in found} == listed(source, "HEAD", "^HEAD~1")
    (kept,) = (tmp_path / "in" / "pack").glob("*.pack")
    shown = git(source, "verify-pack", "-v", str(kept.with_suffix(".idx")))
    assert len(found) < len(
        [row for row in shown.splitlines() if " blob " in row or " tree " in row or " commit " in row]
    )
    assert (kept.stat().st_size, kept.read_bytes()[-20:].hex()) == (
        kept.stat().st_size,
        kept.stem.removeprefix("pack-"),
    )


def test_contents_that_were_dropped_are_made_again(
    source: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(incoming, "HELD", 1)
    assert {each.hex() for each in judged(tmp_path / "in", sent(source, "HEAD"))} == listed(source, "HEAD")


def test_deltas_may_stand_in_any_order_and_be_made_of_deltas(tmp_path: pathlib.Path) -> None:
    first, second, third = b"a" * 100, b"a" * 100 + b"b", b"a" * 100 + b"bc"
    last = entry(Kind.REF_DELTA, delta(101, 102, copy(0, 101), insert(b"c")), base=blob(second))
    middle = entry(Kind.REF_DELTA, delta(100, 101, copy(0, 100), insert(b"b")), base=blob(first))
    raw = pack([last, middle, entry(Kind.BLOB, first)])
    assert set(judged(tmp_path / "in", raw)) == {blob(first), blob(second), blob(third)}


def test_an_empty_pack_is_no_pack(tmp_path: pathlib.Path) -> None:
    assert judged(tmp_path / "in", pack([])) == {}
    assert list((tmp_path / "in").iterdir()) == []


# others


def test_what_is_damaged_is_refused(tmp_path: pathlib.Path) -> None:
    good = pack([entry(Kind.BLOB, b"x" * 100)])
    for at in range(0, len(good), 3):
        bad = bytearray(good)
        bad[at] ^= 0x55
        with pytest.raises((Refused, QuireError)):
            judged(tmp_path / "in", bytes(bad))
    for length in (0, 4, 12, 20, 31, len(good) - 1):
        with pytest.raises((Refused, QuireError)):
            judged(tmp_path / "in", good[:length])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300)
@given(st.data())
def test_nothing_that_is_sent_does_more_than_be_refused(tmp_path: pathlib.Path, data: st.DataObject) -> None:
    """Its checksum is right, so that everything behind it is looked at."""
    good = [
        entry(Kind.BLOB, b"hello world"),
        entry(Kind.TREE, b"100644 a\0" + blob(b"hello world")),
        entry(Kind.REF_DELTA, delta(11, 12, copy(0, 11), insert(b"!")), base=blob(b"hello world")),
        entry(Kind.OFS_DELTA, delta(11, 12, copy(0, 11), insert(b"?")), distance=60),
    ]
    body = bytearray(b"".join(good))
    for _ in range(data.draw(st.integers(0, 4))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    raw = pack([bytes(body)], count=data.draw(st.integers(0, 6)))
    with contextlib.suppress(Refused, QuireError):
        judged(tmp_path / "in", raw)


def test_a_count_beyond_all_measure_is_refused_before_anything_is_read(tmp_path: pathlib.Path) -> None:
    assert "4,294,967,295 objects" in refused(tmp_path / "in", pack([], count=0xFFFFFFFF))


def test_an_object_that_is_not_as_large_as_it_says_is_refused(tmp_path: pathlib.Path) -> None:
    assert "larger than it says" in refused(tmp_path / "in", pack([entry(Kind.BLOB, b"x" * 100, size=50)]))
    assert "smaller than it says" in refused(tmp_path / "in", pack([entry(Kind.BLOB, b"x" * 100, size=500)]))


def test_what_unpacks_to_too_much_is_refused(tmp_path: pathlib.Path) -> None:
    limits = PushLimits(object=10_000_000, work=20_000_000, work_ratio=0)
    bomb = entry(Kind.BLOB, bytes(9_000_000))
    assert "9,000,000" not in refused(
        tmp_path / "a", pack([bomb, entry(Kind.BLOB, bytes(9_000_001)), bomb]), limits=limits
    )
    assert "11,000,000 bytes, and 10,000,000 are the most" in refused(
        tmp_path / "b", pack([entry(Kind.BLOB, bytes(11_000_000))]), limits=limits
    )
    says = entry(Kind.BLOB, b"x", size=1 << 50)
    assert "are the most" in refused(tmp_path / "c", pack([says]), limits=limits)


def test_a_delta_that_makes_too_much_is_refused_before_it_is_applied(tmp_path: pathlib.Path) -> None:
    """Every level makes the content before it many times."""
    content, entries = b"x" * 1000, [entry(Kind.BLOB, b"x" * 1000)]
    for _ in range(6):
        made = delta(len(content), len(content) * 50, *[copy(0, min(len(content), 0xFFFFFF))] * 50)
        entries.append(entry(Kind.REF_DELTA, made, base=blob(content)))
        if len(content) > 10_000_000:
            break
        content *= 50
    assert "are the most" in refused(tmp_path / "in", pack(entries), limits=PushLimits(object=10_000_000))


@pytest.mark.parametrize(
    ("made", "says"),
    [
        (delta(5, 3, copy(0, 3)), "of another size"),
        (delta(11, 3, copy(0, 4)), "cannot be applied|of another size"),
        (delta(11, 4, copy(9, 4)), "cannot be applied"),
        (delta(11, 4, b"\x00"), "cannot be applied"),
        (delta(11, 9, insert(b"abc")), "cannot be applied|of another size"),
        (b"\xff" * 12, "has no end"),
        (b"", "cut short"),
        (number(11) + number(1 << 40), "are the most"),
    ],
)
def test_a_delta_that_cannot_be_is_refused(tmp_path: pathlib.Path, made: bytes, says: str) -> None:
    raw = pack([entry(Kind.BLOB, b"hello world"), entry(Kind.REF_DELTA, made, base=blob(b"hello world"))])
    with pytest.raises((Refused, QuireError), match=says):
        judged(tmp_path / "in", raw)


def test_deltas_of_nothing_and_of_each_other_are_refused(tmp_path: pathlib.Path) -> None:
    alone = entry(Kind.REF_DELTA, delta(3, 3, copy(0, 3)), base=Oid(b"z" * 20))
    assert "neither it nor the repository has" in refused(tmp_path / "in", pack([alone]))
    one = entry(Kind.REF_DELTA, delta(3, 4, copy(0, 3), insert(b"1")), base=blob(b"abc"))
    other = entry(Kind.REF_DELTA, delta(4, 3, copy(0, 3)), base=blob(b"abc1"))
    assert "neither it nor the repository has" in refused(tmp_path / "in", pack([one, other]))


def test_an_object_twice_is_refused(tmp_path: pathlib.Path) -> None:
    assert "twice" in refused(tmp_path / "in", pack([entry(Kind.BLOB, b"x"), entry(Kind.BLOB, b"x")]))


def test_another_object_under_a_known_name_is_refused(tmp_path: pathlib.Path) -> None:
    there = Memory()
    there.objects[blob(b"one")] = (Kind.BLOB, b"another, as if SHA-1 were broken")
    assert "another one in the repository" in refused(tmp_path / "in", pack([entry(Kind.BLOB, b"one")]), there)
    assert judged(tmp_path / "in", pack([entry(Kind.BLOB, b"two")]), there) == {blob(b"two"): Kind.BLOB}


COMMIT = b"tree %s\n%sauthor a <a@b> 1 +0000\ncommitter a <a@b> 1 +0000\n\nA commit\n"


def test_what_names_something_that_is_nowhere_is_refused(tmp_path: pathlib.Path) -> None:
    tree = b"100644 a\0" + blob(b"x")
    tree_name = Memory().add(Kind.TREE, tree)
    assert f"names the blob {blob(b'x').hex()}" in refused(tmp_path / "a", pack([entry(Kind.TREE, tree)]))
    commit = COMMIT % (tree_name.hex().encode(), b"")
    assert f"names the tree {tree_name.hex()}" in refused(tmp_path / "b", pack([entry(Kind.COMMIT, commit)]))
    parent = COMMIT % (tree_name.hex().encode(), b"parent " + b"1" * 40 + b"\n")
    whole = [entry(Kind.BLOB, b"x"), entry(Kind.TREE, tree)]
    assert "git fetch --unshallow" in refused(tmp_path / "c", pack([*whole, entry(Kind.COMMIT, parent)]))
    assert len(judged(tmp_path / "d", pack([*whole, entry(Kind.COMMIT, commit)]))) == 3


def test_what_is_named_as_something_else_is_refused(tmp_path: pathlib.Path) -> None:
    tree = b"40000 a\0" + blob(b"x")
    said = refused(tmp_path / "a", pack([entry(Kind.BLOB, b"x"), entry(Kind.TREE, tree)]))
    assert "is a blob and named as a tree" in said
    commit = COMMIT % (blob(b"x").hex().encode(), b"")
    said = refused(tmp_path / "b", pack([entry(Kind.BLOB, b"x"), entry(Kind.COMMIT, commit)]))
    assert "is a blob and named as a tree" in said


@pytest.mark.parametrize(
    "content",
    [b"", b"tree x\n\n", b"nonsense", b"tree " + b"1" * 40 + b"\n\n", COMMIT % (b"1" * 40, b"parent x\n")],
)
def test_a_commit_that_cannot_be_read_is_refused(tmp_path: pathlib.Path, content: bytes) -> None:
    assert "cannot be read" in refused(tmp_path / "in", pack([entry(Kind.COMMIT, content)]))


def test_a_huge_tree_is_refused_by_its_size(tmp_path: pathlib.Path) -> None:
    raw = pack([entry(Kind.TREE, b"100644 " + bytes(40_000_000))])
    assert "are the most" in refused(tmp_path / "in", raw)


def test_something_behind_the_last_object_is_refused(tmp_path: pathlib.Path) -> None:
    assert "behind its last object" in refused(tmp_path / "in", pack([entry(Kind.BLOB, b"x"), b"more"], count=1))


def test_a_large_blob_is_never_held(tmp_path: pathlib.Path) -> None:
    size = 50_000_000
    squeeze = zlib.compressobj(1)
    raw = bytearray(pack([], count=1)[:12]) + head(Kind.BLOB, size)
    digest = hashlib.sha1(b"blob %d\0" % size)
    for _ in range(size // 1_000_000):
        piece = os.urandom(1000) * 1000
        raw += squeeze.compress(piece)
        digest.update(piece)
    raw += squeeze.flush()
    raw += hashlib.sha1(raw).digest()
    tracemalloc.start()
    found = judged(tmp_path / "in", bytes(raw))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert list(found) == [digest.digest()]
    assert peak < len(raw) + 4_000_000


def test_names_are_read_both_ways() -> None:
    assert oid(blob(b"x").hex()) == blob(b"x")
