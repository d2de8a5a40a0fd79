"""`oms prices`: the reference prices that orders are judged by, with their age; and new ones from a file.

All of it asks the running gateway. Exit codes: 0 done, 1 some prices were held or refused (or, listed, are too old),
2 bad input or no gateway.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from oms.cli.output import config_option, console, emit_json, json_option, span, state_dir_of, table
from oms.errors import OperatorError
from oms.ops.control import call
from oms.prices.polled import FileOf
from oms.prices.read import PART, Names

NOT_ALL = 1


@click.group(short_help="Reference prices and their age; load new ones.")
def prices() -> None:
    """Reference prices: what market orders are valued at, and what price collars compare with."""


@prices.command("list", epilog="Example: oms prices list --stale --json")
@click.option("--stale", is_flag=True, help="Only those that are too old to be used, or held.")
@config_option
@json_option
@click.pass_context
def list_(context: click.Context, stale: bool, path: Path, as_json: bool) -> None:
    """Every instrument's price: as of when, from where. Exit code 1 if one is too old or held."""
    answer = call(state_dir_of(path), "prices.list", {})
    bad = [one for one in answer["prices"] if one["stale"] or one["held"]]
    shown = bad if stale else answer["prices"]
    if as_json:
        emit_json({"prices": shown, "sources": answer["sources"]})
    else:
        rows = [
            (one["symbol"], one["price"] or "", one["currency"], one["at"] or "unknown", _age(one["age_seconds"]),
             one["source"], _state(one))
            for one in shown
        ]  # fmt: skip
        columns = ("symbol", "price>", "currency", "as of", "age>", "source", "state")
        console().print(table("Reference prices", columns, rows))
        for one in answer["sources"]:
            if one["item_id"]:
                click.echo(f"Source {one['name']} gives no prices: oms exceptions show {one['item_id']}")
    if bad:
        context.exit(NOT_ALL)


@prices.command(epilog="Example: oms prices load closing.csv")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--accept-moves", is_flag=True, help="Take prices that moved by more than [prices] max_move as well.")
@config_option
@json_option
@click.pass_context
def load(context: click.Context, file: Path, accept_moves: bool, path: Path, as_json: bool) -> None:
    """Load a CSV file with the columns symbol, price and at (a time with Z or an offset; absent: the file's own).

    The file is read as a whole first: one wrong row, and nothing is loaded.
    """
    quotes = FileOf(file, Names())() or []
    if not quotes:
        raise OperatorError(f"{file} has no prices; write a header symbol,price,at and a line for each symbol")
    rows = [[one.symbol, f"{one.price:f}", one.at.isoformat()] for one in quotes]
    found: dict[str, list[Any]] = {"taken": [], "held": [], "refused": []}
    for first in range(0, len(rows), PART):
        args = {"source": file.name, "quotes": json.dumps(rows[first : first + PART])}
        answer = call(state_dir_of(path), "prices.load", args | ({"accept": "Y"} if accept_moves else {}))
        for name, some in found.items():
            some += answer[name]
    if as_json:
        emit_json(found)
    else:
        click.echo(f"{len(found['taken'])} of {len(rows)} prices are in use.")
        for symbol, price, _, before in found["held"]:
            click.echo(f"held: {symbol} from {before} to {price}; --accept-moves takes it")
        for symbol, why in found["refused"]:
            click.echo(f"refused: {symbol} {why}")
    if found["held"] or found["refused"]:
        context.exit(NOT_ALL)


def _age(seconds: int | None) -> str:
    return "" if seconds is None else span(seconds)


def _state(one: dict[str, Any]) -> str:
    told = ["too old" if one["at"] else "no time"] if one["stale"] else []
    return ", ".join(told + (["another is held"] if one["held"] else [])) or "ok"
