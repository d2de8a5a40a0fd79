"""The command ``scripts/verify_speed``: options in, table and JSON out, exit code 0 or 1."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from benchlib.report import machine
from oms.ledger.database import open_database
from startlib.desk import Desk
from startlib.fill import Wanted
from verifylib.measure import Took, bring_back, chain, measure, one_day, put_away, read_back, replay

FAILED = 1
WIDTH = 120  # of the table
EVENTS_PER_ORDER = 3.64  # of the filler's orders: what came in, of what went out there is as much
EPILOG = """
\b
Examples:
  scripts/verify_speed --events 20000   a quick look: half a minute
  scripts/verify_speed                  1,000,000 events over ten days: some ten minutes
"""


@click.command(epilog=EPILOG)
@click.option("--events", type=click.IntRange(1000, 50_000_000), default=1_000_000, show_default=True,
              help="Events in the journal; its rows are twice as many.")  # fmt: skip
@click.option("--live", type=click.IntRange(1, 100_000), default=1_000, show_default=True, help="Live orders.")
@click.option("--days", type=click.IntRange(2, 1000), default=10, show_default=True, help="Trade dates.")
@click.option(
    "--json", "json_file", type=click.Path(dir_okay=False, path_type=Path), help="Figures, as JSON, to FILE."
)
def main(events: int, live: int, days: int, json_file: Path | None) -> None:
    """How fast a ledger is proven, and in how much memory: hash chain, replay, a day of its own, archive and restore.

    Fills an embedded Postgres as the gateway itself would have. Everything it starts ends with it.
    """
    where = Path(tempfile.mkdtemp(prefix="oms-verify-"))
    conditions = machine()
    try:
        took = _run(where, Wanted(max(int(events / EVENTS_PER_ORDER) - live, 1), live, days))
    except KeyboardInterrupt:
        click.echo("scripts/verify_speed: stopped; everything it started has ended", err=True)
        sys.exit(130)
    finally:
        shutil.rmtree(where, ignore_errors=True)
    _tell(took, conditions)
    if json_file is not None:
        content = {"machine": conditions, "took": [one._asdict() | {"rate": one.rate} for one in took]}
        json_file.write_text(json.dumps(content, indent=2, default=str) + "\n")
    if any(one.finding for one in took):
        sys.exit(FAILED)


def _run(where: Path, wanted: Wanted) -> list[Took]:
    desk = Desk(where)
    screen = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=screen, disable=not screen.is_terminal) as bar:

        def told(what: str, total: int | None = None) -> Callable[..., None]:
            task = bar.add_task(what, total=total)
            return lambda done, total=total: bar.update(task, completed=done, total=total or None)

        desk.make(wanted, told("orders", wanted.finished + wanted.live))
        first = datetime.now(UTC).date() - timedelta(days=wanted.days - 1)
        files = where / "archive"
        with open_database(desk.config) as url:
            works: list[tuple[str, Any, tuple[Any, ...]]] = [
                ("hash chain, transitions, sends", chain, ()),
                ("replay of everything", replay, ()),
                ("replay of one day", one_day, (first + timedelta(days=1),)),
                ("archive a day, and read it back", put_away, (first + timedelta(days=1), files)),
                ("prove its file alone", read_back, (files,)),
                ("hash chain after it", chain, ()),
                ("replay after it", replay, ()),
                ("restore the day", bring_back, (files,)),
            ]
            return [measure(what, told(what), work, url, *values) for what, work, values in works]


def _tell(took: list[Took], conditions: dict[str, Any]) -> None:
    out = Console(width=max(Console().width, WIDTH))
    shown = Table("what", "rows or events", "seconds", "CPU", "a second", "MB at most", "of it before", "holds")
    for one in took:
        shown.add_row(
            one.what,
            f"{one.number:,} {one.unit}",
            f"{one.seconds:,.1f}",
            f"{one.cpu:,.1f}",
            f"{one.rate:,.0f}",
            f"{one.most_mb:,.0f}",
            f"{one.before_mb:,.0f}",
            one.finding or "yes",
        )
    out.print(shown)
    out.print(", ".join(f"{name} {value}" for name, value in conditions.items()))
