"""Bad days of a project on GitHub: its status says in plain words what happened and what to do, and once the cause is gone it
goes on by itself, with nothing lost and nothing doubled."""

from __future__ import annotations

import base64
import json
import pathlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any, Final

import anyio
import anyio.to_thread
import pytest

from collab import conflicts
from collab.ids import Millis
from snapshots.budget import Limits
from snapshots.connecting import Asker
from snapshots.places import Wanted
from snapshots.schedule import Pace
from snapshots.snapshot import Snapshot
from snapshots.snapshotter import Status
from tests.harness import faultproxy as fault
from tests.harness.faultproxy import FaultProxy, Forward, Reply, Request, fault_proxy
from tests.harness.github import GitHubRepository, GitHubServer
from tests.harness.hubs import GENEROUS, Time, hub_to
from tests.harness.until import auntil
from tests.snapshots.house import ALICE, BOB, BOT, Clock, House, house

pytestmark = pytest.mark.anyio

PACE: Final = Pace(quiet=60_000, max_age=600_000, first_wait=5_000, longest_wait=600_000)


class OneClock(Clock, Time):
    """The server's and the hub's: whoever waits lets time pass for both."""

    def __init__(self) -> None:
        Clock.__init__(self)
        self.waited = []

    def __call__(self) -> Millis:
        return Millis(self.now)


