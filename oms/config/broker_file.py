"""A broker's end-of-day files: how it writes them ([file] of its dialect), and reading them by that.

A file of executions has one line per execution as it stands at the end of the day, one of positions one line per
account and symbol. Whatever is wrong is one answer with the line and a remedy (`BadFile`), and nothing of the file
counts then: half a file would look like fills that the broker does not have.
Limits: CSV in UTF-8 with one line of column names; FILE_LIMIT bytes; times are UTC.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Annotated, Literal, NoReturn

from pydantic import BeforeValidator, StrictStr, ValidationInfo, field_validator

from oms.config.problems import Section, key, plain_decimal, show, suggestion, wrong
from oms.errors import OperatorError

FILE_LIMIT = 100_000_000
SIDES = frozenset("123456789ABCDEFG")  # Side(54)
_ID_LIMIT = 255


class BadFile(OperatorError):
    """A file that cannot be compared; the text names the line and the remedy."""


def _value_tables(value: object) -> object:
    if not isinstance(value, dict) or not all(
        isinstance(table, dict) and all(isinstance(text, str) for text in table.values()) for table in value.values()
    ):
        raise ValueError("not tables")
    strange = sorted(set(value) - {"side", "symbol", "account"})
    if strange:
        raise ValueError("not a column with values")
    return value


def _column(name: str, meaning: str) -> StrictStr:
    column: StrictStr = key(name, meaning, expects="a column name", example=f'"{name}"')
    return column


class BrokerFile(Section):
    """[file]: how the broker writes its end-of-day files."""

    exec_id: StrictStr = _column("ExecID", "Column with ExecID(17), as on its session.")
    order_id: StrictStr = _column("OrderID", "Column with OrderID(37) of the broker; may be absent.")
    cl_ord_id: StrictStr = _column("ClOrdID", "Column with our ClOrdID(11); may be absent.")
    symbol: StrictStr = _column("Symbol", "Column with Symbol(55).")
    side: StrictStr = _column("Side", "Column with Side(54).")
    quantity: StrictStr = _column("LastQty", "Column with LastQty(32), in shares.")
    price: StrictStr = _column("LastPx", "Column with LastPx(31).")
    account: StrictStr = _column("Account", "Column with Account(1); may be absent in a file of executions.")
    trade_date: StrictStr = _column("TradeDate", "Column with TradeDate(75); may be absent.")
    time: StrictStr = _column("TransactTime", "Column with TransactTime(60), UTC; may be absent.")
    long_quantity: StrictStr = _column("LongQty", "In a file of positions: column with LongQty(704), or the net.")
    short_quantity: StrictStr = _column(
        "ShortQty", "In a file of positions: column with ShortQty(705); may be absent."
    )
    delimiter: Literal[",", ";", "\t", "|"] = key(
        ",", "What stands between columns.", expects='",", ";", "|" or "\\t"', example='";"'
    )
    decimal_point: Literal[".", ","] = key(".", "What stands before decimals.", expects='"." or ","', example='","')
    thousands: Literal["", ",", ".", "'", " "] = key(
        "", "What stands between thousands.", expects="a comma, point, apostrophe, space or nothing", example='","'
    )
    date_format: StrictStr = key(
        "%Y%m%d", "How dates are written (Python's strptime).", expects="a format", example='"%d.%m.%Y"'
    )
    time_format: StrictStr = key(
        "%Y%m%d-%H:%M:%S",
        "How times are written; a fraction of a second after a point may follow.",
        expects="a format",
        example='"%Y-%m-%dT%H:%M:%S"',
    )
    values: Annotated[dict[str, dict[str, str]], BeforeValidator(_value_tables)] = key(
        dict,
        "Values of side, symbol and account that the file calls otherwise: theirs = ours. Where symbol or account is"
        " not here, [[translate]] of the dialect counts.",
        expects="tables for side, symbol or account",
        example='{ side = { "BUY" = "1" } }',
    )

    @field_validator("thousands")
    @classmethod
    def _unlike_point(cls, value: str, info: ValidationInfo) -> str:
        if value and value == info.data.get("decimal_point"):
            raise wrong(f"{show(value)} is the decimal_point as well", "write the two as the broker does")
        return value


@dataclass(frozen=True, slots=True)
class Told:
    """One execution as the file has it; '' and None where it does not say."""

    line: int
    exec_id: str
    order_id: str
    cl_ord_id: str
    symbol: str
    side: str
    quantity: Decimal
    price: Decimal
    account: str
    at: datetime | None


@dataclass(frozen=True, slots=True)
class Holding:
    """One position as the file has it: shares, below zero short."""

    line: int
    account: str
    symbol: str
    net: Decimal


Values = dict[str, dict[str, str]]


class FileReader:
    """Reads one file of one broker. `known` has the dialect's [[translate]] tables, theirs = ours."""

    def __init__(self, form: BrokerFile, data: bytes, name: str, known: Values) -> None:
        self._form = form
        self._name = name
        self._values = {**known, **form.values}
        self._text = self._decoded(data)

    def executions(self, day: date) -> list[Told]:
        """All executions of the file, which must be of this trade date. Raises BadFile."""
        needed = ("exec_id", "symbol", "side", "quantity", "price")
        other = ("order_id", "cl_ord_id", "account", "trade_date", "time")
        made = [self._told(line, row, day) for line, row in self._rows(needed, other)]
        if not made:
            self._bad(1, "there is no execution after the column names", "ask the broker for the whole file")
        return made

    def positions(self, day: date) -> list[Holding]:
        """All positions of the file. Raises BadFile."""
        made: dict[tuple[str, str], Holding] = {}
        needed = ("account", "symbol", "long_quantity")
        for line, row in self._rows(needed, ("short_quantity", "trade_date")):
            self._check_day(line, row, day)
            net = self._amount(line, row, "long_quantity", signed=True)
            if row.get("short_quantity"):
                net -= self._amount(line, row, "short_quantity")
            one = Holding(line, self._value(line, row, "account"), self._value(line, row, "symbol"), net)
            before = made.setdefault((one.account, one.symbol), one)
            if before is not one:
                self._bad(
                    line, f"{one.account} {one.symbol} stands in line {before.line} as well", "keep one of them"
                )
        if not made:
            self._bad(1, "there is no position after the column names", "ask the broker for the whole file")
        return list(made.values())

    # -- lines -------------------------------------------------------------------------------------------------

    def _bad(self, line: int, problem: str, remedy: str) -> NoReturn:
        raise BadFile(f"{self._name}, line {line}: {problem}; {remedy}. Nothing was compared.")

    def _decoded(self, data: bytes) -> str:
        if len(data) > FILE_LIMIT:
            self._bad(1, f"the file has {len(data)} bytes, more than {FILE_LIMIT}", "ask the broker for smaller ones")
        if not data.strip():
            self._bad(1, "the file is empty", "ask the broker for it again")
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = data.count(b"\n", 0, error.start) + 1
            self._bad(line, f"byte {data[error.start]:#04x} is not UTF-8", "convert the file: iconv -t UTF-8")
        if "\x00" in text:
            self._bad(text.count("\n", 0, text.index("\x00")) + 1, "a NUL character", "this is no CSV file")
        return text

    def _rows(self, needed: tuple[str, ...], other: tuple[str, ...]) -> Iterator[tuple[int, dict[str, str]]]:
        """Line number and values by our name for the column."""
        reader = csv.reader(io.StringIO(self._text, newline=""), delimiter=self._form.delimiter, strict=True)
        columns: dict[str, int] = {}
        width = 0
        try:
            for cells in reader:
                if not any(cell.strip() for cell in cells):
                    continue
                if not columns:
                    columns, width = self._head(reader.line_num, cells, needed, other), len(cells)
                    continue
                if len(cells) != width:
                    problem = f"{len(cells)} columns where the first line has {width}"
                    self._bad(reader.line_num, problem, "the file may be cut off: ask the broker for it again")
                yield reader.line_num, {name: cells[place].strip() for name, place in columns.items()}
        except csv.Error as error:
            self._bad(reader.line_num, f"this is no CSV ({error})", "ask the broker for it again")

    def _head(self, line: int, cells: list[str], needed: tuple[str, ...], other: tuple[str, ...]) -> dict[str, int]:
        names = [cell.strip() for cell in cells]
        columns = {}
        for ours in (*needed, *other):
            theirs = getattr(self._form, ours)
            if theirs in names:
                if names.count(theirs) > 1:
                    self._bad(line, f"there are {names.count(theirs)} columns {show(theirs)}", "keep one of them")
                columns[ours] = names.index(theirs)
            elif ours in needed or ours in self._form.model_fields_set:
                remedy = suggestion(theirs, names, f"name the column as {ours} in [file] of the broker's dialect")
                self._bad(line, f"there is no column {show(theirs)}", remedy)
        return columns

    # -- values ------------------------------------------------------------------------------------------------

    def _told(self, line: int, row: dict[str, str], day: date) -> Told:
        self._check_day(line, row, day)
        exec_id = row["exec_id"]
        if not 0 < len(exec_id) <= _ID_LIMIT or not exec_id.isprintable():
            self._bad(
                line, f"{show(exec_id)} is no ExecID(17)", "every execution needs the id of the session's report"
            )
        side = self._value(line, row, "side")
        if side not in SIDES:
            remedy = 'add it to values of side in [file] of the broker\'s dialect, such as { "BUY" = "1" }'
            self._bad(line, f"{show(side)} is no Side(54)", remedy)
        quantity = self._amount(line, row, "quantity")
        if not quantity:
            self._bad(line, "an execution of 0 shares", "leave busted executions out of the file")
        symbol = self._value(line, row, "symbol")
        account = self._value(line, row, "account", empty=True)
        ids = row.get("order_id", ""), row.get("cl_ord_id", "")
        return Told(
            line, exec_id, *ids, symbol, side, quantity, self._amount(line, row, "price"), account,
            self._moment(line, row),
        )  # fmt: skip

    def _check_day(self, line: int, row: dict[str, str], day: date) -> None:
        if "trade_date" not in row:
            return
        text, form = row["trade_date"], self._form.date_format
        found = self._parsed(line, text, (form,), "date_format").date()
        if found != day:
            remedy = f"to compare that day give --trade-date {found}"
            self._bad(line, f"the trade date is {found}, not {day}", remedy)

    def _moment(self, line: int, row: dict[str, str]) -> datetime | None:
        if not row.get("time"):
            return None
        form = self._form.time_format
        return self._parsed(line, row["time"], (form, form + ".%f"), "time_format")

    def _parsed(self, line: int, text: str, forms: tuple[str, ...], key_name: str) -> datetime:
        for form in forms:
            try:
                found = datetime.strptime(text, form)  # noqa: DTZ007 - made aware below
            except ValueError:
                continue
            return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
        remedy = f"write {key_name} in [file] of the broker's dialect as the broker does"
        self._bad(line, f"{show(text)} is not written as {forms[0]}", remedy)

    def _amount(self, line: int, row: dict[str, str], name: str, *, signed: bool = False) -> Decimal:
        text = row[name]
        column = getattr(self._form, name)
        if self._form.thousands:
            text = text.replace(self._form.thousands, "")
        if self._form.decimal_point != ".":
            text = "x" if "." in text else text.replace(self._form.decimal_point, ".")
        negative = signed and text.startswith("-")
        try:
            number = plain_decimal(text[1:] if negative else text)
        except ValueError:
            number = None
        if not isinstance(number, Decimal):
            remedy = "see decimal_point and thousands in [file] of the broker's dialect, or ask for the file again"
            self._bad(line, f"column {column}: {show(row[name])} is no number", remedy)
        return -number if negative else number

    def _value(self, line: int, row: dict[str, str], name: str, *, empty: bool = False) -> str:
        text = row.get(name, "")
        if not empty and not text:
            self._bad(line, f"column {getattr(self._form, name)} is empty", "ask the broker for the whole file")
        if not text.isprintable() or len(text) > _ID_LIMIT:
            self._bad(line, f"column {getattr(self._form, name)}: {show(text)} is no FIX value", "see the file")
        return self._values.get(name, {}).get(text, text)
