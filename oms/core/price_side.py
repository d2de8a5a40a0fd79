"""What the core does with prices that it hears: the judge decides, rows and exception items follow.

Rows of `reference_prices` and items are made from what was decided, which is in the journal's detail, so that replay
makes the same ones although it judges nothing. See `oms.core.prices` for the rules.
"""

from __future__ import annotations

import json
from datetime import datetime
from decimal import Decimal

from oms.core import replies
from oms.core.effects import Price
from oms.core.messages import Command, Event, Prices, PriceSource
from oms.core.prices import HELD, SOURCE, Facts
from oms.core.replies import Context

KINDS = (HELD, SOURCE)  # of exception items
_SHOWN = 5


def quoted(ctx: Context, seq: int, event: Event, msg: Prices) -> None:
    """Prices of a source."""
    _apply(ctx, seq, event, msg, ctx.judge.priced(seq, event.received_at, msg, False))


def load(ctx: Context, seq: int, event: Event, msg: Command) -> None:
    """Prices that an operator gives. `args`: quotes (JSON as in `Prices`), source, accept=Y to take any move."""
    args = dict(msg.args)
    prices = Prices(args["source"], tuple((symbol, price, at) for symbol, price, at in json.loads(args["quotes"])))
    facts = ctx.judge.priced(seq, event.received_at, prices, args.get("accept") == "Y")
    _apply(ctx, seq, event, prices, facts)
    ctx.fx.detail["answer"] = {name: facts.get(name, []) for name in ("taken", "held", "refused")}


def source_told(ctx: Context, seq: int, event: Event, msg: PriceSource) -> None:
    """A source cannot be used, or can again."""
    facts = ctx.judge.price_source(seq, msg)
    ctx.fx.detail["prices"] = dict(facts)
    if item_id := facts.get("opens"):
        text = f"prices of {msg.source}: {msg.problem}"
        replies.open_item(ctx, seq, event, SOURCE, text, None, item_id=item_id, severity="warning")
    if item_id := facts.get("closes"):
        replies.resolve(
            ctx, seq, event, SOURCE, item_id, None, f"{msg.source} gives prices again, or is not configured any more"
        )


def _apply(ctx: Context, seq: int, event: Event, msg: Prices, facts: Facts) -> None:
    """The rows and items that follow from what was decided."""
    ctx.fx.detail["prices"] = dict(facts)
    taken = frozenset(facts.get("taken", ()))
    for symbol, price, at in msg.quotes:
        if symbol in taken:
            ctx.fx.prices[symbol] = Price(symbol, Decimal(price), datetime.fromisoformat(at), msg.source, seq)
    if item_id := facts.get("opens"):
        held = facts["held"]
        told = "; ".join(f"{symbol} from {before} to {price}" for symbol, price, _, before in held[:_SHOWN])
        more = f"; and {len(held) - _SHOWN} more" if len(held) > _SHOWN else ""
        text = f"prices of {msg.source} moved too far and are not used: {told}{more}"
        replies.open_item(ctx, seq, event, HELD, text, None, item_id=item_id, severity="warning")
    for item_id in facts.get("closes", ()):
        replies.resolve(ctx, seq, event, HELD, item_id, None, "prices were taken for all of its symbols")
