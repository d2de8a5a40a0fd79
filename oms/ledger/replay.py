"""Replay: the journal from empty through the same core must give the tables that stand in the ledger (I7).

Decisions that depended on limits, routes or logons are read back from the journal's `detail`, everything else
is worked out again. `Replay` takes the rows, `oms.ledger.replay_tables` reads them and compares, in bounded memory.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date, datetime
from typing import Any, NamedTuple

from sqlalchemy import Engine

from oms.core import messages as m
from oms.core.book import Book, SessionState
from oms.core.core import Core, Wanted
from oms.core.effects import Fill, Witness
from oms.core.judge import RecordedJudge
from oms.core.operators import RELOAD
from oms.core.order import Order, Request
from oms.core.terms import BrokerFacts
from oms.core.throttled import throttled
from oms.fix.decode import decode_guarded
from oms.fix.rules import as_read, as_refused
from oms.ledger.compare import Difference
from oms.ledger.evicted import Evicted


class TablesReport(NamedTuple):
    """What replay compared. `differences` has the first ones, `differing` counts all.

    `later` orders were changed after the last day that was replayed, `passed_over` ones began in days that are in
    archives: neither is compared.
    """

    events: int
    compared: dict[str, int]
    differing: int
    differences: list[Difference]
    later: int = 0
    passed_over: int = 0

    @property
    def ok(self) -> bool:
        """Whether every table is what the journal adds up to."""
        return not self.differing


class Replay:
    """The journal's events applied one after another to an empty core."""

    def __init__(self, evicted: Evicted | None = None) -> None:
        self._evicted = evicted  # where finished orders are that left memory; without it all stay
        self.book = Book(ledger=evicted)
        self._judge = RecordedJudge()
        self._brokers: dict[str, BrokerFacts] = {}
        self._sessions: dict[str, dict[str, Any]] = {}
        self._core = Core(self.book, self._judge, self._brokers)
        self.orders: dict[str, Order] = {}
        self.requests: dict[int, Request] = {}
        self.fills: list[tuple[Fill, datetime | None]] = []
        self.witnesses: list[Witness] = []
        self.events = 0

    def judged_by(self, judge: RecordedJudge) -> None:
        """Let another judge repeat the decisions, one that looks at them as well."""
        self._judge = judge
        self._core = Core(self.book, judge, self._brokers)

    def take(self, row: Any) -> None:
        """One row of the journal; what went out is not an event."""
        if row.kind == "out":
            return
        self.events += 1
        detail = row.detail or {}
        self.book.next_seq = row.seq
        seq = self.book.take_seq()
        if row.kind == "config":
            if row.msg_type == "Start":  # the others tell of the gateway itself
                self._configure(detail)
            return
        event = m.Event(row.session, row.msg_seq_num or 0, row.received_at, row.trade_date, self._body(row, detail))
        if row.kind == "in":
            state = self.book.sessions[row.session]
            state.in_msg_seq_num = max(state.in_msg_seq_num, row.msg_seq_num or 0)
        elif row.msg_type == RELOAD:
            self._added(dict(detail["matter"][2]))
        self._judge.detail = detail
        if self._evicted is not None:
            self._bring_back(self._evicted, seq, event, row.order_id or "")
        fx = self._core.new_batch()
        self._core.apply(seq, event)
        self.orders.update(fx.orders)
        self.requests.update(fx.requests)
        self.fills += [(fill, row.sending_time) for fill in fx.fills]
        self.witnesses += fx.witnesses

    def _bring_back(self, evicted: Evicted, seq: int, event: m.Event, order_id: str) -> None:
        """What the flow does before the core decides: the order that an id names is in memory, if there is one.

        The ledger tells which OrderID(37) a broker's order has now, not which it had then; the journal row tells
        whose it was (`order_id`).
        """
        evicted.now = seq
        wanted = self._core.missing(event)
        if wanted is None:
            return
        found = evicted.find(wanted)
        if wanted.broker_order_id and order_id:
            found += evicted.find(Wanted("order", "", (order_id,)))
        for order in found:
            if order.order_id not in self.book.orders:
                self._core.remember(order)
                self.orders[order.order_id] = order

    def _configure(self, detail: dict[str, Any]) -> None:
        self._sessions = detail.get("sessions", {})
        self.book.begin_run()
        of = {name: facts["drop_copy_of"] for name, facts in self._sessions.items() if facts.get("drop_copy_of")}
        self.book.drop_copies.configure(of, {})
        for name, facts in self._sessions.items():
            self._place(name, facts)

    def _place(self, name: str, facts: dict[str, Any]) -> None:
        """A session as a start, or the command that added it, has it."""
        state = self.book.sessions.setdefault(name, SessionState(name, facts["role"]))
        state.role, state.logged_on, state.news = facts["role"], False, bool(facts.get("news"))
        if facts["role"] == "broker":
            self._brokers[name] = BrokerFacts(
                frozenset(),
                frozenset(),
                bool(facts.get("status_requests")),
                mass_cancel=bool(facts.get("mass_cancel")),
                cancel_new=facts.get("replace") == "cancel_new",
                mass_status=bool(facts.get("mass_status")),
                adopts=facts.get("unknown_orders") == "adopt",
                avg_px_decimals=facts.get("avg_px_decimals", 2),
            )

    def _added(self, args: dict[str, str]) -> None:
        """Sessions that came while others traded."""
        for name, facts in json.loads(args.get("facts", "{}")).items():
            self._sessions[name] = facts
            self._place(name, facts)

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
            "InDoubt": m.InDoubt,
            "Overdue": m.Overdue,
            "Reconcile": m.Reconcile,
            "Unmatched": m.Unmatched,
            "CancelOnDisconnect": m.CancelOnDisconnect,
            "OverRate": m.OverRate,
            "Prices": m.Prices,
            "PriceSource": m.PriceSource,
            "Refused": m.Refused,
            "Unreadable": lambda words: m.Unreadable("", "", words),
        }
        return kinds[row.msg_type](*matter)

    def _message(self, row: Any, detail: dict[str, Any]) -> m.Body:
        if "unreadable" in detail:
            return m.Unreadable(*detail["unreadable"])
        facts = self._sessions[row.session]
        text = as_read(bytes(row.raw), detail)
        body, _ = decode_guarded(text, row.trade_date, from_broker=facts["role"] != "client", fix42=facts["fix42"])
        body = as_refused(body, detail)
        if text := detail.get("throttle", {}).get("refused"):
            body = throttled(body, row.msg_type, text)
        if isinstance(body, m.MessageReject) and "about" in detail:
            msg_type, cl_ord_id = detail["about"]
            body = body._replace(cl_ord_id=cl_ord_id, ref_msg_type=body.ref_msg_type or msg_type)
        return body


def verify_tables(
    engine: Engine,
    progress: Callable[[int, int], None] | None = None,
    first: date | None = None,
    last: date | None = None,
) -> TablesReport:
    """Replay the journal, or some trade dates of it, and compare the tables that it adds up to with the ledger's.

    Days whose rows are in archives are left out. `progress` is called with (rows done, rows in all).
    """
    from oms.ledger.replay_tables import compare_days

    return compare_days(engine, progress or (lambda done, total: None), first, last)
