"""The command ``scripts/fuzz``: options in, verdict and JSON out, exit code 0 or 1."""

from __future__ import annotations

import random
import tempfile
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from benchlib.report import machine
from fuzzlib.core import Findings, fuzz_core
from fuzzlib.sessions import LiveFindings, fuzz_sessions
from oms.demo.interrupts import Interrupts
from stormlib.ending import conduct

FAILED = 1
LIVE_SHARE = 20  # of so many messages one goes over a session, unless told otherwise
EPILOG = """
\b
Examples:
  scripts/fuzz --messages 10000 --sessions 1000     half a minute
  scripts/fuzz                                      a million through the core, 50,000 over sessions: minutes
  scripts/fuzz --sessions 1000000 --seconds 3600    a million over sessions too
"""


@click.command(epilog=EPILOG)
@click.option("--messages", type=click.IntRange(0), default=1_000_000, show_default=True,
              help="Messages through the core, in processes of this program.")  # fmt: skip
@click.option("--sessions", type=click.IntRange(0), help="Messages over FIX sessions.  [default: 1 for 20 of those]")
@click.option("--seed", type=click.IntRange(0), help="Makes the same messages again.  [default: a new one]")
@click.option("--seconds", type=click.FloatRange(1), default=1800.0, show_default=True, help="Bound of each part.")
@click.option("--dir", "directory", type=click.Path(file_okay=False, path_type=Path),
              help="Keep everything here.  [default: a new one, removed if all is well]")  # fmt: skip
@click.option(
    "--json", "json_file", type=click.Path(dir_okay=False, path_type=Path), help="Figures, as JSON, to FILE."
)
def main(
    messages: int, sessions: int | None, seed: int | None, seconds: float, directory: Path | None,
    json_file: Path | None,
) -> None:  # fmt: skip
    """Spoil FIX messages in every way and see that the gateway neither breaks nor forgets one.

    First straight into decoding, core, encoding and the journal's rows, with a replay of everything; then over a
    client's and a broker's session of a running gateway, while another client trades. Exit code 0 if nothing was
    found, 1 if something was. Everything it starts ends with it.
    """
    chosen = random.randrange(1_000_000) if seed is None else seed
    over_sessions = messages // LIVE_SHARE if sessions is None else sessions
    where = directory or Path(tempfile.mkdtemp(prefix="oms-fuzz-"))
    run = partial(_run, where, messages, over_sessions, chosen, seconds)
    conduct("scripts/fuzz", where, run, json_file, keep=directory is not None)


def _run(
    where: Path, messages: int, over_sessions: int, seed: int, seconds: float, interrupts: Interrupts
) -> dict[str, Any]:
    content: dict[str, Any] = {"ok": True, "machine": machine(), "seed": seed}
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        if messages:
            task = bar.add_task("core", total=messages)
            (where / "core").mkdir(parents=True, exist_ok=True)
            core = fuzz_core(where / "core", messages, seed, seconds, lambda done: bar.update(task, completed=done))
            content["core"] = _figures(core)
            content["ok"] = not core.count
        if over_sessions:
            line = bar.add_task("sessions", total=over_sessions)
            live = fuzz_sessions(
                where / "live",
                over_sessions,
                seed,
                seconds,
                interrupts,
                lambda done: bar.update(line, completed=done),
            )
            content["sessions"] = _live(live)
            content["ok"] = content["ok"] and not live.problems
    if messages:
        _tell_core(core)
    if over_sessions:
        _tell_live(live, content["sessions"])
    click.echo(f"{'Nothing was found' if content['ok'] else 'FINDINGS: see above'}. Seed {seed}.")
    return content


def _figures(found: Findings | LiveFindings) -> dict[str, Any]:
    """Its fields by name. Counters stay as they are, which `asdict` would not leave them."""
    return {one.name: getattr(found, one.name) for one in fields(found)}


def _live(found: LiveFindings) -> dict[str, Any]:
    waited = sorted(found.canary_seconds)
    made = _figures(found)
    del made["canary_seconds"]
    made["canary"] = {
        "orders": len(waited),
        "p50_ms": round(1000 * waited[len(waited) // 2], 1) if waited else None,
        "p99_ms": round(1000 * waited[int(len(waited) * 0.99)], 1) if waited else None,
        "max_ms": round(1000 * waited[-1], 1) if waited else None,
    }
    return made


def _tell_core(found: Findings) -> None:
    speed = found.messages / found.seconds if found.seconds else 0
    click.echo(f"core: {found.messages:,} messages in {found.seconds:.0f} s, {speed:,.0f} a second")
    click.echo(f"  {found.rows:,} journal rows, all replayed; {found.orders:,} orders, {found.fills:,} fills")
    click.echo(f"  {found.unreadable.total():,} refused as unreadable: {dict(found.unreadable)}")
    click.echo(f"  {found.count} findings")
    for text in found.findings.values():
        click.echo(f"  FOUND: {text[:1000]}")


def _tell_live(found: LiveFindings, content: dict[str, Any]) -> None:
    speed = found.messages / found.seconds if found.seconds else 0
    canary = content["canary"]
    click.echo(f"sessions: {found.messages:,} messages in {found.seconds:.0f} s, {speed:,.0f} a second")
    click.echo(
        f"  {found.due:,} had to be recorded and {found.recorded:,} were; {found.garbled:,} garbled, "
        f"{found.unruly:,} against the session itself, {found.logons:,} logons, {found.stalled} lines given up"
    )
    click.echo(f"  journal: {found.journal}; refused twice by the engine: {found.refused_twice}")
    click.echo(f"  answers: {dict(found.answers.most_common())}")
    click.echo(
        f"  canary: {canary['orders']:,} orders, p50 {canary['p50_ms']} ms, p99 {canary['p99_ms']} ms, "
        f"worst {canary['max_ms']} ms"
    )
    click.echo(
        f"  resident memory: {found.memory_mb[0]:.0f} MB after the first half, {found.memory_mb[1]:.0f} at the end"
    )
    for text in found.problems:
        click.echo(f"  FOUND: {text[:2000]}")
