"""A project is connected to another repository, branch or part of one: nothing is lost on either side."""

from __future__ import annotations

import contextlib
import pathlib
import shutil
from collections.abc import AsyncIterator, Mapping

import pytest

from collab.errors import Conflict, Forbidden, Invalid, NotFound, QuireError, Unavailable
from collab.ids import Path, Position
from snapshots import connection as connections
from snapshots.comparison import Comparison, compare
from snapshots.connecting import LEFT, Asker, Connected, Take
from snapshots.places import Wanted
from snapshots.remotes.local import LocalRemotes
from snapshots.remotes.refusals import RemoteForbidden, RemoteGone
from snapshots.scope import Scope
from tests.snapshots.git import commit_all, git, new_repository
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


# -- branches


async def test_another_branch_and_back_brings_the_same_documents_with_their_history(
    home: House, tmp_path: pathlib.Path
) -> None:
    path = bare(tmp_path, {"both.md": "both\n", "only-main.md": "main\n"})
    push(path, {"only-main.md": None, "only-draft.md": "draft\n"}, branch="draft", onto="main")
    await connect(home, to(path))
    on_main = await documents(home)
    await home.write("only-main.md", "main\nedited\n", BOB)
    assert await committed(home) == "done"
    await connect(home, to(path, "draft"), "theirs")
    assert await text(home) == {"both.md": "both\n", "only-draft.md": "draft\n"}
    on_draft = await documents(home)
    assert on_draft["both.md"] == on_main["both.md"]
    assert await uncommitted(home) == {}
    await connect(home, to(path, "main"), "theirs")
    assert await text(home) == {"both.md": "both\n", "only-main.md": "main\nedited\n"}
    assert await documents(home) == on_main
    assert await committed(home) == "nothing"
    await connect(home, to(path, "draft"), "theirs")
    assert await documents(home) == on_draft
    await connect(home, to(path, "main"), "theirs")
    row = await home.workspace.resolve(home.project, Path("only-main.md"))
    assert BOB in await home.store.actors(row.id, Position(0), row.head)


async def test_a_file_like_another_one_is_not_taken_for_it_when_the_branch_changes(
    home: House, tmp_path: pathlib.Path
) -> None:
    """As after a rename; but a branch is no later state of the other."""
    text_ = "".join(f"line {n}\n" for n in range(30))
    path = bare(tmp_path, {"old.md": text_})
    push(path, {"old.md": None, "new.md": text_ + "more\n"}, branch="draft", onto="main")
    await connect(home, to(path))
    before = await documents(home)
    await connect(home, to(path, "draft"), "theirs")
    assert (await documents(home))["new.md"] != before["old.md"]
    await connect(home, to(path, "main"), "theirs")
    assert await documents(home) == before


async def test_a_file_that_somebody_deleted_comes_back_from_the_branch_that_has_it(
    home: House, tmp_path: pathlib.Path
) -> None:
    path = bare(tmp_path, {"a.md": "a\n", "b.md": "b\n"})
    push(path, {"c.md": "c\n"}, branch="draft", onto="main")
    await connect(home, to(path))
    before = await documents(home)
    await home.workspace.delete(home.project, Path("a.md"), ALICE)
    await committed(home)
    await connect(home, to(path, "draft"), "theirs")
    assert (await documents(home))["a.md"] == before["a.md"]


async def test_a_branch_that_is_not_there_begins_where_the_present_one_stands(
    home: House, tmp_path: pathlib.Path
) -> None:
    path = bare(tmp_path, {"a.md": "a\n"})
    await connect(home, to(path))
    await home.write("a.md", "a\nedited\n")
    found = await home.connecting.preview(home.project, to(path, "draft"), ROOT)
    assert (found.begins, found.choice) == (True, False)
    assert "draft" not in git(path, "branch", "--list", "draft")
    await connect(home, to(path, "draft"))
    assert git(path, "rev-parse", "draft") == git(path, "rev-parse", "main")
    assert await uncommitted(home) == {"a.md": "modified"}
    assert await committed(home) == "done"
    assert (held(path, "draft"), held(path)) == ({"a.md": "a\nedited"}, {"a.md": "a"})


