"""Clients and brokers that are not QuickFIX trade through the gateway: orders, cancels, lost lines, lost messages.

Two engines: fixcore-engine, whole and validating with its own dictionaries; simplefix, with a session of the
least that the standard asks. Each is client and broker, in every version of the gateway.
"""

from __future__ import annotations

from decimal import Decimal

import pytest

from oms.sim.wire import Message
from tests.foreign.conftest import BROKER, CLIENT, Made, Town
from tests.foreign.peer import ForeignPeer
from tests.system.house import until
from tests.system.words import cancel, cancel_reject, new_order, replace, report, shape

MADE = [
    Made("fixcore", "4.4", "simplefix", "4.4"),
    Made("simplefix", "4.4", "fixcore", "4.4"),
    Made("fixcore", "4.2", "fixcore", "5.0SP2"),
    Made("fixcore", "5.0SP2", "fixcore", "4.2"),
    Made("simplefix", "5.0SP2", "simplefix", "4.2"),
]
PARTIES = "453=1|448=DESK-7|447=D|452=11"
between = pytest.mark.parametrize("town", MADE, indirect=True, ids=str)


def worked(town: Town, cl_ord_id: str, more: str = "") -> Message:
    """An order of 100 that the broker has accepted; returns what the broker was asked."""
    client, broker = town.client, town.broker
    client.send(new_order(cl_ord_id, more=f"58={cl_ord_id}|{more}"))
    asked = broker.expect("D", t58=cl_ord_id)
    broker.send(report(broker, asked, "0", f"N-{cl_ord_id}"))
    assert shape(client.expect("8", t11=cl_ord_id))[2:4] == ("0", "0")
    return asked


def fills_told(client: ForeignPeer, cl_ord_id: str) -> list[tuple[str, bool]]:
    """LastQty(32) of every report of a fill that the client was told, and whether it came as a duplicate."""
    kinds = ("F",) if client.version != "4.2" else ("1", "2")
    told = [one for one in client.received if one.type == "8" and one.get(11) == cl_ord_id]
    return [(one[32], one.get(43) == "Y") for one in told if one.get(150) in kinds]


def fills_kept(town: Town, cl_ord_id: str) -> list[Decimal]:
    """The quantities of an order's fills in the ledger, by the ClOrdID(11) that the order came with."""
    rows = town.house.rows(
        "SELECT last_qty FROM fills JOIN client_orders USING (order_id) WHERE original_cl_ord_id = %s ORDER BY seq",
        cl_ord_id,
    )
    return [row["last_qty"] for row in rows]


@between
def test_an_order_is_filled_replaced_and_cancelled(town: Town) -> None:
    client, broker = town.client, town.broker
    parties = PARTIES if "4.2" not in (client.version, broker.version) else ""
    asked = worked(town, "A1", parties)
    assert [asked[tag] for tag in (55, 38, 44)] == ["AAPL", "100", "150.00"]
    assert [asked.get(tag) for tag in (448, 447, 452)] == (["DESK-7", "D", "11"] if parties else [None] * 3)
    broker.send(report(broker, asked, "F", "F1", cum=40, last=(40, "149.5"), avg="149.5"))
    assert shape(client.expect("8", t11="A1", t39="1"))[4:] == ("40", "60", "40")

    client.send(replace("A2", "A1", 120))
    wanted = broker.expect("G")
    assert wanted[38] == "120"
    ord_status = "5" if broker.version == "4.2" else "1"
    broker.send(report(broker, wanted, "5", "R1", ord_status=ord_status, qty=120, cum=40))
    told = client.expect("8", t11="A2", t150="5")
    assert [told[tag] for tag in (41, 38, 151, 14)] == ["A1", "120", "80", "40"]

    client.send(cancel("A3", "A2", 120))
    broker.send(cancel_reject(broker.expect("F"), ord_status="1"))
    assert client.expect("9")[11] == "A3"
    client.send(cancel("A4", "A2", 120))
    broker.send(report(broker, broker.expect("F"), "4", "C1", qty=120, cum=40, leaves=0))
    told = client.expect("8", t11="A4", t39="4")
    assert [told[tag] for tag in (41, 14, 151)] == ["A2", "40", "0"]
    assert (client.rejects(), broker.rejects()) == ([], [])
    assert fills_kept(town, "A1") == [Decimal(40)]


@between
def test_both_lines_stay_up_on_heartbeats(town: Town) -> None:
    for peer in (town.client, town.broker):
        before = len(peer.received)
        for _ in range(2):
            peer.expect("0")
        assert [one.type for one in peer.received[before:] if one.type not in "01"] == []
    worked(town, "H1")


@between
def test_what_a_client_misses_comes_when_it_is_back(town: Town) -> None:
    client, broker = town.client, town.broker
    asked = worked(town, "M1")
    client.cut()
    town.house.until("SELECT FROM session_positions WHERE session = %s AND NOT logged_on", CLIENT)
    broker.send(report(broker, asked, "F", "F-M1", cum=40, last=(40, "150"), avg="150"))
    until(lambda: fills_kept(town, "M1"), "the fill in the ledger")
    client.connect()
    assert shape(client.expect("8", t11="M1", t39="1"))[4:] == ("40", "60", "40")
    broker.send(report(broker, asked, "F", "G-M1", cum=100, last=(60, "150"), avg="150"))
    first = client.expect("8", t11="M1", t39="2")

    client.cut()
    client.forget(int(client.received[-1][34]) - int(first[34]) + 2)  # the two fills, and what came after them
    client.connect()
    partly, again = client.expect("8", t11="M1", t39="1"), client.expect("8", t11="M1", t39="2")
    assert (partly[43], again[43], again[17], again[34]) == ("Y", "Y", first[17], first[34])
    assert fills_told(client, "M1") == [("40", False), ("60", False), ("40", True), ("60", True)]
    town.house.until_logged_on(CLIENT)
    worked(town, "M2")


@between
def test_a_report_that_was_lost_on_the_line_is_asked_for(town: Town) -> None:
    client, broker = town.client, town.broker
    asked = worked(town, "L1")
    broker.send(report(broker, asked, "F", "F-L1", cum=40, last=(40, "150"), avg="150"), lost=True)
    broker.send(report(broker, asked, "F", "G-L1", cum=100, last=(60, "150"), avg="150"))
    assert shape(client.expect("8", t11="L1", t39="1"))[4:] == ("40", "60", "40")
    assert shape(client.expect("8", t11="L1", t39="2"))[4:] == ("60", "0", "100")
    assert fills_told(client, "L1") == [("40", False), ("60", False)]
    assert fills_kept(town, "L1") == [Decimal(40), Decimal(60)]
    assert int(broker.expect("2")[7]) > 1


@between
def test_a_logout_is_answered_and_the_next_logon_goes_on(town: Town) -> None:
    worked(town, "O1")
    for name, peer in ((CLIENT, town.client), (BROKER, town.broker)):
        peer.log_out()
        town.house.until("SELECT FROM session_positions WHERE session = %s AND NOT logged_on", name)
        assert peer.received[-1].type == "5"
        peer.connect()
        peer.wait_up()
        town.house.until_logged_on(name)
    worked(town, "O2")
    assert (town.client.rejects(), town.broker.rejects()) == ([], [])
