"""Tag rules as a dialect's file says them: [[to_counterparty]], [[from_counterparty]], [[translate]].

What they do to a message is in ``oms.fix.rules``; here is what may be written, and the tables of [[translate]].
Invariant: no rule can change what an order is. Ids, terms, quantities and states are out of reach of every rule;
Symbol(55) may be translated and nothing else; a length and its data cannot be parted.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, ValidationInfo, field_validator, model_validator

from oms.config.problems import REQUIRED, Problems, Section, key, show, wrong
from oms.config.reference import unique_rows
from oms.fix.fields import LENGTH_OF

# Header, trailer, ids and the order itself: the gateway's own work, out of reach of [tags].
OWN_TAGS = frozenset((8, 9, 10, 11, 34, 35, 37, 38, 40, 41, 43, 44, 49, 52, 54, 55, 56, 59, 60, 97, 99, 122, 1128))
# What reports and rejects say happened: out of reach as well.
REPORT_TAGS = frozenset((6, 14, 17, 19, 20, 31, 32, 39, 45, 102, 103, 150, 151, 372, 373, 379, 380, 434))
DATA_TAGS = frozenset(int(tag) for pair in LENGTH_OF.items() for tag in pair)
SYMBOL = 55
REFUSED_FOR = frozenset({"D", "G"})
MAX_TAG = 2_147_483_647


def tag_number(text: object) -> int:
    """A tag that rules may touch. Raises what the messages about a file are made from."""
    number = text if isinstance(text, int) and not isinstance(text, bool) else None
    if isinstance(text, str) and text.isascii() and text.isdecimal():
        number = int(text)
    if number is None or not 0 < number <= MAX_TAG:
        raise wrong(f"{show(text)} is not a tag number", 'write the number of the tag, such as "21"')
    if number in OWN_TAGS:
        raise wrong(f"tag {number} is the gateway's own", f"remove {number}; rules are for the other tags")
    return number


def fix_text(text: object) -> str:
    """A value that can stand in a FIX message."""
    if not isinstance(text, str) or not text or not text.isprintable():
        raise wrong(f"{show(text)} is not a FIX value", 'write printable text in quotes, such as "1"')
    return text


def _rule_tag(text: object) -> int:
    if str(text) == str(SYMBOL):
        raise wrong("tag 55 is the gateway's own", 'write a [[translate]] section with tag = "55"')
    number = tag_number(text)
    if number in REPORT_TAGS:
        raise wrong(f"tag {number} says what happened", f"remove {number}; no rule may change it")
    return number


def _whole_tag(text: object) -> int:
    number = _rule_tag(text)
    if number in DATA_TAGS:
        raise wrong(f"tag {number} is a data field or its length", f"remove {number}; it can only be dropped")
    return number


def _tag_list(of: Callable[[object], int]) -> BeforeValidator:
    def convert(value: object) -> object:
        if not isinstance(value, list | tuple | frozenset):
            raise ValueError("not a list")
        return frozenset(of(tag) for tag in value)

    return BeforeValidator(convert)


def _tag_values(value: object) -> object:
    if not isinstance(value, dict):
        raise ValueError("not a table")
    return {_whole_tag(tag): fix_text(text) for tag, text in value.items()}


def _tag_names(value: object) -> object:
    if not isinstance(value, dict):
        raise ValueError("not a table")
    return {_whole_tag(old): _whole_tag(new) for old, new in value.items()}


def _value_tables(value: object) -> object:
    if not isinstance(value, dict) or not all(isinstance(table, dict) and table for table in value.values()):
        raise ValueError("not tables")
    return {
        _whole_tag(tag): {fix_text(old): fix_text(new) for old, new in table.items()} for tag, table in value.items()
    }


def _msg_types(value: object) -> object:
    items = value if isinstance(value, list | tuple | frozenset) else ()
    good = [item for item in items if isinstance(item, str) and item.isascii() and item.isalnum() and len(item) < 4]
    if not items or len(good) < len(items):
        raise ValueError("not MsgTypes")
    return frozenset(items)


TagValues = Annotated[dict[int, str], BeforeValidator(_tag_values)]
A_TAG_LIST = "a list of tag numbers"
TAG_AND_VALUE = "a table of tag number to value"


class TagRule(Section):
    """One [[to_counterparty]] or [[from_counterparty]]: it acts in the order of its keys here."""

    messages: Annotated[frozenset[str], BeforeValidator(_msg_types)] = key(
        frozenset,
        "MsgType(35) values it is for; absent: all.",
        expects="a list of MsgType(35) values",
        example='["D", "G"]',
    )
    rename: Annotated[dict[int, int], BeforeValidator(_tag_names)] = key(
        dict, "Fields that get another tag.", expects="a table of tag to new tag", example='{ "7001" = "9001" }'
    )
    drop: Annotated[frozenset[int], _tag_list(_rule_tag)] = key(
        frozenset,
        "Fields taken out; the count field of a repeating group takes the whole group with it.",
        expects=A_TAG_LIST,
        example='["9002"]',
    )
    map: Annotated[dict[int, dict[str, str]], BeforeValidator(_value_tables)] = key(
        dict,
        "Values that become others, by tag.",
        expects="a table of tag to a table of value to value",
        example='{ "100" = { "XNAS" = "Q", "XNYS" = "N" } }',
    )
    unmapped: Literal["pass", "refuse"] = key(
        "pass",
        "A value that the table of map does not have: pass it, or refuse the order or replace.",
        expects='"pass" or "refuse"',
        example='"refuse"',
    )
    default: TagValues = key(dict, "Fields added where absent.", expects=TAG_AND_VALUE, example='{ "21" = "1" }')
    set: TagValues = key(
        dict, "Fields that get this value, absent or not.", expects=TAG_AND_VALUE, example='{ "9001" = "DESK7" }'
    )
    require: Annotated[frozenset[int], _tag_list(_whole_tag)] = key(
        frozenset,
        "Fields without which a NewOrderSingle(D) or OrderCancelReplaceRequest(G) is refused.",
        expects=A_TAG_LIST,
        example='["9001"]',
    )

    @model_validator(mode="after")
    def _makes_sense(self) -> TagRule:
        if not any((self.rename, self.drop, self.map, self.default, self.set, self.require)):
            raise wrong("does nothing", "add rename, drop, map, default, set or require, or remove it")
        if len(set(self.rename.values())) < len(self.rename):
            raise wrong("rename gives two fields one tag", "give each its own")
        if self.messages and (self.require or self.unmapped == "refuse") and not self.messages <= REFUSED_FOR:
            other = sorted(self.messages - REFUSED_FOR)[0]
            raise wrong(
                f'messages has "{other}", which is never refused: cancels and reports always pass',
                'write messages = ["D", "G"]',
            )
        return self


class Translate(Section):
    """One [[translate]]: values of a field that the counterparty calls otherwise, in both directions."""

    tag: int = key(REQUIRED, "The field, such as Symbol(55).", expects="a tag number in quotes", example='"55"')
    table: dict[str, str] = key(
        dict,
        "Our value and theirs.",
        expects="a table of our value to theirs",
        example='{ "AAPL" = "AAPL.O", "SAP" = "SAPG.DE" }',
    )
    file: str = key(
        "",
        "A CSV file with the columns ours and theirs, beside the dialect's, in place of table.",
        expects="a file name",
        example='"acme-symbols.csv"',
    )
    unmapped: Literal["pass", "refuse"] = key(
        "pass",
        "A value that is not in the table: pass it as it is, or refuse the order or replace.",
        expects='"pass" or "refuse"',
        example='"refuse"',
    )

    @field_validator("tag", mode="before")
    @classmethod
    def _tag(cls, value: object) -> int:
        return SYMBOL if str(value) == str(SYMBOL) else _whole_tag(value)

    @field_validator("table", mode="before")
    @classmethod
    def _one_to_one(cls, value: object, info: ValidationInfo) -> object:
        if not isinstance(value, dict):
            raise ValueError("not a table")
        table = {fix_text(ours): fix_text(theirs) for ours, theirs in value.items()}
        seen: dict[str, str] = {}
        for ours, theirs in table.items():
            if theirs in seen:
                problem = f"{show(theirs)} stands for {show(seen[theirs])} and {show(ours)}"
                raise wrong(problem, "give each its own, so that the way back is known")
            seen[theirs] = ours
        return table

    @model_validator(mode="after")
    def _table_or_file(self) -> Translate:
        if bool(self.table) == bool(self.file):
            what = "both table and file" if self.table else "neither table nor file"
            raise wrong(what, 'write one of them, for example file = "acme-symbols.csv"')
        return self


class Translation(Section):
    """One line of the file of a [[translate]]."""

    ours: str = key(REQUIRED, "Our value.", expects="printable text", example="AAPL", pattern=r"^[^\x00-\x1f\x7f]+$")
    theirs: str = key(
        REQUIRED, "The counterparty's.", expects="printable text", example="AAPL.O", pattern=r"^[^\x00-\x1f\x7f]+$"
    )


def with_table(rule: Translate, number: int, file: Path, problems: Problems) -> Translate:
    """A [[translate]] with the table of its file. ``file`` is the dialect's; what is wrong is noted."""
    if not rule.file:
        return rule
    csv_file = file.parent / rule.file
    table: dict[str, str] = {}
    seen: dict[str, str] = {}
    named_by = f"[[translate]] #{number} file in {file.name}"
    for row in unique_rows(Translation, "ours", csv_file, named_by, problems):
        if row.theirs in seen:
            problem = f"theirs {show(row.theirs)} stands for {show(seen[row.theirs])} and {show(row.ours)}"
            problems.add(csv_file, "", problem, "give each its own, so that the way back is known")
        seen[row.theirs] = row.ours
        table[row.ours] = row.theirs
    return rule.model_copy(update={"table": table})
