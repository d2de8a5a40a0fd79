"""Late news for a ledger that `startlib.fill` has filled: a bust of an early fill, and a fill of an early live order.

The gateway's own flow decides and writes it; the committer and the engine are left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from oms import inbox as box
from oms.config.load import Config
from oms.core.book import Book
from oms.core.core import Core, Wanted
from oms.core.judge import LiveJudge
from oms.core.order import Order
from oms.fix.encode import Encoder
from oms.flow import Flow
from oms.inbox import Heard, Inbox, now_us
from oms.ledger.batch import Batch
from oms.ledger.load import Reader
from oms.ledger.writer import Writer
from oms.outbox import Message
from oms.terms import core_terms_of

BROKER = "BROKER2"
SOH = "\x01"


@contextmanager
def _desk(config: Config, url: str) -> Iterator[tuple[Flow, Reader, int]]:
    """A flow on the ledger as it is, a reader of it, and the broker's last MsgSeqNum(34)."""
    writer, reader = Writer(url), Reader(url)
    writer.connect()
    try:
        last_batch, last_seq = writer.read_head()
        book = Book(next_seq=last_seq + 1)
        reader.sessions(book)
        for order in reader.live_orders():
            book.add(order)
        for state in book.sessions.values():
            state.logged_on = True
        flow = _flow(config, book, _Direct(writer, reader), last_batch + 1)
        yield flow, reader, book.sessions[BROKER].in_msg_seq_num
    finally:
        writer.close()
        reader.close()


def _children(reader: Reader, finished: bool) -> list[dict[str, Any]]:
    """The broker's orders, the oldest first; finished ones each with an ExecID(17)."""
    executions = " JOIN (SELECT DISTINCT ON (child_id) child_id, exec_id FROM fills) AS one USING (child_id)"
    return reader.rows(
        f"SELECT * FROM child_orders{executions if finished else ''}"
        " WHERE broker = %s AND finished = %s ORDER BY sent_seq LIMIT 2",
        BROKER,
        finished,
    )


class _Direct:
    """A ledger that commits at once."""

    def __init__(self, writer: Writer, reader: Reader) -> None:
        self._writer, self._reader = writer, reader

    def wait_for_room(self, seconds: float) -> bool:
        return True

    def put(self, batch: Batch, messages: list[Message]) -> None:
        self._writer.commit(batch)

    def find(self, wanted: Wanted) -> list[Order]:
        return self._reader.order_by_broker_id(wanted.session, wanted.ids, wanted.broker_order_id)

    def sent_cl_ord_id(self, session: str, number: int) -> tuple[str, str]:
        return "", ""


class _Silent:
    def decided(self, batch: Batch, messages: list[Message], heard: list[Heard]) -> None:
        """Nobody watches."""


def tell_late_news(config: Config, url: str) -> tuple[str, str]:
    """Write it; returns the OrderIDs(37) of the order that was busted and of the one that was filled."""
    with _desk(config, url) as (flow, reader, number):
        old, alive = _children(reader, finished=True)[0], _children(reader, finished=False)[0]
        bust = {150: "H", 39: "0", 17: "late-1", 19: old["exec_id"], 14: "0"}
        flow.process([_report(number + 1, old, bust)])
        fill = {150: "F", 39: "1", 17: "late-2", 32: "10", 31: "240", 14: str(alive["cum_qty"] + 10)}
        flow.process([_report(number + 2, alive, fill)])
    return old["order_id"], alive["order_id"]


def tell_under_two_names(config: Config, url: str) -> str:
    """A broker fills a finished order under its OrderID(37) alone, and then gives it another; returns ours."""
    with _desk(config, url) as (flow, reader, number):
        child = _children(reader, finished=True)[1]
        fill = {
            150: "F",
            39: "2",
            17: "late-3",
            32: "10",
            31: "240",
            11: "none of ours",
            14: str(child["cum_qty"] + 10),
        }
        flow.process([_report(number + 1, child, fill)])
        news = {150: "I", 39: "2", 17: "late-4", 37: "another", 14: str(child["cum_qty"] + 10)}
        flow.process([_report(number + 2, child, news)])
    return str(child["order_id"])


def _flow(config: Config, book: Book, ledger: _Direct, next_batch: int) -> Flow:
    terms = core_terms_of(config)
    return Flow(
        Inbox([*config.sessions, ""], 100),
        Core(book, LiveJudge(terms, book.is_up), dict(terms.brokers)),
        ledger,
        {name: Encoder(spec) for name, spec in config.sessions.items()},
        frozenset(name for name, spec in config.sessions.items() if spec.appl_ver_id == "FIX.4.2"),
        _Silent(),
        next_batch=next_batch,
        max_batch=500,
        rollover=timedelta(),
    )


def _report(number: int, child: dict[str, Any], values: dict[int, str]) -> Heard:
    time = f"{datetime.now(UTC):%Y%m%d-%H:%M:%S}.000"
    fields = {35: "8", 34: str(number), 49: BROKER, 52: time, 56: "OMS", 11: child["cl_ord_id"] or child["child_id"]}
    fields |= {
        37: child["broker_order_id"],
        54: "1",
        38: str(child["order_qty"]),
        151: "0",
        6: "0",
        60: time,
    } | values
    raw = "".join(f"{tag}={value}{SOH}" for tag, value in fields.items())
    return Heard(box.IN, BROKER, f"8=FIX.4.4{SOH}9=0{SOH}{raw}10=000{SOH}", (), now_us())
