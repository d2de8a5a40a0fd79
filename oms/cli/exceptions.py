"""`oms exceptions`: what contradicts what we know, for a person to look at, take up and close.

Reading needs the ledger only; taking, noting and resolving go to the running gateway, which journals them under
the name of the operating system's user.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from oms.cli.orders_view import items_table
from oms.cli.output import (
    NotFound,
    config_option,
    console,
    day_and_time,
    emit_json,
    json_option,
    limit_option,
    print_tables,
    reading,
    table,
    wire_text,
)
from oms.config.load import load
from oms.ledger import queries
from oms.ledger.records import ItemStory
from oms.ops.control import call

WORDS = {"exceptions.take": "taken", "exceptions.note": "noted", "exceptions.resolve": "resolved"}


@click.group(short_help="List what contradicts what we know, and close it.")
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
        click.echo("oms exceptions show ITEM has the evidence, oms orders explain OrderID(37) the story of an order.")


@exceptions.command(epilog="Example: oms exceptions show X00000002F")
@click.argument("item_id")
@config_option
@json_option
def show(item_id: str, path: Path, as_json: bool) -> None:
    """One item: what it says, the message that raised it, and who did what about it."""
    with reading(path) as (_, engine):
        story = queries.exception_item(engine, item_id)
    if story is None:
        raise NotFound(f"there is no exception item {item_id}; `oms exceptions list --all` shows them")
    if as_json:
        emit_json(story)
        return
    _show(story)


def _show(story: ItemStory) -> None:
    print_tables(console(), [items_table([story.item], f"Exception item {story.item.item_id}")])
    raised = story.evidence
    if raised is not None:
        who = raised.session or "the gateway"
        click.echo(f"\nRaised by journal row {raised.seq}: {raised.kind} {raised.msg_type} of {who}")
        click.echo(wire_text(raised.raw).replace("\x01", "|"))
    rows = [
        (day_and_time(one.received_at), done.operator, WORDS.get(done.verb, ""), done.args.get("text", ""), one.seq)
        for one in story.history
        if (done := one.command) is not None
    ]
    if rows:
        columns = ("when", "operator", "what", "why~", "journal row>")
        print_tables(console(), [table("History (times UTC)", columns, rows)])
    if story.item.state == "open":
        name = story.item.item_id
        click.echo(f"\noms exceptions take {name}; oms exceptions resolve {name} --reason TEXT")


reason_option = click.option("--reason", "text", required=True, help="Why; kept in the journal with your name.")


@exceptions.command(epilog="Example: oms exceptions take X00000002F")
@click.argument("item_id")
@config_option
@json_option
def take(item_id: str, path: Path, as_json: bool) -> None:
    """Take an item up: it is yours now."""
    _command(path, "exceptions.take", {"item_id": item_id}, as_json)


@exceptions.command(epilog='Example: oms exceptions note X00000002F --reason "asked the broker by telephone"')
@click.argument("item_id")
@reason_option
@config_option
@json_option
def note(item_id: str, text: str, path: Path, as_json: bool) -> None:
    """Add to an item's history; it stays as it is."""
    _command(path, "exceptions.note", {"item_id": item_id, "text": text}, as_json)


@exceptions.command(epilog='Example: oms exceptions resolve X00000002F --reason "broker confirmed CumQty(14) 300"')
@click.argument("item_id")
@reason_option
@config_option
@json_option
def resolve(item_id: str, text: str, path: Path, as_json: bool) -> None:
    """Close an item, with the reason."""
    _command(path, "exceptions.resolve", {"item_id": item_id, "text": text}, as_json)


def _command(path: Path, verb: str, args: dict[str, str], as_json: bool) -> None:
    answer: dict[str, Any] = call(load(path).gateway.state_dir, verb, args)
    if as_json:
        emit_json(answer)
    else:
        click.echo(f"{args['item_id']} is {WORDS[verb]} (journal row {answer['journal_seq']})")
