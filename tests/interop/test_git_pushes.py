"""Pushes among people who type and others who push, and on bad days."""

from __future__ import annotations

import gzip
import os
import pathlib
import socket
import subprocess
import sys
from base64 import b64encode
from collections.abc import AsyncIterator, Callable, Iterator

import anyio
import anyio.to_thread
import httpx
import pytest

from tests.harness.node import StockPeers, stock_peers
from tests.harness.peer import Crowd, crowd
from tests.harness.server import QUIRE, ServerProcess
from tests.harness.tokens import check
from tests.harness.tokens import token as word
from tests.harness.until import until
from tests.interop.hosted import Clone, Hosted, events, files, make, put, run, snapshot, status, token
from tests.snapshots.git import ENVIRONMENT, git

pytestmark = pytest.mark.anyio

TEN = "".join(f"line {number}\n" for number in range(10))


@pytest.fixture
def hosted(server: ServerProcess, project: str) -> Hosted:
    return Hosted(server, project)


@pytest.fixture
def bob(hosted: Hosted, tmp_path: pathlib.Path) -> Clone:
    git(tmp_path, "clone", "--quiet", hosted.url(), "bob")
    return Clone(tmp_path / "bob")


@pytest.fixture
def base(bob: Clone) -> Clone:
    """Some files are there on both sides."""
    bob.write(a_md=TEN, b_md="b\n", d__c_md="c\n")
    bob.push("--quiet")
    return bob


# among others


@pytest.fixture
async def people() -> AsyncIterator[Crowd]:
    async with crowd() as peers:
        yield peers


async def test_nothing_is_lost_while_people_type_and_others_push(
    hosted: Hosted, base: Clone, api: httpx.Client, people: Crowd
) -> None:
    """A stock Yjs peer and one of ours type at the top, bob pushes at the bottom, six times."""
    put(api, hosted.name, "a.md", "\n" + TEN)
    snapshot(api, hosted.name)
    base.pull()
    typed: list[str] = []
    done = anyio.Event()
    ours = await people.join(hosted.server, hosted.name, "a.md", subprotocol="quire.v1")

    async def type_ours() -> None:
        for number in range(10_000):
            if done.is_set():
                break
            typed.append(word("ours", number))
            await ours.insert(0, typed[-1])
            await ours.saved()

    async def type_stock(stock: StockPeers) -> None:
        for number in range(10_000):
            if done.is_set():
                break
            typed.append(word("stock", number))
            await stock.do("insert", "stock", at=0, text=typed[-1])

    async with stock_peers() as stock, anyio.create_task_group() as tasks:
        await stock.join("stock", hosted.server, f"{hosted.name}/a.md")
        tasks.start_soon(type_ours)
        tasks.start_soon(type_stock, stock)
        for number in range(6):
            old = (base.folder / "a.md").read_text()
            base.write(a_md=old + f"bob {number}\n")
            await anyio.to_thread.run_sync(base.push, "--quiet")
        done.set()
        await ours.hears(lambda: "bob 5" in str(ours), "the last push")
        tasks.cancel_scope.shield = False
    pushed = "".join(f"bob {number}\n" for number in range(6))
    await ours.hears(lambda: all(each in str(ours) for each in typed), "everything that was typed")
    top, rest = str(ours).split("\n", 1)
    assert rest == TEN + pushed
    assert check(top, typed).good
    assert status(api, hosted.name)["conflicts"] == 0
    snapshot(api, hosted.name)
    base.pull()
    assert (base.folder / "a.md").read_text() == str(ours)


