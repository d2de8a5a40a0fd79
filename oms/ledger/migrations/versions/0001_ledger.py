"""The ledger: journal and hash chain, orders, fills, requests, sessions, exception items."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

# Tables whose rows are updated over and over: room on the page keeps the new row version beside the old one, out
# of the indexes, and vacuum comes long before a fifth of the table is dead.
UPDATED_OFTEN = {"client_orders": 70, "child_orders": 70, "requests": 80, "session_positions": 20}


def upgrade() -> None:
    for create in (
        _create_batches,
        _create_child_orders,
        _create_client_orders,
        _create_exception_items,
        _create_fills,
        _create_journal,
        _create_requests,
        _create_sends,
        _create_session_positions,
    ):
        create()
    for table, fillfactor in UPDATED_OFTEN.items():
        op.execute(
            f"ALTER TABLE {table} SET (fillfactor = {fillfactor}, autovacuum_vacuum_scale_factor = 0.02, "
            "autovacuum_vacuum_threshold = 2000, autovacuum_analyze_scale_factor = 0.05)"
        )


def _create_batches() -> None:
    op.create_table(
        "batches",
        sa.Column("batch", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("first_seq", sa.BigInteger(), nullable=False),
        sa.Column("last_seq", sa.BigInteger(), nullable=False),
        sa.Column("prev_hash", sa.LargeBinary(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("committed_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("batch"),
    )


def _create_child_orders() -> None:
    op.create_table(
        "child_orders",
        sa.Column("child_id", sa.Text(), nullable=False),
        sa.Column("order_id", sa.Text(), nullable=False),
        sa.Column("broker", sa.Text(), nullable=False),
        sa.Column("cl_ord_id", sa.Text(), nullable=False),
        sa.Column("broker_order_id", sa.Text(), nullable=False),
        sa.Column("route_rule", sa.Text(), nullable=False),
        sa.Column("order_qty", sa.Numeric(), nullable=False),
        sa.Column("price", sa.Numeric(), nullable=True),
        sa.Column("stop_px", sa.Numeric(), nullable=True),
        sa.Column("cum_qty", sa.Numeric(), nullable=False),
        sa.Column("life", sa.Text(), nullable=False),
        sa.Column("finished", sa.Boolean(), nullable=False),
        sa.Column("sent_seq", sa.BigInteger(), nullable=False),
        sa.Column("last_seq", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("child_id"),
    )
    op.create_index("child_orders_order_id", "child_orders", ["order_id"], unique=False)


def _create_client_orders() -> None:
    op.create_table(
        "client_orders",
        sa.Column("order_id", sa.Text(), nullable=False),
        sa.Column("client", sa.Text(), nullable=False),
        sa.Column("cl_ord_id", sa.Text(), nullable=False),
        sa.Column("original_cl_ord_id", sa.Text(), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("trader", sa.Text(), nullable=False),
        sa.Column("symbol", sa.Text(), nullable=False),
        sa.Column("security_exchange", sa.Text(), nullable=False),
        sa.Column("side", sa.Text(), nullable=False),
        sa.Column("ord_type", sa.Text(), nullable=False),
        sa.Column("time_in_force", sa.Text(), nullable=False),
        sa.Column("ex_destination", sa.Text(), nullable=False),
        sa.Column("original_order_qty", sa.Numeric(), nullable=False),
        sa.Column("original_price", sa.Numeric(), nullable=True),
        sa.Column("original_stop_px", sa.Numeric(), nullable=True),
        sa.Column("order_qty", sa.Numeric(), nullable=False),
        sa.Column("price", sa.Numeric(), nullable=True),
        sa.Column("stop_px", sa.Numeric(), nullable=True),
        sa.Column("cum_qty", sa.Numeric(), nullable=False),
        sa.Column("leaves_qty", sa.Numeric(), nullable=False),
        sa.Column("avg_px", sa.Numeric(), nullable=False),
        sa.Column("notional", sa.Numeric(), nullable=False),
        sa.Column("life", sa.Text(), nullable=False),
        sa.Column("ord_status", sa.Text(), nullable=False),
        sa.Column("finished", sa.Boolean(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("trade_date", sa.Date(), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("new_seq", sa.BigInteger(), nullable=False),
        sa.Column("last_seq", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("order_id"),
    )
    op.create_index(
        "client_orders_cl_ord_id", "client_orders", ["client", "trade_date", "original_cl_ord_id"], unique=True
    )
    op.create_index(
        "client_orders_live", "client_orders", ["order_id"], unique=False, postgresql_where=sa.text("NOT finished")
    )


def _create_exception_items() -> None:
    op.create_table(
        "exception_items",
        sa.Column("item_id", sa.Text(), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("severity", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("session", sa.Text(), nullable=False),
        sa.Column("order_id", sa.Text(), nullable=True),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("resolution", sa.Text(), nullable=True),
        sa.Column("resolved_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("item_id"),
    )
    op.create_index(
        "exception_items_open",
        "exception_items",
        ["opened_at"],
        unique=False,
        postgresql_where=sa.text("state = 'open'"),
    )


def _create_fills() -> None:
    op.create_table(
        "fills",
        sa.Column("client_exec_id", sa.Text(), nullable=False),
        sa.Column("broker", sa.Text(), nullable=False),
        sa.Column("trade_date", sa.Date(), nullable=False),
        sa.Column("exec_id", sa.Text(), nullable=False),
        sa.Column("exec_ref_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("order_id", sa.Text(), nullable=True),
        sa.Column("child_id", sa.Text(), nullable=True),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("symbol", sa.Text(), nullable=False),
        sa.Column("side", sa.Text(), nullable=False),
        sa.Column("last_qty", sa.Numeric(), nullable=False),
        sa.Column("last_px", sa.Numeric(), nullable=False),
        sa.Column("transact_time", sa.DateTime(timezone=True), nullable=True),
        sa.Column("sending_time", sa.DateTime(timezone=True), nullable=True),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("client_exec_id"),
    )
    op.create_index("fills_exec_id", "fills", ["broker", "trade_date", "exec_id"], unique=True)
    op.create_index("fills_order_id", "fills", ["order_id"], unique=False)


def _create_journal() -> None:
    op.create_table(
        "journal",
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("batch", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("session", sa.Text(), nullable=False),
        sa.Column("msg_type", sa.Text(), nullable=False),
        sa.Column("msg_seq_num", sa.BigInteger(), nullable=True),
        sa.Column("order_id", sa.Text(), nullable=True),
        sa.Column("cause", sa.BigInteger(), nullable=True),
        sa.Column("sending_time", sa.DateTime(timezone=True), nullable=True),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("trade_date", sa.Date(), nullable=False),
        sa.Column("raw", sa.LargeBinary(), nullable=False),
        sa.Column("detail", sa.JSON(), nullable=True),
        sa.PrimaryKeyConstraint("seq"),
    )
    op.create_index(
        "journal_order_id", "journal", ["order_id"], unique=False, postgresql_where=sa.text("order_id IS NOT NULL")
    )
    op.create_index(
        "journal_out", "journal", ["session", "seq"], unique=False, postgresql_where=sa.text("kind = 'out'")
    )


def _create_requests() -> None:
    op.create_table(
        "requests",
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("client", sa.Text(), nullable=False),
        sa.Column("trade_date", sa.Date(), nullable=False),
        sa.Column("cl_ord_id", sa.Text(), nullable=False),
        sa.Column("orig_cl_ord_id", sa.Text(), nullable=False),
        sa.Column("order_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("broker_cl_ord_id", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("order_qty", sa.Numeric(), nullable=True),
        sa.Column("price", sa.Numeric(), nullable=True),
        sa.Column("stop_px", sa.Numeric(), nullable=True),
        sa.PrimaryKeyConstraint("seq"),
    )
    op.create_index("requests_broker_cl_ord_id", "requests", ["broker_cl_ord_id"], unique=False)
    op.create_index("requests_cl_ord_id", "requests", ["client", "trade_date", "cl_ord_id"], unique=True)
    op.create_index("requests_order_id", "requests", ["order_id"], unique=False)


def _create_sends() -> None:
    op.create_table(
        "sends",
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("session", sa.Text(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("msg_seq_num", sa.BigInteger(), nullable=True),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("seq"),
    )


def _create_session_positions() -> None:
    op.create_table(
        "session_positions",
        sa.Column("session", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("in_msg_seq_num", sa.BigInteger(), nullable=False),
        sa.Column("out_seq", sa.BigInteger(), nullable=False),
        sa.Column("out_msg_seq_num", sa.BigInteger(), nullable=False),
        sa.Column("logged_on", sa.Boolean(), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("session"),
    )