async def test_a_branch_that_is_not_there_is_refused_where_it_could_not_begin(
    home: House, tmp_path: pathlib.Path
) -> None:
    path = bare(tmp_path, {"a.md": "a\n"})
    with pytest.raises(NotFound, match="no branch draft") as caught:
        await connect(home, to(path, "draft"))
    assert caught.value.name == "branch_gone"
    assert "its own is main" in caught.value.message
    assert await connections.connection(home.store, home.project.id) is None


async def test_a_branch_of_the_projects_own_repository(home: House) -> None:
    await write(home, a_md="a\n")
    await committed(home)
    done = await connect(home, to("", "draft"), asker=ADMIN)
    assert done.connection is not None
    await write(home, a_md="a\nmore\n")
    assert await committed(home) == "done"
    assert (held(home.repository, "draft"), held(home.repository)) == ({"a.md": "a\nmore"}, {"a.md": "a"})
    assert (await connect(home, to("", "main"), "theirs", ADMIN)).connection is None
    assert await text(home) == {"a.md": "a\n"}


async def test_the_projects_own_repository_is_found_after_the_project_was_renamed(home: House) -> None:
    await write(home, a_md="a\n")
    await committed(home)
    await connect(home, to("", "draft"), asker=ADMIN)
    home.project = await home.workspace.rename_project("notes", "papers", ALICE)
    await write(home, a_md="b\n")
    assert await committed(home) == "done"
    assert held(home.root / "git" / "papers.git", "draft") == {"a.md": "b"}


# -- the same commit on both sides


async def test_a_repository_that_got_a_push_of_the_projects_own_needs_no_choice(
    home: House, tmp_path: pathlib.Path
) -> None:
    await write(home, a_md="a\n", b_md="b\n")
    await committed(home)
    path = bare(tmp_path)
    git(home.repository, "push", "--quiet", str(path), "main")
    await home.write("a.md", "a\nmore\n")
    await home.workspace.delete(home.project, Path("b.md"), ALICE)
    found = await home.connecting.preview(home.project, to(path), ROOT)
    assert (found.compared.different, found.choice) == (("a.md",), False)
    done = await connect(home, to(path))
    assert done.pulled.state == "nothing"
    assert await uncommitted(home) == {"a.md": "modified", "b.md": "deleted"}
    assert await committed(home) == "done"
    assert held(path) == {"a.md": "a\nmore"}
    assert git(path, "rev-parse", "main~1") == git(home.repository, "rev-parse", "main")


async def test_connecting_again_to_the_same_place_leaves_everything_as_it_is(
    home: House, tmp_path: pathlib.Path
) -> None:
    path = bare(tmp_path, {"a.md": "a\n", "b.md": "b\n"})
    await connect(home, to(path))
    await home.write("a.md", "ours\n")
    push(path, {"a.md": "theirs\n", "c.md": "c\n"})
    done = await connect(home, to(path))
    assert done.pulled.state == "conflicts"
    assert await text(home) == {"a.md": "ours\n", "b.md": "b\n", "c.md": "c\n"}
    [conflict] = await home.snapshotter.settling.conflicts(home.project)
    await connect(home, to(path))
    assert [each.id for each in await home.snapshotter.settling.conflicts(home.project)] == [conflict.id]


async def test_conflicts_with_what_is_left_are_over(home: House, tmp_path: pathlib.Path) -> None:
    path = bare(tmp_path, {"a.md": "a\n"})
    await connect(home, to(path))
    await home.write("a.md", "ours\n")
    push(path, {"a.md": "theirs\n"})
    await home.snapshotter.pull(home.project)
    assert len(await home.snapshotter.settling.conflicts(home.project)) == 1
    await home.connecting.disconnect(home.project, ADMIN)
    assert await home.snapshotter.settling.conflicts(home.project) == []
    assert await committed(home) == "done"
    assert held(home.repository) == {"a.md": "ours"}


# -- back, and elsewhere


