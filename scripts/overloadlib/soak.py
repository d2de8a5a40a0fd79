"""The command ``scripts/soak``: five clients trade evenly, memory is watched, the ledger is checked at the end."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from statistics import linear_regression

import click

from benchlib.fixpeer import LoadError
from benchlib.systems import BenchError
from oms.errors import OperatorError
from overloadlib.house import BACK_PRESSURE, FLOOD
from overloadlib.peers import Client
from overloadlib.run import Outcome, answered_well, check_ledger, finish, steadily, steady, traded

EPILOG = """
\b
Examples:
  scripts/soak --minutes 5 --bytes-an-order 1000     rings of recent messages fill in the first minutes
  scripts/soak --minutes 60 --each 0.02 --json soak.json     an hour at 250 orders and 250 cancels a second
"""
WARM_UP_SHARE = 0.4  # of the run, while caches, pools and the days' keys fill
HOURS_A_SECOND = 1 / 3600


@click.command(epilog=EPILOG)
@click.option("--minutes", type=click.FloatRange(0.1), default=60.0, show_default=True, help="How long.")
@click.option("--each", type=click.FloatRange(0.002), default=0.05, show_default=True,
              help="Seconds between two orders of a client; each order is cancelled once it rests.")  # fmt: skip
@click.option("--bytes-an-order", type=click.FloatRange(1), default=100.0, show_default=True,
              help="What an order may leave in memory: the day's ids are kept.")  # fmt: skip
@click.option(
    "--json", "json_file", type=click.Path(dir_okay=False, path_type=Path), help="Figures, as JSON, to FILE."
)
def main(minutes: float, each: float, bytes_an_order: float, json_file: Path | None) -> None:
    """Trade for a while and see that memory stays flat and that every message is in the ledger.

    The slope is fitted to the part after the first 40 %. Exit code 0 if all is well, 1 if not. Everything it starts
    ends with it.
    """
    try:
        outcome = soak(minutes * 60, each)
    except (LoadError, BenchError, OperatorError) as error:
        click.echo(f"scripts/soak: {error}", err=True)
        sys.exit(1)
    slope = memory_slope(outcome)
    orders = sum(tally.orders for tally in outcome.tallies.values())
    per_order = slope * minutes * 60 / orders * 1e6
    if per_order > bytes_an_order:
        outcome.problems.append(f"memory grew by {per_order:.0f} bytes an order, over {bytes_an_order:.0f}")
    first, last = outcome.memory[0][1], outcome.memory[-1][1]
    step = max(len(outcome.memory) // 10, 1)
    click.echo(f"{orders:,} orders, each cancelled, in {minutes:g} minutes")
    click.echo("resident memory over time, MB: " + " ".join(f"{size:.0f}" for _, size in outcome.memory[::step]))
    click.echo(f"from {first:.0f} to {last:.0f} MB; slope {slope / HOURS_A_SECOND:.1f} MB an hour, "
               f"{per_order:.0f} bytes an order")  # fmt: skip
    for problem in outcome.problems:
        click.echo(f"PROBLEM: {problem}")
    click.echo("verdict: " + ("NOT KEPT" if outcome.problems else "memory is flat; the ledger has every message"))
    if json_file is not None:
        figures = {"orders": orders, "mb_an_hour": slope / HOURS_A_SECOND, "bytes_an_order": per_order,
                   "memory_mb": outcome.memory, "problems": outcome.problems}  # fmt: skip
        json_file.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    sys.exit(1 if outcome.problems else 0)


def soak(seconds: float, each: float, url: str | None = None) -> Outcome:
    """Trade for so long. Raises LoadError or BenchError where the run says nothing."""
    outcome = Outcome(BACK_PRESSURE, 0, 0)
    with traded(BACK_PRESSURE, 0, url, lambda what: None) as (house, clients, broker, engine):
        fifth: Client = steady(FLOOD, house.client_port)  # which behaves, here
        fifth.log_on()
        clients.append(fifth)
        began = time.monotonic()
        ends = began + seconds
        steadily(house, clients, broker, outcome, began, lambda: time.monotonic() > ends, seconds + 1, each=each)
        finish(clients, broker, outcome)
        answered_well(outcome)
        check_ledger(engine, outcome)
    return outcome


def memory_slope(outcome: Outcome) -> float:
    """Megabytes a second, after the warm-up."""
    settled = outcome.memory[int(len(outcome.memory) * WARM_UP_SHARE) :]
    return linear_regression([at for at, _ in settled], [size for _, size in settled]).slope
