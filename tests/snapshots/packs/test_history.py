"""What a client lacks: complete whatever the histories are, and no more than what changed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collab.errors import Invalid
from snapshots.packs import filters, history
from snapshots.packs.entries import Kind, Oid, parse_tree
from snapshots.packs.history import Depth, Graph
from tests.snapshots.packs.memory import Client, Memory

PATHS = ("a.md", "b.md", "d/a.md", "d/e/a.md", "f/a.md")


@st.composite
def histories(draw: st.DrawFn) -> tuple[Memory, list[Oid]]:
    """Merges, roots of their own, the same content in many places, and clocks that go wrong."""
    memory = Memory()
    commits: list[Oid] = []
    files: list[dict[str, bytes]] = []
    for number in range(draw(st.integers(1, 12))):
        parents = draw(st.lists(st.integers(0, number - 1), max_size=3, unique=True)) if number else []
        held = dict(files[parents[0]]) if parents else {}
        held[draw(st.sampled_from(PATHS))] = b"%d" % draw(st.integers(0, 4))
        if draw(st.booleans()):
            held.pop(draw(st.sampled_from(PATHS)), None)
        time = 1000 + 10 * number + draw(st.sampled_from([0, 0, 0, -500, 500]))
        commits.append(memory.commit(held, [commits[each] for each in parents], time))
        files.append(held)
    return memory, commits


@given(histories(), st.data())
def test_with_what_it_has_and_what_is_sent_a_client_has_everything(
    made: tuple[Memory, list[Oid]], data: st.DataObject
) -> None:
    memory, commits = made
    wants = data.draw(st.lists(st.sampled_from(commits), min_size=1, max_size=3))
    haves = data.draw(st.lists(st.sampled_from(commits), max_size=3))
    sent = set(history.select(Graph(memory), wants, haves).oids)
    has = memory.behind(haves)
    assert memory.behind(wants) <= sent | has
    assert sent <= memory.behind(wants)


@given(histories(), st.data())
def test_a_clone_of_any_depth_is_whole_after_every_fetch(made: tuple[Memory, list[Oid]], data: st.DataObject) -> None:
    memory, commits = made
    client = Client(memory)
    for _ in range(data.draw(st.integers(1, 4))):
        wants = data.draw(st.lists(st.sampled_from(commits), min_size=1, max_size=2, unique=True))
        kind = data.draw(st.sampled_from(["plain", "depth", "deeper", "since", "without", "everything"]))
        number = data.draw(st.integers(1, 4))
        depth = {
            "depth": Depth(commits=number),
            "deeper": Depth(commits=number, relative=True),
            "since": Depth(since=1000 + 30 * number),
            "without": Depth(without=(data.draw(st.sampled_from(commits)),)),
            "everything": Depth(commits=0x7FFFFFFF),
        }.get(kind)
        try:
            client.fetch(wants, depth)
        except Invalid:
            assert kind in ("since", "without")
            continue
        assert client.whole()
        if kind == "everything":
            assert client.objects >= memory.behind(wants)


@given(histories(), st.data())
def test_who_is_behind_whom_is_found_whatever_the_clocks_say(
    made: tuple[Memory, list[Oid]], data: st.DataObject
) -> None:
    memory, commits = made
    old, new = data.draw(st.sampled_from(commits)), data.draw(st.sampled_from(commits))
    graph = Graph(memory)
    assert history.is_ancestor(graph, old, new) == (old in memory.behind([new]))
    if history.reaches(graph, [new], [old]):
        assert old in memory.behind([new])


def straight(count: int, files: int = 200) -> tuple[Memory, list[Oid]]:
    memory = Memory()
    held = {f"d{number // 10}/f{number}.md": b"one" for number in range(files)}
    commits: list[Oid] = []
    for number in range(count):
        held["d0/f0.md"] = b"%d" % number
        commits.append(memory.commit(held, commits[-1:], 1000 + number))
    return memory, commits


def test_a_fetch_of_one_commit_sends_and_reads_what_changed() -> None:
    memory, commits = straight(5)
    memory.read.clear()
    sent = history.select(Graph(memory), [commits[4]], [commits[3]]).oids
    assert [memory.kind(oid) for oid in sent] == [Kind.COMMIT, Kind.TREE, Kind.TREE, Kind.BLOB]
    assert len(memory.read) <= 15


def test_a_fetch_stops_where_the_client_has_everything() -> None:
    memory, commits = straight(300, files=1)
    memory.read.clear()
    history.select(Graph(memory), [commits[-1]], [commits[-2]])
    assert len(memory.read) <= 20


def test_nothing_is_sent_to_who_has_it() -> None:
    memory, commits = straight(3)
    assert history.select(Graph(memory), [commits[1]], [commits[2]]).oids == []


def test_tags_go_along_with_what_they_name_and_only_then() -> None:
    memory, commits = straight(3)
    tag = memory.tag(commits[2])
    outer = memory.tag(tag, "v2")
    tags = {outer: commits[2]}
    assert {tag, outer} <= set(history.select(Graph(memory), [commits[2]], [], tags=tags).oids)
    assert not {tag, outer} & set(history.select(Graph(memory), [commits[1]], [], tags=tags).oids)
    assert set(history.select(Graph(memory), [outer], [commits[2]]).oids) == {tag, outer}


def test_a_tree_or_a_blob_can_be_asked_for_by_name() -> None:
    memory, commits = straight(1, files=20)
    tree = memory.tree({"x/a": b"1", "x/b": b"2"})
    blob = memory.blob(b"alone")
    sent = set(history.select(Graph(memory), [tree, blob], [commits[0]]).oids)
    assert sent == memory.behind([tree]) | {blob}


def test_a_partial_clone_gets_what_its_filter_takes() -> None:
    memory = Memory()
    commit = memory.commit({"a": b"1", "d/b": b"22222", "d/e/c": b"333"})

    def sent(spec: str) -> set[Oid]:
        return set(history.select(Graph(memory), [commit], [], filter_=filters.parse(spec)).oids)

    everything = memory.behind([commit])
    blobs = {oid for oid in everything if memory.kind(oid) is Kind.BLOB}
    root = Graph(memory).commit(commit).tree
    below = {each.oid for each in parse_tree(memory.get(root)[1])}
    assert sent("blob:none") == everything - blobs
    assert sent("blob:limit=3") == everything - {memory.blob(b"22222"), memory.blob(b"333")}
    assert sent("tree:0") == {commit}
    assert sent("tree:1") == {commit, root}
    assert sent("tree:2") == {commit, root, *below}
    assert sent("object:type=tree") == {oid for oid in everything if memory.kind(oid) is Kind.TREE} | {commit}
    assert sent("combine:tree:2+blob:limit=1") == {commit, root} | (below - blobs)


def test_a_tree_that_is_found_nearer_to_the_root_is_walked_again() -> None:
    memory = Memory()
    inner = {"x/y": b"1"}
    first = memory.commit({f"a/b/{path}": content for path, content in inner.items()})
    second = memory.commit(inner, [first], 1)
    sent = history.select(Graph(memory), [second], [], filter_=filters.parse("tree:3")).oids
    assert memory.blob(b"1") in sent


def test_a_history_deeper_than_any_stack_can_be_walked() -> None:
    memory = Memory()
    tip: list[Oid] = []
    for number in range(5_000):
        tip = [memory.commit({}, tip, number)]
    deep = memory.blob(b"deep")
    for _ in range(5_000):
        deep = memory.add(Kind.TREE, (b"40000 d\0" if memory.kind(deep) is Kind.TREE else b"100644 f\0") + deep)
    assert len(history.select(Graph(memory), [*tip, deep], []).oids) == 5_000 + 1 + 5_000 + 1


def test_no_commit_young_enough_is_an_error_and_not_everything() -> None:
    memory, commits = straight(2)
    with pytest.raises(Invalid, match="no commit"):
        Client(memory).fetch([commits[1]], Depth(since=5_000_000))


def test_what_the_server_itself_lacks_is_shallow_for_everybody() -> None:
    memory, commits = straight(4)
    graph = Graph(memory)
    del memory.objects[commits[1]]
    ours = frozenset({commits[2]})
    found = history.shallow(graph, [commits[3]], frozenset(), Depth(), ours)
    assert found.told == (commits[2],)
    sent = history.select(graph, [commits[3]], [], cut=found.cut).oids
    assert [oid for oid in sent if memory.kind(oid) is Kind.COMMIT] == [commits[3], commits[2]]


@pytest.mark.parametrize(
    "spec",
    [
        "sparse:oid=main:x",
        "blob:some",
        "blob:limit=x",
        "blob:limit=",
        "tree:",
        "tree:-1",
        "object:type=x",
        "combine:",
        "",
    ],
)
def test_a_filter_that_is_not_known_is_refused_by_name(spec: str) -> None:
    with pytest.raises(Invalid, match="is not known here"):
        filters.parse(spec)


def test_limits_have_units() -> None:
    sizes = [filters.parse(f"blob:limit={each}").smaller for each in ("7", "1k", "2m", "1g")]
    assert sizes == [7, 1024, 2 << 20, 1 << 30]
