"""Broker and client as they run: over real FIX sessions, through disconnects, restarts and kill -9."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from oms.sim.broker import BrokerSim
from oms.sim.client import ClientSim
from oms.sim.flow import FollowUp, Plan, Terms, generate
from oms.sim.peer import FixPeer, stop_all
from oms.sim.record import broker_view, client_view, read_lines
from oms.sim.script import parse_behaviour
from oms.sim.session import SessionSpec
from oms.sim.wire import Message, decimal_of
from tests.sim.talk import rule, short

pytestmark = pytest.mark.engine

ROOT = Path(__file__).parents[2]
QUICK = "[market]\ntick_ms = 10\n"
ORDER = "35=D|11={}|55=IBM|54=1|38=100|40=2|44=10|7001=C1/{}"


def plans(number: int) -> list[Plan]:
    """A seeded flow without the orders that a gateway would have to refuse."""
    return [plan for plan in generate(number, 3) if not plan.expect_reject]


def market_order() -> Plan:
    """An order that fills at once."""
    return Plan(Terms("IBM", "1", decimal_of("100") or 0, "1"))


class House:
    """Simulators of one test on one port, stopped at its end."""

    def __init__(self, port: int, directory: Path) -> None:
        self.port, self.directory = port, directory
        self._open: list[BrokerSim | ClientSim | FixPeer] = []

    def broker(self, version: str = "4.4", rules: str = QUICK) -> BrokerSim:
        """A broker that is listening."""
        spec = SessionSpec("B1", "acceptor", version, "B1", "C1", self.port, self.directory / "b")
        broker = BrokerSim(spec, parse_behaviour(rules), seed=2)
        broker.start()
        self._open.append(broker)
        return broker

    def client(self, wanted: list[Plan], version: str = "4.4", idle_seconds: float = 2, **options: Any) -> ClientSim:
        """A client that is connecting."""
        spec = SessionSpec("C1", "initiator", version, "C1", "B1", self.port, self.directory / "c")
        client = ClientSim(spec, wanted, idle_seconds=idle_seconds, **options)
        client.start()
        self._open.append(client)
        return client

    def peer(self, direction: str, sender: str, target: str, **settings: str) -> FixPeer:
        """A scripted counterparty; an initiator is logged on."""
        directory = self.directory / sender
        peer = FixPeer(direction, "4.4", sender, target, self.port, directory, settings=settings).start()
        self._open.append(peer)
        if direction == "initiator":
            peer.wait_logged_on()
        return peer

    def close(self, *those: BrokerSim | ClientSim | FixPeer) -> None:
        """Stop these, or all."""
        ending = those or tuple(self._open)
        stop_all(*ending)
        self._open = [one for one in self._open if one not in ending]

    def views_differ(self) -> list[str]:
        """Where the client's and the broker's records disagree, order by order and fill by fill."""
        broker = broker_view(self.directory / "b" / "record.jsonl").by_trace
        client = client_view(self.directory / "c" / "record.jsonl").orders
        ours = {
            f"C1/{first}": (order.ord_status, order.cum_qty, {k: (f.qty, f.px) for k, f in order.fills.items()})
            for first, order in client.items()
        }
        theirs = {
            trace: (known.ord_status, known.order.cum_qty, {k: (f.qty, f.px) for k, f in known.fills.items()})
            for trace, known in broker.items()
        }
        return [
            f"{k}: {ours.get(k)} / {theirs.get(k)}" for k in sorted({*ours, *theirs}) if ours.get(k) != theirs.get(k)
        ]


@pytest.fixture
def house(port: int, tmp_path: Path) -> Iterator[House]:
    made = House(port, tmp_path)
    yield made
    made.close()


@pytest.mark.parametrize("version", ["4.2", "4.4", "5.0SP2"])
def test_a_mixed_flow_ends_with_two_views_that_agree_and_no_violation(house: House, version: str) -> None:
    broker = house.broker(version)
    client = house.client(plans(120), version)
    assert client.wait(40)
    house.close(client, broker)
    summary = client.summary()
    assert (summary["violations_shown"], summary["unfinished"], summary["failures"]) == ([], [], [])
    assert set(summary["by_ord_status"]) <= {"2", "4"}
    assert len(summary["first_report_ms"]) == 4
    assert broker.summary()["failures"] == []
    assert house.views_differ() == []
    lines = list(read_lines(house.directory / "c" / "record.jsonl"))
    first_reports = [line for line in lines if "first_report_ms" in line]
    assert len(first_reports) == summary["orders"] == len(plans(120))


def test_reports_made_while_the_gateway_is_away_reach_it_later_in_order_and_once(house: House) -> None:
    broker = house.broker(rules=rule("accept", "disconnect", "{do='part_fill', qty=40, px=10}", "fill"))
    gateway = house.peer("initiator", "C1", "B1", ReconnectInterval="60")
    gateway.send(ORDER.format("A1", "A1"))
    gateway.expect("8", ExecType="0")
    house.close(gateway)
    assert broker.wait_for(lambda: broker.queued == 2)
    gateway = house.peer("initiator", "C1", "B1")
    reports = [gateway.expect("8"), gateway.expect("8")]
    assert [short(report) for report in reports] == ["F 1 A1 100=40+60 @40*10", "F 2 A1 100=100+0 @60*10"]
    assert broker.wait_for(lambda: broker.queued == 0)
    gateway.expect_nothing()


def test_reports_that_had_not_left_when_the_broker_stopped_leave_after_its_restart_as_possible_resends(
    house: House,
) -> None:
    broker = house.broker(rules=rule("accept", "disconnect", "fill"))
    gateway = house.peer("initiator", "C1", "B1", ReconnectInterval="60")
    gateway.send(ORDER.format("A1", "A1"))
    gateway.expect("8", ExecType="0")
    assert broker.wait_for(lambda: broker.queued == 1)
    house.close(broker, gateway)
    house.broker()
    gateway = house.peer("initiator", "C1", "B1")
    assert short(gateway.expect("8")) == "F 2 A1 100=100+0 @100*10 again"


def test_a_restarted_broker_knows_its_orders_plays_on_and_gives_new_ids(house: House) -> None:
    rules = rule("accept", "{do='part_fill', qty=40}", "cancel_reject", "pending_cancel", "cancel")
    broker = house.broker(rules=rules)
    gateway = house.peer("initiator", "C1", "B1")
    gateway.send(ORDER.format("A1", "A1"))
    gateway.expect("8", ExecType="F")
    house.close(broker)
    gateway.wait_logged_out()
    broker = house.broker(rules=rules)
    gateway.wait_logged_on(logons=2)
    gateway.send(ORDER.format("A1", "A1"))
    gateway.send("35=H|11=A1|55=IBM|54=1")
    for number in "23":
        gateway.send(f"35=F|11=A{number}|41=A1|55=IBM|54=1|38=100")
    gateway.send(ORDER.format("A4", "A4"))
    gateway.expect("8", ClOrdID="A4", ExecType="F")
    assert [short(report) for report in gateway.received[2:8]] == [
        "8 1 A1 100=40+60",
        "I 1 A1 100=40+60",
        "9 1 A2<A1 2/1",
        "6 6 A3<A1 100=40+60",
        "4 4 A3<A1 100=40+0",
        "0 0 A4 100=0+100",
    ]
    exec_ids = [report[17] for report in gateway.received if report.type == "8" and report[150] != "I"]
    assert len(set(exec_ids)) == len(exec_ids)


def test_a_script_may_cut_the_connection_in_the_middle(house: House) -> None:
    house.broker(rules=rule("accept", "disconnect", "fill"))
    gateway = house.peer("initiator", "C1", "B1")
    gateway.send(ORDER.format("A1", "A1"))
    gateway.wait_logged_on(logons=2)
    gateway.expect("8", ExecType="F")
    assert [report[150] for report in gateway.received] == ["0", "F"]


def test_a_client_asks_after_a_new_logon_and_sends_no_order_twice(house: House) -> None:
    gateway = house.peer("acceptor", "B1", "C1")
    client = house.client([market_order(), market_order()], idle_seconds=30)
    first, second = gateway.expect("D"), gateway.expect("D")
    gateway.disconnect()
    gateway.wait_logged_on(logons=2)
    assert {gateway.expect("H")[11], gateway.expect("H")[11]} == {first[11], second[11]}
    for order in (first, second):
        gateway.send(
            f"35=8|37=O{order[11]}|11={order[11]}|17=E{order[11]}|150=F|39=2|55=IBM|54=1|38=100|32=100|31=10|14=100|151=0|6=10"
        )
    assert client.wait(10)
    assert Counter(message.type for message in gateway.received) == {"D": 2, "H": 2}
    assert (client.summary()["violations"], client.in_flight) == (0, 0)


def test_a_client_that_hears_nothing_cancels_waits_and_ends(house: House) -> None:
    gateway = house.peer("acceptor", "B1", "C1")
    client = house.client([market_order()], idle_seconds=0.2)
    assert client.wait(10)
    order = gateway.expect("D")
    assert gateway.expect("F")[41] == order[11]
    assert client.summary()["unfinished"] == [order[11]]


def test_a_client_waits_longer_for_a_gateway_that_is_away_than_for_one_that_is_silent(house: House) -> None:
    client = house.client([market_order()], idle_seconds=0.1, reconnect_seconds=30)
    assert not client.wait(0.5)
    gateway = house.peer("acceptor", "B1", "C1")
    gateway.expect("D")
    assert client.wait(10)


def test_a_client_gives_up_a_gateway_that_stays_away(house: House) -> None:
    client = house.client([market_order()], idle_seconds=0.1, reconnect_seconds=0.2)
    assert client.wait(10)
    assert (client.logons, client.summary()["orders"]) == (0, 0)


def test_a_client_keeps_to_its_limit_in_flight_and_to_the_order_of_its_follow_ups(house: House) -> None:
    gateway = house.peer("acceptor", "B1", "C1")
    plan = Plan(market_order().terms, (FollowUp("cancel", "acked"),))
    house.client([plan, plan], idle_seconds=30, max_in_flight=1)
    order = gateway.expect("D")
    gateway.expect_nothing()
    ids = f"35=8|37=O1|55=IBM|54=1|38=100|6=0|14=0|11={order[11]}"
    gateway.send(f"{ids}|17=E1|150=0|39=0|151=100")
    request = gateway.expect("F", OrigClOrdID=order[11])
    gateway.expect_nothing("D")
    gateway.send(f"{ids.replace(order[11], request[11])}|41={order[11]}|17=E2|150=4|39=4|151=0")
    assert gateway.expect("D")[11] != order[11]


def start(kind: str, port: int, directory: Path, *options: str) -> subprocess.Popen[bytes]:
    """A simulator in a process of its own."""
    command = [sys.executable, "-c", "from oms.cli.sim import sim; sim()", kind, "--port", str(port)]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    with (directory / f"{kind}.log").open("ab") as log:
        return subprocess.Popen([*command, *options], cwd=ROOT, env=env, stdout=log, stderr=log)


@pytest.mark.system
@pytest.mark.parametrize("killed", ["broker", "client"])
def test_a_simulator_killed_in_the_middle_and_started_again_loses_and_repeats_nothing(
    house: House, killed: str
) -> None:
    port, base = house.port, house.directory
    commands: dict[str, Callable[[], subprocess.Popen[bytes]]] = {
        "broker": lambda: start("broker", port, base, "--name", "B1", "--target", "C1", "--dir", f"{base}/b"),
        "client": lambda: start(
            *("client", port, base, "--name", "C1", "--target", "B1", "--dir", f"{base}/c", "--rate", "100"),
            *("--generate", "150", "--seed", "3", "--idle-timeout", "2"),
        ),
    }
    running = {name: command() for name, command in commands.items()}
    try:
        while sum(line["kind"] == "report" for line in read_lines(base / "c" / "record.jsonl")) < 100:
            assert all(process.poll() is None for process in running.values()), (base / "client.log").read_text()
        running[killed].kill()
        running[killed].wait()
        running[killed] = commands[killed]()
        assert running["client"].wait(60) in (0, 1)  # 1: this broker refuses none of the orders that a gateway would
        running["broker"].send_signal(signal.SIGTERM)
        assert running["broker"].wait(20) == 0
    finally:
        for process in running.values():
            process.kill()
            process.wait()
    assert house.views_differ() == []
    view = client_view(base / "c" / "record.jsonl")
    assert len(view.orders) == 150
    assert {problem.partition(":")[0] for problem in view.violations} <= {"the order had to be refused"}
    asked = [line for line in read_lines(base / "b" / "record.jsonl") if line["kind"] == "request"]
    again = [line for line in asked if line["msg_type"] == "D" and Message(line["raw"]).get(43) != "Y"]
    assert len(again) == len({line["cl_ord_id"] for line in again})


def test_a_client_asks_about_an_order_once_until_it_is_answered_however_often_it_logs_on(house: House) -> None:
    """Else thousands of open orders, asked about at each of a hundred logons, are a flood of its own making."""
    broker = house.peer("acceptor", "B1", "C1")
    house.client([market_order()], idle_seconds=60)
    order = broker.expect("D")
    for logons in (2, 3):
        broker.disconnect()
        broker.wait_logged_on(logons=logons)
    assert broker.expect("H")[11] == order[11]
    broker.expect_nothing("H")
    broker.send(f"35=8|37=O1|55=IBM|54=1|38=100|6=0|14=0|11={order[11]}|17=E1|150=0|39=0|151=100")
    broker.disconnect()
    broker.wait_logged_on(logons=4)
    assert broker.expect("H")[11] == order[11]
