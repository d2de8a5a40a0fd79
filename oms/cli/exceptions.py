"""`oms exceptions`: what contradicts what we know, for a person to look at, take up and close.

Reading needs the ledger only; taking, noting and resolving go to the running gateway, which journals them under
the name of the operating system's user.
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from rich.table import Table

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
    reason_option,
    span,
    state_dir_of,
    table,
    wire_text,
)
from oms.ledger import queries
from oms.ledger.overdue import AgedItem, aged, list_items
from oms.ledger.records import ItemStory
from oms.ops.control import call

LIST_COLUMNS = (
    "age>", "due~", "severity", "kind", "session", "OrderID(37)", "what~", "owner", "item", "row>",
)  # fmt: skip
WORDS = {"exceptions.take": "taken", "exceptions.note": "noted", "exceptions.resolve": "resolved"}


@click.group(short_help="List what contradicts what we know, and close it.")
def exceptions() -> None:
    """Exception items: contradictions between what we know and what a counterparty said."""


@exceptions.command("list", epilog="Example: oms exceptions list --overdue")
@config_option
@click.option("--all", "everything", is_flag=True, help="Resolved ones too.")
@click.option("--overdue", is_flag=True, help="Only those that are, or were, open for longer than they may.")
@click.option("--order", "order_id", help="OrderID(37), ours.")
@click.option("--owner", help="Only those of this owner: an operator, or operations where nobody took them.")
@limit_option
@json_option
def list_(
    path: Path,
    everything: bool,
    overdue: bool,
    order_id: str | None,
    owner: str | None,
    limit: int,
    as_json: bool,
) -> None:
    """List exception items that are open: those first that are overdue, or due next."""
    with reading(path) as (config, engine):
        found = list_items(
            engine,
            config.exceptions,
            datetime.now(UTC),
            resolved=everything,
            overdue=overdue,
            order_id=order_id,
            owner=owner,
            limit=limit,
        )
    if as_json:
        emit_json([one.as_json() for one in found])
    elif not found:
        kind = "overdue" if overdue else "" if everything else "open"
        click.echo(" ".join(f"No {kind} exception items.".split()))
    else:
        console().print(_aged_table(found))
        late = sum(one.overdue and one.item.state == "open" for one in found)
        click.echo(f"{late} of {len(found)} overdue. oms exceptions show ITEM has the evidence and the history.")


def _aged_table(found: list[AgedItem]) -> Table:
    rows = [
        (
            span(one.age.total_seconds()),
            _due(one),
            one.item.severity,
            one.item.kind,
            one.item.session,
            one.item.order_id or "",
            one.item.text + (f"; resolved: {one.item.resolution}" if one.item.state == "resolved" else ""),
            one.item.owner,
            one.item.item_id,
            one.item.seq,
        )
        for one in found
    ]
    return table("Exception items, the most overdue first", LIST_COLUMNS, rows)


def _due(one: AgedItem) -> str:
    """`OVERDUE by 12 min 3 s`, `in 20 min 0 s`; of what is resolved: `in time` or `late by ...`."""
    left = one.minutes * 60 - one.age.total_seconds()
    if one.item.state == "open":
        return f"OVERDUE by {span(-left)}" if one.overdue else f"in {span(left)}"
    return f"late by {span(-left)}" if one.overdue else "in time"


@exceptions.command(epilog="Example: oms exceptions show X00000002F")
@click.argument("item_id")
@config_option
@json_option
def show(item_id: str, path: Path, as_json: bool) -> None:
    """One item: what it says, the message that raised it, and who did what about it."""
    with reading(path) as (config, engine):
        story = queries.exception_item(engine, item_id)
        now = datetime.now(UTC)
    if story is None:
        raise NotFound(f"there is no exception item {item_id}; `oms exceptions list --all` shows them")
    one = aged(story.item, config.exceptions, now)
    if as_json:
        rows = [story.evidence, *story.history, story.closed]
        seqs = sorted({row.seq for row in rows if row is not None} | {story.item.seq})
        emit_json(asdict(story) | {"item": one.as_json() | {"evidence": seqs}})
        return
    _show(story, one)


def _show(story: ItemStory, one: AgedItem) -> None:
    print_tables(console(), [items_table([story.item], f"Exception item {story.item.item_id}")])
    click.echo(f"\nage {span(one.age.total_seconds())}, due {day_and_time(one.due_at)[:19]} UTC, {_due(one)}")
    raised = story.evidence
    if raised is not None:
        who = raised.session or "the gateway"
        click.echo(f"\nRaised by journal row {raised.seq}: {raised.kind} {raised.msg_type} of {who}")
        click.echo(wire_text(raised.raw).replace("\x01", "|"))
    columns = ("when", "operator", "what", "why~", "journal row>")
    print_tables(console(), [table("History (times UTC)", columns, _history(story))])
    if story.item.state == "open":
        name = story.item.item_id
        click.echo(f"\noms exceptions take {name}; oms exceptions resolve {name} --reason TEXT")


def _history(story: ItemStory) -> list[tuple[object, ...]]:
    """From the journal, which nobody can change: opened, what operators did, and resolved by rule."""
    item = story.item
    rows: list[tuple[object, ...]] = [(day_and_time(item.opened_at), "", "opened by rule", item.text, item.seq)]
    rows += [
        (day_and_time(one.received_at), done.operator, WORDS.get(done.verb, ""), done.args.get("text", ""), one.seq)
        for one in story.history
        if (done := one.command) is not None
    ]
    by_operator = any(one.msg_type == "exceptions.resolve" for one in story.history)
    if item.state == "resolved" and not by_operator:
        row = "" if story.closed is None else story.closed.seq
        rows.append((day_and_time(item.resolved_at), "", "resolved by rule", item.resolution or "", row))
    return rows


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
    answer: dict[str, Any] = call(state_dir_of(path), verb, args)
    if as_json:
        emit_json(answer)
    else:
        click.echo(f"{args['item_id']} is {WORDS[verb]} (journal row {answer['journal_seq']})")