async def test_of_two_pushes_at_once_one_is_told_to_pull_first(
    hosted: Hosted, base: Clone, api: httpx.Client, tmp_path: pathlib.Path
) -> None:
    clones = []
    for name in ("carol", "dave", "erin"):
        git(tmp_path, "clone", "--quiet", hosted.url(), name)
        clones.append(Clone(tmp_path / name))
    waiting = {each: f"{each.folder.name}_md" for each in clones}
    for each, file in waiting.items():
        each.write(**{file: f"{file}\n"})
    rounds = 0
    while waiting:
        rounds += 1
        results: dict[Clone, subprocess.CompletedProcess[str]] = {}

        async def one(each: Clone, results: dict[Clone, subprocess.CompletedProcess[str]] = results) -> None:
            results[each] = await anyio.to_thread.run_sync(run, each.folder, "push")

        async with anyio.create_task_group() as tasks:
            for each in waiting:
                tasks.start_soon(one, each)
        through = [each for each, done in results.items() if done.returncode == 0]
        assert len(through) == 1, [done.stderr for done in results.values()]
        for each, done in results.items():
            assert (
                each in through
                or "somebody committed or pushed meanwhile" in done.stderr
                or "fetch first" in done.stderr
            )
        for each in through:
            del waiting[each]
        for each in waiting:
            each.pull()
    assert rounds == 3
    assert {"carol.md", "dave.md", "erin.md"} <= files(api, hosted.name).keys()
    assert git(hosted.bare, "fsck", "--full", "--strict") == ""


async def test_a_push_and_a_commit_at_once_end_with_both(hosted: Hosted, base: Clone, api: httpx.Client) -> None:
    for number in range(5):
        put(api, hosted.name, "alice.md", f"alice {number}\n")
        base.write(bob_md=f"bob {number}\n")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(anyio.to_thread.run_sync, snapshot, api, hosted.name)
            done = await anyio.to_thread.run_sync(run, base.folder, "push")
        if done.returncode:
            assert "fetch first" in done.stderr or "somebody committed or pushed meanwhile" in done.stderr
            base.pull()
            base.push("--quiet")
        snapshot(api, hosted.name)
        base.pull()
        assert (base.folder / "alice.md").read_text() == f"alice {number}\n"
        assert files(api, hosted.name)["bob.md"] == f"bob {number}\n".encode()


async def test_an_automatic_commit_waits_for_whoever_has_looked_where_to_push(
    spawn: Callable[..., ServerProcess], tmp_path: pathlib.Path
) -> None:
    """Commits are due at once; between looking and pushing somebody writes, and the push is a fast-forward all the same."""
    server = spawn(QUIRE_COMMIT_QUIET="10ms", QUIRE_COMMIT_MAX_AGE="10ms", QUIRE_POLL="0")
    with httpx.Client(base_url=f"{server.url}/api/v1", headers=server.headers, timeout=30) as api:
        make(api, "notes")
        hosted = Hosted(server, "notes")
        git(tmp_path, "clone", "--quiet", hosted.url(), "bob")
        bob = Clone(tmp_path / "bob")
        bob.write(a_md=TEN)
        bob.push("--quiet")
        for number in range(3):
            # git looks, and is held up before it sends: a hook stands for a slow line.
            hook = bob.folder / ".git" / "hooks" / "pre-push"
            hook.write_text(
                f"#!{sys.executable}\n"
                "import httpx, time\n"
                f"httpx.put('{server.url}/api/v1/projects/notes/files/n{number}.md', content=b'x\\n', "
                f"headers={server.headers!r}).raise_for_status()\n"
                "time.sleep(0.3)\n"
            )
            hook.chmod(0o755)
            bob.write(a_md=f"{number}\n{TEN}")
            bob.push("--quiet")
            hook.unlink()
            until(lambda: status(api, "notes")["uncommitted"] == 0, "the commit that waited")
            bob.pull()
            assert (bob.folder / f"n{number}.md").exists()


# bad days


