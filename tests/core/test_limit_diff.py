"""Which changes of limits may let an order through that was refused before, and which cannot."""

from __future__ import annotations

import base64
import json
import time
import zlib
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from oms.config.rules import LimitRule
from oms.core.limit_diff import ADDED, LOWERED, RAISED, REMOVED, compare, counted
from oms.errors import OperatorError
from oms.ops.limit_set import LimitSet, as_parts, rows_of, unpacked
from oms.ops.limits_in_force import InForce, over_files

HEAD = "control,client,account,symbol,value,level,first,last\n"
DEFAULT = LimitRule(max_order_qty=Decimal(100), max_order_notional=Decimal(1000))


def made(*lines: str, rules: tuple[LimitRule, ...] = (DEFAULT,), require_row: bool = False) -> LimitSet:
    text = HEAD + "".join(f"{line}\n" for line in lines)
    return LimitSet(rules, require_row, "limits.csv", text, rows_of("limits.csv", text))


def changes(old: LimitSet, new: LimitSet) -> list[tuple[str, str, bool]]:
    return [(one.kind, one.text.partition(": ")[2], one.raises) for one in compare(old.terms, new.terms)]


@dataclass(frozen=True)
class Pair:
    control: str
    strict: str
    lax: str
    symbol: str = ""


PAIRS = [
    Pair("max_open_orders", "5", "6"),
    Pair("duplicate_order", "60", "30"),
    Pair("price_collar", "1", "2"),
    Pair("max_order_trade_ratio", "20 after 100", "20 after 200"),
    Pair("max_cancel_ratio", "10 after 100", "20 after 100"),
    Pair("max_repeated_fills", "2 in 60", "2 in 30"),
    Pair("max_repeated_fills", "1 in 60", "2 in 60"),
    Pair("ord_types", "limit", "limit;market"),
    Pair("short_sales", "refuse", "located"),
    Pair("short_sales", "located", "allowed"),
    Pair("hard_to_borrow", "refuse", "located", "AAPL"),
    Pair("restricted", "all", "buy"),
    Pair("restricted", "buy;sell", "buy"),
]


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: f"{pair.control} {pair.strict}")
def test_a_value_that_lets_more_through_is_raised_and_the_other_way_round_lowered(pair: Pair) -> None:
    strict, lax = (made(f"{pair.control},,,{pair.symbol},{value},,,") for value in (pair.strict, pair.lax))
    assert [(one[0], one[2]) for one in changes(strict, lax)] == [(RAISED, True)]
    assert [(one[0], one[2]) for one in changes(lax, strict)] == [(LOWERED, False)]
    assert changes(lax, lax) == []


ALL, ONE = "max_day_qty,,*,,100,,,", "max_day_qty,,FUND1,,{},,,"


def test_an_added_row_raises_where_it_undoes_a_stricter_one_and_a_removed_one_always() -> None:
    base = made(ALL)
    assert changes(base, made(ALL, ONE.format(200))) == [(ADDED, "200", True)]
    assert changes(base, made(ALL, ONE.format(50))) == [(ADDED, "50", False)]
    assert changes(made(ONE.format(10)), made(ONE.format(10), "max_day_qty,,FUND2,,90,,,")) == [(ADDED, "90", False)]
    assert changes(made(), base) == [(ADDED, "100", False)]
    assert changes(base, made()) == [(REMOVED, "100", True)]
    dated = made("max_day_qty,,*,,100,,2026-03-02,")
    assert changes(base, dated) == [(ADDED, "100 from 2026-03-02", False), (REMOVED, "100", True)]


def test_soft_to_hard_lowers_and_hard_to_soft_raises() -> None:
    hard, soft = made(ALL), made(ALL.replace("100,", "100,soft"))
    assert changes(soft, hard) == [(LOWERED, "100 soft to 100", False)]
    assert changes(hard, soft) == [(RAISED, "100 to 100 soft", True)]


