"""Routing: first match wins, fallbacks only where the order has not left, every broker passed over has a reason."""

from __future__ import annotations

from typing import Any

import pytest

from oms.core.routing import Routable, Route, explain, route
from oms.core.terms import BrokerFacts, RouteRule, Terms
from tests.core.desk import Desk, order_out, own
from tests.core.driver import BROKER, BROKER2, TAGS
from tests.core.terms import ANY, BROKERS, EVERY_TIF, TERMS

ORDER = Routable("CLIENT1", "FUND1", "IBM", "N", "2", "0", "", frozenset({"55", "38"}))
UP = {BROKER, BROKER2}
ALLOWED = frozenset(
    TAGS[name] for name in ("Account", "Symbol", "Side", "OrderQty", "OrdType", "Price", "TimeInForce")
)


def rule(name: str, broker: str = BROKER, *fallbacks: str, **fields: tuple[str, ...]) -> RouteRule:
    names = ("client", "account", "symbol", "security_exchange", "ord_type", "ex_destination")
    return RouteRule(name, *[fields.get(one, ANY) for one in names], broker, fallbacks)


def routed(rules: tuple[RouteRule, ...], order: Routable = ORDER, up: set[str] = UP, **more: Any) -> Route:
    return route(TERMS._replace(routes=rules), order, up.__contains__, **more)


def test_the_first_rule_that_matches_wins() -> None:
    rules = (
        rule("lots", BROKER2, symbol=("LOTS",)),
        rule("ibm", BROKER2, symbol=("IBM",)),
        rule("all", BROKER),
    )
    assert routed(rules) == Route("ibm", BROKER2, ())
    assert routed(rules, ORDER._replace(symbol="LOTS")) == Route("lots", BROKER2, ())
    assert routed(rules, ORDER._replace(symbol="XYZ")) == Route("all", BROKER, ())


@pytest.mark.parametrize(
    ("field", "patterns", "value", "matching"),
    [
        ("client", ("CLIENT1",), "CLIENT1", True), ("client", ("CLIENT1",), "CLIENT2", False),
        ("client", ("CLIENT?",), "CLIENT2", True), ("account", ("F*",), "FUND9", True),
        ("account", ("F*",), "f", False),
        ("symbol", ("A*", "I*"), "IBM", True), ("symbol", ("A*", "B*"), "IBM", False),
        ("security_exchange", ("N",), "N", True), ("security_exchange", ("N",), "", False),
        ("ord_type", ("1", "3"), "3", True), ("ord_type", ("1", "3"), "2", False),
        ("ex_destination", ("XNYS",), "XNYS", True), ("ex_destination", ("XNYS",), "", False),
        ("ex_destination", ("*",), "", True),
    ],
)  # fmt: skip
def test_a_rule_matches_by_its_patterns(field: str, patterns: tuple[str, ...], value: str, matching: bool) -> None:
    order = ORDER._replace(**{field: value})
    assert bool(routed((rule("one", **{field: patterns}),), order).broker) is matching


def test_a_rule_matches_only_if_all_its_patterns_do() -> None:
    rules = (rule("both", symbol=("IBM",), account=("FUND9",)), rule("all", BROKER2))
    assert routed(rules).rule == "all"


def test_no_rule_that_matches_is_no_route() -> None:
    assert routed((rule("other", symbol=("XYZ",)),)) == Route("", "", ())


def test_a_broker_that_is_logged_out_is_passed_over_for_its_fallback() -> None:
    rules = (rule("all", BROKER, BROKER2),)
    assert routed(rules, up={BROKER2}) == Route("all", BROKER2, ((BROKER, "session logged out"),))


def test_when_no_broker_of_the_first_rule_can_take_it_later_rules_are_not_asked() -> None:
    rules = (rule("first", BROKER), rule("second", BROKER2))
    assert routed(rules, up={BROKER2}) == Route("first", "", ((BROKER, "session logged out"),))


def test_a_broker_that_did_not_get_it_is_not_tried_again() -> None:
    rules = (rule("all", BROKER, BROKER2),)
    expected = Route("all", BROKER2, ((BROKER, "did not take it"),))
    assert routed(rules, skip=frozenset({BROKER})) == expected


LIMIT_ONLY = BrokerFacts(frozenset("2"), EVERY_TIF, True, {"D": ALLOWED})


