"""`oms fills`: executions, corrections and busts as the brokers reported them, or as people entered them."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import click

from oms.cli.approvals import say_done
from oms.cli.orders_view import fills_json, fills_table
from oms.cli.output import (
    Since,
    config_option,
    console,
    emit_json,
    json_option,
    limit_option,
    reading,
    reason_option,
    state_dir_of,
)
from oms.ledger import queries
from oms.ops.control import call


@click.group(short_help="List fills, corrections and busts; enter those that were told otherwise.")
def fills() -> None:
    """Fills, corrections and busts in the ledger.

    What a broker told by another way than its session is entered with add, correct and bust: by two people, unless
    the configuration says otherwise. It moves the order, and its client is told.
    """


@fills.command("list", epilog="Example: oms fills list --symbol AAPL --since 13:00")
@config_option
@click.option("--order", "order_id", help="OrderID(37), ours.")
@click.option("--client", help="Client session.")
@click.option("--broker", help="Broker session.")
@click.option("--account", help="Account(1).")
@click.option("--symbol", help="Symbol(55).")
@click.option("--trade-date", type=click.DateTime(["%Y-%m-%d"]), help="Trade date, such as 2026-03-02.")
@click.option("--since", type=Since(), help="Received since: 2026-03-02, 13:00, 30m, 2h, 1d (UTC).")
@limit_option
@json_option
def list_(
    path: Path,
    order_id: str | None,
    client: str | None,
    broker: str | None,
    account: str | None,
    symbol: str | None,
    trade_date: datetime | None,
    since: datetime | None,
    limit: int,
    as_json: bool,
) -> None:
    """List fills, corrections and busts, newest first, with the witnesses that tell each."""
    day = trade_date.date() if trade_date is not None else None
    wanted = queries.FillFilter(order_id, client, broker, account, symbol, day, since)
    with reading(path) as (_, engine):
        found = queries.list_fills(engine, wanted, limit)
        said = queries.witnesses_of(engine, found)
    made = fills_table(found, said)
    if as_json:
        emit_json(fills_json(found, said))
    elif made is None:
        click.echo("No fills match.")
    else:
        console().print(made)
        if len(found) == limit:
            click.echo(f"The newest {limit}; --limit shows more.")


# -- entered by hand -------------------------------------------------------------------------------------------


def _entering(command: Any) -> Any:
    """Options of all that is entered."""
    reason = click.option("--reason", "text", required=True, help="Why; kept in the journal with the names.")
    silent = click.option("--silent", is_flag=True, help="Do not tell the client: it knows by other means.")
    return reason(silent(config_option(json_option(command))))


qty_option = click.option("--qty", required=True, help="LastQty(32), in shares.")
px_option = click.option("--px", required=True, help="LastPx(31), in the instrument's currency.")
own_exec_id = click.option("--exec-id", help="ExecID(17) that the broker gives it. Absent: one of ours.")


@fills.command(epilog='Example: oms fills add O00000002F --qty 40 --px 150.25 --exec-id E77 --reason "told by phone"')
@click.argument("order_id")
@qty_option
@px_option
@click.option("--exec-id", required=True, help="ExecID(17) of the broker: by it its own report is known later.")
@click.option("--trade-date", help="TradeDate(75), such as 2026-03-02. Absent: today's.")
@click.option("--at", help="TransactTime(60) of the execution, UTC. Absent: not known.")
@click.option("--child", "child_id", help="ClOrdID(11) at the broker, where the order went to several.")
@_entering
def add(path: Path, text: str, silent: bool, as_json: bool, **given: str | None) -> None:
    """Enter a fill of an order that its broker told by another way than its session."""
    _enter(path, "fills.add", given, text, silent, as_json)


@fills.command(epilog='Example: oms fills correct E000000031 --qty 30 --px 150.25 --reason "broker mail of 14:02"')
@click.argument("exec")
@qty_option
@px_option
@own_exec_id
@_entering
def correct(path: Path, text: str, silent: bool, as_json: bool, **given: str | None) -> None:
    """Correct a fill, named by ExecID(17) of either side, to this quantity and price."""
    _enter(path, "fills.correct", given, text, silent, as_json)


@fills.command(epilog='Example: oms fills bust E000000031 --reason "broker busted it by phone"')
@click.argument("exec")
@own_exec_id
@_entering
def bust(path: Path, text: str, silent: bool, as_json: bool, **given: str | None) -> None:
    """Bust a fill, named by ExecID(17) of either side."""
    _enter(path, "fills.bust", given, text, silent, as_json)


@fills.command(epilog='Example: oms fills link PHONE-1 --exec-id E77 --reason "their id for it"')
@click.argument("exec")
@click.option("--exec-id", required=True, help="ExecID(17) under which the broker will report it.")
@reason_option
@config_option
@json_option
def link(path: Path, text: str, as_json: bool, **given: str | None) -> None:
    """Say under which ExecID(17) the broker will report a fill that was entered under another."""
    _enter(path, "fills.link", given, text, False, as_json)


def _enter(path: Path, verb: str, given: dict[str, str | None], text: str, silent: bool, as_json: bool) -> None:
    args = {name: value for name, value in given.items() if value is not None} | {"text": text}
    if silent:
        args["silent"] = "Y"
    say_done(call(state_dir_of(path), verb, args), as_json)
