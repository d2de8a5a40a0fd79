"""What a client is told of messages beyond its rate, and what the desk is told of a client that will not slow down.

The inbox decides which messages are too many (oms/throttle.py), because it alone sees when they come; the decision
is written into the journal row of the message, and replay reads it back. Here is what follows: a new order or replace
is refused before it is judged and leaves no order behind, so that its ClOrdID(11) may come again; anything else is
answered with BusinessMessageReject(j). Cancels never come here.
"""

from __future__ import annotations

from oms.core import replies
from oms.core.messages import (
    Body,
    Event,
    NewOrder,
    OverRate,
    Problem,
    ReplaceRequest,
    Throttled,
    Unreadable,
)
from oms.core.replies import Context
from oms.core.risk import BROKER_OPTION

RULE = "throttle"


def throttled(body: Body, msg_type: str, text: str) -> Body:
    """The event of a message that is refused for its session's rate; one that cannot be read keeps that answer."""
    if isinstance(body, NewOrder | ReplaceRequest):
        return body._replace(problem=body.problem or Problem(RULE, text, BROKER_OPTION))
    if isinstance(body, Unreadable):
        return body
    ref_id = getattr(body, "cl_ord_id", "") or getattr(body, "req_id", "") or getattr(body, "ref_id", "")
    return Throttled(msg_type, ref_id, f"{RULE}: {text}")


def refuse(ctx: Context, seq: int, event: Event, msg: Throttled) -> None:
    """Understood, and not done: BusinessRejectReason(380) 0, other."""
    ctx.fx.detail["refused"] = msg.text
    replies.business_reject(ctx, event, msg.msg_type, msg.ref_id, "0", msg.text)


def over_rate(ctx: Context, seq: int, event: Event, msg: OverRate) -> None:
    """A client went on beyond its rate and is being logged out: somebody should talk to it."""
    text = (
        f"{event.session} had {msg.refused} messages refused within a second, over its {msg.per_second} a second:"
        f" it is logged out for {msg.out_seconds} s"
    )
    replies.open_item(ctx, seq, event, "client_over_rate", text, None, severity="warning")
