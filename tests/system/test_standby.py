"""A standby follows a gateway that dies, stops or hangs; a gateway that was followed does nothing more (I1, I2)."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from oms.sim.peer import FixPeer
from tests.system.house import House, free_ports, until
from tests.system.nursery import Nursery
from tests.system.words import new_order, report, told_fills

pytestmark = pytest.mark.system
MakeHouse = Callable[..., House]
Begin = Callable[..., subprocess.Popen[str]]
SECONDS = 40.0  # a standby imports everything and a busy machine takes its time


@pytest.fixture
def begin() -> Iterator[Begin]:
    """Starts `oms run` as a process."""
    begun: list[subprocess.Popen[str]] = []

    def start(config: Path, *options: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "oms", "run", "--config", str(config), *options]
        begun.append(subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True))
        return begun[-1]

    yield start
    for process in begun:
        if process.poll() is None:
            process.kill()
        process.communicate()


def until_waiting(house: House, standby: subprocess.Popen[str]) -> None:
    """Until a standby has told the ledger that it waits."""
    waiting = "SELECT FROM leases WHERE name <> 'gateway' AND NOT released AND holder LIKE %s"
    house.until(waiting, f"%process {standby.pid}", seconds=SECONDS)


def lease_of(house: House) -> int:
    return int(house.rows("SELECT token FROM leases WHERE name = 'gateway'")[0]["token"])


def tokens(house: House) -> list[int]:
    """The leases under which the batches were written, in the order of the batches, each once."""
    found = [row["lease"] for row in house.rows("SELECT lease FROM batches ORDER BY batch")]
    assert found == sorted(found)
    return sorted(set(found))


def trades(client: FixPeer, broker: FixPeer, cl_ord_id: str) -> None:
    """An order goes out and is filled."""
    client.send(new_order(cl_ord_id))
    asked = broker.expect("D")
    broker.send(report(broker, asked, "F", f"F-{cl_ord_id}", cum=100, last=(100, "150"), avg="150"))
    assert client.expect("8", ClOrdID=cl_ord_id)[39] == "2"


def test_a_standby_follows_a_killed_gateway_and_another_one_that_stops(
    make_house: MakeHouse, nursery: Nursery, begin: Begin
) -> None:
    house = make_house({"CLIENT1": "4.4"}, {"BROKER1": "4.4"})
    house.peer("BROKER1")
    first = house.fork(nursery)
    client, broker = house.up("CLIENT1", "BROKER1")
    second = begin(house.config_file, "--standby")
    client.send(new_order("A1"))
    asked = broker.expect("D")
    broker.send(report(broker, asked, "F", "X1", cum=40, last=(40, "150"), avg="150"))
    assert client.expect("8")[14] == "40"
    until_waiting(house, second)

    first.kill()
    broker.wait_logged_out()
    house.send_away("BROKER1", report(broker, asked, "F", "X2", cum=100, last=(60, "150"), avg="150"))
    third = begin(house.config_file, "--standby")
    for peer in (client, broker):
        peer.wait_logged_on(SECONDS, logons=2)
    assert client.expect("8", SECONDS)[39] == "2"
    trades(client, broker, "A2")
    until_waiting(house, third)

    second.send_signal(signal.SIGTERM)
    for peer in (client, broker):
        peer.wait_logged_on(SECONDS, logons=3)
    house.until_logged_on("CLIENT1", "BROKER1")
    trades(client, broker, "A3")
    assert second.wait(10) == 0
    third.send_signal(signal.SIGTERM)
    assert third.wait(10) == 0

    assert [message[11] for message in broker.received if message.type == "D"] == sorted(
        {message[11] for message in broker.received if message.type == "D"}
    )
    kept = house.rows("SELECT exec_id, client_exec_id, last_qty FROM fills ORDER BY seq")
    assert [row["exec_id"] for row in kept] == ["X1", "X2", "F-A2", "F-A3"]
    assert told_fills(client.received) == [(row["client_exec_id"], row["last_qty"]) for row in kept]
    assert tokens(house) == [1, 2, 3]
    assert house.items() == []
    house.check_chain()


def elsewhere(house: House) -> Path:
    """The same desk on another machine: a state directory and a port for clients of its own."""
    directory = house.directory / "elsewhere"
    directory.mkdir()
    shutil.copytree(house.directory / "fix_specs", directory / "fix_specs")
    for name in ("oms.toml", "instruments.csv", "accounts.csv"):
        shutil.copy(house.directory / name, directory / name)
    sessions = (house.directory / "sessions.cfg").read_text()
    port = f"SocketAcceptPort={house.client_port}"
    (directory / "sessions.cfg").write_text(sessions.replace(port, f"SocketAcceptPort={free_ports(1)[0]}"))
    return directory / "oms.toml"


def test_a_gateway_that_was_paused_while_another_took_over_sends_nothing_and_ends(
    make_house: MakeHouse, begin: Begin
) -> None:
    house = make_house({"CLIENT1": "4.4"}, {"BROKER1": "4.4"})
    house.config_file.write_text(
        house.config_file.read_text().replace("[gateway]\n", "[gateway]\nlease_seconds = 2\n")
    )
    house.peer("BROKER1")
    paused = begin(house.config_file)
    house.until("SELECT FROM journal WHERE kind = 'config'", seconds=SECONDS)
    client, broker = house.up("CLIENT1", "BROKER1")
    standby = begin(elsewhere(house), "--standby", "--new-machine")
    until_waiting(house, standby)

    paused.send_signal(signal.SIGSTOP)
    client.send(new_order("A1"))  # it waits in the line of the one that is paused
    until(lambda: lease_of(house) == 2, "the standby has taken over", SECONDS)
    house.until("SELECT FROM journal JOIN batches USING (batch) WHERE kind = 'config' AND lease = 2", seconds=SECONDS)
    paused.send_signal(signal.SIGCONT)
    said = paused.communicate(timeout=SECONDS)[1].splitlines()[-1]
    assert paused.returncode == 3
    assert said.endswith("; ended at once; start it again as a standby: oms run --standby")

    broker.wait_logged_out()
    assert [message for message in broker.received if message.type == "D"] == []
    assert house.rows("SELECT FROM journal WHERE kind IN ('in', 'out')") == []
    assert tokens(house) == [1, 2]
    standby.send_signal(signal.SIGTERM)
    assert standby.wait(10) == 0
    house.check_chain()


def test_a_gateway_that_hangs_is_ended_by_the_standby_of_its_state_directory(
    make_house: MakeHouse, nursery: Nursery, begin: Begin
) -> None:
    house = make_house({"CLIENT1": "4.4"}, {"BROKER1": "4.4"})
    house.config_file.write_text(
        house.config_file.read_text().replace("[gateway]\n", "[gateway]\nlease_seconds = 2\n")
    )
    house.peer("BROKER1")
    house.fork(nursery)
    client, broker = house.up("CLIENT1", "BROKER1")
    until_waiting(house, begin(house.config_file, "--standby"))
    assert house.process is not None
    signal.pidfd_send_signal(house.process._end, signal.SIGSTOP)
    for peer in (client, broker):
        peer.wait_logged_on(SECONDS, logons=2)
    assert not house.process.alive
    house.until_logged_on("CLIENT1", "BROKER1")
    trades(client, broker, "A1")
    assert tokens(house) == [1, 2]
