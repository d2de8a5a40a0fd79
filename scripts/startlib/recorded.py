"""One order's life through the gateway's own flow, recorded as the rows that it writes.

The core, the decoder, the encoder and the rows are the gateway's; only the ledger is a list. `record` plays a kind of
order between a client and a broker (`FINISHED`, `LIVE`) on one day and returns every row. The numbers and ids in them
are unmistakable, so that `startlib.stamp` can put others in their place. Limits: two pairs of sessions of the demo's
configuration; BodyLength(9) and CheckSum(10) of what came in are not made anew.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from oms import inbox as box
from oms.config.load import Config
from oms.core.book import Book, SessionState, number_id
from oms.core.core import Core, Wanted
from oms.core.judge import LiveJudge
from oms.core.order import Order
from oms.fix.encode import Encoder
from oms.flow import Flow
from oms.inbox import Heard, Inbox
from oms.ledger import rows
from oms.ledger.batch import Batch
from oms.ledger.chain import JournalRow
from oms.outbox import Message
from oms.terms import core_terms_of

FIRST_SEQ = 40_000_000_001  # in base 36 and in decimal unlike anything else in a message
CLIENT_NUMBER, BROKER_NUMBER = 70_000_001, 80_000_001  # MsgSeqNum(34) of the first message of either side
ORDER = "987654321"  # what the counterparties' own ids of this order have in common
SOH = "\x01"


class Pair(NamedTuple):
    """A client, the broker that its orders go to, and what they trade."""

    client: str
    broker: str
    account: str
    symbol: str
    price: str


PAIRS = (Pair("CLIENT1", "BROKER1", "FUND1", "AAPL", "190.5"), Pair("CLIENT2", "BROKER2", "FUND2", "SAP", "240"))

# What happens to an order: N new, P part of it filled, F the rest, c a cancel asked for, C canceled, r R replaced.
FINISHED = {"NF": 12, "NPF": 4, "NcC": 3, "NrRF": 1}  # by how often, of 20
LIVE = {"N": 12, "NP": 5, "NrR": 2, "NPc": 1}


@dataclass(slots=True)
class Recorded:
    """The rows of one order, in the order of the journal; `sent` are the messages that left."""

    journal: list[JournalRow] = field(default_factory=list)
    fills: list[rows.Row] = field(default_factory=list)
    requests: list[rows.Row] = field(default_factory=list)
    order: rows.Row = ()
    child: rows.Row = ()
    sent: list[Message] = field(default_factory=list)


class _List:
    """A ledger that keeps everything."""

    def __init__(self) -> None:
        self.batches: list[Batch] = []
        self.messages: list[Message] = []

    def wait_for_room(self, seconds: float) -> bool:
        return True

    def put(self, batch: Batch, messages: list[Message]) -> None:
        self.batches.append(batch)
        self.messages += messages

    def find(self, wanted: Wanted) -> list[Any]:
        return []

    def sent_cl_ord_id(self, session: str, number: int) -> tuple[str, str]:
        return "", ""


class _Silent:
    def decided(self, batch: Batch, messages: list[Message], heard: list[Heard]) -> None:
        """Nobody watches."""


class _Player:
    """Both counterparties of one order, and the flow between them."""

    def __init__(self, config: Config, pair: Pair, at: datetime) -> None:
        self._config, self._pair, self._at = config, pair, at
        self._book = Book(next_seq=FIRST_SEQ)
        for name, spec in config.sessions.items():
            self._book.sessions[name] = SessionState(name, spec.role, logged_on=True)
        terms = core_terms_of(config)
        self.ledger = _List()
        self._flow = Flow(
            Inbox([*config.sessions, ""], 100),
            Core(self._book, LiveJudge(terms, self._book.is_up), dict(terms.brokers)),
            self.ledger,
            {name: Encoder(spec) for name, spec in config.sessions.items()},
            frozenset(name for name, spec in config.sessions.items() if spec.appl_ver_id == "FIX.4.2"),
            _Silent(),
            next_batch=1,
            max_batch=500,
            rollover=timedelta(),
        )
        self._numbers = {pair.client: CLIENT_NUMBER, pair.broker: BROKER_NUMBER}
        self._reports = 0
        self._request = "D"

    @property
    def order(self) -> Order:
        """The order as it is now."""
        return self._book.orders[number_id("O", FIRST_SEQ)]

    def _hear(self, session: str, kind: str, body: dict[int, str]) -> None:
        spec = self._config.sessions[session]
        time = f"{self._at:%Y%m%d-%H:%M:%S}.000"
        head = {35: kind, 34: str(self._numbers[session]), 49: session, 52: time, 56: spec.sender_comp_id}
        self._numbers[session] += 1
        content = "".join(f"{tag}={value}{SOH}" for tag, value in (head | body).items())
        raw = f"8={spec.begin_string}{SOH}9={len(content)}{SOH}{content}10=000{SOH}"
        self._flow.process([Heard(box.IN, session, raw, (), int(self._at.timestamp() * 1_000_000))])

    def asks(self, kind: str, name: str, orig: str = "") -> None:
        """The client's D, F or G; ids are a letter and the number that all of this order have."""
        pair = self._pair
        body = {11: f"{name}{ORDER}", 55: pair.symbol, 54: "1", 60: f"{self._at:%Y%m%d-%H:%M:%S}.000", 38: "100"}
        if kind != "D":
            body[41] = f"{orig}{ORDER}"
        if kind != "F":
            body |= {1: pair.account, 21: "1", 40: "2", 44: pair.price, 59: "1"}
        if kind == "G":
            body[38] = "120"
        self._hear(pair.client, kind, body)

    def reports(self, exec_type: str, ord_status: str, last_qty: int = 0) -> None:
        """The broker's ExecutionReport(8), in the words of its version."""
        order, child = self.order, self.order.children[-1]
        pending = order.pending_requests
        request = pending[-1] if pending else None
        self._reports += 1
        cum = int(order.cum_qty) + last_qty
        total = 120 if exec_type == "5" else int(order.order_qty)
        fix42 = self._config.sessions[self._pair.broker].appl_ver_id == "FIX.4.2"
        fill_type = ord_status if fix42 else "F"
        body = {
            37: f"B{ORDER}", 17: f"E{self._reports}-{ORDER}", 150: fill_type if exec_type == "F" else exec_type,
            39: ord_status, 11: child.cl_ord_id or child.child_id, 55: self._pair.symbol, 54: "1", 38: str(total),
            14: str(cum), 151: "0" if ord_status in "24" else str(total - cum), 6: self._pair.price if cum else "0",
            60: f"{self._at:%Y%m%d-%H:%M:%S}.000",
        }  # fmt: skip
        if fix42:
            body[20] = "0"
        if request is not None and exec_type != "F":
            body |= {11: request.broker_cl_ord_id, 41: child.cl_ord_id or child.child_id}
        if last_qty:
            body |= {32: str(last_qty), 31: self._pair.price}
        self._hear(self._pair.broker, "8", body)

    def play(self, step: str) -> None:
        """One letter of a kind of order."""
        if step == "N":
            self.asks("D", "A")
            self.reports("0", "0")
        elif step == "P":
            self.reports("F", "1", 40)
        elif step == "F":
            self.reports("F", "2", int(self.order.leaves_qty))
        elif step == "c":
            self.asks("F", "C", "A")
            self.reports("6", "6")
        elif step == "C":
            self.reports("4", "4")
        elif step == "r":
            self.asks("G", "R", "A")
            self.reports("E", "E")
        elif step == "R":
            self.reports("5", "0")


def record(config: Config, kind: str, pair: Pair, day: datetime) -> Recorded:
    """Every row that an order of this kind makes; `day` is a time on its trade date (UTC)."""
    player = _Player(config, pair, day.astimezone(UTC))
    for step in kind:
        player.play(step)
    found = Recorded(sent=player.ledger.messages)
    for batch in player.ledger.batches:
        found.journal += batch.journal
        found.fills += [rows.fill_row(fill, sent) for fill, sent in batch.fills]
        if batch.items:
            raise AssertionError(f"an order of the kind {kind} opens {batch.items[0].text}")
    order = player.order
    found.order, found.child = rows.order_row(order), rows.child_row(order.children[-1])
    found.requests = [rows.request_row(request) for request in order.requests]
    if order.finished != (kind in FINISHED):
        raise AssertionError(f"an order of the kind {kind} is {order.life} at its end")
    return found


def in_turn(kinds: dict[str, int]) -> Iterator[str]:
    """The kinds without end, each as often as it is given, well mixed."""
    done = dict.fromkeys(kinds, 0)
    while True:
        kind = min(kinds, key=lambda one: ((done[one] + 1) / kinds[one], one))
        done[kind] += 1
        yield kind
