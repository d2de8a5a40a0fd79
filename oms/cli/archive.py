"""`oms archive`: days of the journal into files, and back for questions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, datetime
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from oms.cli.output import (
    NOT_VERIFIED,
    clean,
    config_option,
    console,
    day_and_time,
    emit_json,
    json_option,
    plural,
    table,
)
from oms.config.load import Config, load
from oms.ledger.archive import Done, Plan, archive_day, plan
from oms.ledger.archive_file import DamagedFile, check_file
from oms.ledger.archive_restore import against_ledger, compare_fills, restore
from oms.ledger.database import connect, engine, open_database, owner_url, require_schema
from oms.ledger.moment import Archived, archived_days
from oms.ledger.remedies import database_errors

DIRECTORY = "archive"  # in the state directory
file_argument = click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
FILE_COLUMNS = ("trade date", "rows>", "kept>", "MB>", "archived (UTC)", "by", "where~", "")


@click.group(
    "archive",
    invoke_without_command=True,
    short_help="Days of the journal into files, and back.",
    epilog="Example: oms archive --before 2026-10-01 --to /backup/oms",
)
@click.option("--before", type=click.DateTime(["%Y-%m-%d"]), help="Every trade date before this one goes.")
@click.option(
    "--to",
    "directory",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where the files go; default: archive in the state directory.",
)
@click.option("--dry-run", is_flag=True, help="Only say which days would go.")
@config_option
@json_option
@click.pass_context
def archive(
    context: click.Context, before: datetime | None, directory: Path | None, dry_run: bool, path: Path, as_json: bool
) -> None:
    """Put days of the journal and of the sends into files, one per trade date, and take them out of the ledger.

    A file is written, read back and proven before its rows are dropped. Orders, fills and the hash chain stay, and
    of the journal what live orders and open exception items need. The gateway may run.
    """
    if context.invoked_subcommand is not None:
        return
    if before is None:
        raise click.UsageError("name a date by --before, or a command: list, verify, restore")
    config = load(path)
    with _ledger(config) as url, database_errors(url):
        with connect(url, autocommit=True) as connection:
            found = plan(connection, before.date())
        place = directory or config.gateway.state_dir / DIRECTORY
        done = [] if dry_run else list(_archive(url, found, place, as_json))
    if as_json:
        emit_json(
            {
                "archived": [one._asdict() | {"file": str(one.file)} for one in done],
                "would_go": [one._asdict() for one in found.days] if dry_run else [],
                "stays": [{"day": day, "why": why} for day, why in found.stays],
            }
        )
        return
    _tell(found, done, before.date(), dry_run)


def _archive(url: str, found: Plan, place: Path, quiet: bool) -> Iterator[Done]:
    for day in found.days:
        with _spinner(str(day.day), quiet) as told:
            yield archive_day(url, day, place, told)


def _tell(found: Plan, done: list[Done], before: date, dry_run: bool) -> None:
    for one in done:
        kept = f"; {plural(one.kept, 'row')} of live orders, open items and starts stay" if one.kept else ""
        click.echo(f"{one.day}  {plural(one.rows, 'journal row')}, {one.size / 1e6:,.1f} MB in {one.file}{kept}")
    if dry_run:
        for day in found.days:
            click.echo(f"{day.day}  would go: {plural(day.rows, 'journal row')}")
    for day_there, why in found.stays:
        click.echo(f"{day_there}  stays: {why}")
    if not found.days and not found.stays:
        click.echo(f"No trade date before {before} is in the ledger.")


@archive.command("list", epilog="Example: oms archive list --config desk/oms.toml")
@config_option
@json_option
def list_(path: Path, as_json: bool) -> None:
    """Which days are in files, where, and which were restored."""
    config = load(path)
    with _ledger(config) as url, database_errors(url), connect(url) as connection:
        found = archived_days(connection)
    if as_json:
        emit_json([_as_json(one) for one in found])
        return
    if not found:
        click.echo("No day is archived. oms archive --before DATE archives.")
        return
    rows = [
        (
            str(one.day),
            f"{one.rows:,}",
            f"{one.kept_rows:,}",
            f"{one.size / 1e6:,.1f}",
            day_and_time(one.archived_at)[:16],
            one.archived_by,
            one.file if Path(one.file).exists() else f"{one.file} (not there now)",
            "" if one.is_away else f"restored {day_and_time(one.restored_at)[:16]} by {one.restored_by}",
        )
        for one in found
    ]
    console().print(table("Archived trade dates", FILE_COLUMNS, rows))


def _as_json(one: Archived) -> dict[str, Any]:
    return {name: value.hex() if isinstance(value, bytes) else value for name, value in one._asdict().items()}


@archive.command("verify", epilog="Example: oms archive verify /backup/oms/journal-2026-09-30.zip")
@file_argument
@click.option("--alone", is_flag=True, help="Prove the file by itself, without a ledger.")
@config_option
@json_option
@click.pass_context
def verify(context: click.Context, file: Path, alone: bool, path: Path, as_json: bool) -> None:
    """Prove a file: its counts, its SHA-256 sums, its hash chain; and that it is this ledger's, with the same fills.

    Exit code 0 if all of it holds, 1 if anything differs.
    """
    try:
        with _spinner("reading", as_json) as told:
            report = check_file(file, _summed(told))
    except DamagedFile as error:
        emit_json({"ok": False, "problems": [str(error)]}) if as_json else click.echo(f"oms: {error}", err=True)
        context.exit(NOT_VERIFIED)
    problems = [report.problem] if report.problem else []
    if not alone and not problems:
        config = load(path)
        with _ledger(config) as url, database_errors(url), connect(url, autocommit=True) as connection:
            if said := against_ledger(connection, report):
                problems.append(said)
            problems += compare_fills(connection, file)
    manifest = report.manifest
    if as_json:
        emit_json({"ok": not problems, "problems": problems, "sha256": report.sha256.hex(), "manifest": manifest})
    else:
        click.echo(f"file     {file}, {report.size / 1e6:,.1f} MB, SHA-256 {report.sha256.hex()}")
        rows = ", ".join(f"{facts['rows']:,} {name}" for name, facts in manifest.tables.items())
        click.echo(f"holds    {manifest.day}: {rows}")
        chain = f"batches {manifest.first_batch} to {manifest.last_batch}, rows {manifest.first_seq} to"
        click.echo(f"chain    {chain} {manifest.last_seq}, from {manifest.prev_hash[:16]}... to {manifest.last_hash}")
        where = "by itself" if alone else "by itself and against the ledger"
        click.echo(f"verdict  holds, {where}" if not problems else "verdict  DOES NOT HOLD")
        for problem in problems:
            click.echo(clean(f"         {problem}"))
    if problems:
        context.exit(NOT_VERIFIED)


@archive.command("restore", epilog="Example: oms archive restore /backup/oms/journal-2026-09-30.zip")
@file_argument
@config_option
@json_option
def restore_(file: Path, path: Path, as_json: bool) -> None:
    """Bring the day of a file back into the ledger for questions, after proving it. It is marked as restored.

    It goes again with the next oms archive.
    """
    config = load(path)
    with _ledger(config) as url, database_errors(url), _spinner("reading", as_json) as told:
        found = restore(url, file, _summed(told))
    if as_json:
        emit_json(_as_json(found))
    else:
        click.echo(
            f"{found.day} is back: {plural(found.rows, 'journal row')}. oms verify --from {found.day} proves it."
        )


@contextmanager
def _ledger(config: Config) -> Iterator[str]:
    """The URL of the tables' owner. Raises OperatorError where there is no ledger of this program's schema."""
    with open_database(config, create=False) as url:
        made = engine(url, read_only=True)
        with database_errors(url):
            require_schema(made)
        made.dispose()
        yield owner_url(config, url)


@contextmanager
def _spinner(what: str, quiet: bool) -> Iterator[Callable[[str, int, int], None]]:
    """What is done and how much, on standard error while a person waits."""
    screen = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=screen, transient=True, disable=quiet or not screen.is_terminal) as bar:
        task = bar.add_task(what)
        yield lambda step, done, _: bar.update(task, description=f"{what}: {step} {done / 1e6:,.0f} MB")


def _summed(told: Callable[[str, int, int], None]) -> Callable[[int], None]:
    done = 0

    def tell(size: int) -> None:
        nonlocal done
        done += size
        told("", done, 0)

    return tell
