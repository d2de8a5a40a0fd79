"""The demo on its stage: everything started, trading, chaos, and the wait until all is quiet.

Order of start: Postgres, brokers and the gateway at once, then clients; of the end: clients, gateway, brokers,
Postgres. `open` raises OperatorError (nothing was traded yet: a set-up problem), the rest DemoFailure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from pathlib import Path
from types import TracebackType

from oms.config.load import Config, load
from oms.demo import chaos
from oms.demo.chaos import Kill, Moment, Recovery
from oms.demo.interrupts import Interrupts
from oms.demo.place import LOOPBACK, Place, usable
from oms.demo.plan import BROKERS, CLIENTS, Party, plans, write_plans
from oms.demo.processes import Child, DemoFailure, Processes
from oms.demo.progress import Progress
from oms.errors import OperatorError
from oms.ledger import queries
from oms.ledger.database import Engine, is_gateway_running, open_database, open_ledger
from oms.ledger.embedded import EmbeddedPostgres
from oms.ledger.records import SessionActivity
from oms.ledger.remedies import database_errors
from oms.sim.matching import read_instruments

GATEWAY = "gateway"
START_SECONDS = 120.0  # initdb and migrations on a slow machine
TRADING_SECONDS = 10  # wanted length of the trading, where the rates allow it
SLOWEST, FASTEST = 5.0, 100.0  # orders a second of one client
STEADY_RATE = 0.4  # orders a second of one client, with --stay
STEADY_ORDERS = 20_000
IDLE_SECONDS = 30.0
SLACK_SECONDS = 60.0  # over what trading should take
RECOVERY_SECONDS = 60.0
QUIET_SECONDS, QUIET_LOOK = 30.0, 0.7


@dataclass(frozen=True, slots=True)
class Options:
    """What a run is to be."""

    directory: Path
    orders: int
    seed: int
    chaos: bool = False
    stay: bool = False

    def planned(self) -> dict[str, int]:
        """How many orders each client sends."""
        first = (self.orders + 1) // 2
        return {CLIENTS[0].name: first, CLIENTS[1].name: self.orders - first}

    @property
    def rate(self) -> float:
        """Orders a second of one client."""
        return min(max(self.orders / len(CLIENTS) / TRADING_SECONDS, SLOWEST), FASTEST)


@dataclass(slots=True)
class Traded:
    """What came of the trading, before anything is compared: recoveries, and what did not go as it must."""

    recoveries: list[Recovery] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


class Stage:
    """One run's processes and its ledger; a context manager that ends everything it started."""

    def __init__(self, place: Place, options: Options, progress: Progress, interrupts: Interrupts) -> None:
        self.place = place
        self.options = options
        self.engine: Engine  # on the ledger, read-only; this and what follows are there after `open`
        self._config: Config
        self._url: str
        self._progress = progress
        self._interrupts = interrupts
        self._exit = ExitStack()
        self._ready = place.directory / "gateway.ready"

    def __enter__(self) -> Stage:
        # Postgres is entered last and must outlive the processes, so it gets its place below them now.
        self._postgres = self._exit.enter_context(ExitStack())
        self._processes = self._exit.enter_context(Processes(self.place, self._interrupts))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.done()
        self._exit.__exit__(kind, error, trace)

    # -- set-up --------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Start everything and wait until clients and brokers are logged on. Raises OperatorError."""
        self._progress.say("set-up: configuration, embedded Postgres, gateway, two brokers, two clients")
        try:
            self.place.write()
            self._write_orders(0)
            for broker in BROKERS:
                self._start_broker(broker.name, broker.version)
            self._start_gateway()
            self._config = load(self.place.config)
            self._url = self._postgres.enter_context(open_database(self._config))
            self._until(self._gateway_is_open, START_SECONDS, "the gateway to open")
            self.engine = self._postgres.enter_context(open_ledger(self._config))
            self._until(lambda: self._logged_on(BROKERS), START_SECONDS, "the brokers' sessions to log on")
            self._start_clients(self.options.rate)
            self._until(lambda: self._logged_on(CLIENTS), START_SECONDS, "the clients' sessions to log on")
        except DemoFailure as error:
            raise OperatorError(f"the demo could not be set up: {error}") from error

    def _write_orders(self, more: int) -> None:
        instruments = read_instruments(self.place.instruments)
        for client in CLIENTS:
            number = self.options.planned()[client.name] + more
            wanted = islice(plans(client, self.options.seed, instruments), number)
            with usable(self.place.directory):
                write_plans(self._orders(client.name), wanted)

    def _orders(self, client: str) -> Path:
        return self.place.directory / f"orders-{client}.csv"

    def _start_broker(self, name: str, version: str) -> None:
        arguments = ["sim", "broker", *self._simulator(name, version, self.place.ports[name])]
        self._processes.start(name, *arguments, "--behaviour", str(self.place.behaviour))

    def _start_clients(self, rate: float) -> None:
        for client in CLIENTS:
            arguments = ["sim", "client", *self._simulator(client.name, client.version, self.place.ports["clients"])]
            arguments += ["--host", LOOPBACK, "--orders", str(self._orders(client.name)), "--rate", str(rate)]
            # Longer than the demo itself waits, so that it decides and not the clients.
            arguments += ["--reconnect-timeout", str(2 * RECOVERY_SECONDS)]
            arguments += ["--idle-timeout", str(IDLE_SECONDS), "--until-stopped"]
            self._processes.start(client.name, *arguments)

    def _simulator(self, name: str, version: str, port: int) -> list[str]:
        values = ["--name", name, "--version", version, "--port", str(port), "--seed", str(self.options.seed)]
        return [*values, "--dir", str(self.place.record(name)), "--symbols", str(self.place.instruments), "--json"]

    def _start_gateway(self) -> Child:
        arguments = ("run", "--config", str(self.place.config), "--ready-file", str(self._ready))
        return self._processes.start(GATEWAY, *arguments)

    def _gateway_is_open(self) -> bool:
        try:
            return int(self._ready.read_text()) == self._processes.children[GATEWAY].process.pid
        except (FileNotFoundError, ValueError):
            return False

    def _logged_on(self, parties: Sequence[Party], since: datetime | None = None) -> bool:
        """Whether the ledger has them all logged on, by a logon after `since`."""
        positions = [one.position for one in self._sessions()]
        on = {one.session for one in positions if one.logged_on and (since is None or one.changed_at > since)}
        return on >= {party.name for party in parties}

    def _sessions(self) -> list[SessionActivity]:
        return queries.list_sessions(self.engine, self._config.gateway.trade_date(datetime.now(UTC)))

    def _until(self, reached: Callable[[], bool], seconds: float, what: str) -> None:
        self._processes.wait_until(reached, seconds, what, self._show)

    def _show(self) -> None:
        self._progress.show(self._processes.children, self.options.planned())

    # -- trading -------------------------------------------------------------------------------------------

    def trade(self) -> Traded:
        """Wait until the clients have finished, killing what chaos wants killed; then until all is quiet."""
        options, traded = self.options, Traded()
        rate = options.rate * len(CLIENTS)
        self._progress.say(f"trading: {options.orders} orders, {rate:.0f} a second, seed {options.seed}")
        kills = chaos.kills(options.seed) if options.chaos else []
        seconds = options.orders / rate + SLACK_SECONDS + len(kills) * RECOVERY_SECONDS
        moment = Moment.now()
        for kill in kills:
            self._until(partial(self._have_sent, kill.share), seconds - moment.seconds, "orders to be sent")
            traded.recoveries.append(self._recover_from(kill))
        try:
            self._until(self._finished, seconds - moment.seconds, "the clients' orders to end")
            self._progress.say("all orders have ended; waiting until nothing is under way")
            self._wait_for_quiet()
        except DemoFailure as error:
            self._processes.check()
            traded.problems.append(str(error))
        self._progress.done()
        traded.problems += self._complaints()
        return traded

    def _clients(self) -> list[Child]:
        return [self._processes.children[client.name] for client in CLIENTS]

    def _orders_sent(self) -> int:
        return sum(int(child.status.get("counts", {}).get("orders", 0)) for child in self._clients())

    def _have_sent(self, share: float) -> bool:
        return self._orders_sent() >= share * self.options.orders

    def _finished(self) -> bool:
        return all(child.status.get("state") == "finished" for child in self._clients())

    def _complaints(self) -> list[str]:
        """What the simulators say went wrong inside them, and orders that did not end."""
        found: list[str] = []
        for child in self._processes.children.values():
            found += [f"{child.name}: {text}" for text in child.status.get("failures", [])]
            if unfinished := child.status.get("unfinished"):
                found.append(f"{child.name}: orders without an end: {', '.join(unfinished)}")
        return found

    def _wait_for_quiet(self) -> None:
        """Two looks at the ledger some time apart show the same, with nothing waiting to leave on any side."""
        begun = looked = Moment.now()
        before: list[SessionActivity] = []

        def quiet() -> bool:
            nonlocal before, looked
            if looked.seconds < QUIET_LOOK:
                return False
            now = self._sessions()
            same = now == before and not any(one.waiting for one in now)
            fresh = [child for child in self._simulators() if child.seen > begun.monotonic]
            idle = all(not child.status.get("queued") and not child.status.get("in_flight") for child in fresh)
            before, looked = now, Moment.now()
            return same and idle and len(fresh) == len(CLIENTS) + len(BROKERS)

        self._until(quiet, QUIET_SECONDS, "all sessions to be quiet")

    def _simulators(self) -> Iterator[Child]:
        return (self._processes.children[party.name] for party in (*CLIENTS, *BROKERS))

    # -- chaos ---------------------------------------------------------------------------------------------

    def _recover_from(self, kill: Kill) -> Recovery:
        sent, moment = self._orders_sent(), Moment.now()
        self._progress.say(f"chaos: SIGKILL to the {kill.victim} after {sent} orders")
        if kill.victim == GATEWAY:
            open_seconds = self._kill_gateway(moment)
        else:
            open_seconds = self._kill_postgres(moment)
        recovery = Recovery(kill.victim, moment.at, sent, open_seconds, moment.seconds)
        self._progress.say(f"chaos: recovered, all sessions are logged on after {recovery.logged_on_seconds:.1f} s")
        return recovery

    def _kill_gateway(self, moment: Moment) -> float:
        """Kill it, start it again, wait for the sessions; returns the seconds until it was open."""
        self._processes.kill(GATEWAY)
        self._start_gateway()
        self._until(self._gateway_is_open, RECOVERY_SECONDS, "the gateway to open again")
        open_seconds = moment.seconds
        parties = (*CLIENTS, *BROKERS)
        self._until(lambda: self._logged_on(parties, moment.at), RECOVERY_SECONDS, "the sessions to log on again")
        return open_seconds

    def _kill_postgres(self, moment: Moment) -> float:
        """Kill the server under the running gateway, which must start it again; returns the seconds until it runs."""
        server = EmbeddedPostgres(self.place.postgres)
        killed = chaos.kill_postgres(server)

        def runs_again() -> bool:
            now = server.postmaster()
            return now is not None and now.pid != killed

        self._until(runs_again, RECOVERY_SECONDS, "the gateway to start its Postgres again")
        open_seconds = moment.seconds
        self._until(self._gateway_has_its_ledger, RECOVERY_SECONDS, "the gateway to have its ledger again")
        return open_seconds

    def _gateway_has_its_ledger(self) -> bool:
        try:
            with database_errors(self._url):
                return is_gateway_running(self.engine)
        except OperatorError:  # not reachable yet
            return False

    # -- afterwards ----------------------------------------------------------------------------------------

    def stay(self) -> None:
        """Trade on at a low, steady rate until interrupted. Raises DemoFailure where a process ends meanwhile."""
        self._processes.end(*(client.name for client in CLIENTS))
        self._write_orders(STEADY_ORDERS)
        self._start_clients(STEADY_RATE)
        self._processes.wait_until(lambda: False, float("inf"), "to be interrupted")
