"""Prints the story of an order: for people, as plain text with the raw messages, or as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import click
from rich.console import Console
from rich.text import Text

from oms.cli import story as told
from oms.cli.fix_names import SessionNames
from oms.cli.orders_view import children_table, fills_json, fills_table, items_table, requests_table
from oms.cli.output import (
    clean,
    console,
    day_and_time,
    emit_json,
    moment,
    print_labelled,
    print_line,
    print_tables,
    span,
    table,
    wire_text,
)
from oms.ledger.moment import Archived
from oms.ledger.records import JournalEntry, OrderStory

ARROWS = {"in": "<-", "out": "->", "refused": "<x"}
INDENT = 6
HOP_COLUMNS = ("where", "n>", "total>", "longest>")


def explain_text(story: OrderStory, names: SessionNames) -> None:
    """For people: summary, steps, time spent, ledger rows."""
    out = console()
    order = story.order
    whose = order.client or "no client, adopted"
    out.print(Text(f"Order {clean(order.order_id)} of {whose}, trade date {order.trade_date}", style="bold"))
    alarming = {"look at"} if told.to_look_at(story) else set()
    print_labelled(
        out,
        [
            (label, Text(clean(text), style="bold red" if label in alarming else ""))
            for label, text in told.summary(story)
        ],
    )
    _print_steps(out, told.steps(story, names))
    rows = [(hop.name, hop.count, span(hop.total), span(hop.longest)) for hop in told.hops(story)]
    time_spent = table(f"Time spent ({told.total(story)} from first to last)", HOP_COLUMNS, rows) if rows else None
    print_tables(
        out,
        [
            time_spent,
            children_table(story.children),
            requests_table(story.requests),
            fills_table(story.fills, story.witnesses),
            items_table(story.items),
        ],
    )
    out.print()
    out.print(
        f"All times are UTC. First journal row of the order {order.new_seq}, last change by row {order.last_seq}."
    )


def explain_messages(entries: list[JournalEntry], cl_ord_id: str, names: SessionNames) -> None:
    """For people: messages that carry a ClOrdID(11) which is no order."""
    out = console()
    out.print(Text(f"ClOrdID(11) {clean(cl_ord_id)} never became an order. Messages that carry it:", style="bold"))
    rows = {entry.seq: entry for entry in entries}
    _print_steps(out, [told.step(entry, names, rows.get(entry.cause or 0)) for entry in entries])


def _print_steps(out: Console, steps: list[told.Step]) -> None:
    day = None
    for step in steps:
        entry = step.entry
        if entry.received_at.date() != day:
            day = entry.received_at.date()
            out.print(Text(f"\n{day} (UTC)", style="bold"))
        arrow = ARROWS.get(entry.kind, "--")
        head = Text(f"{moment(entry.received_at)} {arrow} {clean(entry.session):<10} ")
        head.append(clean(step.what), style="cyan" if entry.kind == "in" else "green" if entry.kind == "out" else "")
        number = f"  MsgSeqNum(34) {entry.msg_seq_num}" if entry.msg_seq_num is not None else ""
        cause = f", because of row {entry.cause}" if entry.cause is not None else ""
        head.append(f"{number}  row {entry.seq}, batch {entry.batch}{cause}", style="dim")
        print_line(out, 0, head)
        if step.fields:
            print_line(out, INDENT, _fields(step))
        for text in step.decisions:
            style = "bold red" if "REFUSED" in text or text.startswith(("refused", "exception")) else "yellow"
            print_line(out, INDENT, Text(clean(text), style=style))
        for text in step.timing:
            print_line(out, INDENT, Text(clean(text), style="dim"))


def _fields(step: told.Step) -> Text:
    line = Text()
    for field in step.fields:
        meaning = f" [{field.meaning}]" if field.meaning else ""
        line.append(f"{field.label}=" if field.tag else "", style="dim")
        line.append(f"{clean(field.value)}{meaning}  ")
    line.rstrip()
    return line


def explain_raw(entries: tuple[JournalEntry, ...] | list[JournalEntry]) -> None:
    """One line per message, `|` for SOH. What went out is shown as it was journaled: without the session's header."""
    for entry in entries:
        text = clean(wire_text(entry.raw).replace("\x01", "|"))
        when = day_and_time(entry.received_at).replace(" ", "T") + "Z"
        click.echo(f"{when} {entry.kind} {clean(entry.session)} {text or entry.msg_type}")


def explain_away(away: list[Archived], *, quiet: bool) -> None:
    """Where the messages are that the ledger no longer has; on standard error, so that raw messages stay alone."""
    for day in () if quiet else away:
        said = f"journal rows {day.first_seq} to {day.last_seq} of {day.day} are in {day.file}"
        click.echo(f"archived: {said}; to see them here: oms archive restore {day.file}", err=True)


def explain_json(story: OrderStory, names: SessionNames, away: Sequence[Archived] = ()) -> None:
    """The whole story as one JSON object; `away`: the archived days that have messages of it."""
    emit_json(
        {
            "order": story.order,
            "summary": dict(told.summary(story)),
            "look_at": told.to_look_at(story),
            "steps": [step_json(step) for step in told.steps(story, names)],
            "hops": told.hops(story),
            "children": story.children,
            "requests": story.requests,
            "fills": fills_json(story.fills, story.witnesses),
            "exceptions": story.items,
            "archived": [{"day": day.day, "file": day.file} for day in away],
        }
    )


def messages_json(entries: list[JournalEntry], cl_ord_id: str, names: SessionNames) -> None:
    """Messages that are of no order, as JSON."""
    steps = [step_json(told.step(entry, names, None)) for entry in entries]
    emit_json({"order": None, "cl_ord_id": cl_ord_id, "steps": steps})


def step_json(step: told.Step) -> dict[str, Any]:
    """One step: the journal row, its fields by name, the decisions in words, and the raw decision."""
    row = asdict(step.entry)
    row["fields"] = [field._asdict() for field in step.fields]
    return row | {"what": step.what, "decisions": step.decisions, "timing": step.timing}