@dataclass
class Day:
    home: House
    theirs: GitHubRepository
    proxy: FaultProxy
    clock: OneClock

    async def do(self, work: Callable[..., Any], *arguments: Any) -> Any:
        return await anyio.to_thread.run_sync(lambda: work(*arguments))

    async def commit(self, **wish: Any) -> Snapshot:
        return await self.home.snapshotter.snapshot(self.home.project, **wish)

    async def status(self) -> Status:
        return await self.home.snapshotter.status(self.home.project)

    async def passes(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.home.bus.publish(self.home.project.id, 0)
        await anyio.sleep(0.01)
        rounds = self.home.snapshotter._rounds
        await auntil(lambda: not any(each.started or each.lock.locked() for each in rounds._watched.values()), "rest")

    async def minutes(self, count: int) -> Status:
        for _ in range(count):
            await self.passes(60)
        return await self.status()

    async def lose_branch(self) -> None:
        """Somebody deletes it; the server lets nobody delete the default one."""
        main = await self.do(self.theirs.head)
        url = f"/repos/{self.theirs.full_name}"
        await self.do(self.theirs.post, f"{url}/git/refs", {"ref": "refs/heads/other", "sha": main})
        await self.do(self.theirs.request, "PATCH", url, {"default_branch": "other"})
        await self.do(self.theirs.request, "DELETE", f"{url}/git/refs/heads/main")

    async def subjects(self, branch: str = "main") -> list[str]:
        """Of the commits there, the newest first."""
        found = await self.do(self.theirs.get, f"/commits?sha={branch}&per_page=100")
        return [each["commit"]["message"].partition("\n")[0] for each in found]

    async def there(self, branch: str = "main") -> dict[str, str]:
        def read() -> dict[str, str]:
            tree = self.theirs.get(f"/git/trees/{self.theirs.head(branch)}?recursive=1")["tree"]
            blobs = {each["path"]: each["sha"] for each in tree if each["type"] == "blob"}
            found = {path: self.theirs.get(f"/git/blobs/{sha}")["content"] for path, sha in blobs.items()}
            return {path: base64.b64decode(content).decode() for path, content in found.items()}

        held: dict[str, str] = await self.do(read)
        return held

    async def live(self) -> dict[str, str]:
        return {path: content.decode() for path, content in (await self.home.files()).items()}

    async def well(self, *subjects: str) -> None:
        """It has recovered: both sides hold the same, by these commits on top of the first."""
        for _ in range(20):
            if not (await self.status()).uncommitted:
                break
            await self.passes(60)
        status = await self.status()
        assert (status.state, status.detail, status.uncommitted, status.conflicts) == ("idle", "", 0, 0)
        assert await self.there() == await self.live()
        assert await self.subjects() == [*subjects, "Add a.md"]


@pytest.fixture
async def day(github: GitHubServer, tmp_path: pathlib.Path) -> AsyncIterator[Day]:
    """A project that is connected, with a first commit, while the schedule runs."""
    clock = OneClock()
    theirs = await anyio.to_thread.run_sync(github.make)
    limits: list[Limits] = [GENEROUS]
    async with (
        fault_proxy(github.url) as proxy,
        house(
            tmp_path,
            clock=clock,
            pace=PACE,
            make_hub=lambda credential: hub_to(proxy.url, credential, clock, limits=limits[0]),
        ) as home,
        anyio.create_task_group() as tasks,
    ):
        wanted = Wanted(kind="github", repository=theirs.full_name, token=theirs.token)
        await home.connecting.connect(home.project, wanted, None, Asker(BOB))
        await home.write("a.md", "a\n")
        made = await home.snapshotter.snapshot(home.project)
        assert made.state == "done"
        clock.advance(61)
        tasks.start_soon(home.snapshotter.run)
        await anyio.sleep(0.01)
        proxy.clear()
        yield Day(home, theirs, proxy, clock)
        tasks.cancel_scope.cancel()


EVERYTHING: Final = ("GET", "POST", "PATCH", "PUT", "DELETE")


def refuse(day: Day, action: fault.Action, pattern: str = "", methods: tuple[str, ...] = EVERYTHING) -> None:
    for method in methods:
        day.proxy.on(method, pattern, action, times=-1)


def archived(body: Any) -> Any:
    return {**body, "archived": True}


# What it costs


async def test_a_round_is_four_or_five_requests_and_one_in_which_nothing_changed_is_one(day: Day) -> None:
    await day.home.write("b.md", "b\n", BOT)
    await day.home.write("a.md", "a\nmore\n", ALICE)
    day.proxy.clear()
    made = await day.commit()
    assert made.state == "done"
    assert day.proxy.clear() == [
        "GET /git/ref/heads/main",
        "POST /git/trees",
        "POST /git/commits",
        "PATCH /git/refs/heads/main",
    ]
    day.clock.advance(61)
    assert (await day.commit()).state == "nothing"
    assert day.proxy.clear() == ["GET /git/ref/heads/main"]
    message = (await day.do(day.theirs.get, f"/git/commits/{made.commit}"))["message"]
    trailers = message.rstrip("\n").rpartition("\n\n")[2].split("\n")
    assert "Co-authored-by: Bot <bot@example.org>" in trailers
    assert "Co-authored-by: Alice of Wonder land <alice@example.org>" in trailers
    assert trailers[-1].startswith(f"Quire-Snapshot: {day.home.project.id}/{made.number}/")


# Nobody is let in


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("token revoked", "does not accept the token (any more): connect again with a new one"),
        ("repository gone", "There is no repository"),
        ("repository archived", "is archived, and takes no commits: unarchive it"),
        ("read only", "may not write"),
        ("down", "GitHub did not answer"),
        ("failing", "GitHub failed (503)"),
    ],
)
async def test_what_keeps_us_out_is_said_and_ends_by_itself(day: Day, what: str, said: str) -> None:
    match what:
        case "token revoked":
            refuse(day, fault.status(401))
        case "repository gone":
            refuse(day, fault.status(404))
        case "repository archived":
            refuse(day, fault.changed(archived), f"/repos/{day.theirs.full_name}$", ("GET",))
            refuse(day, fault.changed(archived), "/repositories/", ("GET",))
            refuse(day, fault.status(403), "/git/", ("POST", "PATCH"))
        case "read only":
            may = {"permissions": {"push": False}}
            refuse(day, fault.changed(lambda body: {**body, **may}), f"/repos/{day.theirs.full_name}$", ("GET",))
            refuse(day, fault.status(403), "/git/", ("POST", "PATCH"))
        case "down":
            refuse(day, fault.drop)
        case "failing":
            refuse(day, fault.status(503))
    await day.home.write("b.md", "b\n")
    status = await day.minutes(20)
    assert (status.state, status.uncommitted) == ("failed", 1)
    assert said in status.detail
    assert status.next_commit_at is not None
    day.proxy.rules.clear()
    await day.home.write("c.md", "c\n")
    await day.minutes(15)
    await day.well("Add b.md and 1 more")


