"""What is measured: the bare relay and the gateway, each as a process with two ports in a directory of its own.

A system starts fresh (no store, no database), so sequence numbers begin at 1. It accepts the client and connects to
the broker, with the CompIDs of benchlib.loadgen. Limits: FIX 4.4, loopback, one client, one broker. Stopping is by
signal to the process started here and bounded in time; the gateway's embedded Postgres is known by postmaster.pid.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil  # type: ignore[import-untyped]

from benchlib import loadgen

SCRIPTS = Path(__file__).resolve().parent.parent
STOP_SECONDS = 30.0
SHOWN_LOG_LINES = 15

OMS_TOML = """[gateway]
name = "bench"
environment = "test"
state_dir = "state"
trading = "on"
after_unclean_stop = "trade"

[limits]
max_order_qty = 10000
max_order_notional = 1000000

[[routes]]
name = "all"
broker = "BROKER"

[metrics]
host = "127.0.0.1"
port = {metrics_port}

[log]
level = "info"
format = "json"
file = "oms.log"
"""
SESSIONS_CFG = """[DEFAULT]
SenderCompID=GATEWAY
ReconnectInterval=1
HeartBtInt=30

[SESSION]
OmsName=CLIENT
ConnectionType=acceptor
BeginString=FIX.4.4
TargetCompID=CLIENT
SocketAcceptPort={client_port}
AllowedRemoteAddresses=127.0.0.1

[SESSION]
OmsName=BROKER
ConnectionType=initiator
BeginString=FIX.4.4
TargetCompID=BROKER
SocketConnectHost=127.0.0.1
SocketConnectPort={broker_port}
"""
INSTRUMENTS_CSV = f"""symbol,security_exchange,currency,tick_size,lot_size,reference_price
{loadgen.SYMBOL},XNAS,USD,0.01,1,{loadgen.PRICE}
"""
ACCOUNTS_CSV = f"""account,clients,active
{loadgen.ACCOUNT},CLIENT,Y
"""


class BenchError(RuntimeError):
    """The benchmark cannot go on; the message says why and what to do."""


@dataclass(frozen=True)
class Usage:
    """CPU seconds used since the process began, and resident bytes now."""

    cpu_seconds: float = 0.0
    resident_bytes: int = 0

    @classmethod
    def of(cls, processes: list[psutil.Process]) -> Usage:
        """Sum over processes, with the CPU time of their children that have ended."""
        cpu, resident = 0.0, 0
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                times = process.cpu_times()
                cpu += times.user + times.system + times.children_user + times.children_system
                resident += process.memory_info().rss
        return cls(cpu, resident)


def free_port() -> int:
    """A TCP port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def tree(pid: int) -> list[psutil.Process]:
    """A process and what it started; empty where it has ended."""
    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


