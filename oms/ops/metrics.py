"""Prometheus metrics: what there is (CATALOGUE), where each value comes from, and the endpoint.

Counts and latencies come from the tally of committed batches; what waits, what is up and what is in memory is asked
of its owner at the moment of the scrape, so that the hot path pays nothing for it. One registry per gateway.
docs/metrics.md describes every metric; a test holds the two together.

Threads: `decided` from the core thread, `committed` from the committer; everything else at start and in the
endpoint's threads, which only read: sizes, flags and copies of dictionaries.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from itertools import accumulate
from threading import Thread
from time import monotonic
from typing import Any, NamedTuple

from prometheus_client import CollectorRegistry, ProcessCollector, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.utils import floatToGoString

from oms import __version__
from oms.committer import Committer
from oms.config.load import Config
from oms.config.sessions import SessionSpec
from oms.core.book import Book
from oms.core.breakers import Breakers
from oms.core.trading import Switch
from oms.errors import OperatorError
from oms.inbox import Heard, Inbox
from oms.ledger.batch import Batch
from oms.ledger.lease import Lease
from oms.ops.log import EventLog
from oms.ops.pacing import pacing
from oms.ops.tally import Histogram, Tally
from oms.outbox import Message, Sender

UNKNOWN = "unknown"  # the queue of senders that are no session of ours
COUNTER, GAUGE, HISTOGRAM = "counter", "gauge", "histogram"
Samples = Mapping[tuple[str, ...], Any]


class Entry(NamedTuple):
    """One metric: its name as it is scraped (less a histogram's suffixes), its kind, labels and meaning."""

    name: str
    kind: str
    labels: tuple[str, ...]
    help: str


CATALOGUE = (
    Entry("oms_info", GAUGE, ("name", "environment", "version"), "Always 1; says which gateway this is."),
    Entry("oms_trading", GAUGE, (), "1 if orders and replaces may leave, 0 if not."),
    Entry(
        "oms_trading_off_since_timestamp_seconds",
        GAUGE,
        ("why",),
        "While trading is off: when it was switched off, and why: by an operator, as configured, after an unclean "
        "stop, or because a live ledger begins so.",
    ),
    Entry("oms_messages_total", COUNTER, ("session", "direction", "msg_type"), "Messages committed, by MsgType(35)."),
    Entry("oms_refused_messages_total", COUNTER, ("session",), "Messages turned away before the core saw them."),
    Entry(
        "oms_operator_commands_total", COUNTER, ("command",), "Operators' rows of the journal; refusals are rows too."
    ),
    Entry("oms_orders_total", COUNTER, ("session",), "Client orders taken into the ledger, refused ones too."),
    Entry("oms_child_orders_total", COUNTER, ("session", "route"), "Orders to brokers, by route rule."),
    Entry("oms_fills_total", COUNTER, ("session", "kind"), "Trades, corrections and busts of a broker."),
    Entry(
        "oms_rejects_total",
        COUNTER,
        ("session", "msg_type", "source", "reason"),
        "Refusals told to a session, by rule or reason field.",
    ),
    Entry("oms_sends_total", COUNTER, ("session", "outcome"), "What became of messages to a session."),
    Entry("oms_exception_items_total", COUNTER, ("kind", "severity"), "Exception items opened."),
    Entry("oms_exception_items_resolved_total", COUNTER, ("kind",), "Exception items resolved."),
    Entry("oms_exception_items_open", GAUGE, ("kind",), "Exception items open now."),
    Entry("oms_exception_items_overdue", GAUGE, ("kind",), "Exception items open for longer than they may be."),
    Entry("oms_breakers_open", GAUGE, ("breaker",), "Circuit breakers of a rule that are open or half-open now."),
    Entry("oms_breaker_trips_total", COUNTER, ("breaker",), "Times that a circuit breaker of a rule opened."),
    Entry("oms_prices_stale", GAUGE, (), "Instruments without a reference price that is young enough."),
    Entry("oms_price_oldest_seconds", GAUGE, (), "Age of the oldest reference price in use."),
    Entry("oms_prices_held", GAUGE, (), "Symbols whose last price moved too far and is not used."),
    Entry("oms_price_source_up", GAUGE, ("source",), "0 while a source of prices gives none that are good."),
    Entry("oms_batch_events", HISTOGRAM, (), "Events in a batch that had any."),
    Entry("oms_commit_seconds", HISTOGRAM, (), "Time to commit a batch and hand its messages on."),
    Entry("oms_received_to_committed_seconds", HISTOGRAM, ("session",), "From a message's arrival to its commit."),
    Entry("oms_committed_to_sent_seconds", HISTOGRAM, ("session",), "From a message's commit to its sending."),
    Entry(
        "oms_client_to_broker_seconds",
        HISTOGRAM,
        ("session", "msg_type"),
        "From a client's request to the sending of its child to the broker.",
    ),
    Entry(
        "oms_broker_to_client_seconds",
        HISTOGRAM,
        ("session", "msg_type"),
        "From a broker's report to the sending of the report to the client.",
    ),
    Entry("oms_session_up", GAUGE, ("session", "role"), "1 if the session is logged on."),
    Entry(
        "oms_session_last_message_timestamp_seconds",
        GAUGE,
        ("session",),
        "When the engine last wrote the session's sequence numbers: any message in or out, heartbeats too.",
    ),
    Entry("oms_session_kept_out", GAUGE, ("session",), "1 while an operator keeps the session out."),
    Entry("oms_session_drained", GAUGE, ("session",), "1 while no new order is taken from it, or given to it."),
    Entry("oms_logons_refused_total", COUNTER, ("session",), "Logon(A) with a wrong or no password."),
    Entry("oms_listening", GAUGE, ("port",), "1 while connections of clients are taken off a port."),
    Entry("oms_session_turning", GAUGE, ("session",), "1 while a thread of the engine looks after the session."),
    Entry("oms_certificate_expiry_seconds", GAUGE, ("key", "file"), "Until the first certificate of a file ends."),
    Entry("oms_core_idle_seconds", GAUGE, (), "Since the core thread turned last; it turns once a second at least."),
    Entry("oms_inbox_waiting", GAUGE, ("session",), "Messages heard and not yet taken by the core."),
    Entry("oms_inbox_limit", GAUGE, (), "Messages of one session that may wait before it is held back."),
    Entry("oms_outbox_waiting", GAUGE, ("session",), "Messages committed and waiting to be sent."),
    Entry("oms_outbox_behind", GAUGE, ("session",), "1 if messages for the session wait in the ledger only."),
    Entry("oms_outbound_waiting", GAUGE, ("session", "urgency"), "Messages that wait for their turn at a broker."),
    Entry("oms_outbound_oldest_seconds", GAUGE, ("session",), "Age of the oldest message that waits for its turn."),
    Entry("oms_outbound_limit", GAUGE, ("session",), "Messages a second that a broker takes, as configured."),
    Entry("oms_outbound_rate", GAUGE, ("session",), "Messages a second that may leave for a broker now."),
    Entry("oms_outbound_too_fast_total", COUNTER, ("session",), "Complaints of a broker that it gets too many."),
    Entry("oms_batches_waiting", GAUGE, (), "Batches waiting for the committer."),
    Entry("oms_database_up", GAUGE, (), "0 while the ledger is gone and nothing leaves."),
    Entry("oms_database_lag_seconds", GAUGE, (), "Age of the oldest batch that is decided and not committed."),
    Entry("oms_lease_held", GAUGE, (), "1 while the lease on the ledger is this gateway's, so that it may send."),
    Entry("oms_lease_seconds_left", GAUGE, (), "For how long the lease holds without another renewal."),
    Entry("oms_standbys", GAUGE, (), "Standbys that wait for this gateway's ledger."),
    Entry("oms_live_orders", GAUGE, (), "Orders in memory that have not finished."),
    Entry("oms_orders_in_memory", GAUGE, (), "Orders in memory, those just finished included."),
    Entry("oms_duplicate_keys", GAUGE, ("field",), "ClOrdID(11) and ExecID(17) kept to detect duplicates."),
    Entry("oms_thread_up", GAUGE, ("thread",), "1 while a thread of the gateway runs."),
)

_FAMILIES: dict[str, type[Any]] = {
    COUNTER: CounterMetricFamily,
    GAUGE: GaugeMetricFamily,
    HISTOGRAM: HistogramMetricFamily,
}


class Sources(NamedTuple):
    """Who is asked at a scrape."""

    book: Book
    committer: Committer
    senders: Mapping[str, Sender]
    may_send: Callable[[], bool]
    lease: Lease


class Metrics:
    """The instruments of one gateway: an observer of the flow, a listener of the committer, an endpoint."""

    def __init__(self, config: Config, inbox: Inbox) -> None:
        self._config = config
        self._inbox = inbox
        self.tally = Tally(*([spec.name for spec in config.role(role)] for role in ("broker", "client")))
        self._log = EventLog()
        self._sources: Sources | None = None
        self.of_sessions: Callable[[], dict[str, Samples]] = dict  # set by who makes the gateway
        self.kept_out: Container[str] = ()  # sessions; set by who makes the gateway, as is the next
        self.turned: Callable[[], float] = monotonic  # when the core thread turned last
        self.trading_off: Callable[[], Switch | None] = lambda: None  # since when and why, while it is off
        self.breakers: Breakers | None = None  # set likewise
        self.of_prices: Callable[[], dict[str, Samples]] = dict  # set likewise
        self._slowest = 0.0  # from decision to commit, in seconds, since it was asked last
        self._under_way: dict[int, float] = {}  # batch number -> when it was decided (monotonic)
        self.registry = CollectorRegistry()
        self.registry.register(self)
        ProcessCollector(registry=self.registry)  # memory, CPU, file descriptors; on Linux only
        self._endpoint: tuple[Any, Thread] | None = None

    # -- life ----------------------------------------------------------------------------------------------

    def watch(
        self,
        book: Book,
        committer: Committer,
        senders: Mapping[str, Sender],
        may_send: Callable[[], bool],
        lease: Lease,
        open_items: Iterable[Mapping[str, Any]],
    ) -> None:
        """Where else to ask. `open_items` are kind and number of the exception items open before this start."""
        self._sources = Sources(book, committer, senders, may_send, lease)
        self.tally.were_open({row["kind"]: row["number"] for row in open_items})

    def start(self) -> None:
        """Open the endpoint, where one is configured. Raises OperatorError where it cannot listen."""
        host, port = self._config.metrics.host, self._config.metrics.port
        if not port:
            return
        try:
            self._endpoint = start_http_server(port, host, self.registry)
        except OSError as error:
            raise OperatorError(
                f"[metrics] cannot listen on {host}, port {port}: {error.strerror or error};"
                f" free the port, or change host and port under [metrics] in {self._config.path} (port 0: no metrics)"
            ) from error

    def stop(self) -> None:
        """Close the endpoint; a second call does nothing more."""
        endpoint, self._endpoint = self._endpoint, None
        if endpoint is not None:
            server, thread = endpoint
            server.shutdown()
            server.server_close()
            thread.join()

    # -- what the flow and the committer tell ----------------------------------------------------------------

    def decided(self, batch: Batch, messages: list[Message], heard: list[Heard]) -> None:
        """A batch was worked through and waits for its commit."""
        self._under_way[batch.number] = monotonic()

    def committed(self, batch: Batch, committed_at: datetime, seconds: float) -> None:
        """A batch is in the ledger: count it, and log what an operator should see.

        `committed_at` is from before the commit, so the moment is taken here.
        """
        since = self._under_way.pop(batch.number, None)
        if since is not None:
            self._slowest = max(self._slowest, monotonic() - since)
        self._log.tell(batch, self.tally.take(batch, datetime.now(UTC), seconds))

    # -- what a scrape reads -----------------------------------------------------------------------------------

    def describe(self) -> Iterator[Metric]:
        """Every metric without samples: the registry then knows the names without asking anybody."""
        for entry in CATALOGUE:
            yield _family(entry, {})

    def collect(self) -> Iterator[Metric]:
        """Every metric with its samples."""
        samples = self._counted() | self.of_sessions() | self.of_prices()
        if self._sources is not None:
            samples |= {**_in_memory(self._sources.book), **self._waiting(self._sources), **self._up(self._sources)}
            samples |= pacing(self._sources.senders)
        for entry in CATALOGUE:
            yield _family(entry, samples.get(entry.name, {}))

    def _counted(self) -> dict[str, Samples]:
        tally, gateway = self.tally, self._config.gateway
        return {
            "oms_info": {(gateway.name, gateway.environment, __version__): 1},
            "oms_messages_total": tally.messages,
            "oms_refused_messages_total": tally.refused,
            "oms_operator_commands_total": tally.commands,
            "oms_orders_total": tally.orders,
            "oms_child_orders_total": tally.children,
            "oms_fills_total": tally.fills,
            "oms_rejects_total": tally.rejects,
            "oms_sends_total": tally.sends,
            "oms_exception_items_total": tally.items_opened,
            "oms_exception_items_resolved_total": tally.items_resolved,
            "oms_exception_items_open": tally.items_open,
            "oms_exception_items_overdue": self._overdue(),
            **self._broken(),
            "oms_batch_events": {(): tally.batch_events},
            "oms_commit_seconds": {(): tally.commit},
            "oms_received_to_committed_seconds": tally.received_to_committed,
            "oms_committed_to_sent_seconds": tally.committed_to_sent,
            "oms_client_to_broker_seconds": tally.to_broker,
            "oms_broker_to_client_seconds": tally.to_client,
        }

    def _trading_off(self) -> Samples:
        off = self.trading_off()
        return {} if off is None else {(off.cause,): off.since.timestamp()}

    def _broken(self) -> dict[str, Samples]:
        """Circuit breakers by rule: those that are not closed, and how often one opened."""
        if self.breakers is None:
            return {}
        trips = self.breakers.trips.copy()
        not_closed = Counter(one["breaker"] for one in self.breakers.told())
        return {
            "oms_breakers_open": {(name,): not_closed[name] for name in {**trips, **not_closed}},
            "oms_breaker_trips_total": {(name,): number for name, number in trips.items()},
        }

    def _overdue(self) -> Samples:
        """By kind; 0 for a kind that was open and is not overdue."""
        now, minutes_for = datetime.now(UTC), self._config.exceptions.minutes_for
        counts = dict.fromkeys(self.tally.items_open.copy(), 0)
        for kind, severity, opened_at in self.tally.open_since.copy().values():
            late = (now - opened_at).total_seconds() > 60 * minutes_for(kind, severity)
            counts[kind,] = counts.get((kind,), 0) + late
        return counts

    def sources(self) -> Sources:
        """Who is asked, once `watch` has named them."""
        assert self._sources is not None
        return self._sources

    def slowest_seconds(self) -> float:
        """The slowest commit since this was asked last, or how long the oldest batch waits for its own if longer."""
        slowest, self._slowest = self._slowest, 0.0
        return max(slowest, self.lag_seconds())

    def lag_seconds(self) -> float:
        """Age of the oldest batch that is decided and not committed, 0 if there is none."""
        since = min(self._under_way.copy().values(), default=None)
        return 0.0 if since is None else monotonic() - since

    def _waiting(self, sources: Sources) -> dict[str, Samples]:
        outbox = {name: sender.statistics() for name, sender in sources.senders.items()}
        return {
            "oms_inbox_waiting": {(name or UNKNOWN,): number for name, number in self._inbox.statistics().items()},
            "oms_inbox_limit": {(): self._config.inbox.per_session},
            "oms_outbox_waiting": {(name,): found["waiting"] for name, found in outbox.items()},
            "oms_outbox_behind": {(name,): found["behind"] for name, found in outbox.items()},
            "oms_batches_waiting": {(): sources.committer.statistics()["waiting"]},
            "oms_database_lag_seconds": {(): self.lag_seconds()},
        }

    def _up(self, sources: Sources) -> dict[str, Samples]:
        specs = self._config.sessions.values()
        threads = {"committer": sources.committer.thread}
        threads |= {f"send-{name}": sender.thread for name, sender in sources.senders.items()}
        return {
            "oms_trading": {(): int(sources.may_send())},
            "oms_trading_off_since_timestamp_seconds": self._trading_off(),
            "oms_lease_held": {(): int(sources.lease.held())},
            "oms_lease_seconds_left": {(): sources.lease.seconds_left()},
            "oms_standbys": {(): sources.lease.standbys},
            "oms_database_up": {(): 1 - sources.committer.statistics()["outage"]},
            "oms_session_up": {(spec.name, spec.role): int(sources.book.is_up(spec.name)) for spec in specs},
            "oms_session_kept_out": {(spec.name,): int(spec.name in self.kept_out) for spec in specs},
            "oms_core_idle_seconds": {(): max(monotonic() - self.turned(), 0.0)},
            "oms_session_last_message_timestamp_seconds": {
                (spec.name,): at for spec in specs if (at := last_message_at(spec)) is not None
            },
            "oms_thread_up": {(name,): int(thread.is_alive()) for name, thread in threads.items()},
        }


def _in_memory(book: Book) -> dict[str, Samples]:
    in_memory = len(book.orders)
    return {
        "oms_orders_in_memory": {(): in_memory},
        # `finished` holds who waits for eviction: the difference costs nothing, whatever the number of orders
        "oms_live_orders": {(): max(in_memory - len(book.finished), 0)},
        "oms_duplicate_keys": {
            ("ClOrdID(11)",): sum(len(keys) for keys in book.client_keys.copy().values()),
            ("ExecID(17)",): sum(len(keys) for keys in book.fill_keys.copy().values()),
        },
    }


def last_message_at(spec: SessionSpec) -> float | None:
    """When the engine last sent or took a message of a session (seconds since 1970); None if it never did.

    The engine writes the sequence numbers to a file with every message, heartbeats included: while a session is
    logged on, a time that stands still tells of an engine thread that no longer turns.
    """
    try:
        return (spec.store_path / f"{spec.store_prefix}.seqnums").stat().st_mtime
    except OSError:
        return None


def _family(entry: Entry, samples: Samples) -> Metric:
    """One metric as the client library has it."""
    family = _FAMILIES[entry.kind](entry.name, entry.help, labels=entry.labels)
    for labels, value in dict(samples).items():
        if isinstance(value, Histogram):
            family.add_metric(labels, _buckets(value), value.total)
        else:
            family.add_metric(labels, value)
    made: Metric = family
    return made


def _buckets(histogram: Histogram) -> list[tuple[str, int]]:
    """Cumulative counts by upper bound."""
    bounds = [*map(floatToGoString, histogram.bounds), "+Inf"]
    return list(zip(bounds, accumulate(histogram.counts.copy()), strict=True))
