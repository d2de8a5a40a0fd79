"""`oms certify`: the standard's order state scenarios against a running gateway, as its clients and brokers see it.

Progress goes to standard error, the summary to standard output, the whole report into a dated file. Exit codes: 0
every run passed, 1 one did not, 2 it could not be set up, 130 interrupted. Whatever it started ends with it.
"""

from __future__ import annotations

import random
import time
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from oms.certify.certification import KILLS, Certification, Options, Told, chosen
from oms.certify.gateway import OwnGateway
from oms.certify.report import Report, as_json, write
from oms.certify.scenario import Run, load_all
from oms.certify.versions import PAIRS, pair_of
from oms.cli.output import console, emit_json, json_option, print_tables, table
from oms.demo.interrupts import Interrupts
from oms.demo.place import opened
from oms.demo.processes import DemoFailure

FAILED, INTERRUPTED = 1, 130
DIRECTORY = Path("certification")
SHOWN = 5  # failures on the terminal; the file has all
_FIRST_DAY_SECONDS, _SECONDS_PER_NIGHT = 15.0, 0.05  # the gateway's start, and the first day of one run


@click.command(epilog="Example: oms certify --pair 4.2/4.4 --scenario B.1.b --kill")
@click.option("--scenario", "names", multiple=True, help="A scenario (B.1.b) or one run (B.1.b-5a).  [default: all]")
@click.option(
    "--pair", "pairs", multiple=True, help="Versions of client/broker, such as 4.2/4.4.  [default: 7 pairs]"
)
@click.option("--kill", is_flag=True, help="Kill the gateway (-9) twice in the middle of the runs.")
@click.option("--seed", type=click.IntRange(0), help="Makes the same kills again.  [default: a new one]")
@click.option(
    "--dir",
    "directory",
    type=click.Path(path_type=Path, file_okay=False),
    default=DIRECTORY,
    show_default=True,
    help="Where reports are kept, and the gateway's own directory, made anew by every run.",
)
@json_option
@click.pass_context
def certify(
    context: click.Context,
    names: tuple[str, ...],
    pairs: tuple[str, ...],
    kill: bool,
    seed: int | None,
    directory: Path,
    as_json: bool,
) -> None:
    """Play the FIX standard's 47 order state scenarios through a gateway of its own, and write a dated report.

    Every branch of every scenario, as a client and a broker of FIX 4.2, 4.4 and 5.0 SP2 play it, in seven pairs of
    versions: each message at either side, and the ledger at the end. Exit code 0 if everything passed.
    """
    wanted = list(dict.fromkeys(pair_of(text) for text in pairs)) or list(PAIRS)
    runs = chosen(load_all(), names)
    options = Options(wanted, kill, random.randrange(1_000_000) if seed is None else seed)
    try:
        with Interrupts() as interrupts:
            report = _certified(options, runs, directory, interrupts)
    except DemoFailure as error:
        click.echo(f"oms certify: {error}", err=True)
        context.exit(FAILED)
    except KeyboardInterrupt:
        click.echo("oms certify: stopped; everything it started has ended", err=True)
        context.exit(INTERRUPTED)
    path = write(report, directory)
    _tell(report, path, as_json)
    context.exit(0 if report.ok else FAILED)


def _certified(options: Options, runs: list[Run], directory: Path, interrupts: Interrupts) -> Report:
    began, at = time.monotonic(), datetime.now(UTC)
    nights = sum(any(row.side == "day" for row in run.rows) for run in runs) * len(options.pairs)
    day_seconds = None if options.kill else _FIRST_DAY_SECONDS + _SECONDS_PER_NIGHT * nights
    with ExitStack() as stack:
        place = stack.enter_context(opened(directory / "gateway"))
        bar = stack.enter_context(_Bar())
        gateway = stack.enter_context(OwnGateway(place, interrupts, options.pairs, day_seconds))
        gateway.open()
        options.told = bar.told
        certification = Certification(gateway, runs, options)
        bar.begin(certification.rows())
        outcomes = certification.certify()
    kills = KILLS if options.kill else 0
    return Report(at, time.monotonic() - began, options.seed, kills, outcomes, certification.problems)


class _Bar:
    """The progress bar, on standard error. Told by several threads."""

    def __init__(self) -> None:
        self._failed = 0
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.completed:.0f} of {task.total:.0f} steps"),
            TimeElapsedColumn(),
            console=Console(stderr=True, highlight=False),
        )
        self._task = self._progress.add_task("starting Postgres, the gateway and its counterparties", total=1)

    def __enter__(self) -> _Bar:
        self._progress.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._progress.stop()

    def begin(self, steps: int) -> None:
        """So many steps there are."""
        self._progress.update(self._task, total=steps)

    def told(self, told: Told) -> None:
        """Steps were played."""
        self._failed += told.failed
        failed = f", {self._failed} failed" if self._failed else ""
        self._progress.update(self._task, description=told.stage + failed, advance=told.steps)


def _tell(report: Report, path: Path, json: bool) -> None:
    if json:
        emit_json(as_json(report))
        return
    rows = [(str(pair), str(report.scenarios(pair)), str(report.runs(pair))) for pair in report.pairs]
    print_tables(console(), [table("Scenarios passed", ("client/broker", "scenarios>", "runs>"), rows)])
    failures = [one.failure for one in report.outcomes if not one.ok] + list(report.problems)
    for failure in failures[:SHOWN]:
        click.echo(f"\n{failure}")
    if len(failures) > SHOWN:
        click.echo(f"\nand {len(failures) - SHOWN} more")
    verdict = "Everything passed." if report.ok else f"{len(failures)} did not pass."
    click.echo(f"\n{verdict} {report.how}. The report: {path}")
