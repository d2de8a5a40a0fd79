"""The only place where objects are made: from a configuration to a running gateway.

`Gateway.run` stays in the foreground until `stop` is called (SIGTERM, SIGINT) or something fails that must not
be survived. Order of start: ledger, recovery, first batch, outbox, brokers, clients; of stop: sessions first,
so that nothing new comes, then what was heard is worked through and committed.
"""

from __future__ import annotations

import gc
import sys
import threading
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog

from oms import startup
from oms.committer import Committer
from oms.config.load import Config, engine_settings
from oms.core import terms as core_terms
from oms.core.book import Book
from oms.core.core import Core
from oms.core.judge import LiveJudge
from oms.core.seen import KEEP
from oms.errors import JournalFailure, OmsError, OperatorError
from oms.fix.encode import Encoder, allowed_tags, incoming_rules, refusals
from oms.fix.endpoint import Endpoint
from oms.fix.engine import Engine
from oms.flow import Flow
from oms.inbox import Inbox
from oms.ledger.database import database_errors, migrate_configured, open_database, revive_database
from oms.ledger.load import Reader
from oms.ledger.writer import Writer
from oms.ops.barrier import Barrier
from oms.ops.commands import Commands
from oms.ops.control import ControlServer, socket_path
from oms.ops.metrics import Metrics
from oms.outbox import Outbox, Sender

log = structlog.get_logger("oms")

UNKNOWN_SESSION = ""


def core_terms_of(config: Config) -> core_terms.Terms:
    """The configuration in the core's own words."""
    instruments = {symbol: core_terms.Instrument(**one.model_dump()) for symbol, one in config.instruments.items()}
    accounts = {name: core_terms.Account(**one.model_dump()) for name, one in config.accounts.items()}
    brokers = {}
    for spec in config.role("broker"):
        allowed = {kind: tags for kind in ("D", "G") if (tags := allowed_tags(spec, kind)) is not None}
        dialect = spec.dialect
        brokers[spec.name] = core_terms.BrokerFacts(
            dialect.ord_types,
            dialect.times_in_force,
            dialect.status_requests,
            allowed,
            mass_cancel=dialect.mass_cancel,
            acknowledge_seconds=dialect.acknowledge_seconds,
            answer_seconds=dialect.answer_seconds,
            cancel_new=dialect.replace == "cancel_new",
            refuses=refusals(spec),
        )
    return core_terms.Terms(
        trading=config.gateway.trading == "on",
        instruments=instruments,
        accounts=accounts,
        limits=tuple(
            core_terms.LimitRule(
                str(one), one.client, one.account, one.symbol, one.max_order_qty, one.max_order_notional
            )
            # Most specific first; rules aimed equally stay in the order of the file.
            for one in sorted(config.limits, key=lambda rule: rule.specificity, reverse=True)
        ),
        routes=tuple(
            core_terms.RouteRule(
                one.name,
                one.client,
                one.account,
                one.symbol,
                one.security_exchange,
                one.ord_type,
                one.ex_destination,
                one.broker,
                one.fallbacks,
            )
            for one in config.routes
        ),
        brokers=brokers,
    )


