"""A small trading day written straight into the ledger's tables, hash chain included, for tests that read it.

Order O1 of CLIENT1: bought 100 AAPL at BROKER1, filled 60, a cancel refused, filled 40 (`FIRST`).
Order O2 of CLIENT1: refused by a limit. Order O3 of CLIENT2: working at BROKER2, a cancel sent, an exception item.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, insert

from oms.ledger import schema
from oms.ledger.chain import GENESIS, JournalRow, batch_hash
from oms.ledger.database import engine

DAY = date(2026, 3, 2)
START = datetime(2026, 3, 2, 13, 0, 0, tzinfo=UTC)


def at(milliseconds: float) -> datetime:
    """A moment of the day, in milliseconds after its start."""
    return START + timedelta(microseconds=round(milliseconds * 1000))


def fix(text: str) -> bytes:
    """A message as it is on the wire, written with | for SOH."""
    return text.replace("|", "\x01").encode()


class Day:
    """Writes rows; a batch is what was added since the last commit."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.rows: list[JournalRow] = []
        self.hash, self.batch, self.seq = GENESIS, 0, 0

    def row(self, kind: str, session: str, msg_type: str, raw: str, when: datetime, **more: Any) -> int:
        """A journal row of the batch in hand; returns its number."""
        self.seq += 1
        detail = more.get("detail")
        sending = more.get("sending_time")
        row = JournalRow(
            self.seq,
            kind,
            session,
            msg_type,
            more.get("msg_seq_num"),
            more.get("order_id"),
            more.get("cause"),
            sending,
            when,
            DAY,
            fix(raw),
            None if detail is None else json.dumps(detail, separators=(",", ":")),
        )
        self.rows.append(row)
        return self.seq

    def commit(self, when: datetime) -> None:
        """Write the batch in hand."""
        self.batch += 1
        digest = batch_hash(self.hash, self.batch, when, self.rows)
        first = self.rows[0].seq if self.rows else self.seq + 1
        for row in self.rows:  # not through SQLAlchemy, which would write the JSON text anew
            names = ", ".join(("batch", *row._fields))
            values = ", ".join(["%s"] * (len(row) + 1))
            self.connection.exec_driver_sql(f"INSERT INTO journal ({names}) VALUES ({values})", (self.batch, *row))
        self.add(
            "batches",
            {
                "batch": self.batch,
                "first_seq": first,
                "last_seq": self.seq,
                "prev_hash": self.hash,
                "hash": digest,
                "committed_at": when,
            },
        )
        self.hash, self.rows = digest, []

    def sent(self, seq: int, session: str, when: datetime, msg_seq_num: int | None, **more: Any) -> None:
        self.add(
            "sends",
            {
                "seq": seq,
                "session": session,
                "outcome": more.get("outcome", "sent"),
                "msg_seq_num": msg_seq_num,
                "sent_at": when,
                "reason": more.get("reason"),
            },
        )

    def add(self, table: str, *rows: dict[str, Any]) -> None:
        self.connection.execute(insert(schema.metadata.tables[table]), list(rows))


def order(order_id: str, **values: Any) -> dict[str, Any]:
    """A row of client_orders, with what is not given as for a new order of 100 AAPL."""
    row = {
        "order_id": order_id,
        "client": "CLIENT1",
        "cl_ord_id": order_id.lower(),
        "original_cl_ord_id": order_id.lower(),
        "account": "FUND1",
        "trader": "jane",
        "symbol": "AAPL",
        "security_exchange": "XNAS",
        "side": "1",
        "ord_type": "2",
        "time_in_force": "0",
        "ex_destination": "",
        "original_order_qty": 100,
        "original_price": Decimal("150.25"),
        "original_stop_px": None,
        "order_qty": 100,
        "price": Decimal("150.25"),
        "stop_px": None,
        "cum_qty": 0,
        "leaves_qty": 100,
        "avg_px": 0,
        "notional": 0,
        "life": "working",
        "ord_status": "0",
        "finished": False,
        "reason": None,
        "trade_date": DAY,
        "received_at": START,
        "new_seq": 1,
        "last_seq": 1,
    }
    assert set(values) <= set(row)
    return row | values


