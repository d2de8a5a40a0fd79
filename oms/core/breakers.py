"""Circuit breakers: what opens by itself when something goes wrong too often, and lets orders in again step by step.

    closed      counts what its rule measures (`breaker_counts`); at the threshold it opens
    open        no new order in its scope, no replace that adds risk; cancels always go, executions are always taken
    half-open   after `rest` seconds some orders go through as probes: all answered well it closes, one refused or
                left without an answer it opens again

Time comes with the events; what only time brings about is found by `due`, once a second, and heard as an event.
A rule whose breaker was open when the gateway ended and that is not configured any more blocks until it is reset.
Invariants: every change is a Step, which the journal row of the event that brought it about records (`breaker_side`),
so that replay repeats it and a start finds it; a breaker is not closed exactly as long as its exception item is open.
Owned by the core thread; `told` and `problem` only read, and may be called from others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from oms.core.breaker_rules import AGE, LAG, LOSS, MEASURES, SCOPE, WAITING, About, Open, Rule, Step, picker, whose
from oms.core.breaker_windows import Losses, Window
from oms.core.order import decimal_text

CLOSED, OPEN, HALF_OPEN = "closed", "open", "half-open"
OPENED, REOPENED, REST_OVER, IS_CLOSED = "opened", "reopened", "half_open", "closed"  # steps
_REMEMBERED: Final = 10_000  # breakers of a rule, before those that count nothing are forgotten
_NEW: Final = object()
SECOND: Final = 1_000_000  # microseconds
_MICROSECOND: Final = timedelta(microseconds=1)
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Breaker:
    """One breaker: a rule for one combination of values. Times are microseconds since 1970."""

    __slots__ = (
        "good", "item_id", "left", "losses", "probed", "probes", "rule", "scope", "since", "state", "text", "waiting",
        "window",
    )  # fmt: skip

    def __init__(self, rule: Rule, scope: Mapping[str, str]) -> None:
        measure = MEASURES.get(rule.measure)
        self.rule = rule
        self.scope = scope
        self.state = CLOSED
        self.since = 0
        self.text = ""
        self.item_id = ""
        self.window = Window(rule.window) if measure is not None and measure.window else None
        self.losses = Losses() if rule.measure == LOSS else None
        self.waiting: dict[str, int] = {}  # OrderID(37) of what has no answer -> since when; the oldest first
        self.probes: set[str] = set()
        self.left = self.good = 0
        self.probed = 0  # when the last probe left

    @property
    def key(self) -> tuple[str, tuple[str, ...]]:
        """What no other breaker has."""
        return self.rule.name, tuple(self.scope.values())

    @property
    def refusal(self) -> str:
        """What is told to who is stopped by it, after the prefix."""
        if self.state == OPEN:
            return self.text
        return f"{self.rule.name} for {whose(self.scope)}: half-open, waiting for the answers to its probes"

    def says(self, **numbers: object) -> str:
        """Its name, whose it is, and the numbers that opened it."""
        rule = self.rule
        given = {"window": rule.window, "threshold": decimal_text(rule.threshold)} | numbers
        if self.window is not None:
            given |= {"bad": self.window.bad, "total": self.window.total}
        return f"{rule.name} for {whose(self.scope)}: {MEASURES[rule.measure].text.format(**given)}"

    def over(self, at: int, lag: Decimal) -> str:
        """What is over the threshold now, of measures without a window; '' where nothing is."""
        rule = self.rule
        if rule.measure == WAITING:
            return self.says(value=len(self.waiting)) if len(self.waiting) >= rule.threshold else ""
        if rule.measure == AGE:
            age = (at - next(iter(self.waiting.values()))) // SECOND if self.waiting else 0
            return self.says(value=age) if age >= rule.threshold else ""
        if rule.measure == LAG:
            return self.says(value=decimal_text(lag)) if lag >= rule.threshold else ""
        if self.losses is not None:
            loss, currency = self.losses.worst()
            return self.says(value=f"{decimal_text(loss)} {currency}") if loss >= rule.threshold else ""
        return ""

    def is_idle(self, at: int) -> bool:
        """Whether nothing is lost by forgetting it."""
        counts = self.waiting or self.losses is not None or (self.window is not None and not self.window.is_idle(at))
        return self.state == CLOSED and not counts


class Group:
    """The breakers of one rule."""

    __slots__ = ("_limit", "found", "measure", "pick", "rule", "share")

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self.pick = picker(rule.parts)
        self.measure = rule.measure
        self.share = rule.measure in MEASURES and MEASURES[rule.measure].share
        self.found: dict[Any, Breaker | None] = {}  # by what `pick` gives; None: the rule does not take these values
        self._limit = _REMEMBERED

    def of(self, about: About, at: int) -> Breaker | None:
        """The breaker for these values, made where there was none; None where the rule has none for them."""
        key = self.pick(about)
        found = self.found.get(key, _NEW)
        if found is not _NEW:
            return found  # type: ignore[return-value]
        if len(self.found) >= self._limit:
            self.found = {one: kept for one, kept in self.found.items() if kept is not None and not kept.is_idle(at)}
            self._limit = max(_REMEMBERED, 2 * len(self.found))
        scope = {part: about[SCOPE.index(part)] for part in self.rule.parts}
        made = Breaker(self.rule, scope) if self.rule.takes(tuple(scope.values())) else None
        self.found[key] = made
        return made

    def breakers(self) -> list[Breaker]:
        """All that there are."""
        return [one for one in self.found.copy().values() if one is not None]


class Breakers:
    """All breakers of a gateway: their states, and who is stopped. What they count comes from `breaker_counts`."""

    def __init__(self, rules: Iterable[Rule], restored: Iterable[Open] = (), now: datetime = EPOCH) -> None:
        """`restored`: what was not closed when the gateway ended; its rest begins anew `now`."""
        self.groups = [Group(rule) for rule in rules]
        self.trips: Counter[str] = Counter({group.rule.name: 0 for group in self.groups})  # since the start
        self.not_closed: dict[tuple[str, tuple[str, ...]], Breaker] = {}
        self.probes: dict[str, list[Breaker]] = {}  # OrderID(37) -> whose probe it is
        self._blocking: tuple[Group, ...] = ()
        self._steps: list[Step] = []
        for one in restored:
            self._restore(one, micros_of(now))

    # -- who is stopped --------------------------------------------------------------------------------------

    def refusal(self, about: About, probe: bool) -> str:
        """Why something must not go, '' where it may. `probe`: it is a new order, and may be one."""
        for group in self._blocking:
            breaker = group.found.get(group.pick(about))
            if breaker is None or breaker.state == CLOSED:
                continue
            if not (probe and breaker.left):
                return breaker.refusal
        return ""

    def sent(self, about: About, order_id: str, at: int) -> None:
        """A new order has left: it is a probe of those that are half-open."""
        for group in self._blocking:
            breaker = group.found.get(group.pick(about))
            if breaker is not None and breaker.left and order_id not in breaker.probes:
                breaker.left -= 1
                breaker.probed = at
                breaker.probes.add(order_id)
                self.probes.setdefault(order_id, []).append(breaker)

    def answered(self, order_id: str, well: bool | None, at: int) -> None:
        """What became of a probe; None: it ended before anybody judged it, and another may go."""
        for breaker in self.probes.pop(order_id, ()):
            breaker.probes.discard(order_id)
            if breaker.state != HALF_OPEN:
                continue
            if well is None:
                breaker.left += 1
                continue
            if not well:
                self.trip(breaker, f"{breaker.rule.name} for {whose(breaker.scope)}: a probe was rejected", at)
                continue
            breaker.good += 1
            if breaker.good >= breaker.rule.probes:
                self._close(breaker, f"{breaker.good} probes were answered well")

    # -- how they change ---------------------------------------------------------------------------------------

    def trip(self, breaker: Breaker, text: str, at: int) -> None:
        """Open one that is not; `text` says why, with the numbers."""
        if breaker.state == OPEN:
            return
        step = REOPENED if breaker.state == HALF_OPEN else OPENED
        breaker.text = text
        self._set(breaker, OPEN, at)
        self.trips[breaker.rule.name] += 1
        self._step(step, breaker, text)

    def due(self, at: int, lag: Decimal) -> list[tuple[Breaker, str]]:
        """What time has brought about: breakers to open with the text, or '' for those whose rest is over.

        `lag`: seconds that the slowest commit of late took, or that the oldest decision waits for its own.
        """
        found = []
        for breaker in self.not_closed.values():
            rest = breaker.rule.rest * SECOND
            if breaker.state == OPEN:
                if rest and at - breaker.since >= rest and not breaker.over(at, lag):
                    found.append((breaker, ""))
            elif breaker.probes and not breaker.left and at - breaker.probed >= rest:
                name = f"{breaker.rule.name} for {whose(breaker.scope)}"
                found.append((breaker, f"{name}: no answer to a probe within {breaker.rule.rest} s"))
        for group in self.groups:
            if group.rule.measure == LAG and lag >= group.rule.threshold:
                group.of(("", "", "", ""), at)
            if group.rule.measure in (AGE, LAG, LOSS):
                watched = [one for one in group.breakers() if one.state != OPEN]
                found += [(one, text) for one in watched if (text := one.over(at, lag))]
        return found

    def tick(self, at: int, lag: Decimal) -> None:
        """Do what is due."""
        for breaker, text in self.due(at, lag):
            if text:
                self.trip(breaker, text, at)
            else:
                self._set(breaker, HALF_OPEN, at)
                breaker.left = breaker.rule.probes
                passing = f"rest of {breaker.rule.rest} s is over, {breaker.left} orders may pass"
                self._step(REST_OVER, breaker, passing)

    def _close(self, breaker: Breaker, why: str) -> None:
        self._set(breaker, CLOSED, breaker.since)
        self._step(IS_CLOSED, breaker, why)
        breaker.text = breaker.item_id = ""
        if not breaker.rule.measure:  # not configured any more
            self.groups = [group for group in self.groups if group.rule is not breaker.rule]

    def _set(self, breaker: Breaker, state: str, at: int) -> None:
        breaker.state, breaker.since = state, at
        breaker.left = breaker.good = 0
        for order_id in breaker.probes:
            others = [one for one in self.probes.get(order_id, ()) if one is not breaker]
            if others:
                self.probes[order_id] = others
            else:
                self.probes.pop(order_id, None)
        breaker.probes.clear()
        if breaker.window is not None:
            breaker.window.clear()
        if state == CLOSED:
            self.not_closed.pop(breaker.key, None)
        else:
            self.not_closed[breaker.key] = breaker
        names = {one.rule.name for one in self.not_closed.values()}
        self._blocking = tuple([group for group in self.groups if group.rule.name in names])

    def _step(self, step: str, breaker: Breaker, text: str) -> None:
        cancels = step == OPENED and breaker.rule.cancels
        self._steps.append(Step(step, breaker.rule.name, breaker.scope, text, breaker.item_id, cancels))

    def steps(self) -> list[Step]:
        """What changed since they were taken last."""
        if not self._steps:
            return self._steps
        taken, self._steps = self._steps, []
        return taken

    def has_item(self, step: Step, item_id: str) -> None:
        """The exception item of a breaker that opened."""
        breaker = self.not_closed.get((step.breaker, tuple(step.scope.values())))
        if breaker is not None:
            breaker.item_id = item_id

    def _restore(self, one: Open, now: int) -> None:
        step = one.step
        group = next((group for group in self.groups if group.rule.name == step.breaker), None)
        parts, values = tuple(step.scope), tuple(step.scope.values())
        if group is None or group.rule.parts != parts or not group.rule.takes(values):
            group = Group(Rule(step.breaker, "", tuple(step.scope.items()), Decimal(0)))
            self.groups.append(group)
        breaker = Breaker(group.rule, dict(step.scope))
        about = tuple(step.scope.get(part, "") for part in SCOPE)
        group.found[group.pick(about)] = breaker  # type: ignore[arg-type]
        breaker.text, breaker.item_id = step.text, step.item_id
        self._set(breaker, OPEN, now)

    # -- operators ---------------------------------------------------------------------------------------------

    def problem(self, name: str, scope: Mapping[str, str]) -> str:
        """Why no breaker is meant by a name and values, with the remedy; '' where one is."""
        groups = [group for group in self.groups if group.rule.name == name]
        if not groups:
            known = ", ".join(dict.fromkeys(group.rule.name for group in self.groups))
            known = known or "none: add [[breakers]] to oms.toml"
            return f"there is no breaker {name or '(none)'}; there are {known}"
        for group in groups:
            if set(group.rule.parts) == set(scope) and (
                self._named(name, scope) is not None
                or group.rule.takes(tuple(scope[part] for part in group.rule.parts))
            ):
                return ""
        wanted = " ".join(f"--{part} {pattern}" for part, pattern in groups[0].rule.scope)
        return f"{name} has a breaker for each {wanted}; say which" if wanted else f"{name} takes no scope"

    def _named(self, name: str, scope: Mapping[str, str]) -> Breaker | None:
        """The one that is not closed with this name and these values, in whatever order."""
        found = (one for one in self.not_closed.copy().values() if one.rule.name == name)
        return next((one for one in found if one.scope == scope), None)

    def trip_by(self, name: str, scope: Mapping[str, str], who: str, at: int) -> str:
        """An operator opens one. Returns why not, '' where it is done."""
        if problem := self.problem(name, scope):
            return problem
        about = tuple(scope.get(part, "") for part in SCOPE)
        found = self._named(name, scope)
        group = next(group for group in self.groups if group.rule.name == name)
        breaker = found or group.of(about, at)  # type: ignore[arg-type]
        if breaker is None or breaker.state == OPEN:
            return f"{name} for {whose(scope)} is open already; nothing was changed"
        self.trip(breaker, f"{name} for {whose(breaker.scope)}: opened by operator {who}", at)
        return ""

    def reset_by(self, name: str, scope: Mapping[str, str] | None, why: str) -> str:
        """An operator closes one, or all of a name where no scope is given. Returns why not, '' where it is done."""
        meant = [
            one
            for one in list(self.not_closed.values())
            if one.rule.name == name and (scope is None or one.scope == scope)
        ]
        for breaker in meant:
            if breaker.losses is not None:
                breaker.losses.begin_here()
            self._close(breaker, why)
        if meant:
            return ""
        what = name if scope is None else f"{name} for {whose(scope)}"
        return f"{what} is not open; `oms breakers list` shows those that are"

    def told(self) -> Iterator[dict[str, Any]]:
        """Those that are not closed, for people."""
        for one in list(self.not_closed.copy().values()):
            yield {
                "breaker": one.rule.name,
                "scope": dict(one.scope),
                "state": one.state,
                "since": (EPOCH + timedelta(microseconds=one.since)).isoformat(timespec="milliseconds"),
                "text": one.text,
                "item_id": one.item_id,
                "probes_left": one.left,
                "probes_answered": one.good,
            }


def micros_of(at: datetime) -> int:
    """Microseconds since 1970."""
    return (at - EPOCH) // _MICROSECOND
