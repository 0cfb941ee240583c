"""The disk is gone: a real server is killed while people type, everything local is deleted, and it comes back from the bucket.

What it had called saved longer ago than the backup is behind is there before anybody comes back; and when everybody has come back,
with what he still remembers, everything is there exactly once.
"""

from __future__ import annotations

import pathlib
import random
import shutil
import sqlite3
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import httpx
import pytest

from tests.cli.running import git, quire
from tests.harness.peer import alike, crowd
from tests.harness.s3 import Proxy, objects_in
from tests.harness.server import ServerProcess
from tests.harness.tokens import check, token
from tests.harness.until import until_awaited
from tests.snapshots.git import blob_sha
from web.shipping.copying import silently
from web.shipping.recovery import recover

pytestmark = pytest.mark.anyio

LAG = 1.0
NAMES = ("alice", "bob", "carol")


@pytest.fixture
def settings(proxy: Proxy, bucket_name: str) -> dict[str, str]:
    return {
        "QUIRE_OBJECTS": f"s3://{bucket_name}/quire",
        "QUIRE_S3_ENDPOINT": proxy.address,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "QUIRE_COMMIT_QUIET": "1h",
        "QUIRE_COMMIT_MAX_AGE": "2h",
    }


@pytest.fixture
def place(settings: dict[str, str]) -> str:
    return settings["QUIRE_OBJECTS"]


@asynccontextmanager
async def client(server: ServerProcess) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=f"{server.url}/api/v1", headers=server.headers, timeout=60) as api:
        yield api


async def ok(answer: Any) -> Any:
    reply = await answer
    assert reply.is_success, reply.text
    return reply


async def backup(api: httpx.AsyncClient) -> dict[str, Any]:
    found: dict[str, Any] = (await ok(api.get("/backup"))).json()
    return found


async def all_is_shipped(api: httpx.AsyncClient) -> None:
    async def there() -> bool:
        status = await backup(api)
        waiting = status["seconds_behind"] or status["files_waiting"]
        return bool(status["state"] == "shipping" and not waiting)

    await until_awaited(there, "everything is in the backup")


async def reads(api: httpx.AsyncClient, text: str) -> None:
    """What editors bring back was called saved before, by a server that is gone: so it is looked for."""

    async def there() -> bool:
        return bool((await ok(api.get("/projects/notes/files/a.md"))).text == text)

    await until_awaited(there, f"the file reads {text[:80]!r}")


async def from_the_bucket(server: ServerProcess, place: str, settings: dict[str, str], *more: str) -> str:
    """Everything local is deleted, and comes back. What the command said."""

    def delete_and_restore() -> str:
        shutil.rmtree(server.data)
        done = quire("restore", place, "--to", server.data, *more, env=settings).ok()
        return done.err + done.out

    return await anyio.to_thread.run_sync(delete_and_restore)


async def verified(server: ServerProcess) -> None:
    ran = await anyio.to_thread.run_sync(lambda: quire("verify", "--data", server.data))
    assert ran.status == 0, ran.out + ran.err


