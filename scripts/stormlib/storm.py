"""The storm itself: the demo's house with relays on its lines, and the rounds that fall upon it.

Configuration, processes, simulators and the wait for quiet are the demo's. What is added: relays between the gateway
and everybody else, a gateway that may die at any moment without the run being over, and a start that knows at which
step it shall die. SIGKILL goes only to processes of this run, by their number.
"""

from __future__ import annotations

import os
import signal
from collections import Counter
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from functools import partial

import psutil  # type: ignore[import-untyped]
from sqlalchemy import text

from oms.demo.chaos import Moment
from oms.demo.place import free_ports
from oms.demo.plan import BROKERS, CLIENTS
from oms.demo.processes import DemoFailure, Processes
from oms.demo.stage import GATEWAY, START_SECONDS, Stage
from oms.errors import OperatorError
from oms.ledger.embedded import EmbeddedPostgres
from oms.ledger.records import SessionActivity
from oms.ledger.remedies import database_errors
from stormlib.certificates import Certificates
from stormlib.links import Link, close_all
from stormlib.rounds import Round

DIE_SECONDS = 5.0  # a gateway that shall die at a step gets so long after its share is reached
RECOVERY_SECONDS = 90.0
GATEWAYS_CONNECTIONS = text("SELECT pid FROM pg_stat_activity WHERE application_name IN ('oms writer', 'oms reader')")


def spoken(*, tls: bool) -> str:
    """What the lines carry, as relays and verdicts call it."""
    return "TLS" if tls else "plain"


@dataclass(frozen=True, slots=True)
class Start:
    """One start of the gateway after a kill: seconds until it was open, and until all sessions were on again."""

    open_seconds: float
    logged_on_seconds: float


@dataclass(slots=True)
class Happened:
    """What the storm did, and what went wrong besides what the views will say."""

    rounds: list[tuple[Round, str, int]] = field(default_factory=list)  # what was done, after how many orders
    kills: int = 0
    starts: list[Start] = field(default_factory=list)
    postgres_seconds: list[float] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    skipped: int = 0  # rounds for which the time was over


class StormProcesses(Processes):
    """The demo's processes, of which the gateway may be dead."""

    mortal = False
    ends: tuple[int, ...] = (-signal.SIGKILL,)  # exit codes that are no failure of the run then

    def check(self) -> None:
        """Raise DemoFailure where one ended that should not have."""
        gateway = self.children.get(GATEWAY)
        if self.mortal and gateway is not None and gateway.ended in self.ends:
            others = {name: child for name, child in self.children.items() if name != GATEWAY}
            all_children, self.children = self.children, others
            try:
                super().check()
            finally:
                self.children = all_children
            return
        super().check()


