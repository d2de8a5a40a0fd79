"""The committer: nothing leaves before its batch is committed, an outage is waited for, a failure halts (I1, I2)."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from typing import Any

import psycopg
import pytest

from oms import committer as module
from oms.committer import Committer
from oms.core.core import Wanted
from oms.errors import JournalFailure
from oms.ledger.batch import Batch
from oms.ledger.chain import JournalRow
from oms.ledger.database import connect, engine
from oms.ledger.verify import verify_chain
from oms.ledger.writer import Writer
from oms.outbox import Message
from tests.system.house import until

NOW = datetime(2026, 3, 2, 13, 0, tzinfo=UTC)


def batch(number: int, rows: int = 1) -> Batch:
    """A batch with journal rows of its own."""
    made = Batch(number)
    for place in range(rows):
        seq = (number - 1) * rows + place + 1
        row = JournalRow(seq, "in", "C", "D", seq, None, None, None, NOW, date(2026, 3, 2), b"35=D\x01", None)
        made.journal.append(row)
    return made


def message(seq: int) -> Message:
    return Message(seq, "B", "D", f"35=D\x0111={seq}\x01", NOW)


class Recorder:
    """A writer, an outbox and a listener that write down what happens, in order."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.failures: list[BaseException] = []
        self.commit_answers: list[BaseException | None] = []
        self.settle_answers: list[BaseException | None] = []
        self.senders: dict[str, Any] = {}
        self.hold = threading.Event()
        self.hold.set()

    def commit(self, made: Batch) -> datetime:
        assert self.hold.wait(10)
        return self._answer("commit", made, self.commit_answers)

    def is_lost(self) -> bool:
        return False

    def settle(self, made: Batch) -> datetime:
        return self._answer("settle", made, self.settle_answers)

    def _answer(self, what: str, made: Batch, answers: list[BaseException | None]) -> datetime:
        answer = answers.pop(0) if answers else None
        self.events.append(f"{what} {made.number}" + (" fails" if answer else ""))
        if answer is not None:
            raise answer
        return NOW

    def deliver(self, messages: list[Message]) -> None:
        self.events += [f"send {one.seq}" for one in messages]

    def committed(self, made: Batch, at: datetime, seconds: float) -> None:
        self.events.append(f"told {made.number}")

    def fill_key_used(self, broker: str, day: date, exec_id: str) -> bool:
        self.events.append(f"used {exec_id}")
        return False

    def order_by_client_id(self, client: str, ids: tuple[str, ...]) -> list[Any]:
        answer = self.settle_answers.pop(0) if self.settle_answers else None
        self.events.append(f"find {ids[0]}" + (" fails" if answer else ""))
        if answer is not None:
            raise answer
        return [ids[0]]


Make = Callable[[Recorder], Committer]


