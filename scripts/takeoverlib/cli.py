"""The command ``scripts/takeover``: options in, a table and JSON out, exit code 0 or 1."""

from __future__ import annotations

import json
import shutil
import signal
import statistics
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from benchlib.report import machine
from oms.demo.interrupts import Interrupts
from oms.demo.progress import Progress
from oms.errors import OperatorError
from oms.ledger.database import engine
from oms.ledger.verify import verify_chain
from takeoverlib.desk import Desk, Failed, Process, until

WAYS = {
    "kill": "kill -9, same machine",
    "stop": "SIGTERM, same machine",
    "hang": "SIGSTOP, same machine",
    "machine": "kill -9, other machine",
    "cut": "Postgres cut off, other machine",
}
WIDTH = 110
EPILOG = """
\b
Examples:
  scripts/takeover                                  five of each kind, about five minutes
  scripts/takeover --way kill --rounds 10           ten kills
  scripts/takeover --json takeover.json             figures for a program, too
"""


@dataclass(frozen=True, slots=True)
class Round:
    """One take-over; seconds from the end of the gateway before. `open`: sessions are accepted and connected."""

    way: str
    open: float
    client_on: float
    accepted: float
    exit_code: int | None


@click.command(epilog=EPILOG)
@click.option("--way", "ways", multiple=True, type=click.Choice(list(WAYS)), help="How it ends.  [default: all]")
@click.option("--rounds", type=click.IntRange(1, 100), default=5, show_default=True, help="Take-overs of each kind.")
@click.option("--lease-seconds", type=click.IntRange(2, 60), default=5, show_default=True, help="As in [gateway].")
@click.option("--dir", "directory", type=click.Path(file_okay=False, path_type=Path),
              help="Keep everything here.  [default: a new one, removed if all is well]")  # fmt: skip
@click.option(
    "--json", "json_file", type=click.Path(dir_okay=False, path_type=Path), help="Figures, as JSON, to FILE."
)
def main(
    ways: tuple[str, ...], rounds: int, lease_seconds: int, directory: Path | None, json_file: Path | None
) -> None:
    """Measure how long it takes from the end of a gateway to the first new order accepted by its standby.

    A client, two brokers, a ledger and two gateways on loopback. The one that runs is ended, the other one takes
    over, and a new standby waits for the next round: on the same state directory, or on one of its own as on another
    machine, where the message stores are made again from the ledger. Exit code 0 if every take-over happened, no
    broker got an order twice, and no batch was written under an older lease.
    """
    where = directory or Path(tempfile.mkdtemp(prefix="oms-takeover-"))
    progress = Progress(Console(stderr=True, highlight=False))
    done: list[Round] = []
    problems: list[str] = []
    try:
        with Interrupts(), progress:
            for way in ways or tuple(WAYS):
                place = where / way
                place.mkdir(parents=True)
                with Desk(place, lease_seconds) as desk:
                    progress.say(f"{WAYS[way]}: {rounds} rounds")
                    done += _rounds(desk, way, rounds, progress)
                    problems += [f"{way}: {one}" for one in _judged(desk, rounds)]
    except (Failed, OperatorError) as error:
        click.echo(f"scripts/takeover: {error}; logs are kept in {where}", err=True)
        sys.exit(1)
    except KeyboardInterrupt:
        click.echo("scripts/takeover: stopped; everything it started has ended", err=True)
        sys.exit(130)
    content = _document(done, problems, lease_seconds)
    _tell(Console(width=WIDTH), content)
    if json_file is not None:
        json_file.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    if not problems and directory is None:
        shutil.rmtree(where, ignore_errors=True)
    sys.exit(1 if problems else 0)


