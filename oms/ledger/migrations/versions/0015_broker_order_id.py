"""Orders are found by the broker's OrderID(37) without reading all of them: by late news, and `oms orders show`."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    op.create_index(
        "child_orders_broker_order_id",
        "child_orders",
        ["broker_order_id"],
        unique=False,
        postgresql_where=sa.text("broker_order_id <> ''"),
    )
