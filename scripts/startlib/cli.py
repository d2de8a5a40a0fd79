"""The command ``scripts/start_time``: options in, table and JSON out, exit code 0 or 1."""

from __future__ import annotations

import json
import shutil
import statistics
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from benchlib.report import machine
from oms.cli.output import span
from oms.cli.start_report import STEPS
from oms.errors import OperatorError
from startlib.desk import StartFailure, Took, made_of
from startlib.fill import Wanted

FAILED = 1
EPILOG = """
\b
Examples:
  scripts/start_time --finished 20000 --live 500 --repeat 1   a quick look: half a minute
  scripts/start_time                                          1,000,000 finished, 10,000 live: some five minutes
  scripts/start_time --finished 2000000                       twice as much history
  scripts/start_time --days 1                                 all of it today
  scripts/start_time --dir big --repeat 1 --keep              keep the ledger, and measure it again later
"""


@click.command(epilog=EPILOG)
@click.option("--finished", type=click.IntRange(0, 20_000_000), default=1_000_000, show_default=True,
              help="Finished orders in the ledger.")  # fmt: skip
@click.option("--live", type=click.IntRange(1, 1_000_000), default=10_000, show_default=True, help="Live orders.")
@click.option("--days", type=click.IntRange(1, 1000), default=10, show_default=True,
              help="Trade dates over which they are spread, today the last.")  # fmt: skip
@click.option("--repeat", type=click.IntRange(1, 100), default=3, show_default=True, help="Starts to measure.")
@click.option("--cold", is_flag=True, help="Nothing of the database's files is in memory, as after a boot.")
@click.option("--limit", "seconds", type=click.FloatRange(0.1), default=5.0, show_default=True,
              help="Seconds that a start may take beyond QuickFIX's own; more ends with exit code 1.")  # fmt: skip
@click.option("--dir", "directory", type=click.Path(file_okay=False, path_type=Path),
              help="Fill it, or use it if it is filled so already.  [default: a new one, removed]")  # fmt: skip
@click.option("--keep", is_flag=True, help="Do not remove the directory at the end.")
@click.option(
    "--json", "json_file", type=click.Path(dir_okay=False, path_type=Path), help="Figures, as JSON, to FILE."
)
def main(
    finished: int, live: int, days: int, repeat: int, cold: bool, seconds: float, directory: Path | None, keep: bool,
    json_file: Path | None,
) -> None:  # fmt: skip
    """How long the gateway takes to start on a ledger with a long history, step by step.

    Fills an embedded Postgres as the gateway itself would have, with two clients and two brokers, their message
    stores, and messages whose sending is not known; then starts `oms run` again and again, the first time after a
    kill, and measures until it is open. Everything it starts ends with it.
    """
    where = directory or Path(tempfile.mkdtemp(prefix="oms-start-"))
    wanted = Wanted(finished, live, days)
    conditions = machine()
    try:
        took = _run(where, wanted, repeat, cold)
    except (OperatorError, StartFailure) as error:
        click.echo(f"scripts/start_time: {error}", err=True)
        sys.exit(FAILED)
    except KeyboardInterrupt:
        click.echo("scripts/start_time: stopped; everything it started has ended", err=True)
        sys.exit(130)
    finally:
        if directory is None and not keep:
            shutil.rmtree(where, ignore_errors=True)
    content = _content(conditions, wanted, cold, took)
    _tell(content, took, seconds)
    if json_file is not None:
        json_file.write_text(json.dumps(content, indent=2, default=str) + "\n", encoding="utf-8")
    if keep:
        click.echo(f"The ledger is kept in {where}.")
    sys.exit(0 if content["beyond_engine"]["median"] <= seconds else FAILED)


def _run(where: Path, wanted: Wanted, repeat: int, cold: bool) -> list[Took]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        filling = bar.add_task("orders filled in", total=wanted.finished + wanted.live)
        desk = made_of(where, wanted, lambda done: bar.update(filling, completed=done))
        starting = bar.add_task("starts", total=repeat)
        took = []
        for number in range(repeat):
            took.append(desk.start(kill=number % 2 == 0 and number + 1 < repeat, cold=cold))
            bar.update(starting, completed=number + 1)
    return took


def _content(conditions: dict[str, Any], wanted: Wanted, cold: bool, took: list[Took]) -> dict[str, Any]:
    return {
        "machine": conditions,
        "wanted": asdict(wanted),
        "cold": cold,
        "whole": _figures([one.whole for one in took]),
        "engine": _figures([one.engine for one in took]),
        "beyond_engine": _figures([one.beyond for one in took]),
        "cpu": _figures([one.cpu for one in took]),
        "program": _figures([one.program for one in took]),
        "steps": {name: _figures([one.steps[name] for one in took]) for name in took[0].steps},
        "runs": [asdict(one) for one in took],
    }


def _figures(values: list[float]) -> dict[str, float]:
    return {"median": round(statistics.median(values), 4), "max": round(max(values), 4)}


def _tell(content: dict[str, Any], took: list[Took], seconds: float) -> None:
    wanted, facts = content["wanted"], took[0].facts
    console = Console(highlight=False)
    title = f"{wanted['finished']:,} finished and {wanted['live']:,} live orders of {wanted['days']} days"
    made = Table(title=title + (", nothing in memory" if content["cold"] else ""), title_justify="left")
    for name in ("step", "median", "worst"):
        made.add_column(name, justify="left" if name == "step" else "right")
    lines = [("Python, imports, configuration", content["program"])]
    lines += [(STEPS.get(name, name), figures) for name, figures in content["steps"].items()]
    for name, figures in lines:
        made.add_row(name, span(figures["median"]), span(figures["max"]))
    made.add_section()
    for name, key in (
        ("until open", "whole"),
        ("QuickFIX's own", "engine"),
        ("beyond it", "beyond_engine"),
        ("CPU time of the process, QuickFIX's too, without Postgres", "cpu"),
    ):
        made.add_row(name, span(content[key]["median"]), span(content[key]["max"]))
    console.print(made)
    ids: Any = facts["ids"]
    live: Any = facts["live_orders"]
    console.print(
        f"{len(took)} starts; {sum(live.values()):,} live orders,"
        f" {ids['client_ids'] + ids['fill_ids']:,} ids of the day;"
        f" load average {content['machine']['load_average_1m']} before."
    )
    within = content["beyond_engine"]["median"] <= seconds
    console.print(f"{'Within' if within else 'NOT within'} {seconds:g} s beyond QuickFIX's own.")
