"""What the core is configured with: instruments, accounts, limits, routes and what each broker can do.

Plain immutable values, made from the configuration files by `oms.app`; the core never reads a file.
Prices are in the instrument's currency, quantities in shares. Patterns are shell patterns (`*`, `?`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import NamedTuple

from oms.core.markets import Market
from oms.core.messages import Pairs


class Instrument(NamedTuple):
    """One tradable symbol. `reference_price` values market orders; None means that they cannot be valued."""

    symbol: str
    security_exchange: str
    currency: str
    tick_size: Decimal
    lot_size: Decimal
    reference_price: Decimal | None
    min_price: Decimal | None
    max_price: Decimal | None
    tradable: bool
    asset_class: str = ""
    average_volume: Decimal | None = None  # shares a day
    market: str = ""  # whose hours count, '' for none
    reference_at: datetime | None = None  # as of when the reference price is, None where nobody knows
    max_price_age: timedelta | None = None  # how old it may be where an order is judged by it, None: any age


class Account(NamedTuple):
    """One account and the client sessions (patterns) that may trade for it."""

    account: str
    clients: tuple[str, ...]
    active: bool


class LimitRule(NamedTuple):
    """Per-order limits for the clients, accounts and symbols that match. None means that it sets no limit."""

    name: str
    client: str
    account: str
    symbol: str
    max_order_qty: Decimal | None
    max_order_notional: Decimal | None


class Limit(NamedTuple):
    """One row of the limits on projections (`oms.core.limits`): control, scope as (dimension, pattern), value.

    `amount` or `words` is the value, by the control. `soft`: it warns. It counts on days from `first` to `last`.
    """

    name: str
    control: str
    scope: tuple[tuple[str, str], ...]
    amount: Decimal
    words: frozenset[str] = frozenset()
    soft: bool = False
    first: date = date.min
    last: date = date.max
    per: int = 0  # the second number of a ratio (orders) or a window (seconds)


class RouteRule(NamedTuple):
    """One routing rule: patterns per field, the broker, and the fallbacks in order."""

    name: str
    client: tuple[str, ...]
    account: tuple[str, ...]
    symbol: tuple[str, ...]
    security_exchange: tuple[str, ...]
    ord_type: tuple[str, ...]
    ex_destination: tuple[str, ...]
    broker: str
    fallbacks: tuple[str, ...]


class ReplaceRule(NamedTuple):
    """What replaces of the orders that match must keep to (`oms.core.replace_discipline`); 0 asks for nothing."""

    name: str
    client: tuple[str, ...]
    account: tuple[str, ...]
    symbol: tuple[str, ...]
    broker: tuple[str, ...]
    min_interval: timedelta
    min_ticks: int
    min_qty_percent: Decimal
    one_outstanding: bool
    pause_after_fill: timedelta
    also_reducing: bool


class BrokerFacts(NamedTuple):
    """What a broker's dialect says it can do.

    `allowed` has, for D and G, the fields that may be sent: those of its dictionary and those that a rule
    drops. A message type that is not in it is not checked. `cancel_new`: it has no replace. `refuses` says why the
    tag rules would not let a message of these fields go, '' if they would.
    """

    ord_types: frozenset[str]
    times_in_force: frozenset[str]
    status_requests: bool
    allowed: Mapping[str, frozenset[str]] = {}
    mass_cancel: bool = False  # takes OrderMassCancelRequest(q)
    acknowledge_seconds: int = 0  # until an order without any answer is raised; 0: never
    answer_seconds: int = 0  # the same of a cancel or replace
    cancel_new: bool = False
    mass_status: bool = False  # answers OrderMassStatusRequest(AF)
    status_requests_per_second: int = 50
    status_answer_seconds: int = 30  # until a round of questions ends without the answers that are missing
    quiet_seconds: int = 0  # until a working order without news is raised and asked for; 0: never
    unknown_asks: int = 5  # how often an order in doubt is asked for, besides at each logon
    adopts: bool = False  # orders of the broker that we do not know become orders of ours
    round_every: timedelta | None = None  # from one round of questions to the next
    round_times: tuple[time, ...] = ()  # times of day (UTC) of rounds
    avg_px_decimals: int = 2  # fewest decimals to which it rounds AvgPx(6)
    refuses: Callable[[str, Pairs], str] | None = None


class Terms(NamedTuple):
    """Everything the core is configured with. `limits` has the most specific rules first."""

    trading: bool
    instruments: Mapping[str, Instrument]
    accounts: Mapping[str, Account]
    limits: tuple[LimitRule, ...]
    routes: tuple[RouteRule, ...]
    brokers: Mapping[str, BrokerFacts]
    limit_rows: tuple[Limit, ...] = ()
    keep_positions: bool = False  # by account and symbol, for kill switches that are reduce-only
    markets: Mapping[str, Market] = {}
    require_row: bool = False  # an order needs a row of the limits file that names its client or account
    replace_rules: tuple[ReplaceRule, ...] = ()
