"""What a simulated client wants to do: plans, one per order, from a seed or from a CSV file.

A plan is an order and what follows on it. Each follow-up waits for its moment: "at_once" (right after what was sent
before), "acked" (any report came), "filled" (an execution came), "finished" (nothing more can happen, so it must be
refused), and then `delay_ms` more. The CSV has a header line; columns that are not needed may be absent:

    action,ref,symbol,side,qty,ord_type,price,stop_px,tif,account,text,when,delay_ms,expect
    new,a,AAPL,buy,100,limit,190.50,,day,FUND1,,,,
    replace,a,,,150,,190.60,,,,,acked,50,
    cancel,a,,,,,,,,,,filled,,
    new,b,NOPE,sell,100,market,,,,FUND1,,,,reject

`ref` is any name of the file's own that ties follow-ups to their order. Words or FIX values are taken for side,
ord_type and tif; `expect` = reject says that the order must be refused.
Pure but for the reading of the file. Invariant: the same seed, number, instruments and accounts give the same plans.
"""

from __future__ import annotations

import csv
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Literal

from oms.errors import OperatorError
from oms.sim.matching import Instrument
from oms.sim.orders import BUY, FOK, IOC, LIMIT, MARKET, STOP, STOP_LIMIT
from oms.sim.wire import decimal_of

Action = Literal["cancel", "replace", "status"]
Moment = Literal["at_once", "acked", "filled", "finished"]
ACTIONS, MOMENTS = ("new", "cancel", "replace", "status"), ("at_once", "acked", "filled", "finished")
DAY, GTC = "0", "1"
SIDES = {"buy": "1", "sell": "2", "sell_short": "5"}
ORD_TYPES = {"market": MARKET, "limit": LIMIT, "stop": STOP, "stop_limit": STOP_LIMIT}
TIMES_IN_FORCE = {"day": DAY, "gtc": GTC, "ioc": IOC, "fok": FOK}
REPLACED_UP, REPLACED_DOWN = Decimal("1.5"), Decimal("0.5")
TOO_MANY = Decimal(99_000_000)  # more than any limit that lets a test order through


@dataclass(frozen=True, slots=True)
class Terms:
    """What a NewOrderSingle(D) asks for."""

    symbol: str
    side: str
    qty: Decimal
    ord_type: str
    price: Decimal | None = None
    stop_px: Decimal | None = None
    tif: str = DAY
    account: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True)
class FollowUp:
    """A request on the order: a replace changes what is not None."""

    action: Action
    when: Moment = "acked"
    delay_ms: int = 0
    qty: Decimal | None = None
    price: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """One order and what follows on it. `expect_reject`: the gateway's limits must refuse it."""

    terms: Terms
    follow_ups: tuple[FollowUp, ...] = ()
    expect_reject: bool = False


# --- a seeded flow ----------------------------------------------------------------------------------------

UNLISTED = {
    symbol: Instrument(symbol, Decimal(price))
    for symbol, price in (("AAPL", "190.50"), ("MSFT", "415.30"), ("INTC", "42.75"), ("TSLA", "248.90"))
}


def generate(
    number: int, seed: int, instruments: Mapping[str, Instrument] | None = None, accounts: Sequence[str] = ("HOUSE",)
) -> Iterator[Plan]:
    """`number` plans of mixed kinds: about 1 in 12 must be refused, about half have follow-ups."""
    chance = random.Random(seed)
    listed = sorted((instruments or UNLISTED).values(), key=lambda instrument: instrument.symbol)
    for _ in range(number):
        instrument = chance.choice(listed)
        terms = _terms(chance, instrument, chance.choice(accounts))
        if chance.random() < 1 / 12:
            yield Plan(_spoilt(chance, terms), (), True)
        else:
            yield Plan(terms, _follow_ups(chance, terms, instrument))


def _terms(chance: random.Random, instrument: Instrument, account: str) -> Terms:
    ord_type = chance.choices((MARKET, LIMIT, STOP, STOP_LIMIT), (25, 55, 10, 10))[0]
    side = chance.choice(("1", "2"))
    qty = instrument.lot_size * chance.choice((1, 2, 5, 10, 20, 50, 100))
    tif = chance.choices((DAY, GTC, IOC, FOK), (60, 20, 12, 8))[0] if ord_type == LIMIT else DAY
    away = 1 if side == BUY else -1
    price = stop_px = None
    if ord_type == LIMIT:
        price = _near(instrument, chance.randint(-12, 8) * away)
    elif ord_type in (STOP, STOP_LIMIT):
        distance = chance.randint(1, 6) * away
        stop_px = _near(instrument, distance)
        price = _near(instrument, distance + 20 * away) if ord_type == STOP_LIMIT else None
    return Terms(instrument.symbol, side, qty, ord_type, price, stop_px, tif, account)


def _near(instrument: Instrument, ticks: int) -> Decimal:
    """A price some ticks away from the reference price, on the tick grid."""
    base = instrument.reference_price // instrument.tick_size
    return max(base + ticks, Decimal(1)) * instrument.tick_size


def _spoilt(chance: random.Random, terms: Terms) -> Terms:
    """The same order with one thing that no gateway may let through."""
    symbol, qty, account = terms.symbol, terms.qty, terms.account
    match chance.choice(("quantity", "symbol", "account")):
        case "quantity":
            qty = TOO_MANY
        case "symbol":
            symbol = "NOSUCH"
        case _:
            account = "NOBODY"
    return Terms(symbol, terms.side, qty, terms.ord_type, terms.price, terms.stop_px, terms.tif, account)


