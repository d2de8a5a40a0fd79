"""News(B): what clients are told that asked for it (OmsNews=Y) when a kill switch or trading stops or lets go.

Only clients that are logged on are told: news of a stop that is over by their next logon would mislead. A kill switch
is told to those whom it concerns: whose name is in its scope, and, where the scope names accounts or traders, who
have orders in it; nobody learns of another's accounts. The reject of an order says the same, told or not.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from oms.core import tags as t
from oms.core.kill import Kill
from oms.core.messages import Event, Outgoing
from oms.core.order import Order
from oms.core.replies import Context, utc_text

SOH: Final = "\x01"
_URGENT: Final = "1"
_PRIVATE: Final = ("account", "trader")


def tell(ctx: Context, event: Event, headline: str, text: str, clients: Iterable[str] | None = None) -> list[str]:
    """A News(B) with Headline(148) and one line of text to these clients, or to all; returns who was told."""
    fields = (
        ("35", "B"),
        (t.ORIG_TIME, utc_text(event.received_at)),
        (t.URGENCY, _URGENT),
        (t.HEADLINE, headline),
        (t.LINES_OF_TEXT, "1"),
        (t.TEXT, text),
    )
    raw = "".join(f"{tag}={value}{SOH}" for tag, value in fields)
    told = []
    for name, state in sorted(ctx.book.sessions.items()):
        if state.news and state.logged_on and (clients is None or name in clients):
            ctx.fx.outgoing.append(Outgoing(ctx.book.take_seq(), name, "B", "", {}, text=raw))
            told.append(name)
    return told


def kill_engaged(ctx: Context, event: Event, kill: Kill, in_scope: Iterable[Order]) -> None:
    """After its cancels: whom a kill switch concerns."""
    private = any(part in _PRIVATE for part, _ in kill.scope)
    having = {order.client for order in in_scope}
    scope = [(part, pattern) for part, pattern in kill.scope if part == "client"]
    concerned = [
        name
        for name in ctx.book.sessions
        if kill._replace(scope=tuple(scope)).covers(client=name) and (name in having or not private)
    ]
    what = "orders that do not reduce a position are" if kill.reduce_only else "new orders and replaces are"
    text = f"{what} refused for {kill.text} ({kill.kill_id})"
    told = tell(ctx, event, "Kill switch engaged", text, concerned)
    if told:
        ctx.book.told_of_kill[kill.kill_id] = (tuple(told), kill.text)


def kill_released(ctx: Context, event: Event, kill_id: str) -> None:
    """Those who were told of it, if this run told them."""
    told, text = ctx.book.told_of_kill.pop(kill_id, ((), ""))
    tell(ctx, event, "Kill switch released", f"no longer refused for {text} ({kill_id})", told)


def trading_switched(ctx: Context, event: Event, on: bool) -> None:
    """All that asked for news."""
    text = "new orders are taken" if on else "new orders and replaces that add risk are refused; cancels pass"
    tell(ctx, event, "Trading is on" if on else "Trading is off", text)
