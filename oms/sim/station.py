"""What both simulators are: one FIX session, a record, a worker thread, and a lock round the simulator's state.

The engine's threads hand messages over and return; the worker alone sends, and does what time brings. Everything that
changes is written to the record under the lock, before the engine may forget the message. Subclasses say what a
message means (`_take`), what time brings (`_pass_time`) and what leaves next (`_next_out`).
Invariants: what `_next_out` gives is sent at most once, in its order; while the session is down nothing is taken out.
"""

from __future__ import annotations

import json
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from oms.errors import OperatorError, Unsendable
from oms.fix.handle import msg_seq_num
from oms.sim.record import Line, Record, read_lines, to_json
from oms.sim.session import FixSession, SessionSpec
from oms.sim.wire import Message, utc_now

DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
SENT_AT_ONCE = 64
LONGEST_WAIT = 0.5  # seconds: how late a stop may be noticed if its wake-up were lost


@dataclass(slots=True)
class Outgoing:
    """One thing to send: `text` is raw FIX from MsgType(35) on, empty for "cut the connection"."""

    text: str
    key: Any = None


def base36(number: int) -> str:
    """A number in digits and capital letters."""
    text = ""
    while number:
        number, digit = divmod(number, 36)
        text = DIGITS[digit] + text
    return text or "0"


