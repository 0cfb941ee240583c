"""The conversation of a fetch, request by request, as gitprotocol-pack and gitprotocol-v2 have it."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collab.errors import Invalid, ProtocolError
from snapshots.packs.entries import Oid
from snapshots.packs.history import Graph
from snapshots.packs.refs import Refs
from tests.snapshots.packs.memory import Memory
from web.git import fetching
from web.git.advertisement import Command, advertisement, command, ls_refs, refused, version
from web.git.fetching import Answer
from web.git.pktline import DELIMITER, FLUSH, Mark, line, packets

UNKNOWN = "f" * 40


class Branch:
    """Five commits on one branch."""

    def __init__(self) -> None:
        self.memory = Memory()
        self.commits: list[Oid] = []
        for number in range(5):
            self.commits.append(self.memory.commit({"a": b"%d" % number}, self.commits[-1:], 100 + number))
        self.tag = self.memory.tag(self.commits[3])
        self.refs = Refs(
            {b"refs/heads/main": self.commits[4], b"refs/tags/v1": self.tag},
            {b"refs/tags/v1": self.commits[3]},
            b"refs/heads/main",
        )

    def sha(self, number: int) -> str:
        return self.commits[number].hex()

    def asked(self, wanted: fetching.Wanted) -> tuple[list[str], Answer]:
        answer = Answer(wanted, Graph(self.memory), self.refs)
        said = list(packets(b"".join(answer.packets())))
        return [each.name.lower() if isinstance(each, Mark) else each.decode().rstrip("\n") for each in said], answer

    def v0(self, *rows: str | bytes) -> tuple[list[str], Answer]:
        return self.asked(fetching.parse(b"".join(each if isinstance(each, bytes) else line(each) for each in rows)))

    def v2(self, *rows: str) -> tuple[list[str], Answer]:
        return self.asked(fetching.parse_2(rows))


@pytest.fixture
def branch() -> Branch:
    return Branch()


DETAILED = "multi_ack_detailed no-done side-band-64k ofs-delta agent=git/2"


def test_a_clone_gets_its_pack_at_once(branch: Branch) -> None:
    said, answer = branch.v0(f"want {branch.sha(4)} {DETAILED}", FLUSH, "done")
    assert said == ["NAK"]
    assert answer.shallow is not None
    said, answer = branch.v2(f"want {branch.sha(4)}", "done")
    assert said == ["packfile"]
    assert answer.shallow is not None


def test_haves_are_acknowledged_and_the_client_asks_on(branch: Branch) -> None:
    said, answer = branch.v0(f"want {branch.sha(4)} multi_ack_detailed", FLUSH, f"have {UNKNOWN}", FLUSH)
    assert (said, answer.shallow) == (["NAK"], None)
    said, answer = branch.v2(f"want {branch.sha(4)}", f"have {UNKNOWN}")
    assert (said, answer.shallow) == (["acknowledgments", "NAK", "flush"], None)


def test_what_is_common_ends_the_search(branch: Branch) -> None:
    two = branch.sha(2)
    said, answer = branch.v0(f"want {branch.sha(4)} {DETAILED}", FLUSH, f"have {two}", FLUSH)
    assert said == [f"ACK {two} common", f"ACK {two} ready", "NAK", f"ACK {two}"]
    assert answer.shallow is not None
    said, answer = branch.v0(f"want {branch.sha(4)} multi_ack_detailed", FLUSH, f"have {two}", FLUSH)
    assert (said, answer.shallow) == ([f"ACK {two} common", f"ACK {two} ready", "NAK"], None)
    said, answer = branch.v0(
        f"want {branch.sha(4)} multi_ack_detailed", FLUSH, f"have {two}", f"have {UNKNOWN}", "done"
    )
    assert said == [f"ACK {two} common", f"ACK {UNKNOWN} ready", f"ACK {two}"]
    said, answer = branch.v2(f"want {branch.sha(4)}", f"have {UNKNOWN}", f"have {two}")
    assert said == ["acknowledgments", f"ACK {two}", "ready", "delimiter", "packfile"]
    assert (answer.haves, answer.wants) == ([branch.commits[2]], [branch.commits[4]])


def test_older_clients_are_answered_as_they_expect(branch: Branch) -> None:
    two, one = branch.sha(2), branch.sha(1)
    said, answer = branch.v0(f"want {branch.sha(4)}", FLUSH, f"have {two}", f"have {one}", "done")
    assert said == [f"ACK {two}"]
    assert (answer.wanted.sideband, answer.wanted.acks) == (0, "single")
    said, _ = branch.v0(f"want {branch.sha(4)} multi_ack side-band", FLUSH, f"have {two}", f"have {one}", "done")
    assert said == [f"ACK {two} continue", f"ACK {one} continue", f"ACK {one}"]
    said, _ = branch.v0(f"want {branch.sha(4)}", FLUSH, f"have {UNKNOWN}", "done")
    assert said == ["NAK"]


def test_a_shallow_clone_is_told_where_it_ends(branch: Branch) -> None:
    said, answer = branch.v0(f"want {branch.sha(4)} shallow", "deepen 2", FLUSH)
    assert (said, answer.shallow) == ([f"shallow {branch.sha(3)}", "flush"], None)
    said, answer = branch.v0(f"want {branch.sha(4)} shallow", "deepen 2", FLUSH, "done")
    assert said == [f"shallow {branch.sha(3)}", "flush", "NAK"]
    said, answer = branch.v2(f"want {branch.sha(4)}", "deepen 2", "done")
    assert said == ["shallow-info", f"shallow {branch.sha(3)}", "delimiter", "packfile"]
    said, answer = branch.v2(
        f"want {branch.sha(4)}", f"shallow {branch.sha(3)}", "deepen 4", f"have {branch.sha(4)}", "done"
    )
    assert said == [
        "shallow-info", f"shallow {branch.sha(1)}", f"unshallow {branch.sha(3)}", "delimiter", "packfile",
    ]  # fmt: skip
    assert answer.wants == [branch.commits[4], branch.commits[2]]
    said, _ = branch.v2(f"want {branch.sha(4)}", "deepen-not v1", "done")
    assert f"shallow {branch.sha(4)}" in said


def test_who_waits_for_done_gets_no_pack_before(branch: Branch) -> None:
    said, answer = branch.v2(f"want {branch.sha(4)}", f"have {branch.sha(2)}", "wait-for-done")
    assert (said, answer.shallow) == (["acknowledgments", f"ACK {branch.sha(2)}", "flush"], None)


def test_what_is_not_there_cannot_be_had(branch: Branch) -> None:
    with pytest.raises(Invalid, match=f"not our ref {UNKNOWN}"):
        branch.v0(f"want {UNKNOWN}", FLUSH, "done")
    with pytest.raises(Invalid, match=f"not our ref {UNKNOWN}"):
        branch.v2(f"want {UNKNOWN}", "done")


def test_a_client_that_wants_nothing_is_told_nothing(branch: Branch) -> None:
    assert branch.v0(FLUSH)[0] == []
    assert branch.v2()[0] == ["flush"]


@pytest.mark.parametrize(
    "rows", [["want x"], ["wish " + UNKNOWN], ["want " + UNKNOWN, "deepen x"], ["want " + UNKNOWN, "filter x"]]
)
def test_what_cannot_be_asked_is_refused_in_words(rows: list[str]) -> None:
    with pytest.raises(Invalid):
        fetching.parse(b"".join(map(line, rows)) + FLUSH)
    with pytest.raises(Invalid):
        fetching.parse_2(rows)


@given(st.binary(max_size=200), st.lists(st.text(max_size=60), max_size=5))
def test_nothing_that_is_sent_does_more_than_be_refused(raw: bytes, rows: list[str]) -> None:
    for read in (
        lambda: fetching.parse(raw),
        lambda: fetching.parse(b"".join(map(line, rows)) + raw),
        lambda: fetching.parse_2(rows),
        lambda: command(raw),
    ):
        with contextlib.suppress(Invalid):
            read()


# the advertisement


def told(raw: bytes) -> list[str]:
    return [each.name.lower() if isinstance(each, Mark) else each.decode().rstrip("\n") for each in packets(raw)]


def test_refs_and_capabilities_come_first(branch: Branch) -> None:
    head, *rest = told(advertisement("git-upload-pack", branch.refs, 0))[2:]
    assert head.startswith(f"{branch.sha(4)} HEAD\0")
    assert {"symref=HEAD:refs/heads/main", "multi_ack_detailed", "side-band-64k", "filter"} <= set(
        head.partition("\0")[2].split()
    )
    assert rest == [
        f"{branch.sha(4)} refs/heads/main", f"{branch.tag.hex()} refs/tags/v1", f"{branch.sha(3)} refs/tags/v1^{{}}", "flush",
    ]  # fmt: skip
    assert told(advertisement("git-upload-pack", branch.refs, 1))[2] == "version 1"


def test_who_pushes_is_told_neither_head_nor_what_tags_lead_to(branch: Branch) -> None:
    first, *rest = told(advertisement("git-receive-pack", branch.refs, 2))[2:]
    assert first.startswith(f"{branch.sha(4)} refs/heads/main\0report-status")
    assert rest == [f"{branch.tag.hex()} refs/tags/v1", "flush"]


def test_an_empty_repository_says_which_branch_will_be() -> None:
    empty = Refs({}, {}, b"refs/heads/trunk")
    assert told(advertisement("git-upload-pack", empty, 0))[2].startswith("0" * 40 + " capabilities^{}\0")
    assert told(ls_refs(empty, ["symrefs", "unborn"])) == ["unborn HEAD symref-target:refs/heads/trunk", "flush"]
    assert told(ls_refs(empty, [])) == ["flush"]


def test_version_2_lists_what_is_asked_for(branch: Branch) -> None:
    assert told(advertisement("git-upload-pack", branch.refs, 2))[0] == "version 2"
    assert told(ls_refs(branch.refs, ["peel", "symrefs"])) == [
        f"{branch.sha(4)} HEAD symref-target:refs/heads/main", f"{branch.sha(4)} refs/heads/main",
        f"{branch.tag.hex()} refs/tags/v1 peeled:{branch.sha(3)}", "flush",
    ]  # fmt: skip
    assert told(ls_refs(branch.refs, ["ref-prefix refs/tags/"])) == [f"{branch.tag.hex()} refs/tags/v1", "flush"]
    with pytest.raises(ProtocolError, match="ls-refs"):
        ls_refs(branch.refs, ["nonsense"])


def test_a_command_has_capabilities_and_arguments() -> None:
    body = line("command=fetch") + line("agent=git/2") + line("object-format=sha1") + DELIMITER + line("done") + FLUSH
    assert command(body) == Command("fetch", ("done",))
    assert command(FLUSH) is None
    for wrong in (line("command=push") + FLUSH, line("object-format=sha256") + FLUSH, DELIMITER + FLUSH):
        with pytest.raises(ProtocolError):
            command(wrong)


def test_the_newest_version_that_both_know_is_spoken() -> None:
    asked = [None, "", "version=2", "version=1", "version=7", "foo:version=2", "version=1:version=2"]
    assert [version(each) for each in asked] == [0, 0, 2, 1, 0, 2, 2]


def test_a_refusal_is_a_packet_that_git_prints() -> None:
    assert told(refused("no")) == ["ERR no"]