async def test_disconnecting_leaves_the_files_and_goes_on_in_the_own_repository(
    home: House, tmp_path: pathlib.Path
) -> None:
    await write(home, a_md="a\n", b_md="b\n")
    await committed(home)
    own = git(home.repository, "rev-parse", "main")
    path = bare(tmp_path, {"a.md": "theirs\n", "c.md": "c\n"})
    await connect(home, to(path), "theirs")
    done = await home.connecting.disconnect(home.project, ADMIN)
    assert (done.connection, done.pulled.state) == (None, "nothing")
    assert await text(home) == {"a.md": "theirs\n", "c.md": "c\n"}
    assert await uncommitted(home) == {"a.md": "modified", "b.md": "deleted", "c.md": "added"}
    assert await committed(home) == "done"
    assert held(home.repository) == {"a.md": "theirs", "c.md": "c"}
    assert git(home.repository, "rev-parse", "main~1") == own


@pytest.mark.parametrize("way", ["connect", "disconnect"])
async def test_a_lost_repository_of_its_own_is_begun_anew_with_everything_when_asked_for(home: House, way: str) -> None:
    await write(home, a_md="a\n", b_md="b\n")
    assert await committed(home) == "done"
    before = await documents(home)
    shutil.rmtree(home.repository)
    await write(home, a_md="typed meanwhile\n")
    for _ in range(2):
        # Neither by itself nor by its name: the commit that it would stand on is lost.
        made = await home.snapshotter.snapshot(home.project, branch="main")
        assert (made.state, "quire connect" in made.detail) == ("failed", True)
    if way == "connect":
        done = await connect(home, to(""))
    else:
        done = await home.connecting.disconnect(home.project, ROOT)
    assert (done.connection, done.pulled.state) == (None, "nothing")
    assert await committed(home) == "done"
    assert held(home.repository) == {"a.md": "typed meanwhile", "b.md": "b"}
    assert git(home.repository, "rev-list", "--count", "main") == "1"
    assert await documents(home) == before
    # It is the project's after a restart, too.
    again = await LocalRemotes(home.repository.parent).of(home.project)
    assert await again.head() == git(home.repository, "rev-parse", "main")


async def test_what_is_not_the_projects_is_set_aside_as_often_as_it_has_to_be(home: House) -> None:
    for number in range(2):
        await home.remotes.local.of(home.project)
        shutil.rmtree(home.repository)
        new_repository(home.repository.parent / f"made{number}").rename(home.repository)
        assert await (await LocalRemotes(home.repository.parent).of(home.project)).head() is None
    assert len(list(home.repository.parent.glob("notes.unknown*.git"))) == 2


async def test_a_lost_repository_elsewhere_is_begun_anew_when_the_project_is_connected_to_it_again(
    home: House, tmp_path: pathlib.Path
) -> None:
    path = bare(tmp_path, {"a.md": "a\n"})
    await connect(home, to(path))
    shutil.rmtree(path)
    bare(tmp_path)
    await write(home, b_md="b\n")
    assert (await home.snapshotter.snapshot(home.project)).state == "failed"
    await connect(home, to(path))
    assert await committed(home) == "done"
    assert held(path) == {"a.md": "a", "b.md": "b"}


async def test_a_damaged_repository_is_said_in_words_and_begun_anew_in_its_place(home: House) -> None:
    await write(home, a_md="a\n")
    assert await committed(home) == "done"
    branch = home.repository / "refs" / "heads" / "main"
    branch.write_text("garbage\n")
    with pytest.raises(Unavailable, match="is damaged: refs/heads/main holds no commit"):
        await home.snapshotter.snapshot(home.project)
    branch.write_text("0123456789" * 4 + "\n")
    with pytest.raises(QuireError):
        await home.snapshotter.pull(home.project)
    assert "Error(" not in (await home.snapshotter.status(home.project)).detail
    shutil.rmtree(home.repository)
    await connect(home, to(""))
    assert await committed(home) == "done"
    assert held(home.repository) == {"a.md": "a"}


async def test_disconnecting_asks_nobody_elsewhere(home: House, tmp_path: pathlib.Path) -> None:
    path = bare(tmp_path, {"a.md": "a\n"})
    await connect(home, to(path))
    shutil.rmtree(path)
    with pytest.raises(RemoteGone, match="is not there"):
        await home.snapshotter.pull(home.project)
    await home.connecting.disconnect(home.project, ADMIN)
    assert await committed(home) == "done"
    assert held(home.repository) == {"a.md": "a"}


