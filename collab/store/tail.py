"""What was committed and nobody has taken yet, kept by the thread that writes. ADAPTER.

How nothing is missed. Frames of the write-ahead log are overwritten only after a checkpoint has brought all of them into the
file, and only the writer checkpoints. So it asks `may_checkpoint` first, which reads into memory whatever is not taken yet; and
when the next commit begins the log anew (another salt), its old frames are known to be taken. A log that begins anew otherwise
was checkpointed by somebody else, and is `Unfollowed`.

How the next process goes on. A log that is not empty holds the last mark, or it does not (`Wal.holds`: the checksum is over
everything before). When the store is closed with nothing left to take, the log is gone; then what the file looks like (inode,
size, times) is written beside it, and read, once, by whoever opens it next.
"""

from __future__ import annotations

import pathlib
from collections.abc import Callable
from typing import Final

import msgspec

from collab.ids import Millis
from collab.store.pages import Behind, Mark, Taken, Unfollowed
from collab.store.wal import End, Wal

AT_ONCE: Final = 2048
"""Frames that are read at a time (8 MB): so long a commit may have to wait, some milliseconds."""
HELD: Final = 8192
"""Pages that are held in memory (32 MB) so that a checkpoint may go on; then it waits until they are taken."""

LEFT: Final = "quire.sqlite-left"

NOWHERE: Final = Mark(b"", 0, 0, 0, Millis(0))


