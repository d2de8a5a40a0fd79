"""The gateway of `oms certify`: a process of its own on an embedded Postgres, and the counterparties in this one.

Everything lives in one directory, made anew by every run, and ends with the `with` block, however it ends. The
first trading day lasts until shortly after the start, or, where the gateway is to be killed, until the first kill.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import ExitStack
from datetime import UTC, date, datetime, time, timedelta
from types import TracebackType

from oms.certify import place as files
from oms.certify.line import Line
from oms.certify.player import Market
from oms.certify.versions import Pair
from oms.config.load import Config, load
from oms.demo.interrupts import Interrupts
from oms.demo.place import Place, free_ports, usable
from oms.demo.processes import Child, DemoFailure, Processes
from oms.errors import OperatorError
from oms.ledger import queries
from oms.ledger.database import Engine, open_database, open_ledger
from oms.sim.peer import stop_all

_GATEWAY = "gateway"
_START_SECONDS = 120.0  # initdb and migrations on a slow machine
_LOGON_SECONDS = 60.0
_MIDNIGHT, _LAST_SECOND = time(0, 0), time(23, 59, 59)


class OwnGateway:
    """A `certification.Stage`. The first trading day ends after `day_seconds`, or at the first kill where None."""

    def __init__(
        self, place: Place, interrupts: Interrupts, pairs: Iterable[Pair], day_seconds: float | None
    ) -> None:
        self.ledger: Engine
        self._place = place
        self._pairs = list(pairs)
        self._versions = sorted({version for pair in self._pairs for version in pair})
        day_after = datetime.now(UTC) + timedelta(seconds=day_seconds or 0)
        self._first_day = day_after.date() - timedelta(days=1)
        self._rollover = _LAST_SECOND if day_seconds is None else day_after.time()
        self._ready = place.directory / "gateway.ready"
        self._lines: dict[str, Line] = {}
        self._ports: dict[str, int] = {}
        self._exit = ExitStack()
        self._processes = Processes(place, interrupts)

    def __enter__(self) -> OwnGateway:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for line in self._lines.values():
            if line.logged_on:
                line.disconnect()  # a cut line needs no Logout(5), which takes an engine a second
        self._exit.callback(stop_all, *self._lines.values())
        self._exit.enter_context(self._processes)
        self._exit.__exit__(kind, error, trace)

    # -- set-up ------------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Start everything and wait until every session is logged on. Raises OperatorError."""
        brokers = [files.session_name("broker", version) for version in self._versions]
        self._ports = dict(zip(("client", *brokers), free_ports(1 + len(brokers)), strict=True))
        with usable(self._place.directory):
            self._place.logs.mkdir()
        try:
            self._write()
            for role in files.ROLES:
                for version in self._versions:
                    self._make_line(role, version)
            self._start_lines("broker")
            self._start_gateway()
            config = load(self._place.config)
            self._exit.enter_context(open_database(config))  # outlives the gateway that is killed
            self._wait(self._is_open, _START_SECONDS, "the gateway to open")
            self.ledger = self._exit.enter_context(open_ledger(config))
            self._start_lines("client")
            self._wait_logged_on(datetime.now(UTC) - timedelta(days=1), config)
        except (DemoFailure, AssertionError) as error:
            raise OperatorError(f"the gateway to be certified could not be set up: {error}") from error

    def _write(self) -> Config:
        with usable(self._place.directory):
            return load(files.write(self._place.directory, self._versions, self._ports, self._rollover))

    def _make_line(self, role: str, version: str) -> None:
        name = files.session_name(role, version)
        direction, port = ("initiator", "client") if role == "client" else ("acceptor", name)
        self._lines[name] = Line(
            direction, version, name, files.COMP_ID, self._ports[port], self._place.directory / "peers" / name
        )

    def _start_lines(self, role: str) -> None:
        for version in self._versions:
            self.line(role, version).start()

    def _start_gateway(self) -> Child:
        arguments = ("run", "--config", str(self._place.config), "--ready-file", str(self._ready))
        return self._processes.start(_GATEWAY, *arguments)

    def _is_open(self) -> bool:
        try:
            return int(self._ready.read_text()) == self._processes.children[_GATEWAY].process.pid
        except (FileNotFoundError, ValueError):
            return False

    def _wait_logged_on(self, since: datetime, config: Config) -> None:
        """Both ends know that every session is up: until the ledger has it, the gateway would not route."""
        for line in self._lines.values():
            line.wait_logged_on(_LOGON_SECONDS)

        def all_on() -> bool:
            today = config.gateway.trade_date(datetime.now(UTC))
            positions = [one.position for one in queries.list_sessions(self.ledger, today)]
            on = {one.session for one in positions if one.logged_on and one.changed_at > since}
            return on >= set(self._lines)

        self._wait(all_on, _LOGON_SECONDS, "the sessions to log on")

    def _wait(self, reached: Callable[[], bool], seconds: float, what: str) -> None:
        self._processes.wait_until(reached, seconds, what)

    # -- certification.Stage -----------------------------------------------------------------------------------

    def market(self, pair: Pair) -> Market:
        """What is traded in a pair."""
        return Market(files.account(pair.broker), files.SYMBOL, self._first_day)

    def line(self, role: str, version: str) -> Line:
        """The client's or the broker's session of a version."""
        return self._lines[files.session_name(role, version)]

    def check(self) -> None:
        """Raise DemoFailure where the gateway has ended by itself."""
        self._processes.check()

    def kill(self) -> None:
        """kill -9 and start again; the next trading day has begun by then."""
        killed_at = datetime.now(UTC)
        self._processes.kill(_GATEWAY)
        for line in self._lines.values():
            line.wait_logged_out(_LOGON_SECONDS)
        self._rollover = _MIDNIGHT
        config = self._write()
        self._start_gateway()
        self._wait(self._is_open, _START_SECONDS, "the gateway to open again")
        self._wait_logged_on(killed_at, config)

    def next_day(self) -> None:
        """Wait until the gateway's own clock is past the end of its first trading day."""
        config = load(self._place.config)

        def begun() -> bool:
            today: date = config.gateway.trade_date(datetime.now(UTC))
            return today > self._first_day

        self._wait(begun, _START_SECONDS, "the next trading day")
