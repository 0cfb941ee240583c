"""Every named step of snapshots and pulls has a test in which a real process is killed there: found in the source, and held
against the tests."""

from __future__ import annotations

import ast
import pathlib
from collections.abc import Iterator
from typing import Final

HERE: Final = pathlib.Path(__file__).parent
SOURCE: Final = HERE.parent / "snapshots"

ANOTHER_WAY: Final = {
    "switched": "test_kill_connecting.py kills before every commit to the store, this one's neighbours included",
    "prepared": "the same",
}


def named(file: pathlib.Path) -> Iterator[str]:
    """`self._step("...")`, wherever it is called."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) in ("_step", "step"):
            [name] = node.args
            assert isinstance(name, ast.Constant), f"{file}:{node.lineno}: a step is named where it is passed"
            yield str(name.value)


def steps() -> set[str]:
    return {name for file in sorted(SOURCE.rglob("*.py")) for name in named(file)}


def killers() -> list[pathlib.Path]:
    """Test modules in which a process must end with SIGKILL."""
    return [file for file in sorted(HERE.rglob("test_*.py")) if "== -signal.SIGKILL" in file.read_text()]


def parameters(file: pathlib.Path) -> set[str]:
    """Strings in its tuples, of which its tests are made."""
    elements = [
        each for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Tuple) for each in node.elts
    ]
    return {each.value for each in elements if isinstance(each, ast.Constant) and isinstance(each.value, str)}


def test_there_are_steps_to_be_killed_at() -> None:
    assert {"journalled", "branch moved", "path pulled", "pull recorded", "head moved"} <= steps()


def test_every_named_step_has_a_test_that_kills_there() -> None:
    killed = set().union(*map(parameters, killers()))
    assert steps() - killed - set(ANOTHER_WAY) == set(), "these steps have no test that kills the process there"
    assert set(ANOTHER_WAY) <= steps(), "these are steps no more"
