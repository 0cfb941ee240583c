"""One process to a data directory.

The lock is the kernel's (`flock` on `DIR/lock`): it goes with the process, however that ends, so that a restart after
`kill -9` follows at once. Children do not inherit it (the descriptor is closed on exec; workers are spawned, not forked).
What breaks it: a network file system without locks, and deleting the lock file while a process holds it.
"""

from __future__ import annotations

import errno
import fcntl
import os
import pathlib

from collab.errors import Unavailable


class DirectoryLock:
    """Held from its making until `release`."""

    def __init__(self, folder: pathlib.Path) -> None:
        self._descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(self._descriptor, 32, 0).decode("ascii", "replace").strip()
            os.close(self._descriptor)
            if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                raise
            process = f"process {holder}" if holder else "another process"
            raise Unavailable(
                f"{folder} is in use: {process} serves it; stop that process first, or send the command to it",
                details={"folder": str(folder), "process": holder},
            ) from error
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, f"{os.getpid()}\n".encode("ascii"), 0)

    def release(self) -> None:
        os.ftruncate(self._descriptor, 0)
        # Said, not left to `close`: a child that was just forked has the descriptor until it becomes its program.
        fcntl.flock(self._descriptor, fcntl.LOCK_UN)
        os.close(self._descriptor)
