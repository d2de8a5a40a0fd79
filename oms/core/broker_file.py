"""What a broker's end-of-day file says, as an operator brings it: witnesses of fills, and exception items.

Law: a file confirms fills and raises differences; it never books a fill, moves an order or tells a client. It comes
in parts (`reconcile.file`), each a row of the journal with all that it brings, so that replay needs neither the file
nor the ledger. The first part begins a round of reconciliation (`oms.ledger.rounds`), the last one ends it.
Limits: what was compared was found outside the core; the edge (`oms.ops.file_commands`) has checked that each fill is
there, is confirmed for the first time, and that items to open are new and those to close are open.
"""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal
from typing import Any, Final

from oms.core import replies
from oms.core.book import number_id
from oms.core.effects import Witness
from oms.core.messages import Command, Event
from oms.core.replies import Context

VERB: Final = "reconcile.file"
WITNESS: Final = "file"
KINDS: Final = ("file_missing_here", "file_missing_there", "file_mismatch", "file_duplicate", "file_position")


def command(ctx: Context, seq: int, event: Event, msg: Command) -> None:
    """Apply one part. `args`: broker, trade_date, file, sha256, round ('' in the first part), facts, last."""
    args = dict(msg.args)
    broker, facts = args["broker"], json.loads(args["facts"])
    round_id = args.get("round") or number_id("R", seq)
    told = event._replace(session=broker)
    for fact in facts["witnesses"]:
        ctx.fx.witnesses.append(_witness(broker, seq, event, fact))
    found = []
    for item_id, kind, text, order_id, about in facts["opened"]:
        if kind not in KINDS:
            continue
        severity = "warning" if kind == "file_duplicate" else "error"
        replies.open_item(ctx, seq, told, kind, text, None, item_id=item_id, order_id=order_id, severity=severity)
        found.append([kind, order_id or about, text, seq])
    for item_id, kind, order_id in facts["closed"]:
        replies.resolve(ctx, seq, told, kind, item_id, order_id or None, f"{args['file']} agrees (row {seq})")
    ctx.fx.detail["reconcile"] = _summary(args, round_id, found) | {"cause": f"operator {msg.operator}"}
    ctx.fx.order_id = round_id
    ctx.fx.detail["answer"] = {"round": round_id}


def _witness(broker: str, seq: int, event: Event, fact: list[Any]) -> Witness:
    day, exec_id, kind, quantity, price, *others = fact
    cl_ord_id, account, symbol, side = others
    return Witness(
        broker, date.fromisoformat(day), exec_id, WITNESS, kind, Decimal(quantity), Decimal(price), seq,
        event.received_at, cl_ord_id, account, symbol, side,
    )  # fmt: skip


def _summary(args: dict[str, str], round_id: str, found: list[list[Any]]) -> dict[str, Any]:
    """A part as a row of its round; the last has the numbers of the whole."""
    made: dict[str, Any] = {
        "round": round_id,
        "source": WITNESS,
        "about": args["broker"],
        "how": f"{args['file']} of {args['trade_date']}",
        "orders": int(args["fills"]),
        "found": found,
    }
    if args.get("last") == "Y":
        made |= {
            "ended": "complete",
            "asked": int(args["lines"]),
            "matched": int(args["matched"]),
            "counts": {"differing": int(args["differing"]), "missing_here": int(args["missing_here"])},
        }
    return made
