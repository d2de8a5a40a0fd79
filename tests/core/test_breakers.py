"""Circuit breakers: what opens one, what it stops, how it closes. Afterwards all is replayed as recorded (I7)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from oms.core import messages as m
from oms.core.breaker_rules import KINDS, MEASURES, Open, Rule, Step
from oms.core.terms import Account, RouteRule
from tests.core.breaker_desk import BROKER, BreakerDesk, rule
from tests.core.driver import BROKER2, CLIENT, CLIENT2, START
from tests.core.terms import ANY, TERMS

TWO = TERMS._replace(accounts={**TERMS.accounts, "FUND2": Account("FUND2", ("*",), True)})
ALONE = TERMS._replace(routes=(RouteRule("all", ANY, ANY, ANY, ANY, ANY, ANY, BROKER, ()),))


@pytest.fixture
def desks() -> Any:
    """Makes desks; each is replayed at the end."""
    made: list[BreakerDesk] = []

    def make(*rules: Rule, **more: Any) -> BreakerDesk:
        made.append(BreakerDesk(*rules, **more))
        return made[-1]

    yield make
    for desk in made:
        desk.replayed()


Make = Callable[..., BreakerDesk]


def test_it_opens_at_the_threshold_and_not_before_and_tells_the_client_the_numbers(desks: Make) -> None:
    desk = desks(rule("reject_rate", 50, broker="*", min_count=4), terms=ALONE)
    desk.rejected(3)
    assert desk.states() == []
    desk.accepted()
    assert desk.states() == []  # three of four: but what went well opens nothing
    desk.rejected()
    text = "b1 for broker BROKER1: 4 of 5 orders rejected within 60 s, threshold 50 %"
    assert desk.states() == [("b1", {"broker": BROKER}, "open")]
    assert desk.outcome.items == [("circuit_breaker", "open")]
    assert desk.items[-1].text == text
    assert desk.verdict() == f"circuit_breaker: {text}"


def test_what_is_older_than_the_window_does_not_count(desks: Make) -> None:
    desk = desks(rule("reject_rate", 50, broker="*", min_count=4))
    desk.rejected(3)
    desk.wait(61)
    desk.rejected(3)
    assert desk.states() == []
    desk.wait(50)
    desk.rejected()
    assert desk.states() == [("b1", {"broker": BROKER}, "open")]


def test_each_combination_has_a_breaker_of_its_own_and_stops_nothing_else(desks: Make) -> None:
    desk = desks(rule("reject_rate", 50, account="*", symbol="IBM", min_count=2), terms=TWO)
    desk.rejected(2)
    assert desk.states() == [("b1", {"account": "FUND1", "symbol": "IBM"}, "open")]
    assert desk.verdict().startswith("circuit_breaker: b1 for account FUND1, symbol IBM: 2 of 2 orders rejected")
    assert desk.verdict(account="FUND2") == ""
    assert desk.verdict(symbol="LOTS") == ""
    desk.rejected(9, symbol="LOTS")  # no rule takes that symbol
    assert len(desk.states()) == 1


def test_a_rule_without_a_scope_stops_the_firm(desks: Make) -> None:
    desk = desks(rule("reject_rate", 50, min_count=2), terms=TWO)
    desk.rejected(2)
    told = "circuit_breaker: b1 for the firm: 2 of 2 orders rejected within 60 s, threshold 50 %"
    assert [desk.verdict(), desk.verdict(account="FUND2", client=CLIENT2)] == [told, told]


def test_cancels_and_replaces_that_add_no_risk_go_and_executions_are_taken(desks: Make) -> None:
    desk = desks(rule("reject_rate", 50, broker="*", min_count=2))
    desk.working("A1")
    desk.rejected(2)
    assert desk.replace("A2", "A1", qty=120)[0].fields["Text"].startswith("circuit_breaker: b1 for broker BROKER1")
    assert desk.replace("A3", "A1", qty=90)[0].msg_type == "G"
    desk.report("A3", "5", order_qty=90)
    assert desk.fill("A3", 10)[0].fields["CumQty"] == "10"
    assert desk.cancel("A4", "A3")[0].msg_type == "F"


def test_an_open_breaker_of_a_broker_takes_it_out_of_routing(desks: Make) -> None:
    desk = desks(rule("reject_rate", 50, broker="*", min_count=2))
    desk.rejected(2)
    desk.ask()
    assert desk.sent[-1].session == BROKER2
    route = desk.details[-1]["route"]
    why = "circuit_breaker: b1 for broker BROKER1: 2 of 2 orders rejected within 60 s, threshold 50 %"
    assert route == {"rule": "all", "broker": BROKER2, "tried": [(BROKER, why)]}
    desk.logged_out(BROKER2)
    assert desk.verdict() == f"{why}; BROKER2 session logged out"
    assert desk.details[-1]["verdict"]["rule"] == "circuit_breaker"


def test_after_its_rest_some_orders_go_through_and_good_answers_close_it(desks: Make) -> None:
    desk = desks(rule("reject_rate", 50, broker="*", min_count=2, rest=30, probes=2), terms=ALONE)
    desk.rejected(2)
    desk.wait(29)
    assert desk.verdict() != ""
    desk.wait(1)
    assert desk.states() == [("b1", {"broker": BROKER}, "half-open")]
    probes = [desk.ask(), desk.ask()]
    assert [one.msg_type for one in desk.sent[-2:]] == ["D", "D"]
    waiting = "circuit_breaker: b1 for broker BROKER1: half-open, waiting for the answers to its probes"
    assert desk.verdict() == waiting
    desk.report(probes[0], "0")
    assert desk.verdict() == waiting
    desk.fill(probes[1], 100)
    assert (desk.states(), desk.outcome.items) == ([], [("circuit_breaker", "resolved")])
    assert desk.verdict() == ""


def test_a_probe_that_is_rejected_opens_it_again_and_the_rest_begins_anew(desks: Make) -> None:
    desk = desks(rule("reject_rate", 50, broker="*", min_count=9, rest=30, probes=2), terms=ALONE)
    desk.trip(broker=BROKER)
    desk.wait(30)
    desk.accepted()
    desk.rejected()
    assert desk.verdict() == "circuit_breaker: b1 for broker BROKER1: a probe was rejected"
    assert desk.open_items() == ["circuit_breaker"]  # still the one
    desk.wait(29)
    assert desk.verdict() != ""
    desk.wait(1)
    desk.accepted(2)
    assert (desk.states(), desk.open_items()) == ([], [])


def test_a_probe_without_an_answer_opens_it_again_and_one_that_was_canceled_unanswered_does_not_count(
    desks: Make,
) -> None:
    desk = desks(rule("reject_rate", 50, broker="*", rest=30, probes=1), terms=ALONE)
    desk.trip(broker=BROKER)
    desk.wait(30)
    probe = desk.ask()
    desk.cancel("X1", probe)
    desk.report("X1", "4", orig=probe)
    assert desk.states() == [("b1", {"broker": BROKER}, "half-open")]
    desk.ask()
    desk.wait(30)
    assert desk.states() == [("b1", {"broker": BROKER}, "open")]
    assert desk.details[-1]["breakers"][0]["text"] == "b1 for broker BROKER1: no answer to a probe within 30 s"


def test_without_a_rest_it_stays_open_until_an_operator_resets_it(desks: Make) -> None:
    desk = desks(rule("reject_rate", 50, broker="*", min_count=2))
    desk.rejected(2)
    desk.wait(100_000)
    assert desk.states() == [("b1", {"broker": BROKER}, "open")]
    assert desk.reset(broker=BROKER2) == (
        "b1 for broker BROKER2 is not open; `oms breakers list` shows those that are"
    )
    assert desk.reset(broker=BROKER) == ""
    assert (desk.states(), desk.open_items()) == ([], [])
    assert desk.items[-1].resolution == "reset by ann: why"


def test_repeated_executions_of_an_account_in_a_symbol_stop_it_until_a_person_lets_it_go_on(desks: Make) -> None:
    desk = desks(rule("fills", 3, account="*", symbol="*"))
    fills(desk)
    stopped = "b1 for account FUND1, symbol IBM: 3 fills within 60 s, threshold 3"
    desk.wait(100_000)
    assert desk.verdict() == f"circuit_breaker: {stopped}"
    assert desk.reset(account="FUND1", symbol="IBM") == ""
    assert desk.verdict() == ""


def test_an_operator_opens_one_and_resets_all_of_a_name(desks: Make) -> None:
    desk = desks(rule("reject_rate", 50, broker="*"))
    assert desk.trip(name="b2") == "there is no breaker b2; there are b1"
    assert desk.trip() == "b1 has a breaker for each --broker *; say which"
    assert desk.trip(broker=BROKER) == ""
    assert desk.trip(broker=BROKER) == "b1 for broker BROKER1 is open already; nothing was changed"
    assert desk.trip(broker=BROKER2) == ""
    assert desk.verdict().startswith("circuit_breaker: b1 for broker BROKER1: opened by operator ann; b1 for broker")
    assert desk.reset(all="Y") == ""
    assert desk.verdict() == ""


def test_where_the_rule_says_so_what_works_in_scope_is_canceled_and_the_event_stays_with_its_order(
    desks: Make,
) -> None:
    desk = desks(rule("reject_rate", 50, account="*", min_count=3, cancels=True), terms=TWO)
    desk.working("A1")
    desk.working("B1", account="FUND2")
    desk.rejected()
    last = desk.ask()
    left = desk.report(last, "8", text="no")
    assert [(one.session, one.msg_type) for one in left] == [(CLIENT, "8"), (BROKER, "F")]
    assert left[1].fields["OrigClOrdID"] == "to-broker:A1"
    assert desk.fx.order_id == desk.order(last).order_id
    assert desk.details[-1]["breakers"][0] | {"item_id": ""} == {
        "step": "opened", "breaker": "b1", "scope": {"account": "FUND1"}, "item_id": "", "cancels": True,
        "text": "b1 for account FUND1: 2 of 3 orders rejected within 60 s, threshold 50 %",
    }  # fmt: skip


def test_one_that_was_open_before_a_start_is_open_after_it_also_where_its_rule_is_gone(desks: Make) -> None:
    step = Step("opened", "b1", {"broker": BROKER}, "b1 for broker BROKER1: as it was", "X1")
    gone = Step("opened", "old", {"account": "FUND1"}, "old for account FUND1: as it was", "X2")
    rested = rule("reject_rate", 50, broker="*", rest=10, probes=1)
    desk = desks(rested, terms=ALONE, restored=(Open(step, START), Open(gone, START)))
    assert desk.verdict() == "circuit_breaker: old for account FUND1: as it was"
    desk.wait(10)
    assert desk.states() == [("b1", {"broker": BROKER}, "half-open"), ("old", {"account": "FUND1"}, "open")]
    assert desk.reset("old", account="FUND1") == ""
    desk.accepted()
    assert desk.states() == []
    assert desk.trip("old", account="FUND1") == "there is no breaker old; there are b1"


def refused(desk: BreakerDesk, **more: Any) -> str:
    return desk.verdict(**({"qty": 100_000_000} | more))


def test_refusals_by_our_own_checks_count_and_not_those_of_breakers_and_kills(desks: Make) -> None:
    desk = desks(rule("refusal_rate", 60, client="*", min_count=3))
    desk.accepted(2)
    for _ in range(3):
        refused(desk, symbol="NOBODY")
    assert desk.states() == [("b1", {"client": CLIENT}, "open")]
    told = "circuit_breaker: b1 for client CLIENT1: 3 of 5 orders refused within 60 s, threshold 60 %"
    assert refused(desk) == told
    assert desk.cancel("X1", "Q1")[0].msg_type == "F"
    desk.reset(client=CLIENT)
    desk.logged_out(BROKER)
    desk.logged_out(BROKER2)
    for _ in range(5):
        assert desk.verdict().startswith("route: ")
    assert desk.states() == []


def errors(desk: BreakerDesk, session: str) -> None:
    for body in (
        m.MessageReject(7, "D", "", "no"), m.Unreadable("8", "", "not a number"), m.Refused("no checksum", "8"),
    ):  # fmt: skip
        desk.event(session, body)


def waiting_orders(desk: BreakerDesk) -> None:
    for _ in range(2):
        desk.ask()
    desk.report("Q1", "A")
    desk.ask()
    assert desk.states() == []
    desk.ask()


def old_order(desk: BreakerDesk) -> None:
    desk.ask()
    desk.wait(2)
    desk.accepted()
    desk.wait(7)
    assert desk.states() == []
    desk.wait(1.5)


def contradictions(desk: BreakerDesk) -> None:
    for number in range(3):
        desk.report(f"NONE{number}", "0", order_id=f"N{number}")


def differences(desk: BreakerDesk) -> None:
    for name in ("A1", "A2", "A3"):
        desk.working(name)
        desk.report(name, "I", ord_status="8", exec_id="0", text="who?")


def fills(desk: BreakerDesk) -> None:
    desk.working("A1")
    for number in range(3):
        desk.fill("A1", 10, exec_id=f"f{number}")
        desk.fill("A1", 10, exec_id=f"f{number}")  # told twice, counts once


def lag(desk: BreakerDesk) -> None:
    desk.look(database_lag="2.999")
    assert desk.states() == []
    desk.look(database_lag="3.25")


OPENED = [
    ("errors", {"broker": "*"}, lambda desk: errors(desk, BROKER),
     "broker BROKER1: 3 errors within 60 s, threshold 3"),
    ("errors", {"client": "*"}, lambda desk: errors(desk, CLIENT),
     "client CLIENT1: 3 errors within 60 s, threshold 3"),
    ("unacknowledged_orders", {"broker": "*"}, waiting_orders,
     "broker BROKER1: 3 orders without an answer, threshold 3"),
    ("unacknowledged_age", {"broker": "*"}, old_order, "broker BROKER1: an order without an answer for 10 s"),
    ("inconsistencies", {"broker": "*"}, contradictions, "broker BROKER1: 3 contradictions within 60 s, threshold 3"),
    ("reconciliation_breaks", {"account": "*"}, differences,
     "account FUND1: 3 differences within 60 s, threshold 3"),
    ("fills", {"symbol": "*"}, fills, "symbol IBM: 3 fills within 60 s, threshold 3"),
    ("database_lag", {}, lag, "the firm: 3.25 s to commit, threshold 3 s"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("measure", "scope", "act", "text"), OPENED, ids=lambda one: one if isinstance(one, str) else ""
)
def test_every_measure_opens_its_breaker_and_says_its_numbers(
    desks: Make, measure: str, scope: dict[str, str], act: Callable[[BreakerDesk], None], text: str
) -> None:
    desk = desks(rule(measure, 10 if measure == "unacknowledged_age" else 3, **scope), terms=ALONE)
    act(desk)
    assert [(name, state) for name, _, state in desk.states()] == [("b1", "open")]
    assert next(desk.breakers.told())["text"].startswith(f"b1 for {text}")
    assert desk.verdict().startswith(f"circuit_breaker: b1 for {text}")


def test_every_measure_is_tried_and_every_kind_of_item_counts_for_one() -> None:
    assert set(MEASURES) == {measure for measure, *_ in OPENED} | {"reject_rate", "refusal_rate", "loss"}
    assert set(KINDS.values()) <= set(MEASURES)


def test_it_is_not_half_open_while_what_opened_it_goes_on(desks: Make) -> None:
    desk = desks(rule("unacknowledged_orders", 2, broker="*", rest=10, probes=1), terms=ALONE)
    first, _ = desk.ask(), desk.ask()
    desk.wait(60)
    assert desk.states() == [("b1", {"broker": BROKER}, "open")]
    desk.report(first, "0")
    desk.wait(1)
    assert desk.states() == [("b1", {"broker": BROKER}, "half-open")]


def trade(desk: BreakerDesk, side: str, qty: object, px: object, **more: Any) -> str:
    name = desk.ask(qty=qty, px=px, side=side, **more)
    desk.report(name, "0")
    desk.fill(name, qty, px, side=side, exec_id=f"x{name}")
    return name


def test_a_loss_is_realised_and_marked_at_the_last_price_and_a_bust_takes_it_back(desks: Make) -> None:
    desk = desks(rule("loss", 100, account="*"))
    trade(desk, "1", 100, 10)
    last = trade(desk, "1", 1, 9)  # 100 lost on what was bought before, at the price of the last fill
    told = "circuit_breaker: b1 for account FUND1: loss 100 USD today, threshold 100"
    assert desk.verdict() == told
    desk.bust(last, f"x{last}")
    desk.reset(account="FUND1")
    trade(desk, "2", 100, 9)  # realised now, and no more than was reset
    assert desk.states() == []
    trade(desk, "2", 50, 9)
    trade(desk, "1", 50, 11)
    assert desk.states() == [("b1", {"account": "FUND1"}, "open")]


def test_a_loss_is_marked_at_the_reference_price_where_the_rule_says_so(desks: Make) -> None:
    desk = desks(rule("loss", 50, account="*", symbol="*", mark="reference"))
    trade(desk, "1", 100, "10.4")
    assert desk.states() == []
    trade(desk, "1", 10, 11)
    assert desk.verdict() == ("circuit_breaker: b1 for account FUND1, symbol IBM: loss 50 USD today, threshold 50")


def test_what_others_hold_is_marked_within_a_second_and_a_new_day_begins_at_zero(desks: Make) -> None:
    desk = desks(rule("loss", 100, account="*"), terms=TWO)
    trade(desk, "1", 100, 10)
    trade(desk, "1", 1, "8.9", account="FUND2")
    assert desk.states() == []
    desk.wait(1)
    assert desk.states() == [("b1", {"account": "FUND1"}, "open")]
    desk.tick(1)
    desk.reset(account="FUND1")
    trade(desk, "2", 1, 5)
    assert desk.states() == []


def test_names_that_are_not_configured_do_not_fill_memory(desks: Make) -> None:
    desk = desks(rule("refusal_rate", 100, account="*", symbol="*", min_count=1000))
    for number in range(50):
        desk.ask(symbol=f"S{number}", account=f"A{number}")
    assert desk.breakers.groups[0].breakers() == []
    assert len(desk.breakers.groups[0].found) == 1


def test_without_rules_nothing_is_counted() -> None:
    desk = BreakerDesk()
    desk.rejected(100)
    assert (desk.states(), [one for one in desk.details if "breakers" in one]) == ([], [])
    assert desk.sent[-1].fields["Text"] == "no"
