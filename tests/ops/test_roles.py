"""The table of roles: what each may, that nobody grows beyond a scope, and that the page shows the table."""

from __future__ import annotations

from pathlib import Path

import pytest

from oms.ops.roles import ROLES, TABLE, contains, outside, rendered, rule_of, scope_text, verbs_of

PAGE = Path(__file__).parents[2] / "docs" / "decisions" / "operators.md"


def test_a_verb_that_is_not_in_the_table_is_for_admins_alone() -> None:
    assert rule_of("ledger.drop") == rule_of("") == rule_of("KILL.LIST")
    assert [role for role in ROLES if role in rule_of("ledger.drop").roles] == ["admin"]


def test_every_row_is_the_admins_viewers_change_nothing_and_whoever_may_release_may_engage() -> None:
    assert all("admin" in rule.roles for rule in TABLE.values())
    assert [verb for verb in verbs_of("viewer") if not TABLE[verb].reads] == []
    assert TABLE["kill.release"].roles < TABLE["kill.engage"].roles
    assert TABLE["trading.on"].roles < TABLE["trading.off"].roles


@pytest.mark.parametrize(
    ("pattern", "value", "within"),
    [
        ("BUYA", "BUYA", True), ("BUYA", "BUYB", False), ("BUYA", "*", False), ("BUYA", "BUY?", False),
        ("BUYA", "BUYA*", False), ("BUY*", "BUYA", True), ("BUY*", "BUYA*", True), ("BUY*", "BUY?", True),
        ("BUY*", "B*", False), ("BUY*", "*", False), ("*", "*", True), ("*", "B?Y", True), ("BUY?", "BUYA", True),
        ("BUY?", "BUY*", False), ("BUY?", "BUY?", True), ("*A*", "[!A]", False), ("*A*", "[A]", False),
        ("*", "[A]", False),
        ("BUY[AB]", "BUYA", True), ("BUY[AB]", "BUYC", False), ("BUYA", "", False), ("A*B", "A*C*B", True),
    ],
)  # fmt: skip
def test_a_scope_has_a_name_or_pattern_only_if_everything_it_stands_for_is_within(
    pattern: str, value: str, within: bool
) -> None:
    assert contains(pattern, value) is within


def test_a_command_must_be_within_every_part_of_a_scope_and_one_that_names_none_is_outside() -> None:
    scope = {"client": ("BUYA", "BUYB"), "symbol": ("SAP",)}

    def where(**about: str) -> str:
        return outside(scope, {part: frozenset(value.split()) for part, value in about.items()})

    assert where(client="BUYA", symbol="SAP", account="X") == ""
    assert where(client="BUYA BUYB", symbol="SAP") == ""
    assert where(client="BUYA BUYC", symbol="SAP") == "client"
    assert where(client="BUYA") == "symbol"
    assert where() == "client"
    assert outside({}, {}) == ""
    assert scope_text(scope) == "client BUYA or BUYB; symbol SAP"


def test_the_page_of_the_decision_shows_the_table() -> None:
    page = PAGE.read_text()
    assert rendered(page) == page
    assert [verb for verb in TABLE if f"| `{verb}` |" not in page] == []
