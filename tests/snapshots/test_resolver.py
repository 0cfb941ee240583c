"""The table of a pull: every case of base, ours and theirs; and what holds for all of them."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collab import paths
from collab.ids import BlobSha, DocumentId, Path
from snapshots.resolver import Decision, Side, decide, renames, resolve, same

FILE, SCRIPT, LINK, MODULE = 0o100644, 0o100755, 0o120000, 0o160000

BLOBS: Final = {name: "".join(f"{name} {number}\n" for number in range(20)).encode() for name in "ABCD"}
BLOBS["A+"] = BLOBS["A"] + b"one line more\n"
SHAS: Final = {name: BlobSha(hashlib.sha1(data).hexdigest()) for name, data in BLOBS.items()}
CONTENT: Final = {SHAS[name]: data for name, data in BLOBS.items()}

Tree = dict[Path, Side]


def side(name: str | None, mode: int = FILE, path: str = "a.md") -> Side | None:
    return None if name is None else Side(Path(path), SHAS[name], mode, DocumentId("d"))


def tree(ours: bool = False, **files: str) -> Tree:
    """`a_md="A"`; a document is named by the place where it began, `A:b_md` is the document of b.md."""
    made: Tree = {}
    for key, value in files.items():
        name, _, document = value.partition(":")
        path = Path(key.replace("__", "/").replace("_", "."))
        made[path] = Side(path, SHAS[name], FILE, DocumentId((document or key).replace("__", "/").replace("_", ".")))
    return made


def decided(base: Tree, ours: Tree, theirs: Tree) -> dict[str, tuple[str, str | None, str | None]]:
    found = resolve(base, ours, theirs, CONTENT.get)
    return {each.path: (each.do, each.kind, each.move) for each in found if each.do != "nothing" or each.move}


@pytest.mark.parametrize(
    ("base", "ours", "theirs", "do", "kind"),
    [
        ("A", "A", "A", "nothing", None),
        ("A", "A", "B", "ingest", None),
        ("A", "B", "A", "nothing", None),
        ("A", "B", "B", "adopt", None),
        ("A", "B", "C", "merge", "modify/modify"),
        (None, None, "B", "create", None),
        (None, "B", None, "nothing", None),
        (None, "B", "C", "merge", "add/add"),
        (None, "B", "B", "adopt", None),
        ("A", "A", None, "delete", None),
        ("A", "B", None, "conflict", "modify/delete"),
        ("A", None, "B", "restore", "delete/modify"),
        ("A", None, "A", "nothing", None),
        ("A", None, None, "forget", None),
        (None, None, None, "nothing", None),
    ],
)
def test_the_table(base: str | None, ours: str | None, theirs: str | None, do: str, kind: str | None) -> None:
    assert decide(side(base), side(ours), side(theirs)) == (do, kind)


@pytest.mark.parametrize(
    ("base", "ours", "theirs", "do", "kind"),
    [
        (FILE, FILE, SCRIPT, "ingest", None),
        (FILE, SCRIPT, FILE, "nothing", None),
        (FILE, SCRIPT, SCRIPT, "adopt", None),
        (FILE, FILE, LINK, "ingest", None),
        (FILE, SCRIPT, LINK, "conflict", "type"),
        (FILE, LINK, MODULE, "conflict", "type"),
        (LINK, FILE, SCRIPT, "merge", "add/add"),
    ],
)
def test_the_table_of_modes(base: int, ours: int, theirs: int, do: str, kind: str | None) -> None:
    assert decide(side("A", base), side("A", ours), side("A", theirs)) == (do, kind)


@pytest.mark.parametrize("mode", [LINK, MODULE])
def test_what_has_no_lines_is_not_merged(mode: int) -> None:
    assert decide(side("A", mode), side("B", mode), side("C", mode)) == ("conflict", "binary")


def test_every_case_has_an_answer_and_sides_are_alike() -> None:
    """Whether both sides changed something does not depend on which one is ours."""
    mirrored = {"merge": "merge", "adopt": "adopt", "forget": "forget"}
    names = [None, "A", "B", "C"]
    modes = [FILE, SCRIPT, LINK, MODULE]
    sides = [None, *(side(name, mode) for name in names if name for mode in modes)]
    for base, ours, theirs in itertools.product(sides, repeat=3):
        do, kind = decide(base, ours, theirs)
        back, back_kind = decide(base, theirs, ours)
        if do in mirrored:
            assert back == mirrored[do]
        clash = do in ("merge", "conflict", "restore")
        assert clash == (back in ("merge", "conflict", "restore"))
        assert clash == (kind is not None)
        assert clash == (not same(base, ours) and not same(base, theirs) and not same(ours, theirs))
        if kind == "modify/delete":
            assert back_kind == "delete/modify"
        elif kind is not None and kind != "delete/modify":
            assert back_kind == kind


# renames


def test_theirs_renamed_it() -> None:
    base = tree(a_md="A", b_md="B")
    assert decided(base, base, tree(x_md="A", b_md="B")) == {"a.md": ("nothing", None, "x.md")}
    assert decided(base, base, tree(x_md="A+", b_md="B")) == {"a.md": ("ingest", None, "x.md")}
    assert decided(base, tree(a_md="C", b_md="B"), tree(x_md="A+", b_md="B")) == {
        "a.md": ("merge", "modify/modify", "x.md")
    }


def test_the_same_blob_comes_before_what_is_alike_and_the_name_decides() -> None:
    base = tree(a_md="A", d__b_md="A", c_md="A+")
    assert renames(base, tree(x_md="A", e__b_md="A", y_md="A+"), CONTENT.get) == {
        "a.md": "x.md", "d/b.md": "e/b.md", "c.md": "y.md",
    }  # fmt: skip
    assert renames(base, {**base, **tree(x_md="A")}, CONTENT.get) == {}
    assert renames(tree(a_md="A"), tree(x_md="B"), CONTENT.get) == {}
    assert renames(tree(a_md="A"), tree(x_md="A+"), lambda sha: None) == {}


def test_ours_renamed_it() -> None:
    base = tree(a_md="A")
    assert decided(base, tree(x_md="A:a_md"), tree(a_md="B")) == {"x.md": ("ingest", None, None)}
    assert decided(base, tree(x_md="A:a_md"), base) == {}
    assert decided(base, tree(x_md="A:a_md"), {}) == {"x.md": ("conflict", "modify/delete", None)}
    assert decided(base, {}, tree(x_md="A")) == {"x.md": ("restore", "delete/modify", None)}


def test_both_renamed_it() -> None:
    base = tree(a_md="A")
    assert decided(base, tree(x_md="A:a_md"), tree(y_md="A")) == {"x.md": ("conflict", "rename", None)}
    assert decided(base, tree(x_md="A:a_md"), tree(x_md="A")) == {}
    (only,) = resolve(base, tree(x_md="A:a_md"), tree(x_md="A"), CONTENT.get)
    assert (only.base, only.do) == (base[Path("a.md")], "nothing")


def test_a_rename_onto_a_taken_path() -> None:
    base = tree(a_md="A")
    assert decided(base, tree(a_md="A", x_md="B"), tree(x_md="A")) == {"a.md": ("conflict", "rename", None)}
    found = decided(base, tree(x_md="A:a_md"), tree(a_md="A", x_md="B"))
    assert found == {"x.md": ("conflict", "rename", None)}


def test_a_rename_in_case_alone() -> None:
    base = tree(a_md="A")
    assert decided(base, base, tree(A_md="A")) == {"a.md": ("nothing", None, "A.md")}


# what stands in the way


def test_a_file_against_a_directory() -> None:
    base = tree(z_md="D")
    for mine, other in ((tree(a="A"), tree(a__b="B")), (tree(a__b="A"), tree(a="B"))):
        found = [each for each in resolve(base, {**base, **mine}, {**base, **other}) if each.do != "nothing"]
        assert [(each.do, each.kind, each.blockers) for each in found] == [("conflict", "type", tuple(mine))]
    # What theirs takes away is not in the way.
    before = {**base, **tree(a="A")}
    assert decided(before, before, {**base, **tree(a__b="B")}) == {
        "a": ("delete", None, None), "a/b": ("create", None, None),
    }  # fmt: skip
    changed = {**base, **tree(a="C")}
    assert decided(before, changed, {**base, **tree(a__b="B")}) == {
        "a": ("conflict", "modify/delete", None), "a/b": ("conflict", "type", None),
    }  # fmt: skip


def test_twins_in_case_and_normal_form() -> None:
    base = tree(z_md="D")
    for mine, other in (("a.md", "A.md"), ("caf\xe9", "cafe\u0301"), ("docs/a", "Docs/b")):
        ours = {**base, Path(mine): Side(Path(mine), SHAS["A"], FILE, DocumentId("n"))}
        theirs = {**base, Path(other): Side(Path(other), SHAS["B"], FILE)}
        assert decided(base, ours, theirs) == {other: ("conflict", "add/add", None)}
        # Git has both: it is carried.
        assert decided(ours, ours, {**ours, **theirs}) == {other: ("create", None, None)}


def test_what_goes_makes_room_first() -> None:
    base = tree(a="A", b_md="B", c_md="C")
    found = resolve(base, base, tree(a__b="B", c_md="C", d="D"), CONTENT.get)
    assert [(each.path, each.do, each.move) for each in found] == [
        ("a", "delete", None), ("b.md", "nothing", "a/b"), ("c.md", "nothing", None), ("d", "create", None),
    ]  # fmt: skip


# for all of them

PLACES: Final = tuple(map(Path, ("a", "b", "A", "a/b", "b/c", "b/C")))


@st.composite
def trees_of(draw: st.DrawFn, documents: bool) -> Tree:
    """What git can hold: no file is a directory as well."""
    made: Tree = {}
    for path in draw(st.lists(st.sampled_from(PLACES), unique=True, max_size=4)):
        if not any(other.startswith(path + "/") or path.startswith(other + "/") for other in made):
            sha = SHAS[draw(st.sampled_from(sorted(SHAS)))]
            made[path] = Side(path, sha, draw(st.sampled_from([FILE, FILE, SCRIPT, LINK])))
    if documents:
        ids = draw(st.permutations([DocumentId(f"d{number}") for number in range(len(PLACES))]))
        made = {path: Side(path, each.sha, each.mode, ids[at]) for at, (path, each) in enumerate(made.items())}
    return made


def done(base: Tree, ours: Tree, found: list[Decision]) -> tuple[Tree, Tree]:
    """What a pull makes of it. What is in conflict stays as it is; a merge is one here, for its own sake, but goes where
    theirs has it before."""
    after_base, after_ours = dict(base), dict(ours)
    for each in found:
        if each.do == "merge" and each.move and each.ours is not None and each.base is not None:
            after_ours[each.move] = replace(after_ours.pop(each.ours.path), path=each.move)
            after_base[each.move] = replace(after_base.pop(each.base.path), path=each.move)
        if each.do in ("conflict", "merge", "restore"):
            continue
        if each.base is not None and (
            each.theirs is None or each.theirs.path != each.base.path or each.do != "nothing"
        ):
            after_base.pop(each.base.path, None)
        document = next((s.document for s in (each.ours, each.base) if s is not None), None) or DocumentId(each.path)
        if each.theirs is not None and (
            each.do != "nothing" or each.base is None or each.theirs.path != each.base.path
        ):
            after_base[each.theirs.path] = Side(each.theirs.path, each.theirs.sha, each.theirs.mode, document)
        if each.ours is not None and (each.do in ("delete", "ingest") or each.move):
            after_ours.pop(each.ours.path)
        content = each.theirs if each.do in ("ingest", "create", "adopt") else each.ours
        where = each.move or (each.ours.path if each.ours is not None else each.path)
        if content is not None and each.do != "delete":
            after_ours[where] = Side(where, content.sha, content.mode, document)
    return after_base, after_ours


@given(trees_of(documents=True), trees_of(documents=True), trees_of(documents=False))
def test_every_path_is_decided_once_and_again_is_nothing_more(base: Tree, ours: Tree, theirs: Tree) -> None:
    found = resolve(base, ours, theirs, CONTENT.get)
    assert found == resolve(backwards(base), backwards(ours), backwards(theirs), CONTENT.get)
    for part, trees in {"base": base, "ours": ours, "theirs": theirs}.items():
        sides = [getattr(each, part) for each in found if getattr(each, part) is not None]
        assert sorted(each.path for each in sides) == sorted(trees)
    for each in found:
        assert (each.kind is not None) == (each.do in ("conflict", "merge", "restore"))
        assert not (each.move and each.do in ("conflict", "restore", "delete"))
    after_base, after_ours = done(base, ours, found)
    # Nothing that stands is in the way of something else that stands.
    for path in after_ours:
        assert not any(parent in after_ours for parent in paths.parents(path)), (path, found)
    open_before = sum(each.kind is not None for each in found)
    again = resolve(after_base, after_ours, theirs, CONTENT.get)
    assert [each for each in again if each.kind is None and (each.do != "nothing" or each.move)] == [] or open_before
    if not open_before:
        assert all(each.do == "nothing" and not each.move for each in again), again


def backwards(each: Mapping[Path, Side]) -> Tree:
    return dict(reversed(list(each.items())))


def test_what_stays_because_its_own_way_is_blocked_blocks_others() -> None:
    """b was renamed to a, where another file of ours stands; so b stays, and b/c has no place."""
    found = resolve(tree(b="A"), tree(a="A", b="A"), tree(a="A", b__c="A"), CONTENT.get)
    assert [(each.path, each.do, each.kind) for each in found if each.do != "nothing"] == [
        ("b", "conflict", "rename"),
        ("b/c", "conflict", "type"),
    ]


def test_what_is_in_conflict_goes_nowhere() -> None:
    """Theirs renamed it and made it executable, ours made it a symlink."""
    base = {Path("a"): Side(Path("a"), SHAS["A"], FILE, DocumentId("a"))}
    ours = {Path("a"): Side(Path("a"), SHAS["B"], LINK, DocumentId("a"))}
    theirs = {Path("b"): Side(Path("b"), SHAS["A"], SCRIPT)}
    (only,) = resolve(base, ours, theirs, CONTENT.get)
    assert (only.do, only.kind, only.move) == ("conflict", "type", None)
