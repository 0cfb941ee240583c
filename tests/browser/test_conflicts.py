"""What others push, seen in the browser: in the text that is being typed in, and as conflicts that are looked at and decided."""

from __future__ import annotations

import pathlib
import re
from collections.abc import Callable, Iterator

import anyio
import anyio.to_thread
import httpx
import pytest
from playwright.async_api import Locator, Page, expect

from tests.browser.conftest import PATIENCE, Windows
from tests.browser.test_windows import file_on, says, shown, text_of
from tests.harness.server import ServerProcess
from tests.harness.until import until_awaited
from tests.snapshots.git import git

pytestmark = [pytest.mark.anyio, pytest.mark.xdist_group("browser")]

expect.set_options(timeout=PATIENCE)

LINES = [f"line {number}" for number in range(1, 31)]
DOC = "\n".join(LINES) + "\n"


@pytest.fixture(scope="module")
def looking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server that looks at its branches often, and commits when it is told to."""
    data = tmp_path_factory.mktemp("looking") / "data"
    with ServerProcess(data, environ={"QUIRE_POLL": "200ms", "QUIRE_COMMIT_QUIET": "1h"}) as server:
        yield server


class Notes:
    """A project that is committed, and bob's clone of it."""

    def __init__(self, server: ServerProcess, name: str, folder: pathlib.Path, **files: str | bytes) -> None:
        self.server, self.name = server, name
        self.folder = folder / "bob"
        self.api = httpx.Client(base_url=f"{server.url}/api/v1", headers=server.headers, timeout=30)
        self.api.post("/projects", json={"name": name}).raise_for_status()
        for path, content in files.items():
            self.put(path.replace("_", "."), content)
        self.api.post(f"/projects/{name}/snapshots").raise_for_status()
        place = self.api.get(f"/projects/{name}/status").json()["remote"]["clone"].split()[-1]
        git(folder, "clone", "--quiet", place, "bob")

    def put(self, path: str, content: str | bytes) -> None:
        data = content.encode() if isinstance(content, str) else content
        self.api.put(f"/projects/{self.name}/files/{path}?force", content=data).raise_for_status()

    async def push(self, **files: str | bytes | None) -> None:
        for path, content in files.items():
            place = self.folder / path.replace("_", ".")
            if content is None:
                place.unlink()
            else:
                place.write_bytes(content.encode() if isinstance(content, str) else content)
        await anyio.to_thread.run_sync(self._push)

    def _push(self) -> None:
        git(self.folder, "add", "--all")
        git(self.folder, "commit", "--quiet", "-m", "edit", "--author=Bob <bob@example.org>")
        git(self.folder, "push", "--quiet")

    @property
    def at(self) -> str:
        return f"{self.server.url}/p/{self.name}"

    def conflicts(self, state: str = "open") -> list[dict[str, str]]:
        found = self.api.get(f"/projects/{self.name}/conflicts?state={state}").raise_for_status().json()
        listed: list[dict[str, str]] = found["conflicts"]
        return listed


Make = Callable[..., Notes]


@pytest.fixture
def make(looking: ServerProcess, tmp_path: pathlib.Path) -> Iterator[Make]:
    made: list[Notes] = []

    def make(name: str, **files: str | bytes) -> Notes:
        made.append(Notes(looking, name, tmp_path, **files))
        return made[-1]

    yield make
    for notes in made:
        notes.api.close()


def hunk(page: Page, number: int) -> Locator:
    return page.get_by_label(re.compile(f"^Hunk {number} of"))


def merged(page: Page) -> Locator:
    return page.get_by_label(re.compile("^Merged text of"))


async def test_a_push_comes_into_the_text_that_somebody_types_in(
    windows: Windows, looking: ServerProcess, make: Make
) -> None:
    notes = make("pushed", a_md=DOC)
    alice = await windows.owner(looking)
    await alice.goto(f"{notes.at}/a.md")
    await expect(says(alice, "Saved")).to_be_visible()
    await text_of(alice).get_by_text("line 15", exact=True).click()
    await alice.keyboard.press("End")
    theirs = DOC.replace("line 3\n", "line 3, by bob\n").replace("line 28\n", "line 28, by bob\n")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(alice.keyboard.type, " and alice types while bob pushes, on and on and on")
        await notes.push(a_md="first, by bob\n" + theirs)
    await expect(text_of(alice)).to_contain_text("first, by bob")
    await expect(alice.get_by_text("Bob pushed: 1 file changed here.")).to_be_visible()
    typed = "line 15 and alice types while bob pushes, on and on and on"
    assert await shown(alice) == "first, by bob\n" + theirs.replace("line 15", typed)
    # The cursor is where it was, and what is selected stays selected through one more push.
    await alice.keyboard.type(", still here")
    await alice.keyboard.press("Control+Shift+ArrowLeft")
    await notes.push(a_md="zeroth, by bob\nfirst, by bob\n" + theirs)
    await expect(text_of(alice)).to_contain_text("zeroth, by bob")
    assert await alice.evaluate("getSelection().toString()") == "here"
    await alice.keyboard.type("there")
    await expect(text_of(alice)).to_contain_text(f"{typed}, still there")
    # Undo takes back what alice typed, all of it, and nothing of what bob did.
    for _ in range(40):
        if "alice" not in await shown(alice) and "still" not in await shown(alice):
            break
        await alice.keyboard.press("ControlOrMeta+z")
    assert await shown(alice) == "zeroth, by bob\nfirst, by bob\n" + theirs
    await expect(says(alice, "Saved")).to_be_visible()
    assert file_on(looking, "pushed", "a.md") == await shown(alice)