async def test_a_repository_that_is_renamed_is_followed(day: Day) -> None:
    await day.do(day.theirs.rename, f"{day.theirs.name}-renamed")
    await day.home.write("b.md", "b\n")
    await day.minutes(3)
    await day.well("Add b.md")
    remote = (await day.status()).remote
    assert remote is not None
    assert remote["repository"] == day.theirs.full_name


# The branch


async def test_a_branch_that_is_deleted_is_said_and_begun_again_only_when_told_to(day: Day) -> None:
    head = await day.do(day.theirs.head)
    await day.lose_branch()
    await day.home.write("b.md", "b\n")
    status = await day.minutes(10)
    assert status.state == "failed"
    assert "The branch main is gone" in status.detail
    assert "--branch main" in status.detail
    made = await day.commit(branch="main")
    assert (made.state, made.parent) == ("done", head)
    await day.well("Add b.md")


async def test_a_branch_that_somebody_puts_back_is_gone_on_with(day: Day) -> None:
    head = await day.do(day.theirs.head)
    await day.lose_branch()
    await day.home.write("b.md", "b\n")
    assert (await day.minutes(5)).state == "failed"
    body = {"ref": "refs/heads/main", "sha": head}
    await day.do(day.theirs.post, f"/repos/{day.theirs.full_name}/git/refs", body)
    await day.minutes(15)
    await day.well("Add b.md")


async def test_history_that_is_rewritten_is_merged_with_and_never_forced_back(day: Day) -> None:
    first = await day.do(day.theirs.head)
    await day.home.write("b.md", "b\n")
    await day.commit()
    day.clock.advance(61)
    await day.do(day.theirs.reset, first)
    theirs = await day.do(day.theirs.push, "theirs.md", b"theirs\n")
    await day.home.write("c.md", "c\n")
    await day.minutes(3)
    assert (await day.subjects())[1:] == ["Edit theirs.md", "Add a.md"]
    assert (await day.do(day.theirs.get, "/commits"))[1]["sha"] == theirs
    assert (await day.there()).keys() >= {"a.md", "c.md", "theirs.md"}
    assert await day.there() == await day.live()


async def test_a_protected_branch_gets_a_pull_request_and_what_it_merges_is_adopted(day: Day) -> None:
    protection = f"/repos/{day.theirs.full_name}/branches/main/protection"
    reviews = {"required_approving_review_count": 1}
    body = {
        "required_status_checks": None,
        "enforce_admins": True,
        "required_pull_request_reviews": reviews,
        "restrictions": None,
    }
    await day.do(day.theirs.request, "PUT", protection, body)
    await day.home.write("b.md", "b\n")
    status = await day.minutes(2)
    assert (status.state, status.uncommitted) == ("idle", 0)
    assert "1 file waits in pull request" in status.detail
    (waiting,) = status.pull_requests
    assert waiting.url.startswith("http")
    await day.home.write("c.md", "c\n")
    day.proxy.clear()
    await day.minutes(2)
    seen = day.proxy.clear()
    assert sum(each.startswith(("POST", "PATCH")) for each in seen) == 3, seen
    pulls = await day.do(day.theirs.get, "/pulls?state=all")
    assert [each["number"] for each in pulls] == [waiting.number]
    assert len(await day.subjects("quire/notes")) == 3
    # Somebody merges it while alice types on in the very file.
    await day.home.write("b.md", "b\nand more\n")
    await day.do(day.theirs.request, "DELETE", protection)
    merge = f"/repos/{day.theirs.full_name}/pulls/{waiting.number}/merge"
    await day.do(day.theirs.request, "PUT", merge, {"merge_method": "squash"})
    day.clock.advance(61)
    with anyio.fail_after(30):
        while len(await day.subjects()) < 3:
            await day.minutes(1)
    assert await conflicts.still_open(day.home.store, day.home.project.id) == []
    # The test server merges what the pull request began with; what it leaves out goes out once more.
    assert await day.subjects() == [
        "Edit b.md and 1 more",
        f"Merge pull request #{waiting.number} from alice:quire/notes",
        "Add a.md",
    ]
    assert await day.there() == await day.live() == {"a.md": "a\n", "b.md": "b\nand more\n", "c.md": "c\n"}
    status = await day.status()
    assert (status.state, status.detail, status.uncommitted) == ("idle", "", 0)