async def test_what_was_typed_and_not_committed_goes_along(home: House, tmp_path: pathlib.Path) -> None:
    first = bare(tmp_path, {"a.md": "a\n"})
    await connect(home, to(first))
    await write(home, a_md="a\nmine\n", new_md="new\n")
    (tmp_path / "second").mkdir()
    second = bare(tmp_path / "second")
    await connect(home, to(second))
    assert await committed(home) == "done"
    assert held(second) == {"a.md": "a\nmine", "new.md": "new"}
    assert held(first) == {"a.md": "a"}


class Died(Exception):
    """As if the process had."""


@contextlib.asynccontextmanager
async def died_before_recording(folder: pathlib.Path, path: pathlib.Path) -> AsyncIterator[House]:
    """A commit was made, and nobody has recorded it."""
    armed = False

    def step(name: str) -> None:
        nonlocal armed
        if name == "committed" and armed:
            armed = False
            raise Died

    async with house(folder, step=step) as home:
        await connect(home, to(path))
        await write(home, a_md="a\nmore\n")
        armed = True
        with pytest.raises(Died):
            await home.snapshotter.snapshot(home.project)
        yield home


async def test_a_commit_that_a_crash_left_is_found_before_the_switch(tmp_path: pathlib.Path) -> None:
    """Else it would be there, and nobody would know."""
    path = bare(tmp_path, {"a.md": "a\n"})
    async with died_before_recording(tmp_path, path) as home:
        await home.connecting.disconnect(home.project, ADMIN)
        [newest, *_] = await home.snapshotter.snapshots(home.project)
        assert (newest.state, newest.commit) == ("done", git(path, "rev-parse", "main"))


@pytest.mark.parametrize("lost", ["", "objects"])
async def test_a_commit_that_nobody_can_find_any_more_is_given_up(tmp_path: pathlib.Path, lost: str) -> None:
    path = bare(tmp_path, {"a.md": "a\n"})
    async with died_before_recording(tmp_path, path) as home:
        shutil.rmtree(path / lost)
        await home.connecting.disconnect(home.project, ADMIN)
        [newest, *_] = await home.snapshotter.snapshots(home.project)
        assert (newest.state, newest.detail) == ("failed", LEFT)
        assert await committed(home) == "done"
        assert held(home.repository) == {"a.md": "a\nmore"}


# -- parts of a repository


async def test_a_folder_of_a_repository_is_a_project(home: House, tmp_path: pathlib.Path) -> None:
    path = bare(tmp_path, {"docs/a.md": "a\n", "docs/deep/b.md": "b\n", "src/main.c": "int main;\n"})
    await connect(home, to(path, scope=Scope("docs")))
    assert await text(home) == {"a.md": "a\n", "deep/b.md": "b\n"}
    await write(home, a_md="a\nmore\n", new_md="new\n")
    await home.workspace.delete(home.project, Path("deep/b.md"), ALICE)
    assert await committed(home) == "done"
    assert held(path) == {"docs/a.md": "a\nmore", "docs/new.md": "new", "src/main.c": "int main;"}
    push(path, {"src/main.c": "int main();\n", "docs/new.md": "theirs\n"})
    await home.snapshotter.pull(home.project)
    assert await text(home) == {"a.md": "a\nmore\n", "new.md": "theirs\n"}


async def test_what_no_pattern_means_is_left_alone_here_and_there(home: House, tmp_path: pathlib.Path) -> None:
    path = bare(tmp_path, {"docs/a.md": "a\n", "docs/a.bin": "bin\n", "readme.md": "theirs\n"})
    await write(home, readme_md="ours\n", docs__mine_md="mine\n")
    scope = Scope("", ("docs/**/*.md",))
    found = await home.connecting.preview(home.project, to(path, scope=scope), ROOT)
    assert found.compared == Comparison(new_here=("docs/mine.md",), new_there=("docs/a.md",))  # type: ignore[arg-type]
    assert found.outside == ("readme.md",)
    await connect(home, to(path, scope=scope), "theirs")
    assert await text(home) == {"docs/a.md": "a\n", "readme.md": "ours\n"}
    await write(home, docs__a_md="a\nmore\n", readme_md="ours again\n", notes_md="mine\n")
    assert await committed(home) == "done"
    assert held(path) == {"docs/a.md": "a\nmore", "docs/a.bin": "bin", "readme.md": "theirs"}
    made = await home.snapshotter.snapshot(home.project)
    status = await home.snapshotter.status(home.project)
    assert (made.state, status.state, status.uncommitted, status.outside) == ("nothing", "idle", 0, 2)
    assert made.detail == status.detail
    assert status.detail == "Not committed, because no pattern of the connection means it: notes.md, readme.md."


