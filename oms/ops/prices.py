"""What operators do with reference prices: look at them and their age, and bring new ones.

`prices.load` is a journaled command like any; a file too long for one command comes in parts, each a command of its
own. Threads: called from the control socket's; what is read of the prices are copies.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from oms.config.problems import plain_decimal, show
from oms.config.reference import utc_moment
from oms.core.prices import AHEAD, LOAD
from oms.errors import OperatorError
from oms.fix.fields import clean
from oms.ops.two_people import Submit
from oms.price_watch import PriceWatch
from oms.prices.read import PART

Args = dict[str, str]
_NAME_LIMIT = 80


class PriceCommands:
    """The verbs `prices.*` of the control socket."""

    def __init__(self, watch: PriceWatch, submit: Submit) -> None:
        self._watch, self._submit = watch, submit
        self.verbs: dict[str, Callable[[str, str, Args], dict[str, Any]]] = {
            "prices.list": self._list,
            LOAD: self._load,
        }

    def _list(self, operator: str, verb: str, args: Args) -> dict[str, Any]:
        return {"prices": self._watch.told(), "sources": self._watch.sources()}

    def _load(self, operator: str, verb: str, args: Args) -> dict[str, Any]:
        quotes = [self._checked(one) for one in _quotes(args.get("quotes", ""))]
        source = f"{operator}: {clean(args.get('source', ''))[:_NAME_LIMIT] or 'by hand'}"
        given = {"source": source, "quotes": json.dumps(quotes, separators=(",", ":"))}
        return self._submit(operator, verb, given | ({"accept": "Y"} if args.get("accept") == "Y" else {}))

    def _checked(self, one: list[str]) -> list[str]:
        """A quote as the core takes it. Raises OperatorError."""
        symbol, price, at = one
        if symbol not in self._watch.book.instruments:
            raise OperatorError(f"{show(symbol)} is not in the instruments file; nothing was loaded of this part")
        try:
            value, moment = plain_decimal(price), utc_moment(at)
        except ValueError as error:
            raise OperatorError(f"{show(symbol)}: {show(price)} as of {show(at)}: {error}") from None
        if not isinstance(value, Decimal) or value <= 0:
            raise OperatorError(f"{show(symbol)}: {show(price)} is not above zero")
        if moment > datetime.now(UTC) + AHEAD:
            raise OperatorError(f"{show(symbol)}: {moment:%Y-%m-%d %H:%M:%S} UTC is in the future")
        return [symbol, f"{value:f}", moment.isoformat()]


def _quotes(text: str) -> list[list[str]]:
    try:
        found: Any = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    rows = found if isinstance(found, list) else []
    if not rows or len(rows) > PART or not all(_is_quote(row) for row in rows):
        raise OperatorError(f"quotes: not a list of 1 to {PART} of [symbol, price, time]; use `oms prices load FILE`")
    return rows


def _is_quote(row: Any) -> bool:
    return isinstance(row, list) and len(row) == 3 and all(isinstance(value, str) for value in row)
