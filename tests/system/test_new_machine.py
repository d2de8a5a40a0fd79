"""A new machine: nothing is left but the ledger, and everything ends in agreement (I2, I3, I5).

The gateway is killed with -9, its message stores are deleted, and it starts again with `new_machine`; clients and
brokers keep their own sequence numbers and stores.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from decimal import Decimal

import pytest

from oms.ledger.database import engine as ledger_engine
from oms.ledger.replay import verify_tables
from oms.sim.peer import FixPeer
from tests.system.house import House
from tests.system.nursery import Nursery
from tests.system.words import fields, new_order, report, shape, told_fills

pytestmark = pytest.mark.system
MakeHouse = Callable[..., House]
ALL_NOTED = """SELECT FROM (SELECT 1) AS one WHERE NOT EXISTS (SELECT FROM journal LEFT JOIN sends USING (seq)
    WHERE journal.kind = 'out' AND sends.seq IS NULL)"""


def lose_the_machine(house: House) -> None:
    """kill -9, and the message stores are gone with the machine."""
    assert house.process is not None
    if house.process.alive:
        house.process.kill()
    shutil.rmtree(house.directory / "state" / "fix_store")


def restart(house: House, nursery: Nursery) -> None:
    """The gateway on its new machine, with everybody logged on."""
    house.fork(nursery, new_machine=True)
    house.until_logged_on(*house.clients, *house.brokers)


def orders(broker: FixPeer) -> list[str]:
    """ClOrdID(11) of the orders that a broker got."""
    return [message[11] for message in broker.received if message.type == "D"]


def check_ledger(house: House) -> None:
    """The hash chain holds, and replaying the journal gives the tables that are there."""
    house.check_chain()
    made = ledger_engine(house.url, read_only=True)
    try:
        assert verify_tables(made).differences == []
    finally:
        made.dispose()


def test_orders_live_on_in_every_version_and_fills_of_meanwhile_arrive(
    make_house: MakeHouse, nursery: Nursery
) -> None:
    house = make_house({"CLIENT42": "4.2", "CLIENT50": "5.0SP2"}, {"BROKER44": "4.4", "BROKER50": "5.0SP2"})
    for name in house.brokers:
        house.peer(name)
    house.fork(nursery)
    desks = [house.up(*pair) for pair in zip(house.clients, house.brokers, strict=True)]
    asked = []
    for client, broker in desks:
        client.send(new_order("A1", account=f"TO-{broker.name}"))
        asked.append(broker.expect("D"))
        broker.send(report(broker, asked[-1], "0", "N1"))
        broker.send(report(broker, asked[-1], "F", "F1", cum=40, last=(40, "150"), avg="150"))
        assert client.expect("8", OrdStatus="1")[14] == "40"
    house.until(ALL_NOTED)
    lose_the_machine(house)
    for first, (client, broker) in zip(asked, desks, strict=True):
        broker.wait_logged_out()
        client.wait_logged_out()
        for peer in (client, broker):  # as if what we sent had been lost on the line: it asks for all of it again
            peer.engine.set_next_target(peer.name, 2)
        house.send_away(broker.name, report(broker, first, "F", "F2", cum=70, last=(30, "150"), avg="150"))
        house.send_away(client.name, new_order("A2", account=f"TO-{broker.name}"))

    restart(house, nursery)
    for first, (client, broker) in zip(asked, desks, strict=True):
        assert client.expect("8", ClOrdID="A1", CumQty="70")[32] == "30"
        broker.send(report(broker, first, "F", "F3", cum=100, last=(30, "150"), avg="150"))
        assert client.expect("8", ClOrdID="A1", OrdStatus="2")[14] == "100"
        second = broker.expect("D")
        broker.send(report(broker, second, "F", "F4", cum=100, last=(100, "150"), avg="150"))
        assert client.expect("8", ClOrdID="A2", OrdStatus="2")[14] == "100"
        assert orders(broker) == [first[11], second[11]]
        assert client.refused == broker.refused == []
        before, again = client.received[:2], [one for one in client.received if one.get(43) == "Y"]
        assert [fields(one) for one in again] == [fields(one) for one in before]
        told = told_fills(one for one in client.received if one.get(43) != "Y")
        kept = house.rows("SELECT client_exec_id, last_qty FROM fills WHERE broker = %s ORDER BY seq", broker.name)
        assert told == [(row["client_exec_id"], row["last_qty"]) for row in kept]
        assert [qty for _, qty in told] == [Decimal(qty) for qty in (40, 30, 30, 100)]
        assert not [one for one in client.received if one.get(97) == "Y"]
    assert house.items() == []
    check_ledger(house)


def test_what_may_have_left_is_never_doubled_and_never_called_rejected(
    make_house: MakeHouse, nursery: Nursery
) -> None:
    house = make_house({"CLIENT1": "4.4"}, {"BROKER1": "4.4"})
    house.peer("BROKER1")
    house.fork(nursery)
    client, broker = house.up("CLIENT1", "BROKER1")

    def die_at(step: str, act: Callable[[], object]) -> None:
        house.until(ALL_NOTED)
        assert house.process is not None
        house.process.crash_at(step)
        act()
        house.process.wait()
        lose_the_machine(house)

    die_at("after_send", lambda: client.send(new_order("A1")))  # it left, and nobody noted it
    asked = broker.expect("D")
    _, said = nursery.try_start(house.config_file)
    stores = house.directory / "state" / "fix_store"
    assert f": CLIENT1 (MsgSeqNum(34) 2 came last), BROKER1: missing in {stores}. " in said
    assert "oms run --new-machine" in said
    nursery.try_start(house.config_file, "recovered:1", new_machine=True)  # killed when the stores are there again
    _, said = nursery.try_start(house.config_file)
    assert f", BROKER1: those in {stores} are not of the run that wrote the ledger last. " in said
    restart(house, nursery)
    house.until("SELECT FROM client_orders WHERE life = 'unknown'")
    broker.send(report(broker, asked, "0", "N1"))
    assert client.expect("8", ClOrdID="A1")[150] == "0"

    fill = report(broker, asked, "F", "F1", cum=40, last=(40, "150"), avg="150")
    die_at("after_send", lambda: broker.send(fill))  # the client was told, and nobody noted it
    first = client.expect("8", ExecType="F")
    restart(house, nursery)
    again = client.expect("8", ExecType="F")
    assert (first.get(97), again.get(97)) == (None, "Y")
    assert fields(first) == fields(again)

    die_at("committed", lambda: client.send(new_order("A2")))  # it did not leave, which nobody knows
    restart(house, nursery)
    sent = house.rows("SELECT child_id FROM child_orders ORDER BY sent_seq")[1]["child_id"]
    question = broker.expect("H", ClOrdID=sent)
    broker.send(report(broker, question, "I", "0", ord_status="8", leaves=0, more="58=no such order"))
    assert client.expect("8", ClOrdID="A2")[39] == "8"

    assert orders(broker) == [asked[11]]
    assert [shape(message)[2:4] for message in client.received] == [("0", "0"), ("F", "1"), ("F", "1"), ("8", "8")]
    kinds = house.rows("SELECT kind, state FROM exception_items WHERE kind = 'unknown_outcome'")
    assert [tuple(row.values()) for row in kinds] == [("unknown_outcome", "resolved")] * 2
    doubts = house.rows("SELECT msg_type FROM sends JOIN journal USING (seq) WHERE outcome = 'in_doubt' ORDER BY seq")
    assert [row["msg_type"] for row in doubts] == ["D", "8", "D"]
    check_ledger(house)
