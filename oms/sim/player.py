"""Plays a script on an order, step by step, until it ends, waits for time or waits for a request. Pure.

The steps still ahead are part of the order, so a script goes on where it stood after a restart of the broker.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal

from oms.sim import reports
from oms.sim.book import BROKER_OPTION, TOO_LATE, Book
from oms.sim.matching import Market
from oms.sim.orders import MARKET, ZERO, Fill, Request, SimOrder
from oms.sim.reports import Report
from oms.sim.script import ANSWERS, Step


@dataclass(frozen=True, slots=True)
class Disconnect:
    """The broker cuts the connection, at this place in the order of its messages."""


Effect = Report | Disconnect
ROUND = Decimal(1)


class Player:
    """Performs steps. It changes orders through the book only, and takes prices from the market."""

    def __init__(self, book: Book, market: Market) -> None:
        self._book = book
        self._market = market

    def play(self, order: SimOrder, now: datetime) -> Iterator[Effect]:
        """Perform the order's steps as far as they go now."""
        while (index := self._next(order, now)) is not None:
            step = order.steps.pop(index)
            if step.do == "out_of_order":
                yield from self._swapped(order, now)
            else:
                yield from self._perform(order, step, now)

    def left_to_script(self, order: SimOrder, msg_type: str) -> bool:
        """Whether a step ahead answers requests of this kind."""
        return any(ANSWERS.get(step.do) == msg_type for step in order.steps)

    def _next(self, order: SimOrder, now: datetime) -> int | None:
        """Which step comes now, if any. Of steps in a row that wait for requests, the first that has its own."""
        if order.silent or (order.due is not None and now < order.due):
            return None
        order.due = None
        for index, step in enumerate(order.steps):
            if step.do not in ANSWERS:
                return index if index == 0 else None
            cancelled = step.do == "fill_after_cancel" and order.life == "canceled"
            if cancelled or order.request_of(ANSWERS[step.do]) is not None:
                return index
        return None

    def _swapped(self, order: SimOrder, now: datetime) -> Iterator[Effect]:
        """The next two reports, the second before the first; delays between them are passed over."""
        made: list[Effect] = []
        while len(made) < 2 and (index := self._next(order, now)) is not None:
            made += self._perform(order, order.steps.pop(index), now)
            order.due = None
        yield from [*reversed(made[:2]), *made[2:]]

    def _perform(self, order: SimOrder, step: Step, now: datetime) -> Iterator[Effect]:
        if step.do in ANSWERS:
            yield from self._answer(order, step, now)
        elif step.do == "delay":
            order.due = now + timedelta(milliseconds=step.ms)
        elif step.do == "silence":
            order.silent = True
        elif step.do == "market":
            order.market = True
        elif step.do == "disconnect":
            yield Disconnect()
        elif step.do == "duplicate":
            last = self._book.last.get(order.order_id)
            if last is not None:
                yield reports.again(last, poss_resend=step.poss_resend)
        else:
            report = _MAKERS[step.do](self, order, step, now)
            if report is not None:
                yield report

    def _answer(self, order: SimOrder, step: Step, now: datetime) -> Iterator[Effect]:
        request = order.request_of(ANSWERS[step.do])
        if step.do == "fill_after_cancel":
            if request is not None:
                yield self._book.grant(order, now, request)
            rest = max(order.qty - order.cum_qty, ZERO)
            if qty := step.qty or rest:
                yield self._book.fill(order, now, qty, self._px(order, step))
        elif request is not None and step.do in ("cancel", "replace"):
            yield self._book.grant(order, now, request)
        elif request is not None and step.do in ("pending_cancel", "pending_replace"):
            yield self._book.announce(order, now, request)
        elif request is not None:
            reason = BROKER_OPTION if step.reason is None else step.reason
            yield self._book.refuse(order, now, request, reason, step.text or "refused by script")

    def _px(self, order: SimOrder, step: Step) -> Decimal:
        """The step's price, else the order's limit, else the market's."""
        if step.px is not None:
            return step.px
        if order.price is not None and order.ord_type != MARKET:
            return order.price
        return self._market.price(order.symbol)

    # -- one method per step that makes a report ---------------------------------------------------------

    def _accept(self, order: SimOrder, step: Step, now: datetime) -> Report:
        return self._book.accept(order, now)

    def _pending_new(self, order: SimOrder, step: Step, now: datetime) -> Report:
        return self._book.pending_new(order, now)

    def _reject(self, order: SimOrder, step: Step, now: datetime) -> Report:
        return self._book.reject(order, now, step.reason or 0, step.text or "rejected by script")

    def _part_fill(self, order: SimOrder, step: Step, now: datetime) -> Report:
        lot = self._market.instrument(order.symbol).lot_size
        share = (order.qty * (step.fraction or ROUND) / lot).quantize(ROUND) * lot
        return self._book.fill(order, now, step.qty or share or order.qty, self._px(order, step))

    def _fill(self, order: SimOrder, step: Step, now: datetime) -> Report | None:
        rest = order.qty - order.cum_qty
        return self._book.fill(order, now, rest, self._px(order, step)) if rest > 0 else None

    def _bust(self, order: SimOrder, step: Step, now: datetime) -> Report | None:
        fill = _nth_fill(order, step)
        return self._book.bust(order, now, fill) if fill else None

    def _correct(self, order: SimOrder, step: Step, now: datetime) -> Report | None:
        fill = _nth_fill(order, step)
        return self._book.correct(order, now, fill, step.qty, step.px) if fill else None

    def _unsolicited_cancel(self, order: SimOrder, step: Step, now: datetime) -> Report:
        return self._book.end(order, now, reports.CANCELED, step.text or "cancelled by the broker")

    def _done_for_day(self, order: SimOrder, step: Step, now: datetime) -> Report:
        return self._book.end(order, now, reports.DONE_FOR_DAY)

    def _expire(self, order: SimOrder, step: Step, now: datetime) -> Report:
        return self._book.end(order, now, reports.EXPIRED)

    def _restate(self, order: SimOrder, step: Step, now: datetime) -> Report:
        default = 5 if step.qty is not None else 3  # partial decline of OrderQty, or repricing
        reason = default if step.reason is None else step.reason
        return self._book.restate(order, now, step.qty, step.px, reason, step.text)

    def _wrong_quantities(self, order: SimOrder, step: Step, now: datetime) -> Report:
        rest = order.qty - order.cum_qty
        report = self._book.fill(order, now, step.qty or max(rest / 2, ROUND).quantize(ROUND), self._px(order, step))
        cum = report.cum_qty + 1 if step.cum_qty is None else step.cum_qty
        return replace(
            report, cum_qty=cum, leaves_qty=report.leaves_qty if step.leaves_qty is None else step.leaves_qty
        )

    def _unknown_order_report(self, order: SimOrder, step: Step, now: datetime) -> Report:
        stray = SimOrder(
            order_id=self._book.new_id("O"),
            ids=["UNKNOWN" + self._book.new_id("E")],
            symbol=order.symbol,
            side=order.side,
            ord_type=order.ord_type,
            tif=order.tif,
            qty=step.qty or order.qty,
            price=order.price,
        )
        px, qty = self._px(order, step), stray.qty
        stray.fills = [Fill("", qty, px)]
        report = reports.execution(stray, self._book.version, now, self._book.new_id("E"), reports.TRADE)
        return replace(report, last_qty=qty, last_px=px, stray=True)

    def _business_reject(self, order: SimOrder, step: Step, now: datetime) -> Report:
        request: Request | None = order.requests[0] if order.requests else None
        if request is not None:
            order.requests.remove(request)
        else:
            order.life = "rejected"
        return Report(
            msg_type="j",
            at=now,
            order_id=order.order_id,
            cl_ord_id=request.cl_ord_id if request else order.cl_ord_id,
            response_to=request.msg_type if request else "D",
            ord_status=order.ord_status(self._book.version),
            reason=TOO_LATE if step.reason is None else step.reason,
            text=step.text or "refused by script",
        )


def _nth_fill(order: SimOrder, step: Step) -> Fill | None:
    """The fill that a bust or correction is about: the nth (from 1), else the last; None where there is none."""
    number = step.nth or len(order.fills)
    return order.fills[number - 1] if 0 < number <= len(order.fills) else None


_MAKERS: dict[str, Callable[[Player, SimOrder, Step, datetime], Report | None]] = {
    "accept": Player._accept,
    "pending_new": Player._pending_new,
    "reject": Player._reject,
    "part_fill": Player._part_fill,
    "fill": Player._fill,
    "bust": Player._bust,
    "correct": Player._correct,
    "unsolicited_cancel": Player._unsolicited_cancel,
    "unknown_order_report": Player._unknown_order_report,
    "wrong_quantities": Player._wrong_quantities,
    "done_for_day": Player._done_for_day,
    "expire": Player._expire,
    "restate": Player._restate,
    "business_reject": Player._business_reject,
}
