"""The drill of the kill switch: a gateway of its own full of working orders, stopped as a whole, and timed.

Everything is real but the counterparties: gateway, embedded Postgres and a simulated broker as processes, one client
in this process that goes on sending new orders while the switch is engaged. What left when is read from the ledger
(`sends`), what the client was told is seen at the client. Limits: one client, one broker, FIX 4.4, loopback; the
orders never fill unless the broker is told to. Raises OperatorError where it cannot be set up, DemoFailure where it
cannot be brought to its end. Threads: the engine's append under `Client.changed`; one more sends the probes.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from datetime import time as time_of_day
from pathlib import Path
from typing import Any

from oms.certify import place as files
from oms.config.load import Config, load
from oms.demo.interrupts import Interrupts
from oms.demo.place import Place, free_ports, usable
from oms.demo.processes import DemoFailure, Processes
from oms.errors import OperatorError
from oms.ledger import queries
from oms.ledger.database import Engine, open_database, open_ledger
from oms.ledger.load import Reader
from oms.ops.control import call
from oms.sim.session import FixSession, SessionSpec
from oms.sim.wire import utc_now, utc_timestamp

VERSION = "4.4"
CLIENT, BROKER = files.session_name("client", VERSION), files.session_name("broker", VERSION)
REASON = "drill of the kill switch"
_GATEWAY, _BROKER_PROCESS = "gateway", "broker"
_RESTS = '[[rule]]\nsteps = ["accept"]\n'  # and a cancel is granted at once
_START_SECONDS, _LOGON_SECONDS = 120.0, 60.0
_ORDERS_PER_SECOND = 100  # slower than this the orders are not laid on any machine
_IN_FLIGHT, _TOGETHER = 500, 50
_PROBE_SECONDS = 0.002
_BEFORE_SECONDS = 0.2  # of probes, so that orders are on their way when the switch is engaged
_ANSWER_SECONDS = 120.0
_LOOK_SECONDS = 0.1
_LEFT = (
    "SELECT journal.msg_type, count(*) AS number, max(sends.sent_at) AS last FROM sends JOIN journal USING (seq)"
    " WHERE sends.session = %s AND sends.outcome = 'sent' AND journal.kind = 'out' AND journal.msg_type IN ('D', 'F')"
    " GROUP BY journal.msg_type"
)
_LIVE = "SELECT count(*) AS number FROM client_orders WHERE NOT finished"


@dataclass(frozen=True, slots=True)
class Drilled:
    """What came of it. Seconds are since the command was given; None where it did not happen in time."""

    orders: int  # alive in scope, with those that came in just before the command
    outcomes: dict[str, int]
    last_order_left: float | None  # below zero: before the command
    first_refused: float | None
    command_answered: float
    last_cancel_left: float | None
    cancels: int
    proven: float | None
    problems: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether nothing is unanswered and nothing else went wrong."""
        return self.proven is not None and not self.problems


