"""A scripted FIX counterparty for tests: send what the test says, expect what should come.

    with FixPeer("initiator", "4.4", "CLIENT1", "OMS", port, tmp_path / "client1") as client:
        client.send("35=D|11=A1|55=IBM|54=1|38=100|40=2|44=10.5")
        report = client.expect("8", ClOrdID="A1", ExecType="0")
        assert report[39] == "0" and report[151] == "100"
        client.expect_nothing("8")

`with` starts it and waits for the logon; `start()`, `wait_logged_on()` and `stop()` do the same by hand. Tags
are given by name (ClOrdID=) or number (t11=); a value of None means "not there". `expect` takes the first
message that matches and was not taken before, whatever lies before it; `received` keeps all, in order.
Session-level Reject(3) is in `received` too; every session message but heartbeats is in `admin`. What the
engine would not take is in `refused`. For a restart with the sequence numbers of before, open a new FixPeer
on the same directory after `stop()`.

Threads: the engine's threads append under the condition; test threads wait on it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Protocol

from oms.fix.engine import Engine
from oms.fix.handle import ADMIN_TYPES, msg_type
from oms.fix.logon import Credentials
from oms.sim.session import FixSession, SessionSpec, field_tags
from oms.sim.wire import Message, utc_now, utc_timestamp, wired

SECONDS = 10.0
TIMED = frozenset({"8", "D", "F", "G"})  # the types that must have TransactTime(60) in some version


class FixPeer:
    """One FIX session under a test's hand. See the module head for its use."""

    def __init__(
        self,
        direction: str,
        version: str,
        sender: str,
        target: str,
        port: int,
        directory: Path,
        *,
        host: str = "127.0.0.1",
        settings: Mapping[str, str] | None = None,
        credentials: Credentials | None = None,
        tls: bool = False,
    ) -> None:
        self.version = version
        self.name = sender
        self.received: list[Message] = []
        self.admin: list[Message] = []
        self.refused: list[tuple[Message, str]] = []
        self.failures: list[BaseException] = []
        self.resend = True  # the answer to a ResendRequest(2): False lets the engine fill the gap instead
        self._taken: set[int] = set()
        self._logons = 0
        self._changed = threading.Condition()
        spec = SessionSpec(
            sender,
            direction,
            version,
            sender,
            target,
            port,
            directory,
            host,
            settings=settings,
            credentials=credentials,
            tls=tls,
        )
        self._session = FixSession(spec, _Listener(self), self._admin_received)

    # -- the test's side ---------------------------------------------------------------------------------

    def start(self) -> FixPeer:
        """Listen or begin to connect. OperatorError where the port is taken."""
        self._session.start()
        return self

    def stop(self) -> None:
        """Log out and let go of everything; the directory keeps the sequence numbers."""
        if not self._session.close():
            raise AssertionError(f"{self.name}: the engine did not stop in time")

    def __enter__(self) -> FixPeer:
        self.start()
        self.wait_logged_on()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def engine(self) -> Engine:
        """The engine itself, for sequence number tricks; the session's name there is the sender's CompID."""
        return self._session.engine

    @property
    def logged_on(self) -> bool:
        """Whether the session is up."""
        return self._session.logged_on

    def wait_logged_on(self, seconds: float = SECONDS, *, logons: int = 1) -> None:
        """Wait until the session is up and has been up `logons` times in all."""
        self._wait(lambda: self.logged_on and self._logons >= logons, seconds, "logon")

    def wait_logged_out(self, seconds: float = SECONDS) -> None:
        """Wait until the session is down."""
        self._wait(lambda: not self.logged_on, seconds, "logout")

    def send(self, text: str, *, exact: bool = False) -> Message:
        """Send one application message, written with `|` or SOH, from MsgType(35) on; returns it as it left.

        TransactTime(60), and HandlInst(21)=1 in 4.2, are added where the type needs them, unless `exact`.
        Header fields such as PossResend(97) may stand anywhere. AssertionError while logged out: nothing was
        sent or kept.
        """
        raw = wired(text)
        kind, tags = msg_type("\x01" + raw), Message(raw)
        if not exact and kind in TIMED:
            raw += f"60={utc_timestamp(utc_now())}\x01" if 60 not in tags else ""
            raw += "21=1\x01" if self.version == "4.2" and kind in "DG" and 21 not in tags else ""
        sent = self._session.send(raw)
        if not sent:
            raise AssertionError(f"{self.name} is logged out: nothing was sent")
        return Message(sent)

    def expect(self, kind: str, seconds: float = SECONDS, **tags: str | None) -> Message:
        """Wait for the first untaken message of MsgType(35) `kind` with these tag values, and take it.

        Session messages but Reject(3) are looked for in `admin`. AssertionError after `seconds`, with what
        came instead.
        """
        wanted = {self._tag(name): value for name, value in tags.items()}
        deadline = time.monotonic() + seconds
        with self._changed:
            while (found := self._find(kind, wanted)) is None:
                if not self._changed.wait(deadline - time.monotonic()) and time.monotonic() >= deadline:
                    raise AssertionError(self._missing(f"{kind} with {tags}" if tags else kind))
            return found

    def expect_nothing(self, kind: str = "", **tags: str | None) -> None:
        """Assert that no untaken message matches now.

        That nothing comes later, too, is shown by first sending something and expecting its answer.
        """
        wanted = {self._tag(name): value for name, value in tags.items()}
        with self._changed:
            left = [m for m in self.untaken if kind in ("", m.type) and matches(m, wanted)]
        assert left == [], f"{self.name}: unexpected {left}"

    @property
    def untaken(self) -> list[Message]:
        """What was received and not yet taken by `expect`, in order."""
        return [message for message in self.received if id(message) not in self._taken]

    def disconnect(self) -> None:
        """Cut the connection as a network would; an initiator connects again within about a second."""
        self._session.disconnect()

    def lose_from(self, number: int) -> None:
        """Cut the connection and expect MsgSeqNum(34) `number` again, which is asked for at the next logon.

        A message is here before the engine has counted it: setting the number before that would be undone.
        """
        deadline = time.monotonic() + SECONDS
        while self.engine.numbers(self.name)[1] <= number and time.monotonic() < deadline:
            time.sleep(0.001)
        self.engine.set_next_target(self.name, number)
        self.disconnect()

    def logout(self, reason: str = "") -> None:
        """Log out and stay out until `logon`."""
        self.engine.logout(self.name, reason)

    def logon(self) -> None:
        """Let a session that was logged out log on again."""
        self.engine.logon(self.name)

    # -- inside ------------------------------------------------------------------------------------------

    def _keep(self, where: list[Message], raw: str) -> None:
        with self._changed:
            where.append(Message(raw))
            self._changed.notify_all()

    def _admin_received(self, raw: str) -> None:
        if msg_type(raw) != "0":
            self._keep(self.admin, raw)

    def _tag(self, name: str) -> int:
        number = name[1:] if name[0] == "t" else ""
        return int(number) if number.isdigit() else field_tags(self.version)[name]

    def _find(self, kind: str, wanted: Mapping[int, str | None]) -> Message | None:
        where = self.admin if kind in ADMIN_TYPES and kind != "3" else self.received
        for message in where:
            if id(message) not in self._taken and message.type == kind and matches(message, wanted):
                self._taken.add(id(message))
                return message
        return None

    def _missing(self, wanted: str) -> str:
        lines = [f"{self.name}: expected {wanted}; not yet taken:", *(f"  {m}" for m in self.untaken)]
        lines += [f"  session message: {m}" for m in self.admin[-5:]]
        lines += [f"  refused by the engine: {m} ({why})" for m, why in self.refused]
        return "\n".join(lines + [f"  failure: {error!r}" for error in self.failures])

    def _wait(self, reached: Callable[[], bool], seconds: float, what: str) -> None:
        with self._changed:
            if not self._changed.wait_for(reached, seconds):
                raise AssertionError(f"{self.name}: no {what} within {seconds} s\n" + self._missing(what))


