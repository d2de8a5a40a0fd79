"""What circuit breakers count of each event, after the core has applied it.

Counts are of what happened, not of what was decided elsewhere: a broker's first answer to an order, a refusal by a
check of ours, an error message, an exception item, a fill. Windows are empty after a start; what a day has lost comes
from the ledger (`load_traded`), and orders without an answer count from the start on.
Cost: nothing for what no rule measures; a few dictionary look-ups for each rule that an event is about.
Owned by the core thread.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from decimal import Decimal
from typing import Final

from oms.core import breaker_rules as rules
from oms.core import messages as m
from oms.core import transitions as life
from oms.core.book import Book
from oms.core.breaker_rules import LAST, MEASURES, About
from oms.core.breakers import EPOCH, OPEN, Breaker, Breakers, Group, micros_of
from oms.core.effects import Effects, Fill, Item
from oms.core.exposure import BUYS, Traded
from oms.core.messages import Event
from oms.core.order import ZERO, Order
from oms.core.terms import Instrument

_UNANSWERED: Final = frozenset({life.ROUTED, life.PENDING_NEW, life.UNKNOWN})
_ENDED: Final = frozenset({life.CANCELED, life.EXPIRED})
_ANSWERS: Final = (m.ExecutionReport, m.MessageReject)
_ERRORS: Final = (m.MessageReject, m.Unreadable, m.Refused)
# Refusals that say nothing about who is refused.
_NOT_COUNTED: Final = frozenset({"kill_switch", rules.PREFIX, "trading_on", "route", "drain"})
_OF_NAMES: Final = frozenset({"known_instrument", "known_account"})  # these refuse names, which may be anybody's


class Marked:
    """The prices that losses are marked at."""

    def __init__(self, instruments: Mapping[str, Instrument]) -> None:
        self.instruments = instruments
        self.last: dict[str, Decimal] = {}  # LastPx(31) of our fills, by symbol
        self.moved: set[str] = set()  # since the losses were marked last

    def price(self, symbol: str, mark: str) -> Decimal | None:
        """The price of a symbol; None where neither a fill nor the instruments file tells one."""
        last = self.last.get(symbol)
        if last is not None and mark == LAST:
            return last
        instrument = self.instruments.get(symbol)
        reference = instrument.reference_price if instrument is not None else None
        return last if reference is None else reference

    def currency(self, symbol: str) -> str:
        """Of an instrument; '' of one that is not known."""
        instrument = self.instruments.get(symbol)
        return instrument.currency if instrument is not None else ""


class Counts:
    """Feeds the breakers."""

    def __init__(self, breakers: Breakers, instruments: Mapping[str, Instrument]) -> None:
        self.breakers = breakers
        self._marked = Marked(instruments)
        self._groups = {
            name: tuple([group for group in breakers.groups if group.measure == name]) for name in MEASURES
        }
        self._rejects, self._refusals = self._groups[rules.REJECT_RATE], self._groups[rules.REFUSAL_RATE]
        self._errors, self._fills = self._groups[rules.ERRORS], self._groups[rules.FILLS]
        self._waits = self._groups[rules.WAITING] + self._groups[rules.AGE]
        self._losses = self._groups[rules.LOSS]
        self._waiting: dict[
            str, tuple[str, list[Breaker]]
        ] = {}  # OrderID(37) without an answer -> broker, who counts
        self._day = date.min
        self._when, self._at = EPOCH, 0  # of the event in hand

    # -- at a start --------------------------------------------------------------------------------------------

    def known(self, order: Order) -> None:
        """An order that comes from the ledger: what it has traded counts already."""
        order.marked = (order.cum_qty, order.notional)

    @property
    def wants_traded(self) -> bool:
        """Whether a rule measures losses."""
        return bool(self._losses)

    def load_traded(self, sums: Iterable[Traded], day: date) -> None:
        """What was traded before the start on this trading day."""
        self._day = day
        for one in sums:
            if one.of_day and one.filled:
                about = (one.about["client"], one.about["account"], one.about["symbol"], one.about["broker"])
                sign = 1 if one.side in BUYS else -1
                self._trade(about, sign * one.filled, sign * one.money, 0)

    # -- every event -------------------------------------------------------------------------------------------

    def take(self, event: Event, fx: Effects, book: Book, fills: int, items: int) -> None:
        """Count what an event brought about. `fills`, `items`: how many of the batch's are of events before."""
        kind = type(event.body)
        if fx.touched:
            if self._rejects and kind in _ANSWERS and "transition" in fx.detail:
                self._answer(fx.detail["transition"], fx.touched[0], event)
            if self._losses:
                self._lost(event, fx)
            if self._waits:
                for order in fx.touched:
                    self._wait(order, event)
            if self.breakers.not_closed:
                self._probe(fx, self._micros(event))
        if kind is m.NewOrder:
            if self._refusals:
                self._asked(event, fx, self._micros(event))
        elif kind in _ERRORS and self._errors:
            self._count(self._errors, _of_session(event.session, book), self._micros(event), 1)
        if self._fills and len(fx.fills) > fills:
            self._filled(fx.fills[fills:], book, self._micros(event))
        if len(fx.items) > items:
            for item in list(fx.items.values())[items:]:
                self._item(item, book, self._micros(event))

    def _micros(self, event: Event) -> int:
        """The time of an event, worked out once."""
        when = event.received_at
        if when is not self._when:
            self._when, self._at = when, micros_of(when)
        return self._at

    def _answer(self, moved: list[str], order: Order, event: Event) -> None:
        """An order's state moved by a word of its broker: rejected, or taken."""
        before, happened, after = moved
        if happened == life.REJECT:
            self._count(self._rejects, about_of(order), self._micros(event), 1)
        elif before in _UNANSWERED and after not in _UNANSWERED:
            self._count(self._rejects, about_of(order), self._micros(event), 0)

    def _filled(self, fills: list[Fill], book: Book, at: int) -> None:
        for fill in fills:
            if fill.kind == "trade":
                order = book.orders.get(fill.order_id or "")
                client = order.client if order is not None else ""
                self._count(self._fills, (client, fill.account, fill.symbol, fill.broker), at, 1)

    def _probe(self, fx: Effects, at: int) -> None:
        breakers = self.breakers
        for order in fx.touched:
            if order.life == life.ROUTED:
                if order.last_seq == order.new_seq and order.children:
                    breakers.sent(about_of(order), order.order_id, at)
            elif order.order_id in breakers.probes and order.life not in _UNANSWERED:
                well = None if order.life in _ENDED and not order.cum_qty else order.life != life.REJECTED
                breakers.answered(order.order_id, well, at)

    def _asked(self, event: Event, fx: Effects, at: int) -> None:
        """A new order: refused by a check of ours, or not."""
        verdict = fx.detail.get("verdict")
        client = event.session
        if verdict is None or not fx.touched:
            self._count(self._refusals, (client, "", "", ""), at, 1)
            return
        order, rule = fx.touched[0], verdict.get("rule", "")
        if verdict["ok"]:
            self._count(self._refusals, (client, order.account, order.symbol, ""), at, 0)
        elif rule in _OF_NAMES:
            self._count(self._refusals, (client, "", "", ""), at, 1)
        elif rule not in _NOT_COUNTED:
            self._count(self._refusals, (client, order.account, order.symbol, ""), at, 1)

    def _item(self, item: Item, book: Book, at: int) -> None:
        measure = rules.KINDS.get(item.kind)
        if item.state != "open" or measure is None or not self._groups[measure]:
            return
        order = book.orders.get(item.order_id or "")
        about = about_of(order) if order is not None else _of_session(item.session, book)
        self._count(self._groups[measure], about, at, 1)

    def _count(self, groups: tuple[Group, ...], about: About, at: int, bad: int) -> None:
        for group in groups:
            key = group.pick(about)
            breaker = group.found[key] if key in group.found else group.of(about, at)
            if breaker is None or breaker.state == OPEN:
                continue
            window = breaker.window
            assert window is not None
            window.add(at, bad)
            if bad and _is_over(group, window.bad, window.total):
                self.breakers.trip(breaker, breaker.says(), at)

    # -- what has no answer ------------------------------------------------------------------------------------

    def _wait(self, order: Order, event: Event) -> None:
        order_id = order.order_id
        waits = order.life == life.ROUTED and bool(order.children)
        known = self._waiting.get(order_id)
        if known is not None:
            if waits and known[0] == order.children[-1].broker:
                return
            del self._waiting[order_id]
            for breaker in known[1]:
                del breaker.waiting[order_id]
        if waits:
            self._waits_now(order, self._micros(event))

    def _waits_now(self, order: Order, at: int) -> None:
        about, order_id = about_of(order), order.order_id
        counting = [breaker for group in self._waits if (breaker := group.of(about, at)) is not None]
        self._waiting[order_id] = (about[3], counting)
        for breaker in counting:
            breaker.waiting[order_id] = at
            if breaker.rule.measure == rules.WAITING and len(breaker.waiting) >= breaker.rule.threshold:
                self.breakers.trip(breaker, breaker.over(at, ZERO), at)

    def wait_for(self, orders: Iterable[Order], at: int) -> None:
        """At a start: what has no answer yet."""
        for order in orders:
            self.known(order)
            if self._waits and order.life == life.ROUTED and order.children:
                self._waits_now(order, at)

    # -- money -------------------------------------------------------------------------------------------------

    def _lost(self, event: Event, fx: Effects) -> None:
        """Orders whose fills moved: by as much as since they were looked at last."""
        for order in fx.touched:
            qty, money = order.cum_qty, order.notional
            before = order.marked
            if before[0] == qty and before[1] == money:
                continue
            order.marked = (qty, money)
            if event.trade_date > self._day:
                self._new_day(event.trade_date)
            sign = 1 if order.side in BUYS else -1
            body = event.body
            if isinstance(body, m.ExecutionReport) and body.exec_type == "F" and body.last_px:
                self._marked.last[order.symbol] = body.last_px
                self._marked.moved.add(order.symbol)
            self._trade(about_of(order), sign * (qty - before[0]), sign * (money - before[1]), self._micros(event))

    def _trade(self, about: About, qty: Decimal, money: Decimal, at: int) -> None:
        symbol = about[2]
        currency = self._marked.currency(symbol)
        for group in self._losses:
            breaker = group.of(about, at)
            if breaker is None or breaker.losses is None:
                continue
            price = self._marked.price(symbol, group.rule.mark)
            if price is None:
                price = money / qty if qty else ZERO
            loss = breaker.losses.trade(symbol, currency, qty, money, price)
            if loss >= group.rule.threshold and at and breaker.state != OPEN:
                self.breakers.trip(breaker, breaker.over(at, ZERO), at)

    def mark(self) -> None:
        """Value what others hold of a symbol at the price of the last fill in it. Once a second is enough."""
        moved = self._marked.moved
        if not moved:
            return
        for group in self._losses:
            if group.rule.mark == LAST:
                for breaker in group.breakers():
                    for symbol in moved:
                        if breaker.losses is not None:
                            breaker.losses.mark(symbol, self._marked.last[symbol])
        moved.clear()

    def _new_day(self, day: date) -> None:
        self._day = day
        for group in self._losses:
            for breaker in group.breakers():
                if breaker.losses is not None:
                    breaker.losses.clear()


def about_of(order: Order) -> About:
    """The parts of a scope that an order has, with the broker that it is at."""
    child = order.children[-1] if order.children else None
    return order.client, order.account, order.symbol, child.broker if child is not None else ""


def _of_session(session: str, book: Book) -> About:
    state = book.sessions.get(session)
    if state is None:
        return "", "", "", ""
    return (session, "", "", "") if state.role == "client" else ("", "", "", session)


def _is_over(group: Group, bad: int, total: int) -> bool:
    rule = group.rule
    if group.share:
        return total >= rule.min_count and bad * 100 >= rule.threshold * total
    return bad >= rule.threshold