class Storm(Stage):
    """The stage of one storm."""

    orders_a_second = 100.0
    tls = False  # every session, of clients and of brokers

    def __enter__(self) -> Storm:
        self.place.breakers = False
        self._postgres = self._exit.enter_context(ExitStack())
        self._links: dict[str, Link] = {}
        self._exit.callback(lambda: close_all(self._links.values()))
        self._storm_processes = StormProcesses(self.place, self._interrupts)
        self._processes = self._exit.enter_context(self._storm_processes)
        return self

    def _write_orders(self, more: int) -> None:
        """The first thing after the configuration is written: from here on everybody else talks to the relays."""
        if not self._links:
            self._interpose()
            if self.tls:
                self._secure()
        super()._write_orders(more)

    def _secure(self) -> None:
        directory = self.place.directory
        self._certificates = Certificates(directory / "certificates")
        sessions = directory / "sessions.cfg"
        text = sessions.read_text()
        assert "[DEFAULT]\n" in text
        sessions.write_text(text.replace("[DEFAULT]\n", f"[DEFAULT]\n{self._certificates.of_gateway()}", 1))

    def _simulator(self, name: str, version: str, port: int) -> list[str]:
        tls = ["--tls", *map(str, self._certificates.of_simulator(name))] if self.tls else []
        return [*super()._simulator(name, version, port), *tls]

    def lines(self) -> dict[str, int]:
        """Connections that the relays carried, by what was spoken on them: TLS or plain."""
        return dict(sum((link.carried for link in self._links.values()), Counter()))

    def other_lines(self) -> list[str]:
        """A problem, where a line was not what it should be."""
        wanted = spoken(tls=self.tls)
        others = {kind: number for kind, number in self.lines().items() if kind != wanted}
        return [f"the lines should have been {wanted}, but {others} were carried"] if others else []

    def _interpose(self) -> None:
        ports = self.place.ports
        clients, *brokers = free_ports(1 + len(BROKERS))
        self._links["clients"] = Link(clients, ports["clients"])
        ports["clients"] = clients
        for broker, port in zip(BROKERS, brokers, strict=True):
            self._links[broker.name] = Link(ports[broker.name], port)
            ports[broker.name] = port

    def _start_clients(self, rate: float) -> None:
        super()._start_clients(self.orders_a_second / len(CLIENTS))

    # -- the storm -----------------------------------------------------------------------------------------

    def rage(self, plan: list[Round], seconds: float) -> Happened:
        """Let the rounds fall while the clients trade, then wait until all is quiet. `seconds` bounds the whole."""
        happened = Happened()
        began = Moment.now()
        try:
            self._rounds(plan, seconds, began, happened)
            self._until(self._finished, max(seconds - began.seconds, RECOVERY_SECONDS), "the clients' orders to end")
            self._progress.say("all orders have ended; waiting until nothing is under way")
            self._wait_for_quiet()
        except DemoFailure as error:
            happened.problems.append(str(error))
            if self._storm_processes.children[GATEWAY].ended is not None:
                happened.problems.append("the gateway does not run, see the line above")
        self._progress.done()
        happened.problems += [*self._complaints(), *self.other_lines()]
        return happened

    def _rounds(self, plan: list[Round], seconds: float, began: Moment, happened: Happened) -> None:
        for number, one in enumerate(plan):
            if began.seconds > seconds:
                happened.skipped = len(plan) - number
                self._progress.say(f"the time is over: {happened.skipped} rounds are left out")
                break
            following = plan[number + 1] if number + 1 < len(plan) else None
            self._until(
                partial(self._due, one.share),
                max(seconds - began.seconds, 1.0) + RECOVERY_SECONDS,
                "orders to be sent",
            )
            sent = self._orders_sent()
            what = self._strike(one, happened, following)
            happened.kills += one.kills
            happened.rounds.append((one, what, sent))
            self._progress.say(f"{happened.kills} kills, {sent} orders: {what}")

    def _due(self, share: float) -> bool:
        return self._have_sent(share) or self._gateway_died()

    def _gateway_died(self) -> bool:
        return self._processes.children[GATEWAY].ended is not None

    def _strike(self, one: Round, happened: Happened, following: Round | None) -> str:
        """Do what the round says and wait until everybody is back; returns what was done, for people."""
        moment = Moment.now()
        if one.kind == "cut":
            return f"{sum(link.cut() for link in self._links.values())} connections cut"
        if one.kind == "stall":
            name = list(self._links)[int(one.seconds * 10) % len(self._links)]
            self._links[name].stall(one.seconds)
            return f"the line of {name} stalled for {one.seconds:.1f} s"
        if one.kind == "postmaster":
            happened.postgres_seconds.append(self._kill_postgres(moment))
            return f"Postgres killed, running again after {happened.postgres_seconds[-1]:.1f} s"
        if one.kind == "backends":
            return self._kill_backends()
        return self._kill_gateway_of(one, happened, following)

    def _kill_gateway_of(self, one: Round, happened: Happened, following: Round | None) -> str:
        what = self._end_gateway(one)
        if one.kind == "start":
            self._start_gateway()
            with suppress(DemoFailure):  # the time in which it recovers
                self._processes.wait_until(lambda: False, one.seconds, "")
            self._processes.kill(GATEWAY)
            what += f", and again {one.seconds:.1f} s into its start"
        crash_at = following.crash_at if following is not None else ""
        started = Moment.now()
        self._start_to_die(crash_at)
        self._until(lambda: self._gateway_is_open() or self._gateway_died(), START_SECONDS, "the gateway to open")
        open_seconds = started.seconds
        parties = (*CLIENTS, *BROKERS)
        self._until(
            lambda: self._gateway_died() or self._logged_on(parties, started.at),
            RECOVERY_SECONDS,
            "the sessions to log on again",
        )
        if self._gateway_died():
            return f"{what}; it died again in its recovery, at {crash_at}"
        happened.starts.append(Start(open_seconds, started.seconds))
        return f"{what}; open again after {open_seconds:.1f} s, all sessions on after {started.seconds:.1f} s"

    def _start_to_die(self, crash_at: str) -> None:
        """Start the gateway; it inherits the step at which it shall die."""
        if crash_at:
            os.environ["OMS_CRASH_AT"] = crash_at
        try:
            self._start_gateway()
        finally:
            os.environ.pop("OMS_CRASH_AT", None)
        self._storm_processes.mortal = bool(crash_at)

    def _end_gateway(self, one: Round) -> str:
        """By its own hand at the step, or by ours."""
        if one.crash_at:
            with suppress(DemoFailure):
                self._until(self._gateway_died, DIE_SECONDS, "the gateway to die")
            if self._gateway_died():
                self._storm_processes.mortal = False
                return f"the gateway died at {one.crash_at}"
        self._storm_processes.mortal = False
        self._processes.kill(GATEWAY)
        return "gateway killed"

    def _kill_backends(self) -> str:
        """SIGKILL to the gateway's connections: Postgres takes that for a crash and starts itself anew."""
        moment = Moment.now()
        with self.engine.connect() as connection:
            pids = connection.scalars(GATEWAYS_CONNECTIONS).all()
        server = EmbeddedPostgres(self.place.postgres).postmaster()
        ours = {child.pid for child in psutil.Process(server.pid).children()} if server is not None else set()
        victims = sorted(ours.intersection(pids))
        for pid in victims:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._until(lambda: not any(psutil.pid_exists(pid) for pid in victims), RECOVERY_SECONDS, "backends to end")
        self._until(self._gateway_has_its_ledger, RECOVERY_SECONDS, "the gateway to have its ledger again")
        return f"{len(victims)} Postgres connections killed, the ledger is back after {moment.seconds:.1f} s"

    def _sessions(self) -> list[SessionActivity]:
        """As the demo reads them; none while Postgres recovers."""
        try:
            with database_errors(self._url):
                return super()._sessions()
        except OperatorError:
            return []
