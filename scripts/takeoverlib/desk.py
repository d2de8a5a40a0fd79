"""One desk for take-overs: a ledger, a client, two brokers, and gateways of two machines that follow each other.

A machine is a directory with the configuration and a state directory of its own; both have the same sessions and
ports, so that counterparties find whichever gateway is up. The ledger is an embedded Postgres of the desk, reached by
each machine over a line of its own that can be stalled. The client and the brokers keep their sequence numbers
throughout. Limits: everything on loopback.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psycopg

from oms.config.templates import write_demo
from oms.demo.place import free_ports
from oms.ledger.database import migrate
from oms.ledger.embedded import SOCKET_NAME, EmbeddedPostgres
from oms.ledger.lease import GATEWAY
from oms.sim.peer import FixPeer
from oms.sim.wire import utc_now, utc_timestamp
from takeoverlib.line import Line

SECONDS = 60.0
LOOK = 0.005
BROKERS = {"BROKER1": "4.2", "BROKER2": "5.0SP2"}


class Failed(Exception):
    """A take-over did not happen, or not as promised."""


def until(reached: Callable[[], bool], what: str, seconds: float = SECONDS) -> float:
    """Monotonic time at which something was true. Raises Failed naming it."""
    deadline = time.monotonic() + seconds
    while not reached():
        if time.monotonic() > deadline:
            raise Failed(f"not within {seconds:.0f} s: {what}")
        time.sleep(LOOK)
    return time.monotonic()


class Process:
    """One `oms run`."""

    def __init__(self, number: int, config: Path, log: Path, *options: str) -> None:
        self.ready = log.with_name(f"ready{number}")
        command = [sys.executable, "-m", "oms", "run", "--config", str(config), "--ready-file", str(self.ready)]
        with log.open("ab") as errors:
            self._process = subprocess.Popen([*command, *options], stderr=errors, start_new_session=True)
        self.pid = self._process.pid

    @property
    def ended(self) -> int | None:
        """Its exit code, None while it runs."""
        return self._process.poll()

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal, if it still runs."""
        if self.ended is None:
            self._process.send_signal(number)

    def end(self) -> None:
        """Gone, whatever its state."""
        if self.ended is None:
            self._process.kill()
        self._process.wait()


