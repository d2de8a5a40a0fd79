"""From a configuration to a running gateway: all objects are made from here, with `core_maker` and `session_maker`.

`Gateway.run` stays in the foreground until `stop` is called (SIGTERM, SIGINT) or something fails that must not
be survived. Order of start: ledger, recovery, first batch, outbox, brokers, clients; of stop: sessions first,
so that nothing new comes, then what was heard is worked through and committed.
"""

from __future__ import annotations

import dataclasses
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, date, datetime, timedelta
from typing import Any

import structlog

from oms import breaker_watch, startup
from oms.additions import Additions, Running
from oms.committer import Committer
from oms.config.load import Config
from oms.core.book import Book
from oms.core.seen import KEEP
from oms.core_maker import make_core
from oms.crashpoints import reached
from oms.errors import JournalFailure, LeaseLost, OmsError, OperatorError, StoreFailure
from oms.fix.encode import Encoder, incoming_rules
from oms.flow import Flow
from oms.growing import Growing
from oms.inbox import Inbox
from oms.interpreter import quiet_collector, tune
from oms.ledger.database import owner_url, revive_database
from oms.ledger.keeper import Keeper
from oms.ledger.load import Reader
from oms.ledger.remedies import database_errors
from oms.ledger.starts import ledger_facts
from oms.ledger.writer import Writer
from oms.ops.barrier import Barrier
from oms.ops.commands import Commands
from oms.ops.doors import Doors
from oms.ops.health import Health, looking
from oms.ops.limit_changes import LimitChanges
from oms.ops.metrics import Metrics
from oms.ops.session_watch import SessionWatch
from oms.ops.tally import OPEN_ITEMS_LIMIT
from oms.ops.trading import Trading
from oms.outbox import Outbox
from oms.senders import outbound_of, too_fast_watches
from oms.session_maker import SessionMaker
from oms.standby import Claim
from oms.standby import claim as take_claim
from oms.startup_report import StartReport
from oms.throttle_out import LogOuts

log = structlog.get_logger("oms")

UNKNOWN_SESSION = ""


