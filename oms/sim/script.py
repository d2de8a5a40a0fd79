"""What a simulated broker is told to do: a TOML file of rules, each a list of steps for the orders it matches.

    [market]                     # how orders without a rule, or handed over by the step "market", fill
    tick_ms = 100

    [[rule]]                     # the first rule whose keys all match gets the order
    symbol = "AAPL"              # also account, text (prefix of Text(58)), cl_ord_id, trace (tag 7001);
    nth = 3                      # of the orders that match the rest: the third only; every = 5: each fifth
    steps = ["accept", {do = "part_fill", qty = 50, px = 10.5}, {do = "delay", ms = 200}, "fill"]

A step is its name or a table with `do` and its parameters; docs/simulators.md lists them. Steps that answer a request
(pending_cancel, cancel, cancel_reject, fill_after_cancel, pending_replace, replace, replace_reject) wait for it;
while such a step lies ahead, requests of that kind are left to the script, else they are answered as usual.
Limits: read once at start. Invariant: a file that cannot be used stops the start with one message (OperatorError).
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from oms.errors import OperatorError

StepName = Literal[
    "accept",
    "pending_new",
    "reject",
    "part_fill",
    "fill",
    "delay",
    "duplicate",
    "out_of_order",
    "bust",
    "correct",
    "unsolicited_cancel",
    "fill_after_cancel",
    "cancel",
    "cancel_reject",
    "pending_cancel",
    "replace",
    "replace_reject",
    "pending_replace",
    "silence",
    "disconnect",
    "unknown_order_report",
    "wrong_quantities",
    "done_for_day",
    "expire",
    "restate",
    "business_reject",
    "market",
]
# The request, by MsgType(35), that a step answers.
ANSWERS = {
    "pending_cancel": "F",
    "cancel": "F",
    "cancel_reject": "F",
    "fill_after_cancel": "F",
    "pending_replace": "G",
    "replace": "G",
    "replace_reject": "G",
}


class Step(BaseModel):
    """One step. Which parameters a step takes: TAKES. Amounts are decimals, `ms` milliseconds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    do: StepName
    qty: Decimal | None = Field(None, gt=0)
    fraction: Decimal | None = Field(None, gt=0, le=1)
    px: Decimal | None = None
    ms: int = Field(0, ge=0, le=3_600_000)
    reason: int | None = None
    text: str = ""
    nth: int | None = Field(None, ge=1)
    poss_resend: bool = True
    cum_qty: Decimal | None = None
    leaves_qty: Decimal | None = None

    @model_validator(mode="after")
    def _has_what_it_takes(self) -> Step:
        for name in sorted(self.model_fields_set - {"do", *TAKES.get(self.do, ())}):
            raise ValueError(f"step {self.do} takes no {name}, only {', '.join(TAKES.get(self.do, ())) or 'no keys'}")
        for name in REQUIRED.get(self.do, ()):
            if name not in self.model_fields_set:
                raise ValueError(f"step {self.do} needs {name}")
        if self.do == "part_fill" and (self.qty is None) == (self.fraction is None):
            raise ValueError("step part_fill needs qty or fraction, not both")
        return self


TAKES: dict[str, tuple[str, ...]] = {
    "reject": ("reason", "text"),
    "part_fill": ("qty", "fraction", "px"),
    "fill": ("px",),
    "delay": ("ms",),
    "duplicate": ("poss_resend",),
    "bust": ("nth",),
    "correct": ("nth", "qty", "px"),
    "unsolicited_cancel": ("text",),
    "fill_after_cancel": ("qty", "px"),
    "cancel_reject": ("reason", "text"),
    "replace_reject": ("reason", "text"),
    "unknown_order_report": ("qty", "px"),
    "wrong_quantities": ("qty", "px", "cum_qty", "leaves_qty"),
    "restate": ("qty", "px", "reason", "text"),
    "business_reject": ("reason", "text"),
}
REQUIRED = {"delay": ("ms",)}


def _steps(value: Any) -> Any:
    return [{"do": item} if isinstance(item, str) else item for item in value] if isinstance(value, list) else value


