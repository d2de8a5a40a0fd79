"""`oms orders`: what an operations person sees of the day in `tests/ledger/filled_ledger.py`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest

from oms.cli.output import parse_since
from tests.cli.conftest import Oms, write_config
from tests.ledger.filled_ledger import trade_a_day

pytestmark = pytest.mark.postgres

Json = Callable[[str], Any]


def lines(text: str) -> list[str]:
    """Lines without the spaces that fill a table up, and without its rules."""
    return [line.rstrip() for line in text.splitlines() if line.strip() and set(line.strip()) != {"─"}]


def test_orders_are_listed_for_people_newest_first(run_oms: Oms) -> None:
    title, head, *rows = lines(run_oms("orders list").output)
    assert title == "Orders of 2026-03-02 (UTC)"
    assert head.split("  ")[0] == "received"
    assert [" ".join(row.split()) for row in rows] == [
        "13:00:00.200 O3 CLIENT2 a1 FUND2 Sell (2) 500 VOD, Market (1), Day (0) Pending cancel (6) BROKER2"
        " 1 open exception",
        "13:00:00.100 O2 CLIENT1 b1 FUND1 Buy (1) 99,999 AAPL, Limit (2) 150.25, Day (0) Rejected (8)"
        " max_order_qty: OrderQty(38) 99999 exceeds 10000 (default)",
        "13:00:00.000 O1 CLIENT1 a1 FUND1 Buy (1) 100 AAPL, Limit (2) 150.25, Day (0) Filled (2), 100 at 150.22"
        " BROKER1",
    ]


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ("--client CLIENT1", ["O2", "O1"]),
        ("--broker BROKER2", ["O3"]),
        ("--account FUND1 --symbol AAPL --status filled", ["O1"]),
        ("--status pending-cancel --status 8", ["O3", "O2"]),
        ("--live", ["O3"]),
        ("--since 2026-03-02T13:00:00.150", ["O3"]),
        ("--since 2026-03-03", []),
        ("--limit 1", ["O3"]),
        ("--client NOBODY", []),
    ],
)
def test_orders_are_listed_as_far_as_they_match(oms_json: Json, options: str, found: list[str]) -> None:
    assert [order["order_id"] for order in oms_json(f"orders list {options}")] == found


def test_no_match_is_said_and_is_no_error(run_oms: Oms) -> None:
    result = run_oms("orders list --client NOBODY")
    assert (result.exit_code, result.output) == (0, "No orders match.\n")


def test_a_list_that_was_cut_says_so(run_oms: Oms) -> None:
    assert run_oms("orders list --limit 3").output.endswith("The newest 3; --limit shows more.\n")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("--status fulfilled", "'fulfilled' is no OrdStatus(39); choose from: new (0), partially-filled (1)"),
        ("--since yesterday", "'yesterday' is no time; write 2026-03-02, 2026-03-02T13:00, 13:00, 30m, 2h or 1d"),
        ("--since 99999999d", "is no time"),
        ("--limit 0", "0 is not in the range"),
    ],
)
def test_bad_options_are_refused_with_what_would_be_good(run_oms: Oms, options: str, said: str) -> None:
    result = run_oms(f"orders list {options}")
    assert result.exit_code == 2
    assert said in " ".join(result.stderr.split())


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("30m", datetime(2026, 3, 2, 13, 30, tzinfo=UTC)),
        ("1d", datetime(2026, 3, 1, 14, 0, tzinfo=UTC)),
        ("2026-03-01", datetime(2026, 3, 1, tzinfo=UTC)),
        ("2026-03-01T13:00+01:00", datetime(2026, 3, 1, 12, tzinfo=UTC)),
        ("07:30", datetime(2026, 3, 2, 7, 30, tzinfo=UTC)),
        ("999999d", None),
        ("", None),
        ("7 o'clock", None),
    ],
)
def test_since_takes_dates_times_and_ages(text: str, moment: datetime | None) -> None:
    assert parse_since(text, datetime(2026, 3, 2, 14, 0, tzinfo=UTC)) == moment


def test_one_order_is_shown_with_what_belongs_to_it(run_oms: Oms) -> None:
    text = [" ".join(line.split()) for line in lines(run_oms("orders show b77").output)]
    assert text[:5] == ["Order O1", "client CLIENT1", "trader jane", "Account(1) FUND1", "ClOrdID(11) a1"]
    assert "OrdStatus(39) Filled (2)" in text
    assert text[text.index("Child orders") :] == [
        "Child orders",
        "broker ClOrdID(11) OrderID(37) broker route OrderQty(38) Price(44) CumQty(14) state sent by row",
        "BROKER1 C1 b77 us-stocks 100 150.25 100 working 2",
        "Requests",
        "request ClOrdID(11) OrigClOrdID(41) ClOrdID(11) to broker state row",
        "cancel (F) a2 a1 C7 rejected 7",
        "Fills of 2026-03-02 (UTC)",
        "executed OrderID(37) kind execution Account(1) broker ExecID(17) broker ExecID(17) client"
        " received witnesses",
        "13:00:00.000 O1 trade Buy (1) 60 AAPL at 150.2 FUND1 BROKER1 x1 E6 13:00:00.030 order session",
        "13:00:00.000 O1 trade Buy (1) 40 AAPL at 150.25 FUND1 BROKER1 x2 E12 13:00:00.060 order session",
    ]


def test_an_identifier_of_several_orders_lists_them_and_asks_for_one(run_oms: Oms) -> None:
    for command in ("show", "explain"):
        result = run_oms(f"orders {command} a2")
        assert (result.exit_code, result.stdout) == (2, "")
        assert result.stderr == (
            "oms: a2 names 2 orders; name one by its OrderID(37):\n"
            "  O3  2026-03-02  CLIENT2  VOD  Pending cancel (6)  (ClOrdID(11) of a cancel or replace of the client)\n"
            "  O1  2026-03-02  CLIENT1  AAPL  Filled (2)  (ClOrdID(11) of a cancel or replace of the client)\n"
        )


@pytest.mark.parametrize("command", ["show", "explain", "explain --raw", "explain --json"])
def test_an_identifier_of_nothing_is_not_found(run_oms: Oms, command: str) -> None:
    result = run_oms(f"orders {command} nope")
    assert (result.exit_code, result.stdout) == (3, "")
    assert result.stderr == (
        "oms: no order and no message in the ledger has the identifier 'nope'; oms orders list shows orders\n"
    )


SUMMARY_O1 = """\
Order O1 of CLIENT1, trade date 2026-03-02
  asked    Buy (1) 100 AAPL, Limit (2) 150.25, Day (0) for Account(1) FUND1, by CLIENT1 (trader jane) as ClOrdID(11) \
