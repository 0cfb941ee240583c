"""Answers one `fetch` in a process of its own: what is walked and packed may be large, and nobody who types waits for it.

What it promises
1. Whatever goes wrong is said to the client in git's own way: before the pack as a packet `ERR`, within it on the band that
   ends everything. A pack that was not finished is never taken for one.
2. While it searches it shows signs of life, so that no proxy takes it for dead.
"""

from __future__ import annotations

import os
import pathlib
import time
import zlib
from collections.abc import Iterator
from typing import IO, Final

import msgspec

from collab.errors import QuireError
from snapshots import child
from snapshots.packs import history, outgoing
from snapshots.packs.history import Graph, Selection, Shallow, Tick
from snapshots.packs.objects import Objects
from snapshots.packs.repository import read_refs
from web.git import advertisement, fetching
from web.git.fetching import Answer
from web.git.packing import Fetch
from web.git.pktline import FLUSH, Sideband

SIGN: Final = 1.0
"""Seconds between two signs of life."""


def main() -> None:
    content, answer = child.begin()
    request = msgspec.msgpack.decode(content, type=Fetch)
    try:
        # What is open stays open when the project gets another name, and its repository another place.
        os.chdir(request.repository)
        respond(request, answer)
        answer.flush()
    except BrokenPipeError:
        child.end(child.ENDED)
    child.end()


def respond(request: Fetch, out: IO[bytes]) -> None:
    objects = Objects(pathlib.Path("objects"))
    try:
        command = advertisement.command(request.body) if request.version == 2 else None
        wanted = fetching.parse_2(command.arguments) if command is not None else fetching.parse(request.body)
        refs = read_refs(pathlib.Path()).at(request.branch)
        answer = Answer(wanted, Graph(objects), refs.only(request.branch) if request.only else refs, tips=request.only)
        for packet in answer.packets():
            out.write(packet)
    except QuireError as error:
        out.write(advertisement.refused(error.message))
        return
    if answer.shallow is None:
        return
    if wanted.sideband:
        _multiplexed(objects, answer, answer.shallow, out)
    else:
        out.writelines(_pack(objects, answer, _selected(answer, answer.shallow, history.no_tick)))


def _multiplexed(objects: Objects, answer: Answer, shallow: Shallow, out: IO[bytes]) -> None:
    band = Sideband(answer.wanted.sideband)
    progress = _Progress(band, out, quiet=not answer.wanted.progress)
    try:
        selection = _selected(answer, shallow, progress.found)
        progress.counted(len(selection.oids))
        for piece in _pack(objects, answer, selection):
            out.writelines(band.data(piece))
    except (QuireError, KeyError, OSError, zlib.error) as error:
        if isinstance(error, BrokenPipeError):
            raise
        out.write(band.fatal(f"The repository cannot be read: {error!r}\n"))
        return
    out.write(FLUSH)


def _selected(answer: Answer, shallow: Shallow, tick: Tick) -> Selection:
    return history.select(
        answer.graph,
        answer.wants,
        answer.haves,
        cut=shallow.cut,
        filter_=answer.wanted.filter,
        tags=answer.refs.tags if answer.wanted.include_tag else None,
        tick=tick,
    )


def _pack(objects: Objects, answer: Answer, selection: Selection) -> Iterator[bytes]:
    return outgoing.pack(objects, selection, ofs_delta=answer.wanted.ofs_delta, thin=answer.wanted.thin)


class _Progress:
    """What people see while they wait; where nobody looks, only signs of life."""

    def __init__(self, band: Sideband, out: IO[bytes], *, quiet: bool) -> None:
        self._band, self._out, self._quiet = band, out, quiet
        self._shown = time.monotonic()

    def found(self, objects: int) -> None:
        if time.monotonic() - self._shown < SIGN:
            return
        self._shown = time.monotonic()
        self._out.write(Sideband.ALIVE if self._quiet else self._band.say(f"Looking for objects: {objects:,}\r"))
        self._out.flush()

    def counted(self, objects: int) -> None:
        if not self._quiet:
            self._out.write(self._band.say(f"Sending {objects:,} object{'' if objects == 1 else 's'}.\n"))
        self._out.flush()