class Gateway:
    """One gateway process."""

    def __init__(self, config: Config, empty_stores: frozenset[str] = frozenset()) -> None:
        self._config = config
        self._empty_stores = empty_stores
        self._stop = threading.Event()
        self._failure: BaseException | None = None
        self._exit = ExitStack()
        self._trading = config.gateway.trading == "on"
        self._midnight = config.gateway.trading_day_rollover
        self._rollover = timedelta(
            hours=self._midnight.hour, minutes=self._midnight.minute, seconds=self._midnight.second
        )

    # -- life ----------------------------------------------------------------------------------------------

    def run(self, ready: Any = None) -> None:
        """Start, work until stopped, stop. Raises OmsError where it could not start or had to halt."""
        with self._exit:
            self._open_ledger()
            self._make()
            clean = False
            try:
                self._start()
                if ready is not None:
                    ready()
                while not self._stop.is_set():
                    self._flow.run_once(0.5)
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
        self._failure = error
        self.stop()

    # -- start ---------------------------------------------------------------------------------------------

    def _open_ledger(self) -> None:
        config = self._config
        config.gateway.state_dir.mkdir(parents=True, exist_ok=True)
        self._url = self._exit.enter_context(open_database(config))
        migrate_configured(config, self._url)
        self._writer = Writer(self._url)
        with database_errors(self._url):
            self._writer.connect()
            self._exit.callback(self._writer.close)
            self._reader = Reader(self._url)
            self._exit.callback(self._reader.close)
            self._writer.read_head()

    def _make(self) -> None:
        """What decides, then what speaks, then what is in between."""
        config = self._config
        # Ids that leave memory must be committed: more are kept than all batches under way can bring.
        self._book = Book(ledger=self._reader, keep_ids=max(KEEP, 5 * config.inbox.max_batch))
        today = self._today()
        with database_errors(self._url):
            self._recovered = startup.recover(config, self._reader, self._book, today, self._empty_stores)
        self._barrier = Barrier(self._trading, self._book, config.gateway.state_dir / "kills.json")
        terms = core_terms_of(config)
        judge = LiveJudge(terms, self._book.is_up, lambda: self._barrier.kills)
        self._core = Core(self._book, judge, dict(terms.brokers))
        self._inbox = Inbox([*config.sessions, UNKNOWN_SESSION], config.inbox.per_session)
        self._metrics = Metrics(config, self._inbox)
        self._commands = Commands(self._inbox, self._url, self._barrier)
        self._control = ControlServer(socket_path(config.gateway.state_dir), self._commands)
        self._make_sessions()
        self._make_flow()

    def _make_sessions(self) -> None:
        """Senders and engines. Neither runs yet."""
        config = self._config
        windows = {spec.name: timedelta(seconds=spec.dialect.resend_window_seconds) for spec in config.role("broker")}
        engines: dict[str, Engine] = {}
        self._senders = {
            name: Sender(
                name,
                spec.role,
                lambda session, texts, role=spec.role: engines[role].send(session, texts),  # type: ignore[misc]
                self._inbox,
                self._url,
                self._recovered.out_positions[name][0],
                windows.get(name, timedelta()),
                self._barrier.why_not,
            )
            for name, spec in config.sessions.items()
        }
        endpoint = Endpoint(self._inbox, self._book, self._senders, windows, self._barrier.why_not)
        for role, direction in (("broker", "initiator"), ("client", "acceptor")):
            if specs := config.role(role):  # type: ignore[arg-type]
                engines[role] = Engine(
                    direction,
                    engine_settings(config, role),  # type: ignore[arg-type]
                    {spec.session_id: spec.name for spec in specs},
                    endpoint,
                    tls=config.tls(role),  # type: ignore[arg-type]
                )
        self._engines = engines

    def _make_flow(self) -> None:
        """From the inbox through the core and the committer to the outbox."""
        config = self._config
        self._outbox = Outbox(self._senders)
        self._committer = Committer(
            self._writer,
            self._reader,
            self._outbox,
            self._fail,
            self._metrics.committed,
            lambda: revive_database(config),
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
            rollover=self._rollover,
            poison=self._recovered.poison,
            rules={name: rules for name, spec in config.sessions.items() if (rules := incoming_rules(spec))},
        )

    def _today(self) -> Any:
        return self._config.gateway.trade_date(datetime.now(UTC))

    def _start(self) -> None:
        """Write down what recovery found, then open: brokers first, so that clients find routes."""
        open_items = self._reader.rows(
            "SELECT kind, count(*) AS number FROM exception_items WHERE state = 'open' GROUP BY kind"
        )
        self._metrics.watch(self._book, self._committer, self._senders, lambda: self._barrier.trading, open_items)
        self._metrics.start()  # before anything is written: its port may be taken
        self._exit.callback(self._metrics.stop)
        found = self._recovered
        for name, (seq, number) in found.out_positions.items():
            self._flow.set_out_position(name, seq, number)
        set_back: dict[str, int] = {}
        for engine in self._engines.values():
            set_back |= startup.align_sessions(engine, self._book)
        self._committer.thread.start()
        row = startup.config_row(self._book, self._config, datetime.now(UTC), self._today())
        self._flow.begin(row, found.settled, found.never_left)
        self._commands.recover()
        self._outbox.start()
        log.info(
            "recovered",
            live_orders=found.live_orders,
            journal_seq=found.last_seq,
            settled=len(found.settled),
            sessions_set_back=set_back,
        )
        for role in ("broker", "client"):
            if role in self._engines:
                try:
                    self._engines[role].start()
                except OSError as error:
                    raise OperatorError(
                        f"cannot open the {role} sessions of {self._config.files.sessions}: {error};"
                        " free the port or change SocketAcceptPort"
                    ) from error
        self._control.start()
        self._exit.callback(self._control.stop)
        self._tune_interpreter()
        log.info("open", trading=self._config.gateway.trading, sessions=sorted(self._config.sessions))

    @staticmethod
    def _tune_interpreter() -> None:
        """What lives now lives for long: the collector need not look at it again, nor at every few messages.

        The gateway's objects go by reference counting. A thread that waits for the interpreter, such as the
        committer back from the database, gets it within a third of a millisecond rather than five.
        """
        gc.collect()
        gc.freeze()
        gc.set_threshold(50_000, 50, 50)
        sys.setswitchinterval(0.0003)

    # -- stop ----------------------------------------------------------------------------------------------

    def _shut_down(self, clean: bool) -> None:
        self._inbox.close()
        for role in ("client", "broker"):
            engine = self._engines.get(role)
            if engine is not None and not engine.stop(5.0):
                log.warning("sessions did not close in time", role=role)
        if clean:
            while self._flow.run_once(0.0):
                pass
            self._flow.flush()
        if self._committer.thread.is_alive():
            self._committer.stop()  # what is queued is whole
        self._outbox.stop()
        self._metrics.stop()
        log.info("stopped", clean=clean)