class Station(ABC):
    """A running simulator. `start`, then `wait_for` or `wait`, then `stop`. Fit for use in a test's own process."""

    role = ""

    def __init__(self, spec: SessionSpec, *, seed: int, stamp: str = "") -> None:
        self.spec = spec
        self.seed = seed
        self.stamp = stamp or base36(int(utc_now().timestamp() * 1000))
        self.logons = 0
        self.failures: list[str] = []
        self.finished = False
        self.changed = threading.Condition()
        self._changes = 0  # counts what the engine's threads brought, so that the worker misses nothing
        self._stopping = False
        self._stopped = False
        self._path = spec.directory / "record.jsonl"
        self._record = Record(self._path)
        self._restore(list(read_lines(self._path)))
        self._session = FixSession(spec, _Listener(self))
        self._worker = threading.Thread(target=self._run, name=f"sim-{spec.name}", daemon=True)

    # -- the owner's side --------------------------------------------------------------------------------

    def start(self) -> None:
        """Write the start line, then listen or begin to connect. OperatorError where the port is taken."""
        self._write(
            "start", name=self.spec.name, role=self.role, version=self.spec.version, seed=self.seed, stamp=self.stamp
        )
        try:
            self._session.start()
        except OperatorError:
            self.stop()
            raise
        self._worker.start()

    def stop(self) -> dict[str, Any]:
        """Log out, end the worker, write the summary; returns it. A second call does nothing more."""
        if self._stopped:
            return self.summary()
        with self.changed:
            self._stopping = self._stopped = True
            self.changed.notify_all()
        if self._worker.ident is not None:
            self._worker.join()
        if not self._session.close():
            self.failures.append("the FIX engine did not stop in time")
        with self.changed:
            summary = self.summary()
            self._write("stop")
            self._record.close()
        text = json.dumps(summary, default=to_json, indent=2)
        (self.spec.directory / "summary.json").write_text(text + "\n", encoding="utf-8")
        return summary

    def wait_for(self, reached: Callable[[], bool], seconds: float = 10.0) -> bool:
        """Wait until `reached` holds; it is asked under the lock after each change. False after `seconds`."""
        with self.changed:
            return self.changed.wait_for(reached, seconds)

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until the simulator has finished by itself. False after `seconds`."""
        with self.changed:
            return self.changed.wait_for(lambda: self.finished or self._stopping, seconds)

    @property
    def logged_on(self) -> bool:
        """Whether the session is up."""
        return self._session.logged_on

    def disconnect(self) -> None:
        """Cut the connection without a Logout(5)."""
        self._session.disconnect()

    def summary(self) -> dict[str, Any]:
        """Figures for people, as they are now."""
        with self.changed:
            return self._summary()

    # -- what a subclass does, always under the lock -----------------------------------------------------

    @abstractmethod
    def _summary(self) -> dict[str, Any]:
        """Figures for people, as they are now."""

    @abstractmethod
    def _restore(self, lines: list[Line]) -> None:
        """Take up from an earlier run's record; an empty list for none."""

    @abstractmethod
    def _take(self, message: Message, now: datetime) -> None:
        """A message came."""

    @abstractmethod
    def _pass_time(self, now: datetime) -> datetime | None:
        """Do what time brings; returns when to look again, None for "when something happens"."""

    @abstractmethod
    def _next_out(self, now: datetime) -> Outgoing | None:
        """What leaves next, None for nothing. Asked only while the session is up."""

    @abstractmethod
    def _sent(self, out: Outgoing, seq: int) -> None:
        """It left, with this MsgSeqNum(34)."""

    @abstractmethod
    def _not_sent(self, out: Outgoing) -> None:
        """The session went down before it could leave: nothing was stored or sent."""

    @abstractmethod
    def _session_up(self) -> None:
        """The session came up."""

    @abstractmethod
    def _rejected(self, message: Message, now: datetime) -> None:
        """A session-level Reject(3) came."""

    # -- inside ------------------------------------------------------------------------------------------

    def _write(self, kind: str, **values: Any) -> None:
        self._record.write({"at": utc_now(), "kind": kind, **values})

    def _run(self) -> None:
        while True:
            with self.changed:
                if self._stopping:
                    return
                now = utc_now()
                seen = self._changes
                due = self._pass_time(now)
                self.changed.notify_all()
            if not self._send_some():
                with self.changed:
                    if not self._stopping and seen == self._changes:
                        self.changed.wait(_seconds_until(due, now))

    def _send_some(self) -> bool:
        """Send what is there, up to a bound, so that time is looked at in between; whether anything left."""
        for count in range(SENT_AT_ONCE):
            with self.changed:
                out = self._next_out(utc_now()) if self._session.logged_on and not self._stopping else None
            if out is None or not self._send(out):
                return count > 0
        return True

    def _send(self, out: Outgoing) -> bool:
        # Outside the lock: the engine's threads hold the session's own lock when they ask for ours.
        raw, unsendable = "", ""
        try:
            if out.text:
                raw = self._session.send(out.text)
            else:
                self._session.disconnect()
        except Unsendable as error:
            unsendable = str(error)
        with self.changed:
            if unsendable:
                self.failures.append(unsendable)
                self._write("failure", raw=out.text, reason=unsendable)
            if raw or unsendable or not out.text:
                self._sent(out, msg_seq_num(raw))
            else:
                self._not_sent(out)
            self.changed.notify_all()
        return bool(raw)

    def _touch(self) -> None:
        self._changes += 1
        self.changed.notify_all()

    def _up(self) -> None:
        with self.changed:
            self.logons += 1
            self._write("session", state="logged on")
            self._session_up()
            self._touch()

    def _down(self) -> None:
        with self.changed:
            if not self._stopped:
                self._write("session", state="logged out")
            self._touch()

    def _arrived(self, raw: str) -> None:
        with self.changed:
            message = Message(raw)
            (self._rejected if message.type == "3" else self._take)(message, utc_now())
            self._touch()

    def _problem(self, kind: str, raw: str, reason: str) -> None:
        with self.changed:
            if kind == "failure":
                self.failures.append(reason)
            self._write(kind, raw=raw, reason=reason)
            self._touch()


class _Listener:
    """The engine's events, handed to the station. Runs on the engine's threads."""

    def __init__(self, station: Station) -> None:
        self._station = station

    def logged_on(self, session: str, next_sender: int, next_target: int) -> None:
        self._station._up()

    def logged_out(self, session: str) -> None:
        self._station._down()

    def received(self, session: str, raw: str) -> None:
        self._station._arrived(raw)

    def refused(self, session: str, raw: str, reason: str) -> None:
        self._station._problem("refused", raw, reason)

    def may_resend(self, session: str, raw: str) -> bool:
        return True

    def failed(self, session: str, raw: str, error: BaseException) -> None:
        self._station._problem("failure", raw, f"{type(error).__name__}: {error}")


def _seconds_until(due: datetime | None, now: datetime) -> float:
    if due is None:
        return LONGEST_WAIT
    return min(max((due - now) / timedelta(seconds=1), 0.0), LONGEST_WAIT)
