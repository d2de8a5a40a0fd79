"""What all commands share: options, tables a person can read, JSON, and the error for what is not there.

What counterparties wrote is shown as text and nothing else: markup is not interpreted, and control characters,
which could move the cursor of an operator's terminal, are shown as \\xNN. Times are UTC.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, is_dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

import click
from click.core import ParameterSource
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from oms.config.load import Config, load
from oms.ledger.database import Engine, open_ledger
from oms.ops import looks
from oms.ops.way import ELSEWHERE, way

Command = TypeVar("Command", bound=Callable[..., Any])

NOT_VERIFIED = 1
PIPE_WIDTH = 240  # columns of a table that goes into a file or another program
RIGHT, PROSE = ">", "~"  # ends of column names: set to the right; the first to be folded where room is short
NARROWEST = 24  # columns; other texts are folded only beyond it


class NotFound(click.ClickException):
    """What was asked for is not in the ledger."""

    exit_code = 3

    def show(self, file: Any = None) -> None:
        """The message alone, on standard error."""
        click.echo(f"oms: {self.message}", err=True)


def config_option(command: Command) -> Command:
    """``--config``: default from OMS_CONFIG, else oms.toml here."""
    return click.option(
        "--config",
        "path",
        type=click.Path(path_type=Path),
        default=Path("oms.toml"),
        envvar="OMS_CONFIG",
        show_default=True,
        help="The configuration; also from OMS_CONFIG.",
    )(command)


def json_option(command: Command) -> Command:
    """``--json``."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(command)


def reason_option(command: Command) -> Command:
    """``--reason``: passed on as ``text``."""
    return click.option("--reason", "text", required=True, help="Why; kept in the journal with your name.")(command)


def limit_option(command: Command) -> Command:
    """``--limit``: how many rows at most."""
    return click.option(
        "--limit",
        type=click.IntRange(1, 1_000_000),
        default=50,
        show_default=True,
        help="Rows at most, newest first.",
    )(command)


def state_dir_of(path: Path) -> Path:
    """The state directory of the gateway to command; with `oms --control` that one is elsewhere, and none is read."""
    return ELSEWHERE if way.address else load(path).gateway.state_dir


@contextmanager
def reading(path: Path, *, recorded: bool = True) -> Iterator[tuple[Config, Engine]]:
    """The configuration, and a read-only engine on its ledger. Raises OperatorError.

    That the command looks is on record first, unless it shows nothing that not everybody should see (`recorded`
    False), or is one that must not wait for that.
    """
    config = load(path)
    if recorded:
        looks.record(config.gateway.state_dir, *_asked())
    with open_ledger(config) as engine:
        yield config, engine


def _asked() -> tuple[str, str]:
    """The command under way, and what it was given, about as it was typed; no secret is ever given so."""
    context = click.get_current_context()
    given = []
    for one in context.command.params:
        value = context.params.get(one.name or "")
        if one.name == "path" or context.get_parameter_source(one.name or "") is not ParameterSource.COMMANDLINE:
            continue
        words = "" if value is True else " ".join(map(str, value)) if isinstance(value, tuple) else str(value)
        given.append(words if isinstance(one, click.Argument) else f"{one.opts[0]} {words}".strip())
    return context.command_path.partition(" ")[2], " ".join(given)


class Since(click.ParamType):
    """A moment: a date, a date and time, a time of today, or an age such as 30m, 2h or 1d. All UTC."""

    name = "when"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """The moment, aware."""
        if isinstance(value, datetime):
            return value
        found = parse_since(str(value), datetime.now(UTC))
        if found is None:
            self.fail(
                f"{value!r} is no time; write 2026-03-02, 2026-03-02T13:00, 13:00, 30m, 2h or 1d (UTC)", param, ctx
            )
        return found


def parse_since(text: str, now: datetime) -> datetime | None:
    """The moment a text means, None where it means none."""
    if age := re.fullmatch(r"(\d{1,5})([smhd])", text):
        unit = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}[age[2]]
        return now - timedelta(**{unit: int(age[1])})
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        try:
            moment = datetime.combine(now.date(), time.fromisoformat(text))
        except ValueError:
            return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def console() -> Console:
    """Where tables go: as wide as the terminal, and wide enough where there is none."""
    made = Console(highlight=False, markup=False, emoji=False)
    if not made.is_terminal:
        made.width = PIPE_WIDTH
    return made


def clean(value: object) -> str:
    """A text without control characters."""
    return re.sub(r"[\x00-\x1f\x7f-\x9f]", lambda found: f"\\x{ord(found[0]):02x}", str(value))


