"""`old` becomes `new` in the text that was read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collab.edits import Ambiguous, NoMatch, Replacement, apply
from collab.errors import Invalid


def edit(old: str, new: str, *, all: bool = False) -> Replacement:  # noqa: A002 - as callers say it
    return Replacement(old, new, all)


def test_what_stands_there_once_is_replaced_and_nothing_else() -> None:
    assert apply("one two three", [edit("two", "2")]) == "one 2 three"


def test_every_edit_is_looked_for_in_the_text_that_was_read() -> None:
    assert apply("a b", [edit("a", "b"), edit("b", "a")]) == "b a"


def test_the_order_of_edits_says_nothing() -> None:
    edits = [edit("one", "1"), edit("three", "3"), edit("two", "2")]
    assert apply("one two three", edits) == apply("one two three", edits[::-1]) == "1 2 3"


def test_what_is_there_more_than_once_is_refused_with_its_lines() -> None:
    with pytest.raises(Ambiguous) as refused:
        apply("x = 1\ny = 2\nx = 1\n", [edit("x = 1", "x = 2")])
    assert refused.value.details == {"matches": 2, "lines": [1, 3]}
    assert "on lines 1, 3" in refused.value.message


def test_what_overlaps_itself_is_not_unique() -> None:
    with pytest.raises(Ambiguous):
        apply("aaa", [edit("aa", "b")])
    assert apply("aaaa", [edit("aa", "b", all=True)]) == "bb"


def test_all_replaces_every_one() -> None:
    assert apply("x x x", [edit("x", "yx", all=True)]) == "yx yx yx"


def test_what_is_nowhere_is_refused_with_the_nearest_lines() -> None:
    text = "def first():\n    return 1\n\n\ndef second(value):\n    return value\n"
    with pytest.raises(NoMatch) as refused:
        apply(text, [edit("def second(valu):\n    return 2", "")])
    assert refused.value.details["matches"] == 0
    assert refused.value.details["nearest"][0] == {"line": 5, "text": "def second(value):\n    return value"}


def test_spaces_that_differ_are_named_as_the_reason() -> None:
    with pytest.raises(NoMatch, match="spaces or line breaks differ"):
        apply("if  a:\n\tb()\n", [edit("if a:\n    b()", "c()")])


def test_edits_that_overlap_are_refused() -> None:
    with pytest.raises(Invalid, match="edits 0 and 1 change the same characters of line 1"):
        apply("one two", [edit("one t", "1"), edit("two", "2")])


def test_an_empty_old_fills_an_empty_text_and_no_other() -> None:
    assert apply("", [edit("", "begun\n")]) == "begun\n"
    with pytest.raises(Invalid, match="`old` is empty"):
        apply("there", [edit("", "x")])


def test_no_edits_are_refused() -> None:
    with pytest.raises(Invalid, match="there is no edit"):
        apply("there", [])


def test_the_field_names_the_edit_that_is_wrong() -> None:
    with pytest.raises(NoMatch) as refused:
        apply("one", [edit("one", "1"), edit("two", "2")], field="files[3].edits")
    assert refused.value.field == "files[3].edits[1].old"


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_line_endings_are_no_difference(ending: str) -> None:
    text = "a\r\nb\r\nc\nd\n"
    assert apply(text, [edit(f"a{ending}b", f"A{ending}B")]) == "A\r\nB\r\nc\nd\n"
    assert apply(text, [edit(f"c{ending}d", f"C{ending}D")]) == "a\r\nb\r\nC\nD\n"


def test_new_lines_end_as_those_around_them() -> None:
    assert apply("a\r\nb\r\n\nlast", [edit("b", "b\nc")]) == "a\r\nb\r\nc\r\n\nlast"
    assert apply("a\r\nb\nlast", [edit("last", "x\ny")]) == "a\r\nb\nx\ny"


TEXTS = st.text(alphabet="ab \n\r", max_size=60).map(lambda text: text.replace("\r", "\r\n"))


@given(TEXTS, st.data())
def test_only_the_matches_change(text: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(start + 8, len(text))))
    old = text[start:end]
    folded, wanted = text.replace("\r\n", "\n"), old.replace("\r\n", "\n")
    if "\r" in wanted or not old:
        return
    new = "<new>"
    times = sum(folded.startswith(wanted, at) for at in range(len(folded)))
    if times == 1:
        assert apply(text, [edit(old, new)]).replace("\r\n", "\n") == folded.replace(wanted, new)
    else:
        with pytest.raises(Ambiguous):
            apply(text, [edit(old, new)])
        everywhere = apply(text, [edit(old, new, all=True)]).replace("\r\n", "\n")
        assert everywhere == folded.replace(wanted, new)


@given(TEXTS, TEXTS)
def test_what_stands_there_once_is_replaced_and_anything_else_is_refused(text: str, old: str) -> None:
    folded, wanted = text.replace("\r\n", "\n"), old.replace("\r\n", "\n")
    times = sum(folded.startswith(wanted, at) for at in range(len(folded) + 1))
    if times == 1:
        assert "new" in apply(text, [edit(old, "new")])
    else:
        with pytest.raises(Invalid) as refused:
            apply(text, [edit(old, "new")])
        assert refused.value.field == "edits[0].old"
