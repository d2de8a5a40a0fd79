"""What the ledger knows of a session's messages, asked before its sequence numbers are set."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from sqlalchemy import Engine, case, func, select

from oms.ledger import schema

journal, positions, sends = schema.journal, schema.session_positions, schema.sends
_ROWS_BACK = 1_000_000  # of the journal: older messages are not looked for


def came_in(engine: Engine, session: str, number: int, today: date) -> tuple[list[str], int]:
    """Raw messages of a session with a MsgSeqNum(34) from `number` on, the newest under each number, of late.

    Also how many of them are NewOrderSingle(D) of a trade date before `today`.
    """
    with engine.connect() as connection:
        last = connection.scalar(select(func.max(schema.batches.c.last_seq))) or 0
        query = (
            select(journal.c.msg_seq_num, journal.c.raw, journal.c.msg_type, journal.c.trade_date)
            .where(
                journal.c.session == session,
                journal.c.kind == "in",
                journal.c.seq > last - _ROWS_BACK,
                journal.c.msg_seq_num >= number,
            )
            .order_by(journal.c.seq)
        )
        newest = {row.msg_seq_num: row for row in connection.execute(query)}
    found = list(newest.values())
    old = sum(row.msg_type == "D" and row.trade_date < today for row in found)
    return [bytes(row.raw).decode("utf-8", "surrogateescape") for row in found], old


def alive_at(engine: Engine, broker: str) -> tuple[int, Decimal]:
    """How many orders are alive at a broker, and their LeavesQty(151) in all."""
    orders, children = schema.client_orders, schema.child_orders
    query = (
        select(func.count(), func.coalesce(func.sum(orders.c.leaves_qty), 0))
        .select_from(children.join(orders, orders.c.order_id == children.c.order_id))
        .where(children.c.broker == broker, ~children.c.finished, ~orders.c.finished)
    )
    with engine.connect() as connection:
        number, leaves = connection.execute(query).one()
    return int(number), Decimal(leaves)


def waiting_for(engine: Engine, session: str) -> int:
    """How many messages wait for a session."""
    after = select(func.max(case((positions.c.session == session, positions.c.out_seq), else_=0))).scalar_subquery()
    left = select(sends.c.seq).where(sends.c.seq == journal.c.seq).exists()
    query = (
        select(func.count())
        .select_from(journal)
        .where(journal.c.session == session, journal.c.kind == "out", journal.c.seq > func.coalesce(after, 0), ~left)
    )
    with engine.connect() as connection:
        return int(connection.scalar(query) or 0)
