"""Clients that come while a gateway runs, and what all of them are to be able to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from oms.sim.peer import FixPeer
from tests.system.house import House, free_ports
from tests.system.words import new_order, report


@contextmanager
def open_house(directory: Path, url: str) -> Iterator[House]:
    """A gateway that runs, with CLIENT1 and BROKER1."""
    made = House(directory, url, clients={"CLIENT1": "4.4"}, brokers={"BROKER1": "4.2"})
    try:
        made.peer("BROKER1")
        made.start()
        yield made
    finally:
        made.close()


class Newcomer:
    """A client that is not in the file yet, on a port of its own unless one is given."""

    def __init__(self, house: House, name: str, version: str = "4.4", more: str = "", port: int = 0) -> None:
        self.house, self.name, self.version = house, name, version
        self.port = port or free_ports(1)[0]
        begin = {"4.2": "FIX.4.2", "4.4": "FIX.4.4"}[version]
        self.section = (
            f"[SESSION]\nOmsName={name}\nTargetCompID={name}\nBeginString={begin}\nConnectionType=acceptor\n"
            f"SocketAcceptPort={self.port}\nOmsDialect=standard-fix{version.replace('.', '')}\n{more}"
        )

    def peer(self) -> FixPeer:
        place: Path = self.house.directory / "peers" / self.name
        return FixPeer("initiator", self.version, self.name, self.house.comp_id, self.port, place).start()


def trade(house: House, peer: FixPeer, cl_ord_id: str) -> None:
    """An order of a client reaches the broker and is filled there, and the client is told."""
    broker = house.peers["BROKER1"]
    peer.send(new_order(cl_ord_id))
    asked = broker.expect("D")
    broker.send(report(broker, asked, "F", f"N{cl_ord_id}", cum=100, last=(100, "150"), avg="150"))
    peer.expect("8", ClOrdID=cl_ord_id, OrdStatus="2")