class Client:
    """The client: lays orders, sends probes, and notes what it is told. An `EngineListener`."""

    def __init__(self, port: int, directory: Path) -> None:
        self.changed = threading.Condition()
        self.accepted: set[str] = set()  # ClOrdID(11)
        self.canceled = 0
        self.refusals: list[tuple[float, str, str]] = []  # monotonic time, ClOrdID(11), Text(58)
        self.problems: list[str] = []
        self.sent = 0
        self._session = FixSession(
            SessionSpec(CLIENT, "initiator", VERSION, CLIENT, files.COMP_ID, port, directory), self
        )
        self.start, self.close = self._session.start, self._session.close

    def is_logged_on(self) -> bool:
        """Whether it can send."""
        return self._session.logged_on

    @property
    def answered(self) -> int:
        """Orders that the broker has acknowledged, or that were refused."""
        return len(self.accepted) + len(self.refusals)

    def send(self, count: int) -> list[str]:
        """Send so many new orders; returns their ClOrdIDs(11). Raises DemoFailure while logged out."""
        made: list[str] = []
        account, at = files.account(VERSION), utc_timestamp(utc_now())
        for _ in range(count):
            self.sent += 1
            made.append(f"A{self.sent}")
            text = f"35=D|11={made[-1]}|1={account}|55={files.SYMBOL}|54=1|38=100|40=2|44=150|59=0|60={at}|"
            if not self._session.send(text.replace("|", "\x01")):
                raise DemoFailure("the client's session is logged out in the middle of the drill")
        return made

    # -- EngineListener ----------------------------------------------------------------------------------------

    def received(self, session: str, raw: str) -> None:
        """A report: acknowledged, refused or canceled."""
        exec_type = _value(raw, "150")
        with self.changed:
            if exec_type == "0":
                self.accepted.add(_value(raw, "11"))
            elif exec_type == "8":
                self.refusals.append((time.monotonic(), _value(raw, "11"), _value(raw, "58")))
            elif exec_type == "4":
                self.canceled += 1
            self.changed.notify_all()

    def logged_on(self, session: str, next_sender: int, next_target: int) -> None:
        """Wake who waits."""
        with self.changed:
            self.changed.notify_all()

    def logged_out(self, session: str) -> None:
        """Wake who waits."""
        with self.changed:
            self.changed.notify_all()

    def refused(self, session: str, raw: str, reason: str) -> None:
        """Keep what the client's engine would not take."""
        with self.changed:
            self.problems.append(f"the client's engine refused a message: {reason}")

    def may_resend(self, session: str, raw: str) -> bool:
        """The engine may send again."""
        return True

    def failed(self, session: str, raw: str, error: BaseException) -> None:
        """Keep what went wrong in here."""
        with self.changed:
            self.problems.append(f"the client failed: {error!r}")


def _value(raw: str, tag: str) -> str:
    start = raw.find(f"\x01{tag}=")
    return raw[start + len(tag) + 2 : raw.find("\x01", start + 1)] if start >= 0 else ""


