"""Exception items by age: due when the configuration says, the most overdue first, whatever their number."""

from __future__ import annotations

from datetime import timedelta

import pytest

from oms.config.people import Exceptions
from oms.ledger.database import engine
from oms.ledger.overdue import list_items
from tests.ledger.filled_ledger import START, Day

pytestmark = pytest.mark.postgres
SLA = Exceptions(error_minutes=30, warning_minutes=240, kinds={"not_at_work": 5})


def item(number: int, minutes: int, kind: str, severity: str = "error", **more: object) -> dict[str, object]:
    row: dict[str, object] = {
        "item_id": f"X{number}", "opened_at": START + timedelta(minutes=minutes), "kind": kind, "severity": severity,
        "owner": "operations", "session": "BROKER1", "order_id": None, "seq": number, "text": "text", "state": "open",
        "resolution": None, "resolved_at": None,
    }  # fmt: skip
    return row | more


def test_items_are_in_the_order_in_which_they_are_due_and_say_whether_they_are_overdue(postgres_url: str) -> None:
    made = engine(postgres_url)
    over = START + timedelta(minutes=50)
    resolved = {"state": "resolved", "resolution": "ann: done"}
    with made.begin() as connection:
        Day(connection).add(
            "exception_items",
            item(1, 0, "overfill"),
            item(2, 10, "not_at_work", owner="ann"),
            item(3, 0, "unacknowledged", "warning"),
            item(4, 45, "overfill", order_id="O1"),
            item(5, 5, "overfill", **resolved, resolved_at=START + timedelta(minutes=10)),
            item(6, 6, "overfill", **resolved, resolved_at=over),
        )

    def listed(**more: object) -> list[tuple[str, bool]]:
        found = list_items(made, SLA, over, limit=9, **more)  # type: ignore[arg-type]
        assert all(one.due_at - one.item.opened_at == timedelta(minutes=one.minutes) for one in found)
        return [(one.item.item_id, one.overdue) for one in found]

    assert listed() == [("X2", True), ("X1", True), ("X4", False), ("X3", False)]
    assert listed(resolved=True)[4:] == [("X6", True), ("X5", False)]
    assert listed(overdue=True) == [("X2", True), ("X1", True)]
    assert listed(resolved=True, overdue=True) == [("X2", True), ("X1", True), ("X6", True)]
    assert (listed(owner="ann"), listed(order_id="O1")) == ([("X2", True)], [("X4", False)])
    assert [one.item.item_id for one in list_items(made, SLA, over, limit=1)] == ["X2"]
    made.dispose()