class Rule(BaseModel):
    """Which orders get which steps. Texts are names or patterns (* ? [..]), `text` a prefix; absent matches all."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    symbol: str = "*"
    account: str = "*"
    cl_ord_id: str = "*"
    trace: str = "*"
    text: str = ""
    nth: int | None = Field(None, ge=1)
    every: int | None = Field(None, ge=1)
    steps: Annotated[tuple[Step, ...], BeforeValidator(_steps)]

    def describes(self, symbol: str, account: str, cl_ord_id: str, trace: str, text: str) -> bool:
        """Whether an order is of the kind the rule speaks of, its count aside."""
        pairs = (
            (self.symbol, symbol),
            (self.account, account),
            (self.cl_ord_id, cl_ord_id),
            (self.trace, trace),
        )
        return text.startswith(self.text) and all(fnmatchcase(value, pattern) for pattern, value in pairs)

    def counts(self, number: int) -> bool:
        """Whether the `number`-th such order (from 1) is one that it takes."""
        return (self.nth is None or number == self.nth) and (self.every is None or number % self.every == 0)


class MarketModel(BaseModel):
    """How the simulated market behaves. Probabilities are per order or per tick, delays in milliseconds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tick_ms: int = Field(100, ge=5, le=60_000, description="time between steps of the price walk")
    walk_ticks: int = Field(3, ge=0, le=100, description="largest step of the walk, in ticks")
    fill_probability: float = Field(0.3, ge=0, le=1, description="per tick, for a resting order at its price")
    touch_probability: float = Field(0.1, ge=0, le=1, description="per tick, for one within 1 % of the price")
    part_probability: float = Field(0.35, ge=0, le=1, description="that an execution is for a part only")
    pending_probability: float = Field(0.3, ge=0, le=1, description="that a request is first reported pending")
    answer_ms: int = Field(60, ge=0, le=60_000, description="longest time from pending to the answer")


class Behaviour(BaseModel):
    """A whole file: the market and the rules."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    market: MarketModel = MarketModel()
    rules: tuple[Rule, ...] = Field((), alias="rule")


@dataclass(slots=True)
class Chooser:
    """Gives every order its steps. Counts the orders that each rule describes, in order of arrival."""

    rules: tuple[Rule, ...]
    counts: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.counts = [0] * len(self.rules)

    def steps_for(self, symbol: str, account: str, cl_ord_id: str, trace: str, text: str) -> tuple[Step, ...] | None:
        """The steps of the first rule that takes the order; None where none does. Every rule counts it."""
        chosen: tuple[Step, ...] | None = None
        for index, rule in enumerate(self.rules):
            if rule.describes(symbol, account, cl_ord_id, trace, text):
                self.counts[index] += 1
                if chosen is None and rule.counts(self.counts[index]):
                    chosen = rule.steps
        return chosen


def read_behaviour(path: Path) -> Behaviour:
    """The behaviour in a TOML file. OperatorError names the file, the place and the remedy."""
    try:
        return parse_behaviour(path.read_text(encoding="utf-8"), str(path))
    except OSError as error:
        raise OperatorError(f"{path}: cannot be read ({error.strerror}); name a TOML file of rules") from error
    except UnicodeDecodeError as error:
        raise OperatorError(f"{path}: is not UTF-8 text; save it as UTF-8") from error


def parse_behaviour(text: str, name: str = "behaviour") -> Behaviour:
    """The behaviour in TOML text; `name` stands for the file in messages."""
    try:
        return Behaviour.model_validate(tomllib.loads(text, parse_float=Decimal))
    except tomllib.TOMLDecodeError as error:
        raise OperatorError(f"{name}: is not TOML: {error}; correct it") from error
    except ValidationError as error:
        first = error.errors()[0]
        message = "no such key" if first["type"] == "extra_forbidden" else first["msg"].removeprefix("Value error, ")
        raise OperatorError(f"{name}: {_place(first['loc'])}: {message}; correct it") from error


def _place(location: Iterable[int | str]) -> str:
    return ".".join(str(part + 1) if isinstance(part, int) else part for part in location) or "the file"