# Not now, and not this


@pytest.mark.parametrize("where", ["GET", "/git/trees$", "/git/commits$", "/git/refs"])
async def test_a_rate_limit_is_waited_for_and_is_no_failure(day: Day, where: str) -> None:
    ends = day.clock.now // 1000 + 3_000
    spent = fault.status(403, x_ratelimit_remaining="0", x_ratelimit_reset=str(ends))
    for method in EVERYTHING if where == "GET" else ("POST", "PATCH"):
        day.proxy.on(method, "" if where == "GET" else where, spent)
    await day.home.write("b.md", "b\n")
    await day.minutes(2)
    day.proxy.clear()
    status = await day.minutes(30)
    assert day.proxy.clear() == [], "nobody asks before it ends"
    assert (status.state, status.uncommitted) == ("idle", 1)
    assert "GitHub's rate limit is reached: edits go out when it ends. It ends at " in status.detail
    assert status.left is not None
    assert status.left.paused_until == status.next_commit_at == ends * 1000
    day.proxy.rules.clear()
    await day.minutes(25)
    await day.well("Add b.md")


async def test_a_file_that_push_protection_refuses_is_held_back_and_the_rest_goes(day: Day) -> None:
    async def guard(request: Request, forward: Forward) -> Reply:
        body = json.loads(request.body)
        texts = [each.get("content", "") for each in body.get("tree", [])]
        if body.get("encoding") == "base64":
            texts.append(base64.b64decode(body["content"]).decode())
        else:
            texts.append(body.get("content", ""))
        if any("AKIA" in text for text in texts):
            return fault.reply(409, {"message": "Repository rule violations found"})
        return await forward()

    refuse(day, guard, "/git/(trees|blobs)$", ("POST",))
    await day.home.write("b.md", "b\n")
    await day.home.write("keys.txt", "AKIA0000000000000000\n")
    status = await day.minutes(2)
    assert status.state == "failed"
    assert "keys.txt: GitHub found a secret in it: take it out, or allow it on GitHub" in status.detail
    assert await day.there() == {"a.md": "a\n", "b.md": "b\n"}
    await day.home.write("c.md", "c\n")
    await day.minutes(2)
    assert (await day.there()).keys() == {"a.md", "b.md", "c.md"}
    await day.home.write("keys.txt", "none any more\n")
    await day.minutes(2)
    await day.well("Add keys.txt", "Add c.md", "Add b.md")


async def test_an_answer_that_is_lost_makes_no_second_commit(day: Day) -> None:
    await day.home.write("b.md", "b\n")
    day.proxy.on("PATCH", "/git/refs/", fault.drop_answer)
    silent = day.proxy.on("GET", "/git/ref/", fault.drop, times=-1, skip=1)
    await day.minutes(2)
    silent.times = 0
    await day.minutes(15)
    await day.well("Add b.md")
