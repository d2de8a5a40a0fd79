"""`oms exceptions`: what contradicts what we know, for a person to look at."""

from __future__ import annotations

from pathlib import Path

import click

from oms.cli.orders_view import items_table
from oms.cli.output import config_option, console, emit_json, json_option, limit_option, reading
from oms.ledger import queries


@click.group(short_help="List what contradicts what we know.")
def exceptions() -> None:
    """Exception items: contradictions between what we know and what a counterparty said."""


@exceptions.command("list", epilog="Example: oms exceptions list --all")
@config_option
@click.option("--all", "everything", is_flag=True, help="Resolved ones too.")
@click.option("--order", "order_id", help="OrderID(37), ours.")
@limit_option
@json_option
def list_(path: Path, everything: bool, order_id: str | None, limit: int, as_json: bool) -> None:
    """List exception items that are open, newest first."""
    with reading(path) as (_, engine):
        found = queries.list_exceptions(engine, state=None if everything else "open", order_id=order_id, limit=limit)
    made = items_table(found, "Exception items" if everything else "Open exception items")
    if as_json:
        emit_json(found)
    elif made is None:
        click.echo("No exception items." if everything else "No open exception items.")
    else:
        console().print(made)
        click.echo("oms orders explain OrderID(37) tells the story of an order.")
