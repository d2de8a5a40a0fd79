"""Prices that a broker tells of an order, AvgPx(6) and LastPx(31), compared with the executions of the ledger."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.core.rounds_desk import RoundsDesk

THIRDS = ((40, "10"), (20, "10.5"), (30, "10.1"))  # 10.14444...


@pytest.fixture
def desk() -> Iterator[RoundsDesk]:
    """Three fills, and a round that waits for the answer."""
    made = RoundsDesk()
    made.working("A1")
    for number, (qty, px) in enumerate(THIRDS, 1):
        made.fill("A1", qty, px, exec_id=f"f{number}")
    made.begin()
    yield made
    made.replayed()


ROUNDED = ("10.144444444", "10.144444", "10.1444", "10.1445", "10.14", "10.15")
NOT_TOLD = ("0", "0.00", "", "none", "NaN", "1E-9999999", "\u0661\u0660", ".")


@pytest.mark.parametrize("avg_px", ROUNDED + NOT_TOLD)
def test_an_average_that_is_rounded_or_cut_to_what_the_broker_writes_agrees(desk: RoundsDesk, avg_px: str) -> None:
    desk.status_of("A1", "1", avg_px=avg_px)
    assert (desk.verdict()["verdict"], desk.open_items()) == ("matched", [])


@pytest.mark.parametrize("avg_px", ["10.16", "10.13", "10.1446", "10.1443", "10.1", "10", "11"])
def test_another_average_is_raised_with_both_and_moves_nothing(desk: RoundsDesk, avg_px: str) -> None:
    before = desk.state("A1")
    desk.status_of("A1", "1", avg_px=avg_px)
    assert (desk.open_items(), desk.state("A1")) == (["price_mismatch"], before)
    assert desk.items[-1].text == f"broker's AvgPx(6) {avg_px}, ours 10.144444"
    assert desk.items[-1].severity == "error"


def test_a_dialect_says_how_few_decimals_a_broker_may_write() -> None:
    desk = RoundsDesk(avg_px_decimals=0)
    desk.working("A1")
    desk.fill("A1", 40, "1500")
    desk.fill("A1", 20, "1501")
    desk.begin()
    desk.status_of("A1", "1", avg_px="1500")
    assert desk.open_items() == []
    desk.logged_out()
    desk.begin()
    desk.status_of("A1", "1", avg_px="1502")
    assert desk.open_items() == ["price_mismatch"]


def test_a_last_price_is_that_of_the_execution_it_names_else_one_of_them(desk: RoundsDesk) -> None:
    desk.status_of("A1", "1", last_px="10.5")
    assert desk.open_items() == []
    for exec_id, text in (
        ("f3", "broker's LastPx(31) 10.5 of ExecID(17) f3, ours 10.1"),
        ("0", "broker's LastPx(31) 10.7, ours 10, 10.1, 10.5"),
    ):
        desk.logged_out()
        desk.begin()
        desk.report("A1", "I", exec_id=exec_id, ord_status="1", last_px="10.5" if exec_id == "f3" else "10.7")
        assert desk.items[-1].text == text
        desk.logged_out()
        desk.begin()
        desk.status_of("A1", "1", avg_px="10.14")  # a later answer that agrees closes it
        assert desk.open_items() == []


def test_the_item_closes_when_the_correction_comes(desk: RoundsDesk) -> None:
    desk.status_of("A1", "1", avg_px="10.1666")
    desk.look(1)
    assert desk.open_items() == ["price_mismatch"]
    desk.correct("A1", "f2", 20, "10.6")
    assert desk.open_items() == []


def test_where_quantities_differ_they_say_it_all(desk: RoundsDesk) -> None:
    desk.status_of("A1", "1", cum_qty=95, leaves_qty=5, avg_px="11")
    assert desk.open_items() == ["quantity_mismatch"]
