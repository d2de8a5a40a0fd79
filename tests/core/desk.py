"""A desk for the core's tests: what clients ask and brokers report in one line each, and what should come of it.

`Desk` says things to the core (`new`, `cancel`, `replace`, `status`; `report`, `fill`, `bust`, `correct`,
`refuse`); `er`, `cancel_reject`, `order_out`, `cancel_out`, `replace_out` and `status_out` are whole messages to
compare with. A broker's report agrees with the ledger on CumQty(14) unless a test says otherwise.
"""

from __future__ import annotations

from decimal import Decimal as D
from typing import Any

from oms.core import messages as m
from oms.core.order import Execution
from tests.core.driver import BROKER, CLIENT, DAY, TAGS, Driver, Sent

BROKER_TIME = "20260302-13:00:00.123"
CLIENT_TIME = "20260302-12:59:59.000"
AGREES = "agrees"


def number(value: object) -> D | None:
    """A decimal of a test's number, None stays None."""
    return None if value is None else D(str(value))


def body_of(**fields: object) -> m.Pairs:
    """Body fields by name in the order given; what is None is left out."""
    return tuple((TAGS[name], str(value)) for name, value in fields.items() if value is not None)


def new_order(cl_ord_id: str, qty: object = 100, px: object = 10, **more: Any) -> m.NewOrder:
    """NewOrderSingle(D): a limit order for 100 IBM at 10 for FUND1, or what `more` says."""
    given: dict[str, Any] = {
        "account": "FUND1", "symbol": "IBM", "side": "1", "ord_type": "2", "time_in_force": "0",
        "security_exchange": "", "ex_destination": "", "trader": "", "poss_resend": False, "stop_px": None,
        "problem": None, "extra": (),
    } | more  # fmt: skip
    extra = given.pop("extra")
    body = body_of(
        Account=given["account"] or None, Symbol=given["symbol"], Side=given["side"], OrderQty=qty,
        OrdType=given["ord_type"], Price=px, StopPx=given["stop_px"], TimeInForce=given["time_in_force"] or None,
        TransactTime=CLIENT_TIME,
    )  # fmt: skip
    given["stop_px"] = number(given["stop_px"])
    return m.NewOrder(cl_ord_id, order_qty=number(qty) or D(0), price=number(px), body=body + extra, **given)


