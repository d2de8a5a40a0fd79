"""`oms orders settle`: what no message of the broker will settle, settled by people who know it by another way."""

from __future__ import annotations

from pathlib import Path

import click

from oms.cli.approvals import say_done
from oms.cli.output import config_option, json_option, reason_option, state_dir_of
from oms.core.settle import VERB, WORDS
from oms.ops.control import call

EPILOG = 'Example: oms orders settle O00000002F --as canceled --reason "ended at 17:30, their mail of 18:02"'


@click.command("settle", epilog=EPILOG)
@click.argument("order_id", metavar="ORDERID")
@click.option("--as", "word", type=click.Choice(WORDS), required=True, help="What became of it, as below.")
@reason_option
@config_option
@json_option
def settle_command(order_id: str, word: str, text: str, path: Path, as_json: bool) -> None:
    """Settle an order, or a request about it, whose report never comes. Its client is told.

    \b
    canceled          the broker has ended the order; what traded stays
    expired           the order ended with its time
    rejected          the broker never took it (only where nothing has traded)
    working           the broker has the order that was in doubt
    replaced          the broker took the open replace: its terms hold
    replace-rejected  the broker never took the open replace
    cancel-rejected   the broker never took the open cancel

    Nothing is sent to the broker, and no fill is made: shares that traded are entered with `oms fills add`, best
    before the end is settled. Mostly it needs a second person. ORDERID is the OrderID(37) of ours.
    """
    args = {"order_id": order_id, "as": word, "text": text}
    say_done(call(state_dir_of(path), VERB, args), as_json)
