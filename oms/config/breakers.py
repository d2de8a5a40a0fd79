"""``[[breakers]]`` of oms.toml: the rules of circuit breakers.

What measures there are, and which parts of a scope each can tell apart, is the core's (`oms.core.breaker_rules`).
Invariant: a key that would have no effect with the measure is refused, so that nobody relies on it.
"""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import BeforeValidator, StrictInt, model_validator

from oms.config.problems import REQUIRED, Section, key, wrong
from oms.config.rules import A_PATTERN, AN_AMOUNT, NAME, Amount, Pattern
from oms.core.breaker_rules import MEASURES, SCOPE, Rule

_MEASURES = ", ".join(f'"{name}"' for name in MEASURES)
_DAY = 86_400


def _measure(value: object) -> object:
    if not isinstance(value, str) or value not in MEASURES:
        raise ValueError("no measure")
    return value


MeasureName = Annotated[str, BeforeValidator(_measure)]
Action = Literal["block", "cancel_working"]


class BreakerRule(Section):
    """One rule: what it watches, from where on it opens, what it then stops, and how it closes again."""

    name: str = key(
        REQUIRED,
        "Name of the rule: in rejects, exception items, metrics and `oms breakers`.",
        expects="1 to 32 letters, digits, _ or -",
        example='"broker-rejects"',
        pattern=NAME,
    )
    measure: MeasureName = key(
        REQUIRED, "What is watched, see below.", expects=f"one of {_MEASURES}", example='"reject_rate"'
    )
    client: Pattern | None = key(
        None,
        "Client session (OmsName). Each combination of values of the keys of the scope that are named has a breaker "
        'of its own, which stops only that: "*" is one for each. An absent key is not told apart; none: the firm.',
        expects=A_PATTERN,
        example='"*"',
    )
    account: Pattern | None = key(None, "Account(1), likewise.", expects=A_PATTERN, example='"FUND*"')
    symbol: Pattern | None = key(None, "Symbol(55), likewise.", expects=A_PATTERN, example='"*"')
    broker: Pattern | None = key(
        None, "Broker session (OmsName), likewise: routing passes it over.", expects=A_PATTERN, example='"*"'
    )
    threshold: Amount = key(
        REQUIRED,
        "It opens when the measure reaches this: a percentage, a number, seconds, or money in the instrument's "
        "currency.",
        expects=AN_AMOUNT,
        example="50",
        gt=0,
    )
    window: StrictInt = key(
        60,
        "Seconds over which is counted, in tenths.",
        expects=f"a whole number from 1 to {_DAY}",
        example="60",
        ge=1,
        le=_DAY,
    )
    min_count: StrictInt = key(
        20,
        "Of percentages: so many there must be in the window.",
        expects="a whole number from 1 to 1000000",
        example="20",
        ge=1,
        le=1_000_000,
    )
    action: Action = key(
        "block",
        '"block" refuses new orders and replaces that add risk; "cancel_working" also cancels, when it opens, the '
        "orders that work in its scope. Cancels always go.",
        expects=" or ".join(f'"{action}"' for action in get_args(Action)),
        example='"block"',
    )
    rest: StrictInt | None = key(
        None,
        "Seconds after which it is half-open. Absent: it stays open until `oms breakers reset`.",
        expects=f"a whole number from 1 to {_DAY}",
        example="60",
        ge=1,
        le=_DAY,
    )
    probes: StrictInt = key(
        3,
        "New orders that pass while it is half-open. If brokers take them all it closes; if one is rejected, or the "
        "last is not answered within another rest, it opens again.",
        expects="a whole number from 1 to 1000",
        example="3",
        ge=1,
        le=1000,
    )
    mark: Literal["last", "reference"] = key(
        "last",
        'Of losses: what is held is valued at the price of our last fill, or at the "reference" price of the '
        "instrument.",
        expects='"last" or "reference"',
        example='"last"',
    )

    @model_validator(mode="after")
    def _fits_its_measure(self) -> BreakerRule:
        measure = MEASURES[self.measure]
        for part in self.parts:
            if part not in measure.parts:
                can = f"name {' or '.join(measure.parts)}" if measure.parts else "name no scope: it is the firm's"
                raise wrong(f"{part} with {self.measure}", f"remove {part}; a rule of {self.measure} can {can}")
        if measure.one_part and len(self.parts) != 1:
            name = " or ".join(f'{part} = "*"' for part in measure.parts)
            raise wrong(f"{self.measure} is counted for each session", f"name one of them: {name}")
        for name, has_effect, where in (
            ("window", measure.window, "with a measure that is counted over one"),
            ("min_count", measure.share, "with a percentage"),
            ("mark", self.measure == "loss", 'with measure = "loss"'),
            ("probes", self.rest is not None, "with rest"),
        ):
            if name in self.model_fields_set and not has_effect:
                raise wrong(f"{name} has an effect only {where}", f"remove {name}")
        if measure.share and self.threshold > 100:
            raise wrong(f"threshold {self.threshold} is a percentage", "write a number above 0 and up to 100")
        return self

    @property
    def parts(self) -> tuple[str, ...]:
        """The parts of a scope that it names."""
        return tuple(part for part in SCOPE if getattr(self, part) is not None)

    def rule(self) -> Rule:
        """As the core has it."""
        return Rule(
            self.name,
            self.measure,
            tuple((part, getattr(self, part)) for part in self.parts),
            self.threshold,
            self.window,
            self.min_count,
            self.action == "cancel_working",
            self.rest or 0,
            self.probes,
            self.mark,
        )
