"""Resident memory of a server process. `peak` needs Linux; elsewhere the figures are what it is at the end."""

from __future__ import annotations

import pathlib
import re

import psutil


def resident(pid: int) -> int:
    """Bytes now."""
    return int(psutil.Process(pid).memory_info().rss)


def forget_peak(pid: int) -> None:
    """The peak counts from here."""
    reset = pathlib.Path(f"/proc/{pid}/clear_refs")
    if reset.exists():
        reset.write_text("5")


def peak(pid: int) -> int:
    """The most bytes since `forget_peak`."""
    status = pathlib.Path(f"/proc/{pid}/status")
    if not status.exists():
        return resident(pid)
    found = re.search(r"VmHWM:\s+(\d+) kB", status.read_text())
    return int(found[1]) * 1024 if found else resident(pid)
