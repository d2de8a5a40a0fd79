"""One run: gateway and counterparties start, a quiet stretch, the burst, a quiet stretch, and what it came to."""

from __future__ import annotations

import multiprocessing as mp
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any

from sqlalchemy import text

from benchlib.fixpeer import LoadError
from benchlib.systems import BenchError
from oms.config.load import load
from oms.ledger.database import Engine, open_database, open_ledger
from oms.ledger.verify import verify_chain
from overloadlib.house import BACK_PRESSURE, BROKER, DELAY, FLOOD, REJECT, STEADY, THROTTLE, House
from overloadlib.peers import RESTING_QTY, Client, Tally, flood, market, turn, turn_until

PHASES = ("before", "burst", "after")
START_SECONDS, DRAIN_SECONDS, END_SECONDS = 180.0, 120.0, 20.0
MEMORY_MB = 150.0  # what a burst may add
TIMES = 3  # the p99 of the quiet stretches
EACH_SECONDS = 0.1  # between two orders of a steady client
LOOK_SECONDS = 0.5


@dataclass(slots=True)
class Outcome:
    """What came of a run. `problems` are what must not be; empty is the verdict."""

    policy: str
    rate: int
    offered: int
    tallies: dict[str, Tally] = field(default_factory=dict)
    marks: list[float] = field(default_factory=list)  # when the burst began and ended
    memory: list[tuple[float, float]] = field(default_factory=list)  # seconds since the start, megabytes
    broker: Counter[str] = field(default_factory=Counter)
    drained_seconds: float = 0.0
    problems: list[str] = field(default_factory=list)

    def milliseconds(self, names: tuple[str, ...], cancels: bool, phase: str) -> list[float]:
        """Latencies of these clients in a phase, sorted, milliseconds."""
        bounds = [0.0, *self.marks, float("inf")]
        index = PHASES.index(phase)
        found = [
            seconds * 1000
            for name in names
            for sent, seconds in (self.tallies[name].cancel_seconds if cancels else self.tallies[name].order_seconds)
            if bounds[index] <= sent < bounds[index + 1]
        ]
        return sorted(found)

    def bound(self, cancels: bool, target_ms: float) -> float:
        """What the others' p99 of the burst may be: the target, or TIMES that of the quiet stretches if it is more.

        A machine on which an order takes long without any flood would otherwise be judged, not the gateway.
        """
        quiet = sorted(one for phase in ("before", "after") for one in self.milliseconds(STEADY, cancels, phase))
        p99 = percentile(quiet, 0.99)
        return max(target_ms, TIMES * p99) if quiet else target_ms


def percentile(ordered: list[float], share: float) -> float:
    """A percentile of sorted values; nan of none."""
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)] if ordered else float("nan")


def overload(
    policy: str, rate: int, offered: int, quiet: float, burst: float, target_ms: float, url: str | None = None,
    told: Callable[[str], None] = lambda what: None,
) -> Outcome:  # fmt: skip
    """One run of `quiet` seconds, `burst` seconds with `offered` orders a second from FLOOD, and `quiet` seconds.

    Raises LoadError or BenchError where the run says nothing.
    """
    outcome = Outcome(policy, rate, offered)
    with traded(policy, rate, url, told) as (house, clients, broker, engine), ExitStack() as until_done:
        args = (house.client_port, burst, offered, DRAIN_SECONDS)
        line = until_done.enter_context(process(flood, args))
        began = time.monotonic()
        steadily(house, clients, broker, outcome, began, line.poll, DRAIN_SECONDS)
        if (said := line.recv()) != "ready":
            raise LoadError(str(said))
        told("quiet")
        ends = time.monotonic() + quiet
        steadily(house, clients, broker, outcome, began, lambda: time.monotonic() > ends, quiet + 1)
        told("burst")
        outcome.marks = [time.monotonic(), time.monotonic() + burst]
        line.send("go")
        steadily(house, clients, broker, outcome, began, lambda: time.monotonic() > outcome.marks[1], burst + 1)
        told("draining")
        steadily(house, clients, broker, outcome, began, line.poll, DRAIN_SECONDS + 5)
        said = line.recv()
        if not isinstance(said, Tally):
            raise LoadError(str(said))
        outcome.tallies[FLOOD] = said
        outcome.drained_seconds = time.monotonic() - outcome.marks[1]
        outcome.marks[1] = time.monotonic()  # what it sent is worked through: only now the burst is over
        told("quiet again")
        ends = time.monotonic() + quiet
        steadily(house, clients, broker, outcome, began, lambda: time.monotonic() > ends, quiet + 1)
        finish(clients, broker, outcome)
        judge(outcome, target_ms)
        check_ledger(engine, outcome)
    return outcome


@contextmanager
def traded(
    policy: str, rate: int, url: str | None, told: Callable[[str], None]
) -> Iterator[tuple[House, list[Client], Connection, Engine]]:
    """The gateway, its four steady clients logged on, the broker's process, and the ledger."""
    with ExitStack() as until_done:
        house = House(policy, rate, url)
        broker = until_done.enter_context(process(market, (house.broker_port,)))
        _expect(broker, "ready", START_SECONDS, house)
        told("starting")
        until_done.enter_context(house)
        _expect(broker, "answered", START_SECONDS, house)
        config = load(house.config_file)
        until_done.enter_context(open_database(config, create=False))
        engine = until_done.enter_context(open_ledger(config))
        clients: list[Client] = []
        for name in STEADY:
            clients.append(steady(name, house.client_port))
            clients[-1].log_on()
        yield house, clients, broker, engine


def steady(name: str, port: int) -> Client:
    """A client whose orders are cancelled as soon as they rest."""
    client = Client(name, port, lambda cl_ord_id: client.cancel(cl_ord_id))
    return client


