"""The simulated broker's drop copy: its reports once more, on a second session.

A thread of its own sends them in their order while the gateway is logged on there; meanwhile they wait. `copied` is
told of each that left, on that thread. Limit: what the other side says there is ignored.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import replace

from oms.errors import Unsendable
from oms.sim.session import FixSession, SessionSpec

SUFFIX = "-COPY"


def drop_copy_spec(broker: SessionSpec, port: int) -> SessionSpec:
    """The drop copy session of a simulated broker: its name and SenderCompID(49) with -COPY."""
    name, sender = broker.name + SUFFIX, broker.sender + SUFFIX
    return replace(broker, name=name, sender=sender, port=port, directory=broker.directory / "drop_copy")


class DropCopy:
    """One drop copy session: `start`, `put`, `stop`."""

    def __init__(self, spec: SessionSpec, copied: Callable[[int], None]) -> None:
        self._copied = copied
        self._waiting: deque[tuple[int, str]] = deque()
        self._changed = threading.Condition()
        self._stopping = False
        self._session = FixSession(spec, _Listener(self._touch))
        self._worker = threading.Thread(target=self._run, name=f"sim-{spec.name}", daemon=True)

    def start(self) -> None:
        """Listen. OperatorError where the port is taken."""
        self._session.start()
        self._worker.start()

    def put(self, number: int, text: str) -> None:
        """A report is to be copied; `number` is its own."""
        with self._changed:
            self._waiting.append((number, text))
            self._changed.notify_all()

    def stop(self) -> bool:
        """Log out and end; what waits is not sent. False if the engine did not stop in time."""
        self._stopping = True
        self._touch()
        if self._worker.ident is not None:
            self._worker.join()
        return self._session.close()

    def _touch(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def _ready(self) -> bool:
        return self._stopping or (bool(self._waiting) and self._session.logged_on)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(self._ready)
            if self._stopping:
                return
            number, text = self._waiting[0]
            try:  # outside the lock: the engine's threads hold the session's own when they come here
                gone = bool(self._session.send(text))
            except Unsendable:
                gone = True  # it could not leave on the order session either, which says so
            if gone:
                self._waiting.popleft()
                self._copied(number)


class _Listener:
    """The engine's events: only a logon matters."""

    def __init__(self, logged_on: Callable[[], None]) -> None:
        self._logged_on = logged_on

    def logged_on(self, session: str, next_sender: int, next_target: int) -> None:
        self._logged_on()

    def logged_out(self, session: str) -> None:
        """What waits, waits."""

    def received(self, session: str, raw: str) -> None:
        """Nothing is expected."""

    def refused(self, session: str, raw: str, reason: str) -> None:
        """Nothing is expected."""

    def may_resend(self, session: str, raw: str) -> bool:
        return True

    def failed(self, session: str, raw: str, error: BaseException) -> None:
        """Nothing is done here that could."""
