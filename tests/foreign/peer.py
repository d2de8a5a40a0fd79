"""What the tests ask of a counterparty, whichever FIX engine it is made of.

A peer is one session, as a client (it connects) or as a broker (it listens). Texts are written with `|` from
MsgType(35) on. What arrives is kept in the order in which the foreign engine told of it; `expect` takes it out.
Limit: every wait ends after `SECONDS` with an AssertionError.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import NamedTuple

from oms.sim.peer import TIMED
from oms.sim.wire import Message, shown, utc_now, utc_timestamp, wired

SECONDS = 15.0


class Where(NamedTuple):
    """One session as its counterparty knows it."""

    name: str
    gateway: str
    version: str
    port: int
    heartbeat_seconds: int = 30


class ForeignPeer(ABC):
    """See the module head. Engines call `told` and `changed` from their own threads."""

    def __init__(self, where: Where) -> None:
        self.where = where
        self.version = where.version
        self.received: list[Message] = []
        self._untaken: list[Message] = []
        self._changed = threading.Condition()
        self._up = False

    # -- the test's side ---------------------------------------------------------------------------------

    @abstractmethod
    def connect(self) -> None:
        """Connect, or listen: the numbers go on from where they were."""

    @abstractmethod
    def cut(self) -> None:
        """Close the connection without a Logout(5), and stay away until `connect`."""

    @abstractmethod
    def log_out(self) -> None:
        """An orderly Logout(5); stay away until `connect`."""

    @abstractmethod
    def forget(self, count: int) -> None:
        """Lose the last messages that came: their numbers are expected again at the next logon."""

    @abstractmethod
    def leave(self, raw: str, lost: bool) -> None:
        """Send one application message; a lost one is numbered and stored, and does not reach the line."""

    @abstractmethod
    def close(self) -> None:
        """Let go of everything."""

    def send(self, text: str, *, lost: bool = False) -> None:
        """Send one message; TransactTime(60), and HandlInst(21) in 4.2, are added where the type needs them."""
        raw = wired(text)
        message = Message("\x01" + raw)
        if message.type in TIMED and 60 not in message:
            raw += f"60={utc_timestamp(utc_now())}\x01"
        if self.version == "4.2" and message.type in ("D", "G") and 21 not in message:
            raw += "21=1\x01"
        self.leave(raw, lost)

    def expect(self, kind: str, **tags: str) -> Message:
        """The first message of a type that was not taken yet and has these values, given as t11="A1"."""
        wanted = {int(tag[1:]): value for tag, value in tags.items()}
        found: list[Message] = []

        def there() -> bool:
            for message in self._untaken:
                if message.type == kind and all(message.get(tag) == value for tag, value in wanted.items()):
                    found.append(message)
                    self._untaken.remove(message)
                    return True
            return False

        self._wait(there, f"{kind} with {wanted}")
        return found[0]

    def wait_up(self) -> None:
        """Wait until the session is on."""
        self._wait(lambda: self._up, "logon")

    def wait_down(self) -> None:
        """Wait until the session is off."""
        self._wait(lambda: not self._up, "logout")

    def rejects(self) -> list[Message]:
        """Every Reject(3) that came, taken or not."""
        return [message for message in self.received if message.type == "3"]

    # -- the engine's side -------------------------------------------------------------------------------

    def told(self, raw: str) -> None:
        """A message came, as raw FIX."""
        with self._changed:
            message = Message(raw)
            self.received.append(message)
            self._untaken.append(message)
            self._changed.notify_all()

    def changed(self, up: bool) -> None:
        """The session logged on or out."""
        with self._changed:
            self._up = up
            self._changed.notify_all()

    def _wait(self, reached: Callable[[], bool], what: str) -> None:
        with self._changed:
            if not self._changed.wait_for(reached, SECONDS):
                left = "\n  ".join(shown(message.raw) for message in self._untaken)
                raise AssertionError(f"{self.where.name}: no {what} within {SECONDS} s; not taken:\n  {left}")
