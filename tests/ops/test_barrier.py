"""The barrier before the outbox: what it stops, and what it keeps over a restart."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from oms.core.book import Book
from oms.core.kill import Kill
from oms.errors import OperatorError
from oms.ops.barrier import Barrier
from tests.core.desk import new_order
from tests.core.driver import CLIENT, Driver


@pytest.fixture
def directory() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="oms-tests-") as made:
        yield Path(made)


def traded() -> tuple[Book, str]:
    """A book with one order at a broker, and the ClOrdID(11) it has there."""
    driver = Driver()
    driver.event(CLIENT, new_order("A1"))
    return driver.book, next(iter(driver.book.by_broker_id))


@pytest.mark.parametrize(
    ("scope", "stopped"),
    [
        ((), True),
        ((("client", CLIENT),), True),
        ((("client", "CLIENT2"),), False),
        ((("symbol", "*"), ("broker", "BROKER?")), True),
        ((("symbol", "*"), ("broker", "BROKER2")), False),
        ((("trader", "nobody"),), False),
    ],
)
def test_an_order_is_stopped_where_every_part_of_the_scope_matches(
    directory: Path, scope: tuple[tuple[str, str], ...], stopped: bool
) -> None:
    book, cl_ord_id = traded()
    barrier = Barrier(True, book, directory / "kills.json")
    assert barrier.why_not(cl_ord_id) == ""
    kill = Kill("K1", scope, "ann", "why")
    barrier.engage(kill)
    assert barrier.why_not(cl_ord_id) == (f"kill switch K1 is engaged for {kill.text}" if stopped else "")
    barrier.release("K1")
    assert barrier.why_not(cl_ord_id) == ""


def test_what_is_not_known_is_stopped_by_any_kill_and_by_trading_off(directory: Path) -> None:
    barrier = Barrier(True, Book(), directory / "kills.json")
    barrier.engage(Kill("K1", (("symbol", "AAPL"),), "ann", "why"))
    assert barrier.why_not("C1") == "kill switch K1 is engaged"
    assert Barrier(False, Book(), directory / "other.json").why_not("C1") == "trading is off"


def test_kills_are_in_force_again_after_a_restart_and_released_ones_are_not(directory: Path) -> None:
    file = directory / "kills.json"
    barrier = Barrier(True, Book(), file)
    kept, released = Kill("K1", (("account", "F*"),), "ann", "one"), Kill("K2", (), "bob", "two")
    barrier.engage(kept)
    barrier.engage(released)
    assert not barrier.trading
    barrier.release("K2")
    again = Barrier(True, Book(), file)
    assert (again.kills, again.trading) == ((kept,), True)


def test_a_kill_that_cannot_be_written_is_in_force_and_its_release_is_refused(directory: Path) -> None:
    file = directory / "gone" / "kills.json"
    barrier = Barrier(True, Book(), file)
    with pytest.raises(OperatorError, match="the kill switches in force now hold until the process ends"):
        barrier.engage(Kill("K1", (), "ann", "why"))
    assert barrier.why_not() == "kill switch K1 is engaged"
    with pytest.raises(OperatorError):
        barrier.release("K1")
    assert barrier.why_not() == "kill switch K1 is engaged"


@pytest.mark.parametrize("text", ["", "{}x", '[["K1"]]', "[1]", '{"a": 1}'])
def test_a_file_that_cannot_be_read_stops_the_start(directory: Path, text: str) -> None:
    file = directory / "kills.json"
    file.write_text(text)
    with pytest.raises(OperatorError, match="holds the kill switches in force and cannot be read"):
        Barrier(True, Book(), file)