def wire_text(raw: bytes) -> str:
    """A FIX message as text; bytes that are no UTF-8 are taken one by one."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> Table:
    """A table; a column with nothing in it is left out.

    A column named ``x>`` is called x and set to the right; ``x~`` is called x and holds sentences.
    """
    cells = [[cell if isinstance(cell, Text) else Text(clean(cell)) for cell in row] for row in rows]
    used = [number for number in range(len(columns)) if number == 0 or any(row[number].plain for row in cells)]
    made = Table(
        title=Text(title),
        title_justify="left",
        title_style="bold",
        box=SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        padding=(0, 1, 0, 0),
        header_style="",
    )
    least = {number: _least(columns[number], [row[number] for row in cells]) for number in used}
    fits = sum(least.values()) + 2 * len(used) <= console().width
    for number in used:
        justify: Any = "right" if columns[number].endswith(RIGHT) else "left"
        name = Text(columns[number].rstrip(RIGHT + PROSE))
        made.add_column(name, justify=justify, overflow="fold", min_width=least[number] if fits else None)
    for row in cells:
        made.add_row(*[row[number] for number in used])
    return made


def _least(column: str, cells: list[Text]) -> int:
    """How narrow a column may become before all columns are folded alike: nothing is ever cut off."""
    name = column.rstrip(RIGHT + PROSE)
    width = max([len(name), *(cell.cell_len for cell in cells)])
    return min(width, NARROWEST // 2 if column.endswith(PROSE) else NARROWEST)


def print_tables(out: Console, tables: Sequence[Table | None]) -> None:
    """Prints the tables there are, an empty line before each."""
    for made in tables:
        if made is not None:
            out.print()
            out.print(made)


def print_labelled(out: Console, rows: Sequence[tuple[str, Text]]) -> None:
    """Prints lines that begin with a label; a long one is folded under its text, in a file or pipe it stays one."""
    width = max(len(label) for label, _ in rows)
    grid = Table.grid(padding=(0, 1, 0, 0))
    for label, text in rows:
        if out.is_terminal:
            grid.add_row(Text(f"  {label}"), text)
        else:
            out.print(Text(f"  {label:<{width}} ") + text, soft_wrap=True)
    if out.is_terminal:
        out.print(grid)


def print_line(out: Console, indent: int, line: Text) -> None:
    """Prints a line that is folded under its own beginning; in a file or pipe it stays one line."""
    if out.is_terminal:
        out.print(Padding(line, (0, 0, 0, indent), expand=False))
    else:
        out.print(Text(" " * indent) + line, soft_wrap=True)


def times(values: Sequence[datetime | None]) -> Callable[[datetime | None], str]:
    """How to show these times: without the date where all are of one day."""
    days = {value.astimezone(UTC).date() for value in values if value is not None}
    return moment if len(days) <= 1 else day_and_time


def of_day(values: Sequence[datetime | None]) -> str:
    """`` of 2026-03-02 (UTC)`` where all times are of that day, for the title of their table."""
    days = {value.astimezone(UTC).date() for value in values if value is not None}
    return f" of {days.pop()} (UTC)" if len(days) == 1 else " (times UTC)"


def emit_json(value: object) -> None:
    """Prints a value as JSON: decimals and times as text, records as objects."""
    click.echo(json.dumps(value, indent=2, default=_as_json, ensure_ascii=False))


def _as_json(value: object) -> object:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, bytes):
        return wire_text(value)
    raise TypeError(f"{type(value).__name__} has no form in JSON")


def number(value: Decimal | None) -> str:
    """A quantity or price for people: thousands apart, no needless zeros, '' for none."""
    if value is None:
        return ""
    text = f"{value:,f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def moment(value: datetime | None) -> str:
    """A time of day to the millisecond, UTC; '' for none."""
    return "" if value is None else f"{value.astimezone(UTC):%H:%M:%S.%f}"[:-3]


def day_and_time(value: datetime | None) -> str:
    """Date and time to the millisecond, UTC; '' for none."""
    return "" if value is None else f"{value.astimezone(UTC):%Y-%m-%d} {moment(value)}"


def span(seconds: float) -> str:
    """A duration for people: 740 us, 12.3 ms, 4.56 s, 3 min 20 s, 2 h 5 min."""
    if abs(seconds) < 0.001:
        return f"{seconds * 1e6:.0f} us"
    if abs(seconds) < 1:
        return f"{seconds * 1e3:.3g} ms" if abs(seconds) < 0.1 else f"{seconds * 1e3:.0f} ms"
    if abs(seconds) < 100:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"


def plural(count: int, noun: str) -> str:
    """``1 fill``, ``2 fills``, ``3 batches``, ``4 replies``."""
    if count != 1:
        noun = noun[:-1] + "ies" if noun.endswith("y") else noun + ("es" if noun.endswith("ch") else "s")
    return f"{count:,} {noun}"
