"""Watches the engines' threads: does one of them look after every session that is to be looked after?

Each connection has a thread of its own, and each initiator one that connects; as scripts/setup builds the engine,
both turn at least ten times a second and leave the time behind with their session. One that hangs in a callback,
waits for a lock that nobody gives back, or is no more, leaves none: its session looks logged on until the
counterparty gives up, two HeartBtInt(108) later. A thread that is made to wait because the queue of its session is
full is in order: that is back-pressure, and shown as such.

Limit: found out, told and counted; a thread cannot be brought back, only the gateway started again.
Thread: one of its own; `still` may be read from any.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable

import structlog

from oms.fix.engine import Engine
from oms.fix.watch import Watch

log = structlog.get_logger("oms.turning")

PAUSE_SECONDS = 1.0
PATIENCE_SECONDS = 5.0

REMEDY = "nothing of this session is read until the gateway is started again; tell the counterparty"


class TurnWatch(Watch):
    """Looks at every session of every engine. `held_back`: sessions that are made to wait just now."""

    def __init__(
        self,
        engines: Callable[[], Iterable[Engine]],
        held_back: Callable[[], Container[str]],
        pause: float = PAUSE_SECONDS,
        patience: float = PATIENCE_SECONDS,
        stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        super().__init__("turning", pause)
        self._engines = engines
        self._held_back = held_back
        self._patience = patience
        self._stopping = stopping  # then threads end, and that is no news
        self.turning: dict[str, bool] = {}  # by session that a thread is to look after; replaced as a whole
        self.still: dict[str, float] = {}  # seconds without a turn, by session; replaced as a whole
        self._late: frozenset[str] = frozenset()  # at the last look

    def look(self) -> None:
        """Look once."""
        if self._stopping():
            return
        found = {
            name: seconds
            for engine in self._engines()
            for name in engine.sessions
            if (seconds := engine.idle_seconds(name)) is not None
        }
        held_back = self._held_back()
        late = {name: one for name, one in found.items() if one > self._patience and name not in held_back}
        # Twice in a row: a process that was stopped and goes on finds all its threads late, for a moment.
        still = {name: seconds for name, seconds in late.items() if name in self._late}
        self._late = frozenset(late)
        for name in sorted(still.keys() - self.still.keys()):
            log.error("no thread of the engine looks after a session", session=name, remedy=REMEDY)
        for name in sorted(self.still.keys() - still.keys()):
            log.warning("the engine looks after a session again", session=name)
        self.still = still
        self.turning = {name: name not in still for name in found}
