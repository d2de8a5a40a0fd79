"""Which broker an order goes to: rules in the order of the file, the first that matches wins.

Fallbacks of the matching rule are taken only while the order has not left, that is when a broker's session is
logged out or its dialect does not take the order. Every broker passed over is named with the reason.
"""

from __future__ import annotations

from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import NamedTuple

from oms.core.messages import Pairs
from oms.core.terms import BrokerFacts, RouteRule, Terms

USER_DEFINED = 5000  # tags from here on are between counterparties; no standard dictionary has them


class Routable(NamedTuple):
    """The fields of an order that routing looks at."""

    client: str
    account: str
    symbol: str
    security_exchange: str
    ord_type: str
    time_in_force: str
    ex_destination: str
    tags: frozenset[str] = frozenset()
    fields: Pairs = ()  # what the tag rules of a broker look at


class Route(NamedTuple):
    """The outcome: the rule that matched, the broker ('' if none can take it), and who was passed over why."""

    rule: str
    broker: str
    tried: tuple[tuple[str, str], ...]


def matches(rule: RouteRule, order: Routable) -> bool:
    """Whether every pattern of the rule matches the order."""
    return (
        _any(rule.client, order.client)
        and _any(rule.account, order.account)
        and _any(rule.symbol, order.symbol)
        and _any(rule.security_exchange, order.security_exchange)
        and _any(rule.ord_type, order.ord_type)
        and _any(rule.ex_destination, order.ex_destination)
    )


def _any(patterns: tuple[str, ...], value: str) -> bool:
    return patterns == ("*",) or any(fnmatchcase(value, pattern) for pattern in patterns)


def why_not(facts: BrokerFacts | None, up: bool, order: Routable) -> str:
    """Why a broker cannot take this order now, '' if it can."""
    if facts is None:
        return "not configured"
    if not up:
        return "session logged out"
    if order.ord_type not in facts.ord_types:
        return f"does not take OrdType(40) {order.ord_type}"
    if (order.time_in_force or "0") not in facts.times_in_force:
        return f"does not take TimeInForce(59) {order.time_in_force or '0'}"
    return unknown_fields(facts, "D", order.tags) or refused(facts, "D", order.fields)


def refused(facts: BrokerFacts, msg_type: str, fields: Pairs) -> str:
    """Why a broker's tag rules do not let a message go, '' if they do."""
    return facts.refuses(msg_type, fields) if facts.refuses is not None and fields else ""


def unknown_fields(facts: BrokerFacts, msg_type: str, tags: frozenset[str]) -> str:
    """The fields a broker's dictionary does not know and no rule drops, as a reason; '' if none."""
    allowed = facts.allowed.get(msg_type)
    if allowed is None or tags <= allowed:
        return ""
    unknown = sorted((tag for tag in tags - allowed if len(tag) < 4 or int(tag) < USER_DEFINED), key=int)
    return f"does not take field {', '.join(unknown)} in MsgType(35) {msg_type}" if unknown else ""


def route(
    terms: Terms,
    order: Routable,
    is_up: Callable[[str], bool],
    skip: frozenset[str] = frozenset(),
    barred: Callable[[str], str] = lambda broker: "",
) -> Route:
    """Where the order goes now. `skip` names brokers that were tried in vain; `barred` says why one may not be."""
    for rule in terms.routes:
        if not matches(rule, order):
            continue
        tried: list[tuple[str, str]] = []
        for broker in (rule.broker, *rule.fallbacks):
            reason = "did not take it" if broker in skip else barred(broker)
            reason = reason or why_not(terms.brokers.get(broker), is_up(broker), order)
            if not reason:
                return Route(rule.name, broker, tuple(tried))
            tried.append((broker, reason))
        return Route(rule.name, "", tuple(tried))
    return Route("", "", ())


def explain(terms: Terms, order: Routable, is_up: Callable[[str], bool]) -> list[tuple[str, str]]:
    """Every rule with why it does or does not apply, for people."""
    lines = []
    for rule in terms.routes:
        misses = [
            f"{name} {getattr(order, name) or 'absent'} is not {' or '.join(getattr(rule, name))}"
            for name in ("client", "account", "symbol", "security_exchange", "ord_type", "ex_destination")
            if not _any(getattr(rule, name), getattr(order, name))
        ]
        lines.append((rule.name, "; ".join(misses) if misses else "matches"))
        if not misses:
            break
    return lines
