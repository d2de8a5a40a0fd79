"""A rehearsal: what other limits and routes would have said of the orders and replaces that came.

The journal is replayed as it was decided, so that exposure, sessions and fills are those of the day; beside every
recorded decision the candidate rules are asked. Limits: history goes on as it went, so what a refused order would
have kept from happening still counts, and what would have been let through adds nothing. No kill switch is asked.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import date, datetime
from typing import Any, NamedTuple

from sqlalchemy import Engine, func, select

from oms.core.judge import LiveJudge, RecordedJudge, Verdict
from oms.core.messages import Pairs, Prices
from oms.core.prices import Facts, PriceBook
from oms.core.risk import Asked
from oms.core.routing import Routable
from oms.core.terms import Terms
from oms.fix.fields import plain_split
from oms.ledger import schema
from oms.ledger.replay import Replay

_STREAM = 2000


class Ruling(NamedTuple):
    """One order or replace on which the candidate rules say otherwise than was decided. '' as rule: taken."""

    at: str
    seq: int
    kind: str  # MsgType(35): D or G
    client: str
    cl_ord_id: str
    account: str
    symbol: str
    side: str
    order_qty: str
    price: str
    was: str
    would_be: str
    text: str


class Rehearsal(NamedTuple):
    """How many decisions were asked again, what became of them by then and now, and those that differ."""

    judged: int
    was_refused: int
    would_be_refused: int
    newly_refused: Counter[str]  # by rule
    differing: list[Ruling]


def _said(verdict: Verdict) -> str:
    if verdict.ok:
        return f"taken, to {verdict.broker}"
    return f"refused: {verdict.rule or 'not told'}"


class _RehearsingJudge(RecordedJudge):
    """Answers as the journal has it, and asks the candidate rules the same."""

    def __init__(self, terms: Terms, is_up: Callable[[str], bool]) -> None:
        super().__init__()
        instruments = dict(terms.instruments)
        self.live = LiveJudge(terms._replace(trading=True, instruments=instruments), is_up)
        self.exposure = self.live.exposure
        self.live.prices = PriceBook(instruments)
        if self.exposure is not None:
            self.live.prices.revalue = self.exposure.revalue
        self.row: Any = None
        self.asking = False
        self.judged = self.was_refused = self.would_be_refused = 0
        self.newly_refused: Counter[str] = Counter()
        self.differing: list[Ruling] = []

    def new_order(self, asked: Asked, order: Routable, skip: frozenset[str]) -> Verdict:
        """As it was; and noted, what would be."""
        was = super().new_order(asked, order, skip)
        if self.asking:
            self._note("D", asked, was, self.live.new_order(asked, order, skip))
        return was

    def replace(self, asked: Asked, broker: str, body: Pairs) -> Verdict:
        """As it was; and noted, what would be."""
        was = super().replace(asked, broker, body)
        if self.asking and broker in self.live._terms.brokers:
            self._note("G", asked, was, self.live.replace(asked, broker, body))
        return was

    def priced(self, seq: int, now: datetime, msg: Prices, accept: bool) -> Facts:
        """As it was; the candidate rules go by the same prices."""
        facts = super().priced(seq, now, msg, accept)
        self.live.prices.follow(seq, msg, facts)
        return facts

    def _note(self, kind: str, asked: Asked, was: Verdict, would_be: Verdict) -> None:
        self.judged += 1
        self.was_refused += not was.ok
        self.would_be_refused += not would_be.ok
        if was.ok == would_be.ok and (not was.ok or was.broker == would_be.broker):
            return
        if was.ok and not would_be.ok:
            self.newly_refused[would_be.rule] += 1
        row = self.row
        fields = dict(plain_split(bytes(row.raw).decode("utf-8", "replace")))
        self.differing.append(
            Ruling(
                row.received_at.isoformat(), row.seq, kind, asked.client, fields.get("11", ""), asked.account,
                asked.symbol, asked.side, str(asked.order_qty), "" if asked.price is None else str(asked.price),
                _said(was), _said(would_be), would_be.text or was.text,
            )
        )  # fmt: skip


def last_day(engine: Engine) -> date | None:
    """The last trade date on which an order or replace came; None where there is none."""
    journal = schema.journal
    came = select(func.max(journal.c.trade_date)).where(journal.c.kind == "in", journal.c.msg_type.in_(("D", "G")))
    with engine.connect() as connection:
        found: date | None = connection.execute(came).scalar()
    return found


def rehearse(
    engine: Engine,
    terms: Terms,
    first: date,
    last: date,
    progress: Callable[[int, int], None] | None = None,
) -> Rehearsal:
    """Ask the candidate `terms` about every order and replace of the trade dates `first` to `last`.

    `progress` is called with (rows done, rows in all). Reads the ledger only.
    """
    replay = Replay()
    judge = _RehearsingJudge(terms, replay.book.is_up)
    replay.judged_by(judge)
    journal = schema.journal
    with engine.connect() as connection:
        until = journal.c.trade_date <= last
        total = connection.execute(select(func.count()).select_from(journal).where(until)).scalar_one()
        stream = connection.execution_options(stream_results=True, yield_per=_STREAM).execute(
            select(journal).where(until).order_by(journal.c.seq)
        )
        for done, row in enumerate(stream, 1):
            judge.row, judge.asking = row, row.trade_date >= first
            replay.take(row)
            if progress is not None and (done % _STREAM == 0 or done == total):
                progress(done, total)
    return Rehearsal(judge.judged, judge.was_refused, judge.would_be_refused, judge.newly_refused, judge.differing)
