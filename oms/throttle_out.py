"""Clients that went on beyond their rate are logged out, and may log on again after a time (OmsOverRate=disconnect).

What an operator would do by `oms sessions logout` and `logon` is done in the name of `oms`: journaled, committed,
then told to the engine, and shown by `oms sessions show`. A person may let the client in before its time; one whom a
person keeps out stays out. As with any logout, a start lets everybody in.
Threads: `over` from the core thread, which never waits; the work is done in a thread of its own, because the engine
and the ledger may be slow.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial

import structlog

from oms import inbox as box
from oms.config.sessions import SessionSpec
from oms.config.throttles import Rate
from oms.core.throttled import RULE
from oms.errors import OperatorError
from oms.inbox import Heard, now_us
from oms.ops.session_control import LOGON, LOGOUT, SessionControl
from oms.throttle import Throttle

log = structlog.get_logger("oms.sessions")

OPERATOR = "oms"
_STOP_SECONDS = 1.0


class LogOuts:
    """Logs out and on again. `tell` puts an entry into the inbox; `sessions` is there once the gateway runs."""

    def __init__(self, tell: Callable[[Heard], None], sessions: Callable[[], SessionControl]) -> None:
        self._tell = tell
        self._sessions = sessions
        self._queue: queue.SimpleQueue[tuple[str, Rate] | None] = queue.SimpleQueue()
        self._due: dict[str, float] = {}  # when who may log on again, of time.monotonic
        self._thread = threading.Thread(target=self._run, name="throttle-out", daemon=True)

    def throttles(self, specs: Mapping[str, SessionSpec]) -> dict[str, Throttle]:
        """Of every session that has a rate, one that tells here."""
        return {
            name: Throttle(rate, partial(self.over, name, rate))
            for name, spec in specs.items()
            if (rate := spec.rate) is not None
        }

    def over(self, name: str, rate: Rate, refused: int) -> None:
        """A client had so many messages refused within a second: an exception item tells, and it is logged out."""
        self._tell(Heard(box.OVER_RATE, name, "", (refused, rate.per_second, rate.out_seconds), now_us()))
        self._queue.put((name, rate))

    def start(self) -> None:
        """Begin to work on what is told."""
        self._thread.start()

    def stop(self) -> None:
        """Log nobody out or on any more."""
        self._queue.put(None)
        if self._thread.is_alive():
            self._thread.join(_STOP_SECONDS)

    def _run(self) -> None:
        while True:
            try:
                found = self._queue.get(timeout=self._pause())
            except queue.Empty:
                self._let_in()
                continue
            if found is None:
                return
            self._log_out(*found)

    def _pause(self) -> float | None:
        return max(min(self._due.values()) - time.monotonic(), 0.0) if self._due else None

    def _log_out(self, name: str, rate: Rate) -> None:
        text = f"{RULE}: more than {rate.per_second} messages in a second; log on again in {rate.out_seconds} s"
        try:
            self._sessions().verbs[LOGOUT](OPERATOR, LOGOUT, {"session": name, "text": text})
        except OperatorError as error:  # a person was faster, or the ledger is gone
            log.warning("client is over its rate and was not logged out", session=name, reason=str(error))
        self._due[name] = time.monotonic() + rate.out_seconds

    def _let_in(self) -> None:
        """Those whose time is over, unless a person has decided otherwise meanwhile."""
        now = time.monotonic()
        for name in [name for name, due in self._due.items() if due <= now]:
            del self._due[name]
            sessions = self._sessions()
            why = sessions.kept_out.get(name)
            if why is None or (why.verb, why.operator) != (LOGOUT, OPERATOR):
                continue
            try:
                sessions.verbs[LOGON](OPERATOR, LOGON, {"session": name, "text": f"{RULE}: its time is over"})
            except OperatorError as error:
                log.warning("client could not be let in again", session=name, reason=str(error))
                if name in sessions.kept_out:
                    self._due[name] = now + 1.0
