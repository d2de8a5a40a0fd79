"""`oms access review`: what is worth a remark."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from oms.cli.access import _entry
from oms.config.people_file import Person
from oms.ledger.operators import Act
from oms.ops.tokens import new_token

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


def ago(days: int) -> datetime:
    return NOW - timedelta(days=days)


def person(days: int, expires: datetime | None = None, **more: Any) -> Person:
    return Person(role="trader", created=ago(days), token=new_token(ago(days), expires)[1], **more)


@pytest.mark.parametrize(
    ("made", "acts", "remarks"),
    [
        (person(100, NOW + timedelta(days=1)), [Act("ann", "kill.engage", 2, ago(3))], []),
        (person(100, NOW + timedelta(days=1)), [Act("ann", "kill.engage", 2, ago(40))], ["unused for 30 days"]),
        (person(100, NOW + timedelta(days=1)), [Act("ann", "access.refused", 9, ago(1))], ["unused for 30 days"]),
        (person(100, NOW + timedelta(days=1)), [Act("bob", "kill.engage", 2, ago(3))], ["unused for 30 days"]),
        (person(5, NOW + timedelta(days=1)), [], []),  # too new to be blamed
        (person(5), [], ["a token without an end"]),
        (person(100, ago(1)), [], ["token expired"]),
    ],
)
def test_who_did_nothing_for_long_and_tokens_that_never_end_are_remarked(
    made: Person, acts: list[Act], remarks: list[str]
) -> None:
    found = _entry(("ann", made, made.role), acts, NOW, 30)
    assert (found["remarks"], found["role"]) == (remarks, "trader")
    assert found["refused"] == sum(act.times for act in acts if act.verb == "access.refused")


def test_who_is_in_the_configuration_alone_is_shown_with_what_that_gives() -> None:
    found = _entry(("ann", None, "admin"), [], NOW, 30)
    assert (found["by"], found["remarks"]) == (["user"], ["unused for 30 days", "every command"])
    found = _entry(("ann", None, "none"), [], NOW, 30)
    assert (found["verbs"], found["remarks"][-1]) == ([], "not in the file of people, and so without a role")