async def test_a_conflict_is_shown_and_decided_hunk_by_hunk_while_somebody_types(
    windows: Windows, looking: ServerProcess, make: Make
) -> None:
    notes = make("hunks", a_md=DOC, b_md="b\n")
    alice = await windows.owner(looking)
    await alice.goto(f"{notes.at}/a.md")
    await expect(says(alice, "Saved")).to_be_visible()
    ours = DOC.replace("line 5\n", "line 5, by alice\n").replace("line 15\n", "line 15, by alice\n")
    notes.put("a.md", ours.replace("line 25\n", "line 25, by alice\n"))
    notes.put("b.md", "b, by alice\n")
    theirs = DOC.replace("line 5\n", "line 5, by bob\n").replace("line 15\n", "line 15, by bob\n")
    await notes.push(
        a_md=theirs.replace("line 25\n", "line 25, by bob\n").replace("line 29\n", "line 29, by bob\n"),
        b_md="b, by bob\n",
    )
    notice = alice.get_by_role("status").filter(
        has_text=re.compile(r"^\s*a\.md is in conflict with what was pushed by Bob in commit [0-9a-f]{10}")
    )
    await expect(notice).to_be_visible()
    await expect(
        alice.get_by_role("status").filter(has_text="1 other file is in conflict with what was pushed: b.md.")
    ).to_be_visible()

    await notice.get_by_role("link", name="Resolve").click()
    await expect(merged(alice)).to_contain_text("line 29, by bob")
    await expect(alice.get_by_text("0 of 3 hunks decided.")).to_be_visible()
    resolve = alice.get_by_role("button", name="Resolve", exact=True)
    await expect(resolve).to_be_disabled()
    for key in ("n", "2", "n", "3"):
        await alice.keyboard.press(key)
    await expect(hunk(alice, 2)).to_be_focused()
    await expect(hunk(alice, 1)).to_have_attribute("aria-label", "Hunk 1 of 3, line 5: theirs")
    await expect(hunk(alice, 2)).to_have_attribute("aria-label", "Hunk 2 of 3, line 15: both")
    await alice.keyboard.press("n")
    await alice.keyboard.press("e")
    await alice.keyboard.type("by hand, and ", delay=2)
    await expect(alice.get_by_text("All 3 hunks decided.")).to_be_visible()
    await expect(merged(alice)).to_contain_text("by hand, and line 25, by alice")

    # Somebody types elsewhere: it is merged in. In a hunk that is decided: that one is asked again.
    carol = await windows.guest(looking, "hunks", "Carol")
    await carol.goto(f"{notes.at}/a.md")
    await text_of(carol).get_by_text("line 20", exact=True).click()
    await carol.keyboard.press("End")
    await carol.keyboard.type(", by carol", delay=2)
    await expect(merged(alice)).to_contain_text("line 20, by carol")
    await expect(alice.get_by_role("alert")).to_contain_text(
        "Carol changed this file meanwhile; that is merged into what you see."
    )
    await expect(merged(alice)).to_contain_text("by hand, and line 25, by alice")
    await text_of(carol).get_by_text("line 15, by alice", exact=True).click()
    await carol.keyboard.press("End")
    await carol.keyboard.type(" and carol", delay=2)
    await expect(alice.get_by_role("alert")).to_contain_text("hunk 2 has to be decided again")
    await expect(resolve).to_be_disabled()
    await hunk(alice, 2).get_by_role("radio", name="Ours").check(force=True)
    await resolve.click()
    await expect(alice.get_by_text("Owner merged it by hand")).to_be_visible()
    decided = (
        DOC.replace("line 5\n", "line 5, by bob\n")
        .replace("line 15\n", "line 15, by alice and carol\n")
        .replace("line 20\n", "line 20, by carol\n")
        .replace("line 25\n", "by hand, and line 25, by alice\n")
        .replace("line 29\n", "line 29, by bob\n")
    )
    assert file_on(looking, "hunks", "a.md") == decided
    await expect(carol.get_by_text("a.md is in conflict with")).to_have_count(0)
    await expect(
        carol.get_by_role("status").filter(has_text="1 file is in conflict with what was pushed: b.md.")
    ).to_be_visible()
    notes.api.post("/projects/hunks/snapshots").raise_for_status()
    assert git(looking.data / "git" / "hunks.git", "show", "main:a.md") + "\n" == decided


