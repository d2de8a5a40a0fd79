"""A table by session takes a new entry while somebody goes through it, and whoever looks again sees it."""

from __future__ import annotations

from oms.growing import Growing


def test_an_entry_that_comes_meanwhile_disturbs_nobody_and_is_found_afterwards() -> None:
    table = Growing({"CLIENT1": 1})
    for walk in (table, table.values(), table.items(), table.keys()):
        for _ in walk:
            table[f"CLIENT{len(table) + 1}"] = len(table) + 1
    assert list(table) == ["CLIENT1", *(f"CLIENT{number}" for number in range(2, len(table) + 1))]
    assert {**table} == dict(table.items()) == dict(table)