def child(child_id: str, order_id: str, **values: Any) -> dict[str, Any]:
    """A row of child_orders."""
    row = {
        "child_id": child_id,
        "order_id": order_id,
        "broker": "BROKER1",
        "cl_ord_id": child_id,
        "broker_order_id": "",
        "route_rule": "us-stocks",
        "order_qty": 100,
        "price": Decimal("150.25"),
        "stop_px": None,
        "cum_qty": 0,
        "life": "working",
        "finished": False,
        "sent_seq": 2,
        "last_seq": 2,
    }
    assert set(values) <= set(row)
    return row | values


def fill(client_exec_id: str, order_id: str | None, **values: Any) -> dict[str, Any]:
    """A row of fills."""
    row = {
        "client_exec_id": client_exec_id,
        "broker": "BROKER1",
        "trade_date": DAY,
        "exec_id": f"b{client_exec_id}",
        "exec_ref_id": "",
        "kind": "trade",
        "order_id": order_id,
        "child_id": None,
        "account": "FUND1",
        "symbol": "AAPL",
        "side": "1",
        "last_qty": 60,
        "last_px": Decimal("150.20"),
        "transact_time": START,
        "sending_time": START,
        "received_at": START,
        "seq": 1,
    }
    assert set(values) <= set(row)
    return row | values


def position(session: str, role: str, **values: Any) -> dict[str, Any]:
    """A row of session_positions."""
    row = {
        "session": session,
        "role": role,
        "epoch": 0,
        "in_msg_seq_num": 0,
        "out_seq": 0,
        "out_msg_seq_num": 0,
        "logged_on": True,
        "changed_at": START,
    }
    assert set(values) <= set(row)
    return row | values


def trade_a_day(url: str) -> None:
    """Writes the whole day."""
    made = engine(url)
    with made.begin() as connection:
        day = Day(connection)
        _filled_order(day)
        _refused_order(day)
        _working_order(day)
        _sessions(day)
    made.dispose()


CHECKS = [
    ["trading_on", True, "trading is on"],
    ["max_order_qty", True, "OrderQty(38) 100 within 10000 (default)"],
]


def _filled_order(day: Day) -> None:
    terms = "55=AAPL|54=1|38=100|40=2|44=150.25|"
    raw = f"8=FIX.4.4|9=100|35=D|34=2|49=C1|52=20260302-12:59:59.990|56=OMS|11=a1|{terms}10=1|"
    d_in = day.row(
        "in", "CLIENT1", "D", raw, at(0), msg_seq_num=2, order_id="O1", sending_time=at(-10),
        detail={
            "verdict": {"ok": True, "broker": "BROKER1", "route_rule": "us-stocks"},
            "checks": CHECKS,
            "route": {"rule": "us-stocks", "broker": "BROKER1", "tried": [["BROKER2", "session logged out"]]},
        },
    )  # fmt: skip
    d_out = day.row("out", "BROKER1", "D", f"35=D|11=C1|{terms}", at(0.5), order_id="O1", cause=d_in)
    day.commit(at(2))
    day.sent(d_out, "BROKER1", at(3), 7)
    steps: Iterable[tuple[float, str, str, list[str]]] = (
        (20, "8", "0", ["routed", "accept", "working"]),
        (30, "8", "F1", ["working", "trade", "working"]),
    )
    for when, _, what, transition in steps:
        _report(day, when, what, transition)
    _refused_cancel(day)
    _report(day, 60, "F2", ["working", "trade", "working"])
    day.add(
        "client_orders",
        order(
            "O1",
            cl_ord_id="a1",
            original_cl_ord_id="a1",
            cum_qty=100,
            leaves_qty=0,
            avg_px=Decimal("150.22"),
            notional=Decimal("15022.00"),
            ord_status="2",
            finished=True,
            last_seq=11,
        ),
    )
    day.add(
        "child_orders",
        child("C1", "O1", broker_order_id="b77", cum_qty=100, finished=True, last_seq=11),
    )
    for number, seq, quantity, price in ((1, 5, 60, "150.20"), (2, 11, 40, "150.25")):
        values = {"child_id": "C1", "seq": seq, "last_qty": quantity, "last_px": Decimal(price)}
        day.add("fills", fill(f"E{seq + 1}", "O1", exec_id=f"x{number}", received_at=at(30 * number), **values))