class System:
    """A system under test; a context manager that starts and stops it."""

    name = ""
    start_seconds = 30.0

    def __init__(self) -> None:
        self.client_port = free_port()
        self.broker_port = free_port()
        self.directory = Path(tempfile.mkdtemp(prefix=f"oms-bench-{self.name}-"))
        self._process: subprocess.Popen[bytes] | None = None
        self._output = self.directory / "output.txt"

    def command(self) -> list[str]:
        """Prepare the directory; returns the command to run in it."""
        raise NotImplementedError

    def usage(self) -> Usage:
        """What the system's own process uses."""
        return Usage.of(tree(self._process.pid)) if self._process else Usage()

    def database_usage(self) -> Usage:
        """What its database server uses; nothing where it has none."""
        return Usage()

    def check_alive(self) -> None:
        """Raises BenchError with the end of the system's output where it has ended."""
        if self._process is not None and (code := self._process.poll()) is not None:
            raise BenchError(f"the {self.name} ended with exit code {code}; its last output:\n{self.last_output()}")

    def last_output(self) -> str:
        """The last lines that the system wrote."""
        if not self._output.exists():
            return "(none)"
        lines = self._output.read_text(errors="replace").splitlines()
        return "\n".join(lines[-SHOWN_LOG_LINES:]) or "(none)"

    def __enter__(self) -> Self:
        environment = os.environ | {"PYTHONPATH": str(SCRIPTS)}
        with self._output.open("wb") as output:
            self._process = subprocess.Popen(
                self.command(),
                cwd=self.directory,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        process = self._process
        if process is not None:
            if process.stdin is not None:
                process.stdin.close()
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(STOP_SECONDS)
        self.clean_up()
        shutil.rmtree(self.directory, ignore_errors=True)

    def clean_up(self) -> None:
        """End what the process left running."""


class Relay(System):
    """The baseline: benchlib.relay."""

    name = "relay"

    def command(self) -> list[str]:
        """The relay on this interpreter."""
        ports = ["--client-port", str(self.client_port), "--broker-port", str(self.broker_port)]
        return [sys.executable, "-m", "benchlib.relay", *ports, "--directory", str(self.directory)]


class Gateway(System):
    """``oms run`` with everything on: embedded Postgres, metrics endpoint, limits, JSON log in a file."""

    name = "gateway"
    start_seconds = 180.0  # the embedded Postgres makes its data directory first

    def command(self) -> list[str]:
        """Write the configuration; returns ``oms run`` on it."""
        ports = {"client_port": self.client_port, "broker_port": self.broker_port, "metrics_port": free_port()}
        for name, text in (
            ("oms.toml", OMS_TOML.format(**ports)),
            ("sessions.cfg", SESSIONS_CFG.format(**ports)),
            ("instruments.csv", INSTRUMENTS_CSV),
            ("accounts.csv", ACCOUNTS_CSV),
        ):
            (self.directory / name).write_text(text, encoding="utf-8")
        (self.directory / "fix_specs").mkdir()
        (self.directory / "oms.toml").chmod(0o600)
        return [str(self.program()), "run", "--config", str(self.directory / "oms.toml")]

    @staticmethod
    def program() -> Path:
        """The ``oms`` command beside this interpreter. Raises BenchError where there is none."""
        program = Path(sys.executable).with_name("oms")
        if not program.exists():
            raise BenchError(
                f"{program} is missing; run scripts/setup, or measure the baseline alone: --system relay"
            )
        return program

    def usage(self) -> Usage:
        """The gateway's process and its children, without the database server's."""
        servers = {process.pid for process in self._servers()}
        own = tree(self._process.pid) if self._process else []
        return Usage.of([process for process in own if process.pid not in servers])

    def database_usage(self) -> Usage:
        """The embedded Postgres server and its backends."""
        return Usage.of(self._servers())

    def last_output(self) -> str:
        """The last lines of the gateway's log, then what it wrote to the terminal."""
        log = self.directory / "oms.log"
        logged = log.read_text(errors="replace").splitlines()[-SHOWN_LOG_LINES:] if log.exists() else []
        return "\n".join([*logged, super().last_output()])

    def clean_up(self) -> None:
        """Stop an embedded Postgres that outlived the gateway."""
        servers = self._servers()
        for server in servers[:1]:
            with suppress(psutil.NoSuchProcess):
                server.send_signal(2)  # SIGINT to the postmaster: fast shutdown
        psutil.wait_procs(servers, timeout=STOP_SECONDS)

    def _servers(self) -> list[psutil.Process]:
        """The postmaster on this directory's data, first, and its children."""
        for path in self.directory.rglob("postmaster.pid"):
            with suppress(OSError, ValueError, IndexError):
                pid = int(path.read_text().splitlines()[0])
                processes = tree(pid)
                # A number may have been given to a stranger: the server names its data directory.
                if processes and str(path.parent) in processes[0].cmdline():
                    return processes
        return []


SYSTEMS: dict[str, type[System]] = {Relay.name: Relay, Gateway.name: Gateway}
