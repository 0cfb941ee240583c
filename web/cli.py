"""The `quire` command: finds the command that is asked for, and says what went wrong in one line.

Exit status: 0 done, 1 failed, 2 conflicts (somebody changed the same lines, or files), 64 the command line cannot
be (click's own is 2, which scripts could not tell from conflicts), 130 stopped by Ctrl-C. Bad input never shows a
traceback; `--debug` always does.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
import traceback
from collections.abc import Sequence
from typing import Any, Final, NoReturn

import click

from collab.errors import QuireError
from web.commands.common import CommandFailed, State

DONE: Final = 0
FAILED: Final = 1
CONFLICTS: Final = 2
USAGE: Final = 64
"""EX_USAGE of sysexits.h."""
STOPPED: Final = 130

COMMANDS: Final = {
    "serve": "web.commands.serve:serve",
    "open": "web.commands.login:open_page",
    "import": "web.commands.imports:import_project",
    "export": "web.commands.exports:export_project",
    "connect": "web.commands.connect:connect",
    "snapshot": "web.commands.snapshots:snapshot",
    "pull": "web.commands.pulls:pull",
    "status": "web.commands.snapshots:status",
    "snapshotter": "web.commands.snapshotter:snapshotter",
    "token": "web.commands.tokens:token",
    "invite": "web.commands.tokens:invite",
    "verify": "web.commands.verify:verify",
    "backup": "web.commands.backup:backup",
    "restore": "web.commands.backup:restore",
}
"""Name -> where it is: only what is used is imported, so that `quire serve` starts quickly."""


class Commands(click.Group):
    """A group that imports a command when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        where = COMMANDS.get(cmd_name)
        if where is None:
            return None
        module, name = where.split(":")
        command: click.Command = getattr(importlib.import_module(module), name)
        return command


@click.command(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="quire-server", prog_name="quire")
def quire() -> None:
    """Multiplayer files for people and AI agents, backed by git.

    \b
    Begin with:
      quire serve                            serve on http://127.0.0.1:8000, data in ./quire-data
      quire import ~/my/repo --project notes a git repository, folder or archive becomes a project

    Every command but `serve` finds the server by --url (or QUIRE_URL), or by the data directory --data (or
    QUIRE_DATA, else ./quire-data). Settings are environment variables QUIRE_*, or a file named by QUIRE_CONFIG.

    Exit status: 0 done, 1 failed, 2 conflicts, 64 the command line cannot be.
    """


def run(arguments: Sequence[str] | None = None) -> int:
    """One command; its exit status."""
    state = State()
    try:
        result = quire.main(args=arguments, prog_name="quire", standalone_mode=False, obj=state)
    except BaseException as error:  # noqa: BLE001 - the one place where everything ends as a line and a status
        if state.debug:
            traceback.print_exc()
        return _failed(_innermost(error))
    return result if isinstance(result, int) else DONE


def _innermost(error: BaseException) -> BaseException:
    """Task groups wrap what was raised inside them."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def _failed(error: BaseException) -> int:
    match error:
        case SystemExit():
            return error.code if isinstance(error.code, int) else FAILED
        case click.UsageError():
            error.show()
            return USAGE
        case click.Abort() | KeyboardInterrupt():
            _error("stopped")
            return STOPPED
        case BrokenPipeError():
            _close_stdout()
            return FAILED
        case click.ClickException():
            error.show()
            return FAILED
        case CommandFailed():
            _error(error.message, error.hint)
            return error.status
        case QuireError():
            _error(error.message)
            return FAILED
        case OSError():
            name = f": {error.filename}" if error.filename else ""
            _error(f"{error.strerror or error}{name}")
            return FAILED
        case _:
            _error(f"unexpected {type(error).__name__}: {error}", "this is a fault of Quire; --debug shows where")
            return FAILED


def _error(message: str, hint: str | None = None) -> None:
    click.echo(f"error: {message}", err=True)
    if hint:
        click.echo(f"  {hint}", err=True)


def _close_stdout() -> None:
    """Whoever read our output has gone; Python must not complain again when it flushes at its end."""
    with contextlib.suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def main(*_: Any) -> NoReturn:
    sys.exit(run())


if __name__ == "__main__":
    main()
