"""[reconcile] of a dialect: when a broker is asked about its orders besides at each logon, and what follows a break.

One policy for all three witnesses: the order session's answers, the drop copy, end-of-day files.
"""

from __future__ import annotations

import re
from datetime import UTC, time, timedelta
from typing import Annotated, Literal

from pydantic import BeforeValidator, StrictInt

from oms.config.problems import Section, key

_UNITS = {"s": 1, "m": 60, "h": 3600}
_LEAST, _MOST = timedelta(minutes=1), timedelta(hours=24)


def _span(value: object) -> object:
    """A text such as "15m" as a time span."""
    if value is None or isinstance(value, timedelta):
        return value
    found = re.fullmatch(r"([0-9]{1,6})([smh])", value) if isinstance(value, str) else None
    span = timedelta(seconds=int(found[1]) * _UNITS[found[2]]) if found else timedelta()
    if not _LEAST <= span <= _MOST:
        raise ValueError("no such span of time")
    return span


def _times(value: object) -> object:
    if not isinstance(value, list | tuple):
        raise ValueError("not a list")
    made = [time.fromisoformat(one) if isinstance(one, str) else one for one in value]
    if not all(isinstance(one, time) and not one.utcoffset() for one in made):
        raise ValueError("not times of day in UTC")
    return tuple(sorted({one.replace(tzinfo=UTC) for one in made}))


class Reconcile(Section):
    """[reconcile]: when the broker is asked about its orders, and what is done where it tells something else."""

    every: Annotated[timedelta | None, BeforeValidator(_span)] = key(
        None,
        "How long after one comparison of orders with the order session the next one begins by itself; absent: only "
        "after a logon, at the times of `at`, and by `oms reconcile run`.",
        expects='a number with s, m or h, from "1m" to "24h"',
        example='"15m"',
    )
    at: Annotated[tuple[time, ...], BeforeValidator(_times)] = key(
        (),
        "Times of day, UTC, at which one begins.",
        expects="a list of times of day, UTC",
        example='["06:00", "21:30"]',
    )
    on_break: Literal["alert", "query", "block", "cancel"] = key(
        "alert",
        "Where its order session (asked about its orders), its drop copy or its end-of-day file tells something else "
        "than the ledger: raise an exception item; or raise it and ask the order session about all its orders; or "
        "raise it and engage a kill switch; or raise it and cancel the broker's working orders in the symbol. "
        "Executions of a drop copy or file are never booked; orders that are not ours: `unknown_orders`.",
        expects='"alert", "query", "block" or "cancel"',
        example='"block"',
    )
    block: Literal["broker", "account", "symbol"] = key(
        "symbol",
        "What the kill switch of on_break = \"block\" stops at this broker: all, or the account's or symbol's.",
        expects='"broker", "account" or "symbol"',
        example='"account"',
    )
    avg_px_decimals: StrictInt = key(
        2,
        "Fewest decimals to which it rounds or cuts AvgPx(6) in its answers; of what it writes all of them count.",
        expects="a whole number from 0 to 12",
        example="2",
        ge=0,
        le=12,
    )
