"""What committed batches add up to: counts and latencies in plain dictionaries, cheap enough for every message.

`take` is called once per committed batch on the committer's thread, after the batch's messages were handed to the
outbox; it is the only writer. The collector (oms.ops.metrics) reads copies when it is scraped. Latencies are seconds.
Invariants: label values come from the configuration or from lists in this file, never from a counterparty, so that
memory is bounded (I10); messages committed and not yet told to have been sent are remembered up to PENDING_LIMIT.
"""

from __future__ import annotations

import json
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from operator import itemgetter
from typing import Any, NamedTuple

from oms.core.approvals import EXPIRE, PROPOSE
from oms.ledger.batch import Batch, Send
from oms.ledger.chain import JournalRow
from oms.ledger.rows import CHILD_COLUMNS, ORDER_COLUMNS
from oms.ops.recorder import LEFT_OUT, PEOPLE, READ, REFUSED
from oms.ops.roles import TABLE

PENDING_LIMIT = 20_000
OPEN_ITEMS_LIMIT = 20_000  # exception items whose age is known; more are counted, but not by age
OTHER = "other"
UNKNOWN_SESSION = "unknown"  # what the engine refused because no configured session is meant

# MsgType(35) that are told apart; a counterparty may send any text there.
MSG_TYPES = frozenset(["3", "8", "9", "D", "F", "G", "H", "Q", "j"])
# Rows of operators that are told apart: their commands, and who was refused one or looked.
COMMANDS = frozenset([*TABLE, PROPOSE, EXPIRE, REFUSED, READ, LEFT_OUT, PEOPLE])
# Where a message of ours that refuses something says why.
REASON_FIELDS = {
    "8": ("OrdRejReason", b"103"),
    "9": ("CxlRejReason", b"102"),
    "j": ("BusinessRejectReason", b"380"),
    "Q": ("DKReason", b"127"),
}
# Reasons that the standard numbers or letters; a broker may write any text there.
REASONS = frozenset([*map(str, range(30)), "99", *"ABCDEFZ"])

SECONDS = (
    *(0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.05, 0.075, 0.1, 0.2, 0.5),
    *(1.0, 2.0, 5.0, 10.0, 60.0),
)
SIZES = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0, 5000.0)

Counts = dict[tuple[str, ...], int]  # by label values

# Positions in JournalRow, Send and rows: unpacking by name costs more than what is done with the values.
_KIND_SESSION_TYPE = itemgetter(1, 2, 3)
_SESSION_OUTCOME = itemgetter(1, 2)
_CLIENT = ORDER_COLUMNS.index("client")
_BROKER, _ROUTE_RULE = CHILD_COLUMNS.index("broker"), CHILD_COLUMNS.index("route_rule")
_REFUSED_BY_RULE = '"verdict":{"ok":false'  # as the journal's JSON has it; inside a text the quotes would be escaped


