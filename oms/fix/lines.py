"""Watches the lines of the FIX sessions from outside the engine, and cuts one whose reader has stopped.

A counterparty that keeps its connection and reads nothing, or is gone without a word while much was on its way, fills
the line's buffers. Then a send blocks without limit; it holds its session's lock, so that the engine's own time-outs
wait for it too, and the session looks logged on for ever: orders for that broker would stand still without anybody
being told. Cut, the session goes down as by any lost connection, and what was stored is resent at the next logon.

A line is stalled if its send buffer is full and nothing left it for the configured time; one that is read slowly is
not. Limit: where the system does not tell how much waits in a buffer (neither Linux nor macOS), nothing is watched.

Thread: one of its own. It never holds a connection but for the moment in which it cuts it.
"""

from __future__ import annotations

import fcntl
import os
import select
import socket
import struct
import sys
import termios
import time
from collections.abc import Iterable
from typing import NamedTuple

import psutil  # type: ignore[import-untyped]
import structlog

from oms.fix.watch import Watch

log = structlog.get_logger("oms.lines")

_SO_NWRITE = 0x1024  # macOS: bytes in the send buffer
_LOOKS = 10  # during the time that makes a line stalled
_SHORTEST_PAUSE = 0.2


class Line(NamedTuple):
    """One connection of ours: its descriptor and both ends."""

    descriptor: int
    here: tuple[str, int]
    there: tuple[str, int]


def unsent(descriptor: int) -> int | None:
    """Bytes that wait in a socket's send buffer, None where the system does not tell. Raises OSError."""
    if sys.platform == "linux":
        return int(struct.unpack("i", fcntl.ioctl(descriptor, termios.TIOCOUTQ, bytes(4)))[0])
    if sys.platform == "darwin":
        with socket.socket(fileno=os.dup(descriptor)) as line:
            return line.getsockopt(socket.SOL_SOCKET, _SO_NWRITE)
    return None


class LineWatch(Watch):
    """Looks at every connection to or from the sessions' ports."""

    def __init__(self, listening: Iterable[int], connecting: Iterable[int], seconds: float) -> None:
        super().__init__("lines", max(seconds / _LOOKS, _SHORTEST_PAUSE))
        self._listening = frozenset(listening)
        self._connecting = frozenset(connecting)
        self._seconds = seconds
        self._since: dict[Line, tuple[int, float]] = {}  # what waited at the last look, and since when nothing left

    def add(self, listening: Iterable[int], connecting: Iterable[int]) -> None:
        """Look at the lines of these ports too."""
        self._listening |= frozenset(listening)
        self._connecting |= frozenset(connecting)

    def look(self) -> None:
        """Cut the lines that are stalled."""
        for line in self.stalled(time.monotonic()):
            if cut(line):
                log.error(
                    "a counterparty took nothing off its line: the line is cut",
                    here=f"{line.here[0]}:{line.here[1]}",
                    there=f"{line.there[0]}:{line.there[1]}",
                    seconds=self._seconds,
                    remedy="what it has not got is resent when it logs on; ask it why it does not read",
                )

    def stalled(self, now: float) -> list[Line]:
        """The lines out of which nothing went for the configured time although they are full."""
        found: list[Line] = []
        before, self._since = self._since, {}
        for line in self._lines():
            try:
                waiting = unsent(line.descriptor)
                writable = select.poll()
                writable.register(line.descriptor, select.POLLOUT)
                full = not writable.poll(0)
            except OSError:  # closed this moment
                continue
            if waiting is None or not full:
                continue
            last, since = before.get(line, (waiting, now))
            self._since[line] = (waiting, now if waiting < last else since)
            if now - self._since[line][1] >= self._seconds:
                found.append(line)
        return found

    def _lines(self) -> list[Line]:
        try:
            connections = psutil.Process().net_connections("tcp")
        except psutil.Error:
            return []
        return [
            Line(one.fd, (one.laddr.ip, one.laddr.port), (one.raddr.ip, one.raddr.port))
            for one in connections
            if one.raddr and one.fd >= 0
            if one.laddr.port in self._listening or one.raddr.port in self._connecting
        ]


def cut(line: Line) -> bool:
    """Shut a connection, so that whoever waits for it goes on; False if it is gone, or its number is another's."""
    try:
        with socket.socket(fileno=os.dup(line.descriptor)) as held:
            if held.getsockname()[:2] != line.here or held.getpeername()[:2] != line.there:
                return False
            held.shutdown(socket.SHUT_RDWR)
    except OSError:
        return False
    return True
