"""Days leave the ledger and come back: proven before anything is dropped, and nothing that is needed is missed.

The ledger is filled in the gateway's own form: some orders over three days, a few of them alive on every day.
"""

from __future__ import annotations

import json
import shlex
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner, Result
from sqlalchemy import Engine

from oms.cli.main import oms
from oms.config.load import load
from oms.errors import OperatorError
from oms.ledger import archive, archive_restore, database
from oms.ledger.archive_file import check_file
from oms.ledger.batch import Batch
from oms.ledger.load import Reader
from oms.ledger.moment import archived_days
from oms.ledger.replay import verify_tables
from oms.ledger.verify import verify_journal
from oms.ledger.writer import Writer
from startlib.fill import Wanted, fill
from tests.cli.conftest import write_config
from tests.ledger.filled_ledger import trade_a_day
from tests.ledger.late_news import tell_late_news

pytestmark = pytest.mark.postgres
TODAY = datetime.now(UTC).date()
FIRST, SECOND = TODAY - timedelta(days=2), TODAY - timedelta(days=1)
SCRATCH = ("journal", "sends", "batches", "fills", "client_orders", "child_orders", "requests")


@pytest.fixture(scope="session")
def traded(postgres_server: Any) -> Iterator[str]:
    """A database to copy, with three days of orders."""
    name = "template_three_days"
    with psycopg.connect(postgres_server.url("postgres"), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE template_oms STRATEGY FILE_COPY")
        with tempfile.TemporaryDirectory(prefix="oms-tests-") as directory:
            config = load(write_config(Path(directory), postgres_server.url(name)))
            fill(config, postgres_server.url(name), Wanted(90, 12, days=3), TODAY)
        yield name
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def url(traded: str, postgres_server: Any) -> Iterator[str]:
    """A ledger of its own with the three days."""
    with psycopg.connect(postgres_server.url("postgres"), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE archived TEMPLATE {traded} STRATEGY FILE_COPY")
        yield postgres_server.url("archived")
        connection.execute("DROP DATABASE archived WITH (FORCE)")


@pytest.fixture
def ledger(url: str) -> Iterator[Engine]:
    made = database.engine(url)
    yield made
    made.dispose()


def owner(url: str) -> psycopg.Connection[Any]:
    return database.connect(url, autocommit=True)


def archive_before(url: str, place: Path, before: Any = TODAY) -> list[archive.Done]:
    with owner(url) as connection:
        days = archive.plan(connection, before).days
    return [archive.archive_day(url, day, place, lambda *_: None) for day in days]


def rows(url: str, table: str) -> list[tuple[Any, ...]]:
    with owner(url) as connection:
        return sorted(connection.execute(f"SELECT * FROM {table}").fetchall(), key=repr)


def done_batches(url: str) -> int:
    with owner(url) as connection:
        return max(one.last_batch for one in archived_days(connection))


def run_oms(command: str, config: Path) -> Result:
    return CliRunner().invoke(oms, shlex.split(command), env={"OMS_CONFIG": str(config)}, prog_name="oms")


def live(url: str) -> list[Any]:
    reader = Reader(url)
    try:
        return reader.live_orders()
    finally:
        reader.close()


def test_after_archiving_a_start_finds_the_same_live_orders_and_the_chain_and_the_tables_hold(
    url: str, ledger: Engine, tmp_path: Path
) -> None:
    before, head = live(url), verify_journal(ledger)[0].head
    assert len(before) == 12
    done = archive_before(url, tmp_path)
    assert [one.day for one in done] == [FIRST, SECOND]
    assert live(url) == before
    chain, evidence = verify_journal(ledger)
    tables = verify_tables(ledger)
    assert (chain.ok, chain.head, evidence.ok, tables.ok) == (True, head, True, True)
    assert chain.passed == done_batches(url)
    assert chain.rows + sum(one.rows for one in done) == max(row[0] for row in rows(url, "journal"))
    with owner(url) as connection:
        days = archived_days(connection)
        anchor = connection.execute("SELECT prev_hash FROM batches WHERE batch = %s", [days[-1].last_batch + 1])
        assert anchor.fetchone() == (days[-1].hash,)
        left = connection.execute("SELECT DISTINCT order_id FROM journal WHERE trade_date < %s", [SECOND]).fetchall()
    alive = {order.order_id for order in before}
    kept = {row[0] for row in left if row[0] is not None}
    assert alive & kept
    assert len(kept) < 20  # of some thirty orders of the first day; those of the last batch go with the next day


def test_a_file_holds_by_itself_and_a_restored_day_is_what_it_was_to_the_last_value(
    url: str, ledger: Engine, tmp_path: Path
) -> None:
    before = {table: rows(url, table) for table in SCRATCH}
    done = archive_before(url, tmp_path)
    assert [check_file(one.file).problem for one in done] == ["", ""]
    assert len(rows(url, "journal")) < len(before["journal"]) - 200
    for one in done:
        assert archive_restore.restore(url, one.file, lambda _: None).is_away is False
        assert verify_tables(ledger, None, one.day, one.day).differences == []
    assert {table: rows(url, table) for table in SCRATCH} == before
    chain, evidence = verify_journal(ledger)
    assert (chain.ok, chain.passed, evidence.ok, verify_tables(ledger).ok) == (True, 0, True, True)
    again = archive_before(url, tmp_path)
    assert [(one.day, one.rows) for one in again] == [(one.day, one.rows) for one in done]
    assert verify_tables(ledger).ok


def test_late_news_of_an_archived_order_is_taken_passed_over_by_verify_and_compared_after_a_restore(
    url: str, ledger: Engine, tmp_path: Path
) -> None:
    done = archive_before(url, tmp_path / "files")
    busted, filled = tell_late_news(load(write_config(tmp_path, url)), url)
    with owner(url) as connection:
        found = connection.execute(
            "SELECT order_id, cum_qty::int, life FROM client_orders WHERE order_id = ANY(%s) ORDER BY order_id",
            [[busted, filled]],
        ).fetchall()
        items = connection.execute("SELECT kind, state FROM exception_items").fetchall()
    assert (found[0][1], items) == (0, [])  # by its fills alone the order was what it had been
    tables = verify_tables(ledger)
    assert (tables.differences, tables.passed_over, verify_journal(ledger)[0].ok) == ([], 1, True)
    for one in done:
        archive_restore.restore(url, one.file, lambda _: None)
    tables = verify_tables(ledger)
    assert (tables.differences, tables.passed_over) == ([], 0)


def test_a_gateway_that_commits_meanwhile_is_not_disturbed(url: str, ledger: Engine, tmp_path: Path) -> None:
    writer = Writer(url)
    writer.connect()
    last, _ = writer.read_head()
    stop, committed = threading.Event(), list[int]()

    def commit() -> None:
        number = last
        while not stop.is_set():
            number += 1
            writer.commit(Batch(number))
            committed.append(number)

    thread = threading.Thread(target=commit)
    thread.start()
    try:
        done = archive_before(url, tmp_path)
    finally:
        stop.set()
        thread.join()
        writer.close()
    assert len(done) == 2
    assert len(committed) > 1
    assert verify_journal(ledger)[0].batches == committed[-1]


@pytest.mark.parametrize(
    "bytes_of", [lambda data: data[: len(data) // 2], lambda data: data[:900] + b"?" + data[901:]]
)
def test_a_damaged_file_is_named_and_restores_nothing(
    url: str, tmp_path: Path, bytes_of: Callable[[bytes], bytes]
) -> None:
    file = archive_before(url, tmp_path)[0].file
    left = rows(url, "journal")
    file.write_bytes(bytes_of(file.read_bytes()))
    with pytest.raises(OperatorError, match="damaged"):
        archive_restore.restore(url, file, lambda _: None)
    assert rows(url, "journal") == left


def test_the_file_of_another_ledger_and_a_day_that_is_back_already_are_refused(
    url: str, postgres_url: str, tmp_path: Path
) -> None:
    file = archive_before(url, tmp_path)[0].file
    trade_a_day(postgres_url)
    with pytest.raises(OperatorError, match="the file is of another ledger"):
        archive_restore.restore(postgres_url, file, lambda _: None)
    archive_restore.restore(url, file, lambda _: None)
    with pytest.raises(OperatorError, match=f"{FIRST} was restored already"):
        archive_restore.restore(url, file, lambda _: None)


def test_where_the_file_cannot_be_written_or_read_back_nothing_is_dropped(
    url: str, ledger: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = rows(url, "journal")
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(OperatorError, match=r"cannot write .*taken.*; the day was not archived"):
        archive_before(url, tmp_path / "taken")
    with monkeypatch.context() as full:
        full.setattr(
            "oms.ledger.archive_file.os.fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left"))
        )
        with pytest.raises(OperatorError, match="No space left"):
            archive_before(url, tmp_path)
    with monkeypatch.context() as rotten:
        rotten.setattr(
            "oms.ledger.archive.check_file", lambda path, told: check_file(path)._replace(problem="spoiled")
        )
        with pytest.raises(OperatorError, match="is not what was written"):
            archive_before(url, tmp_path)
    assert [path.name for path in tmp_path.iterdir() if path.name.endswith(".part")] == []
    assert rows(url, "journal") == before
    assert rows(url, "archives") == []
    assert len(archive_before(url, tmp_path)) == 2  # over the file that was left by the try before


def test_a_kill_between_file_and_ledger_leaves_both_whole_and_the_next_run_goes_on(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = rows(url, "journal")
    with monkeypatch.context() as killed:
        killed.setattr(archive, "_note", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            archive_before(url, tmp_path)
    assert rows(url, "journal") == before
    assert [one.day for one in archive_before(url, tmp_path)] == [FIRST, SECOND]


def test_another_day_under_the_same_name_is_not_written_over(url: str, tmp_path: Path) -> None:
    first, second = archive_before(url, tmp_path)
    shutil.copy(first.file, second.file)
    archive_restore.restore(url, first.file, lambda _: None)
    first.file.write_bytes(second.file.read_bytes())
    assert archive_before(url, tmp_path)[0].day == FIRST  # the very same content may be
    shutil.copy(second.file, tmp_path / "kept.zip")
    with owner(url) as connection:
        connection.execute("UPDATE archives SET restored_at = now() WHERE day = %s", [SECOND])
    with pytest.raises(OperatorError, match="is there already and holds another day"):
        archive_before(url, tmp_path)


def test_kept_rows_that_were_changed_show(url: str, ledger: Engine, tmp_path: Path) -> None:
    archive_before(url, tmp_path)
    with owner(url) as connection:
        connection.execute("ALTER TABLE journal DISABLE TRIGGER ALL")
        connection.execute("UPDATE journal SET raw = raw || '\\x00' WHERE seq = (SELECT min(seq) + 2 FROM journal)")
    problem = verify_journal(ledger)[0].problem
    assert problem is not None
    assert f"kept of {FIRST}, which is archived, were changed" in problem.text


def test_rows_that_came_since_the_file_was_written_keep_the_day(url: str, tmp_path: Path) -> None:
    with owner(url) as connection:
        day = archive.plan(connection, TODAY).days[0]
        connection.execute("ALTER TABLE journal DISABLE TRIGGER ALL")
        connection.execute("DELETE FROM journal WHERE seq = 3")
    with pytest.raises(OperatorError, match=r"is not what was written \(batch \d+: journal row 3 is missing\)"):
        archive.archive_day(url, day, tmp_path, lambda *_: None)
    assert rows(url, "archives") == []


def test_the_command_says_what_went_what_stays_and_explain_names_the_file(url: str, tmp_path: Path) -> None:
    config = write_config(tmp_path, url)
    place = tmp_path / "away"
    said = run_oms(f"archive --before {TODAY + timedelta(days=1)} --to {place}", config)
    assert said.exit_code == 0, said.output
    lines = said.output.splitlines()
    assert [line[:10] for line in lines] == [str(FIRST), str(SECOND), str(TODAY)]
    assert lines[2] == f"{TODAY}  stays: it is the day of the newest journal row"
    listed = json.loads(run_oms("archive list --json", config).stdout)
    assert [(one["day"], one["restored_at"]) for one in listed] == [(str(FIRST), None), (str(SECOND), None)]
    file = place / f"journal-{FIRST}.zip"
    proven = run_oms(f"archive verify {file}", config)
    assert (proven.exit_code, proven.output.splitlines()[-1]) == (
        0,
        "verdict  holds, by itself and against the ledger",
    )
    with owner(url) as connection:
        gone = connection.execute("SELECT min(order_id) FROM client_orders WHERE finished").fetchone()
        assert gone is not None
        told = run_oms(f"orders explain {gone[0]}", config)
        assert f"of {FIRST} are in {file}; to see them here: oms archive restore {file}" in told.stderr
        connection.execute("ALTER TABLE fills DISABLE TRIGGER ALL")
        connection.execute("UPDATE fills SET last_px = last_px + 1 WHERE order_id = %s", [gone[0]])
    differs = run_oms(f"archive verify {file}", config)
    assert (differs.exit_code, "last_px: file" in differs.output) == (1, True)
    assert run_oms(f"archive restore {file}", config).exit_code == 0
    assert "oms archive restore" not in run_oms(f"orders explain {gone[0]}", config).stderr
    file.write_bytes(b"nothing")
    assert run_oms(f"archive verify {file} --alone", config).exit_code == 1
