"""Paths: nothing is lost between bytes, text and what people see; and no name gets in that breaks somebody's checkout."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from collab.errors import Invalid, PathInvalid
from collab.ids import Path
from collab.paths import (
    PART_LIMIT,
    PATH_LIMIT,
    PROJECT_NAME_LIMIT,
    check_carried,
    check_new,
    check_project_name,
    from_bytes,
    parents,
    parse,
    show,
    to_bytes,
    twin_key,
)


@given(st.binary())
@example(b"caf\xe9")
@example(b'"quoted"')
@example(b'a "b" \\ \t\x7f\x00\xff')
@example("é漢😀".encode())
def test_bytes_survive_being_a_path_and_being_shown(raw: bytes) -> None:
    path = from_bytes(raw)
    assert to_bytes(path) == raw
    assert parse(show(path)) == path
    show(path).encode()


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        (b"docs/notes.md", "docs/notes.md"),
        ("café/漢.md".encode(), "café/漢.md"),
        (b"caf\xe9", r'"caf\351"'),
        (b'"a"', r'"\"a\""'),
        (b'say "hi".md', 'say "hi".md'),
        (b"tab\there\xff", r'"tab\there\377"'),
        (b"back\\slash\xff", r'"back\\slash\377"'),
    ],
)
def test_what_is_not_utf8_is_shown_as_git_shows_it(raw: bytes, shown: str) -> None:
    assert show(from_bytes(raw)) == shown
    assert to_bytes(parse(shown)) == raw


@pytest.mark.parametrize("shown", ['"', '"a', '"a"b"', r'"\q"', r'"\4"', r'"\400"', '"a\\"', "caf\udce9", '"\ud800"'])
def test_what_git_would_not_print_is_not_parsed(shown: str) -> None:
    with pytest.raises(PathInvalid) as caught:
        parse(shown)
    assert caught.value.field == "path"
    caught.value.message.encode()


@pytest.mark.parametrize(
    "path",
    [
        "notes.md",
        "docs/a b/c.txt",
        ".gitignore",
        ".github/workflows/ci.yml",
        ".gitmodules",
        "git",
        "git~2",
        "x.git",
        "café/漢字/😀.md",
        "Ελληνικά.txt",
        "عربي.md",
        "हिन्दी.md",
        "console.log",
        "com",
        "com10",
        "nulls.txt",
        "a/..b/c...d",
        "-rf",
        "~home",
        "it's [fine] (really) {yes} #1 & 100% @home; $x = `y` ^ ~!.md",
        " leading",
        "a" * PART_LIMIT,
        "é" * (PART_LIMIT // 2),
    ],
)
def test_ordinary_names_are_taken_as_they_are(path: str) -> None:
    assert check_new(path) == path
    assert check_carried(path.encode()) == path


REFUSED = {
    "": "empty",
    "/etc/passwd": "absolute",
    "a//b": "empty part",
    "a/": "empty part",
    "./a": "empty part",
    "a/./b": "empty part",
    "..": r"part \.\.",
    "a/../b": r"part \.\.",
    "a\\b": "separate names with /",
    "C:/a": "Windows cannot store",
    "a:b": "Windows cannot store",
    "what?": "Windows cannot store",
    'say "hi"': "Windows cannot store",
    "a*": "Windows cannot store",
    "a|b": "Windows cannot store",
    "<a>": "Windows cannot store",
    "a\0b": r"control character U\+0000",
    "a\nb": r"control character U\+000A",
    "a\x7f": r"control character U\+007F",
    "a\x85": r"control character U\+0085",
    "a\u2028b": r"control character U\+2028",
    "a\u202egpj.exe": r"invisible character U\+202E",
    "a\u2066b": r"invisible character U\+2066",
    "a\u200bb": r"invisible character U\+200B",
    "a\u200db": r"invisible character U\+200D",
    "\ufeffa": r"invisible character U\+FEFF",
    "a\u00adb": r"invisible character U\+00AD",
    "a\u3164": r"invisible character U\+3164",
    "❤\ufe0f.md": r"invisible character U\+FE0F",
    "a\U000e0041": r"invisible character U\+E0041",
    "cafe\u0301": "NFC",
    "caf\udce9": "not valid UTF-8",
    ".git": r"takes? for \.git",
    ".git/config": r"takes? for \.git",
    "a/.GIT/hooks": r"takes? for \.git",
    ".Git": r"takes? for \.git",
    ".git.": r"takes? for \.git",
    ".git ": r"takes? for \.git",
    ".git . .": r"takes? for \.git",
    "git~1": r"takes? for \.git",
    "GIT~1/x": r"takes? for \.git",
    "．ｇｉｔ": r"takes? for \.git",
    "trailing.": "dot or a space",
    "trailing ": "dot or a space",
    "a./b": "dot or a space",
    "...": "dot or a space",
    "con": "device",
    "CON": "device",
    "a/nul.txt": "device",
    "Aux.tar.gz": "device",
    "COM1": "device",
    "com¹.md": "device",
    "lpt9": "device",
    "CONIN$": "device",
    "prn .txt": "device",
    "a" * (PART_LIMIT + 1): "longer than 255 bytes",
    "é" * 128: "longer than 255 bytes",
    "a/" * (PATH_LIMIT // 2) + "a": "longer than 4096 bytes",
}


@pytest.mark.parametrize(("path", "why"), REFUSED.items(), ids=[ascii(path[:20]) for path in REFUSED])
def test_a_name_that_breaks_somewhere_is_refused_and_the_message_says_why(path: str, why: str) -> None:
    with pytest.raises(PathInvalid, match=why) as caught:
        check_new(path)
    assert caught.value.field == "path"
    assert caught.value.message.isprintable(), "nothing of a hostile name reaches a terminal"
    assert len(caught.value.message) < 600


@pytest.mark.parametrize(
    "part",
    [".git::$INDEX_ALLOCATION", ".g\u200cit", "\u200d.git", ".git\ufeff", ".gi\u202at", ".git:stream", ".g\u3164it"],
)
def test_disguises_of_git_are_refused_whatever_the_reason(part: str) -> None:
    for path in (part, f"a/{part}", f"{part}/config", part.upper()):
        with pytest.raises(PathInvalid):
            check_new(path)


def test_the_message_holds_the_normal_form() -> None:
    with pytest.raises(PathInvalid) as caught:
        check_new("cafe\u0301.md")
    assert "'café.md'" in caught.value.message
    assert check_new(caught.value.details["suggestion"]) == "café.md"


@given(st.text(max_size=20))
def test_what_is_taken_is_safe_everywhere(path: str) -> None:
    try:
        taken = check_new(path)
    except PathInvalid as error:
        assert error.message.isprintable()  # noqa: PT017 - either outcome is right
        return
    assert taken == path == unicodedata.normalize("NFC", path)
    assert parse(show(taken)) == taken
    assert check_carried(path.encode()) == taken
    for part in path.split("/"):
        assert part.strip(". ")
        assert part.casefold() != ".git"
        assert not set(part) & set('\\:*?"<>|\0')


@pytest.mark.parametrize(
    "raw",
    [b"caf\xe9", b"a\nb", b"con", b"a:b", b"trailing.", b"git~1", "cafe\u0301".encode(), b"\\", b"a\xff/\xfe", b'"'],
)
def test_whatever_git_checks_out_is_carried(raw: bytes) -> None:
    assert to_bytes(check_carried(raw)) == raw


@pytest.mark.parametrize(
    "raw", [b"", b"/", b"/a", b"a//b", b"a/", b".", b"..", b"a/./b", b"a/../b", b"a\0b", b".git/x", b"a/.GIT"]
)
def test_what_no_git_checks_out_is_not_carried(raw: bytes) -> None:
    with pytest.raises(PathInvalid) as caught:
        check_carried(raw)
    assert caught.value.field == "path"


def test_twins_differ_in_case_or_normal_form_only() -> None:
    assert twin_key("README.md") == twin_key("readme.MD")
    assert twin_key("café") == twin_key("cafe\u0301") == twin_key("CAFE\u0301")
    assert twin_key("Straße") == twin_key("STRASSE")
    assert twin_key("a/b") != twin_key("a/c")
    assert twin_key(from_bytes(b"caf\xe9")) != twin_key("café")


@given(st.text())
def test_a_twin_key_is_the_same_for_every_form(path: str) -> None:
    for form in ("NFC", "NFD"):
        assert twin_key(unicodedata.normalize(form, path)) == twin_key(path)
    assert twin_key(twin_key(path)) == twin_key(path)


def test_parents_come_outermost_first() -> None:
    assert parents("a/b/c.md") == [Path("a"), Path("a/b")]
    assert parents("c.md") == []


@pytest.mark.parametrize("name", ["notes", "a", "0", "my-site_2.0", "a" * PROJECT_NAME_LIMIT, "git", "locked"])
def test_project_names(name: str) -> None:
    assert check_project_name(name) == name


@pytest.mark.parametrize(
    "name", ["", "Notes", "-a", ".a", "_a", "a b", "a/b", "é", "a\n", "a.git", "a.lock", "a" * (PROJECT_NAME_LIMIT + 1)]
)
def test_names_that_no_project_has(name: str) -> None:
    with pytest.raises(Invalid) as caught:
        check_project_name(name)
    assert caught.value.field == "name"
    assert not isinstance(caught.value, PathInvalid)
