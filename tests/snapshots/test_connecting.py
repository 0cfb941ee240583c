"""A project is connected to another repository, branch or part of one: nothing is lost on either side."""

from __future__ import annotations

import pathlib
from collections.abc import AsyncIterator, Mapping

import pytest

from collab.errors import Conflict
from collab.ids import Path
from snapshots import connection as connections
from snapshots.comparison import Comparison, compare
from snapshots.connecting import Asker, Connected, Take
from snapshots.places import Wanted
from snapshots.scope import Scope
from tests.snapshots.git import commit_all, git
from tests.snapshots.house import ALICE, BOB, House, house

pytestmark = pytest.mark.anyio

ROOT = Asker(ALICE, root=True)
ADMIN = Asker(BOB)


@pytest.fixture
async def home(tmp_path: pathlib.Path) -> AsyncIterator[House]:
    async with house(tmp_path) as made:
        yield made


def bare(folder: pathlib.Path, files: dict[str, str] | None = None, *, branch: str = "main") -> pathlib.Path:
    """A bare repository, with one commit when there are files."""
    path = folder / "theirs.git"
    if not path.exists():
        path.mkdir()
        git(path, "init", "--quiet", "--bare", f"--initial-branch={branch}")
    if files:
        push(path, files, branch=branch)
    return path


def push(path: pathlib.Path, files: Mapping[str, str | None], *, branch: str = "main", onto: str | None = None) -> str:
    """Somebody commits these files (None: without it) to a branch, begun where `onto` stands."""
    work = path.parent / f"work-{branch}"
    if not work.exists():
        git(path.parent, "clone", "--quiet", str(path), work.name)
        git(work, "checkout", "--quiet", "-B", branch, *([f"origin/{onto}"] if onto else []))
    else:
        git(work, "pull", "--quiet", "--rebase", "origin", branch)
    for name, content in files.items():
        if content is None:
            (work / name).unlink()
        else:
            (work / name).parent.mkdir(parents=True, exist_ok=True)
            (work / name).write_text(content)
    commit = commit_all(work)
    git(work, "push", "--quiet", "origin", f"HEAD:{branch}")
    return commit


def held(path: pathlib.Path, branch: str = "main") -> dict[str, str]:
    """What a branch holds."""
    names = git(path, "ls-tree", "-r", "--name-only", branch).split("\n")
    return {name: git(path, "show", f"{branch}:{name}") for name in names if name}


def to(path: pathlib.Path | str, branch: str | None = None, scope: Scope | None = None) -> Wanted:
    return Wanted(kind="git", repository=str(path), branch=branch, scope=scope or Scope())


async def connect(home: House, wanted: Wanted, take: Take | None = None, asker: Asker = ROOT) -> Connected:
    return await home.connecting.connect(home.project, wanted, take, asker)


async def write(home: House, **files: str) -> None:
    for name, content in files.items():
        await home.write(name.replace("__", "/").replace("_md", ".md"), content)


async def documents(home: House) -> dict[str, str]:
    return {row.path: row.id for row in (await home.workspace.tree(home.project)).rows}


async def text(home: House) -> dict[str, str]:
    return {path: content.decode() for path, content in (await home.files()).items()}


async def committed(home: House) -> str:
    made = await home.snapshotter.snapshot(home.project)
    assert made.state in ("done", "nothing"), made.detail
    return made.state


async def uncommitted(home: House) -> dict[str, str]:
    return {each.path: each.change for each in await home.workspace.changed(home.project)}


# -- what is compared


def test_every_path_is_in_one_list() -> None:
    assert compare({}, {}) == Comparison()


async def test_a_preview_says_what_is_where_and_changes_nothing(home: House, tmp_path: pathlib.Path) -> None:
    path = bare(tmp_path, {"same.md": "same\n", "other.md": "theirs\n", "there.md": "there\n"})
    await write(home, same_md="same\n", other_md="ours\n", here_md="here\n")
    before = await documents(home)
    found = await home.connecting.preview(home.project, to(path), ROOT)
    assert found.compared == Comparison(("here.md",), ("there.md",), ("same.md",), ("other.md",))  # type: ignore[arg-type]
    assert (found.choice, found.uncommitted, found.begins) == (True, 3, False)
    assert await documents(home) == before
    assert await connections.connection(home.store, home.project.id) is None
    assert git(path, "rev-list", "--count", "main") == "1"


# -- nothing to choose


async def test_an_empty_repository_is_filled_by_the_next_commit(home: House, tmp_path: pathlib.Path) -> None:
    path = bare(tmp_path)
    await write(home, a_md="a\n", docs__b_md="b\n")
    done = await connect(home, to(path))
    assert done.pulled.state == "nothing"
    assert await committed(home) == "done"
    assert held(path) == {"a.md": "a", "docs/b.md": "b"}


