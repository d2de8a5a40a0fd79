"""Fills net of busts and corrections, from the ledger's rows. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from oms.ledger.records import Fill

ZERO = Decimal(0)
Key = tuple[str, str]  # broker, ExecID(17) of the broker


@dataclass(slots=True)
class NetFill:
    """One execution as it stands, by its first ExecID(17) on either side; quantity zero once it is busted."""

    broker: str
    exec_id: str
    client_exec_id: str
    order_id: str
    child_id: str
    qty: Decimal
    px: Decimal
    amended: str = ""  # correct or bust, whichever came last


def net_fills(rows: Iterable[Fill]) -> tuple[dict[Key, NetFill], list[tuple[str, str]]]:
    """Executions by broker and first ExecID(17), and (ids, text) of what is wrong.

    `rows` are in the order of the journal.
    """
    made: dict[Key, NetFill] = {}
    latest: dict[Key, NetFill] = {}  # by every ExecID(17) that spoke of the execution
    wrong: list[tuple[str, str]] = []
    for row in rows:
        key, about = (row.broker, row.exec_id), f"{row.broker} ExecID(17) {row.exec_id}"
        if key in latest:
            wrong.append((about, "in the ledger twice"))
        elif row.kind == "trade":
            made[key] = latest[key] = NetFill(
                row.broker,
                row.exec_id,
                row.client_exec_id,
                row.order_id or "",
                row.child_id or "",
                row.last_qty,
                row.last_px,
            )
        elif (fill := latest.get((row.broker, row.exec_ref_id))) is None:
            wrong.append((about, f"{row.kind} of ExecRefID(19) {row.exec_ref_id}, which is not in the ledger"))
        else:
            fill.amended = row.kind
            fill.qty = row.last_qty if row.kind == "correct" else ZERO
            fill.px = row.last_px if row.kind == "correct" else fill.px
            latest[key] = fill
    return made, wrong