class Drill:
    """One drill; a context manager that ends everything it started."""

    def __init__(self, place: Place, interrupts: Interrupts, behaviour: Path | None = None) -> None:
        """`behaviour`: what the simulated broker does, where it shall not just accept orders and cancels."""
        self._place = place
        self._behaviour = behaviour
        self._ready = place.directory / "gateway.ready"
        self._exit = ExitStack()
        self._processes = Processes(place, interrupts)
        self._client: Client
        self._config: Config
        self._engine: Engine
        self._ledger: Reader

    def __enter__(self) -> Drill:
        return self

    def __exit__(self, *raised: Any) -> None:
        if hasattr(self, "_client"):
            self._client.close()
        self._exit.enter_context(self._processes)  # ended first, then Postgres
        self._exit.__exit__(*raised)

    # -- set-up ------------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Start everything and wait until client and broker are logged on. Raises OperatorError."""
        place = self._place
        ports = dict(zip(("client", BROKER), free_ports(2), strict=True))
        with usable(place.directory):
            place.logs.mkdir()
            self._config = load(files.write(place.directory, [VERSION], ports, time_of_day(0, 0)))
            if self._behaviour is None:
                self._behaviour = place.directory / "behaviour.toml"
                self._behaviour.write_text(_RESTS, encoding="utf-8")
        self._client = Client(ports["client"], place.directory / "client")
        try:
            sim = ("--name", BROKER, "--version", VERSION, "--port", str(ports[BROKER]), "--json")
            where = ("--dir", str(place.record(BROKER)), "--behaviour", str(self._behaviour))
            self._processes.start(_BROKER_PROCESS, "sim", "broker", *sim, *where)
            self._processes.start(_GATEWAY, "run", "--config", str(place.config), "--ready-file", str(self._ready))
            url = self._exit.enter_context(open_database(self._config))  # outlives the gateway
            self._processes.wait_until(self._ready.exists, _START_SECONDS, "the gateway to open")
            self._engine = self._exit.enter_context(open_ledger(self._config))
            self._ledger = self._exit.enter_context(closing(Reader(url)))
            self._client.start()
            self._processes.wait_until(self._all_on, _LOGON_SECONDS, "client and broker to log on")
        except DemoFailure as error:
            raise OperatorError(f"the drill could not be set up: {error}") from error

    def _all_on(self) -> bool:
        on = {row["session"] for row in self._ledger.rows("SELECT session FROM session_positions WHERE logged_on")}
        return self._client.is_logged_on() and on >= {CLIENT, BROKER}

    def lay(self, orders: int, told: Callable[[int, int], None]) -> None:
        """Lay so many orders and wait until all work at the broker; `told` gets (done, total). Raises DemoFailure."""
        client = self._client
        seconds = _LOGON_SECONDS + orders / _ORDERS_PER_SECOND

        def laid() -> bool:
            while client.sent < orders and client.sent - client.answered < _IN_FLIGHT:
                client.send(min(_TOGETHER, orders - client.sent))
            told(client.answered, orders)
            return client.answered == orders

        self._processes.wait_until(laid, seconds, f"{orders} orders to be acknowledged")
        if client.refusals:
            raise DemoFailure(f"{len(client.refusals)} orders were refused: {client.refusals[0][2]}")

    # -- the drill ---------------------------------------------------------------------------------------------

    def engage(self, seconds: float, told: Callable[[int, int], None]) -> Drilled:
        """Engage a kill of the firm while orders come in, and wait up to `seconds` for the proof of every order."""
        with self._probing():
            begun, at = time.monotonic(), datetime.now(UTC)
            answer = call(self._config.gateway.state_dir, "kill.engage", {"text": REASON}, _ANSWER_SECONDS)
            answered = time.monotonic() - begun
            after = self._client.sent
            with self._client.changed:
                self._client.changed.wait_for(lambda: bool(self._client.refusals), seconds)
        problems = [str(answer["problem"])] if answer["problem"] else []
        proven = self._wait_for_proof(begun, seconds, told)
        found = queries.killed_orders(self._engine, str(answer["kill_id"])) or []
        outcomes = dict(Counter(one.outcome for one in found))
        left = {row["msg_type"]: row for row in self._ledger.rows(_LEFT, BROKER)}
        order_left, cancel_left = (
            (left[kind]["last"] - at).total_seconds() if kind in left else None for kind in "DF"
        )
        if order_left is not None and order_left > answered:
            problems.append(f"a NewOrderSingle(D) left {order_left - answered:.3f} s after the command was answered")
        late = [one for one in self._client.accepted if int(one[1:]) > after]
        if late:
            problems.append(f"{len(late)} orders sent after the command was answered reached the broker")
        refused = next((when - begun for when, _, text in self._client.refusals if "kill_switch" in text), None)
        if refused is None:
            problems.append("no order was refused for the kill switch")
        return Drilled(
            orders=len(found),
            outcomes=outcomes,
            last_order_left=order_left,
            first_refused=refused,
            command_answered=answered,
            last_cancel_left=cancel_left,
            cancels=left["F"]["number"] if "F" in left else 0,
            proven=None if outcomes.get("unanswered") else proven,
            problems=problems + self._client.problems,
        )

    def _wait_for_proof(self, begun: float, seconds: float, told: Callable[[int, int], None]) -> float | None:
        """Seconds until no order lives, as the ledger has it; None if some still do when the time is over."""
        total = 0
        while True:
            live = int(self._ledger.rows(_LIVE)[0]["number"])
            now = time.monotonic() - begun
            total = max(total, live)
            told(total - live, total)
            if not live or now >= seconds:
                return None if live else now
            self._processes.check()
            with self._processes.changed:
                self._processes.changed.wait(_LOOK_SECONDS)

    @contextmanager
    def _probing(self) -> Iterator[None]:
        """New orders go on coming within the block, and shortly before it."""
        ended = threading.Event()

        def probe() -> None:
            try:
                while not ended.wait(_PROBE_SECONDS):
                    self._client.send(1)
            except DemoFailure as error:
                self._client.problems.append(str(error))

        thread = threading.Thread(target=probe, name="probes", daemon=True)
        thread.start()
        try:
            ended.wait(_BEFORE_SECONDS)
            yield
        finally:
            ended.set()
            thread.join()