@pytest.fixture
def make(monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    monkeypatch.setattr(module, "_RETRY_SECONDS", (0.001,))
    monkeypatch.setattr(module, "_LOOK_SECONDS", 0.01)
    made: list[Committer] = []

    def maker(recorder: Recorder) -> Committer:
        them: Any = recorder
        made.append(Committer(them, them, them, recorder.failures.append, recorder.committed))
        made[-1].thread.start()
        return made[-1]

    yield maker
    for one in made:
        one.stop()
        assert not one.thread.is_alive()


def test_messages_leave_after_the_commit_of_their_batch_and_batches_keep_their_order(make: Make) -> None:
    recorder = Recorder()
    committer = make(recorder)
    for number in (1, 2, 3):
        committer.put(batch(number), [message(number)])
    committer.stop()
    assert recorder.events == [f"{what} {number}" for number in (1, 2, 3) for what in ("commit", "send", "told")]
    assert recorder.failures == []


def test_a_fourth_batch_waits_while_one_commits_and_two_wait(make: Make) -> None:
    recorder = Recorder()
    recorder.hold.clear()
    committer = make(recorder)
    fourth = threading.Thread(target=lambda: [committer.put(batch(number), []) for number in (1, 2, 3, 4)])
    fourth.start()
    until(lambda: committer.statistics()["waiting"] == 2, "two wait")
    fourth.join(0.05)
    assert fourth.is_alive()
    recorder.hold.set()
    fourth.join(5)
    assert not fourth.is_alive()


def test_with_several_clients_logged_on_there_is_no_room_while_one_batch_waits() -> None:
    recorded = Recorder()
    them: Any = recorded
    shared = [True]
    committer = Committer(them, them, them, recorded.failures.append, recorded.committed, shared=lambda: shared[0])
    recorded.hold.clear()
    committer.put(batch(1), [])
    committer.thread.start()
    try:
        assert committer.wait_for_room(10)  # the first is being committed, none waits
        committer.put(batch(2), [])
        assert not committer.wait_for_room(0)
        shared[0] = False
        recorded.hold.set()
        assert committer.wait_for_room(10)
    finally:
        recorded.hold.set()
        committer.stop()
    assert recorded.failures == []


def test_after_a_lost_connection_the_batch_is_settled_until_that_works_and_only_then_messages_leave(
    make: Make,
) -> None:
    recorder = Recorder()
    gone = psycopg.OperationalError("gone")
    recorder.commit_answers = [gone]
    recorder.settle_answers = [gone, psycopg.errors.ReadOnlySqlTransaction("standby"), None]
    committer = make(recorder)
    committer.put(batch(1), [message(1)])
    committer.put(batch(2), [message(2)])
    until(lambda: "told 2" in recorder.events, "both are committed")
    assert recorder.events == [
        "commit 1 fails",
        "settle 1 fails",
        "settle 1 fails",
        "settle 1",
        "send 1",
        "told 1",
        "commit 2",
        "send 2",
        "told 2",
    ]
    assert (recorder.failures, committer.outage) == ([], "")


def test_a_stop_does_not_wait_for_a_ledger_that_is_gone(make: Make) -> None:
    recorder = Recorder()
    gone = psycopg.OperationalError("gone")
    recorder.commit_answers, recorder.settle_answers = [gone], [gone] * 1000
    committer = make(recorder)
    committer.put(batch(1), [message(1)])
    until(lambda: committer.outage, "the ledger is gone")
    committer.wait_no_more()
    until(lambda: recorder.failures, "it gave up")
    assert str(recorder.failures[0]) == "the ledger did not come back before the stop: gone"
    assert "send 1" not in recorder.events


def test_a_refused_batch_halts_the_house_and_releases_who_waits(make: Make) -> None:
    """Memory is ahead of the ledger: nobody may wait for room that never comes, nothing may leave."""
    recorder = Recorder()
    refusal = JournalFailure("the ledger refuses batch 1")
    recorder.commit_answers = [refusal]
    recorder.hold.clear()
    committer = make(recorder)
    raised: list[BaseException] = []

    def put() -> None:
        try:
            for number in range(1, 6):
                committer.put(batch(number), [message(number)])
        except JournalFailure as error:
            raised.append(error)

    putting = threading.Thread(target=put)
    putting.start()
    until(lambda: committer.statistics()["waiting"] == 2, "the next batches wait")
    recorder.hold.set()
    putting.join(5)
    assert not putting.is_alive()
    assert recorder.failures == [refusal]
    assert [str(error) for error in raised] == ["the committer stopped: the ledger refuses batch 1"]
    with pytest.raises(JournalFailure, match="the committer stopped"):
        committer.find(Wanted("client", "C", ("A1",)))
    assert recorder.events == ["commit 1 fails"]


def test_a_look_up_waits_for_a_ledger_that_is_gone_but_not_for_the_batches_under_way(make: Make) -> None:
    recorder = Recorder()
    recorder.settle_answers = [psycopg.OperationalError("gone"), None]
    recorder.hold.clear()
    committer = make(recorder)
    committer.put(batch(1), [])
    assert committer.find(Wanted("client", "C", ("A1",))) == ["A1"]
    assert recorder.events == ["find A1 fails", "find A1"]
    recorder.hold.set()


def test_whether_an_id_was_used_is_asked_after_the_batches_under_way(make: Make) -> None:
    recorder = Recorder()
    committer = make(recorder)
    committer.put(batch(1), [])
    assert committer.fill_key_used("B", NOW.date(), "X1") is False
    assert recorder.events == ["commit 1", "told 1", "used X1"]


# -- the writer's part, on a real server ---------------------------------------------------------------------


class Torn(Writer):
    """A writer whose connection breaks once, before or after the commit reached the server."""

    after = False
    torn = False

    def _execute(self, values: list[bytes]) -> None:
        if self.torn:
            super()._execute(values)
            return
        self.torn = True
        if self.after:
            super()._execute(values)
        raise psycopg.OperationalError("the line broke")


@pytest.mark.postgres
@pytest.mark.parametrize("after", [False, True])
def test_a_commit_whose_outcome_is_uncertain_is_read_back_and_written_once(postgres_url: str, after: bool) -> None:
    writer = Torn(postgres_url)
    writer.after = after
    writer.connect()
    writer.read_head()
    with pytest.raises(psycopg.OperationalError):
        writer.commit(batch(1, 3))
    told = writer.settle(batch(1, 3))
    writer.commit(batch(2, 3))
    writer.close()
    with connect(postgres_url) as connection:
        kept = connection.execute("SELECT batch, last_seq, committed_at FROM batches ORDER BY batch").fetchall()
    assert [row[:2] for row in kept] == [(1, 3), (2, 6)]
    assert kept[0][2] == told
    made = engine(postgres_url)
    assert verify_chain(made).ok
    made.dispose()


@pytest.mark.postgres
def test_a_ledger_that_came_back_without_what_was_committed_halts(postgres_url: str) -> None:
    writer = Writer(postgres_url)
    writer.connect()
    writer.commit(batch(1))
    with connect(postgres_url) as connection:
        connection.execute("ALTER TABLE batches DISABLE TRIGGER ALL")
        connection.execute("DELETE FROM batches")
    with pytest.raises(JournalFailure, match="came back with batch 0 as its last, but 1 was committed"):
        writer.settle(batch(2))
    writer.close()


@pytest.mark.postgres
def test_a_ledger_in_which_somebody_else_wrote_that_batch_halts(postgres_url: str) -> None:
    writer, other = Writer(postgres_url), Writer(postgres_url)
    writer.connect()
    writer.commit(batch(1))
    writer.close()
    other.connect()
    other.read_head()
    stranger = batch(2)
    stranger.journal[0] = stranger.journal[0]._replace(raw=b"35=F\x01")
    other.commit(stranger)
    other.close()
    with pytest.raises(JournalFailure, match="came back with batch 2 as its last, but 1 was committed"):
        writer.settle(batch(2))
    writer.close()


@pytest.mark.postgres
def test_an_item_opened_and_resolved_in_one_batch_is_resolved(postgres_url: str) -> None:
    from oms.core.effects import Item

    made = batch(1)
    item = Item("X1", NOW, "quantity_mismatch", "warning", "operations", "B", "O1", 1, "40 and 30")
    done = Item("X1", NOW, "quantity_mismatch", "", "", "B", "O1", 1, "", "resolved", "30 agrees", NOW, changes=True)
    taken = Item("X1", NOW, "quantity_mismatch", "", "ann", "B", "O1", 2, "", "", changes=True)
    made.items = [item, done, taken]
    writer = Writer(postgres_url)
    writer.connect()
    writer.commit(made)
    writer.close()
    with connect(postgres_url) as connection:
        columns = "item_id, severity, text, state, owner, resolution"
        kept = connection.execute(f"SELECT {columns} FROM exception_items".encode()).fetchall()
    assert kept == [("X1", "warning", "40 and 30", "resolved", "ann", "30 agrees")]
