"""`oms fills`: executions, corrections and busts as the brokers reported them."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import click

from oms.cli.orders_view import fills_table
from oms.cli.output import Since, config_option, console, emit_json, json_option, limit_option, reading
from oms.ledger import queries


@click.group(short_help="List fills, corrections and busts.")
def fills() -> None:
    """Fills, corrections and busts in the ledger."""


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
    """List fills, corrections and busts, newest first."""
    day = trade_date.date() if trade_date is not None else None
    wanted = queries.FillFilter(order_id, client, broker, account, symbol, day, since)
    with reading(path) as (_, engine):
        found = queries.list_fills(engine, wanted, limit)
    made = fills_table(found)
    if as_json:
        emit_json(found)
    elif made is None:
        click.echo("No fills match.")
    else:
        console().print(made)
        if len(found) == limit:
            click.echo(f"The newest {limit}; --limit shows more.")
