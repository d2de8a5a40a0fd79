"""The matrix: one house of processes, one cell after another, each with orders of its own and a verdict of its own.

A cell begins when all is quiet. The clients get new orders; when a part of them has been sent the cell breaks what it
breaks, with orders, fills, cancels and replaces under way, and sees to it that the house runs again; when all is
quiet again the three views are compared, the chain is verified and the journal replayed.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import psutil  # type: ignore[import-untyped]

from matrixlib.breakages import Breakages
from matrixlib.cells import Cell
from matrixlib.pgproxy import PgProxy
from matrixlib.place import killer, mount_state
from oms.demo.chaos import Moment
from oms.demo.comparison import compare
from oms.demo.place import free_ports
from oms.demo.plan import BROKERS, CLIENTS
from oms.demo.processes import DemoFailure
from oms.demo.stage import GATEWAY, START_SECONDS
from oms.demo.views import read_views
from oms.ledger.embedded import EmbeddedPostgres
from oms.ledger.replay import verify_tables
from oms.ledger.verify import verify_chain
from stormlib.links import Link
from stormlib.storm import RECOVERY_SECONDS
from stormlib.verdict import Verdict, judge

SHARE = 0.35  # of a cell's orders, at which it breaks
DIE_SECONDS = 20.0
TRADE_SECONDS = 60.0
HALTED = 1
LINE_BUFFER = 8192
# Fewer than a cell's clients ask for, and enough for all of it within TRADE_SECONDS.
LIMIT = "\n[outbound]\nmax_messages_per_second = 10\nburst = 1\nmax_wait_seconds = 60\n\n[tags]\n"
STORE_ROOM = 200  # bytes that a full disk still takes: no whole message
LIVED = {"body": 50, "header": 50, "seqnums": 120}  # a store's writes that the gateway survives: logons have some
CANNOT = {
    "fill_disk": "needs root and unshare(1), for a file system of its own",
    "die_in_store": "needs Linux and a C compiler",
}


@dataclass(frozen=True, slots=True)
class Played:
    """What came of a cell. `seconds` is the time from the breakage until all sessions were on again."""

    cell: Cell
    what: str
    seconds: float
    orders: int
    fills: int
    verdict: Verdict | None
    problems: tuple[str, ...] = ()
    skipped: str = ""

    @property
    def ok(self) -> bool:
        """Whether every promise held."""
        return bool(self.skipped) or (not self.problems and self.verdict is not None and self.verdict.ok)


class Matrix(Breakages):
    """The stage of one matrix."""

    def __enter__(self) -> Matrix:
        super().__enter__()
        self._storm_processes.mortal = True
        self._written = 0  # orders before those of the cell under way
        self._fifo = self.place.directory / "crash_at"
        self._base = self.options
        return self

    def _interpose(self) -> None:
        """The first thing after the configuration is written: relays, heartbeats, small buffers, a small disk."""
        ports = self.place.ports
        clients, *brokers = free_ports(1 + len(BROKERS))
        self._links["clients"] = Link(clients, ports["clients"], buffer=LINE_BUFFER)
        ports["clients"] = clients
        for broker, port in zip(BROKERS, brokers, strict=True):
            self._links[broker.name] = Link(ports[broker.name], port, buffer=LINE_BUFFER)
            ports[broker.name] = port
        directory = self.place.directory
        self._replace("sessions.cfg", "HeartBtInt=30\n", f"HeartBtInt=5\nSocketSendBufferSize={LINE_BUFFER}\n")
        self._replace("oms.toml", "[gateway]\n", "[gateway]\nstalled_line_seconds = 2\n")
        for file in (directory / "fix_specs").glob("*.toml"):
            text = re.sub(r"resend_window_seconds = \d+", "resend_window_seconds = 60", file.read_text())
            file.write_text(re.sub(r"(acknowledge|answer)_seconds = \d+", r"\1_seconds = 60", text))
        os.mkfifo(self._fifo)
        state = directory / "state"
        self.has_small_disk = mount_state(state, directory / "stores")
        os.environ["OMS_CRASH_AT"] = f"@{self._fifo}"
        self._exit.callback(os.environ.pop, "OMS_CRASH_AT", None)

    def _replace(self, name: str, before: str, after: str) -> None:
        path = self.place.directory / name
        text = path.read_text()
        assert before in text, (name, before)
        path.write_text(text.replace(before, after, 1))

    def open(self) -> None:
        """Start everything, and let the first orders end with nothing broken. Raises OperatorError."""
        super().open()
        self._until(self._finished, TRADE_SECONDS, "the first orders to end")
        self._wait_for_quiet()

    # -- one cell ------------------------------------------------------------------------------------------

    def play(self, cell: Cell) -> Played:
        """Play a cell, from quiet to quiet. Raises DemoFailure where the house does not come back."""
        if why := self._cannot(cell):
            return Played(cell, "", 0.0, 0, 0, None, skipped=why)
        before = self._counts()
        problems: list[str] = []
        what, seconds = "", 0.0
        self.log_from = self._processes.children[GATEWAY].log.stat().st_size
        with self._prepared(cell):
            self._trade(cell)
            moment = Moment.now()
            try:
                what = getattr(self, cell.act)(cell.argument)
                self._until(self._all_on, RECOVERY_SECONDS, "all sessions to be logged on")
                seconds = moment.seconds
                self._until(self._finished, TRADE_SECONDS, "the clients' orders to end")
                self._wait_for_quiet()
            except DemoFailure as error:
                problems.append(str(error))
            problems += [*self._complaints(), *self.other_lines()]
        verdict = self._judged(problems)
        orders, fills = (now - then for now, then in zip(self._counts(), before, strict=True))
        return Played(cell, what, seconds, orders, fills, verdict, tuple(problems))

    def _cannot(self, cell: Cell) -> str:
        if cell.act == "fill_disk" and not self.has_small_disk:
            return CANNOT[cell.act]
        if cell.act == "die_in_store" and killer(self.place.directory) is None:
            return CANNOT[cell.act]
        return ""

    def _judged(self, problems: list[str]) -> Verdict:
        views = read_views(self.place, self.engine)
        chain = verify_chain(self.engine)
        replay = verify_tables(self.engine) if chain.ok else None
        return judge(views, compare(views), chain, replay, problems)

    def _counts(self) -> tuple[int, int]:
        with self.statements() as here:
            found = here.execute(
                b"SELECT (SELECT count(*) FROM client_orders), (SELECT count(*) FROM fills)"
            ).fetchone()
        assert found is not None
        return int(found[0]), int(found[1])

    def _trade(self, cell: Cell) -> None:
        """New orders for the clients, until a part of them has been sent."""
        self._processes.end(*(client.name for client in CLIENTS))
        self._written += self.options.orders // len(CLIENTS)
        self.options = replace(self._base, orders=cell.orders or self._base.orders)
        self._write_orders(self._written)
        since = Moment.now()
        rate = self.orders_a_second
        self.orders_a_second = cell.rate or rate
        self._start_clients(0.0)
        self.orders_a_second = rate
        self._until(
            lambda: self._logged_on(CLIENTS, since.at) or self._gateway_died(),
            RECOVERY_SECONDS,
            "the clients to log on",
        )
        self._until(lambda: self._have_sent(SHARE) or self._gateway_died(), TRADE_SECONDS, "orders to be sent")

    def _all_on(self) -> bool:
        return self._logged_on((*CLIENTS, *BROKERS))

    @contextmanager
    def _prepared(self, cell: Cell) -> Iterator[None]:
        """The gateway as the cell needs it, and as the others need it afterwards."""
        if cell.act in ("lose_answer", "lose_commit"):
            with self._behind_proxy():
                yield
        elif cell.act == "die_throttled":
            with self._throttled():
                yield
        elif cell.act == "die_in_store":
            library = killer(self.place.directory)
            self._kill_gateway_now()
            self._begin(LD_PRELOAD=str(library), OMS_KILL_AFTER=f"{cell.argument}:{LIVED[cell.argument]}")
            yield
        else:
            yield

    # -- the gateway dies ----------------------------------------------------------------------------------

    def _kill_gateway_now(self) -> None:
        self._processes.kill(GATEWAY)

    def _begin(self, **environment: str) -> float:
        """Start the gateway and wait until it is open and all sessions are on; returns the seconds that took."""
        before = {name: os.environ.get(name) for name in environment}
        os.environ.update(environment)
        moment = Moment.now()
        try:
            self._start_gateway()
        finally:
            for name, value in before.items():
                os.environ.pop(name) if value is None else os.environ.update({name: value})
        self._storm_processes.mortal = False
        try:
            self._until(self._gateway_is_open, START_SECONDS, "the gateway to open")
            self._until(
                lambda: self._logged_on((*CLIENTS, *BROKERS), moment.at), RECOVERY_SECONDS, "the sessions to log on"
            )
        finally:
            self._storm_processes.mortal = True
        return moment.seconds

    def _die(self, seconds: float = DIE_SECONDS) -> None:
        self._until(self._gateway_died, seconds, "the gateway to die")

    def die_at(self, told: str) -> str:
        """It dies at a step while it trades, and is started again."""
        self._fifo.write_text(told)
        self._die()
        return f"died at {told}, all sessions on {self._begin():.1f} s after its start"

    @contextmanager
    def _throttled(self) -> Iterator[None]:
        """Brokers that take so few messages a second that some always wait."""
        dialects = {file: file.read_text() for file in (self.place.directory / "fix_specs").glob("*.toml")}
        for file, text in dialects.items():
            file.write_text(text.replace("\n[tags]\n", LIMIT, 1))
        self._kill_gateway_now()
        self._begin()
        try:
            yield
        finally:
            for file, text in dialects.items():
                file.write_text(text)
            self._kill_gateway_now()
            self._begin()

    def die_throttled(self, told: str) -> str:
        """It dies at a step of a sender while messages wait for their turn."""
        return self.die_at(told)

    def die_while_settling(self, told: str) -> str:
        """It loses its ledger in the middle of a commit, and dies when it has looked what became of it."""
        self._fifo.write_text(told)
        while not self._gateway_died():
            self._end_ours()
            with suppress(DemoFailure):
                self._die(1.0)
        return f"connections ended, died at {told}, all sessions on {self._begin():.1f} s after its start"

    def die_while_catching_up(self, told: str) -> str:
        """It dies when a session that comes back has read from the ledger what is waiting for it."""
        self._fifo.write_text(told)
        self.cut_all("")
        self._die()
        return f"lines cut, died at {told}, all sessions on {self._begin():.1f} s after its start"

    def die_in_start(self, told: str) -> str:
        """It is killed while it trades, dies at a step of its start, and is started once more."""
        self._kill_gateway_now()
        os.environ["OMS_CRASH_AT"] = told
        try:
            self._start_gateway()
        finally:
            os.environ["OMS_CRASH_AT"] = f"@{self._fifo}"
        self._die(START_SECONDS)
        return f"killed, died again at {told}, all sessions on {self._begin():.1f} s after its start"

    def die_in_store(self, ending: str) -> str:
        """It dies right after a write of a message store."""
        self._die()
        return f"died after a write of a store's {ending}, all sessions on {self._begin():.1f} s after its start"

    def fill_stores(self, _: str) -> str:
        """The message stores have no room left: it halts and says so; there is room again when it is started."""
        bodies = [file.stat().st_size for file in (self.place.directory / "state" / "fix_store").glob("*.body")]
        self._storm_processes.ends = (*self._storm_processes.ends, HALTED)
        process = psutil.Process(self._processes.children[GATEWAY].process.pid)
        process.rlimit(psutil.RLIMIT_FSIZE, (max(bodies) + STORE_ROOM, psutil.RLIM_INFINITY))
        self._die()
        said = "said why" if "make room on that disk" in self._gateway_log() else "DID NOT SAY WHY"
        return f"halted, {said}, all sessions on {self._begin():.1f} s after its start"

    # -- a relay before Postgres ---------------------------------------------------------------------------

    @contextmanager
    def _behind_proxy(self) -> Iterator[None]:
        """A gateway whose connections to Postgres go through a relay."""
        server = self._server_socket()
        self.proxy = PgProxy(server)
        url = f'url = "postgresql://postgres@127.0.0.1:{self.proxy.port}/oms"'
        self._replace("oms.toml", "[database]\n", f"[database]\n{url}\n")
        self._kill_gateway_now()
        self._begin()
        try:
            yield
        finally:
            self._replace("oms.toml", f"{url}\n", "")
            self._kill_gateway_now()
            self._begin()
            self.proxy.close()

    def lose_answer(self, _: str) -> str:
        """Three commits are done whose answers are lost."""
        return self._lose(self.proxy.lose_answer, "3 commits done, their answers lost")

    def lose_commit(self, _: str) -> str:
        """Three commits are lost on their way to the server."""
        return self._lose(self.proxy.lose_commit, "3 commits lost on their way")

    def _lose(self, lose: Callable[[], None], what: str) -> str:
        moment = Moment.now()
        for number in range(self.proxy.lost + 1, self.proxy.lost + 4):
            lose()
            self._until(lambda wanted=number: self.proxy.lost >= wanted, DIE_SECONDS, "a commit to be lost")  # type: ignore[misc]
        return f"{what}, back after {self._back(moment):.1f} s"

    def _server_socket(self) -> Path:
        running = EmbeddedPostgres(self.place.postgres).postmaster()
        assert running is not None
        return Path(running.socket_dir) / f".s.PGSQL.{running.port}"
