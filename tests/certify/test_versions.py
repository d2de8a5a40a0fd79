"""A row in the words of each version, from the standard: nothing of the gateway's own encoder here."""

from __future__ import annotations

import pytest

from oms.certify.versions import PAIRS, Pair, degraded, field_name, has, pair_of, said
from oms.errors import OperatorError

LIVE = {"11": "X", "38": "100", "14": "40", "151": "60"}


def in_42(exec_type: str, ord_status: str, **more: str) -> tuple[str, str, str]:
    """ExecTransType(20), ExecType(150), OrdStatus(39) of a report in FIX 4.2."""
    words = said(
        "4.2", "8", LIVE | {"150": exec_type, "39": ord_status} | {tag[1:]: one for tag, one in more.items()}
    )
    return words["20"], words["150"], words["39"]


@pytest.mark.parametrize(
    ("exec_type", "ord_status", "expected"),
    [
        ("0", "0", ("0", "0", "0")),
        ("F", "1", ("0", "1", "1")),
        ("F", "6", ("0", "1", "6")),  # a fill while a cancel is pending
        ("G", "1", ("2", "1", "1")),
        ("H", "4", ("1", "1", "4")),  # a bust of a canceled order
        ("I", "0", ("3", "0", "0")),
        ("I", "E", ("3", "E", "E")),
        ("5", "1", ("0", "5", "1")),  # partially filled outranks replaced
        ("5", "0", ("0", "5", "5")),
        ("D", "0", ("0", "D", "0")),
        ("7", "7", ("0", "7", "7")),
        ("3", "3", ("0", "3", "3")),
    ],
)
def test_a_report_in_4_2(exec_type: str, ord_status: str, expected: tuple[str, str, str]) -> None:
    assert in_42(exec_type, ord_status) == expected


def test_a_trade_that_fills_the_order_is_a_fill_in_4_2() -> None:
    assert in_42("F", "2", t14="100", t151="0") == ("0", "2", "2")
    assert in_42("G", "2", t14="100", t151="0") == ("2", "2", "2")
    assert in_42("F", "6", t14="100", t151="0") == ("0", "2", "6")


@pytest.mark.parametrize("version", ["4.4", "5.0SP2"])
def test_a_report_in_4_4_and_5_0_sp2_is_the_row_itself(version: str) -> None:
    row = LIVE | {"150": "F", "39": "1", "378": "9", "103": "6", "424": "60"}
    assert said(version, "8", row) == row


def test_codes_that_4_2_does_not_have_become_the_nearest_or_are_left_out() -> None:
    assert degraded("4.2", "9", {"102": "6", "434": "1"}) == {"102": "2", "434": "1"}
    assert degraded("4.2", "9", {"102": "3", "434": "1"}) == {"102": "3", "434": "1"}
    assert degraded("4.2", "8", {"103": "11", "378": "9", "150": "F"}) == {"103": "0", "150": "F"}
    assert degraded("4.2", "8", {"378": "5"}) == {"378": "5"}


def test_an_instruction_is_known_to_a_version_or_not() -> None:
    assert [has(version, "D", "18", "Z") for version in ("4.2", "4.4", "5.0SP2")] == [False, True, True]
    assert has("4.2", "D", "18", "1 G")
    assert not has("4.2", "8", "527", "anything")


def test_pairs_are_written_client_first() -> None:
    assert pair_of("4.2/5.0sp2") == Pair("4.2", "5.0SP2")
    assert [str(pair) for pair in PAIRS][3] == "4.2/4.4"
    assert len(set(PAIRS)) == 7
    for text in ("4.2", "4.2/4.3", "/", "4.2/4.4/4.4"):
        with pytest.raises(OperatorError, match="is no pair of FIX versions; write CLIENT/BROKER"):
            pair_of(text)


def test_fields_are_named_as_people_know_them() -> None:
    assert [field_name(tag) for tag in ("39", "20", "1128")] == [
        "OrdStatus(39)",
        "ExecTransType(20)",
        "ApplVerID(1128)",
    ]
