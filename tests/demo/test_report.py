"""The report says what happened, and only says that all is well where all is."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from rich.console import Console

from oms.cli.output import emit_json
from oms.demo.chaos import Recovery
from oms.demo.comparison import Compared, Difference, compare
from oms.demo.figures import Asked, broker_figures, client_figures
from oms.demo.report import Outcome, as_json, suggestions, tell
from oms.ledger.replay import Difference as RowDifference
from oms.ledger.replay import TablesReport
from oms.ledger.statistics import Latency, Refusals
from oms.ledger.verify import ChainProblem, ChainReport
from tests.demo.world import BROKER, CLIENT, agreeing

REPLAYED = TablesReport(9, {"client_orders": 3, "fills": 7}, 0, [])
DIFFERENCE = Difference("CLIENT1 ClOrdID(11) A1", "CumQty(14)", "60", "100", "100")


@pytest.fixture
def outcome() -> Outcome:
    """That of a run in which all is well."""
    views = agreeing()
    views.clients[CLIENT].latencies_ms.update({"A1": 2.0, "A2": 4.0, "A3": 9.5})
    views.brokers[BROKER].duplicates = 2
    return Outcome(
        directory=Path("demo-state"),
        config=Path("demo-state/oms.toml"),
        seed=7,
        seconds=21.4,
        clients=client_figures(views, {CLIENT: "4.4"}),
        brokers=broker_figures(views, {BROKER: "4.2"}),
        refusals=[Refusals(CLIENT, "rule", "tick_size", 1)],
        latencies=[Latency(BROKER, "client order to broker", 2, 0.001, 0.002, 0.003, 0.004)],
        items=(),
        recoveries=[],
        compared=compare(views),
        chain=ChainReport(4, 30, "ab", None),
        replay=REPLAYED,
        problems=[],
        metrics="http://127.0.0.1:15009/metrics",
    )


Tell = Callable[[Outcome], str]


@pytest.fixture
def told(capsys: pytest.CaptureFixture[str]) -> Tell:
    """The report as a person reads it."""

    def show(outcome: Outcome) -> str:
        tell(Console(width=118, highlight=False, markup=False), outcome)
        return capsys.readouterr().out

    return show


def test_figures_are_counted_from_what_each_side_recorded(outcome: Outcome) -> None:
    client, broker = outcome.clients[0], outcome.brokers[0]
    assert (client.orders, client.ord_status) == (4, {"2": 1, "8": 2, "4": 1})
    assert (client.fills, client.shares, client.measured) == (4, Decimal(130), 3)
    assert client.first_report_ms == {"p50": 4.0, "p90": 9.5, "p99": 9.5, "max": 9.5}
    assert (broker.orders, broker.fills, broker.shares) == (2, 4, Decimal(130))
    assert (broker.busted, broker.corrected, broker.duplicates) == (1, 1, 2)
    assert client.cancels == client.replaces == Asked(0, 0)


def test_a_run_in_which_all_is_well_is_told_whole(outcome: Outcome, told: Tell) -> None:
    lines = [line.rstrip() for line in told(outcome).splitlines()]
    first = lines.index("Clients and brokers")
    assert [line.split() for line in lines[first + 1 : first + 14] if "─" not in line] == [
        ["CLIENT1", "BROKER1"],
        ["FIX", "4.4", "4.2"],
        ["orders", "4", "2"],
        ["Filled", "(2)", "1", "1"],
        ["Canceled", "(4)", "1", "1"],
        ["Rejected", "(8)", "2", "0"],
        ["fills", "4", "4"],
        ["busted", "later", "1", "1"],
        ["corrected", "later", "1"],
        ["shares,", "net", "130", "130"],
        ["cancels", "granted", "0", "of", "0", "0", "of", "0"],
        ["replaces", "granted", "0", "of", "0", "0", "of", "0"],
    ]
    assert lines[first + 14].split() == ["reports", "sent", "twice", "2"]
    assert "CLIENT1  rule        tick_size      1" in lines
    assert "order to first report   CLIENT1         3  4 ms  9.5 ms  9.5 ms  9.5 ms" in lines
    assert lines[-6:] == [
        "orders:      4 orders of the clients, 2 of them at a broker, 2 refused before they left: "
        "the three views agree, order by order",
        "fills:       4 fills of the brokers, 2 busted or corrected later, 2 reports sent twice: "
        "the three views agree, each in the ledger once and told to its client once",
        "hash chain:  holds, 30 journal rows in 4 batches",
        "replay:      the journal replayed gives the same tables: 3 client_orders, 7 fills",
        "",
        "All three views agree. Seed 7, 21 s.",
    ]


@pytest.mark.parametrize(
    ("spoilt", "said"),
    [
        ({"compared": Compared(4, 2, 4, 2, [DIFFERENCE])}, "THE VIEWS DIFFER, see below"),
        ({"chain": ChainReport(3, 20, "ab", ChainProblem(4, 21, "hash differs"))}, "BROKEN in batch 4: hash differs"),
        ({"replay": None}, "not done, the journal itself does not hold"),
        (
            {"replay": TablesReport(9, {"fills": 7}, 1, [RowDifference("fills", "E1", "last_qty", "5", "6")])},
            "1 difference between the tables and the journal replayed",
        ),
        ({"problems": ["CLIENT1: orders without an end: A3"]}, "problem:     CLIENT1: orders without an end: A3"),
    ],
)
def test_whatever_is_not_well_is_told_and_all_is_not_well(
    outcome: Outcome, told: Tell, spoilt: dict[str, object], said: str
) -> None:
    changed = replace(outcome, **spoilt)  # type: ignore[arg-type]
    text = told(changed)
    assert said in text
    assert text.splitlines()[-1] == "Not all is well: see above. Seed 7, 21 s."
    assert (outcome.ok, changed.ok, as_json(changed)["ok"]) == (True, False, False)


def test_a_difference_is_told_with_what_each_view_says(outcome: Outcome, told: Tell) -> None:
    lines = told(replace(outcome, compared=Compared(4, 2, 4, 2, [DIFFERENCE]))).splitlines()
    row = next(line for line in lines if line.startswith("CLIENT1 ClOrdID(11) A1"))
    assert row.split() == ["CLIENT1", "ClOrdID(11)", "A1", "CumQty(14)", "60", "100", "100"]


def test_a_kill_is_told_with_its_recovery(outcome: Outcome, told: Tell) -> None:
    kill = Recovery("gateway", datetime(2026, 3, 2, tzinfo=UTC), 40, 2.5, 3.25)
    row = next(line for line in told(replace(outcome, recoveries=[kill])).splitlines() if line.startswith("gateway"))
    assert row.split() == ["gateway", "40", "2.5", "s", "3.25", "s"]


def test_the_document_holds_everything_as_json(outcome: Outcome, capsys: pytest.CaptureFixture[str]) -> None:
    emit_json(as_json(replace(outcome, compared=Compared(4, 2, 4, 2, [DIFFERENCE]))))
    document = json.loads(capsys.readouterr().out)
    assert document["comparison"]["differences"] == [
        {"about": "CLIENT1 ClOrdID(11) A1", "what": "CumQty(14)", "client": "60", "ledger": "100", "broker": "100"}
    ]
    assert document["clients"][0]["ord_status"] == {"2": 1, "8": 2, "4": 1}
    assert document["chain"] == {"batches": 4, "rows": 30, "head": "ab", "problem": None, "passed": 0}
    assert document["replay"]["compared"] == {"client_orders": 3, "fills": 7}
    assert (document["seed"], document["config"]) == (7, "demo-state/oms.toml")


def test_what_to_try_next_names_the_configuration_and_the_metrics_only_while_it_runs(outcome: Outcome) -> None:
    commands = [command for command, _ in suggestions(outcome, ".venv/bin/oms", stays=True)]
    assert commands[0] == ".venv/bin/oms orders list --config demo-state/oms.toml"
    assert commands[-1] == "curl http://127.0.0.1:15009/metrics"
    assert not any("curl" in command for command, _ in suggestions(outcome, "oms", stays=False))