def _report(day: Day, when: float, what: str, transition: list[str]) -> None:
    """A report of the broker, and the one it makes for the client."""
    exec_type = what[0]
    raw = f"8=FIX.4.4|35=8|34={when:.0f}|37=b77|11=C1|17=x{what[1:]}|150={exec_type}|39=1|"
    came = day.row(
        "in", "BROKER1", "8", raw, at(when), msg_seq_num=int(when), order_id="O1", sending_time=at(when - 1),
        detail={"transition": transition},
    )  # fmt: skip
    went = day.row(
        "out", "CLIENT1", "8", f"35=8|37=O1|11=a1|17=E{came + 1}|150={exec_type}|39=1|58=ok|", at(when + 0.1),
        order_id="O1", cause=came,
    )  # fmt: skip
    day.commit(at(when + 2))
    day.sent(went, "CLIENT1", at(when + 2.5), int(when) + 100)


def _refused_cancel(day: Day) -> None:
    asked = day.row(
        "in", "CLIENT1", "F", "35=F|34=3|11=a2|41=a1|", at(40), msg_seq_num=3, order_id="O1",
        detail={"broker_up": True},
    )  # fmt: skip
    day.row("out", "BROKER1", "F", f"35=F|11=C{asked}|41=C1|", at(40.1), order_id="O1", cause=asked)
    day.commit(at(40.5))
    day.sent(day.seq, "BROKER1", at(41), 8)
    came = day.row(
        "in", "BROKER1", "9", "35=9|34=50|11=C7|41=C1|102=0|", at(50), msg_seq_num=50, order_id="O1", detail={}
    )
    day.row("out", "CLIENT1", "9", "35=9|37=O1|11=a2|41=a1|102=0|", at(50.1), order_id="O1", cause=came)
    day.commit(at(52))
    day.sent(day.seq, "CLIENT1", at(52.4), 150)
    day.add(
        "requests",
        {
            "seq": asked, "client": "CLIENT1", "trade_date": DAY, "cl_ord_id": "a2", "orig_cl_ord_id": "a1",
            "order_id": "O1", "kind": "F", "broker_cl_ord_id": f"C{asked}", "state": "rejected",
            "order_qty": None, "price": None, "stop_px": None,
        },
    )  # fmt: skip


def _refused_order(day: Day) -> None:
    text = "max_order_qty: OrderQty(38) 99999 exceeds 10000 (default)"
    asked = day.row(
        "in", "CLIENT1", "D", "35=D|34=4|11=b1|55=AAPL|38=99999|", at(100), msg_seq_num=4, order_id="O2",
        detail={
            "verdict": {"ok": False, "rule": "max_order_qty", "text": text, "ord_rej_reason": "3"},
            "checks": [*CHECKS[:1], ["max_order_qty", False, text.partition(": ")[2]]],
        },
    )  # fmt: skip
    day.row("out", "CLIENT1", "8", "35=8|37=O2|11=b1|150=8|39=8|103=3|", at(100.2), order_id="O2", cause=asked)
    day.commit(at(101))
    day.sent(day.seq, "CLIENT1", at(101.5), 151)
    refused = {"life": "rejected", "ord_status": "8", "finished": True, "leaves_qty": 0, "reason": text}
    terms = {"order_qty": 99999, "original_order_qty": 99999, "cl_ord_id": "b1", "original_cl_ord_id": "b1"}
    day.add("client_orders", order("O2", received_at=at(100), new_seq=asked, last_seq=asked, **refused, **terms))
    wrong = day.row(
        "in", "CLIENT1", "D", "35=D|34=5|11=b2|38=zero|", at(110), msg_seq_num=5,
        detail={"refused": "OrderQty(38): zero is not a quantity"},
    )  # fmt: skip
    day.row("out", "CLIENT1", "8", "35=8|37=NONE|11=b2|150=8|39=8|103=99|", at(110.2), cause=wrong)
    day.commit(at(111))
    day.sent(day.seq, "CLIENT1", at(111.5), 152)