a1 at 2026-03-02 13:00:00.000 UTC
  went     BROKER1 by route us-stocks as ClOrdID(11) C1, sent 13:00:00.003, OrderID(37) of the broker b77
  happened 2 fills: 60 at 150.2, 40 at 150.25; cancel a2 rejected
  stands   Filled (2): CumQty(14) 100 of 100, LeavesQty(151) 0, AvgPx(6) 150.22; finished
  look at  nothing

2026-03-02 (UTC)
13:00:00.000 <- CLIENT1    NewOrderSingle(D)  MsgSeqNum(34) 2  row 1, batch 1
      ClOrdID(11)=a1  Symbol(55)=AAPL  Side(54)=1 [Buy]  OrderQty(38)=100  OrdType(40)=2 [Limit]  Price(44)=150.25
      rule trading_on: ok, trading is on
      rule max_order_qty: ok, OrderQty(38) 100 within 10000 (default)
      verdict: accepted
      route: BROKER2 passed over, session logged out
      route: us-stocks to BROKER1
      received 10 ms after SendingTime(52) 12:59:59.990 (two clocks)
      committed 2 ms later
13:00:00.000 -> BROKER1    NewOrderSingle(D)  row 2, batch 1, because of row 1
      ClOrdID(11)=C1  Symbol(55)=AAPL  Side(54)=1 [Buy]  OrderQty(38)=100  OrdType(40)=2 [Limit]  Price(44)=150.25
      sent 13:00:00.003 as MsgSeqNum(34) 7, 1 ms after its commit, 3 ms after row 1 was received
