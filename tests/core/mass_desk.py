"""The desk with words for many orders at once, and what should come of a mass cancel."""

from __future__ import annotations

from typing import Any

from oms.core import messages as m
from tests.core.desk import Desk, texts
from tests.core.driver import BROKER, CLIENT, Sent
from tests.core.terms import BROKERS, TERMS

AS_ONE = TERMS._replace(brokers={name: facts._replace(mass_cancel=True) for name, facts in BROKERS.items()})


class MassDesk(Desk):
    """The desk, with words for many orders at once."""

    def mass_cancel(self, cl_ord_id: str = "M1", kind: str = "7", client: str = CLIENT, **more: Any) -> list[Sent]:
        given = {"symbol": "", "side": "", "account": "", "problem": None} | more
        return self.event(client, m.MassCancelRequest(cl_ord_id, kind, **given))

    def mass_status(self, kind: str = "7", client: str = CLIENT, **more: Any) -> list[Sent]:
        given = {"symbol": "", "side": "", "account": "", "problem": None} | more
        return self.event(client, m.MassStatusRequest("S1", kind, **given))

    def answer(self, request: Sent, broker: str = BROKER, **more: Any) -> list[Sent]:
        """The broker's OrderMassCancelReport(r), taking the request where nothing else is said."""
        given: dict[str, Any] = {
            "response": "7",
            "reject_reason": "",
            "total": None,
            "affected": (),
            "text": "",
        } | more
        return self.event(broker, m.MassCancelReport(request.fields["ClOrdID"], **given))

    def open_orders(self, *cl_ord_ids: str, **more: Any) -> None:
        for cl_ord_id in cl_ord_ids:
            self.new(cl_ord_id, **more)
            self.report(cl_ord_id, "0", order_id=f"B-{cl_ord_id}")


def taken(desk: Desk, *cl_ord_ids: str, **more: object) -> Sent:
    """OrderMassCancelReport(r) that a request of CLIENT1 was taken; of the group, the last order shows."""
    fields: dict[str, object] = {
        "ClOrdID": "M1", "OrderID": number(desk), "1369": number(desk), "MassCancelRequestType": "7",
        "MassCancelResponse": "7", "TransactTime": "now", "TotalAffectedOrders": len(cl_ord_ids),
    }  # fmt: skip
    if cl_ord_ids:
        order = desk.order(cl_ord_ids[-1])
        fields |= {"534": len(cl_ord_ids), "OrigClOrdID": cl_ord_ids[-1], "535": order.order_id}
    return Sent(CLIENT, "r", texts(fields | more))


def number(desk: Desk) -> str:
    """OrderID(37) of the mass cancel that came last."""
    return next(out.fields["37"] for out in reversed(desk.raw) if out.msg_type == "r")


def refused(text: str, reason: str, kind: str = "7", **more: object) -> Sent:
    fields: dict[str, object] = {
        "ClOrdID": "M1", "OrderID": "NONE", "1369": "NONE", "MassCancelRequestType": kind, "MassCancelResponse": "0",
        "MassCancelRejectReason": reason, "TransactTime": "now", "Text": text,
    }  # fmt: skip
    return Sent(CLIENT, "r", texts(fields | more))


def ids(sent: list[Sent]) -> list[tuple[str, str, str]]:
    """Where to, MsgType(35), and OrigClOrdID(41) for requests or ClOrdID(11) for reports."""
    return [(one.session, one.msg_type, one.fields.get("OrigClOrdID") or one.fields["ClOrdID"]) for one in sent]
