"""What is sealed opens here, for what it was sealed for, and nowhere else."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collab.ids import ActorId, Millis, ProjectId
from collab.store.base import CreateProject, Project
from collab.store.memory import MemoryStore
from snapshots import connection, secrets
from snapshots.connection import Connection
from snapshots.secrets import Sealer, SecretLost

pytestmark = pytest.mark.anyio

OLD, NEW = "old" * 20, "new" * 20
NOTES, OTHER = ProjectId("p-notes"), ProjectId("p-other")


def clock() -> Millis:
    return Millis(1_700_000_000_000)


async def with_projects() -> MemoryStore:
    store = MemoryStore(clock=clock)
    made = [Project(id=each, name=each, created_at=clock(), created_by=ActorId("alice")) for each in (NOTES, OTHER)]
    await store.commit(changes=[CreateProject(each) for each in made])
    return store


@given(secret=st.text(), about=st.text(alphabet=st.characters(exclude_categories=["Cs"])))
def test_whatever_is_sealed_opens_again(secret: str, about: str) -> None:
    secret = secret.encode("utf-8", "replace").decode()
    sealer = Sealer(NEW)
    assert sealer.open(sealer.seal(secret, about=about), about=about) == secret


def test_the_same_secret_is_never_sealed_alike() -> None:
    sealer = Sealer(NEW)
    assert len({sealer.seal("token", about="x") for _ in range(50)}) == 50


@pytest.mark.parametrize("at", range(0, 40, 3))
def test_one_bit_changed_and_it_does_not_open(at: int) -> None:
    sealer = Sealer(NEW)
    raw = bytearray(base64.urlsafe_b64decode(sealer.seal("token", about="x")))
    raw[at % len(raw)] ^= 1
    with pytest.raises(SecretLost):
        sealer.open(base64.urlsafe_b64encode(bytes(raw)).decode(), about="x")


@pytest.mark.parametrize("nonsense", ["", "x", "!!!", "AQ==", "ÿ"])
def test_what_was_never_sealed_does_not_open(nonsense: str) -> None:
    with pytest.raises(SecretLost):
        Sealer(NEW).open(nonsense, about="x")


def test_a_new_key_before_the_old_one_opens_both_and_seals_with_itself() -> None:
    sealed = Sealer(OLD).seal("token", about="x")
    both = Sealer(NEW, OLD)
    assert both.open(sealed, about="x") == "token"
    assert Sealer(NEW).open(both.seal("token", about="x"), about="x") == "token"
    with pytest.raises(SecretLost, match="QUIRE_SECRET_KEY"):
        Sealer(NEW).open(sealed, about="x")


def test_a_sealer_shows_nothing_of_its_keys() -> None:
    assert NEW not in repr(Sealer(NEW))


async def test_a_secret_in_the_store_is_of_its_project_alone_and_not_in_clear() -> None:
    store, sealer = await with_projects(), Sealer(NEW)
    await store.commit(changes=[secrets.put(sealer, NOTES, "github", "ghp_abc")])
    assert await secrets.secret(store, sealer, NOTES, "github") == "ghp_abc"
    assert await secrets.secret(store, sealer, OTHER, "github") is None
    [raw] = (await store.records(secrets.CREDENTIALS, NOTES)).values()
    assert b"ghp_abc" not in raw
    moved = secrets.put(sealer, OTHER, "github", "x")
    await store.commit(changes=[type(moved)(collection=moved.collection, project=OTHER, key="github", value=raw)])
    with pytest.raises(SecretLost):
        await secrets.secret(store, sealer, OTHER, "github")
    await store.commit(changes=[secrets.put(sealer, NOTES, "github", None)])
    assert await secrets.secret(store, sealer, NOTES, "github") is None


async def test_connections_are_found_by_project_and_all_together() -> None:
    store = await with_projects()
    made = Connection(
        kind="github", repository="alice/notes", branch="main", patterns=("docs/**",), at=clock(), by=ActorId("alice")
    )
    assert await connection.connection(store, NOTES) is None
    await store.commit(changes=[connection.put(NOTES, made, expect=None)])
    assert await connection.connection(store, NOTES) == made
    assert await connection.connections(store) == {NOTES: made}
    await store.commit(changes=[connection.put(NOTES, None, expect=made)])
    assert await connection.connections(store) == {}
