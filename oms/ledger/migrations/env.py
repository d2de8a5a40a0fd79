"""Alembic's entry: runs the migrations on the connection that `oms.ledger.database.migrate` hands over."""

from __future__ import annotations

from alembic import context

from oms.ledger.schema import metadata

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=metadata, transaction_per_migration=False)
with context.begin_transaction():
    context.run_migrations()