class Desk(Driver):
    """The driver, with words."""

    exec_number = 0

    # -- clients -------------------------------------------------------------------------------------------

    def new(
        self, cl_ord_id: str, qty: object = 100, px: object = 10, client: str = CLIENT, **more: Any
    ) -> list[Sent]:
        return self.event(client, new_order(cl_ord_id, qty, px, **more))

    def cancel(self, cl_ord_id: str, orig: str, client: str = CLIENT, **more: Any) -> list[Sent]:
        body = body_of(Symbol="IBM", Side="1", TransactTime=CLIENT_TIME)
        return self.event(client, m.CancelRequest(cl_ord_id, orig, body, **more))

    def replace(
        self, cl_ord_id: str, orig: str, qty: object = 100, px: object = 10, client: str = CLIENT, **more: Any
    ) -> list[Sent]:
        given: dict[str, Any] = {
            "symbol": "IBM",
            "side": "1",
            "ord_type": "2",
            "stop_px": None,
            "problem": None,
        } | more
        extra = given.pop("extra", ())
        body = body_of(
            Symbol=given["symbol"], Side=given["side"], OrderQty=qty, OrdType=given["ord_type"], Price=px,
            StopPx=given["stop_px"], TransactTime=CLIENT_TIME,
        )  # fmt: skip
        given["stop_px"] = number(given["stop_px"])
        given |= {"order_qty": number(qty), "price": number(px), "body": body + extra}
        return self.event(client, m.ReplaceRequest(cl_ord_id, orig, **given))

    def status(self, cl_ord_id: str, client: str = CLIENT) -> list[Sent]:
        return self.event(client, m.StatusRequest(cl_ord_id, body_of(Symbol="IBM", Side="1")))

    # -- brokers -------------------------------------------------------------------------------------------

    def report(self, about: str, exec_type: str, broker: str = BROKER, **more: Any) -> list[Sent]:
        """ExecutionReport(8) about a request of CLIENT1 (its ClOrdID), or any ClOrdID(11) of the broker's side."""
        return self.event(broker, self.report_of(about, exec_type, **more))

    def report_of(self, about: str, exec_type: str, **more: Any) -> m.ExecutionReport:
        """The report itself. Numbers may be given as int or text; `orig` as the client's ClOrdID."""
        self.exec_number += 1
        order = self.book.by_client_id.find(CLIENT, about, self.day)
        known = order.to_broker if order else {}
        fields: dict[str, Any] = {
            "order_id": "B-1", "exec_id": f"e{self.exec_number}", "exec_ref_id": "", "ord_status": "",
            "symbol": "IBM", "side": "1", "account": "FUND1", "order_qty": None, "price": None, "stop_px": None,
            "last_qty": None, "last_px": None, "cum_qty": AGREES, "leaves_qty": None, "ord_rej_reason": "",
            "transact_time": None, "trade_date": DAY, "text": "", "orig": "", "problem": None, "extra": (),
        } | more  # fmt: skip
        orig, extra = fields.pop("orig"), fields.pop("extra")
        for name in ("order_qty", "price", "stop_px", "last_qty", "last_px", "leaves_qty"):
            fields[name] = number(fields[name])
        if fields["cum_qty"] == AGREES:
            fields["cum_qty"] = self._cum_after(about, exec_type, fields)
        fields["cum_qty"] = number(fields["cum_qty"])
        body = body_of(TransactTime=BROKER_TIME, Text=fields["text"] or None) + extra
        return m.ExecutionReport(
            cl_ord_id=known.get(about, about), orig_cl_ord_id=known.get(orig, orig), exec_type=exec_type, body=body,
            **fields,
        )  # fmt: skip

    def _cum_after(self, about: str, exec_type: str, fields: dict[str, Any]) -> D | None:
        order = self.book.by_client_id.find(CLIENT, about, self.day)
        found = self.book.by_broker_id.get(about)
        child = order.child if order else found[1] if found else None
        if child is None:
            return None
        ref = child.executions.get(fields["exec_ref_id"], Execution("", D(0), D(0), live=False))
        qty = fields["last_qty"] or D(0)
        if fields["exec_id"] in child.exec_ids:
            return child.cum_qty
        if exec_type == "F":
            return child.cum_qty + qty
        if not ref.live:
            return child.cum_qty
        return {"G": child.cum_qty - ref.last_qty + qty, "H": child.cum_qty - ref.last_qty}.get(
            exec_type, child.cum_qty
        )

    def fill(self, about: str, qty: object, px: object = 10, exec_id: str = "", **more: Any) -> list[Sent]:
        if exec_id:
            more["exec_id"] = exec_id
        return self.report(about, "F", last_qty=qty, last_px=px, **more)

    def bust(self, about: str, ref: str, **more: Any) -> list[Sent]:
        return self.report(about, "H", exec_ref_id=ref, last_qty=0, last_px=0, **more)

    def correct(self, about: str, ref: str, qty: object, px: object, **more: Any) -> list[Sent]:
        return self.report(about, "G", exec_ref_id=ref, last_qty=qty, last_px=px, **more)

    def refuse(
        self, about: str, reason: str = "0", text: str = "", broker: str = BROKER, orig: str = ""
    ) -> list[Sent]:
        """OrderCancelReject(9) of a request."""
        order = self.book.by_client_id.find(CLIENT, about, self.day)
        known = order.to_broker if order else {}
        return self.event(
            broker, m.CancelReject("B-1", known.get(about, about), known.get(orig, orig), reason, text, ())
        )

    # -- the rest ------------------------------------------------------------------------------------------

    def up(self, session: str = BROKER, next_target: int = 1000) -> list[Sent]:
        return self.event(session, m.SessionUp(1, next_target))

    def logged_out(self, session: str = BROKER) -> list[Sent]:
        return self.event(session, m.SessionDown())

    def not_sent(self, cl_ord_id: str, msg_type: str, broker: str = BROKER, **more: Any) -> list[Sent]:
        """The outbox says that a request of CLIENT1 did not leave."""
        broker_id = more.get("broker_id") or self.to_broker(cl_ord_id)
        return self.event(broker, m.NotSent(1, msg_type, broker_id, f"{broker} is logged out"))

    def working(self, cl_ord_id: str = "A1", **more: Any) -> Desk:
        """An order that its broker has accepted."""
        self.new(cl_ord_id, **more)
        self.report(cl_ord_id, "0")
        return self


# -- what should come of it ------------------------------------------------------------------------------------


