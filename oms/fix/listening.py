"""Watches the ports that clients connect to: does somebody still take connections off them?

A listening socket whose thread has died looks alive from outside: the system completes connections that nobody takes.
So a connection is made, nothing is sent, and the engine's own word that it accepted one is waited for. It is closed
again before a first message; no session hears of it, and it leaves no trace but the engine's line.

Thread: one of its own; `silent` may be read from any.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable, Mapping
from time import monotonic

import structlog

from oms.fix.watch import Watch

log = structlog.get_logger("oms.listening")

PAUSE_SECONDS = 3.0
PATIENCE_SECONDS = 3.0


class ListenWatch(Watch):
    """Asks every port in turn. `accepted`: when an engine last took a connection off a port (monotonic)."""

    def __init__(
        self,
        ports: Iterable[int],
        accepted: Callable[[], Mapping[int, float]],
        pause: float = PAUSE_SECONDS,
        patience: float = PATIENCE_SECONDS,
        stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        super().__init__("listening", pause)
        self.ports = sorted(set(ports))
        self._accepted = accepted
        self._patience = patience
        self._stopping = stopping  # then ports close, and that is no news
        self.silent: dict[int, float] = {}  # since when nobody takes connections, by port; replaced as a whole

    def start(self) -> None:
        """Begin to ask, where there is a port."""
        if self.ports:
            super().start()

    def add(self, ports: Iterable[int]) -> None:
        """Ask these ports too, which are open by now."""
        self.ports = sorted({*self.ports, *ports})
        self.start()

    def look(self) -> None:
        """Ask every port once."""
        for port in self.ports:
            before = self.silent.get(port)
            if self._taken(port):
                self.silent = {one: since for one, since in self.silent.items() if one != port}
            elif before is None and not self._ended.is_set() and not self._stopping():
                self.silent = self.silent | {port: monotonic()}
                log.error(
                    "nobody takes connections from clients",
                    port=port,
                    remedy="sessions that are logged on go on; start the gateway again to let others log on",
                )

    def _taken(self, port: int) -> bool:
        """Whether a connection is taken off a port in time."""
        asked = monotonic()
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=self._patience) as line:
                line.shutdown(socket.SHUT_WR)  # nobody waits for a handshake
                while monotonic() - asked < self._patience and not self._ended.is_set():
                    if self._accepted().get(port, 0.0) >= asked:
                        return True
                    self._ended.wait(0.02)
        except OSError:
            return False
        return False
