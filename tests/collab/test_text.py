"""Bytes to text and back, byte for byte; and edits that touch what changed and nothing else."""

from __future__ import annotations

import random
import subprocess
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from collab.text import (
    LFS_LIMIT,
    TEXT_LIMIT,
    Edit,
    Shape,
    apply_edits,
    blob_sha,
    classify,
    coalesce,
    common_prefix,
    common_suffix,
    diff,
    lines,
    normalise,
    open_bytes,
    to_bytes,
)

pieces = st.sampled_from(
    ["\r", "\n", "\r\n", "\r\n", "\ufeff", "\0", "a", "é", "e\u0301", "漢字", "😀", " ", "\u2028", "\x85"]
)
texts = st.lists(pieces, max_size=12).map("".join)
crlf_texts = st.lists(st.sampled_from(["\r\n", "a", "😀", "\ufeff"]), max_size=12).map("".join)
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 12\n"


@given(st.one_of(texts, crlf_texts, st.text()))
@example("")
@example("\ufeff")
@example("\ufeff\ufeffa\r\n")
@example("a\r\nb\n")
@example("a\r\n\r")
def test_every_utf8_file_comes_back_byte_for_byte(text: str) -> None:
    data = text.encode()
    opened = open_bytes(data)
    assert opened is not None
    assert to_bytes(*opened) == data


@pytest.mark.parametrize(
    ("data", "text", "shape"),
    [
        (b"a\nb\n", "a\nb\n", Shape("lf", bom=False)),
        (b"a\r\nb\r\n", "a\nb\n", Shape("crlf", bom=False)),
        (b"a\r\nb", "a\nb", Shape("crlf", bom=False)),
        (b"a\r\nb\n", "a\r\nb\n", Shape("lf", bom=False)),
        (b"a\r\nb\r", "a\r\nb\r", Shape("lf", bom=False)),
        (b"a\rb\r", "a\rb\r", Shape("lf", bom=False)),
        (b"\xef\xbb\xbfa\r\n", "a\n", Shape("crlf", bom=True)),
        (b"\xef\xbb\xbf", "", Shape("lf", bom=True)),
        (b"", "", Shape("lf", bom=False)),
    ],
)
def test_the_shape_keeps_what_the_text_does_not_say(data: bytes, text: str, shape: Shape) -> None:
    assert open_bytes(data) == (text, shape)


@pytest.mark.parametrize("data", [b"\xff", b"caf\xe9", b"\xed\xa0\x80", b"\xc0\x80", b"a" * (TEXT_LIMIT + 1), POINTER])
def test_what_is_not_text_is_not_opened(data: bytes) -> None:
    assert open_bytes(data) is None


def test_the_largest_text_is_opened() -> None:
    assert open_bytes(b"a" * TEXT_LIMIT) is not None


def test_a_crlf_file_stays_one_whatever_peers_type() -> None:
    assert to_bytes("a\r\nb\n", Shape("crlf")) == b"a\r\nb\r\n"


def test_a_callers_text_takes_the_documents_form() -> None:
    assert normalise("\ufeffa\r\nb\n", Shape("crlf", bom=True)) == "a\nb\n"
    assert normalise("\ufeffa\r\nb\n", Shape("lf", bom=False)) == "\ufeffa\r\nb\n"


