"""`oms verify`: prove that the journal is as it was written, and that it adds up to the tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import date, datetime
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from oms.cli.output import NOT_VERIFIED, clean, config_option, emit_json, json_option, plural, reading
from oms.errors import OperatorError
from oms.ledger.evidence import EvidenceReport
from oms.ledger.moment import Archived, archived_days, snapshot
from oms.ledger.replay import TablesReport, verify_tables
from oms.ledger.verify import ChainReport, verify_journal

SHOWN = 20
_DAY = click.DateTime(["%Y-%m-%d"])


@click.command(epilog="Example: oms verify --config desk/oms.toml --from 2026-10-01")
@click.option(
    "--from", "first", type=_DAY, help="From this trade date on; the links of the chain from the beginning."
)
@click.option("--to", "last", type=_DAY, help="Up to this trade date.")
@config_option
@json_option
@click.pass_context
def verify(context: click.Context, first: datetime | None, last: datetime | None, path: Path, as_json: bool) -> None:
    """Prove the journal: its hash chain, THE table of order states, sends, and that replaying it gives the tables.

    Exit code 0 if everything holds, 1 if anything differs. Reads only; a running gateway is not disturbed. Days that
    are in archives are proven by oms archive verify FILE.
    """
    days = (first.date() if first else None, last.date() if last else None)
    if days[0] and days[1] and days[0] > days[1]:
        raise OperatorError(f"--from {days[0]} is after --to {days[1]}; give the earlier date first")
    with reading(path, recorded=False) as (_, engine):
        with snapshot(engine) as connection:
            away = [one for one in archived_days(connection) if one.is_away and _is_within(one.day, *days)]
        with _progress("hash chain", as_json) as progress:
            chain, evidence = verify_journal(engine, progress, *days)
        tables = None
        if chain.ok:  # a journal that was changed proves nothing about the tables
            with _progress("replay", as_json) as progress:
                tables = verify_tables(engine, progress, *days)
    ok = evidence.ok and tables is not None and tables.ok
    if as_json:
        emit_json(
            {
                "ok": ok,
                "chain": chain,
                "journal": _evidence_json(evidence),
                "tables": None if tables is None else _tables_json(tables),
                "archived": [{"day": one.day, "file": one.file} for one in away],
            }
        )
    else:
        _tell_chain(chain)
        _tell_evidence(chain, evidence)
        _tell_tables(tables)
        _tell_archived(away)
    if not ok:
        context.exit(NOT_VERIFIED)


def _is_within(day: date, first: date | None, last: date | None) -> bool:
    return (first is None or day >= first) and (last is None or day <= last)


def _tables_json(tables: TablesReport) -> dict[str, object]:
    return tables._asdict() | {"differences": [one._asdict() for one in tables.differences]}


def _evidence_json(evidence: EvidenceReport) -> dict[str, object]:
    return evidence._asdict() | {"findings": [one._asdict() for one in evidence.findings]}


def _tell_chain(chain: ChainReport) -> None:
    read = f"{plural(chain.rows, 'journal row')} in {plural(chain.batches - chain.passed, 'batch')}"
    if chain.problem is None:
        links = f"; of {plural(chain.passed, 'batch')} more the links" if chain.passed else ""
        click.echo(f"hash chain: holds, {read}{links}")
        click.echo(f"head:       batch {chain.batches}, {chain.head} (keep it elsewhere to prove the journal later)")
    else:
        click.echo(f"hash chain: BROKEN in batch {chain.problem.batch}: {chain.problem.text}")
        click.echo(f"            {read} before it hold; restore the database from a backup that verifies")


def _tell_evidence(chain: ChainReport, evidence: EvidenceReport) -> None:
    if evidence.ok:
        if chain.ok:
            looked = f"{plural(evidence.transitions, 'transition')} as THE table allows"
            click.echo(f"journal:    {looked}, {plural(evidence.sends, 'message')} with what became of it in sends")
        return
    click.echo(f"journal:    {plural(evidence.found, 'contradiction')}")
    for one in evidence.findings[:SHOWN]:
        click.echo(clean(f"            row {one.seq}: {one.text}"))
    if evidence.found > SHOWN:
        click.echo(f"            and {evidence.found - SHOWN} more (--json shows more)")


def _tell_tables(tables: TablesReport | None) -> None:
    if tables is None:
        click.echo("tables:     not compared, the journal itself does not hold")
        return
    compared = ", ".join(f"{rows} {name}" for name, rows in tables.compared.items())
    if tables.ok:
        click.echo(f"tables:     equal a replay of the journal ({plural(tables.events, 'event')}): {compared}")
    else:
        click.echo(
            f"tables:     {plural(tables.differing, 'difference')} from a replay of the journal, in {compared}"
        )
    for one in tables.differences[:SHOWN]:
        what = f"{one.table} {one.key} {one.column}".strip()
        click.echo(
            clean(f"            {what}: by replay {one.replayed or 'nothing'}, stored {one.stored or 'nothing'}")
        )
    if tables.differing > SHOWN:
        click.echo(f"            and {tables.differing - SHOWN} more (--json shows more)")
    if tables.later:
        click.echo(f"            {plural(tables.later, 'order')} changed after --to, and not compared")
    if tables.passed_over:
        said = "with late news, began in archived days, and not compared; oms archive restore brings those back"
        click.echo(f"            {plural(tables.passed_over, 'order')} {said}")


def _tell_archived(away: list[Archived]) -> None:
    for one in away[-SHOWN:]:
        click.echo(f"archived:   {one.day} is in {one.file}; prove it with oms archive verify")
    if len(away) > SHOWN:
        click.echo(f"            and {len(away) - SHOWN} days before (oms archive list)")


def replay_progress(quiet: bool) -> AbstractContextManager[Callable[[int, int], None]]:
    """A bar for a replay, on standard error."""
    return _progress("replay", quiet)


@contextmanager
def _progress(what: str, quiet: bool) -> Iterator[Callable[[int, int], None]]:
    """A bar on standard error while a person waits; nothing where nobody does."""
    screen = Console(stderr=True)
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=screen, transient=True, disable=quiet or not screen.is_terminal) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
