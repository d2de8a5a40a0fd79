"""`oms demo`: gateway, brokers, clients and Postgres on this machine, a few hundred orders, and proof that all agree.

Progress goes to standard error, the report to standard output. Exit codes: 0 all three views agree, 1 something
differs or went wrong, 2 it could not be set up, 130 interrupted. Whatever it started ends with it.
"""

from __future__ import annotations

import random
from pathlib import Path

import click
from rich.console import Console

from oms.cli.output import console, emit_json, json_option
from oms.demo.interrupts import Interrupts
from oms.demo.processes import DemoFailure, program
from oms.demo.progress import Progress
from oms.demo.report import Outcome, as_json, tell, tell_suggestions
from oms.demo.run import run
from oms.demo.stage import Options

FAILED, INTERRUPTED = 1, 130
DIRECTORY = Path("demo-state")


@click.command(epilog="Example: oms demo --chaos")
@click.option(
    "--dir",
    "directory",
    type=click.Path(path_type=Path, file_okay=False),
    default=DIRECTORY,
    show_default=True,
    help="Where everything is kept; a directory of an earlier demo is made anew.",
)
@click.option("--orders", type=click.IntRange(8, 100_000), default=300, show_default=True, help="Orders to trade.")
@click.option("--seed", type=click.IntRange(0), help="Makes the same orders again.  [default: a new one]")
@click.option("--chaos", is_flag=True, help="Kill the gateway, and its Postgres once, with SIGKILL while it trades.")
@click.option("--stay", is_flag=True, help="Keep everything running afterwards, trading slowly, until Ctrl-C.")
@json_option
@click.pass_context
def demo(
    context: click.Context, directory: Path, orders: int, seed: int | None, chaos: bool, stay: bool, as_json: bool
) -> None:
    """Trade some hundred orders through real FIX sessions, then prove that client, broker and ledger agree.

    Starts an embedded Postgres, the gateway, two simulated brokers and two simulated clients as processes of their
    own on this machine, and ends them all. Exit code 0 if everything agrees, 1 with what differs, 2 if it could not
    be set up.
    """
    chosen = random.randrange(1_000_000) if seed is None else seed
    options = Options(directory, orders, chosen, chaos, stay)
    seen: list[Outcome] = []

    def told(outcome: Outcome) -> None:
        seen.append(outcome)
        _tell(outcome, as_json, stay)

    try:
        with Interrupts() as interrupts:
            ok = run(options, Progress(Console(stderr=True, highlight=False)), interrupts, told)
    except DemoFailure as error:
        click.echo(f"oms demo: {error}", err=True)
        context.exit(FAILED)
    except KeyboardInterrupt:
        click.echo("oms demo: stopped; everything it started has ended", err=True)
        if not seen:
            context.exit(INTERRUPTED)
        ok = seen[0].ok
    context.exit(0 if ok else FAILED)


def _tell(outcome: Outcome, json: bool, stay: bool) -> None:
    if json:
        emit_json(as_json(outcome))
    else:
        tell(console(), outcome)
        tell_suggestions(outcome, program(), stay)
    if stay:
        click.echo("\nEverything keeps running, with an order every now and then. Ctrl-C ends it.", err=json)
