"""The live part: a gateway as a process of its own, spoiled messages on a client's and a broker's session, a canary.

Two acts on one gateway: first FIX 4.4 as client and 5.0 SP2 as broker are fuzzed while 4.2 trades, then the other way
round. Afterwards the journal must have every message that was due, by its bytes and once; no line of its log may be
an error; memory must have stayed in bounds; the hash chain and the replay must hold; and the gateway must stop when
asked.
"""

from __future__ import annotations

import json
import re
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]
from sqlalchemy import text

from fuzzlib.line import LOOPBACK, Line
from fuzzlib.mutate import Maker
from fuzzlib.players import Canary, CanaryBroker, Fuzzer, Sent
from fuzzlib.reasons import unmeant
from oms.config.load import load
from oms.demo.interrupts import Interrupts
from oms.demo.place import Place, opened
from oms.demo.plan import BROKERS, CLIENTS, Party
from oms.demo.processes import Child, Processes
from oms.ledger.database import Engine, open_database, open_ledger
from oms.ledger.replay import verify_tables
from oms.ledger.verify import verify_chain
from oms.sim.session import BEGIN_STRINGS

GATEWAY = "gateway"
START_SECONDS, STOP_SECONDS = 120.0, 30.0
MEMORY_BASE_MB, MEMORY_BYTES_A_MESSAGE = 150, 1500
# Exception items are logged as errors: that a report was refused is for a person to see, and is what is wanted here.
ERROR_LINE = re.compile(r"\[(?:error|critical)\s*\] (?!exception item)|Traceback")
KEPT = 20
COLOURS = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(slots=True)
class LiveFindings:
    """What came of it. `problems` are the findings."""

    messages: int = 0
    due: int = 0
    recorded: int = 0
    garbled: int = 0
    unruly: int = 0
    stalled: int = 0
    logons: int = 0
    seconds: float = 0.0
    canary_seconds: list[float] = field(default_factory=list)
    memory_mb: tuple[float, float] = (0.0, 0.0)
    journal: dict[str, int] = field(default_factory=dict)
    answers: Counter[str] = field(default_factory=Counter)
    unreadable: Counter[str] = field(default_factory=Counter)
    errors_logged: int = 0
    refused_twice: int = 0  # after a BodyLength(9) that is no number the engine takes the message before once more
    problems: list[str] = field(default_factory=list)


def fuzz_sessions(
    directory: Path,
    messages: int,
    seed: int,
    seconds: float,
    interrupts: Interrupts,
    told: Callable[[int], None] = lambda done: None,
) -> LiveFindings:
    """So many messages on the sessions of a gateway, or as many as fit into `seconds`. Everything ends with it."""
    found = LiveFindings()
    with opened(directory) as place, ExitStack() as until_done:
        place.breakers = False
        place.write()
        postgres = until_done.enter_context(ExitStack())
        processes = until_done.enter_context(Processes(place, interrupts))
        listeners = [until_done.enter_context(_listener(place.ports[broker.name])) for broker in BROKERS]
        gateway = _start(place, processes)
        config = load(place.config)
        postgres.enter_context(open_database(config))
        processes.wait_until(lambda: _is_open(place, gateway), START_SECONDS, "the gateway to open")
        engine = postgres.enter_context(open_ledger(config))
        began, due = time.monotonic(), list[Sent]()
        before = 0.0
        for act in (0, 1):
            due += _act(
                place, gateway, listeners, act, messages // 2, seed, began + seconds * (act + 1) / 2, found, told
            )
            if gateway.ended is not None:
                break
            before = before or _resident_mb(gateway)
        found.seconds = time.monotonic() - began
        _ended_well(gateway, before, found)
        _recorded(engine, due, found)
        _errors(gateway.log, found)
        _proofs(engine, found)
    return found


def _listener(port: int) -> socket.socket:
    return socket.create_server((LOOPBACK, port), backlog=8)


def _start(place: Place, processes: Processes) -> Child:
    ready = place.directory / "gateway.ready"
    return processes.start(GATEWAY, "run", "--config", str(place.config), "--ready-file", str(ready))


def _is_open(place: Place, gateway: Child) -> bool:
    try:
        return int((place.directory / "gateway.ready").read_text()) == gateway.process.pid
    except (FileNotFoundError, ValueError):
        return False


# --- playing ----------------------------------------------------------------------------------------------


def _act(
    place: Place,
    gateway: Child,
    listeners: Sequence[socket.socket],
    act: int,
    messages: int,
    seed: int,
    ends: float,
    found: LiveFindings,
    told: Callable[[int], None],
) -> list[Sent]:
    """Fuzz one client and one broker while the others trade."""
    done = found.messages
    canary_client, canary_broker = CLIENTS[1 - act], BROKERS[act]
    lines = {party.name: _line(place, listeners, party) for party in (*CLIENTS, *BROKERS)}
    market = CanaryBroker(lines[canary_broker.name], canary_broker.version == "4.2")
    canary = Canary(lines[canary_client.name], b"AAPL" if canary_broker.name == "BROKER1" else b"SAP")
    fuzzers = [
        Fuzzer(
            party.name,
            lines[party.name],
            Maker(f"{seed}/{act}/{party.name}", party in BROKERS, party.version == "4.2"),
            messages // 2,
            ends,
        )
        for party in (CLIENTS[act], BROKERS[1 - act])
    ]
    market.start()
    while not market.there.wait(0.05) and market.is_alive():  # or until it has died
        pass
    canary.start()
    for fuzzer in fuzzers:
        fuzzer.start()
    while alive := [fuzzer for fuzzer in fuzzers if fuzzer.is_alive()]:
        alive[0].join(0.5)
        if gateway.ended is not None:
            for fuzzer in fuzzers:
                fuzzer.ends = 0.0
        told(done + sum(fuzzer.sent.messages for fuzzer in fuzzers))
    canary.end()
    market.end()
    for fuzzer in fuzzers:
        _add(found, fuzzer.sent)
    found.canary_seconds += canary.seconds
    found.problems += canary.problems[:KEPT] + market.problems[:KEPT]
    return [fuzzer.sent for fuzzer in fuzzers]


