"""What a dialect says of how fast its broker takes messages, and how often one order may be replaced.

[outbound] is the pace of what leaves for a broker (`oms.pace`); [[replace_discipline]] of oms.toml are the house's
own rules about replaces (`oms.core.replace_discipline`).
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

from pydantic import BeforeValidator, StrictBool, StrictInt, model_validator

from oms.config.problems import REQUIRED, Section, key, wrong
from oms.config.rules import A_PATTERN_LIST, NAME, Amount, Patterns

_TEXT = 58
_HIGHEST_TAG = 99_999
_REFUSALS = ("3", "8", "9", "j")


def _kind(value: object) -> object:
    if value not in _REFUSALS:
        raise ValueError("no message by which a broker refuses")
    return value


def _tag(value: object) -> object:
    number = int(value) if isinstance(value, str) and value.isascii() and value.isdecimal() else value
    if isinstance(number, bool) or not isinstance(number, int) or not 0 < number <= _HIGHEST_TAG:
        raise ValueError("not a tag number")
    return number


def _pattern(value: object) -> object:
    if not isinstance(value, str) or not value.strip("*") or not value.isprintable():
        raise ValueError("a pattern that fits everything, or none")
    return value


class TooFastRule(Section):
    """One [[outbound.too_fast]]: a message by which the broker says that it gets too many."""

    msg_type: Annotated[str, BeforeValidator(_kind)] = key(
        REQUIRED,
        "MsgType(35): Reject(3), ExecutionReport(8), OrderCancelReject(9) or BusinessMessageReject(j).",
        expects='"3", "8", "9" or "j"',
        example='"j"',
    )
    tag: Annotated[int, BeforeValidator(_tag)] = key(
        _TEXT, "The field that says so.", expects="a tag number in quotes", example='"58"'
    )
    value: Annotated[str, BeforeValidator(_pattern)] = key(
        REQUIRED,
        "Its value, or a pattern; upper and lower case are alike.",
        expects="a text, or a pattern with *, ? or [..]",
        example='"*rate limit*"',
    )


class Outbound(Section):
    """[outbound]: how fast messages leave for this broker, and what tells that it is too fast."""

    max_messages_per_second: StrictInt = key(
        0,
        "How many messages of ours it takes in a second: cancels leave first, then replaces, new orders, the rest;"
        " 0: no limit, and all leave in the order in which they were decided.",
        expects="a whole number from 0 to 10000",
        example="50",
        ge=0,
        le=10_000,
    )
    burst: StrictInt = key(
        0,
        "How many of them may leave at once after a pause: in t seconds at most burst + t x max_messages_per_second"
        " leave; 0: a tenth of max_messages_per_second, at least 1.",
        expects="a whole number from 0 to 10000",
        example="5",
        ge=0,
        le=10_000,
    )
    max_wait_seconds: StrictInt = key(
        10,
        "How long an order or replace may wait for its turn, in seconds, before it is refused (an order goes to the"
        " next broker of its route, if there is one). A cancel waits for as long as it takes.",
        expects="a whole number from 1 to 3600",
        example="10",
        ge=1,
        le=3600,
    )
    recover_seconds: StrictInt = key(
        10,
        "After it said that it gets too many, half as many leave; after each so many seconds without another"
        " complaint a quarter of the limit comes back.",
        expects="a whole number from 1 to 3600",
        example="10",
        ge=1,
        le=3600,
    )
    too_fast: tuple[TooFastRule, ...] = key(
        (), "How it says that it gets too many.", expects="[[outbound.too_fast]] sections"
    )

    @property
    def at_once(self) -> int:
        """`burst`, or what stands for 0."""
        return self.burst or max(self.max_messages_per_second // 10, 1)

    @model_validator(mode="after")
    def _needs_a_limit(self) -> Outbound:
        if not self.max_messages_per_second and (self.too_fast or self.burst):
            given = "too_fast" if self.too_fast else "burst"
            raise wrong(f"{given} without max_messages_per_second", "add max_messages_per_second, which it lowers")
        return self


class ReplaceDiscipline(Section):
    """One [[replace_discipline]]: what replaces must keep to. The first that matches an order is its rule."""

    name: str = key(
        REQUIRED,
        "Name of the rule, shown in refusals.",
        expects="1 to 32 letters, digits, _ or -",
        example='"calm"',
        pattern=NAME,
    )
    client: Patterns = key(("*",), "Client session (OmsName).", expects=A_PATTERN_LIST, example='"CLIENT1"')
    account: Patterns = key(("*",), "Account(1).", expects=A_PATTERN_LIST, example='["FUND1", "FUND2"]')
    symbol: Patterns = key(("*",), "Symbol(55).", expects=A_PATTERN_LIST, example='"AAPL"')
    broker: Patterns = key(("*",), "Broker session that has the order.", expects=A_PATTERN_LIST, example='"BROKER1"')
    min_interval_ms: StrictInt = key(
        0,
        "Least time between two replaces of one order, in milliseconds; 0: any.",
        expects="a whole number from 0 to 3600000",
        example="500",
        ge=0,
        le=3_600_000,
    )
    min_ticks: StrictInt = key(
        0,
        "How many ticks Price(44) or StopPx(99) must move at least, unless the quantity moves by min_qty_percent;"
        " 0: any.",
        expects="a whole number from 0 to 1000000",
        example="2",
        ge=0,
        le=1_000_000,
    )
    min_qty_percent: Amount = key(
        Decimal(0),
        "How many percent OrderQty(38) must move at least, unless a price moves by min_ticks; 0: any.",
        expects="a number from 0 to 10000",
        example="10",
        ge=0,
        le=10_000,
    )
    one_outstanding: StrictBool = key(
        False,
        "Refuse a replace while another request about the order has no answer.",
        expects="true or false",
        example="true",
    )
    pause_after_fill_ms: StrictInt = key(
        0,
        "How long after a fill of the order it may not be replaced, in milliseconds; 0: at once.",
        expects="a whole number from 0 to 3600000",
        example="200",
        ge=0,
        le=3_600_000,
    )
    also_reducing: StrictBool = key(
        False,
        "Whether it holds for replaces too that only take risk away: less quantity, and no price that trades sooner.",
        expects="true or false",
        example="false",
    )