def er(
    cl_ord_id: str,
    exec_type: str,
    ord_status: str,
    *,
    order: str = "A1",
    client: str = CLIENT,
    qty: object = 100,
    cum: object = 0,
    leaves: object = None,
    avg: object = None,
    **more: object,
) -> Sent:
    """ExecutionReport(8) to a client, as a broker's report makes one; None takes a field away."""
    rest = D(str(qty)) - D(str(cum)) if leaves is None else leaves
    fields: dict[str, object] = {
        "OrderID": f"order:{order}", "ClOrdID": cl_ord_id, "ExecID": "new", "ExecType": exec_type,
        "OrdStatus": ord_status, "Symbol": "IBM", "Side": "1", "OrderQty": qty, "OrdType": "2", "LeavesQty": rest,
        "CumQty": cum, "AvgPx": avg if avg is not None else (10 if D(str(cum)) else 0), "Account": "FUND1",
        "Price": 10, "TimeInForce": "0", "TransactTime": BROKER_TIME,
    }  # fmt: skip
    return Sent(client, "8", texts(fields | more))


def own(cl_ord_id: str, exec_type: str, ord_status: str, **more: Any) -> Sent:
    """ExecutionReport(8) to a client that the gateway itself originates, so at its own time."""
    return er(cl_ord_id, exec_type, ord_status, **({"TransactTime": "now"} | more))


def texts(fields: dict[str, object]) -> dict[str, str]:
    return {name: str(value) for name, value in fields.items() if value is not None}


def fill_er(cl_ord_id: str, ord_status: str, last: object, px: object = 10, **more: Any) -> Sent:
    """ExecutionReport(8) of a trade."""
    return er(cl_ord_id, "F", ord_status, **({"LastQty": last, "LastPx": px} | more))


def unbooked(cl_ord_id: str, reason: str, text: str, **more: object) -> Sent:
    """ExecutionReport(8) that refuses what never became an order."""
    fields: dict[str, object] = {
        "OrderID": "NONE", "ClOrdID": cl_ord_id, "ExecID": "new", "ExecType": "8", "OrdStatus": "8", "Symbol": "IBM",
        "Side": "1", "Account": "FUND1", "OrderQty": 100, "OrdType": "2", "Price": 10, "LeavesQty": 0, "CumQty": 0,
        "AvgPx": 0, "OrdRejReason": reason, "Text": text, "TransactTime": "now",
    }  # fmt: skip
    return Sent(CLIENT, "8", texts(fields | more))


def cancel_reject(
    cl_ord_id: str, orig: str, ord_status: str, reason: str, text: str = "", *, kind: str = "F", order: str = "A1"
) -> Sent:
    """OrderCancelReject(9) to CLIENT1. `order` '' is for an unknown one."""
    fields: dict[str, object] = {
        "OrderID": f"order:{order}" if order else "NONE", "ClOrdID": cl_ord_id, "OrigClOrdID": orig,
        "OrdStatus": ord_status, "CxlRejResponseTo": "1" if kind == "F" else "2", "CxlRejReason": reason,
        "TransactTime": "now", "Text": text or None,
    }  # fmt: skip
    return Sent(CLIENT, "9", texts(fields))


def order_out(cl_ord_id: str, broker: str = BROKER, qty: object = 100, px: object = 10, **more: object) -> Sent:
    """NewOrderSingle(D) to a broker: the client's, under an id of ours."""
    fields: dict[str, object] = {
        "ClOrdID": f"to-broker:{cl_ord_id}", "Account": "FUND1", "Symbol": "IBM", "Side": "1", "OrderQty": qty,
        "OrdType": "2", "Price": px, "TimeInForce": "0", "TransactTime": CLIENT_TIME,
    }  # fmt: skip
    return Sent(broker, "D", texts(fields | more))


def cancel_out(cl_ord_id: str, orig: str, broker: str = BROKER, **more: object) -> Sent:
    """OrderCancelRequest(F) to a broker that has given its OrderID(37)."""
    fields: dict[str, object] = {
        "ClOrdID": f"to-broker:{cl_ord_id}", "OrigClOrdID": f"to-broker:{orig}", "OrderID": "B-1", "Symbol": "IBM",
        "Side": "1", "TransactTime": CLIENT_TIME,
    }  # fmt: skip
    return Sent(broker, "F", texts(fields | more))


def replace_out(cl_ord_id: str, orig: str, qty: object = 100, px: object = 10, **more: object) -> Sent:
    """OrderCancelReplaceRequest(G) to BROKER1 that has given its OrderID(37)."""
    fields: dict[str, object] = {"OrderQty": qty, "OrdType": "2", "Price": px}
    base = cancel_out(cl_ord_id, orig).fields
    return Sent(BROKER, "G", base | texts(fields | more))


def status_out(cl_ord_id: str, **more: object) -> Sent:
    """OrderStatusRequest(H) to BROKER1 that has given its OrderID(37)."""
    fields: dict[str, object] = {
        "ClOrdID": f"to-broker:{cl_ord_id}", "OrderID": "B-1", "Symbol": "IBM", "Side": "1",
    }  # fmt: skip
    return Sent(BROKER, "H", texts(fields | more))