class Left(msgspec.Struct, frozen=True):
    """What the file looked like when it was closed at `mark`."""

    mark: Mark
    inode: int
    size: int
    modified: int
    changed: int

    @classmethod
    def of(cls, file: pathlib.Path, mark: Mark) -> Left:
        found = file.stat()
        return cls(mark, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def was_left_at(file: pathlib.Path) -> Mark | None:
    """The mark at which an earlier process closed the file, if nobody has touched it since. To be asked before anybody opens
    it; a second time there is no answer."""
    note = file.with_name(LEFT)
    try:
        content = note.read_bytes()
    except FileNotFoundError:
        return None
    note.unlink()
    log = file.with_name(file.name + "-wal")
    if not file.exists() or (log.exists() and log.stat().st_size):
        return None
    try:
        left = msgspec.msgpack.decode(content, type=Left)
    except msgspec.DecodeError:
        return None
    return left.mark if left == Left.of(file, left.mark) else None


class Tail:
    """Everything but `behind` and `stop` is for the writer's thread. `changed` is called there when, after everything was
    taken, something is committed."""

    def __init__(self, file: pathlib.Path, page_size: int, left_at: Mark | None, changed: Callable[[], None]) -> None:
        self._file = file
        self._wal = Wal(file, page_size)
        self._left_at = left_at
        self._changed = changed
        self._undecided = True
        self._following = False
        self._salt, self._frame = b"", 0
        self._sealed = False
        self._held: dict[int, bytes] = {}
        self._mark = NOWHERE
        self._at = Millis(0)
        self._since: Millis | None = None
        self._waiting = 0

    @property
    def page_size(self) -> int:
        return self._wal.page_size

    @property
    def following(self) -> bool:
        return self._following

    def behind(self) -> Behind:
        return Behind(self._since, self._waiting)

    def stop(self) -> None:
        """From any thread: what was not taken is not wanted any more."""
        self._undecided = self._following = False
        self._since, self._waiting = None, 0

    # -- what the writer does

    def opened(self, at: Millis) -> None:
        """The time of the newest commit there is."""
        self._at = at

    def committed(self, at: Millis, weight: int) -> None:
        self._at = at
        if not self._following:
            return
        if self._sealed:
            self._unseal()
        self._waiting += weight
        if self._since is None:
            self._since = at
            self._changed()

    def may_checkpoint(self) -> bool:
        """Whether everything is read that the log may lose by it."""
        if not self._following:
            return not self._undecided
        try:
            end = self._wal.end()
            self._follow_on(end)
            if end.frame - self._frame > AT_ONCE or len(self._held) > HELD:
                return False
            self._hold(end)
        except (Unfollowed, OSError):
            # Whoever follows hears of it at the next take; the store itself goes on.
            self.stop()
        else:
            self._sealed = True
        return True

    def closed(self) -> None:
        """SQLite has closed the file."""
        self._wal.close()
        if self._following and self._sealed and not self._held and self._since is None:
            self._file.with_name(LEFT).write_bytes(msgspec.msgpack.encode(Left.of(self._file, self._mark)))

    # -- what who follows asks for

    def resume(self, mark: Mark) -> bool:
        self._undecided = False
        end = self._wal.end()
        if mark == self._left_at:
            self._go_on(mark, End(end.salt, 0, 0, mark.pages))
        elif self._wal.holds(mark.salt, mark.frame, mark.checksum):
            self._go_on(mark, End(mark.salt, mark.frame, mark.checksum, mark.pages))
        else:
            return False
        if end.frame > self._frame:
            self._sealed = False
            self._since = self._at
            self._changed()
        return True

    def begin(self) -> Mark:
        """Everything up to now is taken."""
        end = self._wal.end()
        self._undecided = False
        self._go_on(Mark(end.salt, end.frame, end.checksum, end.pages, self._at), end)
        return self._mark

    def take(self) -> Taken:
        """`Unfollowed` when what was committed is not known."""
        if not self._following:
            raise Unfollowed("nobody follows the store")
        try:
            return self._take()
        except OSError as error:
            self.stop()
            raise Unfollowed(f"the write-ahead log cannot be read: {error.strerror}") from error
        except Unfollowed:
            self.stop()
            raise

    def _take(self) -> Taken:
        end = self._wal.end()
        self._follow_on(end)
        whole = True
        if end.frame - self._frame <= AT_ONCE:
            self._hold(end)
        else:
            whole = self._hold_some()
        pages, self._held = self._held, {}
        more = self._frame < end.frame
        if not more:
            self._since, self._waiting = None, 0
        return Taken(pages, self._mark, whole, more)

    def _go_on(self, mark: Mark, end: End) -> None:
        self._following = True
        self._mark = mark
        self._salt, self._frame = end.salt, end.frame
        self._sealed = True
        self._held = {}
        self._since, self._waiting = None, 0

    def _follow_on(self, end: End) -> None:
        """The log may have begun anew since it was last looked at."""
        if end.salt == self._salt:
            return
        if not self._sealed:
            raise Unfollowed("the write-ahead log began anew before all of it was read: another process has written")
        self._salt, self._frame = end.salt, 0

    def _unseal(self) -> None:
        """The first commit after everything was read: from here on, a log that begins anew has lost something. (A commit that
        changes nothing leaves the log as it is.)"""
        try:
            end = self._wal.end()
            self._follow_on(end)
        except (Unfollowed, OSError):
            self.stop()
        else:
            self._sealed = end.frame == self._frame

    def _hold(self, end: End) -> None:
        """Everything up to the end."""
        if end.frame == self._frame:
            return
        content = self._wal.read(self._frame, end.frame)
        newest, _, checksum = self._newest(content)
        if checksum != end.checksum:
            raise Unfollowed("the write-ahead log is not what its index says")
        self._keep(content, newest, Mark(end.salt, end.frame, end.checksum, end.pages, self._at))

    def _hold_some(self) -> bool:
        """What can be read at once: up to the last commit in it, or, of one that is larger, the first part."""
        content = self._wal.read(self._frame, self._frame + AT_ONCE)
        commits = [
            (position, pages, high << 32 | low)
            for position, (_, pages, _, high, low) in enumerate(self._wal.frames(content))
            if pages
        ]
        if commits:
            last, pages, checksum = commits[-1]
            content = content[: (last + 1) * (len(content) // AT_ONCE)]
            mark = Mark(self._salt, self._frame + last + 1, checksum, pages, self._at)
        else:
            mark = Mark(self._salt, self._frame + AT_ONCE, 0, 0, self._at)
        newest, _, _ = self._newest(content)
        self._keep(content, newest, mark)
        return bool(commits)

    def _newest(self, content: bytes) -> tuple[dict[int, int], int, int]:
        """Of every page the position of its last frame; how many frames; the checksum of the last."""
        newest: dict[int, int] = {}
        position, last = -1, 0
        for position, (number, _, salt, high, low) in enumerate(self._wal.frames(content)):
            if salt != self._salt:
                raise Unfollowed("the write-ahead log holds frames of another one")
            newest[number] = position
            last = high << 32 | low
        return newest, position + 1, last

    def _keep(self, content: bytes, newest: dict[int, int], mark: Mark) -> None:
        page = self._wal.page
        self._held.update((number, page(content, position)) for number, position in newest.items())
        self._frame, self._mark = mark.frame, mark
        self._sealed = False