@contextmanager
def process(target: Callable[..., None], args: tuple[Any, ...]) -> Iterator[Connection]:
    """A process of ours with a line to it; it ends with the context."""
    context = mp.get_context("spawn")
    ours, theirs = context.Pipe()
    child = context.Process(target=target, args=(*args, theirs), daemon=True)
    child.start()
    theirs.close()
    try:
        yield ours
    finally:
        if child.is_alive():
            child.join(1)
        if child.is_alive():
            child.kill()
        child.join()


def _expect(line: Connection, what: str, seconds: float, house: House) -> None:
    deadline = time.monotonic() + seconds
    while not line.poll(0.1):
        house.check_alive()
        if time.monotonic() > deadline:
            raise BenchError(f"the broker did not say '{what}' within {seconds:.0f} s:\n{house.last_output()}")
    if (said := line.recv()) != what:
        raise LoadError(str(said))


def steadily(
    house: House, clients: list[Client], broker: Connection, outcome: Outcome, began: float,
    until: Callable[[], bool], seconds: float, each: float = EACH_SECONDS,
) -> None:  # fmt: skip
    """Each client sends an order every `each` seconds, cancelled as soon as it rests, until something is so."""
    start = time.monotonic()
    due = [start + each * number / len(clients) for number in range(len(clients))]
    look = start
    while not until():
        now = time.monotonic()
        if now - start > seconds:
            raise LoadError(f"not over after {seconds:.0f} s")
        for number, client in enumerate(clients):
            if now >= due[number]:
                due[number] = max(due[number] + each, now - each)
                client.order(RESTING_QTY)
        if now >= look:
            look = now + LOOK_SECONDS
            house.check_alive()
            if broker.poll():  # it has nothing to say before its end
                raise LoadError(str(broker.recv()))
            outcome.memory.append((now - began, house.resident_mb()))
        turn(clients, min(0.02, max(min(due) - now, 0)))


def finish(clients: list[Client], broker: Connection, outcome: Outcome) -> None:
    """Wait for the last answers, log off, and take the broker's count."""
    with suppress(LoadError):  # counted as unanswered
        turn_until(clients, lambda: not any(one.waiting for one in clients), END_SECONDS, "")
    outcome.tallies |= {client.peer.name: client.close() for client in clients}
    broker.send("stop")
    said = broker.recv()
    if not isinstance(said, Counter):
        raise LoadError(str(said))
    outcome.broker = said


def answered_well(outcome: Outcome) -> None:
    """Every message was answered as it must be."""
    problems = outcome.problems
    for name, tally in outcome.tallies.items():
        if tally.unanswered:
            problems.append(f"{name}: {tally.unanswered} messages were never answered")
        if tally.refused:
            problems.append(f"{name}: {tally.refused.total()} wrong answers, such as {next(iter(tally.refused))}")
        if tally.cancelled != tally.cancels:
            problems.append(f"{name}: {tally.cancels} cancels, {tally.cancelled} granted")
        if name != FLOOD and tally.throttled:
            problems.append(f"{name}: {tally.throttled} orders throttled because of another client")


def judge(outcome: Outcome, target_ms: float) -> None:
    """What the clients saw against what is promised."""
    problems = outcome.problems
    answered_well(outcome)
    for cancels, what in ((False, "orders"), (True, "cancels")):
        p99 = percentile(outcome.milliseconds(STEADY, cancels, "burst"), 0.99)
        bound = outcome.bound(cancels, target_ms)
        if not p99 <= bound:
            problems.append(f"{what} of the others took {p99:.0f} ms at p99 of the burst, over {bound:.0f}")
    flooder = outcome.tallies[FLOOD]
    if outcome.policy in (REJECT, THROTTLE, DELAY) and not flooder.throttled:
        problems.append("no order was throttled")
    if outcome.policy in (BACK_PRESSURE, DELAY) and not flooder.held_back:
        problems.append("nothing was held back: the burst was no overload")
    first, most = outcome.memory[0][1], max(size for _, size in outcome.memory)
    if most > first + MEMORY_MB:
        problems.append(f"resident memory grew from {first:.0f} to {most:.0f} MB")


def check_ledger(engine: Engine, outcome: Outcome) -> None:
    """Every message sent is in the journal once, every fill of the broker booked once, and the chain holds."""
    with engine.connect() as ledger:
        rows = ledger.execute(text(
            "SELECT session, msg_type, count(*), count(DISTINCT msg_seq_num) FROM journal "
            "WHERE kind = 'in' AND msg_type IN ('D', 'F') GROUP BY 1, 2"
        )).all()  # fmt: skip
        fills = ledger.scalar(text("SELECT count(*) FROM fills"))
    journal = {(row[0], row[1]): (row[2], row[3]) for row in rows}
    for name, tally in outcome.tallies.items():
        for msg_type, number in (("D", tally.orders), ("F", tally.cancels)):
            if journal.get((name, msg_type), (0, 0)) != (number, number):
                found = journal.get((name, msg_type), (0, 0))
                outcome.problems.append(f"{name} sent {number} of MsgType(35) {msg_type}, the journal has {found}")
    accepted = sum(tally.accepted for tally in outcome.tallies.values())
    filled = sum(tally.filled for tally in outcome.tallies.values())
    reached = outcome.broker["orders"]
    if reached != accepted:
        outcome.problems.append(f"{BROKER} got {reached} orders, the clients were told of {accepted}")
    if fills != filled:
        outcome.problems.append(f"the ledger has {fills} fills, the clients were told of {filled}")
    chain = verify_chain(engine)
    if chain.problem is not None:
        outcome.problems.append(f"hash chain, batch {chain.problem.batch}: {chain.problem.text}")
