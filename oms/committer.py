"""The committer: takes batches from the core thread, commits them one after another, then lets messages leave.

While one batch commits, two wait at most (one, if several clients are logged on), then the core waits: back-pressure.
A lost database is waited for: nothing leaves, nothing is acknowledged, and what was read waits.
Whatever else goes wrong ends the process through `failed`: memory ahead of the ledger is worth nothing.

Threads: `put`, `find` and `sent_cl_ord_id` from the core thread; the rest in the committer's own thread.
"""

from __future__ import annotations

import queue
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import date, datetime
from typing import TypeVar

import structlog

from oms.core.copies import Recalled
from oms.core.core import Wanted
from oms.core.order import Order
from oms.crashpoints import reached
from oms.errors import JournalFailure, OperatorError
from oms.ledger.batch import Batch
from oms.ledger.load import Reader
from oms.ledger.writer import CONNECTION_LOST, Writer
from oms.outbox import Message, Outbox, cl_ord_id_of

log = structlog.get_logger("oms.ledger")

_RETRY_SECONDS = (0.1, 0.2, 0.5, 1.0, 2.0)
_WAITING = 2  # batches: with one, the core's turns and the commits wait for each other, which costs 4 % under load
_SHARED_WAITING = 1  # in a flood by one of them, the others' p99 is then about half of what it is with two
_IDLE_SECONDS = 1.0  # without a batch, after which it is looked whether the ledger is still there
_LOOK_SECONDS = 0.5  # how often who waits for room looks whether the committer still lives
T = TypeVar("T")


