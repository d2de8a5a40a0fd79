"""The command ``scripts/crash_matrix``: options in, a table of steps and outcomes out, exit code 0 or 1."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from benchlib.report import machine
from matrixlib.cells import Cell, chosen
from matrixlib.matrix import Matrix, Played
from matrixlib.place import unmount
from oms.demo.interrupts import Interrupts
from oms.demo.place import opened
from oms.demo.processes import DemoFailure
from oms.demo.progress import Progress
from oms.demo.stage import Options
from stormlib.ending import conduct
from stormlib.storm import spoken

FAILED = 1
SHOWN = 8
SECONDS_A_CELL, SECONDS_BESIDES = 60.0, 120.0
WIDE = 140  # columns of the table in a file
EPILOG = """
\b
Examples:
  scripts/crash_matrix --list                             the cells, without doing anything
  scripts/crash_matrix --only committed                   one step, while trading and in a start
  scripts/crash_matrix --only 'postgres/*' --only line/all_cut
  scripts/crash_matrix --tls --only 'line/*'              with every session over TLS
  scripts/crash_matrix --json matrix.json                 all of them, some ten minutes
"""


@click.command(epilog=EPILOG)
@click.option("--only", "patterns", multiple=True, metavar="STEP",
              help="Only this step or place/step; * and ? stand for anything. May be repeated.")  # fmt: skip
@click.option("--list", "listed", is_flag=True, help="Show the cells and end.")
@click.option("--orders", type=click.IntRange(10, 1000), default=40, show_default=True, help="Orders of each cell.")
@click.option("--rate", type=click.FloatRange(5, 400), default=40.0, show_default=True, help="Orders a second.")
@click.option("--seed", type=click.IntRange(0), help="Makes the same orders again.  [default: a new one]")
@click.option("--tls", is_flag=True, help="Every session of clients and brokers over TLS.")
@click.option("--seconds", type=click.FloatRange(30), help="No cell begins later than this.  [default: 60 per cell]")
@click.option("--dir", "directory", type=click.Path(file_okay=False, path_type=Path),
              help="Keep everything here.  [default: a new one, removed if all is well]")  # fmt: skip
@click.option(
    "--json", "json_file", type=click.Path(dir_okay=False, path_type=Path), help="Figures, as JSON, to FILE."
)
def main(
    patterns: tuple[str, ...], listed: bool, orders: int, rate: float, seed: int | None, tls: bool,
    seconds: float | None, directory: Path | None, json_file: Path | None,
) -> None:  # fmt: skip
    """Break the gateway, its Postgres and its lines at every named step while it trades; prove that nothing is lost.

    Two clients, two brokers, the gateway and its Postgres run as processes of their own. For each cell orders, fills,
    cancels and replaces are under way; then clients, ledger and brokers are compared order by order and fill by fill,
    the hash chain is verified and the journal replayed. Exit code 0 if every promise held in every cell, 1 if not.
    Everything it starts ends with it.
    """
    wanted = chosen(patterns)
    if not wanted:
        raise click.BadParameter("no cell has such a name; --list shows them", param_hint="--only")
    if listed:
        for cell in wanted:
            click.echo(cell.name)
        return
    where = directory or Path(tempfile.mkdtemp(prefix="oms-matrix-"))
    options = Options(where, orders, random.randrange(1_000_000) if seed is None else seed)
    bound = seconds or len(wanted) * SECONDS_A_CELL + SECONDS_BESIDES
    run = partial(_run, options, wanted, rate, tls, bound)
    conduct("scripts/crash_matrix", where, run, json_file, keep=directory is not None)


def _run(
    options: Options, wanted: list[Cell], rate: float, tls: bool, bound: float, interrupts: Interrupts
) -> dict[str, Any]:
    progress = Progress(Console(stderr=True, highlight=False))
    played: list[Played] = []
    left: list[Cell] = []
    with progress, opened(options.directory) as place, Matrix(place, options, progress, interrupts) as matrix:
        matrix.orders_a_second, matrix.tls = rate, tls
        matrix.open()
        progress.say(f"matrix: {len(wanted)} cells, {options.orders} orders each, seed {options.seed}")
        for number, cell in enumerate(wanted):
            if progress.seconds > bound:
                left = wanted[number:]
                break
            try:
                one = matrix.play(cell)
            except DemoFailure as error:  # the house did not come back: nothing can be said of what follows
                one = Played(cell, "", 0.0, 0, 0, None, (str(error),))
                left = wanted[number + 1 :]
            played.append(one)
            progress.say(f"{cell.name}: {_outcome(one)}; {one.what or one.skipped}")
            if one.problems:
                left = wanted[number + 1 :]
                break
        lines = {"tls": tls, "connections": matrix.lines()}
    unmount(options.directory / "state")
    content = {**_document(options, played, left, progress.seconds), **lines}
    shown = Console()
    _tell(shown if shown.is_terminal else Console(width=WIDE), played, left, content)
    return content


def _outcome(one: Played) -> str:
    if one.skipped:
        return "left out"
    return "held" if one.ok else "BROKEN"


def _broken(one: Played) -> list[str]:
    rows = one.verdict.promises if one.verdict is not None else []
    return [
        *one.problems,
        *(f"{row.text}: {text}" for row in rows for text in row.broken if text not in one.problems),
    ]


def _document(options: Options, played: Sequence[Played], left: Sequence[Cell], seconds: float) -> dict[str, Any]:
    return {
        "ok": all(one.ok for one in played) and not left,
        "machine": machine(),
        "seed": options.seed,
        "orders_a_cell": options.orders,
        "seconds": round(seconds, 1),
        "cells": [
            {
                "cell": one.cell.name,
                "outcome": _outcome(one),
                "what": one.what or one.skipped,
                "seconds": round(one.seconds, 1),
                "orders": one.orders,
                "fills": one.fills,
                "broken": _broken(one),
                "unknown": one.verdict.unknown if one.verdict is not None else [],
            }
            for one in played
        ],
        "left_out": [cell.name for cell in left],
    }


def _tell(out: Console, played: Sequence[Played], left: Sequence[Cell], content: dict[str, Any]) -> None:
    made = Table(title="Crash matrix", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in ("cell", "outcome", "orders", "fills", "back after", "what happened"):
        made.add_column(name, justify="right" if name in ("orders", "fills", "back after") else "left")
    for one in played:
        seconds = f"{one.seconds:.1f} s" if one.seconds else ""
        made.add_row(one.cell.name, _outcome(one), str(one.orders), str(one.fills), seconds, one.what or one.skipped)
    out.print(made)
    for one in played:
        broken = _broken(one)
        for text in broken[:SHOWN]:
            click.echo(f"  BROKEN: {one.cell.name}: {text}")
        if len(broken) > SHOWN:
            click.echo(f"  ... and {len(broken) - SHOWN} more; --json has all")
    for cell in left:
        click.echo(f"  not played: {cell.name}")
    held = sum(1 for one in played if one.ok and not one.skipped)
    verdict = "Every promise held in every cell." if content["ok"] else "NOT every promise held."
    connections = content["connections"]
    click.echo(f"lines: {', '.join(f'{number} {kind}' for kind, number in connections.items())} connections")
    skipped = sum(1 for one in played if one.skipped)
    click.echo(
        f"{verdict} {held} of {len(played) + len(left)} cells held, {skipped} left out,"
        f" {spoken(tls=content['tls'])} lines, seed {content['seed']}, {content['seconds']:.0f} s."
    )
