"""The ledger carries the environment it is used in, test or live; one in use takes that of its last start."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.create_table(
        "ledger_environment",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("environment", sa.Text(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("marked_by", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.execute(
        "INSERT INTO ledger_environment (name, environment, since, marked_by)"
        " SELECT 'ledger', detail ->> 'environment', received_at, coalesce(detail ->> 'name', '') FROM journal"
        " WHERE kind = 'config' AND msg_type = 'Start' AND detail ->> 'environment' IN ('test', 'live')"
        " ORDER BY seq DESC LIMIT 1"
    )
