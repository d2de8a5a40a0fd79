"""The fast part: spoiled messages straight into the gateway's flow, without engine and database.

Real are decoding, the core, encoding and the rows with their texts; the ledger only counts. After every batch: each
message that was heard has exactly one row with its very bytes; quantities add up (I4); what would leave is
well-formed FIX; and the journal replayed through a second core gives the same orders, children, requests and fills
(I7), which is the test that results are deterministic. The book starts anew every so often, so memory stays flat.
Nothing may raise: what does is a finding, with the message that did it.
"""

from __future__ import annotations

import json
import os
import random
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from fuzzlib.mutate import Maker, body_of, framed
from fuzzlib.reasons import unmeant
from oms import inbox as box
from oms.config.load import Config, load
from oms.config.templates import write_demo
from oms.core import transitions as life
from oms.core.book import Book, SessionState
from oms.core.core import Core, Wanted
from oms.core.effects import Effects
from oms.core.judge import LiveJudge
from oms.core.order import Order
from oms.fix.encode import Encoder
from oms.flow import Flow
from oms.inbox import Heard, Inbox, now_us
from oms.ledger import rows
from oms.ledger.batch import Batch
from oms.ledger.replay import Replay
from oms.outbox import Message
from oms.startup import config_row
from oms.terms import core_terms_of

WORLD_MESSAGES = 10_000
BATCHES = (1, 5, 20, 80)
SOUND_SHARE, OWN_SHARE = 0.2, 0.02
LEAVING = re.compile(r"35=[^\x01]+\x01(?:[1-9][0-9]*=[^\x01]+\x01)+")
HAS_DATA = re.compile("\x01(?:90|95|212|348|350|352|354|356|358|360|362|364|445|618|621)=")
TOLERANCE = Decimal("0.00000001")
FINDINGS_KEPT = 20
ODD_NUMBERS = ("-", "x", "\xb2", "\u0663", "9223372036854775808", "1" * 5000)
LARGEST = 2**63 - 1