def test_a_push_that_is_too_large_is_refused_in_words(
    spawn: Callable[..., ServerProcess], tmp_path: pathlib.Path
) -> None:
    server = spawn(QUIRE_MAX_UPLOAD="1000000", QUIRE_MAX_FILE="300000")
    httpx.post(f"{server.url}/api/v1/projects", json={"name": "notes"}, headers=server.headers).raise_for_status()
    hosted = Hosted(server, "notes")
    git(tmp_path, "clone", "--quiet", hosted.url(), "bob")
    bob = Clone(tmp_path / "bob")
    bob.write(fine_md="fine\n")
    bob.push("--quiet")
    bob.write(large_bin=os.urandom(1_500_000))
    assert "it is larger than 1,000,000 bytes (QUIRE_MAX_UPLOAD)" in bob.refused()
    git(bob.folder, "reset", "--quiet", "--hard", "HEAD~1")
    bob.write(large_md="x" * 400_000)
    assert "an object of 400,000 bytes, and 300,000 are the most" in bob.refused()
    assert list((hosted.bare / ".quarantine").iterdir()) == []
    git(bob.folder, "reset", "--quiet", "--hard", "HEAD~1")
    bob.write(small_md="small\n")
    bob.push("--quiet")


def body_of(clone: Clone) -> bytes:
    """What git would send to push HEAD to main."""
    old, new = git(clone.folder, "rev-parse", "origin/main", "HEAD").split()
    row = f"{old} {new} refs/heads/main\0 report-status side-band-64k".encode()
    asked = f"{new}\n^{old}\n".encode()
    packed = subprocess.run(
        ["git", "-C", str(clone.folder), "pack-objects", "--stdout", "--revs", "-q"],
        input=asked, capture_output=True, check=True, env=ENVIRONMENT,
    )  # fmt: skip
    return b"%04x" % (len(row) + 4) + row + b"0000" + packed.stdout


REQUEST = {"content-type": "application/x-git-receive-pack-request"}


def test_a_token_that_ends_while_a_push_comes_in_pushes_nothing(hosted: Hosted, base: Clone, api: httpx.Client) -> None:
    secret, number = token(api, hosted.name, "editor")
    head = status(api, hosted.name)["head"]
    base.write(a_md="late\n")
    raw = body_of(base)

    def slowly() -> Iterator[bytes]:
        yield raw[:100]
        until(lambda: status(api, hosted.name) and True, "the server took it")
        api.delete(f"/projects/{hosted.name}/tokens/{number}").raise_for_status()
        yield raw[100:]

    answer = httpx.post(f"{hosted.url(secret)}/git-receive-pack", content=slowly(), headers=REQUEST, timeout=30)
    assert b"ng refs/heads/main" in answer.content
    assert b"not (or no longer) valid" in answer.content
    assert status(api, hosted.name)["head"] == head


def test_a_push_may_come_packed_once_more(hosted: Hosted, base: Clone, api: httpx.Client) -> None:
    base.write(a_md="packed\n")
    answer = httpx.post(
        f"{hosted.url()}/git-receive-pack",
        content=gzip.compress(body_of(base)),
        headers={**REQUEST, "content-encoding": "gzip", "expect": "100-continue"},
        timeout=30,
    )
    assert b"ok refs/heads/main" in answer.content
    assert files(api, hosted.name)["a.md"] == b"packed\n"


def test_a_client_that_goes_away_leaves_nothing(hosted: Hosted, base: Clone, api: httpx.Client) -> None:
    base.write(big_bin=os.urandom(500_000))
    raw = body_of(base)
    head = status(api, hosted.name)["head"]
    account = b64encode(f"x:{hosted.server.token}".encode()).decode()
    with socket.create_connection(("127.0.0.1", hosted.server.port)) as half:
        half.sendall(
            f"POST /git/{hosted.name}.git/git-receive-pack HTTP/1.1\r\nHost: quire\r\nAuthorization: Basic {account}\r\n"
            f"Content-Type: {REQUEST['content-type']}\r\nContent-Length: {len(raw)}\r\n\r\n".encode()
            + raw[:400_000]
        )
        quarantine = hosted.bare / ".quarantine"
        until(lambda: list(quarantine.glob("*")), "the push comes in")
    until(lambda: not list(quarantine.glob("*")), "what was left of it is gone")
    assert status(api, hosted.name)["head"] == head
    base.push("--quiet")
    assert status(api, hosted.name)["head"] != head