async def test_a_server_that_lost_its_disk_comes_back_with_what_was_saved_a_moment_ago(
    spawn: Callable[..., ServerProcess], settings: dict[str, str], place: str
) -> None:
    server = spawn(**settings)
    chance = random.Random(1)
    async with crowd() as people:
        async with client(server) as api:
            await ok(api.post("/projects", json={"name": "notes"}))
            await ok(api.put("/projects/notes/files/a.md", content=b""))
            await all_is_shipped(api)
        typists = {name: await people.join(server, "notes", "a.md") for name in NAMES}
        saved: list[tuple[float, dict[str, int]]] = []

        async def type_on(name: str) -> None:
            peer = typists[name]
            while peer.connected:
                lines = str(peer).splitlines(keepends=True)
                index = sum(map(len, lines[: chance.randrange(len(lines) + 1)]))
                await peer.insert(index, token(name, peer.edits + 1) + "\n")
                await anyio.sleep(0.02)

        async def note_what_is_saved() -> None:
            while True:
                saved.append((time.monotonic(), {name: peer.durable for name, peer in typists.items()}))
                await anyio.sleep(0.05)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(note_what_is_saved)
            for name in NAMES:
                tasks.start_soon(type_on, name)
            await anyio.sleep(3)
            async with client(server) as api:
                behind = (await backup(api))["seconds_behind"]
            server.kill()
            killed = time.monotonic()
            for peer in typists.values():
                await peer.closed()
            tasks.cancel_scope.cancel()

        said = await from_the_bucket(server, place, settings)
        assert f"QUIRE_OBJECTS={place}" in said
        promised = [counts for at, counts in saved if at < killed - max(LAG, behind)][-1]
        assert all(promised.values())
        server.restart()
        async with client(server) as api:
            text = (await ok(api.get("/projects/notes/files/a.md"))).text
            verdict = check(text, [token(name, each + 1) for name in NAMES for each in range(promised[name])])
            assert verdict.good, verdict
            for peer in typists.values():
                await peer.reconnect()
            text = await alike(*typists.values())
            everything = [token(name, each + 1) for name in NAMES for each in range(typists[name].edits)]
            verdict = check(text, everything)
            assert verdict.good, verdict
            await reads(api, text)
            await verified(server)
            # And the new server's own backup goes on at once, where the old one's ended.
            await all_is_shipped(api)
            server.kill()
    await from_the_bucket(server, place, settings)
    server.restart()
    async with client(server) as api:
        assert (await ok(api.get("/projects/notes/files/a.md"))).text == text


async def test_what_the_backup_lacks_comes_back_once_with_those_who_hold_it(
    spawn: Callable[..., ServerProcess], settings: dict[str, str], place: str, proxy: Proxy
) -> None:
    """Typed by people and written by programs: who reads it holds both."""
    server = spawn(**settings)
    async with crowd() as people:
        async with client(server) as api:
            await ok(api.post("/projects", json={"name": "notes"}))
            await ok(api.put("/projects/notes/files/a.md", content=b"one\ntwo\n"))
            await all_is_shipped(api)
            alice = await people.join(server, "notes", "a.md")
            bob = await people.join(server, "notes", "a.md")
            proxy.down = True
            await alice.append("by alice\n")
            await alice.saved()
            read = await ok(api.get("/projects/notes/files/a.md"))
            changed = "zero\n" + read.text
            await ok(api.put("/projects/notes/files/a.md", content=changed, headers={"if-match": read.headers["etag"]}))
            await bob.hears(lambda: str(bob) == changed, "what a program wrote")
            await alice.hears(lambda: str(alice) == changed, "what a program wrote")
            await bob.append("by bob\n")
            await bob.saved()
            everything = changed + "by bob\n"
            await alice.hears(lambda: str(alice) == everything, "what bob wrote")
        server.kill()
        for peer in (alice, bob):
            await peer.closed()
        proxy.down = False
        await from_the_bucket(server, place, settings)
        server.restart()
        async with client(server) as api:
            assert (await ok(api.get("/projects/notes/files/a.md"))).text == "one\ntwo\n"
            await alice.reconnect()
            await reads(api, everything)
            await bob.reconnect()
            await bob.append("and on\n")
            await bob.saved()
            await alice.hears(lambda: str(alice) == everything + "and on\n", "what bob writes now")
            assert (await ok(api.get("/projects/notes/files/a.md"))).text == everything + "and on\n"
            await verified(server)


