"""The last logon of a session is found without reading the journal: a new machine takes its numbers from it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.create_index(
        "journal_session", "journal", ["session", "seq"], unique=False, postgresql_where=sa.text("kind = 'session'")
    )
