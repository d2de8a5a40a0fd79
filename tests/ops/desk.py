"""A gateway's flow without engine and database: raw FIX in, batches out, to be observed by the instruments.

Everything is real but the ledger, which only keeps the batches, and the clock, which the test sets.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from oms import inbox as box
from oms.config.load import Config, load
from oms.config.templates import write_demo
from oms.core.book import Book, SessionState
from oms.core.core import Core, Wanted
from oms.core.judge import LiveJudge
from oms.fix.encode import Encoder
from oms.flow import Flow
from oms.inbox import Heard, Inbox
from oms.ledger.batch import Batch, Send
from oms.ops.metrics import Metrics
from oms.outbox import Message
from oms.terms import core_terms_of

START = datetime(2026, 3, 2, 13, 0, 0, tzinfo=UTC)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def at(milliseconds: float) -> datetime:
    """A moment, in milliseconds after the start."""
    return START + timedelta(milliseconds=milliseconds)


class KeptBatches:
    """The ledger of a test: batches and their messages in the order in which they came."""

    def __init__(self) -> None:
        self.batches: list[tuple[Batch, list[Message]]] = []

    def wait_for_room(self, seconds: float) -> bool:
        """There always is."""
        return True

    def put(self, batch: Batch, messages: list[Message]) -> None:
        self.batches.append((batch, messages))

    def find(self, wanted: Wanted) -> list[Any]:
        return []

    def sent_cl_ord_id(self, session: str, number: int) -> tuple[str, str]:
        return "", ""


class Desk:
    """Two clients, two brokers, and the instruments that watch them."""

    def __init__(self, directory: Path) -> None:
        path = write_demo(directory, client_port=5201, broker_ports=(5301, 5302), trading="on")
        self.config: Config = load(path)
        self.book = Book()
        for name, spec in self.config.sessions.items():
            self.book.sessions[name] = SessionState(name, spec.role)
        terms = core_terms_of(self.config)
        self.inbox = Inbox([*self.config.sessions, ""], self.config.inbox.per_session)
        self.metrics = Metrics(self.config, self.inbox)
        self.ledger = KeptBatches()
        self.flow = Flow(
            self.inbox,
            Core(self.book, LiveJudge(terms, self.book.is_up), dict(terms.brokers)),
            self.ledger,
            {name: Encoder(spec) for name, spec in self.config.sessions.items()},
            frozenset(name for name, spec in self.config.sessions.items() if spec.appl_ver_id == "FIX.4.2"),
            self.metrics,
            next_batch=1,
            max_batch=500,
            rollover=timedelta(),
        )
        self.flow.looks._next = datetime.max.replace(tzinfo=UTC)  # the clock is the test's: nothing falls due
        self._numbers = dict.fromkeys(self.config.sessions, 0)

    # -- what happens ----------------------------------------------------------------------------------------

    def log_on(self, *sessions: str, when: datetime = START) -> None:
        for name in sessions:
            self._tell(box.UP, name, (1, 1), when)

    def hear(self, session: str, text: str, when: datetime = START) -> None:
        """An application message, written with | from MsgType(35) on, without the session's header."""
        spec = self.config.sessions[session]
        self._numbers[session] += 1
        kind, _, rest = text.partition("|")
        head = (
            f"8={spec.begin_string}|9=0|{kind}|34={self._numbers[session]}|49={session}|52=20260302-13:00:00|56=OMS|"
        )
        raw = (head + rest).replace("|", "\x01")
        self.inbox.put(Heard(box.IN, session, raw, (), _us(when)))

    def refuse(self, session: str, text: str, reason: str, when: datetime = START) -> None:
        """The engine turned a message away."""
        self.inbox.put(Heard(box.REFUSED, session, text.replace("|", "\x01"), (reason,), _us(when)))

    def tell_not_sent(self, message: Message, reason: str, when: datetime = START) -> None:
        """The outbox gave a request up."""
        cl_ord_id = message.text.partition("\x0111=")[2].partition("\x01")[0]
        self._tell(box.NOT_SENT, message.session, (message.seq, message.msg_type, cl_ord_id, reason), when)

    def tell_sent(self, *messages: Message, when: datetime) -> None:
        """The outbox sent messages."""
        for session in dict.fromkeys(message.session for message in messages):
            notes = [Send(one.seq, session, "sent", 1, when, None) for one in messages if one.session == session]
            self._tell(box.SENT, session, tuple(notes), when)

    def _tell(self, kind: str, session: str, matter: tuple[object, ...], when: datetime) -> None:
        self.inbox.tell(Heard(kind, session, "", matter, _us(when)))

    # -- what comes of it --------------------------------------------------------------------------------------

    def work(self) -> tuple[Batch, list[Message]]:
        """Work through what was heard; the batch is decided and not yet committed."""
        before = len(self.ledger.batches)
        self.flow.run_once(0.0)
        self.flow.flush()
        assert len(self.ledger.batches) == before + 1, "one batch was expected"
        return self.ledger.batches[-1]

    def commit(self, when: datetime, seconds: float = 0.004) -> list[Message]:
        """Work through what was heard and count it as committed at `when`."""
        batch, messages = self.work()
        self.metrics.tally.take(batch, when, seconds)
        return messages


def _us(when: datetime) -> int:
    return (when - _EPOCH) // timedelta(microseconds=1)
