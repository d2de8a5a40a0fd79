"""The order state scenarios of the FIX standard (4.4, Appendix D: groups A to L), read from Markdown tables.

A file is named by its reference (`scenarios/B.1.b.md`): a title line `# B.1.b Title`, a line `FIX 4.2: D4` where 4.2
has it, free text, and one table. A row is one message, seen from between client and broker:

- Step: a number; `5a` is an alternative to step 5 that ends the run there, and is a run of its own (`B.1.b-5a`).
- From: `client` or `broker` (the gateway must pass it to the other side in that side's ids and version), `gateway`
  (what it does by itself), `offline` (told by telephone: nothing is sent) or `day` (the next trading day begins).
- A row of `client` or `broker` that must not reach the other side is followed by rows from `gateway`: its answer to
  who sent it, or ExceptionItem, whose kind is in More (nothing is sent, a person is to look at it).
- ClOrdID(11), OrigClOrdID(41): letters, other ids in every run.
- More: further fields as `Name(tag)=value`, set apart by `;`. ExecID(17) and ExecRefID(19) are letters too.

Values are the words of `WORDS` or plain FIX values; the words are 4.4's, other versions are the runner's business.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import resources
from typing import NamedTuple

from oms.errors import OperatorError

ITEM = "ExceptionItem"
MESSAGES = {
    "NewOrderSingle": "D", "OrderCancelRequest": "F", "OrderCancelReplaceRequest": "G", "OrderStatusRequest": "H",
    "ExecutionReport": "8", "OrderCancelReject": "9", "DontKnowTrade": "Q", ITEM: "",
}  # fmt: skip
EXEC_TYPES = {
    "New": "0", "DoneForDay": "3", "Canceled": "4", "Replaced": "5", "PendingCancel": "6", "Stopped": "7",
    "Rejected": "8", "Suspended": "9", "PendingNew": "A", "Calculated": "B", "Expired": "C", "Restated": "D",
    "PendingReplace": "E", "Trade": "F", "TradeCorrect": "G", "TradeCancel": "H", "OrderStatus": "I",
}  # fmt: skip
ORD_STATUSES = {
    "New": "0", "PartiallyFilled": "1", "Filled": "2", "DoneForDay": "3", "Canceled": "4", "PendingCancel": "6",
    "Stopped": "7", "Rejected": "8", "Suspended": "9", "PendingNew": "A", "Calculated": "B", "Expired": "C",
    "PendingReplace": "E",
}  # fmt: skip
WORDS = {"150": EXEC_TYPES, "39": ORD_STATUSES}
SIDES = ("client", "broker", "gateway", "offline", "day")
_HEAD = ("Step", "From", "Message")
_STEP = re.compile(r"[1-9][0-9]*[a-h]?")
_FIELD = re.compile(r"([A-Za-z]+)\((\d+)\)")
_TITLE = re.compile(r"# ([A-L]\.\d\.[a-f]) (.+)")


class Row(NamedTuple):
    """One step. `fields` is by tag number, without empty cells; words are FIX values already."""

    step: str
    side: str
    msg_type: str  # MsgType(35), '' for offline, day and an exception item
    fields: dict[str, str]
    text: str = ""  # what happened, for offline and day; the kind of an exception item


class Scenario(NamedTuple):
    """One scenario of the standard."""

    reference: str  # as 4.4 has it: B.1.b
    title: str
    fix42: str  # as 4.2 has it: D4; '' where it has none
    rows: tuple[Row, ...]


class Run(NamedTuple):
    """One way through a scenario: the main path, or one that ends in an alternative."""

    name: str  # B.1.b, or B.1.b-5a
    scenario: Scenario
    rows: tuple[Row, ...]


def parse(text: str, name: str) -> Scenario:
    """A scenario file's text. OperatorError says what is wrong in which line of `name`."""
    lines = text.splitlines()
    title = _TITLE.fullmatch(lines[0]) if lines else None
    if title is None:
        raise OperatorError(
            f"{name}: the first line must be '# <reference> <title>', such as '# B.1.b Cancel of ...'"
        )
    fix42 = next((line.partition(":")[2].strip() for line in lines if line.startswith("FIX 4.2:")), "")
    columns: list[str] = []
    rows: list[Row] = []
    for number, line in enumerate(lines, 1):
        if not line.startswith("|"):
            continue
        cells = [cell.strip() for cell in line.strip().removeprefix("|").removesuffix("|").split("|")]
        if not columns:
            columns = cells
            if tuple(columns[:3]) != _HEAD or columns[-1] != "More":
                raise OperatorError(f"{name}:{number}: the columns are Step, From, Message, fields, More")
        elif set("".join(cells)) - set("-: "):
            if len(cells) != len(columns):
                raise OperatorError(f"{name}:{number}: {len(cells)} cells where the head has {len(columns)} columns")
            rows.append(_row(dict(zip(columns, cells, strict=True)), f"{name}:{number}"))
    if not rows:
        raise OperatorError(f"{name}: there is no table of steps")
    return Scenario(title[1], title[2].strip(), fix42, tuple(rows))


