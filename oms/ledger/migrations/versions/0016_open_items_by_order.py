"""Open exception items of an order are found without reading all: whenever an order comes back into memory."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    op.create_index(
        "exception_items_open_order",
        "exception_items",
        ["order_id"],
        unique=False,
        postgresql_where=sa.text("state = 'open'"),
    )
