"""A counterparty that keeps its line and reads nothing holds up nobody else; nothing is lost or doubled (I2, I10)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import pytest

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


@pytest.fixture
def lines(make_house: MakeHouse) -> Iterator[Lines]:
    """Two clients and two brokers, of which the first ones are behind relays."""
    house = make_house({"CLIENT1": "4.4", "CLIENT2": "4.4"}, {"BROKER1": "4.4", "BROKER2": "4.4"})
    client_port, broker_port = free_ports(2)
    toml, sessions = house.config_file, house.directory / "sessions.cfg"
    toml.write_text(toml.read_text().replace("[gateway]\n", "[gateway]\nstalled_line_seconds = 1\n"))
    text = sessions.read_text().replace("[DEFAULT]\n", "[DEFAULT]\nSocketSendBufferSize=65536\n")
    sessions.write_text(text.replace(f"={house.broker_ports['BROKER1']}\n", f"={broker_port}\n"))
    broker_link = Link(broker_port, house.broker_ports["BROKER1"], buffer=8192)
    made = Lines(house, Link(client_port, house.client_port, buffer=8192), broker_link)
    direct, house.client_port = house.client_port, client_port
    house.peer("CLIENT1")
    house.client_port = direct
    yield made
    made.client.close()
    made.broker.close()


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
