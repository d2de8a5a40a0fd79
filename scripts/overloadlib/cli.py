"""The command ``scripts/overload``: options in, table and verdict out, exit code 0 or 1."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from benchlib.fixpeer import LoadError
from benchlib.report import machine
from benchlib.systems import BenchError
from oms.errors import OperatorError
from overloadlib.house import BACK_PRESSURE, FLOOD, POLICIES, REJECT, STEADY
from overloadlib.run import PHASES, Outcome, overload, percentile

EPILOG = """
\b
Examples:
  scripts/overload                                         two policies, 30 s of burst each: 3 minutes
  scripts/overload --policy reject --burst 5 --quiet 2     quickly
  scripts/overload --policy throttle --policy delay        the rates of sessions
"""


@click.command(epilog=EPILOG)
@click.option("--policy", "policies", type=click.Choice(POLICIES), multiple=True, default=(BACK_PRESSURE, REJECT),
              show_default=True,
              help="How the gateway answers a client that sends too much. May be repeated.")  # fmt: skip
@click.option("--rate", type=click.IntRange(60), default=100, show_default=True,
              help="Messages a second of each client: max_order_rate under 'reject', else OmsMaxRate.")  # fmt: skip
@click.option("--offered", type=click.IntRange(1), default=10_000, show_default=True,
              help="Orders a second of the client that floods.")  # fmt: skip
@click.option("--burst", type=click.FloatRange(1), default=30.0, show_default=True, help="Seconds of the burst.")
@click.option("--quiet", type=click.FloatRange(1), default=10.0, show_default=True, help="Seconds before and after.")
@click.option("--target-ms", type=click.FloatRange(1), default=200.0, show_default=True,
              help="p99 that orders and cancels of the others must keep during the burst; three times that of the "
                   "quiet stretches, where the machine is so busy that this is more.")  # fmt: skip
@click.option(
    "--json", "json_file", type=click.Path(dir_okay=False, path_type=Path), help="Figures, as JSON, to FILE."
)
def main(
    policies: tuple[str, ...], rate: int, offered: int, burst: float, quiet: float, target_ms: float,
    json_file: Path | None,
) -> None:  # fmt: skip
    """Let one client of five send far more than the gateway can take, and see how the other four fare.

    Latencies are from a client's socket through gateway, ledger and broker back to the client. Exit code 0 if every
    promise held, 1 if one did not. Everything it starts ends with it.
    """
    content: dict[str, Any] = {"machine": machine(), "offered": offered, "burst_seconds": burst, "runs": []}
    ok = True
    for one in policies:
        try:
            outcome = overload(
                one, rate, offered, quiet, burst, target_ms, told=lambda what: click.echo(f"  {what}", err=True)
            )
        except (LoadError, BenchError, OperatorError) as error:
            click.echo(f"scripts/overload: {error}", err=True)
            sys.exit(1)
        show(outcome, burst, target_ms)
        content["runs"].append(figures(outcome))
        ok = ok and not outcome.problems
    if json_file is not None:
        json_file.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    sys.exit(0 if ok else 1)


def figures(outcome: Outcome) -> dict[str, Any]:
    """The run, for JSON."""
    return {
        "policy": outcome.policy,
        "clients": {
            name: {
                key: getattr(tally, key)
                for key in ("orders", "cancels", "held_back", "accepted", "throttled", "cancelled", "unanswered")
            }
            | {
                f"{what}_{phase}_ms": [percentile(found, 0.5), percentile(found, 0.99)]
                for what, cancels in (("order", False), ("cancel", True))
                for phase in PHASES
                if (found := outcome.milliseconds((name,), cancels, phase))
            }
            for name, tally in sorted(outcome.tallies.items())
        },
        "memory_mb": [[round(at, 1), round(size, 1)] for at, size in outcome.memory],
        "drained_seconds": outcome.drained_seconds,
        "others_ms": {
            f"{what}_{phase}": [percentile(found, 0.5), percentile(found, 0.99)]
            for what, cancels in (("order", False), ("cancel", True))
            for phase in PHASES
            if (found := outcome.milliseconds(STEADY, cancels, phase))
        },
        "problems": outcome.problems,
    }


def show(outcome: Outcome, burst: float, target_ms: float) -> None:
    """The table and the verdict."""
    table = Table("client", "orders", "held back", "accepted", "throttled", "cancels",
                  *(f"{what} {phase}\np50/p99 ms" for what in ("order", "cancel") for phase in PHASES),
                  title=f"policy {outcome.policy}")  # fmt: skip
    for name, tally in sorted(outcome.tallies.items()):
        cells = [tally.orders, tally.held_back, tally.accepted, tally.throttled, tally.cancels]
        latencies = [
            f"{percentile(found, 0.5):.0f}/{percentile(found, 0.99):.0f}" if found else ""
            for cancels in (False, True)
            for phase in PHASES
            if (found := outcome.milliseconds((name,), cancels, phase)) is not None
        ]
        table.add_row(name, *(f"{cell:,}" for cell in cells), *latencies)
    Console(width=160).print(table)
    flooder = outcome.tallies[FLOOD]
    handled = flooder.orders / (burst + outcome.drained_seconds)
    step = max(len(outcome.memory) // 10, 1)
    memory = " ".join(f"{size:.0f}" for _, size in outcome.memory[::step])
    click.echo(f"offered {outcome.offered:,} a second, handled {handled:,.0f}: {outcome.offered / handled:.0f} times")
    for phase in PHASES:
        parts = []
        for what, cancels in (("order", False), ("cancel", True)):
            found = outcome.milliseconds(STEADY, cancels, phase)
            parts.append(f"{what} p50 {percentile(found, 0.5):.0f} p99 {percentile(found, 0.99):.0f} ms")
        click.echo(f"the other four, {phase}: {', '.join(parts)}")
    bounds = " and ".join(f"{outcome.bound(cancels, target_ms):.0f}" for cancels in (False, True))
    click.echo(f"allowed at p99 of the burst: {bounds} ms for orders and cancels (target {target_ms:.0f})")
    own = outcome.milliseconds((FLOOD,), True, "burst")
    click.echo(f"the flood's own cancels: p50 {percentile(own, 0.5):.0f} p99 {percentile(own, 0.99):.0f} ms")
    click.echo(f"resident memory over time, MB: {memory}; most {max(size for _, size in outcome.memory):.0f}")
    for words, number in flooder.texts.most_common(1):
        click.echo(f"throttled with, for example ({number:,}): {words}")
    for problem in outcome.problems:
        click.echo(f"PROBLEM: {problem}")
    click.echo("verdict: " + ("NOT KEPT" if outcome.problems else "every promise held; the ledger has every message"))
