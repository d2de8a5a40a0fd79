"""`oms verify`: prove that the journal is as it was written, and that it adds up to the tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from oms.cli.output import NOT_VERIFIED, clean, config_option, emit_json, json_option, plural, reading
from oms.ledger.replay import TablesReport, verify_tables
from oms.ledger.verify import ChainReport, verify_chain

SHOWN = 20


@click.command(epilog="Example: oms verify --config desk/oms.toml")
@config_option
@json_option
@click.pass_context
def verify(context: click.Context, path: Path, as_json: bool) -> None:
    """Prove the journal: its hash chain, and that replaying it gives the tables.

    Exit code 0 if everything holds, 1 if anything differs. Reads only; a running gateway is not disturbed.
    """
    with reading(path) as (_, engine):
        with _progress("hash chain", as_json) as progress:
            chain = verify_chain(engine, progress)
        tables = None
        if chain.ok:  # a journal that was changed proves nothing about the tables
            with _progress("replay", as_json) as progress:
                tables = verify_tables(engine, progress)
    ok = tables is not None and tables.ok
    if as_json:
        emit_json({"ok": ok, "chain": chain, "tables": None if tables is None else _tables_json(tables)})
    else:
        _tell_chain(chain)
        _tell_tables(tables)
    if not ok:
        context.exit(NOT_VERIFIED)


def _tables_json(tables: TablesReport) -> dict[str, object]:
    return tables._asdict() | {"differences": [one._asdict() for one in tables.differences]}


def _tell_chain(chain: ChainReport) -> None:
    read = f"{plural(chain.rows, 'journal row')} in {plural(chain.batches, 'batch')}"
    if chain.problem is None:
        click.echo(f"hash chain: holds, {read}")
        click.echo(f"head:       batch {chain.batches}, {chain.head} (keep it elsewhere to prove the journal later)")
    else:
        click.echo(f"hash chain: BROKEN in batch {chain.problem.batch}: {chain.problem.text}")
        click.echo(f"            {read} before it hold; restore the database from a backup that verifies")


def _tell_tables(tables: TablesReport | None) -> None:
    if tables is None:
        click.echo("tables:     not compared, the journal itself does not hold")
        return
    compared = ", ".join(f"{rows} {name}" for name, rows in tables.compared.items())
    if tables.ok:
        click.echo(f"tables:     equal a replay of the journal ({plural(tables.events, 'event')}): {compared}")
        return
    click.echo(f"tables:     {plural(tables.differing, 'difference')} from a replay of the journal, in {compared}")
    for one in tables.differences[:SHOWN]:
        what = f"{one.table} {one.key} {one.column}".strip()
        click.echo(
            clean(f"            {what}: by replay {one.replayed or 'nothing'}, stored {one.stored or 'nothing'}")
        )
    if tables.differing > SHOWN:
        click.echo(f"            and {tables.differing - SHOWN} more (--json shows more)")


@contextmanager
def _progress(what: str, quiet: bool) -> Iterator[Callable[[int, int], None]]:
    """A bar on standard error while a person waits; nothing where nobody does."""
    screen = Console(stderr=True)
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=screen, transient=True, disable=quiet or not screen.is_terminal) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
