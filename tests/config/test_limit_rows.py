"""The limits file: what it says, and that a row with anything wrong stops the start with line, column and remedy."""

from __future__ import annotations

from datetime import date
from decimal import Decimal as D

import pytest

from oms.core.terms import Limit
from tests.config.conftest import Desk

HEADER = "control,client,account,trader,symbol,asset_class,broker,currency,value,level,first,last\n"


@pytest.fixture
def desk(desk: Desk) -> Desk:
    return desk.change("oms.toml", 'accounts = "accounts.csv"', 'accounts = "accounts.csv"\nlimits = "limits.csv"')


def test_rows_are_read_as_they_stand(desk: Desk) -> None:
    desk.write(
        "limits.csv",
        HEADER
        + "# every client by itself\n"
        + "max_open_orders,*,,,,,,,500,,,\n"
        + "max_position,,FUND*,,TSLA,,,,1000.5,soft,2026-01-05,2026-01-09\n"
        + "ord_types,,,,,,BROKER2,,limit;1,hard,,\n"
        + "restricted,,,,GME,,,,buy,,,\n",
    )
    everyday = (False, date.min, date.max)
    assert desk.load().limit_rows == (
        Limit("limits.csv line 3", "max_open_orders", (("client", "*"),), D(500), frozenset(), *everyday),
        Limit(
            "limits.csv line 4", "max_position", (("account", "FUND*"), ("symbol", "TSLA")), D("1000.5"), frozenset(),
            True, date(2026, 1, 5), date(2026, 1, 9),
        ),
        Limit("limits.csv line 5", "ord_types", (("broker", "BROKER2"),), D(0), frozenset("12"), *everyday),
        Limit("limits.csv line 6", "restricted", (("symbol", "GME"),), D(0), frozenset({"buy"}), *everyday),
    )  # fmt: skip


def test_ratios_windows_and_order_types_are_read_as_they_stand(desk: Desk) -> None:
    head = "control,client,symbol,ord_type,value,level\n"
    body = [
        "max_order_trade_ratio,*,,,20.5 after 500,",
        "max_repeated_fills,*,,,10 in 60,soft",
        "price_collar,,,stop,20,",
        "hard_to_borrow,,GME,,located,",
        "short_sales,,,,allowed,",
    ]
    desk.write("limits.csv", head + "\n".join(body) + "\n")
    found = [(one.control, one.scope, one.amount, one.per, one.words, one.soft) for one in desk.load().limit_rows]
    none: frozenset[str] = frozenset()
    assert found == [
        ("max_order_trade_ratio", (("client", "*"),), D("20.5"), 500, none, False),
        ("max_repeated_fills", (("client", "*"),), D(10), 60, none, True),
        ("price_collar", (("ord_type", "3"),), D(20), 0, none, False),
        ("hard_to_borrow", (("symbol", "GME"),), D(0), 0, frozenset({"located"}), False),
        ("short_sales", (), D(0), 0, frozenset({"allowed"}), False),
    ]


def test_without_a_limits_file_there_are_no_rows(tmp_path_factory: pytest.TempPathFactory) -> None:
    assert Desk(tmp_path_factory.mktemp("plain")).load().limit_rows == ()


WRONG = [
    ("max_open_order,*,,,,,,,500,,,",
     'limits.csv: line 2 control: no control "max_open_order"; did you mean max_open_orders?'),
    ("max_open_orders,*,,,,,,,many,,,",
     'limits.csv: line 2 value: "many" is no value of max_open_orders; write a number of at least 0'),
    ("max_open_orders,*,,,,,,,-1,,,",
     'limits.csv: line 2 value: "-1" is no value of max_open_orders; write a number of at least 0'),
    ("max_open_orders,*,,,,,,,1e3,,,",
     'limits.csv: line 2 value: "1e3" is no value of max_open_orders; write a number of at least 0'),
    ("restricted,,,,GME,,,,never,,,",
     'limits.csv: line 2 value: "never" is no value of restricted; write all or buy or sell'),
    ("ord_types,,,,,,,,iceberg,,,",
     'limits.csv: line 2 value: "iceberg" is no value of ord_types; write words such as limit;market, or FIX values'),
    ("max_cancel_ratio,*,,,,,,,50,,,",
     'limits.csv: line 2 value: "50" is no value of max_cancel_ratio; '
     "write a number above 0 and from how many orders on: 20 after 500"),
    ("max_repeated_fills,*,,,,,,,10 in 90000,,,",
     'limits.csv: line 2 value: "10 in 90000" is no value of max_repeated_fills; '
     "write how many and in how many seconds, to 86400: 10 in 60"),
    ("max_repeated_fills,*,,,,,,,0 in 60,,,",
     'limits.csv: line 2 value: "0 in 60" is no value of max_repeated_fills; '
     "write how many and in how many seconds, to 86400: 10 in 60"),
    ("self_match,*,,,,,,,cancel,,,", 'limits.csv: line 2 value: "cancel" is no value of self_match; write refuse'),
    ("hard_to_borrow,*,,,,,,,located,,,",
     "limits.csv: line 2 symbol: hard_to_borrow is a list of symbols; give one"),
    ("max_position,,FUND1,,,,,,500,,,",
     "limits.csv: line 2 symbol: max_position counts shares, and those of two symbols have no sum; "
     "give a symbol, or * for each symbol by itself"),
    ("max_open_orders,*,,,,,,,500,hard,2026-01-09,2026-01-05",
     "limits.csv: line 2 first: 2026-01-09 is after 2026-01-05; exchange or correct them"),
    ("max_open_orders,*,,,,,,,500,hard,,\nmax_open_orders,*,,,,,,,600,hard,,",
     "limits.csv: line 3: for the same orders and days as line 2; keep one"),
]  # fmt: skip


@pytest.mark.parametrize(("row", "problem"), WRONG, ids=range(len(WRONG)))
def test_a_row_with_anything_wrong_stops_the_start(desk: Desk, row: str, problem: str) -> None:
    assert desk.write("limits.csv", f"{HEADER}{row}\n").problems() == [problem]


def test_the_example_that_init_writes_is_right(desk: Desk) -> None:
    rows = desk.load().limit_rows
    assert [(row.control, row.soft) for row in rows] == [
        ("max_order_rate", False),
        ("max_open_orders", False),
        ("max_day_notional", False),
        ("max_day_notional", True),
        ("max_position", False),
        ("max_open_notional", False),
        ("price_collar", False),
        ("short_sales", False),
    ]


def test_a_limits_file_that_is_not_there_stops_the_start(desk: Desk) -> None:
    (desk.directory / "limits.csv").unlink()
    remedy = "create it or correct [files] limits in oms.toml; `oms init DIR` writes an example"
    assert desk.problems() == [f"limits.csv: no such file; {remedy}"]


def test_levels_and_days_are_checked_by_their_columns(desk: Desk) -> None:
    problems = desk.write("limits.csv", f"{HEADER}max_open_orders,*,,,,,,,5,firm,soon,\n").problems()
    assert [one.partition(": ")[2].partition(":")[0] for one in problems] == ["line 2 level", "line 2 first"]