async def test_a_moment_between_two_edits_can_be_had_again_with_files_and_git_as_they_were(
    spawn: Callable[..., ServerProcess], settings: dict[str, str], place: str, tmp_path: pathlib.Path
) -> None:
    server = spawn(**settings)
    moments: list[str] = []
    heads: list[str] = []
    async with client(server) as api:
        await ok(api.post("/projects", json={"name": "notes"}))
        for number in range(4):
            await ok(api.put("/projects/notes/files/a.md", content=f"{number}\n".encode()))
            await ok(api.put("/projects/notes/files/logo.bin", content=b"\xff\xfe" + bytes([number])))
            made = (await ok(api.post("/projects/notes/snapshots", json={"message": f"{number}"}))).json()
            heads.append(made["commit"])
            await all_is_shipped(api)
            events = (await ok(api.get("/projects/notes/events", headers={"accept": "application/json"}))).json()
            moments.append(max(each["at"] for each in events["events"]))
            await anyio.sleep(0.01)
        await ok(api.delete("/projects/notes/files/logo.bin"))
        await all_is_shipped(api)
    server.terminate()
    for number in (2, 0):
        await from_the_bucket(server, place, settings, "--at", moments[number])
        assert git("rev-parse", "main", cwd=server.data / "git" / "notes.git").strip() == heads[number]
        server.start()
        async with client(server) as api:
            assert (await ok(api.get("/projects/notes/files/a.md"))).text == f"{number}\n"
            assert (await ok(api.get("/projects/notes/files/logo.bin"))).content == b"\xff\xfe" + bytes([number])
            status = (await ok(api.get("/projects/notes/status"))).json()
            assert (status["uncommitted"], status["conflicts"], status["head"]) == (0, 0, heads[number])
            await verified(server)
        server.kill()


async def test_files_of_a_folder_travel_along(
    spawn: Callable[..., ServerProcess], settings: dict[str, str], place: str
) -> None:
    del settings["QUIRE_OBJECTS"]
    settings |= {"QUIRE_BACKUP": place}
    server = spawn(**settings)
    async with client(server) as api:
        await ok(api.post("/projects", json={"name": "notes"}))
        await ok(api.put("/projects/notes/files/logo.bin", content=b"\xff\xfe"))
        await all_is_shipped(api)
        server.kill()
    said = await from_the_bucket(server, place, settings)
    assert "QUIRE_OBJECTS" not in said
    server.restart()
    async with client(server) as api:
        assert (await ok(api.get("/projects/notes/files/logo.bin"))).content == b"\xff\xfe"
    await verified(server)


async def test_while_the_bucket_is_out_of_reach_nobody_waits_and_all_follows_after(
    spawn: Callable[..., ServerProcess],
    settings: dict[str, str],
    proxy: Proxy,
    s3_address: str,
    bucket_name: str,
    tmp_path: pathlib.Path,
) -> None:
    server = spawn(**settings)
    async with client(server) as api:
        await ok(api.post("/projects", json={"name": "notes"}))
        await ok(api.put("/projects/notes/files/a.md", content=b""))
        await all_is_shipped(api)
        proxy.down = True
        for number in range(20):
            await ok(api.put("/projects/notes/files/a.md", content=f"{number}\n".encode()))

        async def behind() -> bool:
            return bool((await backup(api))["state"] == "behind")

        await until_awaited(behind, "it says that it is behind")
        assert "S3 does not answer" in (await backup(api))["detail"]
        ready = (await ok(httpx_get(server, "/readyz"))).json()
        assert ready["backup"]["seconds_behind"] > 0
        ran = await anyio.to_thread.run_sync(lambda: quire("backup", "--data", server.data))
        assert ran.status == 1
        assert "S3 does not answer" in ran.out
        server.kill()
        server.restart()
        proxy.down = False
        await all_is_shipped(api)
        sha = (await ok(api.get("/projects/notes/files/a.md"))).headers["etag"].strip('"')
    assert await shas(tmp_path / "again", s3_address, bucket_name) == {"a.md": sha}


async def shas(to: pathlib.Path, address: str, bucket_name: str) -> dict[str, str]:
    """Of every file in the backup."""
    bucket = objects_in(address, bucket_name, "quire")
    await anyio.Path(to).mkdir()
    await recover(bucket, to, None, silently)
    await bucket.aclose()
    connection = sqlite3.connect(to / "quire.sqlite")
    try:
        return {path.decode(): sha for path, sha in connection.execute("SELECT path, sha FROM documents")}
    finally:
        connection.close()