"""


def test_the_story_begins_with_five_lines_and_goes_on_step_by_step(run_oms: Oms) -> None:
    result = run_oms("orders explain O1")
    assert result.exit_code == 0
    assert result.output.startswith(SUMMARY_O1)


def test_the_story_tells_the_time_spent_per_hop_and_in_all(run_oms: Oms) -> None:
    text = [" ".join(line.split()) for line in lines(run_oms("orders explain O1").output)]
    start = text.index("Time spent (62.5 ms from first to last)")
    assert text[start + 1 : start + 9] == [
        "where n total longest",
        "gateway, CLIENT1 to BROKER1: received to committed 2 2.5 ms 2 ms",
        "gateway, CLIENT1 to BROKER1: committed to sent 2 1.5 ms 1 ms",
        "gateway, CLIENT1 to BROKER1: in all 2 4 ms 3 ms",
        "BROKER1: until its first answer 2 26 ms 17 ms",
        "gateway, BROKER1 to CLIENT1: received to committed 4 8 ms 2 ms",
        "gateway, BROKER1 to CLIENT1: committed to sent 4 1.9 ms 500 us",
        "gateway, BROKER1 to CLIENT1: in all 4 9.9 ms 2.5 ms",
    ]


def test_what_to_look_at_is_in_the_summary(run_oms: Oms) -> None:
    look_at = next(line for line in run_oms("orders explain O3").output.splitlines() if line.startswith("  look at"))
    assert look_at == (
        "  look at  warning quantity_mismatch since 13:00:00.205: broker's CumQty(14) 5, ledger's 0 (X1); "
        "row 21, F to BROKER2, has not left; cancel a2 sent: no answer yet"
    )


def test_a_refused_order_is_explained_by_the_rule_and_its_numbers(run_oms: Oms) -> None:
    text = run_oms("orders explain O2").output
    reason = "max_order_qty: OrderQty(38) 99999 exceeds 10000 (default)"
    assert f"  went     nowhere: {reason}\n" in text
    assert "      rule max_order_qty: REFUSED, OrderQty(38) 99999 exceeds 10000 (default)\n" in text
    assert "      verdict: rejected by rule max_order_qty\n" in text


def test_a_request_that_never_became_an_order_is_explained_from_its_messages(run_oms: Oms) -> None:
    text = run_oms("orders explain b2").output
    assert text.startswith("ClOrdID(11) b2 never became an order. Messages that carry it:\n\n2026-03-02 (UTC)\n")
    assert "      refused: OrderQty(38): zero is not a quantity\n" in text
    assert "OrdRejReason(103)=99 [Other]" in text


def test_raw_prints_one_message_per_line(run_oms: Oms) -> None:
    assert run_oms("orders explain O3 --raw").output == (
        "2026-03-02T13:00:00.150Z session BROKER2 logon\n"
        "2026-03-02T13:00:00.200Z in CLIENT2 35=D|34=2|11=a1|1=FUND2|55=VOD|54=2|38=500|40=1|\n"
        "2026-03-02T13:00:00.200Z out BROKER2 35=D|11=C18|55=VOD|54=2|38=500|40=1|\n"
        "2026-03-02T13:00:00.210Z in CLIENT2 35=F|11=a2|41=a1|\n"
        "2026-03-02T13:00:00.210Z out BROKER2 35=F|11=C20|41=C18|\n"
    )


def test_json_has_the_whole_story(oms_json: Json) -> None:
    story = oms_json("orders explain O1")
    assert list(story) == [
        "order", "summary", "look_at", "steps", "hops", "children", "requests", "fills", "exceptions",
        "archived",
    ]  # fmt: skip
    assert (story["order"]["avg_px"], story["look_at"], len(story["steps"])) == ("150.22", [], 12)
    step = story["steps"][1]
    assert step["raw"] == "35=D\x0111=C1\x0155=AAPL\x0154=1\x0138=100\x0140=2\x0144=150.25\x01"
    assert step["fields"][2] == {"tag": "54", "name": "Side", "value": "1", "meaning": "Buy"}
    assert step["send"]["sent_at"] == "2026-03-02T13:00:00.003000+00:00"


def test_what_counterparties_wrote_cannot_move_the_terminal(run_oms: Oms, tmp_path: Path, postgres_url: str) -> None:
    trade_a_day(postgres_url)
    with psycopg.connect(postgres_url) as connection:
        connection.execute("UPDATE client_orders SET reason = %s, account = '[red]x[/red]'", ["\x1b[2J\x9b gone\n"])
    config = write_config(tmp_path, postgres_url)
    for command in ("orders list", "orders show O2", "orders explain O2"):
        output = run_oms(command, config).output
        assert "\x1b" not in output
        assert "\x9b" not in output
        assert r"\x1b[2J\x9b gone\x0a" in output
        assert "[red]x[/red]" in output
