"""Relays between the gateway and its counterparties, so that a line can be cut or stalled from outside of both.

A cut is a reset: what is on its way is lost, as when a router dies. A stalled line stays open and carries nothing, so
that buffers fill up and nobody is told. Threads: one accepts per link, two carry per connection; `cut`, `stall` and
`close` may be called from any thread. Limits: loopback, a few connections, no more speed than tests need.
"""

from __future__ import annotations

import socket
import struct
import threading
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from typing import Literal

CHUNK = 65_536
HANDSHAKE = b"\x16"  # the first byte of a TLS connection; that of one without is the 8 of BeginString(8)
LOOPBACK = "127.0.0.1"
Towards = Literal["target", "caller"]
RESET = struct.pack("ii", 1, 0)  # SO_LINGER of no time: closing sends a reset and drops what is queued


class Link:
    """Listens on one port and carries every connection to another."""

    def __init__(self, listen: int, target: int, *, buffer: int = 0) -> None:
        """`buffer`: bytes that the system may keep for us per direction; 0 leaves that to it."""
        self.carried: Counter[str] = Counter()  # connections by what their caller's first byte says: TLS or plain
        self.port = listen
        self._target = target
        self._buffer = buffer
        self._chunk = min(CHUNK, buffer or CHUNK)
        self._flowing = {towards: threading.Event() for towards in ("target", "caller")}
        self.release()
        self._open: set[socket.socket] = set()
        self._doomed: set[socket.socket] = set()
        self._ended: set[socket.socket] = set()  # from which no more will come
        self._lock = threading.Lock()
        self._closed = False
        self._listener = socket.create_server((LOOPBACK, listen))
        self._bound(self._listener)  # a connection taken inherits it
        threading.Thread(target=self._accept, name=f"link-{listen}", daemon=True).start()

    def cut(self) -> int:
        """Reset every connection; returns how many there were."""
        with self._lock:
            ends, self._open, self._doomed = self._open, set(), set()
        for end in ends:
            _reset(end)
        return len(ends) // 2

    def cut_within(self) -> None:
        """Reset every connection in the middle of what it carries next: half of a message or TLS record arrives."""
        with self._lock:
            self._doomed |= self._open

    @property
    def doomed(self) -> int:
        """Connections that `cut_within` is still to reset, because nothing has come since."""
        return len(self._doomed) // 2

    def stall(self, seconds: float) -> None:
        """Carry nothing for a while, without closing anything."""
        self.hold()
        timer = threading.Timer(seconds, self.release)
        timer.daemon = True
        timer.start()

    def hold(self, *towards: Towards) -> None:
        """Carry nothing until `release`, as if the other side were gone without a word; or nothing one way."""
        for one in towards or self._flowing:
            self._flowing[one].clear()

    def release(self) -> None:
        """Carry again, what was held first."""
        for one in self._flowing.values():
            one.set()

    def close(self) -> None:
        """Stop listening and reset what is open."""
        self._closed = True
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes the thread in accept
        self._listener.close()
        self.release()
        self.cut()

    def _accept(self) -> None:
        while not self._closed:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            try:
                far = self._connected()
            except OSError:  # nobody there: the caller finds out as it would without us
                _reset(near)
                continue
            far.settimeout(None)
            for end in (near, far):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                self._open |= {near, far}
            target, caller = self._flowing.values()
            for ways in ((near, far, target), (far, near, caller)):
                threading.Thread(target=self._carry, args=ways, daemon=True).start()

    def _began(self, data: bytes) -> None:
        with self._lock:
            self.carried["TLS" if data.startswith(HANDSHAKE) else "plain"] += 1

    def _both_ended(self, one: socket.socket, other: socket.socket) -> bool:
        """Note that what came from `one` has ended in an orderly way; False while the other direction goes on."""
        with self._lock:
            self._ended.add(one)
            return other in self._ended

    def _forget(self, one: socket.socket, other: socket.socket) -> None:
        with self._lock:
            for those in (self._open, self._doomed, self._ended):
                those -= {one, other}

    def _bound(self, end: socket.socket) -> None:
        if self._buffer:
            end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._buffer)
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, self._buffer)

    def _connected(self) -> socket.socket:
        far = socket.socket()
        try:
            self._bound(far)
            far.settimeout(5)
            far.connect((LOOPBACK, self._target))
        except OSError:
            far.close()
            raise
        return far

    def _carry(self, one: socket.socket, other: socket.socket, flowing: threading.Event) -> None:
        fresh = flowing is self._flowing["target"]  # who calls speaks first, with TLS and without
        with suppress(OSError):
            while data := one.recv(self._chunk):
                if fresh:
                    self._began(data)
                    fresh = False
                flowing.wait()
                if one in self._doomed:
                    other.sendall(data[: len(data) // 2])
                    break
                other.sendall(data)
            else:
                other.shutdown(socket.SHUT_WR)
                if self._both_ended(one, other):
                    self._forget(one, other)
                    one.close()  # no reset: what is still queued arrives
                    other.close()
                return
        self._forget(one, other)
        for end in (one, other):
            _reset(end)


def _reset(end: socket.socket) -> None:
    with suppress(OSError):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        end.shutdown(socket.SHUT_RDWR)  # wakes a thread that reads
    end.close()


def close_all(links: Iterable[Link]) -> None:
    """Close them all."""
    for link in links:
        link.close()