def _line(place: Place, listeners: Sequence[socket.socket], party: Party) -> Line:
    brokers = {broker.name: one for broker, one in zip(BROKERS, listeners, strict=True)}
    begin_string = BEGIN_STRINGS[party.version].encode()
    return Line(begin_string, party.name, port=place.ports["clients"], listener=brokers.get(party.name))


def _add(found: LiveFindings, sent: Sent) -> None:
    found.messages += sent.messages
    found.garbled += sent.garbled
    found.unruly += sent.unruly
    found.stalled += sent.stalled
    found.logons += sent.logons
    found.answers.update(sent.answers)
    found.problems += sent.problems


# --- what it came to --------------------------------------------------------------------------------------


def _resident_mb(gateway: Child) -> float:
    try:
        return float(psutil.Process(gateway.process.pid).memory_info().rss) / 1e6
    except psutil.NoSuchProcess:
        return 0.0


def _ended_well(gateway: Child, before: float, found: LiveFindings) -> None:
    """It lives, has kept its size, and stops when asked."""
    after = _resident_mb(gateway)
    found.memory_mb = (round(before, 1), round(after, 1))
    most = MEMORY_BASE_MB + before + found.messages * MEMORY_BYTES_A_MESSAGE / 1e6
    if gateway.ended is not None:
        found.problems.append(f"the gateway ended by itself: {gateway.ended}\n{gateway.last_words()}")
        return
    if after > most:
        found.problems.append(f"resident memory {after:.0f} MB, {most:.0f} were expected at most")
    gateway.process.terminate()
    if not gateway.wait(STOP_SECONDS):
        found.problems.append(f"the gateway did not stop within {STOP_SECONDS:.0f} s")
    elif gateway.ended:
        found.problems.append(f"the gateway stopped with exit code {gateway.ended}\n{gateway.last_words()}")


def _rows(engine: Engine) -> Iterator[Any]:
    query = text(
        "SELECT seq, kind, session, msg_type, raw, detail FROM journal WHERE kind IN ('in', 'refused') ORDER BY seq"
    )
    with engine.connect() as connection:
        yield from connection.execution_options(stream_results=True, yield_per=2000).execute(query)


def _recorded(engine: Engine, sent: Sequence[Sent], found: LiveFindings) -> None:
    """Every message that was due is in the journal, by its bytes, and once."""
    due: Counter[bytes] = Counter()
    for one in sent:
        due.update(one.due)
    found.due = due.total()
    kinds: Counter[str] = Counter()
    seen: Counter[bytes] = Counter()
    for row in _rows(engine):
        kinds[f"{row.kind} {row.msg_type}" if row.kind == "refused" else row.kind] += 1
        raw = bytes(row.raw)
        if raw in due:
            again = row.kind == "refused" and seen[raw] >= due[raw]
            found.refused_twice += again
            seen[raw] += not again
        detail = row.detail or {}
        reason = detail["unreadable"][2] if "unreadable" in detail else ""
        if row.msg_type == "Unreadable" and row.kind == "refused":  # an exception in a callback of ours
            reason = f"callback: {detail.get('matter')}"
        if reason:
            found.unreadable[unmeant(reason)[:100] or "as meant"] += 1
            if unmeant(reason) and len(found.problems) < KEPT:
                found.problems.append(f"journal row {row.seq} could not be read: {reason}: {raw!r}"[:2000])
    found.journal = dict(kinds)
    found.recorded = sum((seen & due).values())
    missing, twice = due - seen, seen - due
    for what, rows in (("not in the journal", missing), ("in the journal more than once", twice)):
        if rows:
            found.problems.append(f"{rows.total()} messages {what}, such as {next(iter(rows))!r}"[:2000])


def _errors(log: Path, found: LiveFindings) -> None:
    """No line of the gateway's log says that something of ours failed."""
    for line in log.read_text(encoding="utf-8", errors="replace").splitlines():
        plain = COLOURS.sub("", line)
        if ERROR_LINE.search(plain):
            found.errors_logged += 1
            if found.errors_logged <= 5:
                found.problems.append(f"the gateway's log says: {plain[:1000]}")


def _proofs(engine: Engine, found: LiveFindings) -> None:
    chain = verify_chain(engine)
    if chain.problem is not None:
        found.problems.append(f"hash chain, batch {chain.problem.batch}: {chain.problem.text}")
        return
    replay = verify_tables(engine)
    if not replay.ok:
        shown = json.dumps([one._asdict() for one in replay.differences[:3]])
        found.problems.append(f"replay: {replay.differing} values differ, such as {shown}")