class Committer:
    """One thread around the writer."""

    def __init__(
        self,
        writer: Writer,
        reader: Reader,
        outbox: Outbox,
        failed: Callable[[BaseException], None],
        committed: Callable[[Batch, datetime, float], None],
        revive: Callable[[], None] = lambda: None,
        shared: Callable[[], bool] = lambda: False,
    ) -> None:
        """`shared`: whether several clients are logged on, asked in the core thread."""
        self._writer = writer
        self._reader = reader
        self._outbox = outbox
        self._failed = failed
        self._committed = committed
        self._shared = shared
        self._revive = revive  # starts a database of the gateway's own again, where it has one
        self._queue: queue.Queue[tuple[Batch, list[Message]] | None] = queue.Queue(maxsize=_WAITING)
        self._stopping = threading.Event()
        self._dead: BaseException | None = None
        self._room = threading.Event()
        self._room.set()
        self.outage = ""
        self.thread = threading.Thread(target=self._run, name="committer", daemon=True)

    def put(self, batch: Batch, messages: list[Message]) -> None:
        """Queue a batch; blocks while two wait already. JournalFailure once the committer has failed."""
        while True:
            self._raise_if_dead()
            if self._queue.qsize() >= (_SHARED_WAITING if self._shared() else _WAITING) - 1:
                self._room.clear()
            try:
                self._queue.put((batch, messages), timeout=_LOOK_SECONDS)
            except queue.Full:
                continue
            return

    def wait_for_room(self, seconds: float) -> bool:
        """Wait until fewer batches than may wait do so while the one under way is committed.

        What is heard meanwhile joins the next batch, rather than yet another one behind it.
        """
        return self._room.wait(seconds)

    def find(self, wanted: Wanted) -> list[Order]:
        """Orders by an id that memory does not know.

        What is under way is not waited for: an order leaves memory long after its last change was committed.
        """
        if wanted.kind == "client":
            return self._read(lambda: self._reader.order_by_client_id(wanted.session, wanted.ids), settled=False)
        if wanted.kind == "order":
            return self._read(lambda: self._reader.order_by_id(wanted.ids), settled=False)
        ids, order_id = wanted.ids, wanted.broker_order_id
        return self._read(lambda: self._reader.order_by_broker_id(wanted.session, ids, order_id), settled=False)

    def sent_cl_ord_id(self, session: str, number: int) -> tuple[str, str]:
        """MsgType(35) and ClOrdID(11) of what was sent to a session under a MsgSeqNum(34)."""
        recent = self._outbox.senders[session].sent(number)
        if recent is not None:
            return recent.msg_type, cl_ord_id_of(recent.text)
        found = self._read(lambda: self._reader.sent_message(session, number))
        if not found:
            return "", ""
        return found[0]["msg_type"], cl_ord_id_of(bytes(found[0]["raw"]).decode("utf-8", "surrogateescape"))

    def client_key_used(self, client: str, day: date, cl_ord_id: str) -> bool:
        """Whether a client used this ClOrdID(11) on this trading day."""
        return self._read(lambda: self._reader.client_key_used(client, day, cl_ord_id))

    def fill_key_used(self, broker: str, day: date, exec_id: str) -> bool:
        """Whether a fill with this ExecID(17) and trade date is booked."""
        return self._read(lambda: self._reader.fill_key_used(broker, day, exec_id))

    def copy_told(self, broker: str, day: date, exec_id: str) -> bool:
        """Whether the drop copy has told this execution."""
        return self._read(lambda: self._reader.copy_told(broker, day, exec_id))

    def recall(self, broker: str, day: date, exec_id: str) -> Recalled:
        """An execution as both witnesses of a broker told it."""
        return self._read(lambda: self._reader.recall(broker, day, exec_id))

    def wait_until_committed(self) -> None:
        """Wait until everything that was put is committed and its messages are on their way."""
        self._read(lambda: None)

    def _read(self, ask: Callable[[], T], *, settled: bool = True) -> T:
        """An answer of the ledger; `settled`: after everything under way is committed. Waits for one that is gone."""
        while True:
            with self._queue.all_tasks_done:  # as Queue.join, but for a committer that has died
                while settled and self._queue.unfinished_tasks and self._dead is None:
                    self._queue.all_tasks_done.wait(_LOOK_SECONDS)
            self._raise_if_dead()
            try:
                return ask()
            except CONNECTION_LOST as error:
                if self._stopping.wait(_LOOK_SECONDS):
                    raise JournalFailure(f"the ledger did not come back before the stop: {error}") from error

    def _raise_if_dead(self) -> None:
        if self._dead is not None:
            raise JournalFailure(f"the committer stopped: {self._dead}") from self._dead

    def wait_no_more(self) -> None:
        """A stop is under way: a ledger that is gone is not waited for. From any thread."""
        self._stopping.set()

    def stop(self) -> None:
        """Commit what is queued, then end."""
        self._stopping.set()
        if self._dead is None:
            self._queue.put(None)
        self.thread.join()

    def statistics(self) -> dict[str, int]:
        """Batches waiting, and whether the database is gone."""
        return {"waiting": self._queue.qsize(), "outage": int(bool(self.outage))}

    def _run(self) -> None:
        done = False
        try:
            while (entry := self._next()) is not None:
                self._room.set()
                reached("taken")
                started = time.perf_counter()
                committed_at = self._commit(entry[0])
                seconds = time.perf_counter() - started
                reached("committed")
                self._outbox.deliver(entry[1])
                reached("delivered")
                self._committed(entry[0], committed_at, seconds)
                for asker, answer in entry[0].answers:
                    asker.set_result(answer)
                self._queue.task_done()
            done = True
        except JournalFailure as error:
            self._die(error)
            done = True
        finally:
            if not done:
                self._die(sys.exception() or JournalFailure("the committer ended"))

    def _next(self) -> tuple[Batch, list[Message]] | None:
        """The next batch. A ledger that went away meanwhile is brought back now, not when an order needs it."""
        while True:
            try:
                return self._queue.get(timeout=_IDLE_SECONDS)
            except queue.Empty:
                if self._writer.is_lost():
                    self._gone("the connection has ended")
                    self._again(self._writer.resume)

    def _die(self, error: BaseException) -> None:
        """Nothing is committed any more: release who waits, and halt the house."""
        self._dead = error
        self._room.set()
        with suppress(ValueError):  # of the one in hand; there is none where it ends between two
            self._queue.task_done()
            while not self._queue.empty():
                self._queue.get_nowait()
                self._queue.task_done()
        self._failed(error)

    def _commit(self, batch: Batch) -> datetime:
        try:
            return self._writer.commit(batch)
        except CONNECTION_LOST as error:
            self._gone(str(error))
        return self._again(lambda: self._writer.settle(batch))

    def _gone(self, problem: str) -> None:
        self.outage = problem
        log.error("the ledger is gone; nothing leaves until it is back", error=problem.strip())

    def _again(self, work: Callable[[], T]) -> T:
        """Try until the ledger is back, or a stop is under way."""
        attempt = 0
        while True:
            pause = _RETRY_SECONDS[min(attempt, len(_RETRY_SECONDS) - 1)]
            stopping = self._stopping.wait(pause)
            attempt += 1
            try:
                self._revive()
                done = work()
            except (*CONNECTION_LOST, OperatorError) as error:
                self.outage = str(error)
                if stopping:
                    raise JournalFailure(f"the ledger did not come back before the stop: {error}") from error
                continue
            reached("settled")
            log.info("the ledger is back")
            self.outage = ""
            return done
