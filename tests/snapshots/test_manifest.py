"""Keys, what changed, and which snapshots stay."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collab import paths
from collab.ids import BlobSha, DocumentId, Millis, Position, ProjectId
from collab.objects.keys import possible
from snapshots.manifest import DAY, HOUR, MINUTE, File, Manifest, Place, decode, encode, outdated

PLACE = Place(ProjectId("p"))


def file(path: str, sha: str = "a" * 40, mode: str = "100644") -> File:
    return File(path, mode, BlobSha(sha), DocumentId(f"d-{path}"), Position(1))


def manifest(*files: File) -> Manifest:
    return Manifest(number=1, at=Millis(1), files=files)


@pytest.mark.parametrize(
    ("path", "key"),
    [
        ("docs/a.md", "docs/a.md"),
        ("Meeting notes (2).md", "Meeting notes (2).md"),
        ("été/日本.md", "été/日本.md"),
        ("100%.md", "100%25.md"),
        ("=x/a=b", "%3Dx/a=b"),
        ("tab\there", "tab%09here"),
        ('"caf\\351"', "caf%E9"),
        ("zero\u200bwidth", "zero%E2%80%8Bwidth"),
    ],
)
def test_a_path_is_its_own_key_as_far_as_keys_go(path: str, key: str) -> None:
    assert PLACE.file(path) == f"projects/p/files/{key}"


def test_a_path_too_long_for_a_key_has_none() -> None:
    assert PLACE.file("a/" * 500 + "b") is None
    assert PLACE.file("é" * 120) is None


@given(st.lists(st.binary(min_size=1, max_size=6), min_size=2, max_size=2, unique=True))
def test_two_paths_never_have_one_key(raw: list[bytes]) -> None:
    clean = [part.replace(b"\0", b"") or b"x" for part in raw]
    if clean[0] == clean[1] or any(part in (b".", b"..", b"") for each in clean for part in each.split(b"/")):
        return
    one, two = (PLACE.file(paths.show(paths.from_bytes(each))) for each in clean)
    assert one is not None
    assert one != two
    assert possible(one)


def test_only_what_differs_is_moved() -> None:
    before = manifest(file("same"), file("changed"), file("gone"), file("link", mode="120000"), file("was", "c" * 40))
    after = manifest(
        file("same"), file("changed", "b" * 40), file("new"), file("is", "c" * 40), file("link2", mode="120000")
    )
    moves = PLACE.moves(before.files, after.files)
    assert PLACE.moves(before.files[1:], after.files[1:]) == moves
    root = "projects/p/files/"
    assert set(moves.deletes) == {f"{root}gone", f"{root}was"}
    assert moves.copies == {f"{root}changed": "b" * 40, f"{root}new": "a" * 40, f"{root}is": "c" * 40}


def test_a_manifest_comes_back_as_it_was() -> None:
    made = manifest(file("a"), file('"caf\\351"'))
    assert decode(encode(made)) == made


def test_numbers_are_read_from_manifests_keys_alone() -> None:
    assert PLACE.number(PLACE.manifest(12)) == 12
    for strange in ("projects/p/snapshots/012.json", "projects/p/snapshots/x.json", "projects/p/HEAD"):
        assert PLACE.number(strange) is None


def test_old_snapshots_are_thinned_out_and_then_go() -> None:
    now = 100 * DAY
    made = {number: Millis(now - (2000 - number) * 30 * MINUTE) for number in range(2001)}
    gone = outdated(made, now=Millis(now), keep=30 * DAY, stays=frozenset({3}))
    stay = sorted((now - at) // MINUTE for number, at in made.items() if number not in gone)
    assert stay[:3] == [0, 30, 60]
    assert 3 not in gone
    within_a_day = [age for age in stay if 60 < age <= 24 * 60]
    assert len(within_a_day) in (23, 24)
    later = [age for age in stay[:-1] if age > 24 * 60]
    assert 28 <= len(later) <= 30
    assert max(later) <= 30 * 24 * 60


@given(st.lists(st.integers(0, 40 * DAY), max_size=60), st.integers(0, 40 * DAY))
def test_what_was_thinned_stays_as_it_is(ages: list[int], keep: int) -> None:
    now = Millis(100 * DAY)
    made = {number: Millis(now - age) for number, age in enumerate(sorted(ages, reverse=True))}
    gone = outdated(made, now=now, keep=keep, stays=frozenset())
    left = {number: at for number, at in made.items() if number not in gone}
    assert outdated(left, now=now, keep=keep, stays=frozenset()) == set()
    for number, at in made.items():
        if now - at <= min(HOUR, keep):
            assert number not in gone
        if now - at > max(keep, HOUR):
            assert number in gone
