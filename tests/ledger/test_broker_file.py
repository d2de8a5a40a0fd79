"""A broker's end-of-day file compared with fill rows, without a database."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from oms.config.broker_file import Told
from oms.ledger.broker_file import Booked, compare, item_id, netted

DAY = date(2026, 3, 2)
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def row(seq: int, exec_id: str, qty: int = 10, px: str = "150", **more: Any) -> dict[str, Any]:
    """A fill row of order O1, at the broker C1."""
    made = {
        "client_exec_id": f"E{seq}", "broker": "B", "trade_date": DAY, "exec_id": exec_id, "exec_ref_id": "",
        "kind": "trade", "order_id": "O1", "child_id": "C1", "account": "FUND1", "symbol": "AAPL", "side": "1",
        "last_qty": Decimal(qty), "last_px": Decimal(px), "transact_time": NOON + timedelta(minutes=seq), "seq": seq,
        "cl_ord_id": "C1", "broker_order_id": "B1",
    }  # fmt: skip
    return made | more


def told(line: int, exec_id: str, qty: int = 10, px: str = "150", minute: int = 0, **more: Any) -> Told:
    """A line of the file."""
    made = {
        "line": line, "exec_id": exec_id, "order_id": "B1", "cl_ord_id": "", "symbol": "AAPL", "side": "1",
        "quantity": Decimal(qty), "price": Decimal(px), "account": "FUND1", "at": NOON + timedelta(minutes=minute),
    }  # fmt: skip
    return Told(**(made | more))


def found(ours: list[Booked], theirs: list[Told]) -> tuple[list[int], list[tuple[str, int | None, tuple[int, ...]]]]:
    """Lines that agree, and the breaks with their evidence."""
    result = compare(ours, theirs, "B")
    return [one.told.line for one in result.matched], [(one.kind, one.line, one.seqs) for one in result.breaks]


def test_corrections_and_busts_count_to_the_day_of_their_execution_in_any_order() -> None:
    tomorrow = {"trade_date": date(2026, 3, 3)}
    rows = [
        row(1, "e1"),
        row(2, "c1", 12, kind="correct", exec_ref_id="e1", **tomorrow),
        row(3, "h2", 0, kind="bust", exec_ref_id="e2"),  # before its execution
        row(4, "e2"),
        row(5, "e5", **tomorrow),
        row(6, "e6", child_id=None, order_id=None, cl_ord_id=None, broker_order_id=None),
    ]
    ours = netted(rows, DAY)
    assert [(one.exec_ids, one.exec_id, one.day, one.kind, one.live, one.quantity, one.seqs) for one in ours] == [
        (("e1", "c1"), "c1", date(2026, 3, 3), "correct", True, Decimal(12), (1, 2)),
        (("e2", "h2"), "h2", DAY, "bust", False, Decimal(0), (4, 3)),
        (("e6",), "e6", DAY, "trade", True, Decimal(10), (6,)),
    ]
    lines = [told(2, "e1", 12), told(3, "e6")]
    assert found(ours, lines) == ([2, 3], [])
    assert found(ours, [told(2, "c1", 12), told(3, "e6")]) == ([2, 3], [])
    assert found(ours, [*lines, told(4, "e2")]) == ([2, 3], [("file_mismatch", 4, (4, 3))])
    assert found(ours, [*lines, told(4, "c1", 12)]) == ([2, 3], [("file_duplicate", 4, (1, 2))])


def test_what_differs_is_named() -> None:
    ours = netted([row(1, "e1")], DAY)
    for more, words in (
        ({"qty": 11}, "LastQty(32) differs"),
        ({"px": "150.01"}, "LastPx(31) differs"),
        ({"qty": 9, "px": "1"}, "LastQty(32) and LastPx(31) differ"),
        ({"symbol": "SAP"}, "Symbol(55) differs"),
        ({"side": "2"}, "Side(54) differs"),
    ):
        (one,) = compare(ours, [told(2, "e1", **more)], "B").breaks  # type: ignore[arg-type]
        assert (one.kind, one.text.split(": ")[1]) == ("file_mismatch", words)


def test_what_one_side_lacks_is_missing_unless_it_looks_like_another() -> None:
    ours = netted([row(1, "e1"), row(2, "e2")], DAY)
    assert found(ours, [told(2, "e1"), told(3, "x2", minute=9)]) == (
        [2],
        [("file_missing_here", 3, ()), ("file_missing_there", None, (2,))],
    )
    like = [("file_duplicate", 3, (2,))]
    assert found(ours, [told(2, "e1"), told(3, "x2", minute=2)]) == ([2], like)
    assert found(ours, [told(2, "e1"), told(3, "x2", minute=2, order_id="", cl_ord_id="C1")]) == ([2], like)
    missing = [("file_missing_here", 3, ()), ("file_missing_there", None, (2,))]
    assert found(ours, [told(2, "e1"), told(3, "x2", minute=2, order_id="B9")]) == ([2], missing)
    assert found(ours, [told(2, "e1"), told(3, "x2", minute=2, at=None)]) == ([2], missing)


def test_equal_fills_of_one_second_are_duplicates_only_where_one_side_lacks_one() -> None:
    second = {"transact_time": NOON}
    ours = netted([row(1, "e1", **second), row(2, "e2", **second)], DAY)
    assert found(ours, [told(2, "e1"), told(3, "e2")]) == ([2, 3], [])
    assert found(ours, [told(2, "e1")]) == ([2], [("file_duplicate", None, (2,))])
    assert found(ours[:1], [told(2, "e1"), told(3, "e2")]) == ([2], [("file_duplicate", 3, ())])
    assert found([], [told(2, "e1"), told(3, "e1")]) == (
        [],
        [("file_missing_here", 2, ()), ("file_duplicate", 3, ())],
    )


def test_the_same_difference_has_the_same_item_in_every_file() -> None:
    (first,) = compare([], [told(2, "e1")], "B").breaks
    (again,) = compare([], [told(9, "e1")], "B").breaks
    (other,) = compare([], [told(2, "e2")], "B").breaks
    assert item_id("B", DAY, first) == item_id("B", DAY, again) != item_id("B", DAY, other)
    assert item_id("B", DAY, first) != item_id("C", DAY, first)
