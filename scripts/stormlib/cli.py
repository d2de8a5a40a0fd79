"""The command ``scripts/crash_storm``: options in, verdict table and JSON out, exit code 0 or 1."""

from __future__ import annotations

import json
import random
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from benchlib.report import machine
from oms.demo.comparison import compare
from oms.demo.interrupts import Interrupts
from oms.demo.place import opened
from oms.demo.progress import Progress
from oms.demo.stage import Options
from oms.demo.views import read_views
from oms.ledger.replay import verify_tables
from oms.ledger.verify import verify_chain
from stormlib.ending import conduct
from stormlib.rounds import rounds
from stormlib.storm import Happened, Storm, spoken
from stormlib.verdict import Verdict, judge

FAILED = 1
SECONDS_A_KILL, SECONDS_BESIDES = 20.0, 120.0
SHOWN = 5
EPILOG = """
\b
Examples:
  scripts/crash_storm --orders 300 --kills 4 --seed 1          half a minute
  scripts/crash_storm --orders 2000 --kills 12 --seed 1        about two minutes
  scripts/crash_storm --orders 1500 --kills 8 --seed 41 --tls  every session over TLS
  scripts/crash_storm --json storm.json                        the whole of it: 20,000 orders, 100 kills
"""


@click.command(epilog=EPILOG)
@click.option("--orders", type=click.IntRange(20, 200_000), default=20_000, show_default=True, help="Orders to send.")
@click.option("--kills", type=click.IntRange(1, 1_000), default=100, show_default=True, help="SIGKILLs.")
@click.option("--seed", type=click.IntRange(0), help="Makes the same orders and rounds again.  [default: a new one]")
@click.option("--rate", type=click.FloatRange(2, 400), default=100.0, show_default=True, help="Orders a second.")
@click.option("--tls", is_flag=True, help="Every session of clients and brokers over TLS.")
@click.option(
    "--seconds", type=click.FloatRange(30), help="No kill later than this.  [default: 20 per kill, and more]"
)
@click.option("--dir", "directory", type=click.Path(file_okay=False, path_type=Path),
              help="Keep everything here.  [default: a new one, removed if all is well]")  # fmt: skip
@click.option(
    "--json", "json_file", type=click.Path(dir_okay=False, path_type=Path), help="Figures, as JSON, to FILE."
)
def main(
    orders: int, kills: int, seed: int | None, rate: float, tls: bool, seconds: float | None,
    directory: Path | None, json_file: Path | None,
) -> None:  # fmt: skip
    """Kill the gateway at random while it trades, again and again, and prove that nothing is lost or doubled.

    Two clients, two brokers, the gateway and its Postgres run as processes of their own with relays between them.
    The gateway dies at named steps, at random moments and during its recovery; Postgres dies; lines are cut and
    stalled. Then clients, ledger and brokers are compared order by order and fill by fill. Exit code 0 if every
    promise held, 1 if not. Everything it starts ends with it.
    """
    chosen = random.randrange(1_000_000) if seed is None else seed
    bound = seconds or kills * SECONDS_A_KILL + orders / rate + SECONDS_BESIDES
    where = directory or Path(tempfile.mkdtemp(prefix="oms-storm-"))
    options = Options(where, orders, chosen)
    run = partial(_run, options, kills, rate, tls, bound)
    conduct("scripts/crash_storm", where, run, json_file, keep=directory is not None)


def _run(
    options: Options, kills: int, rate: float, tls: bool, bound: float, interrupts: Interrupts
) -> dict[str, Any]:
    progress = Progress(Console(stderr=True, highlight=False))
    plan = rounds(kills, options.seed)
    with progress, opened(options.directory) as place, Storm(place, options, progress, interrupts) as storm:
        storm.orders_a_second, storm.tls = rate, tls
        storm.open()
        progress.say(f"storm: {options.orders} orders, {kills} kills, {len(plan)} rounds, seed {options.seed}")
        happened = storm.rage(plan, bound)
        progress.say("comparing the three views, verifying the journal and replaying it")
        views = read_views(place, storm.engine)
        compared, chain = compare(views), verify_chain(storm.engine)
        replay = verify_tables(storm.engine) if chain.ok else None
        problems = [*happened.problems]
        if happened.skipped:
            problems.append(f"{happened.skipped} rounds were left out, because --seconds was over")
        verdict = judge(views, compared, chain, replay, problems)
        lines = {"tls": tls, "connections": storm.lines()}
        content = {**_document(options, rate, happened, verdict, progress.seconds), **lines}
    _tell(Console(), content)
    return content


def _document(options: Options, rate: float, happened: Happened, verdict: Verdict, seconds: float) -> dict[str, Any]:
    return {
        "ok": verdict.ok,
        "machine": machine(),
        "seed": options.seed,
        "orders": options.orders,
        "orders_a_second": rate,
        "kills": happened.kills,
        "seconds": round(seconds, 1),
        "promises": [{**asdict(one), "ok": one.ok} for one in verdict.promises],
        "unknown": verdict.unknown,
        "exception_items": verdict.items,
        "recovery_seconds": {
            "starts": len(happened.starts),
            "open": _spread([one.open_seconds for one in happened.starts]),
            "all_sessions_on": _spread([one.logged_on_seconds for one in happened.starts]),
            "postgres": _spread(happened.postgres_seconds),
        },
        "rounds": [
            {"kind": one.kind, "orders": sent, "what": what, "crash_at": one.crash_at}
            for one, what, sent in happened.rounds
        ],
    }


def _spread(values: Sequence[float]) -> dict[str, float]:
    """Median and worst, in seconds."""
    ordered = sorted(values)
    return {"p50": round(ordered[len(ordered) // 2], 2), "max": round(ordered[-1], 2)} if ordered else {}


def _tell(out: Console, content: dict[str, Any]) -> None:
    made = Table(title="Verdict", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in ("promise", "checked", "broken"):
        made.add_column(name, justify="left" if name == "promise" else "right")
    for row in content["promises"]:
        made.add_row(row["text"], f"{row['checked']:,}", str(len(row["broken"])))
    out.print(made)
    for row in content["promises"]:
        for text in row["broken"][:SHOWN]:
            click.echo(f"  BROKEN: {text}")
        if len(row["broken"]) > SHOWN:
            click.echo(f"  ... and {len(row['broken']) - SHOWN} more; --json has all")
    for text in content["unknown"]:
        click.echo(f"  unknown outcome: {text}")
    items = ", ".join(f"{count} {kind}" for kind, count in content["exception_items"].items()) or "none"
    click.echo(f"exception items: {items}")
    click.echo(f"recovery, seconds: {json.dumps(content['recovery_seconds'])}")
    connections = content["connections"]
    click.echo(f"lines: {', '.join(f'{number} {kind}' for kind, number in connections.items())} connections")
    verdict = "Every promise held." if content["ok"] else "NOT every promise held."
    did = f"{content['orders']:,} orders, {content['kills']} kills, {spoken(tls=content['tls'])} lines"
    click.echo(f"{verdict} {did}, seed {content['seed']}, {content['seconds']:.0f} s.")
