"""What the simulated client sends: D, F, G and H as FIX 4.2, 4.4 or 5.0 SP2 text. Pure: no I/O, no clock.

Tag 7001, a tag of our own that the gateway passes on unread, ties the views of client, broker and ledger together:
it holds the client's name and the order's first ClOrdID(11), as in CLIENT1/A1.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from oms.sim.checks import ClientOrder
from oms.sim.flow import FollowUp, Terms
from oms.sim.wire import joined, plain, utc_timestamp

TRACE = 7001


def new_order(terms: Terms, cl_ord_id: str, trace: str, version: str, at: datetime) -> str:
    """A NewOrderSingle(D), from MsgType(35) on."""
    return joined(
        [
            (35, "D"),
            (11, cl_ord_id),
            (1, terms.account),
            (21, "1" if version == "4.2" else ""),
            (55, terms.symbol),
            (54, terms.side),
            (60, utc_timestamp(at)),
            (38, plain(terms.qty)),
            (40, terms.ord_type),
            (44, plain(terms.price)),
            (99, plain(terms.stop_px)),
            (59, terms.tif),
            (58, terms.text),
            (TRACE, trace),
        ]
    )


def follow_up(
    step: FollowUp, order: ClientOrder, terms: Terms, ids: tuple[str, str], trace: str, version: str, at: datetime
) -> str:
    """A cancel (F), replace (G) or status request (H) on the order. `ids` are ClOrdID(11) and OrigClOrdID(41)."""
    cl_ord_id, orig_cl_ord_id = ids
    instrument = [(55, order.symbol), (54, order.side)]
    if step.action == "status":
        return joined([(35, "H"), (11, orig_cl_ord_id), *instrument])
    head = [(11, cl_ord_id), (41, orig_cl_ord_id), (1, terms.account), *instrument, (60, utc_timestamp(at))]
    if step.action == "cancel":
        return joined([(35, "F"), *head, (38, plain(order.qty)), (TRACE, trace)])
    return joined(
        [
            (35, "G"),
            *head,
            (21, "1" if version == "4.2" else ""),
            (38, plain(_or(step.qty, order.qty))),
            (40, terms.ord_type),
            (44, plain(step.price if step.price is not None else order.price)),
            (99, plain(terms.stop_px)),
            (59, terms.tif),
            (TRACE, trace),
        ]
    )


def _or(value: Decimal | None, default: Decimal) -> Decimal:
    return default if value is None else value
