"""What people ask the ledger is answered whole and in order."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest
from sqlalchemy import Engine

from oms.ledger import queries, records, schema
from oms.ledger.database import engine
from oms.ledger.queries import FillFilter, OrderFilter
from oms.ledger.statistics import (
    BROKER_TO_CLIENT,
    CLIENT_TO_BROKER,
    COMMITTED_TO_SENT,
    RECEIVED_TO_COMMITTED,
    Refusals,
    latencies,
    refusals,
)
from tests.ledger.filled_ledger import DAY, Day, at, fix, order

pytestmark = pytest.mark.postgres


@pytest.mark.parametrize(
    ("record", "table"),
    [
        (records.ClientOrder, "client_orders"),
        (records.ChildOrder, "child_orders"),
        (records.Request, "requests"),
        (records.Fill, "fills"),
        (records.SessionPosition, "session_positions"),
        (records.ExceptionItem, "exception_items"),
        (records.Send, "sends"),
    ],
)
def test_a_record_has_the_columns_of_its_table(record: type[Any], table: str) -> None:
    columns = [column.name for column in schema.metadata.tables[table].columns]
    assert [field.name for field in fields(record)] == columns


def test_a_journal_entry_has_the_columns_of_the_journal_and_what_became_of_it() -> None:
    columns = [column.name for column in schema.journal.columns]
    assert [field.name for field in fields(records.JournalEntry)] == [*columns, "committed_at", "send"]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (OrderFilter(), ["O3", "O2", "O1"]),
        (OrderFilter(client="CLIENT1"), ["O2", "O1"]),
        (OrderFilter(account="FUND2"), ["O3"]),
        (OrderFilter(symbol="AAPL", statuses=("2", "6")), ["O1"]),
        (OrderFilter(broker="BROKER1"), ["O1"]),
        (OrderFilter(live=True), ["O3"]),
        (OrderFilter(since=at(100)), ["O3", "O2"]),
        (OrderFilter(trade_date=DAY, client="CLIENT2"), ["O3"]),
        (OrderFilter(trade_date=DAY.replace(day=1)), []),
        (OrderFilter(symbol="A%"), []),
    ],
)
def test_orders_are_listed_newest_first_as_far_as_they_match(
    filled: Engine, wanted: OrderFilter, found: list[str]
) -> None:
    assert [order.order_id for order in queries.list_orders(filled, wanted, 50)] == found


def test_no_more_orders_are_listed_than_asked_for(filled: Engine) -> None:
    assert [order.order_id for order in queries.list_orders(filled, OrderFilter(), 2)] == ["O3", "O2"]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (FillFilter(), ["E12", "E6"]),
        (FillFilter(client="CLIENT1", symbol="AAPL"), ["E12", "E6"]),
        (FillFilter(client="CLIENT2"), []),
        (FillFilter(order_id="O1", since=at(60)), ["E12"]),
        (FillFilter(broker="BROKER1", account="FUND1", trade_date=DAY), ["E12", "E6"]),
        (FillFilter(broker="BROKER2"), []),
    ],
)
def test_fills_are_listed_newest_first_as_far_as_they_match(
    filled: Engine, wanted: FillFilter, found: list[str]
) -> None:
    assert [fill.client_exec_id for fill in queries.list_fills(filled, wanted, 50)] == found


def test_exception_items_are_listed_open_ones_by_default(filled: Engine) -> None:
    assert [item.item_id for item in queries.list_exceptions(filled, limit=9)] == ["X1"]
    assert [item.item_id for item in queries.list_exceptions(filled, state=None, limit=9)] == ["X2", "X1"]
    assert [item.item_id for item in queries.list_exceptions(filled, state="resolved", limit=9)] == ["X2"]
    assert queries.list_exceptions(filled, order_id="O1", limit=9) == []


def test_sessions_are_listed_with_what_they_did_today_and_what_waits_for_them(filled: Engine) -> None:
    found = [
        (one.position.session, one.orders_today, one.live_orders, one.fills_today, one.waiting)
        for one in queries.list_sessions(filled, DAY)
    ]
    assert found == [
        ("CLIENT1", 2, 0, 2, 0),
        ("CLIENT2", 1, 1, 0, 0),
        ("BROKER1", 1, 0, 2, 0),
        ("BROKER2", 1, 1, 0, 1),
    ]


@pytest.mark.parametrize(
    ("identifier", "found"),
    [
        ("O1", [("O1", ("OrderID(37)",))]),
        ("b1", [("O2", ("ClOrdID(11) of the client",))]),
        ("a1", [("O3", ("ClOrdID(11) of the client",)), ("O1", ("ClOrdID(11) of the client",))]),
        (
            "a2",
            [
                ("O3", ("ClOrdID(11) of a cancel or replace of the client",)),
                ("O1", ("ClOrdID(11) of a cancel or replace of the client",)),
            ],
        ),
        ("C1", [("O1", ("ClOrdID(11) to the broker",))]),
        ("C7", [("O1", ("ClOrdID(11) of a cancel or replace to the broker",))]),
        ("b77", [("O1", ("OrderID(37) of the broker",))]),
        ("E6", [("O1", ("ExecID(17) to the client",))]),
        ("x1", [("O1", ("ExecID(17) of the broker",))]),
        ("", []),
        ("O", []),
        ("a%", []),
        ("' OR 1=1 --", []),
    ],
)
def test_an_order_is_found_by_every_identifier_it_has(
    filled: Engine, identifier: str, found: list[tuple[str, tuple[str, ...]]]
) -> None:
    assert [(one.order.order_id, one.matched) for one in queries.find_order(filled, identifier)] == found


def test_messages_that_became_no_order_are_found_by_their_cl_ord_id(filled: Engine) -> None:
    found = [(entry.seq, entry.raw) for entry in queries.find_messages(filled, "b2", 9)]
    assert found == [
        (15, fix("35=D|34=5|11=b2|38=zero|")),
        (16, fix("35=8|37=NONE|11=b2|150=8|39=8|103=99|")),
    ]
    assert [entry.seq for entry in queries.find_messages(filled, "b2", 1)] == [16]
    assert queries.find_messages(filled, "b", 9) == []


def test_the_story_of_an_order_has_every_row_of_it_in_order(filled: Engine) -> None:
    story = queries.order_story(filled, "O1")
    assert story is not None
    assert [(e.seq, e.kind, e.session, e.msg_type, e.cause) for e in story.entries] == [
        (1, "in", "CLIENT1", "D", None),
        (2, "out", "BROKER1", "D", 1),
        (3, "in", "BROKER1", "8", None),
        (4, "out", "CLIENT1", "8", 3),
        (5, "in", "BROKER1", "8", None),
        (6, "out", "CLIENT1", "8", 5),
        (7, "in", "CLIENT1", "F", None),
        (8, "out", "BROKER1", "F", 7),
        (9, "in", "BROKER1", "9", None),
        (10, "out", "CLIENT1", "9", 9),
        (11, "in", "BROKER1", "8", None),
        (12, "out", "CLIENT1", "8", 11),
    ]
    out = story.entries[1]
    assert (out.committed_at, out.send) == (at(2), records.Send(2, "BROKER1", "sent", 7, at(3), None))
    assert [child.child_id for child in story.children] == ["C1"]
    assert [(request.cl_ord_id, request.state) for request in story.requests] == [("a2", "rejected")]
    assert [fill.client_exec_id for fill in story.fills] == ["E6", "E12"]
    assert (story.items, story.order.order_id) == ((), "O1")


def test_the_story_has_the_row_that_caused_another_although_it_is_no_message_of_the_order(filled: Engine) -> None:
    story = queries.order_story(filled, "O3")
    assert story is not None
    assert [(entry.seq, entry.kind, entry.msg_type) for entry in story.entries] == [
        (17, "session", "logon"),
        (18, "in", "D"),
        (19, "out", "D"),
        (20, "in", "F"),
        (21, "out", "F"),
    ]
    assert story.entries[-1].send is None
    assert [item.item_id for item in story.items] == ["X1", "X2"]


def test_there_is_no_story_of_an_order_that_is_not_there(filled: Engine) -> None:
    assert queries.order_story(filled, "O9") is None
    assert queries.get_order(filled, "O9") is None


def test_latencies_are_told_per_hop_and_session(filled: Engine) -> None:
    found = [(one.hop, one.session, one.count, one.p50, one.worst) for one in latencies(filled)]
    assert found == [
        (RECEIVED_TO_COMMITTED, "BROKER1", 4, 0.002, 0.002),
        (RECEIVED_TO_COMMITTED, "CLIENT1", 4, 0.001, 0.002),
        (RECEIVED_TO_COMMITTED, "CLIENT2", 2, 0.001, 0.001),
        (COMMITTED_TO_SENT, "BROKER1", 2, 0.0005, 0.001),
        (COMMITTED_TO_SENT, "BROKER2", 1, 0.001, 0.001),
        (COMMITTED_TO_SENT, "CLIENT1", 6, 0.0005, 0.0005),
        (CLIENT_TO_BROKER, "BROKER1", 1, 0.003, 0.003),
        (CLIENT_TO_BROKER, "BROKER2", 1, 0.002, 0.002),
        (BROKER_TO_CLIENT, "CLIENT1", 3, 0.0025, 0.0025),
    ]


def test_only_the_newest_rows_are_read_for_latencies(filled: Engine) -> None:
    found = [(one.hop, one.session, one.count) for one in latencies(filled, rows=4)]
    assert found == [
        (RECEIVED_TO_COMMITTED, "CLIENT2", 2),
        (COMMITTED_TO_SENT, "BROKER2", 1),
        (CLIENT_TO_BROKER, "BROKER2", 1),
    ]


def test_refusals_are_counted_by_who_refused_and_why(filled: Engine) -> None:
    assert refusals(filled) == [
        Refusals("BROKER1", "broker", "OrderCancelReject(9): no reason given", 1),
        Refusals("CLIENT1", "gateway", "OrderQty(38): zero is not a quantity", 1),
        Refusals("CLIENT1", "rule", "max_order_qty", 1),
    ]


def test_refusals_that_name_the_request_count_as_one_reason(postgres_url: str) -> None:
    detail = '{"refused": "ClOrdID(11) %s was used already on this trading day"}'
    made = engine(postgres_url)
    with made.begin() as connection:
        for seq, name in enumerate(("a", "b"), 1):
            connection.exec_driver_sql(
                "INSERT INTO journal (seq, batch, kind, session, msg_type, received_at, trade_date, raw, detail) "
                "VALUES (%s, 1, 'in', 'CLIENT1', 'D', now(), now(), '', %s)",
                (seq, detail % name),
            )
    assert refusals(made) == [
        Refusals("CLIENT1", "gateway", "ClOrdID(11) ... was used already on this trading day", 2)
    ]
    made.dispose()


def test_a_cancel_that_a_broker_refused_is_counted_under_its_words(postgres_url: str) -> None:
    made = engine(postgres_url)
    with made.begin() as connection:
        day = Day(connection)
        day.row("in", "BROKER1", "9", "35=9|11=C7|58=bad \\ é|102=0|", at(0), detail={"note": "x"})
        day.row("in", "BROKER1", "9", "35=9|11=C7|58=again|", at(0), detail={"duplicate": True})
        day.commit(at(1))
    assert [(one.session, one.by, one.count) for one in refusals(made)] == [("BROKER1", "broker", 1)]
    assert refusals(made)[0].reason.startswith("OrderCancelReject(9): bad ")
    made.dispose()


def test_a_refusal_by_a_broker_is_counted_under_its_words(postgres_url: str) -> None:
    made = engine(postgres_url)
    with made.begin() as connection:
        day = Day(connection)
        day.row(
            "in", "BROKER1", "8", "", at(0), order_id="O1", detail={"transition": ["routed", "reject", "rejected"]}
        )
        day.commit(at(1))
        day.add("client_orders", order("O1", life="rejected", reason="no short selling"))
    assert refusals(made) == [Refusals("BROKER1", "broker", "no short selling", 1)]
    made.dispose()
