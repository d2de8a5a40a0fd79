"""A counterparty that keeps its line and reads nothing holds up nobody else; nothing is lost or doubled (I2, I10).

So too over TLS, and for lines that are cut in the middle of a message, or of its TLS record.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from threading import Event, Thread
from typing import NamedTuple

import pytest

from oms.sim.peer import FixPeer
from stormlib.links import Link
from tests.system.house import House, free_ports, until
from tests.system.words import new_order, report, told_fills

pytestmark = pytest.mark.system
MakeHouse = Callable[..., House]
LONG = "a" * 8000
COUNT = 70  # of LONG messages: more than the buffers of a line hold


class Lines(NamedTuple):
    """A house, and the relays before its first client and its first broker."""

    house: House
    client: Link
    broker: Link


@pytest.fixture(params=["plain", "TLS"])
def lines(make_house: MakeHouse, request: pytest.FixtureRequest) -> Iterator[Lines]:
    """Two clients and two brokers, of which the first ones are behind relays. Once without TLS and once with it."""
    house = make_house({"CLIENT1": "4.4", "CLIENT2": "4.4"}, {"BROKER1": "4.4", "BROKER2": "4.4"})
    client_port, broker_port = free_ports(2)
    toml, sessions = house.config_file, house.directory / "sessions.cfg"
    toml.write_text(toml.read_text().replace("[gateway]\n", "[gateway]\nstalled_line_seconds = 1\n"))
    text = sessions.read_text().replace("[DEFAULT]\n", "[DEFAULT]\nSocketSendBufferSize=65536\n")
    sessions.write_text(text.replace(f"={house.broker_ports['BROKER1']}\n", f"={broker_port}\n"))
    if request.param == "TLS":
        house.secure()
    broker_link = Link(broker_port, house.broker_ports["BROKER1"], buffer=8192)
    made = Lines(house, Link(client_port, house.client_port, buffer=8192), broker_link)
    direct, house.client_port = house.client_port, client_port
    house.peer("CLIENT1")
    house.client_port = direct
    yield made
    assert {*made.client.carried, *made.broker.carried} == {request.param}
    made.client.close()
    made.broker.close()


def sent_once_up(peer: FixPeer, text: str) -> None:
    """Send as soon as the line is there; one that is cut at that moment has taken nothing."""

    def sent() -> bool:
        with suppress(AssertionError):
            return bool(peer.logged_on and peer.send(text))
        return False

    until(sent, f"{peer.name} sends {text}")


def test_lines_on_which_nobody_reads_are_cut_and_everybody_hears_everything_once_afterwards(lines: Lines) -> None:
    house = lines.house
    house.peer("BROKER1")
    house.peer("BROKER2")
    house.start()
    client, other_client, broker, other_broker = house.up("CLIENT1", "CLIENT2", "BROKER1", "BROKER2")
    client.send(new_order("R", qty=COUNT, account="TO-BROKER2"))
    asked = other_broker.expect("D")

    lines.client.hold()
    lines.broker.hold()
    for number in range(COUNT):
        other_client.send(new_order(f"A{number}", more=f"58={LONG}", account="TO-BROKER1"))
        filled = {"cum": number + 1, "last": (1, "150"), "avg": "150", "more": f"58={LONG}"}
        other_broker.send(report(other_broker, asked, "F", f"X{number}", **filled))  # type: ignore[arg-type]
    other_client.send(new_order("B", account="TO-BROKER2"))
    other_broker.send(report(other_broker, other_broker.expect("D"), "0", "N"))
    assert other_client.expect("8", ClOrdID="B")[39] == "0"
    house.until("SELECT FROM session_positions WHERE session = 'CLIENT1' AND NOT logged_on")
    house.until("SELECT FROM session_positions WHERE session = 'BROKER1' AND NOT logged_on")

    lines.client.release()
    lines.broker.release()
    until(lambda: len(told_fills(client.received)) == COUNT, house.state_of)
    kept = house.rows("SELECT client_exec_id, last_qty FROM fills ORDER BY seq")
    assert told_fills(client.received) == [(row["client_exec_id"], row["last_qty"]) for row in kept]

    def came() -> list[str]:
        return [message[11] for message in list(broker.received) if message.type == "D"]

    def rejected() -> list[str]:
        return [message[11] for message in list(other_client.received) if message.get(39) == "8"]

    until(lambda: len(came()) + len(rejected()) == COUNT, house.state_of)
    assert len(set(came())) == len(came()) > 10
    assert len(set(rejected())) == len(rejected())  # those that had not left when the line was cut
    house.check_chain()


def test_lines_cut_in_the_middle_of_what_they_carry_lose_and_double_nothing(lines: Lines) -> None:
    house, number, done = lines.house, 60, Event()
    house.peer("BROKER1")
    house.start()
    client, broker = house.up("CLIENT1", "BROKER1")
    came: list[str] = []

    def fill_what_comes() -> None:
        while not done.is_set():
            with suppress(AssertionError):  # nothing came
                asked = broker.expect("D", 0.1)
                came.append(asked[11])
                filled = report(broker, asked, "F", f"F-{asked[11]}", cum=100, last=(100, "150"), avg="150")
                sent_once_up(broker, filled)

    def ended() -> dict[str, str]:
        return {one[11]: one[39] for one in list(client.received) if one.get(39) in ("2", "8")}

    market = Thread(target=fill_what_comes)
    market.start()
    try:
        for one in range(number):
            sent_once_up(client, new_order(f"A{one}", account="TO-BROKER1"))
            if one % 20 == 10:
                lines.client.cut_within()
                lines.broker.cut_within()
            if one % 20 == 19:
                until(lambda sent=one + 1: len(ended()) == sent, house.state_of)  # type: ignore[misc]
    finally:
        done.set()
        market.join()
    kept = house.rows("SELECT client_exec_id, last_qty FROM fills ORDER BY seq")
    assert told_fills(client.received) == [(row["client_exec_id"], row["last_qty"]) for row in kept]
    assert len(set(came)) == len(came) == len(kept) == list(ended().values()).count("2") > 0
    assert min(lines.client.carried.total(), lines.broker.carried.total()) >= 1 + 3
    house.check_chain()
