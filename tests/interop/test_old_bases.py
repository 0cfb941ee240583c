"""One agent edits again and again against one old base, also after undo and after the server was killed; a stock Yjs peer
in Node looks on. Whatever was accepted is there, once; whatever was refused is not."""

from __future__ import annotations

import pathlib
import random

import httpx
import pytest

from tests.harness.node import stock_peers
from tests.harness.server import ServerProcess

pytestmark = [pytest.mark.anyio, pytest.mark.xdist_group("interop")]

LINES = 900
EDITS = 200


class Agent:
    """What it was promised stands in `lines`."""

    def __init__(self, api: httpx.AsyncClient, path: str, base: str, lines: list[str]) -> None:
        self.api, self.path, self.base = api, path, base
        self.before = list(lines)
        self.lines = list(lines)
        self.turns: dict[str, int] = {}
        self.chance = random.Random(7)
        self.refused = 0

    async def edit(self) -> None:
        at = self.chance.randrange(LINES)
        new = f"{self.before[at]} {self.chance.random():.6f}"
        body = {"base": self.base, "edits": [{"old": self.before[at] + "\n", "new": new + "\n"}]}
        answered = await self.api.patch(self.path, json=body)
        if answered.status_code == 409:
            near = range(max(at - 1, 0), min(at + 2, LINES))
            assert any(self.lines[n] != self.before[n] for n in near), "refused, though nobody had changed these lines"
            self.refused += 1
            return
        turn = answered.raise_for_status().json()
        assert self.lines[at] == self.before[at], "accepted over what stood there"
        self.lines[at] = new
        self.turns[turn["turn"]] = at

    async def undo(self, project: str, count: int) -> None:
        for turn in self.chance.sample(sorted(self.turns), count):
            at = self.turns.pop(turn)
            (await self.api.post(f"/projects/{project}/turns/{turn}/undo")).raise_for_status()
            self.lines[at] = self.before[at]

    @property
    def promised(self) -> str:
        return "".join(f"{line}\n" for line in self.lines)


async def test_what_was_accepted_against_an_old_base_is_there_once_whatever_happens(tmp_path: pathlib.Path) -> None:
    lines = [f"line {n} of the file" for n in range(LINES)]
    with ServerProcess(tmp_path / "data") as server:
        async with (
            stock_peers() as stock,
            httpx.AsyncClient(base_url=f"{server.url}/api/v1", headers=server.headers, timeout=30) as api,
        ):
            (await api.post("/projects", json={"name": "notes"})).raise_for_status()
            made = await api.put("/projects/notes/files/a.md", content="".join(f"{line}\n" for line in lines))
            agent = Agent(api, "/projects/notes/files/a.md", made.raise_for_status().json()["sha"], lines)
            await stock.join("alice", server, "notes/a.md")

            async def everybody_holds_it() -> None:
                assert (await api.get(agent.path)).text == agent.promised
                await stock.do("is", "alice", text=agent.promised)

            for round_ in range(3):
                for _ in range(EDITS):
                    await agent.edit()
                await everybody_holds_it()
                await agent.undo("notes", 40)
                await everybody_holds_it()
                if round_ < 2:
                    server.kill()
                    server.restart()
                    await everybody_holds_it()
            assert agent.refused > 0