@pytest.mark.parametrize("moment", ["coming in", "judged", "kept", "at once"])
def test_a_server_that_is_killed_in_the_middle_is_consistent_and_takes_the_push_again(
    spawn: Callable[..., ServerProcess], tmp_path: pathlib.Path, moment: str
) -> None:
    server = spawn(QUIRE_POLL="200ms")
    with httpx.Client(base_url=f"{server.url}/api/v1", headers=server.headers, timeout=30) as api:
        make(api, "notes")
        hosted = Hosted(server, "notes")
        git(tmp_path, "clone", "--quiet", hosted.url(), "bob")
        bob = Clone(tmp_path / "bob")
        bob.write(a_md=TEN)
        bob.push("--quiet")
        put(api, "notes", "a.md", "alice\n" + TEN)
        new = bob.write(a_md=TEN + "bob\n", big_bin=os.urandom(2_000_000), **{f"f{n}_md": f"{n}\n" for n in range(20)})
        pushing = subprocess.Popen(
            ["git", "-C", str(bob.folder), "push", "--quiet"], env=ENVIRONMENT, stderr=subprocess.DEVNULL
        )
        quarantine, packs = hosted.bare / ".quarantine", hosted.bare / "objects" / "pack"
        if moment == "coming in":
            until(lambda: list(quarantine.glob("*/received")), moment)
        elif moment == "judged":
            until(lambda: list(quarantine.glob("*/pack/*.idx")) or list(packs.glob("*.idx")), moment)
        elif moment == "kept":
            until(lambda: list(packs.glob("*.idx")), moment)
        server.kill()
        pushing.wait(30)
        server.restart()
        bob.push("--quiet")
        until(lambda: events(api, "notes", "pulled")[-1]["data"]["commit"] == new, "it is pulled")
        assert files(api, "notes")["a.md"] == f"alice\n{TEN}bob\n".encode()
        assert files(api, "notes")["f19.md"] == b"19\n"
        assert [each["path"] for each in api.get("/projects/notes/changes").json()["changes"]] == ["a.md"]
        assert [each["data"]["commit"] for each in events(api, "notes", "pushed")].count(new) == 1
        assert [each["data"]["commit"] for each in events(api, "notes", "pulled")].count(new) == 1
        assert git(hosted.bare, "fsck", "--full", "--strict", "--no-dangling") == ""
        until(lambda: not list(quarantine.glob("*")), "the quarantine is swept")
        found = subprocess.run(
            [str(QUIRE), "verify", "--data", str(server.data)], capture_output=True, text=True, check=False
        )
        assert found.returncode == 0, found.stdout


def test_a_backup_knows_nothing_of_a_push_that_does_not_count_yet(
    hosted: Hosted, base: Clone, api: httpx.Client, tmp_path: pathlib.Path
) -> None:
    waiting = hosted.bare / ".quarantine" / "half"
    waiting.mkdir(parents=True)
    (waiting / "received").write_bytes(b"half a pack")
    mirrored = hosted.server.data / "git" / ".mirrors" / "some.git" / "objects"
    mirrored.mkdir(parents=True, exist_ok=True)
    (mirrored / "some").write_bytes(b"elsewhere")
    done = subprocess.run(
        [str(QUIRE), "backup", str(tmp_path / "copy"), "--data", str(hosted.server.data)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    copied = [
        each.relative_to(tmp_path / "copy").as_posix() for each in (tmp_path / "copy").rglob("*") if each.is_file()
    ]
    assert any(each.startswith(f"git/{hosted.name}.git/") for each in copied)
    assert not any("received" in each or ".mirrors" in each for each in copied)
