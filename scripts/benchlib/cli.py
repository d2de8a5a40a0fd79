"""The command ``scripts/bench``: options in, table and JSON out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from benchlib import report
from benchlib.measure import Plan, measure, measure_memory
from benchlib.systems import SYSTEMS, BenchError, Gateway

MEMORY_MARKS = (10_000, 100_000)
BOTH = "both"
EPILOG = """
\b
Examples:
  scripts/bench                            relay and gateway, three runs each (about five minutes)
  scripts/bench --orders 5000 --repeat 1   a quick look
  scripts/bench --json bench.json          all figures of all runs in a file as well
  scripts/bench --memory                   resident memory after 10,000 and 100,000 orders
"""


@click.command(epilog=EPILOG)
@click.option("--orders", type=click.IntRange(100, 1_000_000), default=Plan.orders, show_default=True,
              help="Orders of the throughput phase of one run.")  # fmt: skip
@click.option("--repeat", type=click.IntRange(1, 50), default=3, show_default=True, help="Runs of each system.")
@click.option("--window", type=click.IntRange(2, 2_000), default=Plan.window, show_default=True,
              help="Orders in flight in the throughput phase.")  # fmt: skip
@click.option(
    "--system", type=click.Choice([*SYSTEMS, BOTH]), default=BOTH, show_default=True, help="What to measure."
)
@click.option(
    "--memory", is_flag=True, help="Measure resident memory instead of speed (the gateway unless --system)."
)
@click.option("--json", "json_file", type=click.Path(dir_okay=False, writable=True, path_type=Path),
              help="Also write every figure to FILE.")  # fmt: skip
def main(orders: int, repeat: int, window: int, system: str, memory: bool, json_file: Path | None) -> None:
    """Throughput, CPU and latency of the gateway beside a bare QuickFIX relay, under the same load.

    Load: one client and one broker over FIX 4.4; each order is acknowledged and filled in full. The relay
    rebuilds messages with setField and keeps nothing; the gateway runs with everything on and commits before it
    sends. Both start fresh for every run and take turns. Figures are medians; compare the ratios, not the machine.
    """
    console = Console()
    try:
        if memory:
            content = _memory(console, system, window)
        else:
            content = _speed(console, system, Plan(orders=orders, window=window), repeat)
    except BenchError as problem:
        raise click.ClickException(str(problem)) from problem
    if json_file is not None:
        json_file.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        console.print(f"Figures written to {json_file}.")


def _speed(console: Console, system: str, plan: Plan, repeat: int) -> dict[str, Any]:
    names = list(SYSTEMS) if system == BOTH else [system]
    if Gateway.name in names:
        Gateway.program()  # say it before minutes of measuring the relay
    conditions = report.machine()
    with console.status("starting") as status:
        runs = measure(names, plan, repeat, status.update)
    content = report.document(runs, plan, conditions)
    console.print(report.table(content))
    return content


def _memory(console: Console, system: str, window: int) -> dict[str, Any]:
    name = Gateway.name if system == BOTH else system
    conditions = report.machine()
    with console.status("starting") as status:
        readings = measure_memory(name, list(MEMORY_MARKS), window, status.update)
    console.print(report.memory_table(readings, name))
    return {"machine": conditions, "system": name, "memory": readings}
