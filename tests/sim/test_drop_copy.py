"""The simulated broker's drop copy: every report once more, what waited and what a restart left included."""

from __future__ import annotations

from pathlib import Path

import pytest

from oms.sim.broker import BrokerSim
from oms.sim.peer import FixPeer, stop_all
from oms.sim.script import parse_behaviour
from oms.sim.session import SessionSpec
from tests.system.house import free_ports

pytestmark = pytest.mark.engine

ORDER = "35=D|11={}|55=IBM|54=1|38=100|40=1"
RULES = '[market]\ntick_ms = 10\n[[rule]]\nsteps = ["accept", "fill"]\n'


def exec_ids(peer: FixPeer) -> list[str]:
    """New and Trade of one order, by ExecID(17)."""
    return [peer.expect("8", ExecType=kind)[17] for kind in ("0", "F")]


def test_every_report_is_copied_once_also_what_waited_and_over_a_restart(tmp_path: Path) -> None:
    ports = free_ports(2)
    spec = SessionSpec("B1", "acceptor", "4.4", "B1", "C1", ports[0], tmp_path / "b")
    broker = BrokerSim(spec, parse_behaviour(RULES), drop_copy_port=ports[1])
    client = FixPeer("initiator", "4.4", "C1", "B1", ports[0], tmp_path / "c")
    copy = FixPeer("initiator", "4.4", "C1", "B1-COPY", ports[1], tmp_path / "d")
    try:
        broker.start()
        client.start()
        client.wait_logged_on()
        client.send(ORDER.format("a"))
        first = exec_ids(client)
        broker.stop()  # before anybody was there to take the copies
        broker = BrokerSim(spec, parse_behaviour(RULES), drop_copy_port=ports[1])
        broker.start()
        copy.start()
        copy.wait_logged_on()
        assert exec_ids(copy) == first
        client.wait_logged_on(logons=2)
        client.send(ORDER.format("b"))
        assert exec_ids(copy) == exec_ids(client)
        assert broker.wait_for(lambda: broker.counts["copied"] == 4)
        assert copy.untaken == []
    finally:
        stop_all(client, copy, broker)