async def test_somebody_else_decides_first(windows: Windows, looking: ServerProcess, make: Make) -> None:
    notes = make("first", a_md="one\n")
    notes.put("a.md", "alice\n")
    await notes.push(a_md="bob\n")
    alice = await windows.owner(looking)
    await alice.goto(f"{notes.at}/-/conflicts")
    await alice.get_by_role("link", name="Resolve a.md").click()
    await expect(merged(alice)).to_contain_text("alice")
    (found,) = notes.conflicts()
    notes.api.post(f"/projects/first/conflicts/{found['id']}", json={"take": "theirs"}).raise_for_status()
    await expect(alice.get_by_text("took theirs, just now")).to_be_visible()

    # What lost is brought back; where that would take something with it, it asks.
    await alice.get_by_role("button", name="Bring back ours").click()
    await expect(alice.get_by_text("Since then ours was brought back.")).to_be_visible()
    assert file_on(looking, "first", "a.md") == "alice\n"
    notes.put("a.md", "somebody else\n")
    await alice.get_by_role("button", name="Bring back theirs").click()
    await alice.get_by_role("dialog").get_by_role("button", name="Bring the whole file back").click()
    await expect(alice.get_by_text("Since then theirs was brought back.")).to_be_visible()
    assert file_on(looking, "first", "a.md") == "bob\n"


async def test_what_has_no_lines_is_shown_side_by_side(windows: Windows, looking: ServerProcess, make: Make) -> None:
    notes = make("whole", a_md="one\n", b_bin=b"\xff\x00")
    notes.put("a.md", "alice\n")
    notes.put("b.bin", b"\xff\x01")
    await notes.push(a_md=None, b_bin=b"\xff\x02")
    alice = await windows.owner(looking)
    await alice.goto(f"{notes.at}/-/conflicts")
    await expect(alice.get_by_text("Bob deleted it in git; it was changed here.")).to_be_visible()
    await alice.get_by_role("link", name="Resolve a.md").click()
    await expect(alice.get_by_label("Theirs, as it was pushed")).to_contain_text("Deleted.")
    await expect(alice.get_by_label("Ours, as it is here")).to_contain_text("alice")
    await alice.get_by_role("button", name="Delete it").click()
    await expect(alice.get_by_text("Owner took theirs")).to_be_visible()
    await alice.get_by_role("button", name="All conflicts").click()
    await alice.get_by_role("link", name="Resolve b.bin").click()
    await alice.get_by_role("button", name="Keep ours").click()
    await expect(alice.get_by_text("Owner kept ours")).to_be_visible()
    assert notes.conflicts() == []
    assert [row["path"] for row in notes.api.get("/projects/whole/files").json()] == ["b.bin"]


async def test_rules_are_written_in_the_page_and_decide(windows: Windows, looking: ServerProcess, make: Make) -> None:
    notes = make("rules", a_md="one\n", b_md="one\n")
    alice = await windows.owner(looking)
    await alice.goto(f"{notes.at}/-/conflicts")
    await expect(alice.get_by_text("No conflicts: what is written here")).to_be_visible()
    for number, pattern in enumerate(("*.md", "a.md"), start=1):
        await alice.get_by_role("button", name="Add a rule").click()
        await alice.get_by_label(f"Pattern of rule {number}").fill(pattern)
    await alice.get_by_label("What rule 2 decides").select_option("ours wins")
    await alice.get_by_role("button", name="Move rule 2 up").click()
    await alice.get_by_role("button", name="Save rules").click()
    await expect(alice.get_by_text("The rules hold for conflicts")).to_be_visible()
    rules = [{"pattern": "a.md", "policy": "ours"}, {"pattern": "*.md", "policy": "theirs"}]
    assert notes.api.get("/projects/rules/policies").json() == {"policies": rules}
    notes.put("a.md", "alice\n")
    notes.put("b.md", "alice\n")
    await notes.push(a_md="bob\n", b_md="bob\n")

    async def decided() -> bool:
        return len(await anyio.to_thread.run_sync(notes.conflicts, "ended")) == 2

    await until_awaited(decided, "both conflicts are decided by rules")
    assert (file_on(looking, "rules", "a.md"), file_on(looking, "rules", "b.md")) == ("alice\n", "bob\n")
    await alice.get_by_text("Ended", exact=True).click()
    await expect(alice.get_by_text("Quire kept ours, just now.")).to_be_visible()
    await expect(alice.get_by_text("Quire took theirs, just now.")).to_be_visible()
