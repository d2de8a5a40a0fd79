"""Where a demo lives: one directory with configuration, state, records and logs, made anew by every run.

Only a directory that is absent, empty, or made by an earlier demo (it has the file MARKER) is used; anything else is
refused rather than cleared. The marker is locked while a demo runs. `processes.json` beside it names the processes
under way, so that the next run can end what a killed one left behind: by number and start time, never by name.
"""

from __future__ import annotations

import fcntl
import json
import random
import re
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil  # type: ignore[import-untyped]

from oms.config.templates import write_demo
from oms.demo.plan import BEHAVIOUR, BROKERS
from oms.errors import OperatorError
from oms.ledger.embedded import EmbeddedPostgres

MARKER = ".oms-demo"
LOOPBACK = "127.0.0.1"
# Below the ports that systems give to outgoing connections: nobody borrows one while the gateway is down.
PORTS = range(15_000, 30_000)
PORT_TRIES = 500
END_SECONDS = 5.0


class Place:
    """The demo's directory, while it is locked for this run."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.config = directory / "oms.toml"
        self.instruments = directory / "instruments.csv"
        self.behaviour = directory / "behaviour.toml"
        self.logs = directory / "logs"
        self.postgres = directory / "state" / "postgres"
        self.ports: dict[str, int] = {}
        self.breakers = True  # not where a broker is meant to err: they would open, and end what is to be seen

    def record(self, name: str) -> Path:
        """The directory of a simulator: its record, its FIX store, its summary."""
        return self.directory / "simulators" / name

    def write(self) -> None:
        """The configuration with trading on, on free ports of loopback. Raises OperatorError."""
        names = ("clients", *(broker.name for broker in BROKERS), "metrics")
        self.ports = dict(zip(names, free_ports(len(names)), strict=True))
        with usable(self.directory):
            self.logs.mkdir()
            write_demo(
                self.directory,
                client_port=self.ports["clients"],
                broker_ports=(self.ports[BROKERS[0].name], self.ports[BROKERS[1].name]),
                trading="on",
                metrics_port=self.ports["metrics"],
                after_unclean_stop="trade",  # `--chaos` kills the gateway, and nobody is there to say on
            )
            if not self.breakers:
                self.config.write_text(re.sub(r"(?m)^\[\[breakers\]\]\n(?:.+\n)+", "", self.config.read_text()))
            shutil.copyfile(BEHAVIOUR, self.behaviour)

    def note_processes(self, running: dict[str, tuple[int, float]]) -> None:
        """Keep name, number and start time of the processes under way, for a run after this one."""
        with usable(self.directory):
            (self.directory / "processes.json").write_text(json.dumps(running), encoding="utf-8")


@contextmanager
def opened(directory: Path) -> Iterator[Place]:
    """The directory, empty but for its marker, for as long as the block lasts. Raises OperatorError."""
    marker = directory / MARKER
    with usable(directory):
        if directory.exists() and not marker.exists() and any(directory.iterdir()):
            raise OperatorError(f"{directory} has files that no demo made; name another directory with --dir")
        directory.mkdir(parents=True, exist_ok=True)
        lock = marker.open("a")
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise OperatorError(
                f"a demo is running in {directory}; stop it, or name another directory with --dir"
            ) from None
        place = Place(directory)
        _end_leftovers(place)
        with usable(directory):
            _clear(directory)
        try:
            yield place
        finally:
            _stop_postgres(place)  # one whose start was interrupted belongs to nobody


@contextmanager
def usable(directory: Path) -> Iterator[None]:
    """What the system refuses within the block, as an OperatorError that names the file and the remedy."""
    try:
        yield
    except OSError as error:
        where = error.filename or directory
        raise OperatorError(
            f"{where}: {error.strerror}; name a directory with --dir in which this user may write"
        ) from error


def _end_leftovers(place: Place) -> None:
    """End what a killed demo left running on this directory."""
    found: list[psutil.Process] = []
    with suppress(OSError, ValueError):
        noted = json.loads((place.directory / "processes.json").read_text(encoding="utf-8"))
        for pid, started in noted.values():
            with suppress(psutil.NoSuchProcess):
                process = psutil.Process(pid)
                if process.create_time() == started:
                    found.append(process)
    for process in found:
        with suppress(psutil.NoSuchProcess):
            process.terminate()
    _, alive = psutil.wait_procs(found, timeout=END_SECONDS)
    for process in alive:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(alive, timeout=END_SECONDS)
    _stop_postgres(place)


def _stop_postgres(place: Place) -> None:
    """Stop the embedded server, if it runs and nobody uses it."""
    server = EmbeddedPostgres(place.postgres)
    if server.postmaster() is not None:
        with server:  # joined and left again: the last user stops it
            pass


def _clear(directory: Path) -> None:
    for path in directory.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path.name != MARKER:
            path.unlink()


def free_ports(count: int) -> list[int]:
    """Ports of loopback that nobody uses now. Raises OperatorError."""
    found: list[int] = []
    for port in random.sample(PORTS, PORT_TRIES):
        with socket.socket() as probe, suppress(OSError):
            probe.bind((LOOPBACK, port))
            found.append(port)
        if len(found) == count:
            return found
    raise OperatorError(f"no {count} free ports between {PORTS.start} and {PORTS.stop - 1}; stop what listens there")