def _row(cells: dict[str, str], place: str) -> Row:
    step, side, message = cells["Step"], cells["From"], cells["Message"]
    if not _STEP.fullmatch(step):
        text = "a step is a number, or a number and a letter for an alternative"
        raise OperatorError(f"{place}: {text}, not {step!r}")
    if side not in SIDES:
        raise OperatorError(f"{place}: From is one of {', '.join(SIDES)}, not {side!r}")
    if side in ("offline", "day"):
        return Row(step, side, "", {}, cells["More"])
    if message not in MESSAGES:
        raise OperatorError(f"{place}: {message!r} is not one of {', '.join(MESSAGES)}")
    if message == ITEM:
        if side != "gateway":
            raise OperatorError(f"{place}: {ITEM} is the gateway's own: From must be gateway")
        return Row(step, side, "", {}, cells["More"])
    given = [(column, cells[column]) for column in list(cells)[3:-1] if cells[column]]
    for part in filter(None, (one.strip() for one in cells["More"].split(";"))):
        key, equals, value = part.partition("=")
        if not equals:
            raise OperatorError(f"{place}: {part!r} in More is not Name(tag)=value")
        given.append((key.strip(), value.strip()))
    fields: dict[str, str] = {}
    for column, value in given:
        found = _FIELD.fullmatch(column)
        if found is None:
            raise OperatorError(f"{place}: {column!r} is not Name(tag)")
        words = WORDS.get(found[2], {})
        if words and value not in words:
            raise OperatorError(f"{place}: {value!r} is not one of {', '.join(words)}")
        fields[found[2]] = words.get(value, value)
    return Row(step, side, MESSAGES[message], fields)


def runs(scenario: Scenario) -> Iterator[Run]:
    """The main path first, then one run per alternative, in the order of the file."""
    main = tuple(row for row in scenario.rows if row.step.isdecimal())
    yield Run(scenario.reference, scenario, main)
    for row in scenario.rows:
        if not row.step.isdecimal():
            before = int(row.step.rstrip("abcdefgh"))
            steps = tuple(one for one in main if int(one.step) < before)
            yield Run(f"{scenario.reference}-{row.step}", scenario, (*steps, row))


def answers(rows: tuple[Row, ...], at: int) -> tuple[Row, ...]:
    """What the gateway does by itself about the row at `at`; empty where it passes that row on."""
    after = at + 1
    while after < len(rows) and rows[after].side == "gateway":
        after += 1
    return rows[at + 1 : after]


def load_all() -> list[Scenario]:
    """Every scenario of the package, by reference."""
    folder = resources.files("oms.certify") / "scenarios"
    files = sorted((one for one in folder.iterdir() if one.name.endswith(".md")), key=lambda one: one.name)
    return [parse(one.read_text(encoding="utf-8"), one.name) for one in files]
