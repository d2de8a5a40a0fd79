"""The simulated broker's orders and what it may do to one: every change makes its report. Pure: no I/O, no clock.

Each method changes one order and returns the report that tells of it, in the words of the standard's order state
matrices: a cancel or replace is reported under the request's ClOrdID(11) with the id in force as OrigClOrdID(41);
fills keep the id in force; a replace below CumQty(14) ends the order filled with OrderQty(38) = CumQty(14).
Invariants: OrderIDs and ExecIDs are unique as long as `stamp` differs from start to start; a ClOrdID names one order.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from oms.sim import reports
from oms.sim.orders import ZERO, Fill, Request, SimOrder
from oms.sim.reports import Report
from oms.sim.wire import Message

TOO_LATE, UNKNOWN_ORDER, BROKER_OPTION, DUPLICATE_CL_ORD_ID = 0, 1, 2, 6  # CxlRejReason(102)
ORD_REJ_UNKNOWN_ORDER, ORD_REJ_DUPLICATE = 5, 6  # OrdRejReason(103)
GTC = "1"


class Book:
    """Orders by ClOrdID(11) of any of their requests, and the ids that the broker gives out."""

    def __init__(self, version: str, stamp: str) -> None:
        self.version = version
        self._stamp = stamp
        self._given = {"O": 0, "E": 0}
        self.orders: dict[str, SimOrder] = {}
        self.by_cl_ord_id: dict[str, SimOrder] = {}
        self.last: dict[str, Report] = {}

    def new_id(self, letter: str) -> str:
        """The next OrderID ("O") or ExecID ("E")."""
        self._given[letter] += 1
        return f"{self._stamp}{letter}{self._given[letter]}"

    def add(self, order: SimOrder) -> None:
        """Take an order in, under all its ClOrdIDs."""
        self.orders[order.order_id] = order
        for cl_ord_id in (*order.ids, *(request.cl_ord_id for request in order.requests)):
            self.by_cl_ord_id[cl_ord_id] = order

    def tell(self, order: SimOrder, at: datetime, exec_type: str, request: Request | None = None) -> Report:
        """An ExecutionReport(8) of the order as it is now, under the request's ids where there is one."""
        report = reports.execution(order, self.version, at, self.new_id("E"), exec_type)
        if request is not None:
            report = replace(report, cl_ord_id=request.cl_ord_id, orig_cl_ord_id=order.cl_ord_id)
        return self._remember(report)

    def _remember(self, report: Report) -> Report:
        self.last[report.order_id] = report
        return report

    # -- the order's life --------------------------------------------------------------------------------

    def accept(self, order: SimOrder, at: datetime) -> Report:
        """New (0)."""
        order.life = "working"
        return self.tell(order, at, reports.NEW)

    def pending_new(self, order: SimOrder, at: datetime) -> Report:
        """Pending New (A)."""
        order.life = "pending_new"
        return self.tell(order, at, reports.PENDING_NEW)

    def reject(self, order: SimOrder, at: datetime, reason: int, text: str) -> Report:
        """Rejected (8) with OrdRejReason(103)."""
        order.life = "rejected"
        return self._remember(replace(self.tell(order, at, reports.REJECTED), reason=reason, text=text))

    def end(self, order: SimOrder, at: datetime, exec_type: str, text: str = "") -> Report:
        """Canceled (4) unasked, Expired (C), or Done For Day (3), which leaves a GTC order alive."""
        if exec_type == reports.DONE_FOR_DAY and order.tif == GTC:
            report = replace(self.tell(order, at, exec_type), ord_status="3")
        else:
            order.life = "canceled" if exec_type == reports.CANCELED else "expired"
            order.life = "done" if exec_type == reports.DONE_FOR_DAY else order.life
            report = self.tell(order, at, exec_type)
        return self._remember(replace(report, text=text))

    def restate(
        self, order: SimOrder, at: datetime, qty: Decimal | None, px: Decimal | None, reason: int, text: str
    ) -> Report:
        """Restated (D) with ExecRestatementReason(378)."""
        order.qty = order.qty if qty is None else max(qty, order.cum_qty)
        order.price = order.price if px is None else px
        return self._remember(replace(self.tell(order, at, reports.RESTATED), reason=reason, text=text))

    # -- executions --------------------------------------------------------------------------------------

    def fill(self, order: SimOrder, at: datetime, qty: Decimal, px: Decimal) -> Report:
        """Trade (F). Nothing is refused: a script may overfill, and fill what is dead."""
        if order.life in ("received", "pending_new"):
            order.life = "working"
        fill = Fill("", qty, px)
        order.fills.append(fill)
        report = replace(self.tell(order, at, reports.TRADE), last_qty=qty, last_px=px)
        fill.exec_id = report.exec_id
        return self._remember(report)

    def bust(self, order: SimOrder, at: datetime, fill: Fill) -> Report:
        """Trade Cancel (H): the fill never was; ExecRefID(19) names the latest word on it."""
        fill.qty = ZERO
        return self._amend(order, at, fill, reports.TRADE_CANCEL, ZERO, ZERO)

    def correct(self, order: SimOrder, at: datetime, fill: Fill, qty: Decimal | None, px: Decimal | None) -> Report:
        """Trade Correct (G): the fill has another quantity or price."""
        fill.qty = fill.qty if qty is None else qty
        fill.px = fill.px if px is None else px
        return self._amend(order, at, fill, reports.TRADE_CORRECT, fill.qty, fill.px)

    def _amend(self, order: SimOrder, at: datetime, fill: Fill, exec_type: str, qty: Decimal, px: Decimal) -> Report:
        report = replace(self.tell(order, at, exec_type), exec_ref_id=fill.exec_id, last_qty=qty, last_px=px)
        fill.exec_id = report.exec_id
        return self._remember(report)

    # -- requests ----------------------------------------------------------------------------------------

    def announce(self, order: SimOrder, at: datetime, request: Request) -> Report:
        """Pending Cancel (6) or Pending Replace (E); quantities and price are still the old ones."""
        request.pending = True
        kind = reports.PENDING_CANCEL if request.msg_type == "F" else reports.PENDING_REPLACE
        return self.tell(order, at, kind, request)

    def grant(self, order: SimOrder, at: datetime, request: Request) -> Report:
        """Canceled (4), or Replaced (5): from then on the new ClOrdID(11) is in force."""
        order.requests.remove(request)
        if request.msg_type == "F":
            order.life = "canceled"
            return self.tell(order, at, reports.CANCELED, request)
        previous = order.cl_ord_id
        order.qty = max(request.qty or order.qty, order.cum_qty)
        order.price = request.price if request.price is not None else order.price
        order.stop_px = request.stop_px if request.stop_px is not None else order.stop_px
        order.ord_type, order.tif = request.ord_type or order.ord_type, request.tif or order.tif
        order.life, order.replaced = "working", True
        order.ids.append(request.cl_ord_id)
        return self._remember(replace(self.tell(order, at, reports.REPLACED), orig_cl_ord_id=previous))

    def refuse(self, order: SimOrder, at: datetime, request: Request, reason: int, text: str) -> Report:
        """OrderCancelReject(9): OrdStatus(39) and OrigClOrdID(41) are the order's own."""
        if request in order.requests:
            order.requests.remove(request)
        return Report(
            msg_type="9",
            at=at,
            order_id=order.order_id,
            cl_ord_id=request.cl_ord_id,
            orig_cl_ord_id=order.cl_ord_id,
            ord_status=order.ord_status(self.version),
            account=order.account,
            response_to=request.msg_type,
            reason=reason,
            text=text,
        )

    # -- answers about orders ----------------------------------------------------------------------------

    def status(self, order: SimOrder, at: datetime) -> Report:
        """The answer to an OrderStatusRequest(H): where the order stands; it changes nothing."""
        return reports.execution(order, self.version, at, "0", reports.ORDER_STATUS)

    def unknown_status(self, message: Message, at: datetime) -> Report:
        """The answer to a status request for an order that is not here."""
        return Report(
            msg_type="8",
            at=at,
            order_id="NONE",
            cl_ord_id=message.get(11, ""),
            exec_id="0",
            exec_type=reports.ORDER_STATUS,
            ord_status="8",
            symbol=message.get(55, ""),
            side=message.get(54, ""),
            reason=ORD_REJ_UNKNOWN_ORDER,
            text="unknown order",
        )

    def unknown_cancel(self, message: Message, at: datetime) -> Report:
        """The answer to a request for an order that is not here: it echoes the request's OrigClOrdID(41)."""
        return Report(
            msg_type="9",
            at=at,
            order_id="NONE",
            cl_ord_id=message.get(11, ""),
            orig_cl_ord_id=message.get(41, ""),
            ord_status="8",
            response_to=message.type,
            reason=UNKNOWN_ORDER,
            text="unknown order",
        )

    def duplicate_order(self, order: SimOrder, at: datetime) -> Report:
        """The answer to a second order of the same ClOrdID(11): refused, with the state of the first."""
        report = reports.execution(order, self.version, at, self.new_id("E"), reports.REJECTED)
        return replace(report, reason=ORD_REJ_DUPLICATE, text="ClOrdID(11) was used before")
