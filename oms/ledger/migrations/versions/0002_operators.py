"""Operators' commands in the journal are found without reading it all."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_index(
        "journal_operators", "journal", ["seq"], unique=False, postgresql_where=sa.text("kind = 'operator'")
    )