async def test_a_file_that_is_moved_out_of_what_belongs_is_deleted_there(home: House, tmp_path: pathlib.Path) -> None:
    path = bare(tmp_path, {"docs/a.md": "a\n", "x": "x\n"})
    await connect(home, to(path, scope=Scope("", ("docs",))))
    before = await documents(home)
    await home.workspace.move(home.project, Path("docs/a.md"), Path("private/a.md"), ALICE)
    assert await committed(home) == "done"
    assert held(path) == {"x": "x"}
    await home.workspace.move(home.project, Path("private/a.md"), Path("docs/b.md"), ALICE)
    assert await committed(home) == "done"
    assert held(path) == {"docs/b.md": "a", "x": "x"}
    assert (await documents(home))["docs/b.md"] == before["docs/a.md"]


async def test_more_of_the_same_repository_is_brought_and_less_is_left(home: House, tmp_path: pathlib.Path) -> None:
    path = bare(tmp_path, {"docs/a.md": "a\n", "notes/b.md": "b\n", "notes/same.md": "same\n"})
    await connect(home, to(path, scope=Scope("", ("docs",))))
    await write(home, docs__a_md="a\nmine\n", notes__same_md="same\n")
    wider = to(path, scope=Scope("", ("docs", "notes")))
    done = await connect(home, wider)
    assert done.pulled.state == "done"
    assert await text(home) == {"docs/a.md": "a\nmine\n", "notes/b.md": "b\n", "notes/same.md": "same\n"}
    assert await uncommitted(home) == {"docs/a.md": "modified"}
    await connect(home, to(path, scope=Scope("", ("notes",))))
    assert await committed(home) == "nothing"
    assert (await text(home))["docs/a.md"] == "a\nmine\n"
    assert held(path)["docs/a.md"] == "a"


async def test_what_newly_belongs_and_differs_needs_a_choice(home: House, tmp_path: pathlib.Path) -> None:
    path = bare(tmp_path, {"docs/a.md": "a\n", "notes/b.md": "theirs\n"})
    await connect(home, to(path, scope=Scope("", ("docs",))))
    await write(home, notes__b_md="ours\n")
    wider = to(path, scope=Scope("", ("docs", "notes")))
    with pytest.raises(Conflict, match="Choose"):
        await connect(home, wider)
    await connect(home, wider, "ours")
    assert await committed(home) == "done"
    assert held(path) == {"docs/a.md": "a", "notes/b.md": "ours"}


async def test_a_folder_that_is_a_file_there_is_refused_and_said_when_it_becomes_one(
    home: House, tmp_path: pathlib.Path
) -> None:
    path = bare(tmp_path, {"docs/a.md": "a\n", "file": "x\n"})
    for folder in ("file", "file/below"):
        with pytest.raises(Invalid, match="file is no folder of"):
            await connect(home, to(path, scope=Scope(folder)))
    await connect(home, to(path, scope=Scope("docs")))
    push(path, {"docs/a.md": None})
    (tmp_path / "work-main" / "docs").rmdir()
    push(path, {"docs": "a file now\n"})
    await home.write("b.md", "b\n")
    with pytest.raises(Invalid, match="docs is no folder of"):
        await home.snapshotter.snapshot(home.project)
    assert "docs is no folder" in (await home.snapshotter.status(home.project)).detail
    assert held(path) == {"docs": "a file now", "file": "x"}


# -- who may, and what cannot be


