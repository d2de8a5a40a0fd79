"""Journal and sends in partitions by day, what was archived, and the version of the projections.

An existing ledger is copied row by row into partitions, and the rows are counted before the old tables go: that needs
as much room on the disk as journal and sends take, and some minutes per ten million rows.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"

# Table -> its key, and the day of a row. A unique key of a partitioned table has to have the partition's column.
PARTITIONED = {
    "journal": ("seq, trade_date", "trade_date", "trade_date"),
    "sends": ("seq, sent_at", "sent_at", "(sent_at AT TIME ZONE 'UTC')::date"),
}


def upgrade() -> None:
    for table, (key, column, day) in PARTITIONED.items():
        _partition(table, key, column, day)
    op.create_table(
        "archives",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("first_batch", sa.BigInteger(), nullable=False),
        sa.Column("last_batch", sa.BigInteger(), nullable=False),
        sa.Column("first_seq", sa.BigInteger(), nullable=False),
        sa.Column("last_seq", sa.BigInteger(), nullable=False),
        sa.Column("prev_hash", sa.LargeBinary(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.Column("file", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.LargeBinary(), nullable=False),
        sa.Column("kept_rows", sa.BigInteger(), nullable=False),
        sa.Column("kept_hash", sa.LargeBinary(), nullable=False),
        sa.Column("archived_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("archived_by", sa.Text(), nullable=False),
        sa.Column("restored_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("restored_by", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("day"),
    )
    op.create_table(
        "projection_versions",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_seq", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.execute(
        "INSERT INTO projection_versions (name, version, made_at, last_seq)"
        " SELECT 'orders', 1, now(), coalesce(max(seq), 0) FROM journal"
    )


def _partition(table: str, key: str, column: str, day: str) -> None:
    """Make the table anew in partitions, with the indexes that it had, and move its rows."""
    bind = op.get_bind()
    old = f"{table}_before_0008"
    indexes = bind.execute(
        sa.text(
            "SELECT pg_get_indexdef(indexrelid) FROM pg_index"
            " WHERE indrelid = CAST(:name AS regclass) AND NOT indisprimary ORDER BY indexrelid::regclass::text"
        ),
        {"name": table},
    ).scalars()
    definitions = list(indexes)
    before = bind.scalar(sa.text(f"SELECT count(*) FROM {table}"))
    days = bind.execute(sa.text(f"SELECT DISTINCT {day} FROM {table} ORDER BY 1")).scalars().all()
    op.execute(f"ALTER TABLE {table} RENAME TO {old}")
    op.execute(f"CREATE TABLE {table} (LIKE {old} INCLUDING DEFAULTS) PARTITION BY RANGE ({column})")
    op.execute(f"CREATE TABLE {table}_default PARTITION OF {table} DEFAULT")
    for one in days:
        start, end = f"{one:%Y-%m-%d}", f"DATE '{one:%Y-%m-%d}' + 1"
        op.execute(f"CREATE TABLE {table}_{one:%Y%m%d} PARTITION OF {table} FOR VALUES FROM ('{start}') TO ({end})")
    op.execute(f"INSERT INTO {table} SELECT * FROM {old}")
    after = bind.scalar(sa.text(f"SELECT count(*) FROM {table}"))
    if after != before:
        raise RuntimeError(f"{table}: {after} of {before} rows were moved; nothing was changed")
    op.execute(f"DROP TABLE {old}")
    op.execute(f"ALTER TABLE {table} ADD CONSTRAINT {table}_pkey PRIMARY KEY ({key})")
    for definition in definitions:
        op.execute(definition)
    op.execute(f"ANALYZE {table}")
