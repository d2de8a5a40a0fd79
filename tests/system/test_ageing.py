"""A broker that goes quiet through real sessions: raised, asked, closed by its answer, and replayed alike."""

from __future__ import annotations

from collections.abc import Callable

from oms.ledger.database import engine as ledger_engine
from oms.ledger.replay import verify_tables
from tests.system.house import House
from tests.system.words import cancel, new_order, report

SOON = {"status_requests = true": "status_requests = true\nacknowledge_seconds = 1\nanswer_seconds = 1"}


def test_an_order_and_a_cancel_without_an_answer_are_raised_and_asked_for_until_the_broker_speaks(
    make_house: Callable[..., House],
) -> None:
    house = make_house(dialect=SOON)
    house.start()
    client, broker = house.up("CLIENT1", "BROKER1")
    client.send(new_order("A1"))
    asked = broker.expect("D")
    question = broker.expect("H")
    assert question[11] == asked[11]
    assert [item[0] for item in house.items()] == ["unacknowledged"]
    broker.send(report(broker, asked, "0", "N1"))
    client.expect("8", ClOrdID="A1", ExecType="0")

    client.send(cancel("K1", "A1"))
    request = broker.expect("F")
    broker.expect("H")
    broker.send(report(broker, request, "4", "C1", leaves=0))
    client.expect("8", ClOrdID="K1", ExecType="4")
    found = house.until("SELECT kind, state, resolution FROM exception_items WHERE state = 'resolved' ORDER BY seq")
    assert [tuple(row.values()) for row in found] == [
        ("unacknowledged", "resolved", "the broker has answered"),
        ("unanswered", "resolved", "the broker has answered"),
    ]
    house.stop()
    made = ledger_engine(house.url, read_only=True)
    try:
        assert verify_tables(made).differences == []
    finally:
        made.dispose()
