"""`oms db`: bring the ledger's database to this program's schema, and show its state."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from oms.cli.output import clean, config_option, emit_json, json_option
from oms.cli.rebuild import rebuild_
from oms.config.load import load
from oms.ledger.database import (
    SCHEMA_VERSION,
    database_errors,
    database_status,
    migrate_configured,
    open_database,
)
from oms.ledger.lease import lease_status

NOT_CURRENT = 1


@click.group(short_help="Migrate the ledger's database and show its state.")
def db() -> None:
    """The ledger's database."""


@db.command("migrate", epilog="Example: oms db migrate --config desk/oms.toml")
@config_option
@json_option
def migrate(path: Path, as_json: bool) -> None:
    """Bring the database to this program's schema; does nothing where it has it.

    Also makes the role oms_gateway, its rights, and the triggers that keep the journal append-only. Where the
    gateway connects as another user than the tables' owner, name the owner in [database] owner_url.
    """
    config = load(path)
    with open_database(config) as url:
        before = migrate_configured(config, url)
    if as_json:
        emit_json({"ok": True, "before": before, "now": SCHEMA_VERSION})
    elif before == SCHEMA_VERSION:
        click.echo(f"The ledger has schema {SCHEMA_VERSION} already; rights and triggers are in place.")
    else:
        click.echo(f"The ledger went from schema {before or 'none'} to {SCHEMA_VERSION}.")


db.add_command(rebuild_)


@db.command("status", epilog="Example: oms db status")
@config_option
@json_option
@click.pass_context
def status(context: click.Context, path: Path, as_json: bool) -> None:
    """Show server, schema, size and rows. Exit code 1 unless the schema is this program's."""
    config = load(path)
    with open_database(config, create=False) as url, database_errors(url):
        found = database_status(url) | {"lease": lease_status(url)}
    current = found["schema"] == SCHEMA_VERSION
    if as_json:
        emit_json({"ok": current, "embedded": config.database.url is None, "needs": SCHEMA_VERSION, **found})
    else:
        kind = "embedded Postgres" if config.database.url is None else "Postgres of [database] url"
        needs = "" if current else f" (this program needs {SCHEMA_VERSION}: oms db migrate)"
        lines = [
            ("database", f"{kind}, {found['database']}, PostgreSQL {found['postgres']}"),
            ("schema", f"{found['schema'] or 'none'}{needs}"),
            ("gateway", "is running" if found["gateway_running"] else "is not running"),
            *_lease_lines(found["lease"]),
            ("size", found["size"]),
            *[(name, f"about {rows:,} rows" if rows else "no rows") for name, rows in found["rows"].items()],
        ]
        for name, text in lines:
            click.echo(f"{name:<18} {clean(text)}")
    if not current:
        context.exit(NOT_CURRENT)


def _lease_lines(lease: dict[str, Any] | None) -> list[tuple[str, str]]:
    """Who may write, and who would follow."""
    if lease is None or not lease["token"]:
        return [("lease", "no gateway has had it yet")]
    renewed = f"{lease['renewed_at']:%Y-%m-%d %H:%M:%S}"
    return [
        ("lease", f"{lease['token']}, {lease['state']} by {lease['holder']}, renewed {renewed}"),
        ("standby", ", ".join(lease["standbys"]) or "none waits"),
    ]