async def httpx_get(server: ServerProcess, path: str) -> httpx.Response:
    async with httpx.AsyncClient() as plain:
        return await plain.get(f"{server.url}{path}")


async def test_the_backup_is_restored_and_verified_to_see_whether_it_can_be(
    spawn: Callable[..., ServerProcess], settings: dict[str, str], place: str, bucket_name: str, s3_address: str
) -> None:
    server = spawn(**settings, QUIRE_BACKUP_CHECK_EVERY="1s")
    async with client(server) as api:
        await ok(api.post("/projects", json={"name": "notes"}))
        await ok(api.put("/projects/notes/files/a.md", content=b"one\n"))
        await ok(api.put("/projects/notes/files/logo.bin", content=b"\xff\xfe"))
        await ok(api.post("/projects/notes/snapshots", json={"message": "all"}))
        await all_is_shipped(api)

        async def by_itself() -> bool:
            return bool(((await backup(api))["check"] or {}).get("documents") == 2)

        await until_awaited(by_itself, "it is restored and verified by itself")
        ran = await anyio.to_thread.run_sync(lambda: quire("backup", "--check", "--data", server.data))
        assert ran.status == 0, ran.out + ran.err
        assert "all of it agrees" in ran.out
        status = (await backup(api))["check"]
        assert (status["good"], status["documents"]) == (True, 2)
        metrics = (await httpx_get(server, "/metrics")).text
        assert "quire_backup_check_failed 0.0" in metrics
        assert not list((server.data / "backup").glob(".check-*"))

        bucket = objects_in(s3_address, bucket_name, "quire")
        async for key in bucket.list("objects/"):
            await bucket.delete(key)
        ran = await anyio.to_thread.run_sync(lambda: quire("backup", "--check", "--data", server.data))
        assert ran.status == 1
        assert "logo.bin" in ran.out
        async for key in bucket.list("backup/pages/"):
            await bucket.delete(key)
        ran = await anyio.to_thread.run_sync(lambda: quire("backup", "--check", "--data", server.data))
        assert ran.status == 1
        assert "is missing from the backup" in ran.out
        assert "quire_backup_check_failed 1.0" in (await httpx_get(server, "/metrics")).text
        await bucket.aclose()


async def test_a_copy_by_hand_goes_into_a_bucket(
    spawn: Callable[..., ServerProcess], settings: dict[str, str], place: str
) -> None:
    del settings["QUIRE_OBJECTS"]
    server = spawn(**settings)
    async with client(server) as api:
        await ok(api.post("/projects", json={"name": "notes"}))
        await ok(api.put("/projects/notes/files/logo.bin", content=b"\xff\xfe"))
        ran = await anyio.to_thread.run_sync(lambda: quire("backup", place, "--data", server.data, env=settings))
        assert ran.status == 0, ran.out + ran.err
    server.kill()
    await from_the_bucket(server, place, settings)
    await verified(server)


async def test_a_command_without_a_server_leaves_its_changes_to_the_next_one(
    spawn: Callable[..., ServerProcess],
    settings: dict[str, str],
    s3_address: str,
    bucket_name: str,
    tmp_path: pathlib.Path,
) -> None:
    server = spawn(**settings)
    async with client(server) as api:
        await ok(api.post("/projects", json={"name": "notes"}))
        await all_is_shipped(api)
        generation = (await backup(api))["generation"]
    server.terminate()
    (server.data.parent / "docs").mkdir()
    (server.data.parent / "docs" / "a.md").write_text("imported\n")
    importing: list[str | pathlib.Path] = [
        "import",
        server.data.parent / "docs",
        "--project",
        "more",
        "--data",
        server.data,
    ]
    (await anyio.to_thread.run_sync(lambda: quire(*importing, env=settings))).ok()
    server.start()
    async with client(server) as api:
        await all_is_shipped(api)
        assert (await backup(api))["generation"] == generation
    assert await shas(tmp_path / "again", s3_address, bucket_name) == {"a.md": blob_sha(b"imported\n")}