class Stoppable(Protocol):
    """A peer or a simulator."""

    def stop(self) -> object:
        """Log out and let go of everything."""


def stop_all(*those: Stoppable) -> None:
    """Stop peers and simulators side by side, as each takes a second or two. Raises what one of them raised."""
    with ThreadPoolExecutor(max_workers=max(len(those), 1)) as pool:
        for result in [pool.submit(one.stop) for one in those]:
            result.result()


class _Listener:
    """The engine's events, into the peer's lists."""

    def __init__(self, peer: FixPeer) -> None:
        self._peer = peer

    def logged_on(self, session: str, next_sender: int, next_target: int) -> None:
        with self._peer._changed:
            self._peer._logons += 1
            self._peer._changed.notify_all()

    def logged_out(self, session: str) -> None:
        with self._peer._changed:
            self._peer._changed.notify_all()

    def received(self, session: str, raw: str) -> None:
        self._peer._keep(self._peer.received, raw)

    def refused(self, session: str, raw: str, reason: str) -> None:
        with self._peer._changed:
            self._peer.refused.append((Message(raw), reason))
            self._peer._changed.notify_all()

    def may_resend(self, session: str, raw: str) -> bool:
        return self._peer.resend

    def failed(self, session: str, raw: str, error: BaseException) -> None:
        with self._peer._changed:
            self._peer.failures.append(error)
            self._peer._changed.notify_all()


def matches(message: Message, wanted: Mapping[int, str | None]) -> bool:
    """Whether a message has these values; None means that the tag is absent."""
    return all(message.get(tag) == value for tag, value in wanted.items())
