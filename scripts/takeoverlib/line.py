"""A relay in front of the Postgres socket of one machine, so that its line to the ledger can be stalled.

Libpq connects to a socket file in a directory of ours, and every byte is carried to the server's own socket. A
stalled line stays open and carries nothing, as when a network drops every packet. Threads: one accepts, two carry
per connection.
"""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from pathlib import Path

CHUNK = 65_536


class Line:
    """Listens on `directory`/NAME and carries to `server`."""

    def __init__(self, directory: Path, server: Path) -> None:
        self._server = server
        self._flowing = threading.Event()
        self._flowing.set()
        directory.mkdir(parents=True)
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(directory / server.name))
        self._listener.listen()
        threading.Thread(target=self._accept, name=f"line-{directory.name}", daemon=True).start()

    def stall(self) -> None:
        """Carry nothing until `flow`."""
        self._flowing.clear()

    def flow(self) -> None:
        """Carry again."""
        self._flowing.set()

    def close(self) -> None:
        """Stop listening."""
        self._flowing.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.socket(socket.AF_UNIX)
                far.connect(str(self._server))
                for one, other in ((near, far), (far, near)):
                    threading.Thread(target=self._carry, args=(one, other), daemon=True).start()

    def _carry(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while chunk := source.recv(CHUNK):
                self._flowing.wait()
                target.sendall(chunk)
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
