"""Reference data from CSV files: the instruments that may be traded and the accounts that may be used.

Both files have a header line that names the columns; lines that begin with ``#`` and empty lines are skipped.
Limits: read once at start-up; no history. Invariant: a line with any problem gives no instrument and no
account.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import BeforeValidator, model_validator

from oms.config.problems import REQUIRED, Problems, Section, key, plain_decimal, show, suggestion, wrong

Row = TypeVar("Row", bound=Section)
NAME = r"^[^\x00-\x20\x7f*?\[\]](?:[^\x00-\x1f\x7f*?\[\]]{0,62}[^\x00-\x20\x7f*?\[\]])?$"
A_NAME = "1 to 64 printable characters without * ? [ ]"
A_NUMBER = "a number above zero with at most 12 decimals"


def _yes_or_no(value: object) -> object:
    if value in ("Y", "N", True, False):
        return value in ("Y", True)
    raise ValueError("not Y or N")


def _patterns(value: object) -> object:
    items = [item.strip() for item in value.split(";")] if isinstance(value, str) else value
    if not isinstance(items, list | tuple) or not all(isinstance(item, str) and item.isprintable() for item in items):
        raise ValueError("not names")
    return tuple(item for item in items if item)


def utc_moment(value: object) -> datetime:
    """A moment written with its offset, in UTC. Raises ValueError."""
    moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    if not isinstance(moment, datetime) or moment.tzinfo is None:
        raise ValueError("not a moment with its offset from UTC")
    return moment.astimezone(UTC)


A_MOMENT = "a date and time with Z or an offset"
UtcMoment = Annotated[datetime, BeforeValidator(utc_moment)]
Number = Annotated[Decimal, BeforeValidator(plain_decimal)]
YesNo = Annotated[bool, BeforeValidator(_yes_or_no)]


class Instrument(Section):
    """One line of instruments.csv."""

    symbol: str = key(REQUIRED, "Symbol(55); one line per symbol.", expects=A_NAME, example="AAPL", pattern=NAME)
    security_exchange: str = key(
        REQUIRED,
        "SecurityExchange(207), a market identifier code.",
        expects=A_NAME,
        example="XNAS",
        pattern=NAME,
    )
    currency: str = key(
        REQUIRED,
        "Currency(15), ISO 4217.",
        expects="three capital letters",
        example="USD",
        pattern=r"^[A-Z]{3}$",
    )
    tick_size: Number = key(REQUIRED, "Prices are multiples of it.", expects=A_NUMBER, example="0.01", gt=0)
    lot_size: Number = key(REQUIRED, "Quantities are multiples of it.", expects=A_NUMBER, example="1", gt=0)
    reference_price: Number | None = key(
        None,
        "Values market orders for the limits. Empty: market orders are refused.",
        expects=A_NUMBER,
        example="190.50",
        gt=0,
    )
    min_price: Number | None = key(None, "Lowest price taken. Empty: none.", expects=A_NUMBER, example="95", gt=0)
    max_price: Number | None = key(None, "Highest price taken. Empty: none.", expects=A_NUMBER, example="285", gt=0)
    tradable: YesNo = key(True, "Whether new orders are taken.", expects="Y or N", example="Y")
    asset_class: str = key("", "For limits by asset class. Empty: none.", expects=A_NAME, example="equity")
    average_volume: Number | None = key(
        None, "Shares traded on an average day, for max_volume_share.", expects=A_NUMBER, example="50000000", gt=0
    )
    market: str = key("", "Whose hours count, of the markets file. Empty: none.", expects=A_NAME, example="XNYS")

    reference_at: UtcMoment | None = key(
        None,
        "As of when reference_price is. Empty: nobody knows, and [limits] max_price_age refuses it.",
        expects=A_MOMENT,
        example="2026-03-02T16:30:00Z",
    )

    @model_validator(mode="after")
    def _time_of_price(self) -> Instrument:
        if self.reference_at is not None and self.reference_price is None:
            raise wrong("reference_at without reference_price", "write the price too, or remove the time")
        return self

    @model_validator(mode="after")
    def _band(self) -> Instrument:
        if self.min_price is not None and self.max_price is not None and self.min_price > self.max_price:
            raise wrong(f"min_price {self.min_price} is above max_price {self.max_price}", "exchange or correct them")
        price = self.reference_price
        too_low = price is not None and self.min_price is not None and price < self.min_price
        too_high = price is not None and self.max_price is not None and price > self.max_price
        if too_low or too_high:
            raise wrong(
                f"reference_price {price} is outside min_price and max_price",
                "correct the price or the band around it",
            )
        return self


class Account(Section):
    """One line of accounts.csv."""

    account: str = key(REQUIRED, "Account(1).", expects=A_NAME, example="FUND1", pattern=NAME)
    clients: Annotated[tuple[str, ...], BeforeValidator(_patterns)] = key(
        REQUIRED,
        "Client sessions (OmsName) that may use it, separated by ; with patterns (* ? [..]) allowed.",
        expects="names or patterns separated by ;",
        example="CLIENT1;CLIENT2",
        min_length=1,
    )
    active: YesNo = key(True, "Whether new orders are taken.", expects="Y or N", example="Y")


def read_instruments(file: Path, named_by: str, problems: Problems) -> dict[str, Instrument]:
    """All instruments of the file by Symbol(55)."""
    return {row.symbol: row for row in unique_rows(Instrument, "symbol", file, named_by, problems)}


def read_accounts(file: Path, named_by: str, problems: Problems) -> dict[str, Account]:
    """All accounts of the file by Account(1)."""
    return {row.account: row for row in unique_rows(Account, "account", file, named_by, problems)}


def unique_rows(model: type[Row], name: str, file: Path, named_by: str, problems: Problems) -> Iterator[Row]:
    """The lines of a file as models; a second line with the same ``name`` is a problem."""
    seen: dict[str, int] = {}
    for line, values in lines(model, file, named_by, problems):
        row = problems.validated(model, {k: v for k, v in values.items() if v}, file, line)
        identity = values.get(name, "")
        if identity in seen:
            problems.add(file, f"line {line} {name}", f"{show(identity)} is on line {seen[identity]} too", "keep one")
            continue
        if identity:
            seen[identity] = line
        if row is not None:
            yield row
    if not seen and not any(problem.file == file for problem in problems.found):
        problems.add(file, "", "no line below the header", f"add at least one {name}")


def lines(
    model: type[Section], file: Path, named_by: str, problems: Problems
) -> Iterator[tuple[int, dict[str, str]]]:
    """Line number and values by column of each line below the header."""
    text = problems.read(file, named_by)
    if text is None:
        return
    # a comment becomes an empty line, so that the line numbers stay right
    kept = ["" if line.lstrip().startswith("#") else line for line in text.splitlines()]
    reader = csv.reader(io.StringIO("\n".join(kept)), strict=True)
    columns: list[str] = []
    try:
        for cells in reader:
            values = [cell.strip() for cell in cells]
            if not any(values):
                continue
            if not columns:
                columns = values
                if not _columns_right(model, columns, file, reader.line_num, problems):
                    return
            elif len(values) != len(columns):
                problems.add(
                    file,
                    f"line {reader.line_num}",
                    f"{len(values)} values for {len(columns)} columns",
                    "write one value per column; leave optional ones empty, and quote values that contain a comma",
                )
            else:
                yield reader.line_num, dict(zip(columns, values, strict=True))
    except csv.Error as error:
        problems.add(file, f"line {reader.line_num}", f"not CSV: {error}", "mend the quotes on that line")
    if not columns:
        problems.add(file, "", "empty", f"begin with the header line {','.join(model.model_fields)}")


def _columns_right(model: type[Section], columns: list[str], file: Path, line: int, problems: Problems) -> bool:
    """Whether the header names only known columns, each once, and all required ones."""
    before = len(problems.found)
    where = f"line {line} (header)"
    for column in columns:
        if column not in model.model_fields:
            problems.add(file, where, f"unknown column {show(column)}", suggestion(column, model.model_fields))
        elif columns.count(column) > 1:
            problems.add(file, where, f"column {column} is there twice", "remove one of them")
            break
    for name, field in model.model_fields.items():
        if field.is_required() and name not in columns:
            problems.add(file, where, f"no column {name}", f"add it; known here: {', '.join(model.model_fields)}")
    return len(problems.found) == before
