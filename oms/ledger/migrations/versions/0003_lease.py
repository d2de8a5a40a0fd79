"""One writer: the lease on the ledger, and under which lease each batch was written."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "leases",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("token", sa.BigInteger(), nullable=False),
        sa.Column("run", sa.Text(), nullable=False),
        sa.Column("holder", sa.Text(), nullable=False),
        sa.Column("seconds", sa.Integer(), nullable=False),
        sa.Column("renewed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("released", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
        # A key, so that whoever changes the token waits for every commit that has looked at it, and they for him.
        sa.UniqueConstraint("name", "token"),
    )
    op.execute("ALTER TABLE leases SET (fillfactor = 20)")
    op.execute(
        "INSERT INTO leases (name, token, run, holder, seconds, renewed_at, expires_at, released)"
        " VALUES ('gateway', 0, '', '', 0, now(), now(), true)"
    )
    op.add_column("batches", sa.Column("lease", sa.BigInteger(), server_default="0", nullable=False))
