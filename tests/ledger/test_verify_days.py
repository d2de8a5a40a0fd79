"""What `oms verify` finds besides a broken chain: days, THE table, sends, tables that differ; in bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import Engine

from oms.config.load import load
from oms.core.transitions import TABLE
from oms.errors import OperatorError
from oms.ledger import database, rebuild_tables, replay_tables
from oms.ledger.compare import Difference
from oms.ledger.evidence import Finding
from oms.ledger.rebuild_tables import rebuild, require_version
from oms.ledger.replay import verify_tables
from oms.ledger.verify import verify_journal
from oms.ledger.writer import Writer
from startlib.fill import Wanted, fill
from tests.cli.conftest import write_config
from tests.ledger.filled_ledger import trade_a_day
from tests.ledger.late_news import tell_late_news, tell_under_two_names

pytestmark = pytest.mark.postgres
TODAY = datetime.now(UTC).date()
SECOND = TODAY - timedelta(days=1)
ORDERS = ("client_orders", "child_orders", "requests")
QUIET: Callable[[int, int], None] = lambda done, total: None  # noqa: E731


@pytest.fixture
def ledger(tmp_path: Path, postgres_url: str) -> Iterator[Engine]:
    """Three days of orders, some of them alive on every day; today late news about orders of the first day."""
    config = load(write_config(tmp_path, postgres_url))
    fill(config, postgres_url, Wanted(60, 12, days=3), TODAY)
    tell_late_news(config, postgres_url)
    tell_under_two_names(config, postgres_url)
    made = database.engine(postgres_url)
    yield made
    made.dispose()


def change(url: str, *statements: str) -> None:
    """As one who has the machine can."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET session_replication_role = replica")
        for table in ("journal", "fills", "sends"):
            connection.execute(f"ALTER TABLE {table} DISABLE TRIGGER ALL")
        for statement in statements:
            connection.execute(statement)


