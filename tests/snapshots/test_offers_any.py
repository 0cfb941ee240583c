"""Any order of edits, pushes, rounds and buttons pressed on a host whose branch is protected: a pull request that git can
merge always makes exactly what is live, no commit of ours is on the branch before that, and no word is lost or doubled."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collab import conflicts
from collab.errors import Conflict
from collab.ids import Path
from tests.harness.hosting import Host, How, there
from tests.snapshots.house import ALICE, House, house

pytestmark = pytest.mark.anyio

NAMES: Final = ("a.md", "b.md", "docs/c.md")
TEXT: Final = "".join(f"line {number}\n\n\n\n" for number in range(6))

WORD: Final = re.compile(r"(?:ours|theirs)-\d+")

actions = st.one_of(
    st.tuples(st.sampled_from(["type", "push"]), st.sampled_from(NAMES), st.integers(0, 23)),
    st.tuples(st.sampled_from(["round", "round", "by hand", "pull"]), st.just(""), st.just(0)),
    st.tuples(st.sampled_from(["merge", "squash", "rebase", "update", "close", "free"]), st.just(""), st.just(0)),
    st.tuples(st.sampled_from(["new", "take back"]), st.sampled_from(NAMES), st.integers(0, 23)),
)


@dataclass
class Scene:
    home: House
    host: Host
    written: Counter[str] = field(default_factory=Counter)
    """Every word that somebody wrote and nobody took out."""
    taken_back: set[str] = field(default_factory=set)
    """Words that whoever keeps both sides of a conflict may have brought back."""
    count: int = 0

    def word(self, whose: str) -> str:
        self.count += 1
        self.written[f"{whose}-{self.count}"] += 1
        return f"{whose}-{self.count}"

    async def do(self, action: str, name: str, at: int) -> None:
        match action:
            case "type":
                files = await self.home.files()
                await self.home.write(name, _with(files[Path(name)].decode(), self.word("ours"), at))
            case "new":
                await self.home.write(f"new/{self.count}.md", f"{self.word('ours')}\n")
            case "take back":
                await self._take_back(name)
            case "push":
                there = self.host.files("main")[name]
                self.host.push({name: _with(there, self.word("theirs"), at)})
            case "round":
                await self.home.snapshotter._automatic(self.home.project)
            case "by hand":
                await self.home.snapshotter.snapshot(self.home.project)
            case "pull":
                await self.home.snapshotter.pull(self.home.project)
            case _:
                self._press(action)

    def _press(self, button: str) -> None:
        for pull in self.host.open:
            if button == "close":
                pull.state = "closed"
            elif button == "update":
                self.host.update(pull)
            elif button == "free":
                self.host.protected = {"main"} - self.host.protected
            else:
                self.host.merge(pull, button)  # type: ignore[arg-type]

    async def _take_back(self, name: str) -> None:
        """Our newest word there is taken out again."""
        text = (await self.home.files())[Path(name)].decode()
        mine = [word for word in WORD.findall(text) if word.startswith("ours")]
        if mine:
            newest = max(mine, key=lambda word: int(word.partition("-")[2]))
            await self.home.write(name, text.replace(f"{newest}\n", "", 1))
            del self.written[newest]
            self.taken_back.add(newest)

    async def decide(self) -> None:
        """Both sides of every conflict stay, one after the other."""
        for each in await conflicts.still_open(self.home.store, self.home.project.id):
            try:
                await self.home.snapshotter.settle(self.home.project, each.id, actor=ALICE, take="both")
            except Conflict:
                await self.home.snapshotter.settle(self.home.project, each.id, actor=ALICE, take="ours")

    async def check(self) -> None:
        """After a round, with nothing in conflict."""
        if await conflicts.still_open(self.home.store, self.home.project.id):
            return
        live = {str(path): content.decode() for path, content in (await self.home.files()).items()}
        found = Counter(word for text in live.values() for word in WORD.findall(text))
        assert max(found.values(), default=1) == 1, "a word is there twice"
        assert found.keys() - self.taken_back == self.written.keys()
        if self.host.open and await self.home.workspace.changed(self.home.project):
            assert self.host.preview(self.host.open[-1]) == live


def _with(text: str, word: str, at: int) -> str:
    """A line of its own somewhere: where somebody else puts one at the same time, they are in conflict."""
    lines = text.split("\n")
    lines.insert(min(at, len(lines) - 1), word)
    return "\n".join(lines)


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(actions, min_size=3, max_size=16), st.sampled_from(["merge", "squash", "rebase"]))
async def test_any_order_ends_with_one_text_and_every_word_once(
    tmp_path_factory: pytest.TempPathFactory, todo: list[tuple[str, str, int]], how: How
) -> None:
    tmp_path = tmp_path_factory.mktemp("any")
    host = Host(tmp_path / "host" / "notes.git")
    async with house(tmp_path, remotes_of=there(host)) as home:
        scene = Scene(home, host)
        for name in NAMES:
            await home.write(name, TEXT)
        await home.snapshotter.snapshot(home.project)
        host.protected.add("main")
        for action, name, at in todo:
            before = host.head("main")
            await scene.do(action, name, at)
            if action in ("round", "by hand"):
                if host.protected:
                    assert host.head("main") == before, "nothing but a button moves it"
                await scene.check()
        for _ in range(4):
            await home.snapshotter.pull(home.project)
            await scene.decide()
            await home.snapshotter.snapshot(home.project)
            await scene.check()
            for pull in host.open[-1:]:
                assert host.merge(pull, how) or host.merge(pull, "merge")
        await home.snapshotter.pull(home.project)
        assert await home.workspace.changed(home.project) == []
        assert await conflicts.still_open(home.store, home.project.id) == []
        assert host.files("main") == {path: content.decode() for path, content in (await home.files()).items()}
        await scene.check()
