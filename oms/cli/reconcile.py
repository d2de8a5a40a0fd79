"""`oms reconcile`: what comparing the ledger with others found, round by round.

The gateway compares its live orders with a broker's order session after each logon, and a broker's end-of-day file
when asked to (`reconcile_file`); the rounds stand in the journal. `list` and `show` read the ledger only. `show` ends
with exit code 1 where something differs or was not answered.
"""

from __future__ import annotations

from pathlib import Path

import click
from rich.text import Text

from oms.cli.output import (
    NotFound,
    config_option,
    console,
    day_and_time,
    emit_json,
    json_option,
    limit_option,
    print_labelled,
    print_tables,
    reading,
    span,
    table,
)
from oms.cli.reconcile_file import file_command
from oms.core.broker_file import WITNESS
from oms.ledger import rounds
from oms.ledger.rounds import Evidence, ReconcileRound

DIFFERS = 1
COLUMNS = (
    "round", "source", "about", "begun (UTC)", "took>", "orders>", "asked>", "matched>", "differ>", "missing here>",
    "adopted>", "unanswered>", "ended~",
)  # fmt: skip
FOUND = ("what", "OrderID(37)", "text~", "row>")


@click.group(short_help="What comparing our orders with brokers found.")
def reconcile() -> None:
    """Reconciliation: our live orders against what each broker says of them, at each logon; its files on demand."""


reconcile.add_command(file_command)


@reconcile.command("list", epilog="Example: oms reconcile list --broker BROKER1")
@config_option
@click.option("--broker", help="Only rounds about this broker session.")
@limit_option
@json_option
def list_(path: Path, broker: str | None, limit: int, as_json: bool) -> None:
    """List rounds, newest first."""
    with reading(path) as (_, engine):
        found = rounds.list_rounds(engine, broker, limit)
    if as_json:
        emit_json(found)
    elif found:
        console().print(table("Rounds of reconciliation", COLUMNS, [_row(one) for one in found]))
    else:
        click.echo("No round was begun: no broker with live orders has logged on, or none answers questions.")


def _row(one: ReconcileRound) -> tuple[object, ...]:
    took = "" if one.ended_at is None else span((one.ended_at - one.begun_at).total_seconds())
    unanswered = one.counts.get("unanswered", 0) + one.counts.get("refused", 0)
    numbers = [one.counts.get(name, 0) or "" for name in ("differing", "missing_here", "adopted")]
    return (
        one.round_id,
        one.source,
        one.about,
        day_and_time(one.begun_at),
        took,
        one.orders,
        one.asked,
        one.matched,
        *numbers,
        unanswered or "",
        one.ended,
    )


@reconcile.command("show", epilog="Example: oms reconcile show R00000002F")
@click.argument("round_id", metavar="ROUND")
@config_option
@json_option
def show(round_id: str, path: Path, as_json: bool) -> None:
    """Show one round and what it found. Exit code 1 where something differs or was not answered."""
    with reading(path) as (_, engine):
        found = rounds.get_round(engine, round_id)
        if found is None:
            raise NotFound(f"the ledger has no round {round_id}; `oms reconcile list` shows them")
        evidence = rounds.evidence(engine, found)
    if as_json:
        emit_json({"round": found, "evidence": evidence})
    else:
        _print(found, evidence)
    if found.differs:
        raise SystemExit(DIFFERS)


def _print(found: ReconcileRound, evidence: list[Evidence]) -> None:
    out = console()
    out.print(Text(f"Round {found.round_id}: {found.source} of {found.about}", style="bold"))
    ended = "" if found.ended_at is None else f" {day_and_time(found.ended_at)} UTC (row {found.ended_seq})"
    asked = {
        "mass": "all orders in one OrderMassStatusRequest(AF)",
        "each": "an OrderStatusRequest(H) for each order",
    }
    lines = [
        ("begun", f"{day_and_time(found.begun_at)} UTC (row {found.begun_seq}), {asked.get(found.how, found.how)}"),
        ("ended", f"{found.ended}{ended}"),
        ("orders", f"{found.orders} alive, {found.asked} asked for, {found.matched} agree"),
    ]
    if found.source == WITNESS:
        lines[-1] = ("fills", f"{found.orders} in the ledger, {found.asked} lines in the file, {found.matched} agree")
    if found.settled:
        lines.append(("settled", f"{found.settled} ended before they were answered"))
    if found.overtaken:
        lines.append(("overtaken", f"{found.overtaken} answers may be older than reports that came meanwhile"))
    print_labelled(out, [(label, Text(text)) for label, text in lines])
    rows = [(one.kind, one.order_id, one.text, one.seq or "") for one in evidence]
    print_tables(out, [table("Found", FOUND, rows) if rows else None])
    if rows:
        click.echo("\nThe messages: --json, or oms orders explain OrderID(37). What is open: oms exceptions list.")