async def test_an_empty_project_is_filled_by_what_is_there(home: House, tmp_path: pathlib.Path) -> None:
    path = bare(tmp_path, {"a.md": "a\n", "docs/b.md": "b\n"})
    done = await connect(home, to(path))
    assert (done.pulled.state, done.pulled.merged) == ("done", ("a.md", "docs/b.md"))
    assert await text(home) == {"a.md": "a\n", "docs/b.md": "b\n"}
    assert await committed(home) == "nothing"


async def test_the_same_files_on_both_sides_are_the_same_files(home: House, tmp_path: pathlib.Path) -> None:
    path = bare(tmp_path, {"a.md": "a\n"})
    await write(home, a_md="a\n")
    before = await documents(home)
    done = await connect(home, to(path))
    assert done.pulled.state == "nothing"
    assert (await documents(home), await uncommitted(home)) == (before, {})
    await write(home, a_md="a\nmore\n")
    assert await committed(home) == "done"
    assert git(path, "rev-list", "--count", "main") == "2"


# -- something to choose


async def test_without_a_choice_nothing_is_done(home: House, tmp_path: pathlib.Path) -> None:
    path = bare(tmp_path, {"a.md": "theirs\n"})
    await write(home, a_md="ours\n")
    with pytest.raises(Conflict, match="theirs, ours or merge") as caught:
        await connect(home, to(path))
    assert caught.value.name == "take_needed"
    assert await text(home) == {"a.md": "ours\n"}
    assert await connections.connection(home.store, home.project.id) is None


async def test_theirs_makes_the_project_what_the_branch_is(home: House, tmp_path: pathlib.Path) -> None:
    path = bare(tmp_path, {"same.md": "same\n", "other.md": "theirs\n", "there.md": "there\n"})
    await write(home, same_md="same\n", other_md="ours\n", here_md="here\n")
    before = await documents(home)
    done = await connect(home, to(path), "theirs")
    assert done.pulled.state == "done"
    assert await text(home) == {"same.md": "same\n", "other.md": "theirs\n", "there.md": "there\n"}
    after = await documents(home)
    assert (after["same.md"], after["other.md"]) == (before["same.md"], before["other.md"])
    assert await uncommitted(home) == {}
    assert await committed(home) == "nothing"
    back = await home.workspace.undelete(home.project, Path("here.md"), None, ALICE)
    assert back.id == before["here.md"]
    assert (await text(home))["here.md"] == "here\n"


async def test_ours_makes_the_branch_what_the_project_is_with_the_next_commit(
    home: House, tmp_path: pathlib.Path
) -> None:
    path = bare(tmp_path, {"same.md": "same\n", "other.md": "theirs\n", "there.md": "there\n"})
    first = git(path, "rev-parse", "main")
    await write(home, same_md="same\n", other_md="ours\n", here_md="here\n")
    done = await connect(home, to(path), "ours")
    assert (done.pulled.state, git(path, "rev-parse", "main")) == ("nothing", first)
    assert await text(home) == {"same.md": "same\n", "other.md": "ours\n", "here.md": "here\n"}
    assert await uncommitted(home) == {"here.md": "added", "other.md": "modified", "there.md": "deleted"}
    assert await committed(home) == "done"
    assert held(path) == {"same.md": "same", "other.md": "ours", "here.md": "here"}
    assert git(path, "rev-parse", "main~1") == first
    back = await home.workspace.undelete(home.project, Path("there.md"), None, ALICE)
    assert (await home.workspace.read(home.project, back.path)).content == b"there\n"


async def test_what_ours_would_overwrite_can_be_kept_before_it_is(home: House, tmp_path: pathlib.Path) -> None:
    path = bare(tmp_path, {"other.md": "theirs\n", "there.md": "there\n"})
    await write(home, other_md="ours\n")
    await connect(home, to(path), "ours")
    for name in ("other.md", "there.md"):
        await home.workspace.discard(home.project, Path(name), ALICE)
    assert await text(home) == {"other.md": "theirs\n", "there.md": "there\n"}
    assert await committed(home) == "nothing"


async def test_merge_keeps_both_and_what_differs_is_in_conflict(home: House, tmp_path: pathlib.Path) -> None:
    path = bare(tmp_path, {"same.md": "same\n", "other.md": "theirs\n", "there.md": "there\n"})
    await write(home, same_md="same\n", other_md="ours\n", here_md="here\n")
    done = await connect(home, to(path), "merge")
    assert done.pulled.state == "conflicts"
    [conflict] = await home.snapshotter.settling.conflicts(home.project)
    assert (conflict.path, conflict.kind) == ("other.md", "add/add")
    assert await text(home) == {
        "same.md": "same\n", "other.md": "ours\n", "there.md": "there\n", "here.md": "here\n",
    }  # fmt: skip
    assert await committed(home) == "done"
    assert held(path) == {"same.md": "same", "other.md": "theirs", "there.md": "there", "here.md": "here"}
    await home.snapshotter.settle(home.project, conflict.id, actor=ALICE, take="ours")
    assert await committed(home) == "done"
    assert held(path)["other.md"] == "ours"
