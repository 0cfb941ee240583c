"""A small project to try things on: what "start with an example" makes."""

from __future__ import annotations

from typing import Final

from collab.actors import Actor
from collab.ids import Path
from collab.store.base import Project
from web.services import Services

FILES: Final = {
    "README.md": """\
# Welcome to Quire

Everything here is live: open this file in two windows, and type in both.

- **Saved** means that your last keystroke is on the server's disk.
- **Commit now** makes a git commit of what has changed; otherwise one is made when you pause.
- An invitation link (top right) brings a second person in.

Try this next:

1. Change the greeting in `hello.py`.
2. Rename `notes/ideas.md` while somebody has it open. Their cursor stays where it is.
3. Clone the project with git, and look at its log.

Letters of every kind are at home: Grüße, 你好, שלום, 🖋️.
""",
    "hello.py": '''\
"""Says hello, to whoever is here."""


def greeting(names: list[str]) -> str:
    if not names:
        return "Is anybody here?"
    *others, last = names
    return f"Hello {', '.join(others)} and {last}!" if others else f"Hello {last}!"


if __name__ == "__main__":
    print(greeting(["Alice", "Bob"]))
''',
    "notes/ideas.md": """\
# Ideas

- [ ] Write together, for once without sending files around
- [ ] Let an agent fix the typos, and look at what it did
- [x] Open this file
""",
    "notes/2024/meeting.md": """\
# Minutes

| Who | What | Until |
|---|---|---|
| Alice | outline | Monday |
| Bob | first draft | Thursday |
""",
}


async def fill(services: Services, project: Project, actor: Actor) -> None:
    for path, text in FILES.items():
        await services.workspace.write(project, Path(path), text.encode(), actor.id, create_only=True)
