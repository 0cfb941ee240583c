"""Differences as `git diff` and `patch` know them."""

from __future__ import annotations

import pathlib
import subprocess

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collab.unified import unified


def test_a_changed_line_stands_between_three_others() -> None:
    before = "".join(f"{n}\n" for n in range(1, 11))
    assert unified(before, before.replace("5\n", "five\n"), "n.txt") == (
        "--- a/n.txt\n+++ b/n.txt\n@@ -2,7 +2,7 @@\n 2\n 3\n 4\n-5\n+five\n 6\n 7\n 8\n"
    )


def test_nothing_differs_in_the_same() -> None:
    assert unified("same\n", "same\n", "n.txt") == ""


def test_a_last_line_without_its_end_is_said() -> None:
    assert unified("a\n", "a", "n.txt").endswith("@@ -1 +1 @@\n-a\n+a\n\\ No newline at end of file\n")


def test_what_is_new_begins_at_nothing() -> None:
    assert "@@ -0,0 +1,2 @@\n+a\n+b\n" in unified("", "a\nb\n", "n.txt")


LINES = st.lists(st.sampled_from(["a\n", "b\n", "c\n", "\n", "d\r\n"]), max_size=30)
TEXTS = st.builds(lambda lines, last: "".join(lines) + last, LINES, st.sampled_from(["", "end"]))


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(TEXTS, TEXTS)
def test_git_makes_the_one_of_the_other(tmp_path: pathlib.Path, before: str, after: str) -> None:
    diff = unified(before, after, "n.txt")
    if not diff:
        assert before == after
        return
    (tmp_path / "n.txt").write_bytes(before.encode())
    command = ["git", "apply", "--unidiff-zero", "--whitespace=nowarn", "-"]
    subprocess.run(command, cwd=tmp_path, input=diff.encode(), check=True, capture_output=True)
    assert (tmp_path / "n.txt").read_bytes().decode() == after
