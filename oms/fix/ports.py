"""Engines of clients: one that opens ports, and one whose sessions come to a port that another has open.

Any connection of the process can serve any session, as scripts/setup builds the engine (`port_edits`). So clients
that are added on an open port while others trade are made by an engine of their own, a guest, which opens none, and
are then let in at the port's.
Invariant: a guest's sessions go after its host has ended, whose threads use them until then.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import quickfix as fix

from oms.fix.engine import Engine


class Host(Engine):
    """An engine that opens ports. The rest is as for `Engine`."""

    def __init__(self, ports: Iterable[int], *of: Any, **more: Any) -> None:
        super().__init__(*of, **more)
        self._to_open = frozenset(ports)
        self.ports: frozenset[int] = frozenset()  # those that are open
        self._guests: list[Guest] = []

    def start(self) -> None:
        """As of `Engine`."""
        super().start()
        self.ports = self._to_open

    def let_in(self, guest: Guest, port_of: Mapping[str, int]) -> None:
        """Let the sessions of a guest log on at these ports. Raises OSError where one is open no more."""
        self._guests.append(guest)  # first: a stop that comes in between must know of it
        native = getattr(self, "_engine", None)
        for name, handle in guest.sessions.items():
            port = port_of[name]
            if port not in self.ports or not fix._quickfix.acceptor_let_in(native, port, handle.native_id):
                raise OSError(f"port {port} is open no more")

    def _served(self) -> Iterable[Engine]:
        self.ports = frozenset()
        return (self, *self._guests)


class Guest(Engine):
    """An engine that opens no port; `host` has those of `port_of`, by session. The rest is as for `Engine`."""

    def __init__(self, host: Host, port_of: Mapping[str, int], *of: Any, **more: Any) -> None:
        super().__init__(*of, **more)
        self._host = host
        self._port_of = dict(port_of)

    def start(self) -> None:
        """Let the sessions log on. Raises OSError where their port is open no more."""
        self._host.let_in(self, self._port_of)

    def stop(self, seconds: float = 5.0) -> bool:
        """As of `Engine`: with the host, whose threads serve these sessions."""
        finished = self._host.stop(seconds)
        if finished and hasattr(self, "_engine"):
            self.drop()
        return finished