def test_orders_that_left_memory_are_compared_as_well_and_come_back_for_late_news(
    ledger: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = verify_tables(ledger)
    assert (whole.differences, whole.compared["client_orders"], whole.compared["child_orders"]) == ([], 72, 72)
    monkeypatch.setattr(replay_tables, "STEP", 7)
    monkeypatch.setattr(replay_tables, "KEEP", 0)
    held: list[int] = []
    look = replay_tables.Player._look

    def watched(player: Any) -> None:
        look(player)
        held.append(len(player._replay.orders))

    monkeypatch.setattr(replay_tables.Player, "_look", watched)
    again = verify_tables(ledger)
    assert again.differences == []
    assert again == whole
    assert max(held) <= 14 + 7  # alive, and those of one step


def test_a_day_is_replayed_by_itself_on_what_was_before_it(ledger: Engine) -> None:
    found = verify_tables(ledger, None, SECOND, SECOND)
    chain, evidence = verify_journal(ledger, None, SECOND, SECOND)
    assert (found.differences, chain.ok, evidence.found) == ([], True, 0)
    assert 20 < found.compared["client_orders"] < 72
    assert chain.rows < 500 < chain.rows + verify_journal(ledger)[0].rows
    today = verify_tables(ledger, None, TODAY, None)  # with late news about three orders of the first day
    assert (today.differences, today.passed_over, today.compared["fills"] > 2) == ([], 0, True)
    early = verify_tables(ledger, None, None, SECOND)
    assert (early.differences, early.later) == ([], 3)
    assert verify_tables(ledger, None, TODAY + timedelta(days=1), None).events == 0


def test_what_differs_is_named_by_its_row_and_column(ledger: Engine, postgres_url: str) -> None:
    change(
        postgres_url,
        "UPDATE client_orders SET cum_qty = 7 WHERE order_id = (SELECT min(order_id) FROM client_orders)",
        "DELETE FROM fills WHERE client_exec_id = (SELECT min(client_exec_id) FROM fills)",
        "INSERT INTO child_orders SELECT 'C0000000ZZ', order_id, broker, cl_ord_id, broker_order_id, route_rule,"
        " order_qty, price, stop_px, cum_qty, life, finished, sent_seq, last_seq FROM child_orders LIMIT 1",
    )
    found = verify_tables(ledger).differences
    assert [(one.table, one.column, one.replayed, one.stored) for one in found] == [
        ("fills", "", "a row", "no such row"),
        ("client_orders", "cum_qty", "100", "7"),
        ("child_orders", "", "no such row", "a row"),
    ]
    assert found[2] == Difference("child_orders", "C0000000ZZ", "", "no such row", "a row")


@pytest.mark.parametrize(
    ("statement", "finding"),
    [
        (
            "INSERT INTO sends SELECT seq, session, 'sent', 99, sent_at + '1 s', NULL FROM sends WHERE seq = 2",
            Finding(2, "sends has 2 words on one message"),
        ),
        (
            "DELETE FROM sends WHERE seq = 2",
            Finding(2, "went out to BROKER1, whose outbox is settled beyond it, and sends has no word"),
        ),
        ("UPDATE sends SET session = 'X' WHERE seq = 4", Finding(4, "went out to CLIENT1, sends says to X")),
        (
            "UPDATE sends SET msg_seq_num = NULL WHERE seq = 4",
            Finding(4, "sends says sent, with MsgSeqNum(34) absent"),
        ),
        (
            "INSERT INTO sends VALUES (1, 'CLIENT1', 'sent', 5, now(), NULL)",
            Finding(1, "sends has a word on a row that is no message to a counterparty"),
        ),
    ],
)
def test_what_sends_says_against_the_journal_is_found(postgres_url: str, statement: str, finding: Finding) -> None:
    trade_a_day(postgres_url)
    change(postgres_url, statement)
    made = database.engine(postgres_url)
    chain, evidence = verify_journal(made)
    made.dispose()
    assert (chain.ok, evidence.findings) == (True, (finding,))


def test_a_transition_that_the_table_does_not_have_is_found(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    trade_a_day(postgres_url)
    monkeypatch.setitem(TABLE, "routed", {})
    made = database.engine(postgres_url)
    evidence = verify_journal(made)[1]
    made.dispose()
    assert evidence.findings == (
        Finding(3, "an order went from routed by accept to working, which THE table does not allow"),
    )


def test_the_projections_are_made_anew_beside_and_taken_into_use_only_when_no_gateway_runs(
    ledger: Engine, postgres_url: str
) -> None:
    def tables() -> list[list[Any]]:
        with psycopg.connect(postgres_url) as connection:
            return [connection.execute(f"SELECT * FROM {name} ORDER BY 1").fetchall() for name in ORDERS]

    right = tables()
    change(postgres_url, "UPDATE client_orders SET cum_qty = 7", "DELETE FROM requests")
    found = rebuild(postgres_url, QUIET, adopt=False)
    assert (found.rows["client_orders"], found.adopted, found.differing > 72) == (72, False, True)
    with psycopg.connect(postgres_url) as connection:
        beside = [connection.execute(f"SELECT * FROM rebuilt.{name} ORDER BY 1").fetchall() for name in ORDERS]
    assert beside == right
    writer = Writer(postgres_url)
    writer.connect()
    with pytest.raises(OperatorError, match="a gateway runs on this ledger"):
        rebuild(postgres_url, QUIET, adopt=True)
    writer.close()
    assert rebuild(postgres_url, QUIET, adopt=True).adopted
    assert tables() == right
    assert verify_tables(ledger).ok


def test_a_start_on_projections_of_another_version_names_the_remedy() -> None:
    require_version(lambda _: [{"version": rebuild_tables.PROJECTION_VERSION}])
    with pytest.raises(OperatorError, match=r"made by version 0 of the rules.*oms db rebuild --adopt"):
        require_version(lambda _: [{"version": 0}])
