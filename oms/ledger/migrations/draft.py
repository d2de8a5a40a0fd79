"""For developers: prints the Alembic operations that a change of `schema.py` needs.

    python -m oms.ledger.migrations.draft            from the newest migration to schema.py
    python -m oms.ledger.migrations.draft --all      from an empty database

Works on a database of its own in a temporary directory. The draft is read and put into the next file of
`versions` by a person; storage parameters, rights and triggers are never part of it.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import click
from alembic.autogenerate import compare_metadata, produce_migrations, render_python_code
from alembic.migration import MigrationContext
from sqlalchemy import Connection, Engine

from oms.ledger.database import engine, migrate
from oms.ledger.embedded import EmbeddedPostgres
from oms.ledger.partitions import is_partition
from oms.ledger.schema import metadata


def difference(made: Engine) -> list[object]:
    """What schema.py has that the database has not, or has otherwise, in Alembic's words."""
    with made.connect() as connection:
        return list(compare_metadata(_context(connection), metadata))


def _context(connection: Connection) -> MigrationContext:
    options: dict[str, Any] = {"compare_type": True, "compare_server_default": True, "include_name": _of_schema}
    return MigrationContext.configure(connection, opts=options)


def _of_schema(name: str | None, kind: str, _: object) -> bool:
    return kind != "table" or not is_partition(name or "")


@click.command()
@click.option("--all", "everything", is_flag=True, help="From an empty database.")
def draft(everything: bool) -> None:
    """Print the operations that lead to schema.py."""
    with (
        tempfile.TemporaryDirectory() as directory,
        EmbeddedPostgres(Path(directory) / "postgres") as server,
    ):
        url = server.url("postgres")
        if not everything:
            migrate(url)
        made = engine(url)
        with made.connect() as connection:
            context = _context(connection)
            operations = produce_migrations(context, metadata).upgrade_ops
            assert operations is not None
            click.echo(render_python_code(operations, migration_context=context))
        made.dispose()


if __name__ == "__main__":
    draft()
