"""A relay before Postgres that loses the answer to a commit, or the commit itself, and cuts the line there.

Listens on loopback, carries each connection to the server's socket (a directory as libpq's `host`), and looks for the
gateway's commit in what goes to the server. Armed with `lose_answer` it lets the next commit through, waits for the
server's answer, throws that away and resets the connection; with `lose_commit` the commit never reaches the server.
Either way the gateway cannot know which it was. Threads: one accepts, one per connection; `lose_*` from any thread.
"""

from __future__ import annotations

import re
import selectors
import socket
import struct
import threading
from contextlib import suppress
from pathlib import Path
from typing import Literal

CHUNK = 262_144
COMMIT = re.compile(rb"B.{4}\x00oms_commit\x00", re.DOTALL)  # a Bind message of the gateway's prepared statement
RESET = struct.pack("ii", 1, 0)
Loss = Literal["", "answer", "commit"]


class PgProxy:
    """One relay. `lost` counts what it lost."""

    def __init__(self, socket_file: Path, port: int = 0) -> None:
        self._target = str(socket_file)
        self._listener = socket.create_server(("127.0.0.1", port))
        self.port = int(self._listener.getsockname()[1])
        self.lost = 0
        self._loss: Loss = ""
        self._arming = threading.Lock()
        self._closed = False
        self._open: set[socket.socket] = set()
        threading.Thread(target=self._accept, name="pg-proxy", daemon=True).start()

    def lose_answer(self) -> None:
        """The next commit is done, and its answer lost."""
        self._loss = "answer"

    def lose_commit(self) -> None:
        """The next commit is lost on its way."""
        self._loss = "commit"

    def close(self) -> None:
        """Take no more connections and reset those there are."""
        self._closed = True
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for one in list(self._open):
            _reset(one)

    def _accept(self) -> None:
        while not self._closed:
            try:
                near, _ = self._listener.accept()
                near.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                far = socket.socket(socket.AF_UNIX)
                far.connect(self._target)
            except OSError:  # the server is away, or we are closed
                continue
            self._open |= {near, far}
            threading.Thread(target=self._carry, args=(near, far), daemon=True).start()

    def _carry(self, near: socket.socket, far: socket.socket) -> None:
        with suppress(OSError), selectors.DefaultSelector() as ready:
            ready.register(near, selectors.EVENT_READ, far)
            ready.register(far, selectors.EVENT_READ, near)
            loss: Loss = ""
            while True:
                for key, _ in ready.select():
                    one, other = key.fileobj, key.data
                    assert isinstance(one, socket.socket)
                    data = one.recv(CHUNK)
                    if not data or (one is far and loss == "answer"):
                        raise OSError
                    loss = loss or (self._take_loss(data) if one is near else "")
                    if loss == "commit":
                        raise OSError
                    other.sendall(data)
        for end in (near, far):
            self._open.discard(end)
            _reset(end)

    def _take_loss(self, data: bytes) -> Loss:
        with self._arming:
            loss = self._loss
            if not loss or not COMMIT.search(data):
                return ""
            self._loss = ""
            self.lost += 1
            return loss


def _reset(end: socket.socket) -> None:
    with suppress(OSError):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    end.close()