class Histogram:
    """Counts by upper bound, and their sum. One writer; a reader may be one observation behind."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def add(self, *values: float) -> None:
        """Count values; one below zero (two readings of a clock that was set back) counts as zero."""
        counts, bounds = self.counts, self.bounds
        for value in values:
            counts[bisect_left(bounds, value)] += 1
        self.total += max(sum(values), 0.0)


def _latencies(labels: Iterable[tuple[str, ...]] = ()) -> dict[tuple[str, ...], Histogram]:
    made: dict[tuple[str, ...], Histogram] = defaultdict(lambda: Histogram(SECONDS))
    for label in labels:
        made[label]  # shown from the start, at zero
    return made


class Notable(NamedTuple):
    """One row worth a line in the log: what the gateway told itself, or an answer that refuses something.

    For a refusal `cause` is the row that brought it about, `source` who refused (gateway or broker), and
    `reason` the rule or the reason field.
    """

    row: JournalRow
    cause: JournalRow | None = None
    source: str = ""
    reason: str = ""


class Tally:
    """Counts since the start; the comment names the labels in their order."""

    def __init__(self, brokers: Iterable[str], clients: Iterable[str]) -> None:
        self._brokers = frozenset(brokers)
        names = [*clients, *self._brokers]
        self.messages: Counts = defaultdict(int)  # session, direction, msg_type
        self.refused: Counts = defaultdict(int)  # session
        self.commands: Counts = defaultdict(int)  # command
        self.orders: Counts = defaultdict(int)  # session
        self.children: Counts = defaultdict(int)  # session, route
        self.fills: Counts = defaultdict(int)  # session, kind
        self.rejects: Counts = defaultdict(int)  # session, msg_type, source, reason
        self.sends: Counts = defaultdict(int)  # session, outcome
        self.items_opened: Counts = defaultdict(int)  # kind, severity
        self.items_resolved: Counts = defaultdict(int)  # kind
        self.items_open: Counts = defaultdict(int)  # kind
        self.open_since: dict[str, tuple[str, str, datetime]] = {}  # item -> kind, severity, when it was opened
        self.batch_events = Histogram(SIZES)
        self.commit = Histogram(SECONDS)
        self.received_to_committed = _latencies((name,) for name in names)  # session
        self.committed_to_sent = _latencies((name,) for name in names)  # session
        self.to_broker = _latencies()  # session, msg_type
        self.to_client = _latencies()  # session, msg_type
        # Journal row of a message -> the hop it ends (if any), when its cause was received, when it was committed.
        self._pending: dict[int, tuple[Histogram | None, datetime, datetime]] = {}

    def add_brokers(self, names: Iterable[str]) -> None:
        """Brokers that come while others trade."""
        self._brokers |= frozenset(names)

    def were_open(self, items: Mapping[str, int]) -> None:
        """Exception items that were open before this start, by kind."""
        for kind, number in items.items():
            self.items_open[kind,] += number

    def ages(self, items: Iterable[Mapping[str, Any]]) -> None:
        """Since when the oldest of them are open: rows of exception_items."""
        for row in items:
            self.open_since[row["item_id"]] = (row["kind"], row["severity"], row["opened_at"])

    def take(self, batch: Batch, committed: datetime, seconds: float) -> list[Notable]:
        """Add a batch that was committed at `committed` and took `seconds`; returns what is worth a log line."""
        self.commit.add(seconds)
        notable = self._journal(batch.journal, committed)
        if batch.sends:
            self._sends(batch.sends)
        for order in batch.new_orders:
            self.orders[str(order[_CLIENT]),] += 1
        for child in batch.new_children:
            self.children[str(child[_BROKER]), str(child[_ROUTE_RULE])] += 1
        for fill, _ in batch.fills:
            self.fills[fill.broker, fill.kind] += 1
        for item in batch.items:
            if item.state == "open":
                if len(self.open_since) < OPEN_ITEMS_LIMIT:
                    self.open_since[item.item_id] = (item.kind, item.severity, item.opened_at)
                self.items_opened[item.kind, item.severity] += 1
                self.items_open[item.kind,] += 1
            elif item.state:  # one that was taken by an operator stays as it is
                self.items_resolved[item.kind,] += 1
                self.items_open[item.kind,] -= 1
                self.open_since.pop(item.item_id, None)
        return notable

    def _journal(self, rows: list[JournalRow], committed: datetime) -> list[Notable]:
        """Rows in order: what came in, each followed by what went out because of it.

        The loop runs for every message; what can be counted in one go for the whole batch is.
        """
        notable: list[Notable] = []
        pending, brokers = self._pending, self._brokers
        waits: dict[str, list[float]] = defaultdict(list)
        events = 0
        cause: JournalRow | None = None
        cause_session = ""  # of the cause, where it is a message
        for row in rows:
            kind = row[1]
            if kind == "out":
                session, msg_type = row[2], row[3]
                hop = None
                if cause_session and cause_session != session:
                    hops = self.to_broker if session in brokers else self.to_client
                    hop = hops[session, msg_type if msg_type in MSG_TYPES else OTHER]
                pending[row[0]] = (hop, row[8], committed)
                if msg_type in REASON_FIELDS and (msg_type != "8" or _refuses(row[10])):
                    notable.append(self._rejected(row, cause))
                continue
            events += 1
            cause = row
            if kind == "in":
                cause_session = row[2]
                waits[cause_session].append((committed - row[8]).total_seconds())
            else:
                cause_session = ""
                notable.append(Notable(row))
        for session, seconds in waits.items():
            self.received_to_committed[session,].add(*seconds)
        for (kind, session, msg_type), number in Counter(map(_KIND_SESSION_TYPE, rows)).items():
            if kind in ("in", "out"):
                self.messages[session, kind, msg_type if msg_type in MSG_TYPES else OTHER] += number
            elif kind == "refused":
                self.refused[session or UNKNOWN_SESSION,] += number
            elif kind == "operator":
                self.commands[msg_type if msg_type in COMMANDS else OTHER,] += number
        if events:
            self.batch_events.add(events)
        while len(pending) > PENDING_LIMIT:  # the oldest first: a client that is away for long
            del pending[next(iter(pending))]
        return notable

    def _rejected(self, row: JournalRow, cause: JournalRow | None) -> Notable:
        by_broker = cause is not None and cause.kind == "in" and cause.session != row.session
        source = "broker" if by_broker else "gateway"
        reason = "" if by_broker or cause is None else _rule(cause.detail)
        if not reason:
            name, tag = REASON_FIELDS[row.msg_type]
            value = field(row.raw, tag)
            reason = f"{name}({tag.decode()})={value if value in REASONS else OTHER}"
        self.rejects[row.session, row.msg_type, source, reason] += 1
        return Notable(row, cause, source, reason)

    def _sends(self, sends: list[Send]) -> None:
        """What became of messages of earlier batches."""
        pending = self._pending
        waits: dict[str, list[float]] = defaultdict(list)
        hops: dict[Histogram, list[float]] = defaultdict(list)
        for send in sends:
            entry = pending.pop(send[0], None)
            if entry is None or send[2] != "sent":
                continue
            hop, received, committed = entry
            sent = send[4]
            waits[send[1]].append((sent - committed).total_seconds())
            if hop is not None:
                hops[hop].append((sent - received).total_seconds())
        for session, seconds in waits.items():
            self.committed_to_sent[session,].add(*seconds)
        for hop, seconds in hops.items():
            hop.add(*seconds)
        for (session, outcome), number in Counter(map(_SESSION_OUTCOME, sends)).items():
            self.sends[session, outcome] += number


def field(raw: bytes, tag: bytes) -> str:
    """The first value of a tag in a message without its first field (that is MsgType(35)), '' where it has none."""
    start = raw.find(b"\x01" + tag + b"=")
    if start < 0:
        return ""
    start += len(tag) + 2
    return raw[start : raw.find(b"\x01", start)].decode("utf-8", "surrogateescape")


def _refuses(report: bytes) -> bool:
    """Whether an ExecutionReport(8) refuses: ExecType(150) 8, and no answer to a status request (20=3 in 4.2)."""
    return b"\x01150=8\x01" in report and b"\x0120=3\x01" not in report


def _rule(detail: str | None) -> str:
    """The rule that refused, '' where no rule of ours did."""
    if detail is None or _REFUSED_BY_RULE not in detail:
        return ""
    return str(json.loads(detail)["verdict"].get("rule", ""))