def test_where_a_row_is_what_lets_somebody_trade_each_new_name_raises() -> None:
    one, two = "max_open_orders,CLIENT1,,,5,,,", "max_open_orders,CLIENT2,,,5,,,"
    assert changes(made(one, require_row=True), made(one, two, require_row=True)) == [(ADDED, "5", True)]
    assert changes(made(one, require_row=True), made(one)) == [(RAISED, "true to false", True)]


def test_limits_per_order_raise_where_an_order_had_none_or_a_lower_one() -> None:
    wide = LimitRule(account="FUND1", max_order_qty=Decimal(200), max_order_notional=Decimal(900))
    found = changes(made(), made(rules=(DEFAULT, wide)))
    assert found == [(ADDED, "200", True), (ADDED, "900", False)]
    assert [one[2] for one in changes(made(rules=()), made())] == [True, True]
    removed = compare(made(rules=(DEFAULT, wide)).terms, made().terms)
    assert counted(removed) == "2 removed"
    assert [one.raises for one in removed] == [True, True]


def test_a_set_comes_back_from_one_text_as_it_was_and_its_hash_is_that_of_its_content() -> None:
    one = made(ALL, ONE.format(50))
    _, parts = as_parts(one.packed())
    assert (unpacked("".join(parts)), unpacked(one.packed()).sha256) == (one, one.sha256)
    assert made(ALL).sha256 != one.sha256


def test_ten_thousand_other_rows_are_compared_in_seconds_and_what_is_not_compared_raises() -> None:
    one, two = ([f"max_day_qty,,{name}{number},,9,,," for number in range(10_000)] for name in ("A", "B"))
    began = time.monotonic()
    assert {one.raises for one in compare(made(ALL, *one).terms, made(ALL, *two).terms)} == {True, False}
    many = [f"max_day_qty,,{number}*,,9,,," for number in range(2_000)]
    others = [f"max_day_qty,,{number}?,,9,,," for number in range(2_000)]
    assert [one.raises for one in compare(made(*many).terms, made(*others).terms)].count(True) > 3_000
    assert time.monotonic() - began < 30


@pytest.mark.parametrize(
    "whole",
    [
        {"file": "a\x0154=1"},
        {"file": "a" * 300},
        {"text": "control,value\nmax_open_orders,\ud800\n"},
        {"rules": [{"max_order_qty": "1e9", "max_order_notional": "1"}]},
        {"rules": 5},
        {"require_row": "yes"},
        {"text": "x" * 9_000_000},
    ],
    ids=lambda whole: next(iter(whole)),
)
def test_a_set_that_a_program_made_up_is_refused(whole: dict[str, object]) -> None:
    good = {"rules": [], "require_row": False, "file": "limits.csv", "text": "control,value\n"}
    packed = [base64.b64encode(zlib.compress(json.dumps(one).encode())).decode() for one in (good, good | whole)]
    assert unpacked(packed[0]).rows == ()
    for text in (packed[1], packed[0][:-8], "", "AAAA", "\x00"):
        with pytest.raises(OperatorError, match="not a set of limits"):
            unpacked(text)


def in_force(found: LimitSet, row: int, files: LimitSet) -> InForce:
    return InForce(found, datetime(2026, 3, 2, tzinfo=UTC), "ann", "why", row, files.sha256)


def test_a_start_keeps_what_was_applied_unless_the_files_were_edited_since_and_only_lower() -> None:
    old, raised = made(ONE.format(100)), made(ONE.format(200))
    applied = in_force(raised, 7, old)

    def begun(files: LimitSet) -> tuple[LimitSet, int, bool]:
        found = over_files(applied, in_force(files, 0, files))
        return found.found, found.row, bool(found.note)

    assert begun(old) == (raised, 7, True)  # as they were when others were applied: that must not be undone
    assert begun(raised) == (raised, 0, False)
    lower = made(ONE.format(50))
    assert begun(lower) == (lower, 0, False)
    assert begun(made(ONE.format(300))) == (raised, 7, True)
    assert begun(made(ONE.format(50).replace("FUND1", "FUND2"))) == (raised, 7, True)