def _working_order(day: Day) -> None:
    up = day.row("session", "BROKER2", "logon", "", at(150), detail={"note": "logged on"})
    asked = day.row(
        "in", "CLIENT2", "D", "35=D|34=2|11=a1|1=FUND2|55=VOD|54=2|38=500|40=1|", at(200), msg_seq_num=2,
        order_id="O3", detail={"verdict": {"ok": True, "broker": "BROKER2", "route_rule": "uk-stocks"}},
    )  # fmt: skip
    out = day.row(
        "out", "BROKER2", "D", "35=D|11=C18|55=VOD|54=2|38=500|40=1|", at(200.2), order_id="O3", cause=asked
    )
    day.commit(at(201))
    day.sent(out, "BROKER2", at(202), 2)
    cancel = day.row("in", "CLIENT2", "F", "35=F|11=a2|41=a1|", at(210), msg_seq_num=3, order_id="O3")
    day.row("out", "BROKER2", "F", f"35=F|11=C{cancel}|41=C18|", at(210.2), order_id="O3", cause=up)
    day.commit(at(211))
    day.add(
        "client_orders",
        order(
            "O3", client="CLIENT2", cl_ord_id="a1", original_cl_ord_id="a1", account="FUND2", symbol="VOD",
            side="2", ord_type="1", price=None, original_price=None, order_qty=500, original_order_qty=500,
            leaves_qty=500, ord_status="6", received_at=at(200), new_seq=asked, last_seq=cancel,
        ),
    )  # fmt: skip
    day.add("child_orders", child("C18", "O3", broker="BROKER2", order_qty=500, price=None, sent_seq=out))
    day.add(
        "requests",
        {
            "seq": cancel, "client": "CLIENT2", "trade_date": DAY, "cl_ord_id": "a2", "orig_cl_ord_id": "a1",
            "order_id": "O3", "kind": "F", "broker_cl_ord_id": f"C{cancel}", "state": "sent",
            "order_qty": None, "price": None, "stop_px": None,
        },
    )  # fmt: skip
    item = {
        "item_id": "X1", "opened_at": at(205), "kind": "quantity_mismatch", "severity": "warning",
        "owner": "operations", "session": "BROKER2", "order_id": "O3", "seq": out,
        "text": "broker's CumQty(14) 5, ledger's 0", "state": "open", "resolution": None, "resolved_at": None,
    }  # fmt: skip
    closed = item | {"item_id": "X2", "state": "resolved", "resolution": "agrees", "resolved_at": at(206)}
    day.add("exception_items", item, closed)


def _sessions(day: Day) -> None:
    day.add(
        "session_positions",
        position("BROKER1", "broker", in_msg_seq_num=60, out_seq=8, out_msg_seq_num=8),
        position("BROKER2", "broker", in_msg_seq_num=1, out_seq=day.seq - 2, out_msg_seq_num=2, logged_on=False),
        position("CLIENT1", "client", in_msg_seq_num=5, out_seq=16, out_msg_seq_num=152),
        position("CLIENT2", "client", in_msg_seq_num=3, epoch=1),
    )
    day.commit(at(300))