@pytest.mark.parametrize(
    ("order", "reason"),
    [
        (ORDER, ""),
        (ORDER._replace(time_in_force=""), ""),
        (ORDER._replace(ord_type="1"), "does not take OrdType(40) 1"),
        (ORDER._replace(time_in_force="6"), "does not take TimeInForce(59) 6"),
        (ORDER._replace(tags=frozenset({"55", "453"})), "does not take field 453 in MsgType(35) D"),
        (ORDER._replace(tags=frozenset({"1138", "453"})), "does not take field 453, 1138 in MsgType(35) D"),
        (ORDER._replace(tags=frozenset({"55", "5000", "9999", "20001"})), ""),
        (ORDER._replace(tags=frozenset({"4999"})), "does not take field 4999 in MsgType(35) D"),
    ],
)
def test_a_broker_takes_only_what_its_dialect_and_dictionary_know(order: Routable, reason: str) -> None:
    terms = TERMS._replace(routes=(rule("all"),), brokers={BROKER: LIMIT_ONLY})
    found = route(terms, order, UP.__contains__)
    assert found == (Route("all", "", ((BROKER, reason),)) if reason else Route("all", BROKER, ()))


def test_a_broker_that_takes_no_day_orders_says_so_of_an_order_without_time_in_force() -> None:
    facts = {BROKER: LIMIT_ONLY._replace(times_in_force=frozenset("3"))}
    terms = TERMS._replace(routes=(rule("all"),), brokers=facts)
    tried = route(terms, ORDER._replace(time_in_force=""), UP.__contains__).tried
    assert tried == ((BROKER, "does not take TimeInForce(59) 0"),)


def test_a_broker_that_is_not_configured_is_named() -> None:
    terms = TERMS._replace(routes=(rule("all", "BROKER9"),))
    assert route(terms, ORDER, lambda broker: True).tried == (("BROKER9", "not configured"),)


def test_explain_says_of_every_rule_up_to_the_match_why() -> None:
    rules = (
        rule("lots", symbol=("LOTS",), ex_destination=("XNYS",)),
        rule("ibm", symbol=("IBM",)),
        rule("all"),
    )
    assert explain(TERMS._replace(routes=rules), ORDER, UP.__contains__) == [
        ("lots", "symbol IBM is not LOTS; ex_destination absent is not XNYS"),
        ("ibm", "matches"),
    ]


# -- through a whole order --------------------------------------------------------------------------------------


def test_an_order_goes_to_the_fallback_at_once_when_its_broker_is_logged_out() -> None:
    desk = Desk(down=(BROKER,))
    assert desk.new("A1") == [order_out("A1", BROKER2)]
    assert desk.details[-1]["route"] == {"rule": "all", "broker": BROKER2, "tried": [(BROKER, "session logged out")]}
    desk.replayed()


def test_an_order_that_no_broker_can_take_is_rejected_at_once_with_every_reason() -> None:
    desk = Desk(down=(BROKER, BROKER2))
    text = "route: all: BROKER1 session logged out, BROKER2 session logged out"
    assert desk.new("A1") == [own("A1", "8", "8", leaves=0, OrdRejReason="0", Text=text)]
    desk.replayed()


def test_an_order_without_a_rule_is_rejected() -> None:
    text = "route: no rule matches this order"
    sent = Desk(TERMS._replace(routes=())).new("A1")
    assert sent == [own("A1", "8", "8", leaves=0, OrdRejReason="0", Text=text)]


def test_the_instruments_exchange_routes_an_order_that_names_none() -> None:
    desk = Desk(TERMS._replace(routes=(rule("nyse", BROKER2, security_exchange=("N",)), rule("all"))))
    assert desk.new("A1") == [order_out("A1", BROKER2)]
    assert desk.new("A2", security_exchange="L") == [order_out("A2", BROKER)]


def strict_terms(**more: Any) -> Terms:
    facts = BROKERS[BROKER]._replace(allowed={"D": ALLOWED | {"60"}, "G": ALLOWED | {"60"}}, **more)
    return TERMS._replace(routes=(rule("all"),), brokers={BROKER: facts, BROKER2: BROKERS[BROKER2]})


def test_a_field_that_the_brokers_dictionary_does_not_know_rejects_the_order_by_name() -> None:
    sent = Desk(strict_terms()).new("A1", extra=(("453", "1"), ("448", "X")))
    text = "route: all: BROKER1 does not take field 448, 453 in MsgType(35) D"
    assert sent == [own("A1", "8", "8", leaves=0, OrdRejReason="0", Text=text)]


def test_a_field_that_the_brokers_dictionary_does_not_know_refuses_the_replace_by_name() -> None:
    desk = Desk(strict_terms()).working("A1")
    (sent,) = desk.replace("R1", "A1", 120, extra=(("453", "1"),))
    assert sent.fields["Text"] == "route: BROKER1 does not take field 453 in MsgType(35) G"
    assert (sent.fields["CxlRejReason"], desk.state("A1")) == ("2", ("working", "100", "0", []))


def test_a_user_defined_field_goes_out_whatever_the_dictionary_says() -> None:
    assert Desk(strict_terms()).new("A1", extra=(("9001", "x"),)) == [order_out("A1", **{"9001": "x"})]
