"""A fill tells whether its broker reported it or people entered it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0005"


def upgrade() -> None:
    op.add_column("fills", sa.Column("origin", sa.Text(), server_default="broker", nullable=False))