@dataclass(slots=True)
class Findings:
    """What was found, and on how much."""

    messages: int = 0
    seconds: float = 0.0
    rows: int = 0
    leaving: int = 0
    orders: int = 0
    fills: int = 0
    unreadable: Counter[str] = field(default_factory=Counter)  # meant, by reason
    findings: dict[str, str] = field(default_factory=dict)  # by what they have in common, the first of each
    count: int = 0

    def add(self, text: str) -> None:
        """Note a finding; the first of each kind is kept in words."""
        self.count += 1
        key = re.sub(r"[0-9]+", "#", text)[:60]
        if len(self.findings) < FINDINGS_KEPT:
            self.findings.setdefault(key, text)

    def merge(self, other: Findings) -> None:
        """Add what another process found."""
        for name in ("messages", "rows", "leaving", "orders", "fills", "count"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.unreadable.update(other.unreadable)
        self.findings = dict([*self.findings.items(), *other.findings.items()][:FINDINGS_KEPT])


class _Counted:
    """A ledger that keeps the last batch only."""

    def __init__(self) -> None:
        self.batch: Batch | None = None
        self.messages: list[Message] = []

    def wait_for_room(self, seconds: float) -> bool:
        return True

    def put(self, batch: Batch, messages: list[Message]) -> None:
        self.batch, self.messages = batch, messages

    def find(self, wanted: Wanted) -> list[Any]:
        return []  # nothing was evicted: memory has all

    def sent_cl_ord_id(self, session: str, number: int) -> tuple[str, str]:
        return "", ""


class _Watched(Core):
    """The core, with the effects of its last batch."""

    fx: Effects

    def new_batch(self) -> Effects:
        self.fx = super().new_batch()
        return self.fx


class _Silent:
    def decided(self, batch: Batch, messages: list[Message], heard: list[Heard]) -> None:
        """Nobody watches."""


class World:
    """One gateway's insides, from an empty book, with the replay that follows it."""

    def __init__(self, config: Config, seed: str, found: Findings) -> None:
        self._config, self._found = config, found
        self._chance = random.Random(seed)
        self._book = Book()
        for name, spec in config.sessions.items():
            self._book.sessions[name] = SessionState(name, spec.role)
        terms = core_terms_of(config)
        self._core = _Watched(self._book, LiveJudge(terms, self._book.is_up), dict(terms.brokers))
        self._ledger = _Counted()
        fix42 = frozenset(name for name, spec in config.sessions.items() if spec.appl_ver_id == "FIX.4.2")
        encoders = {name: Encoder(spec) for name, spec in config.sessions.items()}
        inbox = Inbox([*config.sessions, ""], 1000)
        self._flow = Flow(
            inbox,
            self._core,
            self._ledger,
            encoders,
            fix42,
            _Silent(),
            next_batch=1,
            max_batch=500,
            rollover=timedelta(),
        )
        self._makers = {
            name: Maker(f"{seed}/{name}", spec.role == "broker", name in fix42)
            for name, spec in config.sessions.items()
        }
        self._numbers = dict.fromkeys(config.sessions, 0)
        self._replay = Replay()
        self._fills_seen = 0
        self._fill_keys: set[tuple[str, Any, str]] = set()
        self._written: dict[str, Any] = {}  # the rows of each child order, as the ledger would have them
        now = datetime.now(UTC)
        self._flow.begin(config_row(self._book, config, now, now.date()), [], [])
        self._check([])
        self._take([self._heard(box.UP, name, "", (1, 1)) for name in config.sessions])

    def step(self) -> int:
        """One batch; returns how many messages of counterparties were in it."""
        heard = list(self._some(self._chance.choice(BATCHES)))
        self._take(heard)
        return len(heard)

    def end(self) -> None:
        """Whatever changed was written: the second core's children are those of the last rows."""
        for order in self._replay.orders.values():
            for child in order.children:
                written, now = self._written.get(child.child_id), rows.child_row(child)
                if written != now:
                    self._found.add(f"a change was not written: {written} became {now}")

    # -- what is heard -------------------------------------------------------------------------------------

    def _some(self, number: int) -> Iterator[Heard]:
        names = list(self._makers)
        for _ in range(number):
            name = self._chance.choice(names)
            roll = self._chance.random()
            if roll < OWN_SHARE:
                yield self._own(name)
                continue
            raw = self._raw(name, sound=roll < OWN_SHARE + SOUND_SHARE)
            yield self._heard(box.IN, name, raw, ())

    def _raw(self, name: str, *, sound: bool) -> str:
        maker = self._makers[name]
        fields = maker.sound() if sound else maker.spoiled()
        self._numbers[name] += 1
        spec = self._config.sessions[name]
        head = b"35=%s\x0134=%d\x0149=%s\x0152=20260302-13:00:00.123\x0156=OMS\x01"
        content = head % (fields[0][1], self._numbers[name], name.encode()) + body_of(fields)
        return framed(spec.begin_string.encode(), content).decode("utf-8", "surrogateescape")

    def _own(self, name: str) -> Heard:
        """What the gateway tells itself: lines up and down, messages that could not leave, complaints."""
        chance = self._chance
        kind = chance.choice((box.UP, box.DOWN, box.NOT_SENT, box.RESEND_DECLINED, box.REFUSED, box.FAILED))
        if kind in (box.UP, box.DOWN):
            return self._heard(box.UP, name, "", (self._numbers[name] + 1, self._numbers[name] + 1))
        if kind in (box.REFUSED, box.FAILED):
            raw = self._raw(name, sound=False)
            if chance.random() < 0.5:
                raw = raw.replace("\x0134=", f"\x0134={chance.choice(ODD_NUMBERS)}", 1)
            return self._heard(kind, name, raw, ("Value is incorrect",))
        broker = chance.choice([one for one, maker in self._makers.items() if maker.from_broker])
        ids = self._makers[broker].ids
        cl_ord_id = chance.choice(ids).decode("utf-8", "replace") if ids else "nobody"
        if kind == box.NOT_SENT:
            return self._heard(kind, broker, "", (1, chance.choice("DFG"), cl_ord_id, f"{broker} is logged out"))
        return self._heard(kind, broker, "", (cl_ord_id, Future()))

    @staticmethod
    def _heard(kind: str, session: str, raw: str, matter: tuple[object, ...]) -> Heard:
        return Heard(kind, session, raw, matter, now_us())

    # -- what comes of it ----------------------------------------------------------------------------------

    def _take(self, heard: list[Heard]) -> None:
        self._ledger.batch = None
        self._flow.process(heard)
        self._check(heard)

    def _check(self, heard: list[Heard]) -> None:
        batch = self._ledger.batch
        assert batch is not None, "a batch was heard and nothing was written"
        found = self._found
        rows_in = [row for row in batch.journal if row.kind not in ("out", "config")]
        wanted = [one.raw.encode("utf-8", "surrogateescape") for one in heard]
        if [row.raw for row in rows_in] != wanted:
            found.add(f"{len(wanted)} entries heard, rows for {len(rows_in)}: {_shown(heard)}")
        for row in rows_in:
            if not 0 <= (row.msg_seq_num or 0) <= LARGEST:
                found.add(f"the ledger cannot hold MsgSeqNum(34) {row.msg_seq_num}: {row.raw!r}")
            if row.detail and '"unreadable"' in row.detail:
                reason = json.loads(row.detail)["unreadable"][2]
                found.unreadable[unmeant(reason) or "as meant"] += 1
                if unmeant(reason):
                    found.add(f"{reason}: {row.raw!r}")
        for fill, _ in batch.fills:
            key = (fill.broker, fill.trade_date, fill.exec_id)
            if key in self._fill_keys:  # I3: the database would refuse the batch
                found.add(f"a fill is booked twice: {fill}")
            self._fill_keys.add(key)
        for message in self._ledger.messages:
            self._leaves(message)
        fx = self._core.fx
        for child in fx.children.values():
            self._written[child.child_id] = rows.child_row(child)
        for order in fx.orders.values():
            _quantities(order)
        self._same(batch, fx)
        found.rows += len(batch.journal)
        found.leaving += len(self._ledger.messages)
        found.orders += len(batch.new_orders)
        found.fills += len(batch.fills)

    def _leaves(self, message: Message) -> None:
        """What would leave is FIX; an order that leaves gives its broker something to report on."""
        if not LEAVING.fullmatch(message.text) and not HAS_DATA.search(message.text):
            self._found.add(f"would leave to {message.session}: {message.text!r}")
        maker = self._makers[message.session]
        if maker.from_broker and message.msg_type in "DGF":
            maker.ids.append(message.text.partition("\x0111=")[2].partition("\x01")[0].encode())

    def _same(self, batch: Batch, fx: Effects) -> None:
        """The second core, fed with the journal, has the same."""
        replay = self._replay
        for row in batch.journal:
            replay.take(row._replace(detail=json.loads(row.detail) if row.detail else None))
        for order in fx.orders.values():
            other = replay.orders.get(order.order_id)
            if other is None or _rows_of(other) != _rows_of(order):
                self._found.add(f"OrderID(37) {order.order_id} is another after replay: {_rows_of(order)}")
        fills = replay.fills[self._fills_seen :]
        self._fills_seen = len(replay.fills)
        if fills != batch.fills:
            self._found.add(f"fills are others after replay: {batch.fills} {fills}")
        for seq, request in fx.requests.items():
            if rows.request_row(replay.requests[seq]) != rows.request_row(request):
                self._found.add(f"a request is another after replay: {request}")


def _rows_of(order: Order) -> Any:
    return rows.order_row(order), [rows.child_row(child) for child in order.children]


def _quantities(order: Order) -> None:
    """I4: quantities follow from the executions, and add up while the order lives."""
    live = [one for child in order.children for one in child.executions.values() if one.live]
    assert order.cum_qty == sum((one.last_qty for one in live), Decimal(0)), order
    assert sum(child.cum_qty for child in order.children) == order.cum_qty, order
    assert order.leaves_qty >= 0, order
    if order.life not in life.NOT_WORKING:
        assert order.cum_qty + order.leaves_qty == max(order.order_qty, order.cum_qty), order
    if order.cum_qty:
        assert abs(order.avg_px * order.cum_qty - order.notional) <= abs(order.cum_qty) * TOLERANCE, order


def _shown(heard: list[Heard]) -> str:
    return "; ".join(f"{one.kind} {one.session} {one.raw!r}" for one in heard[:3])


def fuzz_core(
    directory: Path, messages: int, seed: int, seconds: float, told: Callable[[int], None] = lambda done: None
) -> Findings:
    """Run so many messages through worlds of their own, on all CPUs, or as many as fit into `seconds`.

    `told` hears how many are done.
    """
    path = write_demo(directory, client_port=5201, broker_ports=(5301, 5302), trading="on")
    found, began = Findings(), time.monotonic()
    number = -(-messages // WORLD_MESSAGES)
    sizes = [min(WORLD_MESSAGES, messages - WORLD_MESSAGES * one) for one in range(number)]
    with ProcessPoolExecutor(min(os.cpu_count() or 1, number), mp_context=get_context("spawn")) as pool:
        waiting = {pool.submit(_world, path, f"{seed}/{one}", size) for one, size in enumerate(sizes)}
        for done in as_completed(waiting):
            found.merge(done.result())
            told(found.messages)
            if time.monotonic() - began > seconds:
                pool.shutdown(wait=False, cancel_futures=True)
                break
    found.seconds = time.monotonic() - began
    return found


def _world(path: Path, seed: str, messages: int) -> Findings:
    """One world, in a process of the pool."""
    found = Findings()
    world = World(load(path), seed, found)
    while found.messages < messages:
        try:
            found.messages += world.step()
            if found.messages >= messages:
                world.end()
        except Exception as error:  # noqa: BLE001 - that something raises is what is looked for
            found.add(f"{_raised(error)} in world {seed}")
            break
    return found


def _raised(error: BaseException) -> str:
    """The error and the innermost places of ours that it came through."""
    places = []
    trace = error.__traceback__
    while trace is not None:
        places.append(f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}")
        trace = trace.tb_next
    return f"{type(error).__name__}: {error} at {' '.join(places[-4:])}"
