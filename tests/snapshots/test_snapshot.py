"""What a snapshot says, and which paths it takes."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collab.actors import QUIRE, Actor
from collab.bases import Base, Changed, ChangeKind
from collab.ids import ActorId, BlobSha, DocumentId, Path, Position, ProjectId
from collab.store.base import Row
from snapshots.remotes.base import Author
from snapshots.snapshot import Change, Credit, change, clean, credit, deletes, message, select, subject, writes

SHA = BlobSha("1" * 40)


def made(path: str, kind: ChangeKind, origin: str | None = None) -> Changed:
    document = DocumentId(origin or path)
    row = Row(id=document, project=ProjectId("p"), path=Path(path), sha=SHA, head=Position(3))
    base = Base(Path(origin or path), document, SHA, 0o100644, Position(1), "c")
    return Changed(Path(path), kind, None if kind == "deleted" else row, None if kind == "added" else base)


def changes(*each: Changed) -> list[Change]:
    return [change(one) for one in each]


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ([made("docs/a.md", "modified")], "Edit docs/a.md"),
        ([made("a", "added"), made("b", "added")], "Add a and 1 more"),
        ([made("a", "deleted")], "Delete a"),
        ([made("b", "renamed", "a")], "Rename a to b"),
        ([made("a", "added"), made("b", "modified"), made("c", "deleted")], "Edit b and 2 more"),
        ([made("a", "added"), made("c", "deleted")], "Edit a and 1 more"),
        ([made("a\nb", "added")], "Add a\\nb"),
    ],
)
def test_a_subject_says_what_changed(files: Sequence[Changed], expected: str) -> None:
    assert subject(changes(*files)) == expected


def test_a_rename_writes_one_path_and_deletes_the_other() -> None:
    files = changes(made("b", "renamed", "a"), made("c", "deleted"))
    assert list(writes(files)) == [Path("b")]
    assert deletes(files) == [Path("a"), Path("c")]


def test_a_message_that_was_given_stands_and_cannot_forge_the_trailer() -> None:
    text = message(
        "Subject\r\n\r\nQuire-Snapshot: p/1/x\0\ud800", changes(made("a", "added")), [], "Quire-Snapshot: p/2/y"
    )
    assert text == "Subject\n\n Quire-Snapshot: p/1/x?\n\nQuire-Snapshot: p/2/y\n"


@pytest.mark.parametrize("given", ["Quire-Snapshot: p/2/y", "a\nquire-snapshot: p/2/y", "a\x85Quire-Snapshot: p/2/y"])
def test_only_the_trailer_itself_begins_a_line_like_a_trailer(given: str) -> None:
    text = message(given, changes(made("a", "added")), [], "Quire-Snapshot: p/2/y")
    ours = [line for line in text.splitlines() if line.casefold().startswith("quire-snapshot")]
    assert ours == ["Quire-Snapshot: p/2/y"]


def test_the_author_is_not_a_co_author_too() -> None:
    authors = [Credit(name="Alice", email="Alice@example.org", entries=3), Credit(name="Bob", email="b@x.org")]
    text = message("A", changes(made("a", "added")), authors, "T: 1", author=Author("Alice", "alice@example.org"))
    assert text == "A\n\nCo-authored-by: Bob <b@x.org>\nT: 1\n"


def test_who_has_no_e_mail_is_named_in_the_text() -> None:
    authors = [Credit(name="Bob", entries=3), Credit(name="Alice", email="alice@example.org", entries=1)]
    text = message(None, changes(made("a", "added")), authors, "Quire-Snapshot: p/2/y")
    assert text.split("\n\n") == [
        "Add a",
        "A a",
        "Edited-by: Bob",
        "Co-authored-by: Alice <alice@example.org>\nQuire-Snapshot: p/2/y\n",
    ]


def test_credit_goes_by_share_and_once_to_a_person() -> None:
    desk = Actor(id=ActorId("1"), name="Alice", email="alice@example.org")
    phone = Actor(id=ActorId("2"), name="Alice P", email="alice@example.org")
    bob = Actor(id=ActorId("3"), name="Bob")
    assert credit({desk: 2, phone: 3, bob: 4, QUIRE: 9}) == [
        Credit(name="Alice P", email="alice@example.org", entries=5),
        Credit(name="Bob", entries=4),
    ]


@given(st.text())
def test_names_are_one_clean_line(name: str) -> None:
    assert len(f"x{clean(name)}x".splitlines()) == 1
    assert not set(clean(name)) & set("<>\r\n\0")
    clean(name).encode()


def test_chosen_paths_take_along_what_is_in_their_way() -> None:
    all_ = [
        made("x", "added"),
        made("x/old", "deleted"),
        made("y/new", "added"),
        made("y", "deleted"),
        made("z", "modified"),
    ]
    assert [each.path for each in select(all_, [Path("x")])] == ["x", "x/old"]
    assert [each.path for each in select(all_, [Path("y/new")])] == ["y/new", "y"]
    assert [each.path for each in select(all_, [Path("x/old")])] == ["x/old"]
    assert select(all_, [Path("no")]) == []
    assert select(all_, None) == all_


def test_a_rename_is_chosen_by_either_name_and_a_prefix_is_no_directory() -> None:
    all_ = [made("new/b", "renamed", "old/a"), made("newer", "added")]
    assert [each.path for each in select(all_, [Path("old")])] == ["new/b"]
    assert [each.path for each in select(all_, [Path("new")])] == ["new/b"]
