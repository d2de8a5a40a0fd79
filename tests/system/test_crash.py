"""kill -9 at every step of the flow, at the order, at its acknowledgement and at its fill (I1, I2, I3).

Whatever the step: after the next start the broker has the order once, every fill is in the ledger once, the
client was told of each once, and the three agree.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import pytest

from oms.crashpoints import STEPS
from oms.sim.peer import FixPeer
from tests.system.house import House, in_parallel, until
from tests.system.nursery import Nursery
from tests.system.words import new_order, report, told_fills

pytestmark = pytest.mark.system
MakeHouse = Callable[..., House]


def die_and_start_again(house: House, nursery: Nursery, step: str, act: Callable[[], object]) -> None:
    """Do something at which the gateway dies, and bring it up again with everybody logged on."""
    assert house.process is not None
    house.process.crash_at(step)
    act()
    house.process.wait()
    house.fork(nursery)
    house.until_logged_on(*house.clients, *house.brokers)


def orders(broker: FixPeer) -> list[str]:
    """ClOrdID(11) of the orders that a broker got.

    One that was lost on the line comes as a possible duplicate; the engine discards those it has had.
    """
    return [message[11] for message in broker.received if message.type == "D"]


def agree(house: House, client: FixPeer, broker: FixPeer, filled: list[tuple[str, Decimal]]) -> None:
    """The broker's fills, the ledger's and those the client was told are the same, each once."""
    kept = house.rows("SELECT exec_id, client_exec_id, last_qty FROM fills ORDER BY seq")
    assert [(row["exec_id"], row["last_qty"]) for row in kept] == filled
    assert told_fills(client.received) == [(row["client_exec_id"], row["last_qty"]) for row in kept]
    ids = [message[17] for message in client.received if message.type == "8"]
    assert len(set(ids)) == len(ids)
    assert house.items() == []
    house.check_chain()
    assert broker.refused == []
    assert client.refused == []


@pytest.mark.parametrize("step", STEPS)
def test_a_kill_at_any_step_neither_loses_nor_doubles_an_order_or_a_fill(
    make_house: MakeHouse, nursery: Nursery, step: str
) -> None:
    house = make_house({"CLIENT1": "4.4"}, {"BROKER1": "4.4"})
    house.peer("BROKER1")
    house.fork(nursery)
    client, broker = house.up("CLIENT1", "BROKER1")

    die_and_start_again(house, nursery, step, lambda: client.send(new_order("A1")))
    asked = broker.expect("D")

    die_and_start_again(house, nursery, step, lambda: broker.send(report(broker, asked, "0", "X1")))
    assert client.expect("8")[150] == "0"

    first = report(broker, asked, "F", "X2", cum=40, last=(40, "150"), avg="150")
    die_and_start_again(house, nursery, step, lambda: broker.send(first))
    assert client.expect("8")[14] == "40"

    broker.send(report(broker, asked, "F", "X3", cum=100, last=(60, "150"), avg="150"))
    assert client.expect("8")[39] == "2"
    client.send(new_order("A2"))
    second = broker.expect("D")
    broker.send(report(broker, second, "8", "X4", leaves=0))
    assert client.expect("8")[39] == "8"

    assert orders(broker) == [asked[11], second[11]]
    agree(house, client, broker, [("X2", Decimal(40)), ("X3", Decimal(60))])
    told = [(message[11], message[150]) for message in client.received]
    assert told == [("A1", "0"), ("A1", "F"), ("A1", "F"), ("A2", "8")]


def test_kills_in_the_middle_of_a_burst_neither_lose_nor_double_anything(
    make_house: MakeHouse, nursery: Nursery
) -> None:
    """Sixty orders, a broker that fills each at once, three kills wherever the gateway happens to be.

    An order that comes before the broker is back is rejected; every other one is filled.
    """
    house = make_house({"CLIENT1": "4.4"}, {"BROKER1": "4.4"}, toml="[inbox]\nmax_batch = 5\n")
    house.peer("BROKER1")
    house.fork(nursery)
    client, broker = house.up("CLIENT1", "BROKER1")
    count = 60

    def restart() -> None:
        for step in ("after_send", "decided", "committed"):
            assert house.process is not None
            house.process.crash_at(step, 11)
            house.process.wait()
            house.process = nursery.start(house.config_file)

    def trade() -> None:
        for number in range(count):
            send_when_up(client, new_order(f"A{number}"))

    def rejected() -> list[str]:
        return [message[58] for message in list(client.received) if message.get(39) == "8"]

    def fill() -> None:
        done = 0
        while True:
            until(lambda told=done: broker.untaken or told + len(rejected()) == count, house.state_of, 40)
            if not broker.untaken:
                return
            asked = broker.expect("D")
            send_when_up(broker, report(broker, asked, "F", f"X{done}", cum=100, last=(100, "150"), avg="150"))
            done += 1

    in_parallel([restart, trade, fill])
    assert set(rejected()) <= {"route: default: BROKER1 session logged out"}
    filled = count - len(rejected())
    until(lambda: len(told_fills(client.received)) == filled, house.state_of)
    got = [message[11] for message in broker.received if message.type == "D"]
    assert len(set(got)) == len(got) == filled
    assert filled > count // 2
    agree_on_fills(house, client, {f"X{number}" for number in range(filled)})


def send_when_up(peer: FixPeer, text: str) -> None:
    """Send as soon as the session is up."""
    while True:
        peer.wait_logged_on(30)
        try:
            peer.send(text)
        except AssertionError:  # it went down this moment, and nothing was sent
            continue
        return


def agree_on_fills(house: House, client: FixPeer, exec_ids: set[str]) -> None:
    """Each of the broker's fills is in the ledger once, and the client was told of each once."""
    kept = house.rows("SELECT exec_id, client_exec_id, last_qty FROM fills ORDER BY seq")
    assert sorted(row["exec_id"] for row in kept) == sorted(exec_ids)
    assert sorted(told_fills(client.received)) == sorted((row["client_exec_id"], row["last_qty"]) for row in kept)
    assert house.items() == []
    house.check_chain()
