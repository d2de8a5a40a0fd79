"""`oms reconcile`: what comparing the ledger with others found, round by round.

The gateway compares its live orders with a broker's order session after each logon, by the schedule of its dialect
and when told to (`run`), and a broker's end-of-day file when asked to (`reconcile_file`); the rounds stand in the
journal. `list` and `show` read the ledger only. `show` and `run --wait` end with exit code 1 where something differs
or was not answered.
"""

from __future__ import annotations

import time
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
    plural,
    print_labelled,
    print_tables,
    reading,
    span,
    state_dir_of,
    table,
)
from oms.cli.reconcile_file import file_command
from oms.core.broker_file import WITNESS
from oms.errors import OperatorError
from oms.ledger import rounds
from oms.ledger.rounds import Evidence, ReconcileRound
from oms.ops.control import call

DIFFERS = 1
_LOOK_SECONDS = 0.2
COLUMNS = (
    "round", "source", "about", "begun by", "begun (UTC)", "took>", "orders>", "asked>", "matched>", "differ>",
    "missing here>", "adopted>", "unanswered>", "ended~",
)  # fmt: skip
FOUND = ("what", "OrderID(37)", "text~", "row>")


@click.group(short_help="What comparing our orders with brokers found.")
def reconcile() -> None:
    """Reconciliation: our live orders against what each broker says of them, and fills against its files."""


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
        one.cause,
        day_and_time(one.begun_at),
        took,
        one.orders,
        one.asked,
        one.matched,
        *numbers,
        unanswered or "",
        one.ended,
    )


@reconcile.command("run", epilog="Example: oms reconcile run BROKER1 --wait")
@click.argument("broker")
@click.option("--wait", is_flag=True, help="Wait for its end, and show what it found.")
@click.option("--within", "seconds", type=click.FloatRange(1, 86400), default=600.0, help="Wait for so long at most.")
@config_option
@json_option
def run(broker: str, wait: bool, seconds: float, path: Path, as_json: bool) -> None:
    """Ask a broker now for the state of all its live orders, and compare. One that is under way is not begun twice.

    With --wait: exit code 1 where something differs or was not answered.
    """
    answer = call(state_dir_of(path), "reconcile.run", {"broker": broker})
    name = answer["round"]
    if wait:
        _wait(path, name, seconds)
        _show_round(name, path, as_json)
    elif as_json:
        emit_json(answer)
    else:
        what = f"is under way already, begun by {answer['cause']}" if answer["under_way"] else "is begun"
        orders = plural(answer["orders"], "order")
        click.echo(f"Round {name} of {broker} {what}: {orders}. `oms reconcile show {name}`")


def _wait(path: Path, round_id: str, seconds: float) -> None:
    """Until a round has ended. OperatorError where that takes longer."""
    deadline = time.monotonic() + seconds
    with reading(path) as (_, engine):
        while (found := rounds.get_round(engine, round_id)) is None or found.ended_at is None:
            if time.monotonic() >= deadline:
                raise OperatorError(f"round {round_id} goes on; look later with `oms reconcile show {round_id}`")
            time.sleep(_LOOK_SECONDS)  # the answers come to another process; the ledger is where they show


@reconcile.command("show", epilog="Example: oms reconcile show R00000002F")
@click.argument("round_id", metavar="ROUND")
@config_option
@json_option
def show(round_id: str, path: Path, as_json: bool) -> None:
    """Show one round and what it found. Exit code 1 where something differs or was not answered."""
    _show_round(round_id, path, as_json)


def _show_round(round_id: str, path: Path, as_json: bool) -> None:
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
    by = f", by {found.cause}" if found.cause else ""
    begun = f"{day_and_time(found.begun_at)} UTC (row {found.begun_seq}){by}"
    lines = [
        ("begun", f"{begun}, {asked.get(found.how, found.how)}"),
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