class Desk:
    """See the module head. A context that ends everything it started."""

    def __init__(self, directory: Path, lease_seconds: int) -> None:
        self.directory = directory
        self._exit = ExitStack()
        self._processes: list[Process] = []
        self.accepted: list[str] = []
        server = self._exit.enter_context(EmbeddedPostgres(directory / "postgres"))
        with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
            connection.execute("CREATE DATABASE oms")
        self.url = server.url("oms")
        migrate(self.url)
        running = server.postmaster()
        assert running is not None
        ports = free_ports(3)
        self.lines: list[Line] = []
        self.configs: list[Path] = []
        for number in (1, 2):
            line = Line(directory / f"line{number}", Path(running.socket_dir) / SOCKET_NAME)
            self._exit.callback(line.close)
            self.lines.append(line)
            self.configs.append(self._configured(number, ports, lease_seconds))
        self._peers(ports)

    def _configured(self, number: int, ports: list[int], lease_seconds: int) -> Path:
        machine = self.directory / f"machine{number}"
        machine.mkdir()
        config = write_demo(
            machine,
            client_port=ports[0],
            broker_ports=(ports[1], ports[2]),
            trading="on",
            after_unclean_stop="trade",
        )
        url = f"postgresql://postgres@/oms?host={self.directory / f'line{number}'}"
        text = config.read_text().replace("[database]\n", f'[database]\nurl = "{url}"\n', 1)
        config.write_text(text.replace("[gateway]\n", f"[gateway]\nlease_seconds = {lease_seconds}\n", 1))
        return config

    def _peers(self, ports: list[int]) -> None:
        self.brokers = []
        for (name, version), port in zip(BROKERS.items(), ports[1:], strict=True):
            broker = FixPeer("acceptor", version, name, "OMS", port, self.directory / name).start()
            self._exit.callback(broker.stop)
            self.brokers.append(broker)
        self.client = FixPeer("initiator", "4.4", "CLIENT1", "OMS", ports[0], self.directory / "CLIENT1").start()
        self._exit.callback(self.client.stop)
        self._over = threading.Event()
        for broker in self.brokers:
            thread = threading.Thread(target=self._answer, args=(broker,), daemon=True)
            thread.start()
            self._exit.callback(thread.join, 5.0)
        self._exit.callback(self._over.set)

    def __enter__(self) -> Desk:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            process.end()
        for peer in (self.client, *self.brokers):
            peer.disconnect()
        self._exit.close()

    # -- counterparties ----------------------------------------------------------------------------------------

    def _answer(self, broker: FixPeer) -> None:
        """Accept every order."""
        while not self._over.is_set():
            try:
                asked = broker.expect("D", 0.2)
            except AssertionError:  # none came
                continue
            kind = "20=0|" if broker.version == "4.2" else ""
            text = (
                f"35=8|37=B-{asked[11]}|17=X-{asked[11]}|11={asked[11]}|{kind}150=0|39=0|55={asked[55]}|54={asked[54]}"
                f"|38={asked[38]}|151={asked[38]}|14=0|6=0|60={utc_timestamp(utc_now())}"
            )
            while not self._over.is_set():
                try:
                    broker.send(text)
                    break
                except AssertionError:  # logged out meanwhile
                    time.sleep(LOOK)

    def trade(self, cl_ord_id: str) -> float:
        """Send an order as soon as the client is logged on, again after each cut; when it was accepted (monotonic).

        An order that was sent and not answered before a cut is asked for by the session protocol, not sent again.
        """
        text = f"35=D|11={cl_ord_id}|1=FUND1|55=AAPL|54=1|38=100|40=2|44=150|59=0"
        deadline = time.monotonic() + SECONDS
        sent = False
        while time.monotonic() < deadline:
            try:
                if not sent:
                    self.client.send(text)
                    sent = True
                told = self.client.expect("8", 0.05, ClOrdID=cl_ord_id)
            except AssertionError:  # logged out, or no answer yet
                time.sleep(LOOK)
                continue
            if told[39] == "8":  # no broker was logged on yet: refused at once, and asked anew
                sent, cl_ord_id = False, f"{cl_ord_id}x"
                text = text.replace(f"11={cl_ord_id[:-1]}|", f"11={cl_ord_id}|")
                continue
            self.accepted.append(cl_ord_id)
            return time.monotonic()
        raise Failed(f"order {cl_ord_id} was not accepted within {SECONDS:.0f} s")

    # -- gateways ----------------------------------------------------------------------------------------------

    def begin(self, machine: int, *options: str) -> Process:
        """Start a gateway on a machine (0 or 1)."""
        number = len(self._processes) + 1
        config = self.configs[machine]
        self._processes.append(Process(number, config, self.directory / f"gateway{number}.log", *options))
        return self._processes[-1]

    def rows(self, query: str) -> list[Any]:
        """Rows of the ledger."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            return connection.execute(query.encode()).fetchall()

    def until_known(self, standby: Process) -> None:
        """Until a standby waits and the gateway, which renews once a second, knows it."""
        waiting = (
            f"SELECT FROM leases AS held JOIN leases AS one ON one.name <> held.name WHERE held.name = '{GATEWAY}'"
            f" AND NOT one.released AND one.holder LIKE '%process {standby.pid}'"
            " AND held.renewed_at > one.renewed_at"
        )
        until(lambda: standby.ended is not None or bool(self.rows(waiting)), "the standby waits")
        if standby.ended is not None:
            raise Failed(f"the standby ended with {standby.ended}; see the logs in {self.directory}")
