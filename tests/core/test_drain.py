"""A drained session: no new risk from a client, none to a broker; what adds no risk passes."""

from __future__ import annotations

from decimal import Decimal as D

from oms.core.judge import LiveJudge
from oms.core.risk import Asked
from oms.core.routing import Routable
from tests.core.terms import TERMS

ORDER = Routable("CLIENT1", "FUND1", "IBM", "N", "2", "0", "")
ASKED = Asked("CLIENT1", "FUND1", "IBM", "1", "2", "0", D(100), D(10), None)
REFUSED = "drain: {} is drained, no new risk is taken"


def judge(*drained: str) -> LiveJudge:
    made = LiveJudge(TERMS, lambda broker: True)
    made.drained = lambda: set(drained)
    return made


def test_a_drained_client_gets_nothing_new_and_changes_nothing_to_more() -> None:
    drained = judge("CLIENT1")
    verdict = drained.new_order(ASKED, ORDER, frozenset())
    assert (verdict.ok, verdict.rule, verdict.text) == (False, "drain", REFUSED.format("CLIENT1"))
    assert drained.replace(ASKED, "BROKER1", ()).text == REFUSED.format("CLIENT1")
    assert drained.replace(ASKED._replace(adds_risk=False), "BROKER1", ()).ok
    assert drained.new_order(ASKED._replace(client="CLIENT2"), ORDER._replace(client="CLIENT2"), frozenset()).ok


def test_a_drained_broker_is_passed_over_for_its_fallback_and_takes_no_replace_that_adds_risk() -> None:
    drained = judge("BROKER1")
    verdict = drained.new_order(ASKED, ORDER, frozenset())
    assert (verdict.broker, verdict.detail["route"]["tried"]) == ("BROKER2", [("BROKER1", "is drained")])
    assert drained.replace(ASKED, "BROKER1", ()).text == REFUSED.format("BROKER1")
    assert drained.replace(ASKED._replace(adds_risk=False), "BROKER1", ()).ok
    assert drained.replace(ASKED, "BROKER2", ()).ok
    both = judge("BROKER1", "BROKER2").new_order(ASKED, ORDER, frozenset())
    assert (both.ok, both.text) == (False, "route: all: BROKER1 is drained, BROKER2 is drained")


def test_nothing_is_refused_once_it_is_undone() -> None:
    assert judge().new_order(ASKED, ORDER, frozenset()).broker == "BROKER1"