def _follow_ups(chance: random.Random, terms: Terms, instrument: Instrument) -> tuple[FollowUp, ...]:
    wait = chance.choice((0, 0, 20, 80))
    replace = _replace(chance, terms, instrument, "acked", wait)
    at_once = _replace(chance, terms, instrument, "at_once", 0)
    status = FollowUp("status", "acked", wait)
    kinds: tuple[tuple[FollowUp, ...], ...] = (
        (),
        (FollowUp("cancel", "acked", wait),),
        (FollowUp("cancel", "at_once"),),
        (replace,),
        (at_once, FollowUp("cancel", "at_once")),
        (replace, _replace(chance, terms, instrument, "at_once", 0)),
        (_replace(chance, terms, instrument, "filled", 0), FollowUp("cancel", "acked", 50)),
        (status,),
        (FollowUp("cancel", "finished"),),
    )
    return chance.choices(kinds, (50, 10, 6, 10, 4, 5, 4, 6, 5))[0]


def _replace(chance: random.Random, terms: Terms, instrument: Instrument, when: Moment, delay_ms: int) -> FollowUp:
    lots = terms.qty / instrument.lot_size
    changed = max((lots * chance.choice((REPLACED_UP, REPLACED_DOWN))).quantize(Decimal(1)), Decimal(1))
    price = None if terms.price is None else terms.price + instrument.tick_size * chance.choice((-1, 0, 1))
    return FollowUp("replace", when, delay_ms, changed * instrument.lot_size, price)


# --- a file -----------------------------------------------------------------------------------------------


def read_plans(path: Path) -> list[Plan]:
    """The plans in a CSV file. OperatorError names the line, the column and the remedy."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise OperatorError(f"{path}: cannot be read ({error}); name a CSV file of orders") from error
    numbered = [(number, line) for number, line in enumerate(lines, 1) if line.strip() and line[0] != "#"]
    rows = csv.DictReader(line for _, line in numbered)
    found: dict[str, Plan] = {}
    for (number, _), row in zip(numbered[1:], rows, strict=False):
        try:
            _add_row(
                found,
                {
                    key: (value or "").strip()
                    for key, value in row.items()
                    if isinstance(key, str) and not isinstance(value, list)
                },
            )
        except ValueError as error:
            raise OperatorError(f"{path}: line {number}: {error}") from error
    if not found:
        raise OperatorError(f"{path}: no order in it; add a line with action new below a header line")
    return list(found.values())


def _add_row(found: dict[str, Plan], row: dict[str, str]) -> None:
    action, ref = row.get("action", ""), row.get("ref", "")
    if action not in ACTIONS:
        raise ValueError(f"action {action!r} is none of {', '.join(ACTIONS)}")
    if not ref:
        raise ValueError("ref is empty; give the order a name of your own")
    if action == "new":
        if ref in found:
            raise ValueError(f"ref {ref!r} names an order above; choose another")
        found[ref] = Plan(_row_terms(row), (), _one_of(row, "expect", ("", "reject")) == "reject")
        return
    if ref not in found:
        raise ValueError(f"ref {ref!r} names no order above; put its line with action new first")
    plan = found[ref]
    found[ref] = Plan(plan.terms, (*plan.follow_ups, _row_follow_up(row, action)), plan.expect_reject)


def _row_terms(row: dict[str, str]) -> Terms:
    qty = _number(row, "qty")
    if not row.get("symbol") or qty is None:
        raise ValueError("symbol or qty is empty; an order needs both")
    return Terms(
        symbol=row["symbol"],
        side=_word(row, "side", SIDES, ""),
        qty=qty,
        ord_type=_word(row, "ord_type", ORD_TYPES, MARKET),
        price=_number(row, "price"),
        stop_px=_number(row, "stop_px"),
        tif=_word(row, "tif", TIMES_IN_FORCE, DAY),
        account=row.get("account", ""),
        text=row.get("text", ""),
    )


def _row_follow_up(row: dict[str, str], action: str) -> FollowUp:
    when = _one_of(row, "when", ("", *MOMENTS)) or "acked"
    delay = row.get("delay_ms", "") or "0"
    if not delay.isdigit():
        raise ValueError(f"delay_ms {delay!r} is not a whole number of milliseconds")
    return FollowUp(
        action=next(known for known in _FOLLOW_UPS if known == action),
        when=next(known for known in _MOMENTS if known == when),
        delay_ms=int(delay),
        qty=_number(row, "qty"),
        price=_number(row, "price"),
    )


_FOLLOW_UPS: tuple[Action, ...] = ("cancel", "replace", "status")
_MOMENTS: tuple[Moment, ...] = ("at_once", "acked", "filled", "finished")


def _number(row: dict[str, str], column: str) -> Decimal | None:
    text = row.get(column, "")
    value = decimal_of(text)
    if text and value is None:
        raise ValueError(f"{column} {text!r} is not a number")
    return value


def _word(row: dict[str, str], column: str, words: dict[str, str], default: str) -> str:
    text = row.get(column, "") or default
    value = words.get(text, text)
    if len(value) != 1:
        raise ValueError(f"{column} {text!r} is none of {', '.join(words)}, nor a FIX value of one character")
    return value


def _one_of(row: dict[str, str], column: str, allowed: Sequence[str]) -> str:
    text = row.get(column, "")
    if text not in allowed:
        raise ValueError(f"{column} {text!r} is none of {', '.join(word for word in allowed if word)}")
    return text