class Gateway:
    """One gateway process."""

    def __init__(
        self,
        config: Config,
        empty_stores: frozenset[str] = frozenset(),
        claim: Claim | None = None,
        lost: Callable[[LeaseLost], None] = lambda error: None,
        new_machine: bool = False,
    ) -> None:
        """`claim` is that of a standby, with its configuration. `lost` is told of the lease's loss, in any thread:
        it should end the process; where it returns, the gateway halts. `new_machine`: message stores that are lost
        are made again from the ledger."""
        # sessions may be added while it runs, and whoever has this configuration knows them then
        config = self._config = dataclasses.replace(config, sessions=Growing(config.sessions))
        self._empty_stores = empty_stores
        self._claim = claim
        self._lost = lost
        self._new_machine = new_machine
        self._stop = threading.Event()
        self._failure: BaseException | None = None
        self._exit = ExitStack()
        self._report = StartReport(config.gateway.state_dir)
        self.trading = Trading(config)
        self._limits = LimitChanges(config)
        self._turned = time.monotonic()  # when the core thread did so last
        self._midnight = config.gateway.trading_day_rollover
        self._rollover = timedelta(
            hours=self._midnight.hour, minutes=self._midnight.minute, seconds=self._midnight.second
        )

    # -- life ----------------------------------------------------------------------------------------------

    def run(self, ready: Any = None) -> None:
        """Start, work until stopped, stop. Raises OmsError where it could not start or had to halt."""
        with self._report, self._exit:
            quiet_collector(self._exit.callback)
            if not self._open_ledger():
                return
            self._make()
            clean = False
            try:
                self._start()
                if ready is not None:
                    ready()
                while not self._stop.is_set():
                    self._flow.run_once(0.5)
                    self._turned = time.monotonic()
                clean = self._failure is None
            finally:
                error = sys.exception()
                if isinstance(error, Exception) and not isinstance(error, JournalFailure | OperatorError):
                    startup.note_poison(self._config.gateway.state_dir, self._flow.in_hand)
                self._shut_down(clean)
        if self._failure is not None:
            raise OmsError(f"the gateway halted: {self._failure}") from self._failure

    def stop(self) -> None:
        """Ask for an orderly stop; from any thread or signal handler."""
        self._stop.set()
        if hasattr(self, "_committer"):
            self._committer.wait_no_more()
        if hasattr(self, "_inbox"):
            self._inbox.wake()

    def _fail(self, error: BaseException) -> None:
        log.critical("halting", error=str(error))
        if isinstance(error, LeaseLost):
            self._lease.lose(error)  # whoever found out: nothing leaves from here on
            self._lost(error)
        self._failure = error
        self.stop()

    def _store_failed(self, session: str, problem: str) -> None:
        """What cannot be stored cannot be sent: from an engine thread, under the session's lock."""
        if self._failure is None:
            self._fail(
                StoreFailure(
                    f"the message store of {session} cannot be written: {problem}; nothing was sent without being"
                    " stored, and nothing is lost; make room on that disk"
                )
            )

    # -- start ---------------------------------------------------------------------------------------------

    def _open_ledger(self) -> bool:
        """With the right to write it; False if told to stop meanwhile."""
        config = self._config
        self._report.step("claim")
        claim = self._claim or take_claim(config, self._stop)
        if claim is None:
            return False
        self._claim, self._url, self._lease = self._exit.enter_context(claim), claim.url, claim.lease
        self._lease.when_lost(self._fail)
        self._writer = Writer(self._url, self._lease.token)
        self._report.step("connect")
        with database_errors(self._url):
            self._writer.connect()
            self._exit.callback(self._writer.close)
            self._exit.push(self._report.refusal_into(self._writer, self._url, self._today()))
            self._reader = Reader(self._url)
            self._exit.callback(self._reader.close)
            self._writer.read_head()
        reached("connected")
        return True

    def _make(self) -> None:
        """What decides, then what speaks, then what is in between."""
        config = self._config
        # Ids that leave memory must be committed: more are kept than all batches under way can bring.
        self._book = Book(ledger=self._reader, keep_ids=max(KEEP, 5 * config.inbox.max_batch))
        today = self._today()
        with database_errors(self._url):
            self._recovered = startup.recover(
                config,
                self._reader,
                self._book,
                today,
                self._empty_stores,
                self._new_machine,
                self._lease.run,
                self._report,
            )
            self._report.found("ledger", ledger_facts(self._reader))
            self.trading.recover(self._reader, self._book, self._report)
            config = self._config = self._limits.recover(self._reader, self._report)
        self._report.step("totals")
        reached("recovered")
        self._make_core(today)
        self._make_operators()
        self._make_sessions()
        self._make_flow()
        self._commands.limits(self._limits, self._deciding.judge, self._flow, self._committer, self._rollover)
        self._make_watches()
        self._commands.additions(self._make_additions())

    def _make_core(self, today: date) -> None:
        self._barrier = Barrier(False, self._book, self._config.gateway.state_dir / "kills.json")
        self.trading.guard(self._barrier)
        self._deciding = make_core(
            self._config,
            self._book,
            self._reader,
            self._url,
            self._barrier,
            lambda *key: self._committer.recall(*key),
            lambda: self._commands.sessions.drained,
            today,
            self._rollover,
        )
        self._core, self._prices = self._deciding.core, self._deciding.prices

    def _make_operators(self) -> None:
        """What comes in, and who may say what."""
        config = self._config
        brokers = [spec.name for spec in config.role("broker")]
        self._log_outs = LogOuts(lambda heard: self._inbox.tell(heard), lambda: self._commands.sessions)
        throttles = self._log_outs.throttles(config.sessions)
        self._inbox = Inbox([*config.sessions, UNKNOWN_SESSION], config.inbox.per_session, brokers, throttles)
        self._metrics = Metrics(config, self._inbox)
        self._commands = Commands(
            self._inbox, self._url, self._barrier, self._book, config, lambda: self._engines, self.trading
        )
        self._commands.breakers(self._deciding.breakers)
        self._commands.prices(self._prices)
        self._metrics.of_prices = self._prices.samples
        self._metrics.breakers = self._deciding.breakers.breakers
        self._commands.two_people.recover()
        self._doors = Doors(config, self._commands)

    def _make_watches(self) -> None:
        """What is shown of all this."""
        config = self._config
        self._metrics.turned, self._metrics.kept_out = lambda: self._turned, self._commands.sessions.kept_out
        self._commands.sessions.outbound = outbound_of(self._senders)
        self._metrics.trading_off = lambda: self.trading.off
        look = looking(self._inbox, self._metrics, self._barrier, self.trading)
        sessions = self._commands.sessions
        self._session_watch = SessionWatch(
            config,
            lambda: self._engines,
            sessions.drained,
            self._inbox.held_back,
            self._stop.is_set,
            self._prices.engines,
        )
        self._metrics.of_sessions = self._session_watch.samples
        also = lambda: [*self._session_watch.findings(), *self._limits.finding()]  # noqa: E731
        health = Health(config, lambda: self._engines, sessions.kept_out, look, also=also)
        self._commands.also("health", health.tell)

    def _make_sessions(self) -> None:
        """Senders and engines. Neither runs yet."""
        self._report.step("engines")
        of = (self._config, self._url, self._inbox, self._book, self._barrier, self._lease.held, self._store_failed)
        self._maker = SessionMaker(*of)
        self._maker.at_start(self._recovered, self._stop.wait)
        self._engines, self._senders = self._maker.engines, self._maker.senders

    def _make_additions(self) -> Additions:
        """Sessions that come while others trade."""
        return Additions(
            Running(
                self._config,
                self._url,
                self._lease.run,
                self._inbox,
                self._core,
                self._deciding.judge,
                self._flow,
                self._maker,
                self._metrics.tally,
                self._log_outs.throttles,
                self._commands.sessions.stand,
                self._session_watch.added,
                self._stop,
            )
        )

    def _make_flow(self) -> None:
        """From the inbox through the core and the committer to the outbox."""
        self._report.step("flow")
        config = self._config
        self._outbox = Outbox(self._senders)
        self._committer = Committer(
            self._writer,
            self._reader,
            self._outbox,
            self._fail,
            self._prices.after(self._commands.breaks.after(self._metrics.committed)),
            lambda: revive_database(config),
            self._book.is_shared,
        )
        self._book.ledger = self._committer  # which waits for a ledger that is gone
        self._flow = Flow(
            self._inbox,
            self._core,
            self._committer,
            {name: Encoder(spec) for name, spec in config.sessions.items()},
            frozenset(name for name, spec in config.sessions.items() if spec.appl_ver_id == "FIX.4.2"),
            self._metrics,
            next_batch=self._recovered.last_batch + 1,
            max_batch=config.inbox.max_batch,
            shared_batch=config.inbox.shared_batch,
            rollover=self._rollover,
            poison=self._recovered.poison,
            rules={name: rules for name, spec in config.sessions.items() if (rules := incoming_rules(spec))},
            too_fast=too_fast_watches(self._senders),
        )
        if self._deciding.breakers.breakers.groups:
            watch = breaker_watch.BreakerWatch(self._deciding.breakers, self._metrics.slowest_seconds)
            self._flow.looks.commands = watch.look

    def _today(self) -> date:
        return self._config.gateway.trade_date(datetime.now(UTC))

    def _start(self) -> None:
        """Write down what recovery found, then open: brokers first, so that clients find routes."""
        self._start_metrics()
        self._first_batch()
        for side in ("broker", "client"):
            if side in self._engines:
                self._report.step(f"open {side}s")
                self._maker.open(side)
        self._prices.make(self._inbox)
        for door in (self._session_watch, self._log_outs, self._doors, self._prices):
            door.start()
            self._exit.callback(door.stop)
        keeper = Keeper(owner_url(self._config, self._url), rollover=self._rollover)
        keeper.start()
        self._exit.callback(keeper.stop)
        reached("opened")
        self._report.step("tune")
        tune()
        self._flow.record(self._report.open_row(self._book.take_seq(), self._today()))
        self._committer.wait_until_committed()
        if off := self.trading.off:
            log.warning("trading is off: orders are refused", why=off.text, remedy=self.trading.remedy)
        log.info("open", trading="off" if off else "on", sessions=sorted(self._config.sessions))

    def _start_metrics(self) -> None:
        """Before anything is written: the endpoint's port may be taken."""
        oldest, open_items = self._reader.open_items(OPEN_ITEMS_LIMIT)
        self._metrics.tally.ages(oldest)
        self._report.found("items_open", {row["kind"]: row["number"] for row in open_items})
        trading, lease = (lambda: self._barrier.trading), self._lease
        self._metrics.watch(self._book, self._committer, self._senders, trading, lease, open_items)
        self._metrics.start()
        self._exit.callback(self._metrics.stop)

    def _first_batch(self) -> None:
        """Engines and ledger agree on the numbers, what was found is journaled, and the outbox may begin."""
        found = self._recovered
        for name, (seq, number) in found.out_positions.items():
            self._flow.set_out_position(name, seq, number)
        set_back: dict[str, int] = {}
        self._report.step("align")
        for engine in self._engines.values():
            set_back |= startup.align_sessions(engine, self._book, self._report)
        reached("aligned")
        self._committer.thread.start()
        row = startup.config_row(
            self._book, self._config, datetime.now(UTC), self._today(), self._report, self._lease.run
        )
        self._report.step("begin")
        self._report.found("items_opened", self._flow.begin(row, found.settled, found.never_left))
        reached("begun")
        self._report.step("kills")
        self._commands.recover()
        self.trading.tell_journal(self._inbox)
        self._report.found("kills", [kill.kill_id for kill in self._barrier.kills])
        self._report.found("sessions_disabled", self._commands.keep_out())
        self._outbox.start()
        log.info(
            "recovered",
            live_orders=found.live_orders,
            journal_seq=found.last_seq,
            settled=len(found.settled),
            sessions_set_back=set_back,
            stores_made_again={name: one._asdict() for name, one in found.rebuilt.items()},
        )

    # -- stop ----------------------------------------------------------------------------------------------

    def _shut_down(self, clean: bool) -> None:
        self._doors.note()
        self._inbox.close()
        for role, engine in sorted(self._engines.items(), key=lambda one: one[0].startswith("broker")):
            if not engine.stop(5.0):
                log.warning("sessions did not close in time", role=role)
                assert self._claim is not None
                self._claim.keep()
        if clean:
            while self._flow.run_once(0.0):
                pass
            self._flow.flush()
            self._flow.record(self._report.stop_row(self._book.take_seq(), self._today()))
        if self._committer.thread.is_alive():
            self._committer.stop()  # what is queued is whole
        self._outbox.stop()
        self._metrics.stop()
        log.info("stopped", clean=clean)
