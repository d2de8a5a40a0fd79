"""What clients and brokers of the tests say, short: an order, a cancel, a report in the broker's version.

Texts are written with `|`. Quantities are shares, prices USD; the broker's ids are the test's own. `shape`
takes from a report what a client acts on, so that a test compares whole outputs in one line.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from oms.sim.peer import FixPeer
from oms.sim.wire import Message, utc_now, utc_timestamp

# ExecType(150) of 4.4 -> ExecTransType(20) of 4.2
TRANS_TYPES = {"H": "1", "G": "2", "I": "3"}
SESSION_TAGS = frozenset({8, 9, 10, 34, 35, 43, 49, 52, 56, 97, 122, 1128})
Shape = tuple[str | None, ...]


def new_order(cl_ord_id: str, qty: int = 100, price: str = "150.00", account: str = "FUND1", more: str = "") -> str:
    """A NewOrderSingle(D): buy AAPL, limit, day."""
    text = f"35=D|11={cl_ord_id}|1={account}|55=AAPL|54=1|38={qty}|40=2|44={price}|59=0"
    return f"{text}|{more}" if more else text


def replace(cl_ord_id: str, orig: str, qty: int, price: str = "150.00", more: str = "") -> str:
    """An OrderCancelReplaceRequest(G) to a new total and price."""
    text = f"35=G|11={cl_ord_id}|41={orig}|1=FUND1|55=AAPL|54=1|38={qty}|40=2|44={price}|59=0"
    return f"{text}|{more}" if more else text


def cancel(cl_ord_id: str, orig: str, qty: int = 100) -> str:
    """An OrderCancelRequest(F)."""
    return f"35=F|11={cl_ord_id}|41={orig}|55=AAPL|54=1|38={qty}"


def status(cl_ord_id: str) -> str:
    """An OrderStatusRequest(H)."""
    return f"35=H|11={cl_ord_id}|55=AAPL|54=1"


def report(
    broker: FixPeer,
    asked: Message,
    exec_type: str,
    exec_id: str,
    *,
    ord_status: str = "",
    qty: int | str = "",
    cum: int = 0,
    leaves: int | None = None,
    last: tuple[int | str, str] | None = None,
    avg: str = "0",
    ref: str = "",
    order_id: str = "",
    more: str = "",
) -> str:
    """An ExecutionReport(8) about what was `asked`, ExecType(150) given in 4.4 terms."""
    qty = qty or asked.get(38, "100")
    leaves = int(qty) - cum if leaves is None else leaves
    ord_status = ord_status or {"F": "2" if not leaves else "1"}.get(exec_type, exec_type)
    ids = f"37={order_id or 'B-' + asked[11]}|17={exec_id}|11={asked[11]}"
    if 41 in asked:
        ids += f"|41={asked[41]}"
    if ref:
        ids += f"|19={ref}"
    if broker.version == "4.2":
        kind = {"F": ord_status, "G": ord_status, "H": ord_status, "I": ord_status}.get(exec_type, exec_type)
        ids += f"|20={TRANS_TYPES.get(exec_type, '0')}"
    else:
        kind = exec_type
    fills = f"|32={last[0]}|31={last[1]}" if last else ""
    text = (
        f"35=8|{ids}|150={kind}|39={ord_status}|55=AAPL|54={asked.get(54, '1')}|38={qty}|44={asked.get(44, '150')}"
        f"{fills}|151={leaves}|14={cum}|6={avg}"
    )
    return f"{text}|{more}" if more else text


def cancel_reject(asked: Message, text: str = "too late", ord_status: str = "0") -> str:
    """An OrderCancelReject(9) for a request."""
    kind = "1" if asked.type == "F" else "2"
    return (
        f"35=9|37=B-{asked[41]}|11={asked[11]}|41={asked[41]}|39={ord_status}|434={kind}|102=0|58={text}"
        f"|60={utc_timestamp(utc_now())}"
    )


def shape(message: Message) -> Shape:
    """MsgType, ClOrdID, ExecType, OrdStatus, LastQty, LeavesQty, CumQty of a message to a client."""
    return (message.type, *(message.get(tag) for tag in (11, 150, 39, 32, 151, 14)))


def fields(message: Message, *leave_out: int) -> list[tuple[int, str]]:
    """All fields of a message but the session's, in order; numbers in one spelling."""
    return [(tag, value) for tag, value in message.pairs if tag not in SESSION_TAGS and tag not in leave_out]


def told_fills(messages: Iterable[Message]) -> list[tuple[str, Decimal]]:
    """ExecID(17) and LastQty(32) of every report of a fill that a client was told."""
    return [
        (message[17], Decimal(message[32]))
        for message in messages
        if message.type == "8" and message.get(150) in ("F", "1", "2") and message.get(20, "0") == "0"
    ]
