"""Peers that mean harm: they are closed with the right code, and nobody else notices.

bob is in the room all the time. After every attack he has seen nothing of it, and types on; the server is the same process.
"""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass

import httpx
import pytest
from pycrdt import Doc, Text, TransactionEvent

from tests.harness import wire
from tests.harness.peer import Crowd, Peer, crowd
from tests.harness.server import ServerProcess

pytestmark = [pytest.mark.anyio, pytest.mark.xdist_group("hostile")]

PATH = "a.md"
TEXT = "what bob and carol wrote 😀\n"
BAD, ANOTHER, TOO_LARGE = 4400, 4409, 4413
ITEM_OF_ANY, ITEM_OF_STRING, GC = 8, 4, 0
DEPTH = 26_000
CERTAIN_DEPTH = 300_000
"""However large the stack is, within reason."""
CLIENT = 4_242


def killer(depth: int = DEPTH) -> bytes:
    """One item that holds arrays in arrays, 26,000 deep: 52 kB that overflow a decoder's stack."""
    value = bytes((117, 1)) * depth + bytes((126,))
    return struct(CLIENT, 0, bytes((ITEM_OF_ANY, 1)) + wire.varbytes(b"content") + wire.varint(1) + value)


def struct(client: int, clock: int, encoded: bytes) -> bytes:
    """An update with one struct and no deletions."""
    return wire.varint(1) + wire.varint(1) + wire.varint(client) + wire.varint(clock) + encoded + wire.varint(0)


def words(client: int, clock: int, text: str) -> bytes:
    """Text at the beginning of the document."""
    return struct(client, clock, bytes((ITEM_OF_STRING, 1)) + wire.varbytes(b"content") + wire.varbytes(text.encode()))


def gone(client: int, clock: int, length: int) -> bytes:
    """A block that is garbage-collected already."""
    return struct(client, clock, bytes((GC,)) + wire.varint(length))


def update(data: bytes) -> bytes:
    return wire.sync(wire.UPDATE, data)


@dataclass
class Scene:
    """bob, who is harmed or not, and mallory, who is another actor."""

    server: ServerProcess
    api: httpx.AsyncClient
    project: str
    people: Crowd
    bob: Peer
    token: str

    async def mallory(self) -> Peer:
        return await self.people.join(self.server, self.project, PATH, token=self.token)

    async def attack(self, *frames: bytes) -> int:
        """mallory joins and sends these; the code that he is closed with."""
        mallory = await self.mallory()
        for frame in frames:
            await mallory.send(frame)
        return await mallory.closed()

    async def nobody_noticed(self) -> None:
        assert self.bob.connected, f"bob was closed with {self.bob.code}"
        before = str(self.bob)
        await self.bob.append("bob types on\n")
        await self.bob.saved()
        read = await self.api.get(f"/projects/{self.project}/files/{PATH}")
        assert read.text == before + "bob types on\n"
        assert before.replace("bob types on\n", "") == TEXT


@pytest.fixture
async def scene(server: ServerProcess, async_api: httpx.AsyncClient, project: str) -> AsyncIterator[Scene]:
    (await async_api.put(f"/projects/{project}/files/{PATH}", content=TEXT.encode())).raise_for_status()
    made = await async_api.post(f"/projects/{project}/tokens", json={"role": "editor", "agent": "mallory"})
    token = made.raise_for_status().json()["token"]
    async with crowd() as people:
        bob = await people.join(server, project, PATH)
        made_scene = Scene(server, async_api, project, people, bob, token)
        yield made_scene
        await made_scene.nobody_noticed()


def test_the_killer_really_kills_a_process_that_decodes_it() -> None:
    program = "import sys, pycrdt; d = pycrdt.Doc(); d.get('content', type=pycrdt.Text); d.apply_update(sys.stdin.buffer.read())"
    done = subprocess.run(
        [sys.executable, "-c", program], input=killer(CERTAIN_DEPTH), capture_output=True, check=False
    )
    assert done.returncode < 0, "the decoder survives it now: the attack below proves nothing"


@pytest.mark.parametrize("kind", [wire.UPDATE, wire.STEP2])
async def test_the_killer_update_costs_its_sender_the_socket(scene: Scene, kind: int) -> None:
    for depth in (DEPTH, CERTAIN_DEPTH):
        assert await scene.attack(wire.sync(kind, killer(depth))) == BAD


async def test_a_flood_of_0xff_costs_its_sender_the_socket(scene: Scene) -> None:
    flood = b"\xff" * 100_000
    floods = (flood, b"\0" + flood, b"\0\2" + flood, b"\0\0" + flood, b"\1" + flood, b"\x08" + flood)
    for frame in (
        *floods,
        update(flood),
        wire.sync(wire.STEP1, flood),
        bytes((wire.AWARENESS,)) + wire.varbytes(flood),
    ):
        assert await scene.attack(frame) == BAD, f"{frame[:4]!r}..."


async def test_garbage_costs_its_sender_the_socket(scene: Scene) -> None:
    chance = random.Random(7)
    for frame in (b"", b"\0", b"\0\7\0", b"\0\2\5abc", update(b""), update(b"\1"), update(words(1, 0, "x") + b"rest")):
        assert await scene.attack(frame) == BAD, f"{frame!r}"
    for _ in range(20):
        assert await scene.attack(update(chance.randbytes(chance.randrange(1, 60)))) in {BAD, ANOTHER}


