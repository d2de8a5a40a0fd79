"""Tampering shows: whatever is done to a committed batch or row, `verify_chain` names where (I6)."""

from __future__ import annotations

import psycopg
import pytest
from sqlalchemy import Engine

from oms.ledger import verify
from oms.ledger.database import engine
from oms.ledger.verify import ChainProblem, ChainReport, verify_chain
from tests.ledger.filled_ledger import trade_a_day

pytestmark = pytest.mark.postgres


def tamper(url: str, statement: str) -> None:
    """As a superuser who switches the triggers off."""
    with psycopg.connect(url) as connection:
        for table in ("journal", "batches", "fills", "sends"):
            connection.execute(f"ALTER TABLE {table} DISABLE TRIGGER ALL")
        connection.execute(statement)


def test_an_untouched_journal_holds_and_the_hash_of_its_head_is_told(filled: Engine) -> None:
    with filled.connect() as connection:
        head = connection.exec_driver_sql("SELECT encode(hash, 'hex') FROM batches WHERE batch = 11").scalar()
    assert verify_chain(filled) == ChainReport(11, 21, str(head), None)


def test_an_empty_journal_holds(postgres_url: str) -> None:
    assert verify_chain(engine(postgres_url)) == ChainReport(0, 0, "00" * 32, None)


def test_progress_ends_with_all_rows(filled: Engine) -> None:
    seen: list[tuple[int, int]] = []
    verify_chain(filled, lambda done, total: seen.append((done, total)))
    assert seen == [(21, 21)]


@pytest.mark.parametrize("chunk", [1, 3])
def test_a_journal_longer_than_one_chunk_is_followed_across_chunks(
    filled: Engine, monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    monkeypatch.setattr(verify, "CHUNK", chunk)
    assert verify_chain(filled).ok


OF_BATCH_3 = "hash differs: a journal row from 5 to 6, or the batch's commit time or hash, was changed"


@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        ("UPDATE journal SET raw = raw || '\\x00' WHERE seq = 5", ChainProblem(3, None, OF_BATCH_3)),
        ("UPDATE journal SET detail = '{ }' WHERE seq = 5", ChainProblem(3, None, OF_BATCH_3)),
        ("UPDATE journal SET received_at = received_at + '1 us' WHERE seq = 6", ChainProblem(3, None, OF_BATCH_3)),
        ("UPDATE journal SET order_id = NULL WHERE seq = 6", ChainProblem(3, None, OF_BATCH_3)),
        (
            "UPDATE batches SET committed_at = committed_at + '1 us' WHERE batch = 3",
            ChainProblem(3, None, OF_BATCH_3),
        ),
        ("UPDATE batches SET hash = sha256(hash) WHERE batch = 3", ChainProblem(3, None, OF_BATCH_3)),
        (
            "UPDATE batches SET hash = sha256(hash) WHERE batch = 11",
            ChainProblem(11, None, "hash differs: the batch's commit time or hash was changed"),
        ),
        (
            "UPDATE batches SET prev_hash = sha256(prev_hash) WHERE batch = 3",
            ChainProblem(3, None, "does not chain to batch 2: its prev_hash is another"),
        ),
        ("DELETE FROM journal WHERE seq = 5", ChainProblem(3, 5, "journal row 5 is missing")),
        ("DELETE FROM journal WHERE seq = 6", ChainProblem(3, 6, "journal row 6 is missing")),
        ("DELETE FROM journal WHERE seq BETWEEN 3 AND 5", ChainProblem(2, 3, "journal rows 3 to 4 are missing")),
        ("DELETE FROM batches WHERE batch = 3", ChainProblem(4, None, "batch 3 is missing before it")),
        ("DELETE FROM batches WHERE batch IN (3, 4)", ChainProblem(5, None, "batches 3 to 4 are missing before it")),
        (
            "UPDATE journal SET batch = 4 WHERE seq = 6",
            ChainProblem(3, 6, "journal row 6 says it is of batch 4"),
        ),
        (
            "UPDATE batches SET first_seq = 4 WHERE batch = 3",
            ChainProblem(3, 4, "begins with journal row 4, batch 2 ends with 4"),
        ),
        (
            "INSERT INTO journal SELECT 22, 11, kind, session, msg_type, msg_seq_num, order_id, cause, sending_time,"
            " received_at, trade_date, raw, detail FROM journal WHERE seq = 21",
            ChainProblem(11, 22, "journal row 22 is beyond the batch's last row 21"),
        ),
        (
            "INSERT INTO journal SELECT 22, 12, kind, session, msg_type, msg_seq_num, order_id, cause, sending_time,"
            " received_at, trade_date, raw, detail FROM journal WHERE seq = 21",
            ChainProblem(12, 22, "journal row 22 belongs to no batch"),
        ),
        (
            "WITH gone AS (DELETE FROM batches WHERE batch >= 9) DELETE FROM journal WHERE batch >= 9",
            ChainProblem(8, 17, "sends knows journal row 19, the journal ends with 16: its end was cut off"),
        ),
    ],
)
def test_i6_what_was_done_to_the_journal_shows(postgres_url: str, statement: str, problem: ChainProblem) -> None:
    trade_a_day(postgres_url)
    tamper(postgres_url, statement)
    assert verify_chain(engine(postgres_url)).problem == problem


def test_what_holds_up_to_the_problem_is_told(postgres_url: str) -> None:
    trade_a_day(postgres_url)
    tamper(postgres_url, "UPDATE journal SET raw = '' WHERE seq = 5")
    report = verify_chain(engine(postgres_url))
    assert (report.ok, report.batches, report.rows) == (False, 2, 4)


def test_two_rows_that_changed_places_show(postgres_url: str) -> None:
    trade_a_day(postgres_url)
    tamper(postgres_url, "UPDATE journal SET seq = CASE seq WHEN 5 THEN -6 ELSE -5 END WHERE seq IN (5, 6)")
    tamper(postgres_url, "UPDATE journal SET seq = -seq WHERE seq < 0")
    assert verify_chain(engine(postgres_url)).problem == ChainProblem(3, None, OF_BATCH_3)
