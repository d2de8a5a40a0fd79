"""Trading off in the core: what is refused, what passes, who is told; and orders that need a limit row."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from datetime import date
from decimal import Decimal as D
from pathlib import Path
from typing import Any

import pytest

from oms.core import messages as m
from oms.core.judge import LiveJudge
from oms.core.terms import Limit, Terms
from oms.ops.barrier import Barrier
from tests.core.desk import Desk, own
from tests.core.driver import BROKER, DAY
from tests.core.terms import TERMS


class Switched(Desk):
    """A desk whose trading can be switched."""

    def __init__(self, terms: Terms = TERMS) -> None:
        super().__init__(terms)
        self.trading = True
        self.core._context.judge = LiveJudge(terms, self.book.is_up, trading=lambda: self.trading)

    def command(self, verb: str, **args: str) -> dict[str, Any]:
        """An operator's command; returns its answer."""
        self.event("", m.Command("ann", verb, tuple(args.items())))
        return self.fx.answer or {}


@pytest.fixture
def directory() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="oms-tests-") as made:
        yield Path(made)


def test_the_first_refusal_opens_one_item_that_names_the_command_and_the_client_reads_none() -> None:
    desk = Switched()
    desk.trading = False
    refused = own("A1", "8", "8", leaves=0, OrdRejReason="0", Text="trading_on: trading is off")
    assert desk.new("A1") == [refused]
    assert desk.new("A2") == [
        own("A2", "8", "8", order="A2", leaves=0, OrdRejReason="0", Text=refused.fields["Text"])
    ]
    opened = [(one.kind, one.state, one.severity, one.order_id) for one in desk.items]
    assert opened == [("trading_off", "open", "warning", None)]
    assert "`oms trading on --reason TEXT` switches it on" in desk.items[0].text
    desk.replayed()


def test_the_item_closes_with_the_command_with_the_next_order_or_by_hand_and_opens_again() -> None:
    desk = Switched()
    for close in ("command", "order", "hand"):
        desk.trading = False
        desk.new(f"{close}1")
        assert desk.open_items() == ["trading_off"]
        item = desk.items[-1].item_id
        desk.trading = True
        if close == "command":
            answer = desk.command("trading.on", text="checked")
            assert (answer["trading"], desk.items[-1].resolution) == ("on", "trading was switched on by ann")
        elif close == "order":
            desk.new(f"{close}2")
            assert desk.items[-1].resolution == "trading is on"
        else:
            desk.command("exceptions.resolve", item_id=item, kind="trading_off", text="known")
        assert (desk.open_items(), desk.book.trading_item) == ([], "")
    assert desk.command("trading.off", text="test", switch_id="T1")["trading"] == "off"
    desk.replayed()


@pytest.mark.parametrize(
    ("qty", "px", "passes"),
    [(50, 10, True), (100, 10, True), (101, 10, False), (50, 11, False), (50, 9, False)],
)
def test_with_trading_off_only_a_replace_that_adds_no_risk_passes(qty: int, px: int, passes: bool) -> None:
    desk = Switched()
    desk.working("A1")
    desk.trading = False
    sent = desk.replace("R1", "A1", qty, px)
    assert [(one.session, one.msg_type) for one in sent] == ([(BROKER, "G")] if passes else [("CLIENT1", "9")])
    checked = desk.details[-1]["checks"][0]
    text = "trading is off, and this adds no risk" if passes else "trading is off"
    assert checked == ["trading_on", passes, text]
    assert desk.open_items() == ([] if passes else ["trading_off"])
    desk.replayed()


def test_what_adds_risk_is_measured_against_replaces_that_are_not_answered_as_well() -> None:
    desk = Switched()
    desk.working("A1")
    desk.replace("R1", "A1", 40)
    desk.trading = False
    assert [one.msg_type for one in desk.replace("R2", "R1", 60)] == ["9"]
    assert [one.msg_type for one in desk.replace("R3", "R1", 40)] == ["G"]


def test_the_barrier_lets_a_replace_without_risk_and_no_order_and_no_other_replace_out(directory: Path) -> None:
    desk = Switched()
    desk.working("A1").new("A2")
    desk.replace("R1", "A1", 40)
    desk.replace("R2", "R1", 60)
    barrier = Barrier(True, desk.book, directory / "kills.json")
    ids = [desk.to_broker(one) for one in ("A2", "R1", "R2")]
    assert [barrier.why_not(one) for one in (*ids, "unknown")] == [""] * 4
    barrier.switched_on = False
    off = "trading is off"
    assert [barrier.why_not(one) for one in (*ids, "unknown")] == [off, "", off, off]
    assert not barrier.trading


def test_an_order_that_was_decided_and_stopped_by_the_barrier_is_refused_to_the_client() -> None:
    desk = Switched()
    desk.new("A1")
    desk.trading = False
    broker_id = desk.to_broker("A1")
    sent = desk.event(BROKER, m.NotSent(1, "D", broker_id, "trading is off"))
    text = "route: the order did not leave: trading is off; trading_on: trading is off"
    assert sent == [own("A1", "8", "8", leaves=0, OrdRejReason="0", Text=text)]
    assert desk.open_items() == ["trading_off"]
    desk.replayed()


# -- limit rows ------------------------------------------------------------------------------------------------


def row(first: date = date.min, soft: bool = False, **scope: str) -> Limit:
    """A row of the limits file, whatever it limits."""
    return Limit("limits.csv line 2", "max_open_orders", tuple(scope.items()), D(500), soft=soft, first=first)


@pytest.mark.parametrize(
    ("rows", "named"),
    [
        ((), False),
        ((row(client="CLIENT1"),), True),
        ((row(account="FUND1"),), True),
        ((row(account="FUND?"),), True),
        ((row(client="*", account="FUND1"),), True),
        ((row(client="CLIENT2", account="FUND1"),), False),
        ((row(client="CLIENT2"), row(account="FUND2")), False),
        ((row(client="*"), row(account="**"), row(symbol="IBM")), False),
        ((row(client="CLIENT1", soft=True),), False),
        ((row(first=DAY.replace(day=3), client="CLIENT1"),), False),
        ((row(first=DAY, client="CLIENT1"),), True),
    ],
)
def test_where_a_row_is_required_an_order_passes_only_if_one_names_its_client_or_account(
    rows: tuple[Limit, ...], named: bool
) -> None:
    desk = Desk(TERMS._replace(limit_rows=rows, require_row=True))
    sent = desk.new("A1")
    assert [one.msg_type for one in sent] == (["D"] if named else ["8"])
    if not named:
        text = "limit_row: no row of the limits file names client CLIENT1 or Account(1) FUND1"
        assert sent == [own("A1", "8", "8", leaves=0, OrdRejReason="3", Text=text)]
    passes = Desk(TERMS._replace(limit_rows=rows))
    assert [one.msg_type for one in passes.new("A1")] == ["D"]
    assert "limit_row" not in [rule for rule, _, _ in passes.details[-1]["checks"]]
