"""One FIX session of a certification, whose messages are sorted by the run they belong to.

Many runs share a session, side by side or one after the other. A message says by its LABEL which run it belongs to
(the gateway passes user-defined fields on); one that the gateway makes by itself is known by an id that the run
has noted. What belongs to no run is a stray, and a problem of the whole certification.

Threads: the engine's threads sort under the peer's condition; players wait on it, each for its own run.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterator
from time import monotonic
from typing import Any

from oms.sim.peer import FixPeer
from oms.sim.wire import Message

LABEL = 6001
_IDS = (11, 41, 37, 379)  # ClOrdID, OrigClOrdID, OrderID, BusinessRejectRefID
_REF_SEQ_NUM, _MSG_SEQ_NUM = 45, 34


class Line(FixPeer):
    """A client's or a broker's session. `take` gives a run its messages in the order in which they came."""

    def __init__(self, *arguments: Any, **more: Any) -> None:
        self._waiting: dict[str, deque[Message]] = defaultdict(deque)
        self._runs: dict[str, str] = {}  # an id, or the number of a message sent -> its run
        self.strays: list[Message] = []
        super().__init__(*arguments, **more)

    def note(self, identifier: str, run: str) -> None:
        """This ClOrdID(11) or OrderID(37) belongs to a run."""
        self._runs[identifier] = run

    def say(self, run: str, text: str) -> Message:
        """Send a message of a run, from MsgType(35) on. AssertionError while logged out."""
        sent = self.send(f"{text}|{LABEL}={run}")
        self._runs[f"#{sent[_MSG_SEQ_NUM]}"] = run
        return sent

    def take(self, run: str, seconds: float) -> Message | None:
        """The next message of a run, None if none has come in time or the engine would not take it."""
        deadline = monotonic() + seconds
        with self._changed:
            while not (waiting := self._waiting[run]):
                over = not self._changed.wait(deadline - monotonic()) and monotonic() >= deadline
                if over or any(self.refused_of(run)):
                    return None
            return waiting.popleft()

    def refused_of(self, run: str) -> Iterator[str]:
        """What the engine at this end would not take of a run, with its reason."""
        for message, reason in list(self.refused):
            if self._run_of(message) == run:
                yield f"{message} ({reason})"

    def _keep(self, where: list[Message], raw: str) -> None:
        super()._keep(where, raw)
        if where is self.received:
            message = where[-1]
            with self._changed:
                run = self._run_of(message)
                if run:
                    self._waiting[run].append(message)
                else:
                    self.strays.append(message)
                self._changed.notify_all()

    def _run_of(self, message: Message) -> str:
        if LABEL in message:
            return message[LABEL]
        for tag in _IDS:
            if run := self._runs.get(message.get(tag, "")):
                return run
        return self._runs.get(f"#{message.get(_REF_SEQ_NUM, '')}", "")
