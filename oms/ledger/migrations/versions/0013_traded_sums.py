"""What has traded is summed up to a journal row, so that a start adds only what came after it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0010"

KEY = ("day", "client", "account", "trader", "symbol", "side", "ord_type", "broker")


def upgrade() -> None:
    op.create_table(
        "traded_sums",
        sa.Column("day", sa.Date(), nullable=False),
        *[sa.Column(name, sa.Text(), nullable=False) for name in KEY[1:]],
        sa.Column("filled", sa.Numeric(), nullable=False),
        sa.Column("money", sa.Numeric(), nullable=False),
        sa.Column("fills", sa.BigInteger(), nullable=False),
        sa.Column("orders", sa.BigInteger(), nullable=False),
        sa.Column("replaces", sa.BigInteger(), nullable=False),
        sa.Column("cancels", sa.BigInteger(), nullable=False),
        sa.Column("last_trade", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint(*KEY),
    )
    op.create_table(
        "traded_until",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("last_seq", sa.BigInteger(), nullable=False),
        sa.Column("rollover_seconds", sa.Integer(), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_index("fills_amended", "fills", ["child_id"], postgresql_where=sa.text("kind <> 'trade'"))
