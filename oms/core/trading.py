"""Trading on or off: what an operator or a rule switched, what still passes while it is off, and who is told.

Off, no new order is taken and no replace that adds risk; cancels always go. The judge refuses with a text that never
changes (`trading_on: trading is off`) and names no command: clients cannot give it. Operators are told by one
exception item, opened by the first order that is refused, closed when trading is on again.
`trading.on` and `trading.off` are journaled here; the switch itself is the edge's (`oms.ops.trading`), in force
before the journal has it where it stops, and only after where it opens.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, NamedTuple

from oms.core import replies
from oms.core.book import Book
from oms.core.judge import Verdict
from oms.core.messages import Command, Event
from oms.core.order import OPEN_REQUEST, Order, Request
from oms.core.replies import Context

ON, OFF = "trading.on", "trading.off"
VERBS: Final = (ON, OFF)
RULE: Final = "trading_on"  # the check's name in `risk`
ITEM: Final = "trading_off"
# Why trading is as it is.
CONFIGURED, OPERATOR, UNCLEAN, FIRST_LIVE = "configured", "operator", "unclean stop", "first start on live"
_TEXT: Final = (
    "a client's order was refused because trading is off; `oms trading status` tells since when and why,"
    " `oms trading on --reason TEXT` switches it on"
)


class Switch(NamedTuple):
    """Whether trading is switched on, since when (UTC), by whom and why. `cause` is one of the words above."""

    on: bool
    since: datetime
    cause: str
    by: str
    why: str
    switch_id: str = ""  # of the command that switched it off

    def as_fact(self) -> dict[str, Any]:
        """In a form that JSON has."""
        return self._asdict() | {"since": self.since.isoformat()}

    @classmethod
    def of_fact(cls, fact: Mapping[str, Any]) -> Switch:
        """Back from `as_fact`. Raises KeyError or ValueError where it is none."""
        return cls(
            bool(fact["on"]),
            datetime.fromisoformat(fact["since"]),
            str(fact["cause"]),
            str(fact["by"]),
            str(fact["why"]),
            str(fact.get("switch_id", "")),
        )

    @property
    def text(self) -> str:
        """For people: ``off since 2026-03-02 07:00:12 UTC by ann: exchange test``."""
        by = f" by {self.by}" if self.by else ""
        return f"{'on' if self.on else 'off'} since {self.since:%Y-%m-%d %H:%M:%S} UTC{by}: {self.why}"


def adds_risk(
    order: Order,
    order_qty: Decimal | None,
    price: Decimal | None,
    stop_px: Decimal | None,
    before: Request | None = None,
) -> bool:
    """Whether an order would risk more with these terms than with those it has or has asked for; in doubt it does.

    No more shares at the same prices add none. `before`: a request of the order, then only earlier ones count.
    """
    asked = [
        one
        for one in order.requests
        if one.kind == "G" and one.state in OPEN_REQUEST and (before is None or one.seq < before.seq)
    ]
    terms = [(one.order_qty, one.price, one.stop_px) for one in asked]
    return order_qty is None or any(
        qty is None or order_qty > qty or (px, stop) != (price, stop_px)
        for qty, px, stop in [(order.order_qty, order.price, order.stop_px), *terms]
    )


def takes_risk_away(order: Order, broker_cl_ord_id: str) -> bool:
    """Whether this ClOrdID(11) of ours is of a replace that adds no risk. Safe from any thread."""
    request = order.request_by_broker_id(broker_cl_ord_id)
    if request is None or request.kind != "G":
        return False
    return not adds_risk(order, request.order_qty, request.price, request.stop_px, request)


def told(ctx: Context, seq: int, event: Event, verdict: Verdict) -> None:
    """After a verdict: the first refusal while trading is off opens the item, an order let through closes it."""
    book = ctx.book
    if verdict.rule == RULE and not book.trading_item:
        book.trading_item = replies.open_item(ctx, seq, event, "trading_off", _TEXT, None, severity="warning")
    elif verdict.ok and book.trading_item:
        _close(ctx, seq, event, "trading is on")


def command(ctx: Context, seq: int, event: Event, msg: Command) -> None:
    """Journal a switch. `args`: text (why), switch_id with `trading.off`, proposer where two people did it."""
    if msg.verb == ON and ctx.book.trading_item:
        _close(ctx, seq, event, f"trading was switched on by {msg.operator}")
    ctx.fx.detail["answer"] = {"trading": "on" if msg.verb == ON else "off"}


def item_closed(book: Book, item_id: str) -> None:
    """An operator resolved an exception item; the next refusal opens another."""
    if book.trading_item == item_id:
        book.trading_item = ""


def _close(ctx: Context, seq: int, event: Event, why: str) -> None:
    replies.resolve(ctx, seq, event, ITEM, ctx.book.trading_item, None, why)
    ctx.book.trading_item = ""
