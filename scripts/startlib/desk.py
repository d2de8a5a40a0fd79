"""A desk with a long history: its directory, and one start of its gateway after another, each a process of its own.

A start is measured from the making of the process until it is open (its ready file). What it did meanwhile is in the
report that it wrote itself. Only processes that were started here are ended, by their numbers.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import psutil  # type: ignore[import-untyped]

from oms.config.load import Config, load
from oms.config.templates import write_demo
from oms.errors import OperatorError
from oms.ledger.database import engine, migrate_configured, open_database
from oms.ledger.starts import starts
from startlib.fill import Wanted, fill, in_a_hurry

START_SECONDS = 300.0
STOP_SECONDS = 60.0
LAST_LINES = 5


class StartFailure(Exception):
    """The gateway did not start; the message has its last words."""


@dataclass(frozen=True, slots=True)
class Took:
    """One start: seconds from the process's making to open, its CPU time, each step of the gateway's own report."""

    whole: float
    cpu: float
    steps: dict[str, float]
    facts: dict[str, object]

    @property
    def engine(self) -> float:
        """QuickFIX's own: dictionaries and stores read, sessions opened."""
        return sum(
            seconds for name, seconds in self.steps.items() if name in ("engines", "open brokers", "open clients")
        )

    @property
    def program(self) -> float:
        """Python, imports and configuration, before the first step."""
        return self.whole - sum(self.steps.values())

    @property
    def beyond(self) -> float:
        """All but QuickFIX's own."""
        return self.whole - self.engine


class Desk:
    """A directory with the demo's configuration, an embedded Postgres and message stores."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._log = directory / "gateway.log"
        self._ready = directory / "gateway.ready"
        self.config_file = directory / "oms.toml"

    def make(self, wanted: Wanted, told: Callable[[int], None]) -> None:
        """Write the configuration and fill the ledger; `told` hears how many orders are done."""
        ports = _free_ports(3)
        write_demo(
            self.directory,
            client_port=ports[0],
            broker_ports=(ports[1], ports[2]),
            trading="on",
            after_unclean_stop="trade",
        )
        config = self.config
        with open_database(config) as url:
            migrate_configured(config, url)
            with in_a_hurry(url):
                fill(config, url, wanted, config.gateway.trade_date(datetime.now(UTC)), told)

    @property
    def config(self) -> Config:
        """The configuration, as it is in the directory."""
        return load(self.config_file)

    def start(self, *, kill: bool, cold: bool) -> Took:
        """Start the gateway until it is open, then stop or kill it. `cold`: the database's files are read anew."""
        if cold:
            self._forget_files()
        self._ready.unlink(missing_ok=True)
        command = [sys.executable, "-m", "oms", "run", "--config", str(self.config_file)]
        with self._log.open("ab") as log:
            began = time.monotonic()
            process = subprocess.Popen(
                [*command, "--ready-file", str(self._ready)], stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        try:
            whole = self._await_open(process, began)
            times = psutil.Process(process.pid).cpu_times()
        finally:
            process.send_signal(signal.SIGKILL if kill else signal.SIGTERM)
            process.wait(STOP_SECONDS)
        with open_database(self.config, create=False) as url:  # and ends the server that a kill left
            made = engine(url, read_only=True)
            report = starts(made, 1)[0]
            made.dispose()
        return Took(whole, times.user + times.system, dict(report.steps), report.facts)

    def _await_open(self, process: subprocess.Popen[bytes], began: float) -> float:
        while not self._ready.exists():
            if process.poll() is not None or time.monotonic() - began > START_SECONDS:
                words = "\n".join(self._log.read_text(errors="replace").splitlines()[-LAST_LINES:])
                raise StartFailure(f"the gateway is not open after {time.monotonic() - began:.0f} s:\n{words}")
            time.sleep(0.005)
        return time.monotonic() - began

    def _forget_files(self) -> None:
        """Have the system forget what it keeps in memory of the database's files and the stores, as after a boot."""
        os.sync()
        for path in self.directory.rglob("*"):
            if path.is_file() and not path.is_symlink():
                with closing(path.open("rb")) as file:
                    os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


def made_of(directory: Path, wanted: Wanted, told: Callable[[int], None]) -> Desk:
    """The desk in a directory: filled anew, or as an earlier run left it with the same wishes."""
    desk = Desk(directory)
    note = directory / "filled.json"
    wish = {"finished": wanted.finished, "live": wanted.live, "days": wanted.days}
    if note.exists() and json.loads(note.read_text(encoding="utf-8")) == wish:
        return desk
    if directory.exists() and any(directory.iterdir()):
        raise OperatorError(f"{directory} is not empty and not filled with these orders; name another one with --dir")
    directory.mkdir(parents=True, exist_ok=True)
    desk.make(wanted, told)
    note.write_text(json.dumps(wish), encoding="utf-8")
    return desk
