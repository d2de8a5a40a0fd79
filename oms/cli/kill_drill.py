"""`oms kill drill`: the kill switch rehearsed on a gateway of its own, with simulators, and timed.

Nothing of a configuration or a running gateway is touched. Progress goes to standard error, the figures to standard
output. Exit codes: 0 every order is accounted for, 1 one is unanswered or something left that should not have, 2 it
could not be set up, 130 interrupted.
"""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from oms.cli.output import console, emit_json, json_option, table
from oms.cli.progress import progress_bar

if TYPE_CHECKING:  # the engine is not needed by the commands beside this one, which must be quick
    from oms.demo.interrupts import Interrupts
    from oms.demo.kill_drill import Drilled

FAILED, INTERRUPTED = 1, 130


@click.command(epilog="Example: oms kill drill --orders 1000")
@click.option("--orders", type=click.IntRange(1, 30_000), default=10_000, show_default=True, help="Working orders.")
@click.option("--wait", "seconds", type=click.FloatRange(1, 3600), default=120, show_default=True,
              help="Seconds to wait for the proof.")  # fmt: skip
@click.option("--behaviour", type=click.Path(path_type=Path, exists=True, dir_okay=False),
              help="What the simulated broker does.  [default: accepts orders and cancels]")  # fmt: skip
@click.option("--dir", "directory", type=click.Path(path_type=Path, file_okay=False),
              help="Keep configuration, records and logs here.  [default: a temporary directory]")  # fmt: skip
@json_option
@click.pass_context
def drill(
    context: click.Context, orders: int, seconds: float, behaviour: Path | None, directory: Path | None, as_json: bool
) -> None:
    """Rehearse it: lay working orders on a simulated broker, stop the firm, and time it.

    Starts an embedded Postgres, a gateway and a simulated broker of its own on this machine, and ends them all.
    Exit code 1 if an order is unanswered in the end, or a new one left after the command was answered.
    """
    from oms.demo.interrupts import Interrupts
    from oms.demo.processes import DemoFailure

    where = directory or Path(tempfile.mkdtemp(prefix="oms-drill-"))
    try:
        with Interrupts() as interrupts:
            found = _drilled(where, interrupts, orders, seconds, behaviour, as_json)
    except DemoFailure as error:
        click.echo(f"oms kill drill: {error}", err=True)
        context.exit(FAILED)  # the logs stay, for whoever looks
    except KeyboardInterrupt:
        click.echo("oms kill drill: stopped; everything it started has ended", err=True)
        context.exit(INTERRUPTED)
    if directory is None:
        shutil.rmtree(where, ignore_errors=True)
    if as_json:
        emit_json(asdict(found) | {"ok": found.ok})
    else:
        _tell(found)
    context.exit(0 if found.ok else FAILED)


def _drilled(
    where: Path, interrupts: Interrupts, orders: int, seconds: float, behaviour: Path | None, quiet: bool
) -> Drilled:
    from oms.demo.kill_drill import Drill
    from oms.demo.place import opened

    behaviour = behaviour.resolve() if behaviour is not None else None
    with opened(where) as place, Drill(place, interrupts, behaviour) as drill:
        drill.open()
        with progress_bar("orders laid", quiet) as told:
            drill.lay(orders, told)
        with progress_bar("orders accounted for", quiet) as told:
            return drill.engage(seconds, told)


def _tell(found: Drilled) -> None:
    """The figures, and whether it is proven."""
    left = found.last_order_left
    before = "before the command" if left is not None and left < 0 else _since(left)
    rows = [
        ("last new order left to the broker", before),
        ("first new order refused to its client", _since(found.first_refused)),
        ("command answered: kill and cancels are in the ledger", _since(found.command_answered)),
        (f"last of {found.cancels} cancels left", _since(found.last_cancel_left)),
        ("every order accounted for", _since(found.proven)),
    ]
    console().print(table("After the command was given", ("what~", "seconds>"), rows))
    outcomes = ", ".join(f"{number} {name}" for name, number in sorted(found.outcomes.items()))
    proven = "proven: none is left alive" if found.ok else "NOT proven"
    click.echo(f"{found.orders} orders were alive: {outcomes or 'nothing to cancel'}; {proven}.")
    for problem in found.problems:
        click.echo(f"Problem: {problem}")


def _since(seconds: float | None) -> str:
    return "not in time" if seconds is None else f"{seconds:.3f}"
