"""Ids that were used: those loaded at a start are known as well as those that came since."""

from __future__ import annotations

import pytest

from oms.core.seen import Seen


@pytest.mark.parametrize("number", [0, 1, 3_000])
def test_what_was_loaded_is_known_and_the_ledger_hardly_ever_asked_in_vain(number: int) -> None:
    used = {f"used{one}" for one in range(number)}
    asked: list[str] = []

    def ask(key: str) -> bool:
        asked.append(key)
        return key in used

    seen = Seen(ask, keep=10)
    seen.load(used)
    assert len(seen) == number
    assert all(key in seen for key in used)
    assert len(asked) == number
    for one in range(100):  # more than are kept as they are
        assert f"new{one}" not in seen
        seen.add(f"new{one}")
        used.add(f"new{one}")
    assert all(key in seen for key in used)
    asked.clear()
    assert not any(f"other{one}" in seen for one in range(3_000))
    assert len(asked) <= 3


def test_without_a_ledger_to_ask_what_was_loaded_is_kept() -> None:
    seen = Seen()
    seen.load(["A", "B"])
    assert ("A" in seen, "C" in seen, len(seen)) == (True, False, 2)
