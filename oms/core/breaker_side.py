"""What the core does about circuit breakers: after every event, when an operator commands, and in replay.

The steps that an event brought about stand in its decision; here they become an exception item that is open as long
as the breaker is not closed, and where the rule says so the cancels of what works in its scope. Replay has no rules
and no counts: it repeats the steps (`breaker_live.RecordedBreakers`). A breaker that is closed again leaves canceled
what it canceled.
"""

from __future__ import annotations

from collections.abc import Mapping

from oms.core import mass, replies
from oms.core.book import number_id
from oms.core.breaker_counts import about_of
from oms.core.breaker_live import BreakerSide
from oms.core.breaker_rules import PREFIX, SCOPE, Step
from oms.core.breakers import IS_CLOSED, OPENED
from oms.core.messages import Command, Event
from oms.core.order import Order
from oms.core.replies import Context


def command(ctx: Context, seq: int, event: Event, msg: Command) -> None:
    """`args` of trip and reset: breaker, its scope by part, text; of reset also all=Y. A refusal is the answer."""
    breakers = ctx.judge.breakers
    problem = "no breakers are configured" if breakers is None else breakers.command(event, msg)
    if problem:
        ctx.fx.detail["refused"] = problem
        ctx.fx.detail["answer"] = {"refused": problem}


def after(ctx: Context, seq: int, event: Event, breakers: BreakerSide, steps: list[Step]) -> None:
    """Do what the steps that an event brought about ask for."""
    about = ctx.fx.order_id  # of the event; the cancels are about others
    facts = []
    for number, step in enumerate(steps):
        if step.step == OPENED:
            item_id = step.item_id or f"{number_id('X', seq)}-B{number}"
            replies.open_item(ctx, seq, event, "circuit_breaker", step.text, None, item_id=item_id)
            breakers.has_item(step, item_id)
            step = step._replace(item_id=item_id)
            if step.cancels:
                _cancel(ctx, seq, event, step)
        elif step.step == IS_CLOSED:
            replies.resolve(ctx, seq, event, PREFIX, step.item_id, None, step.text)
        facts.append(step.as_fact())
    ctx.fx.detail["breakers"] = facts
    ctx.fx.order_id = about


def _cancel(ctx: Context, seq: int, event: Event, step: Step) -> None:
    """Cancel what works in the scope of a breaker, each once."""
    in_scope = [
        order
        for order in ctx.book.orders.values()
        if order.leaves_qty and order.child is not None and _covers(step.scope, order)
    ]
    for order in sorted(in_scope, key=lambda order: order.order_id):
        if not any(request.kind == "F" for request in order.pending_requests):
            mass.cancel_one(ctx, seq, event, order, step.item_id)


def _covers(scope: Mapping[str, str], order: Order) -> bool:
    about = about_of(order)
    return all(about[SCOPE.index(part)] == value for part, value in scope.items())