async def test_mutations_of_a_real_update_leave_everybody_else_alone(scene: Scene) -> None:
    """Either it is refused, or it lacks something and is never shown, or it still is an honest edit, which nobody wants here:
    so the mutated update deletes and inserts nothing that bob would see."""
    chance = random.Random(11)
    original = _real_update()
    codes: list[int] = []
    for _ in range(150):
        mutated = bytearray(original)
        for _ in range(chance.randrange(1, 4)):
            mutated[chance.randrange(len(mutated))] = chance.randrange(256)
        mallory = await scene.mallory()
        await mallory.send(update(bytes(mutated)))
        await mallory.send(b"\xff")
        codes.append(await mallory.closed())
    assert set(codes) <= {BAD, ANOTHER, TOO_LARGE, 4501}


def _real_update() -> bytes:
    """An update that lacks what it builds on, so that even an untouched copy is never shown."""
    doc: Doc[Text] = Doc()
    text = doc.get("content", type=Text)
    text += "something that mallory never sends "
    updates: list[bytes] = []
    subscription = doc.observe(lambda event: updates.append(_bytes_of(event)))
    text.insert(10, "ho ho 😀")
    doc.unobserve(subscription)
    return updates[0]


def _bytes_of(event: TransactionEvent) -> bytes:
    update_: bytes = event.update
    return update_


async def test_writing_under_somebody_elses_client_id_is_refused(scene: Scene) -> None:
    carol = await scene.people.join(scene.server, scene.project, PATH)
    await carol.append("!")
    await carol.delete(len(str(carol)) - 1, 1)
    await carol.saved()
    clock = carol.clocks[carol.client]
    assert await scene.attack(update(words(carol.client, clock, "carol says: I owe you"))) == ANOTHER


async def test_a_repetition_of_somebody_elses_edit_is_harmless(scene: Scene) -> None:
    mallory = await scene.mallory()
    await mallory.tell()
    await mallory.append("x")
    await mallory.delete(len(str(mallory)) - 1, 1)
    await mallory.saved()
    assert mallory.connected


async def test_garbage_collected_blocks_are_no_news(scene: Scene) -> None:
    for client in (CLIENT, scene.bob.client):
        assert await scene.attack(update(gone(client, 0, 5))) in {BAD, ANOTHER}


async def test_reserved_client_ids_are_refused(scene: Scene) -> None:
    for client in (2**53 - 1, 2**53 - 2**31):
        assert await scene.attack(update(words(client, 0, "I am the server"))) == ANOTHER


async def test_clocks_and_client_ids_beyond_the_limits_are_refused(scene: Scene) -> None:
    for data in (words(CLIENT, 2**31 - 2, "beyond"), words(CLIENT, 2**32, "around"), words(2**53, 0, "who?")):
        assert await scene.attack(update(data)) == BAD


async def test_other_roots_and_other_types_are_refused(scene: Scene) -> None:
    other_root = struct(CLIENT, 0, bytes((ITEM_OF_STRING, 1)) + wire.varbytes(b"hidden") + wire.varbytes(b"x"))
    map_key = struct(
        CLIENT,
        0,
        bytes((ITEM_OF_STRING | 32, 1)) + wire.varbytes(b"content") + wire.varbytes(b"key") + wire.varbytes(b"x"),
    )
    nested = struct(CLIENT, 0, bytes((7, 1)) + wire.varbytes(b"content") + bytes((0,)))
    for data in (other_root, map_key, nested):
        assert await scene.attack(update(data)) == BAD


async def test_a_message_that_is_too_large_is_refused_as_such(scene: Scene) -> None:
    assert await scene.attack(update(words(CLIENT, 0, "x" * 17_000_000))) == TOO_LARGE


async def test_a_file_does_not_grow_without_end(scene: Scene) -> None:
    (await scene.api.put(f"/projects/{scene.project}/files/big.md", content=b"")).raise_for_status()
    mallory = await scene.people.join(scene.server, scene.project, "big.md", token=scene.token)
    for _ in range(12):
        await mallory.append("x" * 1_000_000)
    assert await mallory.closed() == TOO_LARGE


async def test_forged_presence_is_not_shown(scene: Scene) -> None:
    mallory = await scene.mallory()
    await scene.bob.show(cursor=1)
    await mallory.hears(lambda: scene.bob.client in mallory.present, "bob's presence")
    await mallory.send(wire.awareness(scene.bob.client, 99, '{"user": {"name": "not bob"}}'))
    await mallory.send(wire.awareness(scene.bob.client, 100, "null"))
    await mallory.show(cursor=2)
    await scene.bob.hears(lambda: mallory.client in scene.bob.present, "mallory's own presence")
    assert scene.bob.present[scene.bob.client]["cursor"] == 1
    assert scene.bob.present[mallory.client]["user"]["name"] == "mallory"


async def test_a_flood_of_presence_and_huge_states_do_not_reach_the_others(scene: Scene) -> None:
    mallory = await scene.mallory()
    before = scene.bob.frames
    for number in range(2_000):
        await mallory.show(cursor=number)
    await scene.bob.hears(lambda: scene.bob.present.get(mallory.client, {}).get("cursor") == 1_999, "the last state")
    assert scene.bob.frames - before < 200
    deep = "[" * 5_000 + "]" * 5_000
    for state in (f'{{"a": {deep}}}', '{"a": "' + "x" * 100_000 + '"}'):
        await mallory.send(wire.awareness(mallory.client, 10_000, state))
    assert "a" not in scene.bob.present.get(mallory.client, {})


async def test_joining_and_leaving_a_hundred_times_leaves_nothing_behind(scene: Scene) -> None:
    for _ in range(100):
        mallory = await scene.mallory()
        mallory.drop()
