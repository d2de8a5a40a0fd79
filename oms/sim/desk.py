"""The simulated broker's mind: what it answers to each message and to the passing of time. Pure: no I/O, no clock.

`handle` takes a message, `tick` the time; both return effects in the order in which they are to leave, and the orders
they changed. Orders with a rule follow their script (player), all others the market (matching).
Requests of one order are answered one after the other, in the order they came. Ordinary rules: unknown order and
finished order are refused (CxlRejReason 1 and 0), a duplicate ClOrdID(11) is refused, a possible resend of a known
order is answered with its status, a possible duplicate (PossDupFlag(43)) of one is passed over.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from oms.sim import reports
from oms.sim.book import DUPLICATE_CL_ORD_ID, TOO_LATE, Book
from oms.sim.matching import Fills, Market, Outcome
from oms.sim.orders import LIMIT, MARKET, STOP, STOP_LIMIT, Request, SimOrder, order_of, request_of
from oms.sim.player import Effect, Player
from oms.sim.reports import Report
from oms.sim.script import Behaviour, Chooser
from oms.sim.wire import Message

UNSUPPORTED_MESSAGE = 3  # BusinessRejectReason(380)
PRICED, STOPPED = (LIMIT, STOP_LIMIT), (STOP, STOP_LIMIT)


@dataclass(slots=True)
class Answer:
    """What came of a message or a tick. `order` is the one that a message spoke of, None where it is unknown."""

    effects: list[Effect] = field(default_factory=list)
    changed: dict[str, SimOrder] = field(default_factory=dict)
    order: SimOrder | None = None
    ignored: str = ""


class Desk:
    """One broker. Not thread-safe: the owner holds a lock round every call."""

    def __init__(self, version: str, behaviour: Behaviour, market: Market, stamp: str) -> None:
        self.version = version
        self.market = market
        self.book = Book(version, stamp)
        self._player = Player(self.book, market)
        self._chooser = Chooser(behaviour.rules)
        self._active: dict[str, SimOrder] = {}  # those that time may change, in order of arrival

    # -- messages ----------------------------------------------------------------------------------------

    def handle(self, message: Message, now: datetime) -> Answer:
        """Answer one message."""
        answer = Answer()
        kinds = {"D": self._new_order, "F": self._request, "G": self._request, "H": self._status}
        if message.type in kinds:
            answer.effects += kinds[message.type](message, now, answer)
        elif message.type not in ("Q", "j"):  # DontKnowTrade and BusinessMessageReject end a conversation
            answer.effects.append(_unsupported(message, now))
        if answer.order is not None:
            self._note(answer.order, answer)
        return answer

    def _new_order(self, message: Message, now: datetime, answer: Answer) -> Iterator[Effect]:
        known = self.book.by_cl_ord_id.get(message.get(11, ""))
        if known is not None:
            yield from self._known_order(message, known, now, answer)
            return
        order = order_of(message, self.book.new_id("O"))
        self.book.add(order)
        answer.order = order
        steps = self._chooser.steps_for(order.symbol, order.account, order.cl_ord_id, order.trace, order.text)
        if steps is not None:
            order.steps = list(steps)
            yield from self._player.play(order, now)
        elif problem := self._problem(order):
            yield self.book.reject(order, now, *problem)
        else:
            order.market = True
            yield self.book.accept(order, now)
        yield from self._trade(order, self.market.on_arrival(order), now)

    def _known_order(self, message: Message, known: SimOrder, now: datetime, answer: Answer) -> Iterator[Effect]:
        if message.get(43) == "Y":
            answer.ignored = "possible duplicate of a known order"
        elif known.silent:
            answer.ignored = "silent"
        elif message.get(97) == "Y":
            yield self.book.status(known, now)
        else:
            yield self.book.duplicate_order(known, now)

    def _problem(self, order: SimOrder) -> tuple[int, str] | None:
        """Why the order cannot be taken, as OrdRejReason(103) and text."""
        if not self.market.knows(order.symbol):
            return 1, f"unknown Symbol(55) {order.symbol}"
        if order.qty <= 0:
            return 13, "OrderQty(38) is not above zero"
        if order.ord_type not in (MARKET, LIMIT, STOP, STOP_LIMIT):
            return 11, f"OrdType(40) {order.ord_type} is not traded here"
        if order.ord_type in PRICED and order.price is None:
            return 99, "Price(44) is missing"
        if order.ord_type in STOPPED and order.stop_px is None:
            return 99, "StopPx(99) is missing"
        return None

    def _request(self, message: Message, now: datetime, answer: Answer) -> Iterator[Effect]:
        cl_ord_id = message.get(11, "")
        order = self.book.by_cl_ord_id.get(message.get(41, ""))
        if order is None and message.get(41) is None:  # OrigClOrdID(41) is optional in 5.0 SP2
            order = next((o for o in self.book.orders.values() if o.order_id == message.get(37)), None)
        if cl_ord_id in self.book.by_cl_ord_id:
            if message.get(43) == "Y":
                answer.ignored = "possible duplicate of a known request"
            elif order is None:
                yield self.book.unknown_cancel(message, now)
            else:
                text = "ClOrdID(11) was used before"
                yield self.book.refuse(order, now, request_of(message), DUPLICATE_CL_ORD_ID, text)
            return
        if order is None:
            yield self.book.unknown_cancel(message, now)
            return
        answer.order = order
        self.book.by_cl_ord_id[cl_ord_id] = order
        if order.silent:
            answer.ignored = "silent"
            return
        order.requests.append(request_of(message))
        yield from self._go_on(order, now)

    def _status(self, message: Message, now: datetime, answer: Answer) -> Iterator[Effect]:
        order = self.book.by_cl_ord_id.get(message.get(11, ""))
        if order is None:
            yield self.book.unknown_status(message, now)
        elif order.silent:
            answer.ignored = "silent"
        else:
            yield self.book.status(order, now)

    # -- time --------------------------------------------------------------------------------------------

    def tick(self, now: datetime, *, walk: bool) -> Answer:
        """Do what time brings: scripts whose delay is over, requests whose answer is due, and with `walk` a step of
        the market with what it fills."""
        answer = Answer()
        if walk:
            for symbol in sorted({order.symbol for order in self._active.values() if order.market}):
                self.market.walk(symbol)
        for order in list(self._active.values()):
            effects = list(self._go_on(order, now))
            if walk and order.market and order.open and order.life == "working":
                effects += self._trade(order, self.market.on_tick(order), now)
            if effects:
                answer.effects += effects
                self._note(order, answer)
            elif not self._is_active(order):
                del self._active[order.order_id]
        return answer

    def next_due(self) -> datetime | None:
        """When a script or an answer is due next; None where nothing waits for a time."""
        dues = [order.due for order in self._active.values() if order.due is not None]
        dues += [r.due for order in self._active.values() for r in order.requests[:1] if r.due is not None]
        return min(dues, default=None)

    @property
    def walks(self) -> bool:
        """Whether any order rests in the market, so that ticks are wanted."""
        return any(order.market for order in self._active.values())

    # -- after a restart ---------------------------------------------------------------------------------

    def restore(self, orders: Iterable[SimOrder], cl_ord_ids: Iterable[tuple[str, str]]) -> None:
        """Take back the orders as they were, in order of arrival, and further ClOrdIDs as (ClOrdID, OrderID)."""
        for order in orders:
            self.book.add(order)
            self._chooser.steps_for(order.symbol, order.account, order.ids[0], order.trace, order.text)
            if self._is_active(order):
                self._active[order.order_id] = order
        for cl_ord_id, order_id in cl_ord_ids:
            if order_id in self.book.orders:
                self.book.by_cl_ord_id.setdefault(cl_ord_id, self.book.orders[order_id])

    # -- inside ------------------------------------------------------------------------------------------

    def _go_on(self, order: SimOrder, now: datetime) -> Iterator[Effect]:
        """Play the script as far as it goes, then answer the requests that are not left to it."""
        was_in_market = order.market
        yield from self._player.play(order, now)
        if order.market and not was_in_market:
            yield from self._trade(order, self.market.on_arrival(order), now)
        while order.requests and not order.silent:
            request = order.requests[0]
            if self._player.left_to_script(order, request.msg_type) or (request.due and now < request.due):
                return
            yield from self._answer(order, request, now)

    def _answer(self, order: SimOrder, request: Request, now: datetime) -> Iterator[Effect]:
        """Answer one request: refuse, announce it as pending until its due time, or grant."""
        if order.dead or not order.leaves_qty:
            yield self.book.refuse(order, now, request, TOO_LATE, "the order is finished")
            return
        model, chance = self.market.model, self.market.random
        if order.market and request.due is None and chance.random() < model.pending_probability:
            request.due = now + timedelta(milliseconds=chance.randint(0, model.answer_ms))
            yield self.book.announce(order, now, request)
            return
        yield self.book.grant(order, now, request)
        if request.msg_type == "F":
            order.steps.clear()  # a script that means to go on grants the cancel itself
        elif order.open:
            yield from self._trade(order, self.market.on_arrival(order), now)

    def _trade(self, order: SimOrder, outcomes: Iterable[Outcome], now: datetime) -> Iterator[Effect]:
        """Apply what the market gives, each outcome before the next is asked for."""
        if not (order.market and order.open and order.life == "working"):
            return
        for outcome in outcomes:
            if isinstance(outcome, Fills):
                yield self.book.fill(order, now, min(outcome.qty, order.leaves_qty), outcome.px)
            else:
                yield self.book.end(order, now, reports.CANCELED, outcome.text)

    def _is_active(self, order: SimOrder) -> bool:
        waiting = order.due is not None or bool(order.requests)
        return not order.silent and (waiting or (order.market and order.open))

    def _note(self, order: SimOrder, answer: Answer) -> None:
        answer.changed[order.order_id] = order
        if self._is_active(order):
            self._active[order.order_id] = order
        else:
            self._active.pop(order.order_id, None)


def _unsupported(message: Message, now: datetime) -> Report:
    return Report(
        msg_type="j",
        at=now,
        order_id="",
        cl_ord_id=message.get(11, ""),
        response_to=message.type,
        reason=UNSUPPORTED_MESSAGE,
        text=f"MsgType(35) {message.type} is not taken here",
    )
