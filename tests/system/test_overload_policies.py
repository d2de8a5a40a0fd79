"""Three clients with a rate, one per policy, at one gateway: refused, delayed, logged out; cancels go on (I10)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from oms.sim.peer import FixPeer
from oms.sim.wire import Message
from tests.system.commands import replays
from tests.system.house import House
from tests.system.test_session_control import commands
from tests.system.words import cancel, new_order, replace, report, status

OVER = "more than 1 messages in a second"
BEHIND = f"{OVER}; not delayed any longer because a cancel or a logout came behind it"
KEYS = {
    "REJECT": "OmsMaxRate=1\n",
    "DELAY": "OmsMaxRate=1\nOmsOverRate=delay\nOmsMaxDelayed=20\n",
    "LEAVE": "OmsMaxRate=1\nOmsOverRate=disconnect\nOmsDisconnectAfter=3\nOmsLogonAfterSeconds=1\n",
}


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, shared_url: str) -> Iterator[House]:
    """The gateway of this module; at its end its journal replays to the same tables (I7)."""
    made = House(
        tmp_path_factory.mktemp("rates"), shared_url,
        clients={"REJECT": "4.4", "DELAY": "4.4", "LEAVE": "4.2"}, brokers={"BROKER1": "4.4"}, session_keys=KEYS,
    )  # fmt: skip
    try:
        made.peer("BROKER1")
        made.start()
        made.up(*KEYS, "BROKER1")
        yield made
        replays(made)
    finally:
        made.close()


def resting(client: FixPeer, broker: FixPeer, cl_ord_id: str) -> Message:
    """Report that the broker has an order, and wait until its client is told; the broker's request."""
    asked = broker.expect("D", Text=cl_ord_id)
    broker.send(report(broker, asked, "0", f"N-{cl_ord_id}"))
    client.expect("8", ClOrdID=cl_ord_id, OrdStatus="0")
    return asked


def order(cl_ord_id: str) -> str:
    return new_order(cl_ord_id, more=f"58={cl_ord_id}")


def marks(house: House, session: str) -> dict[str, Any]:
    """What the journal says of a session's messages that its rate delayed or refused, by ClOrdID(11)."""
    rows = house.rows(
        "SELECT convert_from(raw, 'UTF8') AS raw, detail -> 'throttle' AS mark FROM journal"
        " WHERE kind = 'in' AND session = %s AND detail -> 'throttle' IS NOT NULL ORDER BY seq",
        session,
    )
    return {row["raw"].partition("\x0111=")[2].partition("\x01")[0]: row["mark"] for row in rows}


def test_over_its_rate_a_client_is_refused_each_message_in_its_own_words_but_no_cancel(house: House) -> None:
    client, broker = house.peers["REJECT"], house.peers["BROKER1"]
    for text in (order("R1"), order("R2"), replace("R3", "R1", 200), status("R1"), cancel("R4", "R1")):
        client.send(text)
    refused = client.expect("8", ClOrdID="R2")
    said = f"throttle: {OVER}"
    assert [refused.get(tag) for tag in (37, 150, 39, 103, 151, 58)] == ["NONE", "8", "8", "0", "0", said]
    refused = client.expect("9", ClOrdID="R3")
    assert [refused.get(tag) for tag in (41, 434, 102, 58)] == ["R1", "2", "2", said]
    refused = client.expect("j")
    assert [refused.get(tag) for tag in (372, 379, 380, 58)] == ["H", "R1", "0", said]
    assert broker.expect("D")[58] == "R1"
    asked = broker.expect("F")
    broker.send(report(broker, asked, "4", "X-R4", leaves=0))
    client.expect("8", ClOrdID="R4", OrdStatus="4")
    assert marks(house, "REJECT") == {one: {"refused": OVER} for one in ("R2", "R3", "R1")}


def test_over_its_rate_a_client_waits_for_its_turn_and_no_other_client_does(house: House) -> None:
    client, broker = house.peers["DELAY"], house.peers["BROKER1"]
    client.send(order("W1"))
    client.send(order("W2"))
    resting(client, broker, "W1")
    house.peers["LEAVE"].send(order("L0"))
    resting(house.peers["LEAVE"], broker, "L0")
    resting(client, broker, "W2")
    (name, mark), = marks(house, "DELAY").items()  # fmt: skip
    assert (name, list(mark), 500 < mark["delayed_ms"] < 15_000) == ("W2", ["delayed_ms"], True)


def test_a_cancel_is_reached_at_once_although_orders_of_its_session_wait_before_it(house: House) -> None:
    client, broker = house.peers["DELAY"], house.peers["BROKER1"]
    client.send(order("C1"))  # waits a second for its turn
    asked = resting(client, broker, "C1")
    for number in range(2, 12):
        client.send(order(f"C{number}"))
    client.send(cancel("C12", "C1"))
    answer = broker.expect("F", OrigClOrdID=asked[11])
    broker.send(report(broker, answer, "4", "X-C12", leaves=0))
    client.expect("8", ClOrdID="C12", OrdStatus="4")
    assert client.expect("8", ClOrdID="C11")[58] == f"throttle: {BEHIND}"
    found = {name: mark.get("refused") for name, mark in marks(house, "DELAY").items()}
    assert [found[f"C{number}"] for number in range(7, 12)] == [BEHIND] * 5  # the ten would have taken ten seconds
    assert "C12" not in found


def test_a_client_that_goes_on_is_logged_out_with_a_reason_and_may_come_back_after_its_time(house: House) -> None:
    client, broker = house.peers["LEAVE"], house.peers["BROKER1"]
    logons = client._logons
    for number in range(1, 9):
        client.send(order(f"L{number}"))
    client.wait_logged_out()
    assert client.expect("5")[58] == f"throttle: {OVER}; log on again in 1 s"
    client.wait_logged_on(logons=logons + 1)
    text = f"throttle: {OVER}; log on again in 1 s"
    assert commands(house) == [
        ("sessions.logout", "oms", "LEAVE", text),
        ("sessions.logon", "oms", "LEAVE", "throttle: its time is over"),
    ]
    logout = house.rows(
        "SELECT kind, severity, text FROM exception_items WHERE session = 'LEAVE' AND kind = 'client_over_rate'"
    )
    assert logout == [
        {
            "kind": "client_over_rate",
            "severity": "warning",
            "text": "LEAVE had 3 messages refused within a second, over its 1 a second: it is logged out for 1 s",
        }
    ]
    client.send(order("L9"))
    resting(client, broker, "L9")
