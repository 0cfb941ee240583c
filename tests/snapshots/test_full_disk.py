"""A disk that is full: the status says so, nothing is lost, and commits go on by themselves once there is room."""

from __future__ import annotations

import pathlib
import subprocess
import sys

import pytest


@pytest.mark.parametrize("limit", [2_000_000, 1], ids=["for git", "for everything"])
def test_a_full_disk_is_said_and_commits_go_on_when_there_is_room(tmp_path: pathlib.Path, limit: int) -> None:
    command = [sys.executable, "-m", "tests.snapshots.full_disk", str(tmp_path), str(limit)]
    done = subprocess.run(command, check=False, timeout=60, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