@pytest.mark.parametrize("data", [b"", b"hello\n", b"\0\xff" * 1000])
def test_git_gives_the_same_name_to_a_blob(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(data)
    named = subprocess.run(
        ["git", "hash-object", "--no-filters", "file"], cwd=tmp_path, capture_output=True, check=True
    )
    assert blob_sha(data) == named.stdout.decode().strip()


@pytest.mark.parametrize(
    ("data", "mode", "kind"),
    [
        (b"a\n", 0o100644, "text"),
        (b"#!/bin/sh\n", 0o100755, "text"),
        (b"a\0b", 0o100644, "text"),
        (b"\xff", 0o100644, "binary"),
        (b"a" * (TEXT_LIMIT + 1), 0o100644, "binary"),
        (b"target", 0o120000, "symlink"),
        (b"", 0o160000, "submodule"),
        (POINTER, 0o100644, "lfs"),
        (POINTER, 0o120000, "symlink"),
        (POINTER.ljust(LFS_LIMIT, b"\n"), 0o100644, "text"),
        (b" " + POINTER, 0o100644, "text"),
    ],
)
def test_what_a_file_is(data: bytes, mode: int, kind: str) -> None:
    assert classify(data, mode) == kind


small = st.lists(st.sampled_from(["one\n", "two\n", "\n", "a b c\n", "é", "😀 ", "x", "\r\n"]), max_size=25).map(
    "".join
)


@given(small, small)
@example("a\nb", "a\nb\n")
@example("aXb", "ab")
@example("abab", "ab")
def test_the_edits_lead_from_before_to_after(before: str, after: str) -> None:
    edits = diff(before, after)
    assert apply_edits(before, edits) == after
    end = -1
    for start, delete, insert in edits:
        assert start > end, "edits are in order and apart"
        assert delete or insert
        end = start + delete
    assert (edits == []) == (before == after)


@given(small, small, st.integers(1, 6))
def test_joined_edits_lead_there_too(before: str, after: str, most: int) -> None:
    edits = coalesce(before, diff(before, after), most)
    assert len(edits) <= most
    assert apply_edits(before, edits) == after


def test_the_closest_edits_are_joined() -> None:
    edits = [Edit(0, 1, "A"), Edit(10, 1, "B"), Edit(12, 0, "C")]
    before = "abcdefghijklmnop"
    assert coalesce(before, edits, 2) == [Edit(0, 1, "A"), Edit(10, 2, "BlC")]


@pytest.mark.parametrize(
    ("before", "after", "edits"),
    [
        ("hello world\n", "hello, world\n", [Edit(5, 0, ",")]),
        ("colour\n", "color\n", [Edit(4, 1, "")]),
        ("a\nb\nc\n", "a\nB\nc\n", [Edit(2, 1, "B")]),
        ("a\nb\nc\n", "a\nc\n", [Edit(2, 2, "")]),
        (
            "the cat sat here\nkeep\nend one\n",
            "the dog sat here\nkeep\nend two\n",
            [Edit(4, 3, "dog"), Edit(26, 3, "two")],
        ),
        ("f(first, second)\n", "f(zeroth, second, third)\n", [Edit(2, 5, "zeroth"), Edit(15, 0, ", third")]),
    ],
)
def test_edits_touch_what_changed_and_nothing_else(before: str, after: str, edits: list[Edit]) -> None:
    assert diff(before, after) == edits


def test_stray_letters_in_common_do_not_shred_a_rewritten_line() -> None:
    assert len(diff("return compute(first)\n", "raise ValueError('no')\n")) == 1


def test_lines_that_stayed_are_never_touched() -> None:
    dice = random.Random(3)
    kept = [f"line {number} stays\n" for number in range(2000)]
    before = [line if dice.random() < 0.9 else f"old {dice.random()}\n" for line in kept]
    after = [f"new {dice.random()}\n" if line.startswith("old") else line for line in before]
    edits = diff("".join(before), "".join(after))
    assert apply_edits("".join(before), edits) == "".join(after)
    assert not any("stays" in edit.insert for edit in edits)
    assert sum(edit.delete for edit in edits) <= sum(len(line) for line in before if line.startswith("old"))


def test_a_long_line_changed_at_both_ends_keeps_its_middle() -> None:
    middle = " ".join(str(number) for number in range(20_000))
    edits = diff(f"a {middle} z", f"b {middle} y")
    assert edits == [Edit(0, 1, "b"), Edit(len(middle) + 3, 1, "y")]


def test_unrelated_texts_of_two_megabytes() -> None:
    dice = random.Random(4)
    before, after = ("".join(dice.choices("abcdefgh \n", k=2_000_000)) for _ in range(2))
    assert apply_edits(before, diff(before, after)) == after


def test_a_hundred_thousand_blank_lines() -> None:
    assert diff("\n" * 100_000, "\n" * 90_000) == [Edit(90_000, 10_000, "")]
    before, after = list("\n" * 100_000), list("\n" * 100_000)
    before[10_000], before[90_000], after[20_000], after[80_000] = "a\n", "b\n", "c\n", "d\n"
    edits = diff("".join(before), "".join(after))
    assert apply_edits("".join(before), edits) == "".join(after)
    assert sum(edit.delete + len(edit.insert) for edit in edits) < 100


@given(st.text(alphabet="ab", max_size=300), st.text(alphabet="ab", max_size=300), st.text(alphabet="ab", max_size=300))
def test_what_two_texts_begin_and_end_with(one: str, two: str, shared: str) -> None:
    a, b = shared + one, shared + two
    head = common_prefix(a, b)
    assert a[:head] == b[:head]
    assert head in (len(a), len(b)) or a[head] != b[head]
    a, b = one + shared, two + shared
    tail = common_suffix(a, b, 0)
    assert tail == common_prefix(a[::-1], b[::-1])
    assert common_suffix(a, b, min(len(a), len(b))) == 0


@given(texts)
def test_lines_end_at_line_feeds_only(text: str) -> None:
    found = lines(text)
    assert "".join(found) == text
    assert all(line.count("\n") == line.endswith("\n") for line in found)
    assert all(line.endswith("\n") for line in found[:-1])
    assert all(found)
