"""`oms db rebuild`: the tables of orders made anew from the journal, beside those in use."""

from __future__ import annotations

from pathlib import Path

import click

from oms.cli.output import NOT_VERIFIED, clean, config_option, emit_json, json_option, plural
from oms.cli.verify import replay_progress
from oms.config.load import load
from oms.ledger.database import engine, open_database, owner_url, require_schema
from oms.ledger.rebuild_tables import BESIDE, Rebuilt, rebuild
from oms.ledger.remedies import database_errors

SHOWN = 20


@click.command("rebuild", epilog="Example: oms db rebuild --config desk/oms.toml")
@click.option("--adopt", is_flag=True, help="Take the new tables into use; no gateway may run.")
@config_option
@json_option
@click.pass_context
def rebuild_(context: click.Context, adopt: bool, path: Path, as_json: bool) -> None:
    """Replay the journal into new tables of orders, children and requests, and compare them with those in use.

    They stay in the schema rebuilt for looking at. Exit code 1 if anything differs and was not adopted.
    """
    config = load(path)
    with open_database(config, create=False) as url, database_errors(url):
        made = engine(url, read_only=True)
        require_schema(made)
        made.dispose()
        with replay_progress(as_json) as progress:
            found = rebuild(owner_url(config, url), progress, adopt=adopt)
    if as_json:
        emit_json(found._asdict() | {"differences": [one._asdict() for one in found.differences]})
    else:
        _tell(found)
    if found.differing and not adopt:
        context.exit(NOT_VERIFIED)


def _tell(found: Rebuilt) -> None:
    made = ", ".join(f"{rows:,} {name}" for name, rows in found.rows.items())
    where = "in use" if found.adopted else f"in the schema {BESIDE}; --adopt takes them into use"
    click.echo(f"Made anew from the journal up to row {found.last_seq}: {made}; {where}.")
    if not found.differing:
        click.echo("They are equal to those that were in use.")
        return
    click.echo(f"{plural(found.differing, 'difference')} from those that were in use:")
    for one in found.differences[:SHOWN]:
        what = f"{one.table} {one.key} {one.column}".strip()
        click.echo(clean(f"  {what}: made {one.replayed or 'nothing'}, was {one.stored or 'nothing'}"))
