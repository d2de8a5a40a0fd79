"""Replay: the journal from empty through the same core must give the tables that stand in the ledger (I7).

Decisions that depended on limits, routes or logons are read back from the journal's `detail`, everything else
is worked out again. Orders are held in memory for the whole replay (some 3 kB each): for a ledger of many
millions, replay a part of it on a machine that has the memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Engine, Table, func, select, text

from oms.core import messages as m
from oms.core.book import Book, SessionState
from oms.core.core import Core
from oms.core.effects import Fill
from oms.core.judge import RecordedJudge
from oms.core.order import Order, Request
from oms.core.terms import BrokerFacts
from oms.fix.decode import decode_guarded
from oms.fix.rules import as_read, as_refused
from oms.ledger import rows, schema

Replayed = dict[str, dict[str, str | None]]

_SHOWN = 50
_STREAM = 2000


class Difference(NamedTuple):
    """One value that replay gives otherwise than the ledger has it."""

    table: str
    key: str
    column: str
    replayed: str
    stored: str


class TablesReport(NamedTuple):
    """What replay compared. `differences` has the first ones, `differing` counts all."""

    events: int
    compared: dict[str, int]
    differing: int
    differences: list[Difference]

    @property
    def ok(self) -> bool:
        """Whether every table is what the journal adds up to."""
        return not self.differing


class Replay:
    """The journal's events applied one after another to an empty core."""

    def __init__(self) -> None:
        self.book = Book()
        self._judge = RecordedJudge()
        self._brokers: dict[str, BrokerFacts] = {}
        self._sessions: dict[str, dict[str, Any]] = {}
        self._core = Core(self.book, self._judge, self._brokers)
        self.orders: dict[str, Order] = {}
        self.requests: dict[int, Request] = {}
        self.fills: list[tuple[Fill, datetime | None]] = []
        self.events = 0

    def take(self, row: Any) -> None:
        """One row of the journal; what went out is not an event."""
        if row.kind == "out":
            return
        self.events += 1
        detail = row.detail or {}
        self.book.next_seq = row.seq
        seq = self.book.take_seq()
        if row.kind == "config":
            self._configure(detail)
            return
        event = m.Event(row.session, row.msg_seq_num or 0, row.received_at, row.trade_date, self._body(row, detail))
        if row.kind == "in":
            state = self.book.sessions[row.session]
            state.in_msg_seq_num = max(state.in_msg_seq_num, row.msg_seq_num or 0)
        self._judge.detail = detail
        fx = self._core.new_batch()
        self._core.apply(seq, event)
        self.orders.update(fx.orders)
        self.requests.update(fx.requests)
        self.fills += [(fill, row.sending_time) for fill in fx.fills]

    def _configure(self, detail: dict[str, Any]) -> None:
        self._sessions = detail.get("sessions", {})
        for name, facts in self._sessions.items():
            state = self.book.sessions.setdefault(name, SessionState(name, facts["role"]))
            state.logged_on = False
            if facts["role"] == "broker":
                self._brokers[name] = BrokerFacts(
                    frozenset(),
                    frozenset(),
                    bool(facts.get("status_requests")),
                    mass_cancel=bool(facts.get("mass_cancel")),
                    cancel_new=facts.get("replace") == "cancel_new",
                )

    def _body(self, row: Any, detail: dict[str, Any]) -> m.Body:
        if row.kind == "in":
            return self._message(row, detail)
        matter: Any = detail.get("matter", [])
        if row.kind == "operator":
            operator, verb, args = matter
            return m.Command(operator, verb, tuple((name, value) for name, value in args))
        kinds: dict[str, Callable[..., m.Body]] = {
            "SessionUp": m.SessionUp,
            "SessionDown": m.SessionDown,
            "NotSent": m.NotSent,
            "ResendDeclined": m.ResendDeclined,
            "Overdue": m.Overdue,
            "Refused": m.Refused,
            "Unreadable": lambda words: m.Unreadable("", "", words),
        }
        return kinds[row.msg_type](*matter)

    def _message(self, row: Any, detail: dict[str, Any]) -> m.Body:
        if "unreadable" in detail:
            return m.Unreadable(*detail["unreadable"])
        facts = self._sessions[row.session]
        text = as_read(bytes(row.raw), detail)
        body, _ = decode_guarded(text, row.trade_date, from_broker=facts["role"] == "broker", fix42=facts["fix42"])
        body = as_refused(body, detail)
        if isinstance(body, m.MessageReject) and "about" in detail:
            msg_type, cl_ord_id = detail["about"]
            body = body._replace(cl_ord_id=cl_ord_id, ref_msg_type=body.ref_msg_type or msg_type)
        return body


def verify_tables(engine: Engine, progress: Callable[[int, int], None] | None = None) -> TablesReport:
    """Replay the whole journal and compare orders, children, requests and fills with the ledger.

    `progress` is called with (rows done, rows in all).
    """
    replay = Replay()
    with engine.connect() as connection:
        total = connection.execute(select(func.count()).select_from(schema.journal)).scalar_one()
        stream = connection.execution_options(stream_results=True, yield_per=_STREAM).execute(
            select(schema.journal).order_by(schema.journal.c.seq)
        )
        for done, row in enumerate(stream, 1):
            replay.take(row)
            if progress is not None and (done % _STREAM == 0 or done == total):
                progress(done, total)
    compared: dict[str, int] = {}
    differences: list[Difference] = []
    differing = 0
    for table, key, replayed in _tables(replay):
        found = list(_compare(engine, table, key, replayed))
        compared[table.name] = len(replayed)
        differing += len(found)
        differences += found[: max(_SHOWN - len(differences), 0)]
    return TablesReport(replay.events, compared, differing, differences)


def _tables(replay: Replay) -> Iterator[tuple[Table, str, Replayed]]:
    orders = list(replay.orders.values())
    children = [child for order in orders for child in order.children]
    requests = list(replay.requests.values())
    for table, columns, made in (
        (schema.client_orders, rows.ORDER_COLUMNS, [rows.order_row(order) for order in orders]),
        (schema.child_orders, rows.CHILD_COLUMNS, [rows.child_row(child) for child in children]),
        (schema.requests, rows.REQUEST_COLUMNS, [rows.request_row(request) for request in requests]),
        (schema.fills, rows.FILL_COLUMNS, [rows.fill_row(fill, sent) for fill, sent in replay.fills]),
    ):
        key = next(column.name for column in table.primary_key)
        place = columns.index(key)
        yield table, key, {str(row[place]): dict(zip(columns, row, strict=True)) for row in made}


def _compare(engine: Engine, table: Table, key: str, replayed: Replayed) -> Iterator[Difference]:
    left = set(replayed)
    with engine.connect() as connection:
        connection.execute(text("SET LOCAL timezone TO 'UTC'"))
        stream = connection.execution_options(stream_results=True, yield_per=_STREAM).execute(select(table))
        for stored in stream.mappings():
            name = str(stored[key])
            made = replayed.get(name)
            if made is None:
                yield Difference(table.name, name, "", "no such row", "a row")
                continue
            left.discard(name)
            for column, value in stored.items():
                if made[column] != rows.text(value):
                    yield Difference(table.name, name, column, str(made[column]), str(value))
    for name in sorted(left):
        yield Difference(table.name, name, "", "a row", "no such row")
