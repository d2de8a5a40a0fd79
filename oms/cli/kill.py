"""`oms kill`: stop trading for a scope at once, cancel what lives in it, prove it, and release it again.

Engaging needs the running gateway; the state of a kill is read from the ledger, order by order: confirmed
canceled, filled while it was being canceled, or unanswered. Exit code 1 until no order is unanswered.
"""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path
from typing import Any

import click

from oms.cli.approvals import say_done
from oms.cli.kill_drill import drill
from oms.cli.output import (
    NotFound,
    config_option,
    console,
    emit_json,
    json_option,
    number,
    reading,
    reason_option,
    state_dir_of,
    table,
)
from oms.core.kill import SCOPES
from oms.ledger import queries
from oms.ledger.records import KilledOrder
from oms.ops.control import call
from oms.ops.way import way

NOT_PROVEN = 1
_LOOK_SECONDS = 0.2
_SCOPE_WORDS = {
    "client": "this client session",
    "account": "this account",
    "symbol": "this symbol",
    "broker": "this broker session",
    "trader": "this trader, or a desk whose traders' names begin alike",
}
COLUMNS = (
    "OrderID(37)",
    "client",
    "ClOrdID(11)",
    "Account(1)",
    "Symbol(55)",
    "broker",
    "CumQty(14)>",
    "LeavesQty(151)>",
    "outcome~",
)


@click.group(short_help="Stop trading for a scope, prove it, release it.")
def kill() -> None:
    """Kill switches: no new orders and no replaces in a scope, and its live orders canceled.

    A kill holds over restarts until it is released. Cancels are never stopped.
    """


kill.add_command(drill)


def _scope_options(command: Any) -> Any:
    for part in reversed(SCOPES):
        text = f"Only {_SCOPE_WORDS[part]}; * and ? match any."
        command = click.option(f"--{part}", metavar="PATTERN", help=text)(command)
    return command


@kill.command(epilog='Example: oms kill engage --account "FUND*" --reason "runaway strategy"')
@_scope_options
@click.option("--firm", is_flag=True, help="Everything: needed where no scope is given.")
@click.option("--reason", "text", required=True, help="Why; kept in the journal with your name, and told to clients.")
@click.option("--keep-orders", is_flag=True, help="Stop new orders only; leave live ones alone.")
@click.option("--reduce-only", is_flag=True, help="Let orders through that reduce a position.")
@click.option("--wait", "seconds", type=click.FloatRange(0, 3600), default=10, show_default=True,
              help="Seconds to wait for the proof.")  # fmt: skip
@config_option
@json_option
def engage(
    path: Path,
    firm: bool,
    text: str,
    keep_orders: bool,
    reduce_only: bool,
    seconds: float,
    as_json: bool,
    **scope: str | None,
) -> None:
    """Stop new orders and replaces at once, and cancel live orders. Exit code 1 while one is unanswered."""
    given = {part: pattern for part, pattern in scope.items() if pattern}
    if bool(given) == firm:
        raise click.UsageError(
            "give a scope (--client, --account, --symbol, --broker, --trader), or --firm for everything"
        )
    args = {**given, "text": text} | ({"cancel": "N"} if keep_orders else {})
    args |= {"reduce_only": "Y"} if reduce_only else {}
    answer = call(state_dir_of(path), "kill.engage", args)
    if not as_json:
        stopped = "no new orders, no replaces" + (" but those that reduce a position" if reduce_only else "")
        click.echo(f"Kill switch {answer['kill_id']} is engaged for {answer['scope']}: {stopped}.")
    if answer["problem"]:
        raise click.ClickException(str(answer["problem"]))
    if keep_orders:
        if as_json:
            emit_json(answer)
        return
    if way.address and not path.exists():
        command = f"oms kill status {answer['kill_id']}"
        raise click.ClickException(f"engaged, and not proven from here: where the ledger is, `{command}` proves it")
    _prove(path, answer["kill_id"], seconds, as_json)


@kill.command(epilog="Example: oms kill status K2Q1V6F8 --wait 60")
@click.argument("kill_id")
@click.option("--wait", "seconds", type=click.FloatRange(0, 3600), default=0, help="Seconds to wait for the proof.")
@config_option
@json_option
def status(kill_id: str, seconds: float, path: Path, as_json: bool) -> None:
    """What became of every order in scope. Exit code 1 while one is unanswered, 3 where there is no such kill."""
    _prove(path, kill_id, seconds, as_json)


def _prove(path: Path, kill_id: str, seconds: float, as_json: bool) -> None:
    """Show the orders of a kill once none is unanswered, or the time is over."""
    deadline = time.monotonic() + seconds
    with reading(path, recorded=False) as (_, engine):
        while True:
            found = queries.killed_orders(engine, kill_id)
            if found is None:
                raise NotFound(
                    f"the ledger has no kill switch {kill_id}; `oms kill list` shows those that are engaged"
                )
            if time.monotonic() >= deadline or all(one.outcome != "unanswered" for one in found):
                break
            time.sleep(_LOOK_SECONDS)  # the answers come to another process; the ledger is where they show
    counts = Counter(one.outcome for one in found)
    if as_json:
        emit_json({"kill_id": kill_id, "counts": counts, "orders": found})
    else:
        _show(found, counts)
    if counts["unanswered"]:
        raise SystemExit(NOT_PROVEN)


def _show(found: list[KilledOrder], counts: Counter[str]) -> None:
    rows = [
        (
            one.order_id, one.client, one.cl_ord_id, one.account, one.symbol, one.broker, number(one.cum_qty),
            number(one.leaves_qty), one.outcome,
        )
        for one in sorted(found, key=lambda one: one.outcome != "unanswered")
    ]  # fmt: skip
    if rows:
        console().print(table("Orders in scope", COLUMNS, rows))
    outcomes = ", ".join(
        f"{counts[name]} {name}" for name in ("canceled", "filled", "ended", "unanswered") if counts[name]
    )
    proven = "not proven yet" if counts["unanswered"] else "proven: none is left alive"
    click.echo(f"{len(found)} orders were alive in scope: {outcomes or 'nothing to cancel'}; {proven}.")


@kill.command("list", epilog="Example: oms kill list")
@config_option
@json_option
def list_(path: Path, as_json: bool) -> None:
    """The kill switches that are engaged now."""
    kills = call(state_dir_of(path), "kill.list", {})["kills"]
    if as_json:
        emit_json(kills)
    elif not kills:
        click.echo("No kill switch is engaged.")
    else:
        rows = [(one["kill_id"], one["text"], one["operator"], one["reason"]) for one in kills]
        console().print(table("Kill switches engaged", ("kill", "for", "by", "why~"), rows))


@kill.command(epilog='Example: oms kill release K2Q1V6F8 --reason "strategy fixed, desk head agrees"')
@click.argument("kill_id")
@reason_option
@config_option
@json_option
def release(kill_id: str, text: str, path: Path, as_json: bool) -> None:
    """Let new orders in again. Orders that were canceled stay so."""
    answer = call(state_dir_of(path), "kill.release", {"kill_id": kill_id, "text": text})
    if as_json or "proposal_id" in answer:
        say_done(answer, as_json)
    else:
        click.echo(f"Kill switch {kill_id} is released (journal row {answer['journal_seq']}).")
