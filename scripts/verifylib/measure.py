"""One proof of a ledger in a process of its own: how long it takes and how much memory it needs.

The process tells how far it is through a pipe; its resident memory is looked at ten times a second. It ends with the
measurement, whatever happens.
"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable
from datetime import date
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

import psutil

from oms.ledger import archive, archive_restore
from oms.ledger.archive_file import check_file
from oms.ledger.database import connect, engine
from oms.ledger.replay import verify_tables
from oms.ledger.verify import verify_journal

LOOK_SECONDS = 0.1
Told = Callable[[int, int], None]


class Took(NamedTuple):
    """A measurement: what was done, how many rows or events, seconds by the clock and of our CPU, resident memory."""

    what: str
    number: int
    unit: str
    seconds: float
    cpu: float
    before_mb: float
    most_mb: float
    finding: str  # '' where it held

    @property
    def rate(self) -> float:
        """Rows or events a second."""
        return self.number / self.seconds if self.seconds else 0.0


def chain(url: str, told: Told) -> tuple[int, str, str]:
    """`verify_journal`: hash chain, THE table, sends."""
    found, evidence = verify_journal(engine(url), told)
    problem = "" if found.problem is None else found.problem.text
    return found.rows, "rows", problem or ("" if evidence.ok else str(evidence.findings[:3]))


def replay(url: str, told: Told) -> tuple[int, str, str]:
    """`verify_tables`: the replay."""
    found = verify_tables(engine(url), told)
    return found.events, "events", "" if found.ok else str(found.differences[:3])


def one_day(url: str, told: Told, first: date) -> tuple[int, str, str]:
    """A day of its own, on the orders that were carried over to it."""
    found = verify_tables(engine(url), told, first, first)
    return found.events, "events", "" if found.ok else str(found.differences[:3])


def put_away(url: str, told: Told, first: date, place: Path) -> tuple[int, str, str]:
    """`oms archive` of the oldest day, with reading it back."""
    with connect(url, autocommit=True) as connection:
        day = archive.plan(connection, first).days[0]
    done = archive.archive_day(url, day, place, lambda _, ready, total: told(ready, total))
    return done.rows, "rows", ""


def read_back(url: str, told: Told, place: Path) -> tuple[int, str, str]:
    """`oms archive verify`."""
    report = check_file(next(place.iterdir()))
    return report.manifest.tables["journal"]["rows"], "rows", report.problem


def bring_back(url: str, told: Told, place: Path) -> tuple[int, str, str]:
    """`oms archive restore`."""
    return archive_restore.restore(url, next(place.iterdir()), lambda _: None).rows, "rows", ""


def measure(what: str, told: Told, work: Callable[..., tuple[int, str, str]], *values: Any) -> Took:
    """Do it in a process of its own, and measure it."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(theirs, work, values), daemon=True)
    process.start()
    theirs.close()
    most = before = 0.0
    began = ended = 0.0
    answer: Any = None
    try:
        seen = psutil.Process(process.pid)
        while answer is None:
            while answer is None and ours.poll(LOOK_SECONDS):
                message = ours.recv()
                if message[0] == "begin":
                    began, before = time.monotonic(), seen.memory_info().rss / 1e6
                elif message[0] == "progress":
                    told(*message[1:])
                else:
                    ended, answer = time.monotonic(), message[1]
            if answer is None:
                most = max(most, seen.memory_info().rss / 1e6)
    finally:
        process.kill() if answer is None else process.join(10)
    number, unit, finding, cpu = answer
    return Took(what, number, unit, ended - began, cpu, before, max(most, before), finding)


def _work(pipe: Connection, work: Callable[..., tuple[int, str, str]], values: tuple[Any, ...]) -> None:
    url, *rest = values
    pipe.send(("begin",))
    before = time.process_time()
    answer = work(url, lambda done, total: pipe.send(("progress", done, total)), *rest)
    pipe.send(("end", (*answer, time.process_time() - before)))
