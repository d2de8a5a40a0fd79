"""Whether quantities add up: the ledger's with the broker's CumQty(14), and with what was ordered.

Reports may overtake one another, so nothing is judged by one report alone: the broker's totals are followed as a
path (`executions.Told`), and an item that was raised is resolved when what was missing has arrived.
"""

from __future__ import annotations

from oms.core import fills, replies
from oms.core import transitions as life
from oms.core.messages import Event, ExecutionReport
from oms.core.order import ZERO, Child, Order, decimal_text
from oms.core.replies import Context


def check(
    ctx: Context, seq: int, event: Event, order: Order, child: Child, msg: ExecutionReport, *, applied: bool = True
) -> None:
    """Raise what does not add up, more than ordered or a broker's CumQty(14) that is not ours; resolve what does.

    A total that the ledger has passed is no news: an older report may arrive late.
    """
    _check_overfill(ctx, seq, event, order)
    told = child.told
    news = applied
    is_behind = msg.exec_type == "I" and msg.cum_qty is not None and msg.cum_qty < child.cum_qty
    if msg.exec_type not in fills.TRADES:
        news = msg.cum_qty in told.unreached
    if told.agrees(child.cum_qty):
        if not is_behind and "quantity_mismatch" in order.open_items:
            text = f"CumQty(14) {decimal_text(child.cum_qty)} agrees in journal row {seq}"
            replies.resolve_item(ctx, seq, event, "quantity_mismatch", order, text)
    elif news:
        said = msg.cum_qty if msg.cum_qty not in (None, child.cum_qty) else told.highest
        text = f"broker's CumQty(14) {decimal_text(said or ZERO)}, ledger's {decimal_text(child.cum_qty)}"
        replies.open_item(ctx, seq, event, "quantity_mismatch", text, order, severity="warning")
    if "fill_after_end" in order.open_items and order.life in life.TERMINAL and order.cum_qty == child.cum_qty:
        if child.cum_qty == child.life_cum_qty and told.leads_to(child.cum_qty):
            text = f"the fills are the CumQty(14) {decimal_text(child.cum_qty)} that the end of the order told"
            replies.resolve_item(ctx, seq, event, "fill_after_end", order, text)


def _check_overfill(ctx: Context, seq: int, event: Event, order: Order) -> None:
    if order.cum_qty > order.order_qty:
        text = f"filled {decimal_text(order.cum_qty)} of OrderQty(38) {decimal_text(order.order_qty)}"
        replies.open_item(ctx, seq, event, "overfill", text, order)
    elif "overfill" in order.open_items:
        text = f"filled {decimal_text(order.cum_qty)} of OrderQty(38) {decimal_text(order.order_qty)} by now"
        replies.resolve_item(ctx, seq, event, "overfill", order, text)
