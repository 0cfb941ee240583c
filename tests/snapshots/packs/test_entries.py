"""Headers of entries, commits, tags and trees: both ways, and whatever somebody sends."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collab.errors import ProtocolError
from snapshots.packs import entries
from snapshots.packs.entries import Kind, Oid, head, parse_head


@given(st.sampled_from([Kind.COMMIT, Kind.TREE, Kind.BLOB, Kind.TAG]), st.integers(0, 1 << 50))
def test_a_header_is_read_as_it_was_written(kind: Kind, size: int) -> None:
    written = head(kind, size)
    assert parse_head(b"x" * 20 + written, 20) == entries.Head(kind, size, 20 + len(written))


@given(st.integers(0, 1 << 40), st.integers(1, 1 << 30))
def test_a_delta_knows_what_it_is_made_of(size: int, distance: int) -> None:
    named = parse_head(head(Kind.REF_DELTA, size, base=Oid(b"b" * 20)), 0)
    assert (named.size, named.base) == (size, b"b" * 20)
    written = head(Kind.OFS_DELTA, size, distance=distance)

    class Far:
        """As if `written` stood far behind the beginning."""

        def __len__(self) -> int:
            return start + len(written)

        def __getitem__(self, at: Any) -> Any:
            return written[at - start]

    start = distance + entries.HEADER
    found = parse_head(Far(), start)
    assert (found.size, found.base) == (size, start - distance)


def test_a_delta_made_of_what_comes_before_the_first_entry_is_refused() -> None:
    with pytest.raises(ProtocolError, match="made of something"):
        parse_head(b"x" * 20 + head(Kind.OFS_DELTA, 5, distance=10), 20)


@pytest.mark.parametrize(
    "raw", [b"", b"\xf0", b"\x00", b"\x50", b"\xff" * 40, head(Kind.REF_DELTA, 5, base=Oid(b"b" * 20))[:-1]]
)
def test_what_is_no_header_is_refused_in_words(raw: bytes) -> None:
    with pytest.raises(ProtocolError):
        parse_head(raw, 0)


@given(st.binary(max_size=200))
def test_nothing_that_is_sent_does_more_than_be_refused(raw: bytes) -> None:
    for read in (
        lambda: parse_head(raw, 0),
        lambda: entries.parse_pack_header(raw),
        lambda: entries.delta_sizes(raw),
        lambda: entries.parse_commit(raw),
        lambda: entries.parse_tag(raw),
        lambda: list(entries.parse_tree(raw)),
        lambda: entries.oid(raw),
    ):
        with contextlib.suppress(ProtocolError):
            read()


def test_a_signed_commit_with_headers_of_many_lines_is_read() -> None:
    content = (
        b"tree " + b"1" * 40 + b"\nparent " + b"2" * 40 + b"\nauthor a <a@b> 1 +0000\ncommitter c <c@d> 77 +0100\n"
        b"gpgsig -----BEGIN\n \n parent x\n -----END\n\nparent " + b"3" * 40 + b"\n"
    )
    found = entries.parse_commit(content)
    assert (found.tree.hex(), [each.hex() for each in found.parents], found.time) == ("1" * 40, ["2" * 40], 77)


@pytest.mark.parametrize("committer", [b"", b"c <c@d>", b"c <c@d> x +0000", b"c <c@d> -5 +0000", b"c c@d 5"])
def test_a_commit_whose_time_cannot_be_read_is_as_old_as_can_be(committer: bytes) -> None:
    assert entries.parse_commit(b"tree " + b"1" * 40 + b"\ncommitter " + committer + b"\n\n").time == 0
