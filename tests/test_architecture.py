"""The rules of ARCHITECTURE.md, held against the source."""

from __future__ import annotations

import ast
import pathlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import pytest

ROOT: Final = pathlib.Path(__file__).resolve().parent.parent
PACKAGES: Final = ("collab", "snapshots", "web")
"""Whoever stands later may import whoever stands earlier."""

IMPURE: Final = frozenset(
    {
        *("anyio", "asyncio", "concurrent", "multiprocessing", "threading", "signal", "subprocess"),
        *("os", "io", "pathlib", "shutil", "tempfile", "sqlite3", "socket", "ssl", "urllib.request", "http.client"),
        *("time", "structlog", "logging", "httpx", "starlette", "uvicorn", "dulwich", "websockets"),
    }
)
"""What a PURE module cannot need: I/O, an event loop, a clock, the environment."""

PUT_TOGETHER: Final = (
    "web/app.py",
    "web/places.py",
    "web/cli.py",
    "web/commands/",
    "web/client.py",
    "snapshots/readers/",
    "web/git/worker.py",
    "web/backroom.py",
    "web/shipping/worker.py",
)
"""Where adapters may be imported, besides tests and each other; the readers run in a process of their own."""

ROW: Final = re.compile(r"^\| (\w+)(?: (PURE|PLUG|ADAPTER))? \| `([\w/]+\.py)` \| (.+) \|$", re.MULTILINE)


@dataclass(frozen=True)
class Listed:
    layer: str
    kind: str | None
    responsibility: str


LISTED: Final = {
    path: Listed(layer, kind or None, says)
    for layer, kind, path, says in ROW.findall((ROOT / "ARCHITECTURE.md").read_text())
}


def sources() -> list[str]:
    """Every module with something in it, as a path from the root."""
    found = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    shown = [path.relative_to(ROOT) for path in found if path.stat().st_size]
    return sorted(path.as_posix() for path in shown if path.parts[:2] != ("web", "editor"))


def imported(path: str, *, running: bool = True) -> Iterator[str]:
    """The modules that one imports, anywhere in it; `running`: without those that are for the type checker alone."""
    tree = ast.parse((ROOT / path).read_text())
    skipped = {id(each) for node in ast.walk(tree) if running and _for_types(node) for each in ast.walk(node)}
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            assert node.module is not None
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def module(path: str) -> str:
    return path.removesuffix(".py").replace("/", ".")


PURE: Final = sorted(path for path, each in LISTED.items() if each.kind == "PURE")
ADAPTERS: Final = {module(path) for path, each in LISTED.items() if each.kind == "ADAPTER"}


def test_every_module_is_listed_once_with_what_it_does() -> None:
    written = [path for _, _, path, _ in ROW.findall((ROOT / "ARCHITECTURE.md").read_text())]
    assert sorted(written) == sorted(set(written))
    packages = {path for path in sources() if not path.endswith("/__init__.py")}
    assert packages - set(LISTED) == set(), "not in ARCHITECTURE.md"
    assert {path for path in LISTED if not (ROOT / path).is_file()} == set(), "in ARCHITECTURE.md, and not there"


@pytest.mark.parametrize("path", sources())
def test_imports_go_one_way(path: str) -> None:
    layer = PACKAGES.index(path.split("/")[0])
    later = PACKAGES[layer + 1 :]
    assert [
        name for name in imported(path, running=False) if name.split(".")[0] in (*later, "tests", "benchmarks")
    ] == []


@pytest.mark.parametrize("path", PURE)
def test_a_pure_module_needs_nothing_from_outside(path: str) -> None:
    outside = {name for name in imported(path) if name in IMPURE or name.split(".")[0] in IMPURE}
    assert outside == set()


@pytest.mark.parametrize("path", PURE)
def test_what_a_pure_module_imports_of_ours_needs_nothing_either(path: str) -> None:
    waiting, seen = [path], {path}
    while waiting:
        at = waiting.pop()
        for name in imported(at):
            assert name.split(".")[0] not in IMPURE, f"{path} leads to {at}, which imports {name}"
            there = f"{name.replace('.', '/')}.py"
            # A contract says what there is, and does nothing.
            if there in LISTED and there not in seen and LISTED[there].kind != "PLUG":
                seen.add(there)
                waiting.append(there)


@pytest.mark.parametrize("path", sources())
def test_adapters_are_imported_only_where_the_program_is_put_together(path: str) -> None:
    if path.startswith(PUT_TOGETHER) or module(path) in ADAPTERS:
        return
    assert {name for name in imported(path) if name in ADAPTERS} == set()


@pytest.mark.parametrize("path", sources())
def test_only_the_settings_read_the_environment(path: str) -> None:
    if path == "web/settings.py":
        return
    tree = ast.parse((ROOT / path).read_text())
    names = [node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
    assert not {"environ", "environb", "getenv"} & set(names)
    assert not {"os.environ", "os.getenv"} & set(imported(path))


@pytest.mark.parametrize("path", sources())
def test_every_module_says_what_it_is(path: str) -> None:
    docstring = ast.get_docstring(ast.parse((ROOT / path).read_text()))
    assert docstring, f"{path} has no docstring"
    kind = LISTED[path].kind if path in LISTED else None
    if kind == "PURE":
        assert "PURE" in docstring.split("\n\n")[0], f"{path} is PURE in ARCHITECTURE.md and does not say so"


def test_the_rules_find_what_breaks_them(tmp_path: pathlib.Path) -> None:
    """A negative control: the reader of imports sees the ones inside functions, and not those for types."""
    source = tmp_path / "x.py"
    source.write_text(
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import web.app\ndef f():\n    from os import environ\n"
    )
    seen = set(imported(str(source)))
    assert "os.environ" in seen
    assert "web.app" not in seen
    assert "web.app" in set(imported(str(source), running=False))
