"""`oms positions`: what the fills add up to, per account, symbol and broker."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, replace
from datetime import datetime
from itertools import groupby
from pathlib import Path
from typing import Any

import click

from oms.cli.output import Since, config_option, console, day_and_time, emit_json, json_option, number, reading, table
from oms.ledger.positions import Position
from oms.ledger.positions import positions as read_positions

COLUMNS = (
    "Account(1)", "Symbol(55)", "broker", "net>", "bought>", "average>", "sold>", "average>", "other sides>",
)  # fmt: skip


@click.command(epilog="Example: oms positions --account FUND1 --as-of 13:00")
@config_option
@click.option("--account", help="Account(1).")
@click.option("--symbol", help="Symbol(55).")
@click.option("--broker", help="Broker session.")
@click.option("--trade-date", type=click.DateTime(["%Y-%m-%d"]), help="Fills of this trade date only.")
@click.option("--as-of", type=Since(), help="As it was known then: 2026-03-02T13:00, 13:00, 30m, 1d (UTC).")
@click.option("--total", is_flag=True, help="All brokers together.")
@json_option
def positions(
    path: Path,
    account: str | None,
    symbol: str | None,
    broker: str | None,
    trade_date: datetime | None,
    as_of: datetime | None,
    total: bool,
    as_json: bool,
) -> None:
    """Positions in shares, from fills, corrections and busts alone; since the ledger began where no date is given."""
    day = trade_date.date() if trade_date is not None else None
    with reading(path) as (_, engine):
        found = read_positions(engine, as_of=as_of, trade_date=day, account=account, symbol=symbol, broker=broker)
    if total:
        found = list(_totals(found))
    if as_json:
        emit_json([_json(one) for one in found])
    elif not found:
        click.echo("No fills match.")
    else:
        title = "Positions" + (f" as of {day_and_time(as_of)} (UTC)" if as_of else "")
        console().print(table(title, COLUMNS, [_row(one) for one in found]))


def _totals(found: Iterable[Position]) -> Iterable[Position]:
    for _, group in groupby(found, key=lambda one: (one.account, one.symbol)):
        first, *others = group
        for one in others:
            names = ("bought", "sold", "paid", "received", "other")
            first = replace(first, **{name: getattr(first, name) + getattr(one, name) for name in names})
        yield replace(first, broker="")


def _json(one: Position) -> dict[str, Any]:
    return asdict(one) | {"net": one.net, "avg_buy_px": one.avg_buy_px, "avg_sell_px": one.avg_sell_px}


def _row(one: Position) -> tuple[object, ...]:
    return (
        one.account or "(none)",
        one.symbol,
        one.broker,
        number(one.net) or "0",
        number(one.bought or None),
        number(one.avg_buy_px),
        number(one.sold or None),
        number(one.avg_sell_px),
        number(one.other or None),
    )
