"""What operators do with circuit breakers: list and show them, open one, close one.

Opening and closing are journaled commands like any, applied by the core; closing needs a second person where the
configuration says so. Threads: called from the control socket's; what is read of the breakers are copies.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from oms.core.breaker_live import RESET, TRIP, LiveBreakers, scope_of
from oms.core.breaker_rules import MEASURES
from oms.core.breakers import CLOSED, Breaker, Group
from oms.core.order import decimal_text
from oms.errors import OperatorError
from oms.ops.people import People
from oms.ops.two_people import Submit, TwoPeople, done

Args = dict[str, str]
Handler = Callable[[str, str, Args], dict[str, Any]]
_SHOWN = 50  # closed breakers of a rule, those that count most first


class BreakerCommands:
    """The verbs `breakers.*` of the control socket. `reason` is the text that says why, or raises OperatorError."""

    def __init__(
        self,
        live: LiveBreakers,
        people: People,
        two_people: TwoPeople,
        submit: Submit,
        reason: Callable[[Args], str],
    ) -> None:
        self._live = live
        self._people = people
        self._two_people = two_people
        self._submit = submit
        self._reason = reason
        self.verbs: dict[str, Handler] = {
            "breakers.list": self._list,
            "breakers.show": self._show,
            TRIP: self._trip,
            RESET: self._reset,
        }

    def _list(self, operator: str, verb: str, args: Args) -> dict[str, Any]:
        breakers = self._live.breakers
        states = Counter((one["breaker"], one["state"]) for one in breakers.told())
        rules = [
            _rule(group)
            | {"open": states[group.rule.name, "open"], "half_open": states[group.rule.name, "half-open"]}
            | {"trips": breakers.trips[group.rule.name]}
            for group in breakers.groups
        ]
        return {"rules": rules, "breakers": list(breakers.told())}

    def _show(self, operator: str, verb: str, args: Args) -> dict[str, Any]:
        name = args.get("breaker", "")
        breakers = self._live.breakers
        groups = [group for group in breakers.groups if group.rule.name == name]
        if not groups:
            return {"rules": []}
        closed = [one for group in groups for one in group.breakers() if one.state == CLOSED]
        counted = sorted((_counted(one) for one in closed), key=lambda one: one["bad"], reverse=True)
        return {
            "rules": [_rule(group) for group in groups],
            "breakers": [one for one in breakers.told() if one["breaker"] == name],
            "closed": counted[:_SHOWN],
            "closed_in_all": len(closed),
            "trips": breakers.trips[name],
        }

    def _trip(self, operator: str, verb: str, args: Args) -> dict[str, Any]:
        given = self._given(args)
        if problem := self._live.breakers.problem(given["breaker"], scope_of(given)):
            raise OperatorError(problem)
        return done(self._submit(operator, verb, given))

    def _reset(self, operator: str, verb: str, args: Args) -> dict[str, Any]:
        given = self._given(args)
        meant = [one for one in self._live.breakers.told() if one["breaker"] == given["breaker"]]
        if args.get("all") != "Y":
            meant = [one for one in meant if one["scope"] == scope_of(given)]
        if not meant:
            raise OperatorError(
                f"{given['breaker'] or '(none)'}: no such breaker is open; `oms breakers list` shows those"
            )
        if self._people.needs_two(verb):
            return self._two_people.propose(operator, verb, given)
        return self.reset_now(operator, verb, given)

    def reset_now(self, operator: str, verb: str, args: Args) -> dict[str, Any]:
        """Also after the approval of a second person."""
        return done(self._submit(operator, verb, args))

    def _given(self, args: Args) -> Args:
        text = self._reason(args)
        unknown = sorted(set(args) - {"client", "account", "symbol", "broker", "breaker", "text", "all"})
        if unknown:
            raise OperatorError(f"{unknown[0]!r} is no part of a scope; there are client, account, symbol, broker")
        given = {"breaker": args.get("breaker", ""), **scope_of(args), "text": text}
        return given | ({"all": "Y"} if args.get("all") == "Y" else {})


def _rule(group: Group) -> dict[str, Any]:
    """A rule for people; one that is not configured any more has no measure."""
    rule = group.rule
    return {
        "breaker": rule.name,
        "measure": rule.measure,
        "meaning": MEASURES[rule.measure].meaning if rule.measure else "not configured any more",
        "scope": dict(rule.scope),
        "threshold": decimal_text(rule.threshold),
        "window": rule.window if rule.measure and MEASURES[rule.measure].window else None,
        "min_count": rule.min_count if group.share else None,
        "action": "cancel_working" if rule.cancels else "block",
        "rest": rule.rest or None,
        "probes": rule.probes if rule.rest else None,
    }


def _counted(one: Breaker) -> dict[str, Any]:
    """What a closed breaker has counted, as of its last event."""
    if one.losses is not None:
        loss, currency = one.losses.worst()
        return {"scope": dict(one.scope), "bad": loss, "total": None, "currency": currency}
    if one.window is None:
        return {"scope": dict(one.scope), "bad": len(one.waiting), "total": None}
    return {"scope": dict(one.scope), "bad": one.window.bad, "total": one.window.total}
