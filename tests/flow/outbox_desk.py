"""A sender with everything around it but the engine and the ledger, whose places a line and a list take."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from oms import inbox as box
from oms import outbox
from oms.errors import Unsendable
from oms.inbox import Heard, Inbox
from oms.ledger.batch import Send
from oms.outbox import Message, Outbox, Sender
from tests.system.house import until

AGES_AGO = datetime(2026, 1, 2, tzinfo=UTC)


class Ledger:
    """What is committed, and a reader of it that can be out of reach."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.gone = False
        self.reads = 0
        self.connections = 0

    def connect(self, url: str) -> Ledger:
        """As the constructor of `oms.ledger.load.Reader`."""
        self.connections += 1
        return self

    def outgoing(self, session: str, after: int, limit: int) -> list[dict[str, Any]]:
        """As `oms.ledger.load.Reader`."""
        self.reads += 1
        if self.gone:
            raise psycopg.OperationalError("gone")
        left = [one for one in self.messages if one.seq > after and one.session == session][:limit]
        return [
            {
                "seq": one.seq,
                "msg_type": one.msg_type,
                "order_id": one.order_id,
                "received_at": one.decided_at,
                "raw": one.text.encode(),
            }
            for one in left
        ]

    def close(self) -> None:
        """One connection less."""
        self.connections -= 1


class Line:
    """A session's line: up or down, blocked or not; keeps what left."""

    def __init__(self) -> None:
        self.up = True
        self.left: list[int] = []
        self.free = threading.Event()
        self.free.set()
        self.blocked = threading.Event()
        self.before: Callable[[int], None] = lambda seq: None
        self.calls: list[int] = []  # how many messages each had
        self.spoiled: set[int] = set()  # messages that the engine cannot make

    def send(self, session: str, texts: list[str]) -> list[str]:
        """As `oms.fix.engine.Engine.send`."""
        left: list[str] = []
        self.calls.append(len(texts))
        for text in texts:
            seq = int(text.partition("\x0111=")[2].rstrip("\x01"))
            self.before(seq)
            if seq in self.spoiled:
                if not left:
                    raise Unsendable("no such thing")
                break
            if not self.free.is_set():
                self.blocked.set()
                assert self.free.wait(10)
            if not self.up:
                break
            self.left.append(seq)
            left.append(f"8=FIX.4.4\x019=1\x01{text[:5]}34={1000 + seq}\x01{text[5:]}")
        return left


class Desk:
    """A sender with everything around it."""

    def __init__(self, ledger: Ledger, role: str, window: timedelta, may_send: bool) -> None:
        self.ledger, self.line = ledger, Line()
        self.inbox = Inbox(["S"], 1000)
        self.told: list[Heard] = []
        why = "" if may_send else "trading is off"
        self.held = True  # the lease on the ledger
        told = self.inbox, "", 0, window, lambda cl_ord_id: why, lambda: self.held
        self.sender = Sender("S", role, self.line.send, *told)
        self.sender.thread.start()

    def commit(self, *numbers: int, kind: str = "D", at: datetime | None = None) -> list[Message]:
        """Messages that are committed now, and delivered."""
        made = [Message(one, "S", kind, f"35={kind}\x0111={one}\x01", at or datetime.now(UTC)) for one in numbers]
        self.ledger.messages += made
        Outbox({"S": self.sender}).deliver(made)
        return made

    def up(self, up: bool = True) -> None:
        """The session logs on or out."""
        self.line.up = up
        self.sender.set_up(up)

    def hears(self, count: int) -> list[tuple[Any, ...]]:
        """What the inbox was told, as (seq, outcome, MsgSeqNum, reason) or (seq, 'not sent', ClOrdID, reason)."""

        def enough() -> bool:
            self.told += self.inbox.take(1000, 0)
            return len(self.flat()) >= count

        until(enough, f"{count} notes; there are {self.told}")
        return self.flat()

    def flat(self) -> list[tuple[Any, ...]]:
        found: list[tuple[Any, ...]] = []
        for one in self.told:
            if one.kind == box.NOT_SENT:
                seq, _, cl_ord_id, reason = one.matter
                found.append((seq, "not sent", cl_ord_id, reason))
            else:
                sends: list[Send] = list(one.matter)  # type: ignore[arg-type]
                found += [(send.seq, send.outcome, send.msg_seq_num, send.reason) for send in sends]
        return found


MakeDesk = Callable[..., Desk]


@pytest.fixture
def make_desk(monkeypatch: pytest.MonkeyPatch) -> Iterator[MakeDesk]:
    made: list[Desk] = []
    monkeypatch.setattr(outbox, "QUEUE_LIMIT", 10)
    monkeypatch.setattr(outbox, "CHUNK", 4)
    monkeypatch.setattr(outbox, "_LEDGER_PAUSE", 0.01)

    def make(role: str = "broker", window: float = 10, may_send: bool = True) -> Desk:
        ledger = Ledger()
        monkeypatch.setattr(outbox, "Reader", ledger.connect)
        made.append(Desk(ledger, role, timedelta(seconds=window), may_send))
        return made[-1]

    yield make
    for desk in made:
        desk.line.free.set()
        desk.sender.stop()
        desk.sender.thread.join(5)
        assert not desk.sender.thread.is_alive()


def sent(*numbers: int) -> list[tuple[Any, ...]]:
    return [(one, "sent", 1000 + one, None) for one in numbers]
