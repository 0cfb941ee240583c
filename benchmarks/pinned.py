"""python pinned.py CORE COMMAND...: runs the command on one core, so that a server and its load do not share it.

Where the system cannot pin (macOS) or has no such core, the command runs unpinned.
"""

from __future__ import annotations

import os
import sys

SERVER_CORE = 0
LOAD_CORE = 1


def on(core: int) -> list[str]:
    """What goes before a command to pin it."""
    return [sys.executable, __file__, str(core)]


def main(arguments: list[str]) -> None:
    core, *command = arguments
    if hasattr(os, "sched_setaffinity") and int(core) in os.sched_getaffinity(0):
        os.sched_setaffinity(0, {int(core)})
    os.execvp(command[0], command)


if __name__ == "__main__":
    main(sys.argv[1:])
