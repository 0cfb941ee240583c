"""The documentation names every setting, command and endpoint, and none that is not there."""

from __future__ import annotations

import pathlib
import re
from collections.abc import Iterator
from typing import Final

import click
import pytest

from collab.member import CloseCode
from tests.test_architecture import ROOT
from web.api import ENDPOINTS
from web.cli import CONFLICTS, DONE, FAILED, STOPPED, USAGE, quire
from web.openapi import describe
from web.settings import CONFIG, documented

PAGES: Final = sorted(path.relative_to(ROOT).as_posix() for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")))
LINK: Final = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
IN_CODE: Final = re.compile(r"`(?:\.venv/bin/)?quire ([a-z][^`]*)`|^\$ (?:\.venv/bin/)?quire ([a-z].*)$", re.MULTILINE)


def page(name: str) -> str:
    return (ROOT / name).read_text()


# settings


def test_every_setting_is_documented_with_its_default() -> None:
    rows = dict(re.findall(r"^\| `(QUIRE_\w+)` \|(.*?)\|", page("docs/settings.md"), re.MULTILINE))
    shown = {name: f"`{default}`" if default else "" for name, default, _ in documented()}
    assert {name: default.strip() for name, default in rows.items()} == {**shown, CONFIG: ""}


def test_no_page_names_a_setting_that_is_not_there() -> None:
    known = {name for name, _, _ in documented()} | {CONFIG}
    for name in PAGES:
        assert set(re.findall(r"\bQUIRE_[A-Z][A-Z_]*[A-Z]\b", page(name))) <= known, name


# commands


def commands(
    group: click.Group = quire, above: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from commands(command, (*above, name))
        else:
            yield (*above, name), command


COMMANDS: Final = dict(commands())


@pytest.mark.parametrize("name", COMMANDS, ids=" ".join)
def test_every_command_has_a_section_with_its_arguments_and_options(name: tuple[str, ...]) -> None:
    _, _, rest = page("docs/cli.md").partition(f"## `quire {name[0]}`\n")
    section = rest.partition("\n## ")[0]
    assert f"`quire {' '.join(name)}" in section
    for parameter in COMMANDS[name].params:
        if isinstance(parameter, click.Option) and parameter.name not in ("debug", "help"):
            assert any(re.search(rf"(?<![\w-]){option}(?![\w-])", section) for option in parameter.opts), parameter.opts


@pytest.mark.parametrize("name", COMMANDS, ids=" ".join)
def test_every_command_helps_with_an_example(name: tuple[str, ...]) -> None:
    text = COMMANDS[name].help or ""
    assert f"quire {' '.join(name)}" in text.partition("\b")[2]
    assert all(isinstance(each, click.Argument) or each.help for each in COMMANDS[name].params)


@pytest.mark.parametrize("name", PAGES)
def test_no_page_names_a_command_or_an_option_that_is_not_there(name: str) -> None:
    for match in IN_CODE.finditer(page(name)):
        words = (match[1] or match[2]).split("#")[0].split()
        path = tuple(words[:2]) if words[0] == "token" and len(words) > 1 else (words[0],)
        if path == ("token",):
            continue
        assert path in COMMANDS, f"{name}: quire {' '.join(words)}"
        known = {option for each in COMMANDS[path].params for option in each.opts} | {"--help", "-h"}
        used = {word.strip("[],") for word in words if word.strip("[],").startswith("-")}
        assert used <= known, f"{name}: quire {' '.join(words)}"


def test_the_exit_statuses_are_documented() -> None:
    found = re.findall(r"^\| (\d+) \|", page("docs/cli.md"), re.MULTILINE)
    assert [int(each) for each in found] == [DONE, FAILED, CONFLICTS, USAGE, STOPPED]


# endpoints


def test_every_endpoint_is_documented_with_its_role() -> None:
    rows = re.findall(r"^\| `(GET|POST|PUT|PATCH|DELETE) (\S+)` \| (\w+) \|", page("docs/http.md"), re.MULTILINE)
    documented_ = {(method, path): role for method, path, role in rows}
    there = {(each.method, re.sub(r":\w+}", "}", each.address)): each.role or "public" for each in ENDPOINTS}
    assert documented_ == there


def test_the_openapi_document_has_the_same_endpoints() -> None:
    paths = describe(ENDPOINTS)["paths"]
    described = {(method.upper(), path) for path, methods in paths.items() for method in methods}
    assert described == {(each.method, re.sub(r":\w+}", "}", each.address)) for each in ENDPOINTS}


def test_every_final_close_code_is_documented() -> None:
    rows = {int(code) for code in re.findall(r"^\| (4\d\d\d) \|", page("docs/http.md"), re.MULTILINE)}
    assert rows == {int(code) for code in CloseCode if 4400 <= code < 4500}


# pages


@pytest.mark.parametrize("name", PAGES)
def test_links_lead_somewhere(name: str) -> None:
    for target in LINK.findall(page(name)):
        if "://" not in target:
            path = (ROOT / name).parent / target.partition("#")[0]
            assert path.exists(), f"{name}: {target}"


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_written_for_its_readers(name: str) -> None:
    """No line is wider than an editor shows, but for those of tables and code."""
    text = re.sub(r"^```.*?^```$", "", page(name), flags=re.MULTILINE | re.DOTALL)
    wide = [line for line in text.splitlines() if len(line) > 140 and not line.startswith("|")]
    assert wide == []


def test_the_makefile_has_every_target_that_the_pages_name() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for name in PAGES:
        named = set(re.findall(r"`make ([a-z]+)[^`]*`|^\$ make ([a-z]+)", page(name), re.MULTILINE))
        assert {one or other for one, other in named} <= targets, name


def test_the_ci_calls_what_the_readme_calls() -> None:
    script = pathlib.Path(ROOT / ".ci" / "run").read_text()
    assert "make check" in script
    assert "make test" in script
