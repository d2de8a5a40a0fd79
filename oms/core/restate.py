"""Orders over several days: a renewal that nobody tells, and a corporate action that restates what has traded.

A broker restates an order (ExecType(150) D, ExecRestatementReason(378) 0) in the terms after a split. What was
traded before counts in the new terms too, or CumQty(14) would no longer be the sum of the fills (I4). So every live
execution gets a correction in the ledger: quantity times the ratio, price divided by it, the money as it was. Its
ExecID(17) is `<that of the restatement>:<that of the execution>`. Only a ratio that OrderQty(38) and CumQty(14)
agree in is believed; anything else stays a difference of quantities, for a person to look at.
"""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal

from oms.core import fills
from oms.core import transitions as life
from oms.core.executions import Execution
from oms.core.messages import Event, ExecutionReport
from oms.core.order import Child, Order, correct_trade
from oms.core.replies import Context

_CORPORATE_ACTION = ("378", "0")
_STEP = Decimal("0.0000000001")


def executions(ctx: Context, seq: int, event: Event, order: Order, child: Child, msg: ExecutionReport) -> None:
    """Take a corporate action over into the executions of an order; no other restatement touches them.

    The client comes to know the first execution by the ExecID(17) of the report that follows, each further one by
    that with a suffix.
    """
    after, qty_after, before = msg.cum_qty, msg.order_qty, child.cum_qty
    if _CORPORATE_ACTION not in msg.body or not after or not qty_after or not msg.exec_id:
        return
    if min(after, before) <= 0 or after == before or after * child.order_qty != before * qty_after:
        return
    told_as = fills.exec_id_of_report(ctx, seq, order)
    live = [(exec_id, one) for exec_id, one in child.executions.items() if one.live]
    left = after
    for number, (exec_id, one) in enumerate(live):
        last = number == len(live) - 1  # it gets what rounding left over
        qty = left if last else (one.last_qty * after / before).quantize(_STEP, ROUND_HALF_EVEN)
        px = (one.last_px * before / after).quantize(_STEP, ROUND_HALF_EVEN)
        left -= qty
        own_id = f"{msg.exec_id}:{exec_id}"
        client_exec_id = f"{told_as}-{number}" if number else told_as
        correct_trade(order, child, one, own_id, Execution(client_exec_id, qty, px))
        booked = msg._replace(exec_type="G", exec_id=own_id, exec_ref_id=exec_id, last_qty=qty, last_px=px)
        fills.book_fill(ctx, seq, event, order, child, booked, client_exec_id)
    ctx.fx.detail["restated"] = [format(before, "f"), format(after, "f")]


def is_renewed(order: Order, child: Child, msg: ExecutionReport) -> bool:
    """Whether a fill shows that an order that was done for an earlier day is at work again: to say so is optional.

    A fill whose CumQty(14) was in the one of done for day came late, and shows nothing.
    """
    if order.life != life.DONE_FOR_DAY or msg.exec_type not in fills.TRADES or msg.ord_status not in ("0", "1"):
        return False
    told, then = msg.cum_qty, child.life_cum_qty
    return bool(order.leaves_qty) and told is not None and then is not None and told > then