def _rounds(desk: Desk, way: str, rounds: int, progress: Progress) -> list[Round]:
    apart = way in ("machine", "cut")
    options = ("--standby", "--new-machine") if apart else ("--standby",)
    current, at = desk.begin(0), 0
    until(current.ready.exists, "the first gateway is open")
    desk.trade("FIRST")
    done = []
    for number in range(rounds):
        there = 1 - at if apart else at
        standby = desk.begin(there, *options)
        desk.until_known(standby)
        desk.trade(f"BEFORE{number}")
        done.append(_round(desk, way, current, standby, number, at))
        desk.lines[at].flow()
        current, at = standby, there
        progress.say(f"  {way} {number + 1}: first new order accepted after {done[-1].accepted:.2f} s")
    current.signal(signal.SIGTERM)
    until(lambda: current.ended is not None, "the last gateway stops")
    return done


def _round(desk: Desk, way: str, current: Process, standby: Process, number: int, at: int) -> Round:
    logons = desk.client._logons
    ended = time.monotonic()
    if way == "cut":
        desk.lines[at].stall()
    else:
        current.signal({"stop": signal.SIGTERM, "hang": signal.SIGSTOP}.get(way, signal.SIGKILL))
    opened = until(standby.ready.exists, "the standby is open")
    client_on = until(lambda: desk.client.logged_on and desk.client._logons > logons, "the client is logged on")
    accepted = desk.trade(f"AFTER{number}")
    until(lambda: current.ended is not None, "the gateway before has ended")
    return Round(way, opened - ended, client_on - ended, accepted - ended, current.ended)


def _judged(desk: Desk, rounds: int) -> list[str]:
    """What the ledger says against the take-overs."""
    problems = []
    leases = [row[0] for row in desk.rows("SELECT lease FROM batches ORDER BY batch")]
    if leases != sorted(leases):
        problems.append("a batch was written under an older lease than one before it")
    if len(set(leases)) != rounds + 1:
        problems.append(f"{len(set(leases))} leases wrote batches, not {rounds + 1}")
    alive = {row[0] for row in desk.rows("SELECT original_cl_ord_id FROM client_orders WHERE life = 'working'")}
    if missing := [one for one in desk.accepted if one not in alive]:
        problems.append(f"orders accepted and not working in the ledger: {', '.join(missing)}")
    for broker in desk.brokers:
        ids = [message[11] for message in broker.received if message.type == "D"]
        if len(ids) != len(set(ids)):
            problems.append(f"{broker.name} got an order twice")
    made = engine(desk.url, read_only=True)
    chain = verify_chain(made)
    made.dispose()
    if not chain.ok:
        problems.append(f"the hash chain does not hold: {chain.problem}")
    return problems


def _document(done: list[Round], problems: list[str], lease_seconds: int) -> dict[str, Any]:
    summary = {}
    for way in dict.fromkeys(one.way for one in done):
        some = [one for one in done if one.way == way]
        summary[way] = {
            name: {
                "median": round(statistics.median(getattr(one, name) for one in some), 2),
                "max": round(max(getattr(one, name) for one in some), 2),
            }
            for name in ("open", "client_on", "accepted")
        } | {"rounds": len(some), "exit_codes": sorted({one.exit_code for one in some if one.exit_code is not None})}
    return {
        "ok": not problems,
        "machine": machine(),
        "lease_seconds": lease_seconds,
        "seconds": summary,
        "problems": problems,
        "rounds": [asdict(one) for one in done],
    }


def _tell(out: Console, content: dict[str, Any]) -> None:
    made = Table(title="Seconds from the end of one gateway", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in ("how it ends", "rounds", "open", "client on", "order accepted", "exit code"):
        made.add_column(name, justify="left" if name == "how it ends" else "right", no_wrap=True)
    for way, found in content["seconds"].items():
        figures = [
            f"{found[name]['median']:.2f} / {found[name]['max']:.2f}" for name in ("open", "client_on", "accepted")
        ]
        codes = ", ".join(str(code) for code in found["exit_codes"])
        made.add_row(WAYS[way], str(found["rounds"]), *figures, codes)
    out.print(made)
    click.echo(f"median / maximum; lease of {content['lease_seconds']} s; the client tries to log on once a second")
    for problem in content["problems"]:
        click.echo(f"BROKEN: {problem}")
