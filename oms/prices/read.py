"""Prices out of a CSV or JSON text, by the names that the configuration gives. What is wrong is named, with its line.

A text with any wrong row gives no prices at all: half of a price list is not one to trade by. Rows without a price
are passed over, because lists name what has not traded yet.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

from oms.config.problems import plain_decimal, show
from oms.config.reference import utc_moment
from oms.errors import OperatorError
from oms.prices.feed import Quote

MAX_BYTES = 16_000_000
MAX_ROWS = 200_000
PART = 400  # prices of one command of an operator at most


class Names(NamedTuple):
    """What the columns, or the names in JSON, are called."""

    symbol: str = "symbol"
    price: str = "price"
    at: str = "at"


def from_csv(text: str, names: Names, now: datetime) -> list[Quote]:
    """Prices of a CSV text with a header; lines that begin with # are skipped. Raises OperatorError."""
    kept = ["" if line.lstrip().startswith("#") else line for line in text.splitlines()]
    reader = csv.reader(io.StringIO("\n".join(kept)), skipinitialspace=True)
    try:
        columns = [name.strip() for name in next((cells for cells in reader if cells), [])]
        for name in (names.symbol, names.price):
            if name not in columns:
                raise OperatorError(f"no column {name} in the header; there are {', '.join(columns) or 'none'}")
        rows = ((f"line {reader.line_num}", dict(zip(columns, cells, strict=False))) for cells in reader if cells)
        return list(_quotes(rows, names, now))
    except csv.Error as error:
        raise OperatorError(f"line {reader.line_num} is not CSV: {error}") from error


def from_json(text: str, rows: str, names: Names, now: datetime) -> list[Quote]:
    """Prices of a JSON text; `rows` says where the list of them is, '' that it is the list. Raises OperatorError."""
    try:
        found: Any = json.loads(text, parse_float=Decimal)
    except (ValueError, RecursionError) as error:
        raise OperatorError(f"not JSON: {error}") from error
    for name in filter(None, rows.split(".")):
        found = found.get(name) if isinstance(found, dict) else None
    if not isinstance(found, list) or not all(isinstance(row, dict) for row in found):
        raise OperatorError(f"no list of objects at {rows or 'the top'}")
    return list(_quotes(((f"row {number}", row) for number, row in enumerate(found, 1)), names, now))


def _quotes(rows: Iterable[tuple[str, Mapping[Any, Any]]], names: Names, now: datetime) -> Iterator[Quote]:
    for number, (where, row) in enumerate(rows):
        if number >= MAX_ROWS:
            raise OperatorError(f"more than {MAX_ROWS} rows; give fewer symbols")
        symbol, price, at = (_cell(row.get(name)) for name in names)
        if price in (None, ""):
            continue
        if not isinstance(symbol, str) or not symbol:
            raise OperatorError(f"{where}: no {names.symbol}")
        try:
            value = plain_decimal(price)
            assert isinstance(value, Decimal)
            if not value:
                raise ValueError("zero")
        except ValueError:
            said = f"{where}: {names.price} {show(price)} of {show(symbol)} is not a number above zero"
            raise OperatorError(f"{said} with at most 12 decimals") from None
        try:
            yield Quote(symbol, value, utc_moment(at) if at else now)
        except ValueError:
            said = f"{where}: {names.at} {show(at)} of {show(symbol)} is not a date and time with Z or an offset"
            raise OperatorError(said) from None


def _cell(value: Any) -> Any:
    return value.strip() if isinstance(value, str) else value
