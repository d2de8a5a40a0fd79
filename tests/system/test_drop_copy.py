"""A broker's drop copy through real sessions: fills confirmed, breaks raised and closed, nothing else moved."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from oms.ledger import witnesses
from oms.ledger.database import engine as ledger_engine
from oms.ledger.replay import verify_tables
from oms.sim.peer import FixPeer
from oms.sim.wire import Message
from tests.system.commands import answer, said
from tests.system.house import House
from tests.system.nursery import Nursery
from tests.system.words import new_order, report

COPIES = {"COPY1": "OmsRole=drop_copy\nOmsDropCopyOf=BROKER1\n"}
SOON = {"status_requests = true": "status_requests = true\ndrop_copy_seconds = 1"}
ROUTE = '[[routes]]\nname = "default"\nbroker = "BROKER1"\n'


def working(client: FixPeer, broker: FixPeer, cl_ord_id: str) -> Message:
    """An order of 100 that the broker has acknowledged."""
    client.send(new_order(cl_ord_id))
    asked = broker.expect("D")
    broker.send(report(broker, asked, "0", f"N-{cl_ord_id}"))
    client.expect("8", ClOrdID=cl_ord_id, ExecType="0")
    return asked


def fill(peer: FixPeer, asked: Message, exec_id: str, cum: int, price: str = "150") -> None:
    """An execution of 10, on the order session or on the drop copy."""
    peer.send(report(peer, asked, "F", exec_id, cum=cum, last=(10, price), avg="150"))


def open_items(house: House) -> list[tuple[str, str, str]]:
    """Kind, session and the ExecID(17) of the message that is the evidence."""
    found = house.rows(
        "SELECT item.kind, item.session, substring(convert_from(raw, 'LATIN1') from '\x0117=([^\x01]*)') AS exec_id"
        " FROM exception_items AS item JOIN journal USING (seq) WHERE state = 'open' ORDER BY opened_at, item_id"
    )
    return [(row["kind"], row["session"], row["exec_id"]) for row in found]


def check_replay(house: House) -> None:
    """The ledger is what the journal adds up to, witnesses included."""
    made = ledger_engine(house.url, read_only=True)
    try:
        found = verify_tables(made)
    finally:
        made.dispose()
    assert found.differences == []
    assert found.compared["witnesses"] == len(house.rows("SELECT FROM witnesses"))


def test_fills_are_confirmed_and_breaks_raised_and_closed_by_the_other_witness_over_a_crash(
    make_house: Callable[..., House], nursery: Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = make_house(brokers={"BROKER1": "4.2", "COPY1": "4.4"}, session_keys=COPIES, dialect=SOON, routes=ROUTE)
    house.fork(nursery)
    client, broker, copy = house.up("CLIENT1", "BROKER1", "COPY1")
    asked = working(client, broker, "A1")
    copy.send(report(copy, asked, "0", "N-A1"))
    fill(broker, asked, "f1", 10)
    fill(copy, asked, "f1", 10)
    fill(broker, asked, "f3", 20)  # its copy comes late
    fill(copy, asked, "f2", 30, "150.5")  # another price, and before the fill
    fill(broker, asked, "f2", 30)
    fill(copy, asked, "f4", 40)  # the order session brings it late
    house.until("SELECT FROM exception_items WHERE kind = 'missing_here'")
    house.until("SELECT FROM exception_items WHERE kind = 'missing_there'")
    assert sorted(open_items(house)) == [
        ("drop_copy_mismatch", "COPY1", "f2"),
        ("missing_here", "COPY1", "f4"),
        ("missing_there", "BROKER1", "f3"),
    ]

    fill(broker, asked, "f5", 50)  # not raised yet
    house.until("SELECT FROM fills WHERE exec_id = 'f5'")
    assert house.process is not None
    house.process.kill()
    monkeypatch.setattr(witnesses, "LOOK_BACK", 1)  # so that f3 is not in memory any more, but f4 and f5 are
    house.start()
    house.up("CLIENT1", "BROKER1", "COPY1")
    fill(copy, asked, "f3", 20)
    fill(broker, asked, "f4", 40)
    fill(copy, asked, "f1", 10)  # told again
    house.until("SELECT FROM journal WHERE detail ->> 'duplicate' = 'true'")
    found = house.rows(
        "SELECT kind, state, resolution FROM exception_items WHERE state = 'resolved'"
        " AND starts_with(kind, 'missing') ORDER BY kind"
    )
    assert [tuple(row.values()) for row in found] == [
        ("missing_here", "resolved", "the order session has told it"),
        ("missing_there", "resolved", "the drop copy has told it"),
    ]
    house.until("SELECT FROM exception_items WHERE kind = 'missing_there' AND state = 'open'")
    assert open_items(house) == [("drop_copy_mismatch", "COPY1", "f2"), ("missing_there", "BROKER1", "f5")]
    assert [client.expect("8", ExecType="F")[14] for _ in range(5)] == ["10", "20", "30", "40", "50"]
    client.expect_nothing("8")
    assert copy.untaken == []  # nothing was answered

    fills = answer(house, "fills list")
    assert {one["exec_id"]: [(by["witness"], by["agrees"]) for by in one["witnesses"]] for one in fills} == {
        "f1": [("order session", True), ("drop copy", True)],
        "f2": [("order session", True), ("drop copy", False)],
        "f3": [("order session", True), ("drop copy", True)],
        "f4": [("order session", True), ("drop copy", True)],
        "f5": [("order session", True)],
    }
    code, text = said(house, "orders explain A1")
    assert code == 0
    assert "order session, drop copy tells 10 at 150.5" in text
    assert "drop_copy: agrees" in text
    house.stop()
    check_replay(house)


def test_a_drop_copy_may_connect_to_us_and_nothing_that_it_says_is_an_order(make_house: Callable[..., House]) -> None:
    house = make_house(clients={"CLIENT1": "4.4", "COPY1": "5.0SP2"}, brokers={"BROKER1": "4.4"}, session_keys=COPIES)
    house.start()
    client, broker, copy = house.up("CLIENT1", "BROKER1", "COPY1")
    asked = working(client, broker, "A1")
    copy.send(new_order("A2"))  # what the broker got, say
    fill(copy, asked, "f1", 10)
    fill(broker, asked, "f1", 10)
    client.expect("8", ExecType="F")
    row = house.until("SELECT broker, exec_id, witness, kind, quantity, price, symbol FROM witnesses")[0]
    assert tuple(str(value) for value in row.values()) == (
        "BROKER1",
        "f1",
        "drop copy",
        "trade",
        "10",
        "150",
        "AAPL",
    )
    broker.expect_nothing("D")
    assert copy.untaken == []
    assert house.items() == []
    assert [row["role"] for row in house.rows("SELECT role FROM session_positions ORDER BY session")] == [
        "broker",
        "client",
        "drop_copy",
    ]
    house.stop()
    check_replay(house)