async def test_the_status_is_told_of_a_repository_that_cannot_be_looked_at(home: House, tmp_path: pathlib.Path) -> None:
    path = bare(tmp_path, {"a.md": "a\n"})
    await connect(home, to(path))
    path.rename(tmp_path / "away")
    found = await home.snapshotter.status(home.project)
    assert (found.state, "is not there (any more)" in found.detail) == ("failed", True)
    loop = path.parent / path.name
    loop.symlink_to(loop)  # stands for what the disk refuses, also to root
    assert (await home.snapshotter.status(home.project)).state == "failed"
    loop.unlink()
    (tmp_path / "away").rename(path)
    branch = path / "refs" / "heads" / "main"
    was = branch.read_text()
    branch.write_text("garbage\n")
    found = await home.snapshotter.status(home.project)
    assert (found.state, "is damaged" in found.detail) == ("failed", True)
    branch.write_text(was)
    assert (await home.snapshotter.status(home.project)).state == "idle"


async def test_an_installation_does_not_come_in_behind_a_token(home: House) -> None:
    wanted = Wanted(kind="github", repository="bob/notes", token="bobs", installation=7)
    with pytest.raises(Invalid, match="not both"):
        await connect(home, wanted, asker=ADMIN)


async def test_another_repository_on_the_disk_is_for_the_administrator(home: House, tmp_path: pathlib.Path) -> None:
    path = bare(tmp_path, {"a.md": "a\n"})
    for ask in (home.connecting.preview(home.project, to(path), ADMIN), connect(home, to(path), asker=ADMIN)):
        with pytest.raises(Forbidden, match="only the administrator"):
            await ask
    await connect(home, to(path))
    push(path, {"b.md": "b\n"}, branch="draft", onto="main")
    await connect(home, to(path, "draft"), "theirs", ADMIN)
    shutil.copytree(path, tmp_path / "THEIRS.git")
    with pytest.raises(Forbidden, match="only the administrator"):
        await connect(home, to(tmp_path / "THEIRS.git"), "theirs", ADMIN)
    assert await text(home) == {"a.md": "a\n", "b.md": "b\n"}


async def test_what_is_no_repository_is_refused_and_said(home: House, tmp_path: pathlib.Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(RemoteGone, match="no git repository"):
        await connect(home, to(tmp_path / "none"))
    with pytest.raises(RemoteGone, match="git init --bare"):
        await connect(home, to(tmp_path / "folder"))
    with pytest.raises(Invalid, match="absolute"):
        await connect(home, to("relative.git"))
    with pytest.raises(Invalid, match="no name for a branch"):
        await connect(home, to(tmp_path, "a..b"))
    sha256 = tmp_path / "sha256.git"
    git(tmp_path, "init", "--quiet", "--bare", "--object-format=sha256", sha256.name)
    with pytest.raises(Invalid, match="sha256"):
        await connect(home, to(sha256))
    assert await connections.connection(home.store, home.project.id) is None


async def test_a_branch_that_somebody_has_checked_out_is_not_committed_to(home: House, tmp_path: pathlib.Path) -> None:
    work = new_repository(tmp_path / "work")
    (work / "a.md").write_text("a\n")
    commit_all(work)
    found = await home.connecting.preview(home.project, to(work), ROOT)
    assert found.compared.new_there == ("a.md",)
    with pytest.raises(RemoteForbidden, match="checked out") as caught:
        await connect(home, to(work))
    assert caught.value.name == "branch_checked_out"
    git(work, "branch", "quire")
    await connect(home, to(work, "quire"))
    await write(home, a_md="a\nmore\n")
    assert await committed(home) == "done"
    assert held(work, "quire") == {"a.md": "a\nmore"}
    assert (work / "a.md").read_text() == "a\n"
    assert git(work, "status", "--porcelain") == ""
    git(work, "worktree", "add", "--quiet", "../other", "quire")
    await write(home, a_md="a\nmore\nand more\n")
    with pytest.raises(RemoteForbidden, match="checked out"):
        await home.snapshotter.snapshot(home.project)
    git(work, "config", "receive.denyCurrentBranch", "ignore")
    assert await committed(home) == "done"


async def test_somebody_elses_repository_is_not_tidied_up(home: House, tmp_path: pathlib.Path) -> None:
    path = bare(tmp_path, {"a.md": "a\n"})
    left = path / "objects" / "pack" / "tmp_half.pack"
    left.write_bytes(b"half")
    await connect(home, to(path))
    await write(home, a_md="b\n")
    assert await committed(home) == "done"
    assert left.exists()
    assert "quire" not in (path / "config").read_text()
