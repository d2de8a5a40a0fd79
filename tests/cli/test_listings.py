"""`oms fills`, `oms exceptions`, `oms sessions`, `oms verify` and `oms db`, as a person and a program see them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from oms.cli import verify as verify_command
from oms.cli.output import plural, span
from oms.ledger.database import SCHEMA_VERSION
from oms.ledger.replay import Difference, TablesReport
from oms.ledger.writer import Writer
from tests.cli.conftest import Oms, write_config
from tests.ledger.filled_ledger import trade_a_day

pytestmark = pytest.mark.postgres

Json = Callable[[str], Any]


def words(text: str) -> list[str]:
    """Lines with one space between words, without rules and empty lines."""
    return [" ".join(line.split()) for line in text.splitlines() if line.strip() and set(line.strip()) != {"─"}]


def test_fills_are_listed_newest_first(run_oms: Oms) -> None:
    assert words(run_oms("fills list").output) == [
        "Fills of 2026-03-02 (UTC)",
        "executed OrderID(37) kind execution Account(1) broker ExecID(17) broker ExecID(17) client"
        " received witnesses",
        "13:00:00.000 O1 trade Buy (1) 40 AAPL at 150.25 FUND1 BROKER1 x2 E12 13:00:00.060 order session",
        "13:00:00.000 O1 trade Buy (1) 60 AAPL at 150.2 FUND1 BROKER1 x1 E6 13:00:00.030 order session",
    ]


def test_fills_are_listed_as_far_as_they_match(run_oms: Oms, oms_json: Json) -> None:
    assert [fill["exec_id"] for fill in oms_json("fills list --since 13:00")] == []
    assert [fill["last_px"] for fill in oms_json("fills list --trade-date 2026-03-02 --limit 1")] == ["150.25"]
    assert run_oms("fills list --symbol VOD").output == "No fills match.\n"
    assert run_oms("fills list --trade-date 2nd-march").exit_code == 2


def test_open_exception_items_are_listed_and_all_where_asked_for(run_oms: Oms, oms_json: Json) -> None:
    title, columns, item, rest = words(run_oms("exceptions list").output)
    assert (title, columns) == (
        "Exception items, the most overdue first",
        "age due severity kind session OrderID(37) what owner item row",
    )
    what = "warning quantity_mismatch BROKER2 O3 broker's CumQty(14) 5, ledger's 0 operations X1 19"
    assert re.fullmatch(rf"\d+ h \d+ min OVERDUE by \d+ h \d+ min {re.escape(what)}", item)
    assert rest == "1 of 1 overdue. oms exceptions show ITEM has the evidence and the history."
    aged = {"sla_minutes": 240, "due_at": "2026-03-02T17:00:00.205000+00:00", "overdue": True, "evidence": [19]}
    assert aged.items() <= oms_json("exceptions list")[0].items()
    assert [item["item_id"] for item in oms_json("exceptions list --all")] == ["X1", "X2"]
    assert run_oms("exceptions list --order O1").output == "No open exception items.\n"


def test_an_exception_item_is_shown_with_the_message_that_raised_it(run_oms: Oms, oms_json: Json) -> None:
    shown = run_oms("exceptions show X1").output
    assert "\nRaised by journal row 19: out D of BROKER2\n35=D|11=C18|55=VOD|54=2|38=500|40=1|\n" in shown
    assert "opened by rule  broker's CumQty(14) 5, ledger's 0" in " ".join(shown.split("   "))
    assert shown.endswith("oms exceptions take X1; oms exceptions resolve X1 --reason TEXT\n")
    assert oms_json("exceptions show X1")["history"] == []
    assert oms_json("exceptions show X1")["item"]["evidence"] == [19]
    assert "resolved by rule" in run_oms("exceptions show X2").output
    missing = run_oms("exceptions show X9")
    assert (missing.exit_code, missing.output) == (
        3,
        "oms: there is no exception item X9; `oms exceptions list --all` shows them\n",
    )


def test_positions_are_what_the_fills_add_up_to(run_oms: Oms, oms_json: Json) -> None:
    assert words(run_oms("positions --as-of 2026-03-02T14:00").output) == [
        "Positions as of 2026-03-02 14:00:00.000 (UTC)",
        "Account(1) Symbol(55) broker net bought average",
        "FUND1 AAPL BROKER1 100 100 150.22",
    ]
    assert [(one["net"], one["paid"]) for one in oms_json("positions --total")] == [("100", "15022.00")]
    assert run_oms("positions --account NONE").output == "No fills match.\n"


def test_sessions_are_listed_as_configured_with_how_far_they_are(run_oms: Oms) -> None:
    gateway, title, head, *rows = words(run_oms("sessions list").output)
    assert gateway.startswith("Gateway oms (test) is not running; trade date ")
    assert (title, head.split()[:4]) == ("Sessions", ["session", "role", "version", "state"])
    assert rows == [
        "CLIENT1 client FIX.4.4 no gateway 2026-03-02 13:00:00 5 152 0 0 0 0 0",
        "CLIENT2 client FIX.4.2 no gateway 2026-03-02 13:00:00 3 0 0 1 0 1 0",
        "BROKER1 broker FIX.4.2 no gateway 2026-03-02 13:00:00 60 8 0 0 0 0 0",
        "BROKER2 broker FIX.5.0SP2 logged out 2026-03-02 13:00:00 1 2 1 0 0 1 0",
        "waiting: messages that leave when the session is logged on",
    ]


def test_a_session_is_logged_on_only_while_the_gateway_runs(run_oms: Oms, tmp_path: Path, postgres_url: str) -> None:
    trade_a_day(postgres_url)
    config = write_config(tmp_path, postgres_url)
    writer = Writer(postgres_url)
    writer.connect()
    found = json.loads(run_oms("sessions list --json", config).stdout)
    writer.close()
    assert found["gateway_running"] is True
    states = [one["state"] for one in found["sessions"]]
    assert states == ["logged on", "logged on", "logged on", "logged out"]


def test_a_session_that_is_no_longer_configured_is_still_shown(
    run_oms: Oms, tmp_path: Path, postgres_url: str
) -> None:
    trade_a_day(postgres_url)
    with psycopg.connect(postgres_url) as connection:
        connection.execute("UPDATE session_positions SET session = 'OLD' WHERE session = 'BROKER2'")
    found = json.loads(run_oms("sessions list --json", write_config(tmp_path, postgres_url)).stdout)["sessions"]
    assert [(one["session"], one["state"]) for one in found][-2:] == [
        ("BROKER2", "never logged on"),
        ("OLD", "logged out, not configured any more"),
    ]


def test_statistics_tell_time_per_hop_and_refusals_by_reason(run_oms: Oms, oms_json: Json) -> None:
    text = words(run_oms("sessions list --stats").output)
    assert "client order to broker BROKER1 1 3 ms 3 ms 3 ms 3 ms" in text
    assert text[-4:] == [
        "session refused by reason count",
        "BROKER1 broker OrderCancelReject(9): no reason given 1",
        "CLIENT1 gateway OrderQty(38): zero is not a quantity 1",
        "CLIENT1 rule max_order_qty 1",
    ]
    found = oms_json("sessions list --stats")
    assert found["refusals"][2] == {"session": "CLIENT1", "by": "rule", "reason": "max_order_qty", "count": 1}
    assert len(found["latencies"]) == 9


EQUAL = TablesReport(12, {"client_orders": 3, "fills": 2}, 0, [])
DIFFERENT = TablesReport(
    12, {"client_orders": 3}, 21, [Difference("client_orders", f"O{n}", "cum_qty", "60", "100") for n in range(21)]
)


@pytest.fixture
def replay_says(monkeypatch: pytest.MonkeyPatch) -> Callable[[TablesReport], None]:
    """Lets the replay (which has its own tests) end with a report: the day here was not made by the core."""
    return lambda report: monkeypatch.setattr(verify_command, "verify_tables", lambda *_: report)


def test_verify_says_that_chain_and_tables_hold(
    run_oms: Oms, oms_json: Json, replay_says: Callable[[TablesReport], None]
) -> None:
    replay_says(EQUAL)
    result = run_oms("verify")
    report = oms_json("verify")
    assert result.exit_code == 0
    assert result.output == (
        "hash chain: holds, 21 journal rows in 11 batches\n"
        f"head:       batch 11, {report['chain']['head']} (keep it elsewhere to prove the journal later)\n"
        "journal:    3 transitions as THE table allows, 9 messages with what became of it in sends\n"
        "tables:     equal a replay of the journal (12 events): 3 client_orders, 2 fills\n"
    )
    assert (report["ok"], report["chain"]["problem"], report["tables"]["differing"]) == (True, None, 0)


def test_verify_names_what_differs_and_ends_with_1(run_oms: Oms, replay_says: Callable[[TablesReport], None]) -> None:
    replay_says(DIFFERENT)
    result = run_oms("verify")
    lines = result.output.splitlines()
    assert result.exit_code == 1
    assert lines[3:5] == [
        "tables:     21 differences from a replay of the journal, in 3 client_orders",
        "            client_orders O0 cum_qty: by replay 60, stored 100",
    ]
    assert lines[-1] == "            and 1 more (--json shows more)"


def test_verify_names_the_batch_that_was_tampered_with_and_ends_with_1(
    run_oms: Oms, tmp_path: Path, postgres_url: str
) -> None:
    trade_a_day(postgres_url)
    with psycopg.connect(postgres_url) as connection:
        connection.execute("ALTER TABLE journal DISABLE TRIGGER ALL")
        connection.execute("UPDATE journal SET raw = 'forged' WHERE seq = 5")
    config = write_config(tmp_path, postgres_url)
    result = run_oms("verify", config)
    assert result.exit_code == 1
    assert result.output == (
        "hash chain: BROKEN in batch 3: hash differs: a journal row from 5 to 6, or the batch's commit time or hash, "
        "was changed\n"
        "            4 journal rows in 2 batches before it hold; restore the database from a backup that verifies\n"
        "tables:     not compared, the journal itself does not hold\n"
    )
    report = run_oms("verify --json", config)
    assert report.exit_code == 1
    assert json.loads(report.stdout)["chain"]["problem"]["batch"] == 3


def test_verify_holds_on_a_new_ledger(run_oms: Oms, tmp_path: Path, postgres_url: str) -> None:
    assert run_oms("verify", write_config(tmp_path, postgres_url)).exit_code == 0


def test_db_migrates_and_shows_its_state(run_oms: Oms, tmp_path: Path, empty_postgres_url: str) -> None:
    config = write_config(tmp_path, empty_postgres_url)
    before = run_oms("db status", config)
    assert before.exit_code == 1
    assert f"schema             none (this program needs {SCHEMA_VERSION}: oms db migrate)\n" in before.output
    assert run_oms("db migrate", config).output == f"The ledger went from schema none to {SCHEMA_VERSION}.\n"
    assert run_oms("db migrate", config).output == (
        f"The ledger has schema {SCHEMA_VERSION} already; rights and triggers are in place.\n"
    )
    after = run_oms("db status --json", config)
    found = json.loads(after.stdout)
    assert after.exit_code == 0
    assert found["schema"] == SCHEMA_VERSION
    assert (found["ok"], found["embedded"], found["gateway_running"]) == (True, False, False)
    assert found["rows"]["journal"] == 0


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0 us"), (0.00074, "740 us"), (0.0123, "12.3 ms"), (0.456, "456 ms"), (4.56, "4.56 s"),
        (200.0, "3 min 20 s"), (7500.0, "2 h 5 min"), (-0.002, "-2 ms"),
    ],
)  # fmt: skip
def test_durations_are_told_with_three_digits(seconds: float, text: str) -> None:
    assert span(seconds) == text


@pytest.mark.parametrize(
    ("count", "noun", "text"),
    [(1, "fill", "1 fill"), (0, "fill", "0 fills"), (2000, "batch", "2,000 batches"), (3, "reply", "3 replies")],
)
def test_counts_are_told_in_the_plural(count: int, noun: str, text: str) -> None:
    assert plural(count, noun) == text
