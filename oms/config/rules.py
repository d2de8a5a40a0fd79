"""The rules of ``oms.toml``: limits per order and routes, and the patterns they are written in.

Limits: which rule an order meets is decided elsewhere (``Config.limit_for``, routing in the core); here is
what a rule says.
Invariant: an order for which no limit is configured has no limit rule at all, so that the gateway refuses it.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from fnmatch import fnmatchcase
from typing import Annotated

from pydantic import BeforeValidator, StrictBool, StrictInt, StringConstraints, model_validator

from oms.config.problems import REQUIRED, Section, key, plain_decimal, wrong

NAME = r"^[A-Za-z0-9_-]{1,32}$"
ORD_TYPES = {"market": "1", "limit": "2", "stop": "3", "stop_limit": "4"}
TIMES_IN_FORCE = {
    "day": "0",
    "gtc": "1",
    "opg": "2",
    "ioc": "3",
    "fok": "4",
    "gtx": "5",
    "gtd": "6",
    "at_the_close": "7",
}


def _patterns(value: object) -> object:
    items = [value] if isinstance(value, str) else value
    if not isinstance(items, list | tuple) or not items or not all(isinstance(item, str) for item in items):
        raise ValueError("not a pattern or a list of patterns")
    if not all(item and item.isprintable() for item in items):
        raise ValueError("an empty or unprintable pattern")
    return tuple(items)


def fix_value(value: str, words: dict[str, str], field: str) -> str:
    """A word such as ``stop_limit`` as its FIX value; a FIX value as itself. ``field`` is for the message."""
    if value in words:
        return words[value]
    if len(value) == 1 and value.isascii() and value.isalnum():
        return value
    raise wrong(f'"{value}" is no {field}', f"write one of {', '.join(words)}, or the one-character FIX value")


def _ord_types(value: object) -> object:
    items = _patterns(value)
    assert isinstance(items, tuple)
    return tuple(item if item == "*" else fix_value(item, ORD_TYPES, "OrdType(40)") for item in items)


def _positive(value: Decimal) -> Decimal:
    if value <= 0:
        raise ValueError("not above zero")
    return value


Pattern = Annotated[str, StringConstraints(min_length=1, pattern=r"^[^\x00-\x1f\x7f]+$")]
Patterns = Annotated[tuple[str, ...], BeforeValidator(_patterns)]
OrdTypes = Annotated[tuple[str, ...], BeforeValidator(_ord_types)]
Amount = Annotated[Decimal, BeforeValidator(plain_decimal)]

A_PATTERN = 'a name, or a pattern with *, ? or [..] such as "FUND*"'
A_PATTERN_LIST = "a name or pattern with *, ? or [..], or a list of them"
AN_AMOUNT = "a number above zero with at most 12 decimals and below 10^16"


def matches(patterns: Iterable[str], value: str) -> bool:
    """Whether a pattern takes the value; case matters, and ``*`` takes an absent (empty) value too."""
    return any(fnmatchcase(value, pattern) for pattern in patterns)


def is_pattern(text: str) -> bool:
    """Whether a text is a pattern rather than a name."""
    return any(character in "*?[" for character in text)


class LimitRule(Section):
    """The most that one order may be, for the orders it matches."""

    client: Pattern = key("*", "Client session (OmsName) it is for.", expects=A_PATTERN, example='"CLIENT1"')
    account: Pattern = key("*", "Account(1) it is for.", expects=A_PATTERN, example='"FUND1"')
    symbol: Pattern = key("*", "Symbol(55) it is for.", expects=A_PATTERN, example='"AAPL"')
    max_order_qty: Amount = key(
        REQUIRED, "Largest OrderQty(38) of one order.", expects=AN_AMOUNT, example="10000", gt=0
    )
    max_order_notional: Amount = key(
        REQUIRED,
        "Largest quantity times price of one order, in the instrument's currency. Market orders are "
        "valued at the "
        "reference price.",
        expects=AN_AMOUNT,
        example="1000000",
        gt=0,
    )

    @property
    def specificity(self) -> tuple[int, int]:
        """How closely it is aimed: the number of exact names, then of patterns other than ``*``."""
        texts = (self.symbol, self.account, self.client)
        exact = sum(not is_pattern(text) for text in texts)
        return exact, sum(text != "*" for text in texts) - exact

    def takes(self, client: str, account: str, symbol: str) -> bool:
        """Whether it is for such an order."""
        pairs = ((self.client, client), (self.account, account), (self.symbol, symbol))
        return all(fnmatchcase(value, pattern) for pattern, value in pairs)

    def __str__(self) -> str:
        aims = (("client", self.client), ("account", self.account), ("symbol", self.symbol))
        aimed = [f"{name}={text}" for name, text in aims if text != "*"]
        return "limits" + (f" for {', '.join(aimed)}" if aimed else "")


class Limits(Section):
    """Limits per order: two keys are the default, [[limits.override]] replaces it for what it matches.

    No default and no matching override means: the order is refused.
    """

    max_order_qty: Amount | None = key(
        None, "Default for every order: largest OrderQty(38).", expects=AN_AMOUNT, example="10000", gt=0
    )
    max_order_notional: Amount | None = key(
        None,
        "Default for every order: largest quantity times price, in the instrument's currency.",
        expects=AN_AMOUNT,
        example="1000000",
        gt=0,
    )
    require_row: StrictBool | None = key(
        None,
        "Whether an order also needs a hard row of the limits file ([files] limits) that names its client or its "
        "account, by name or by a pattern other than *. Absent: true on live, false on test.",
        expects="true or false",
        example="true",
    )
    max_price_age: StrictInt | None = key(
        None,
        "Seconds: an order that is valued at the reference price, or held against it by price_collar, is refused "
        "(stale_price) where that price is older or nobody knows as of when it is. Absent: at any age.",
        expects="a whole number from 1 to 31536000",
        example="900",
        ge=1,
        le=31_536_000,
    )
    override: tuple[LimitRule, ...] = key(
        (), "Rules that replace the default where they match.", expects="[[limits.override]] sections"
    )

    @model_validator(mode="after")
    def _both_or_neither(self) -> Limits:
        if (self.max_order_qty is None) != (self.max_order_notional is None):
            missing = "max_order_qty" if self.max_order_qty is None else "max_order_notional"
            raise wrong("only one of max_order_qty and max_order_notional", f"add {missing}")
        return self

    def asks_for_row(self, environment: str) -> bool:
        """Whether an order needs a row of the limits file that names its client or its account."""
        return environment == "live" if self.require_row is None else self.require_row

    def rules(self) -> tuple[LimitRule, ...]:
        """All rules: the default first (if there is one), then the overrides in file order."""
        if self.max_order_qty is None or self.max_order_notional is None:
            return self.override
        default = LimitRule(max_order_qty=self.max_order_qty, max_order_notional=self.max_order_notional)
        return (default, *self.override)


class RouteRule(Section):
    """Which broker an order goes to. Rules are tried in file order; the first whose keys all match wins."""

    name: str = key(
        REQUIRED,
        "Name of the rule, shown in rejects and by `oms route explain`.",
        expects="1 to 32 letters, digits, _ or -",
        example='"us-stocks"',
        pattern=NAME,
    )
    client: Patterns = key(("*",), "Client session (OmsName).", expects=A_PATTERN_LIST, example='"CLIENT1"')
    account: Patterns = key(("*",), "Account(1).", expects=A_PATTERN_LIST, example='["FUND1", "FUND2"]')
    symbol: Patterns = key(("*",), "Symbol(55).", expects=A_PATTERN_LIST, example='"AAPL"')
    security_exchange: Patterns = key(
        ("*",),
        "SecurityExchange(207) of the order, or of the instrument where the order has none.",
        expects=A_PATTERN_LIST,
        example='"XETR"',
    )
    ord_type: OrdTypes = key(
        ("*",),
        "OrdType(40): market, limit, stop, stop_limit, or FIX values.",
        expects="market, limit, stop, stop_limit, a one-character FIX value, or a list of them",
        example='["stop", "stop_limit"]',
    )
    ex_destination: Patterns = key(
        ("*",), "ExDestination(100) of the order.", expects=A_PATTERN_LIST, example='"BROKER1"'
    )
    broker: str = key(
        REQUIRED, "Broker session (OmsName) that gets the order.", expects="a name", example='"BROKER1"'
    )
    fallbacks: Annotated[tuple[str, ...], BeforeValidator(_patterns)] = key(
        (),
        "Broker sessions tried in turn while the order has not left and the one before is logged out.",
        expects="a name or a list of names",
        example='["BROKER2"]',
    )

    @property
    def takes_all(self) -> bool:
        """Whether it matches every order, so that no later rule is ever reached."""
        keys = (
            self.client,
            self.account,
            self.symbol,
            self.security_exchange,
            self.ord_type,
            self.ex_destination,
        )
        return all("*" in patterns for patterns in keys)
