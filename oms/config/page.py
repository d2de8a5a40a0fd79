"""The tables of ``docs/configuration.md``, made from the models and the key table, so that the page cannot drift.

The page's prose is its own; between ``<!-- table: NAME -->`` and ``<!-- end -->`` stands what this module writes.
Rewrite them with ``python -m oms.config.page docs/configuration.md``; a test compares the page with the models.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Sequence
from datetime import time
from decimal import Decimal
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo

from oms.config.breakers import BreakerRule
from oms.config.broker_file import BrokerFile
from oms.config.control import Control as ControlSocket
from oms.config.dialects import Dialect, TagRules
from oms.config.limit_rows import LimitRow
from oms.config.markets import HalfDay, Market
from oms.config.outbound import Outbound, ReplaceDiscipline, TooFastRule
from oms.config.people import Exceptions, Operators
from oms.config.prices import Prices, Source
from oms.config.problems import Section, text_of
from oms.config.reconcile import Reconcile
from oms.config.reference import Account, Instrument
from oms.config.rules import LimitRule, Limits, RouteRule
from oms.config.session_keys import KEYS, REFUSED, SessionKey
from oms.config.settings import Database, Files, Gateway, Inbox, Log, Metrics
from oms.config.tag_rules import TagRule, Translate, Translation
from oms.core.breaker_rules import MEASURES, Measure
from oms.core.limits import CONTROLS, Control

MODELS: dict[str, type[Section]] = {
    "gateway": Gateway,
    "files": Files,
    "database": Database,
    "inbox": Inbox,
    "limits": Limits,
    "limits.override": LimitRule,
    "routes": RouteRule,
    "breakers": BreakerRule,
    "prices": Prices,
    "prices.source": Source,
    "operators": Operators,
    "control": ControlSocket,
    "exceptions": Exceptions,
    "metrics": Metrics,
    "log": Log,
    "dialect": Dialect,
    "dialect tags": TagRules,
    "dialect outbound": Outbound,
    "dialect too fast": TooFastRule,
    "replace discipline": ReplaceDiscipline,
    "dialect reconcile": Reconcile,
    "dialect file": BrokerFile,
    "dialect rules": TagRule,
    "dialect translate": Translate,
    "translations": Translation,
    "instruments": Instrument,
    "accounts": Account,
    "limit rows": LimitRow,
    "markets": Market,
    "half days": HalfDay,
}
TABLES = {
    "instruments",
    "accounts",
    "translations",
    "limit rows",
}  # CSV: an absent value is an empty one, Y and N rather than true and false
BLOCK = re.compile(r"(<!-- table: (?P<name>[^>]+?) -->\n).*?(<!-- end -->)", re.DOTALL)


def tables() -> dict[str, str]:
    """Every table by name, as Markdown."""
    made = {name: _model_table(model, name in TABLES) for name, model in MODELS.items()}
    made["sessions"] = _rows(("Key", "For", "Takes", "Default", "Meaning"), map(_session_row, KEYS))
    made["controls"] = _rows(("Control", "Value", "Looks at"), map(_control_row, CONTROLS.items()))
    made["measures"] = _rows(("Measure", "Watches", "May name"), map(_measure_row, MEASURES.items()))
    refused = ((f"`{pattern.replace('|', '/')}`", problem, remedy) for pattern, problem, remedy in REFUSED)
    made["refused"] = _rows(("Key", "Why", "Instead"), refused)
    return made


def rendered(page: str) -> str:
    """The page with every table written anew. Raises KeyError for a table that there is not."""
    made = tables()
    return BLOCK.sub(lambda match: f"{match[1]}{made[match['name']]}{match[3]}", page)


def named_in(page: str) -> list[str]:
    """The tables that a page has."""
    return [match["name"] for match in BLOCK.finditer(page)]


def _rows(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(map(_cell, line)) + " |\n" for line in lines)


def _cell(text: str) -> str:
    """A text as a cell of Markdown: bars and stars mean themselves."""
    parts = text.replace("|", "\\|").split("`")
    return "`".join(part if inside % 2 else part.replace("*", "\\*") for inside, part in enumerate(parts))


def _model_table(model: type[Section], is_csv: bool) -> str:
    rows = (
        (f"`{name}`", text_of(field, "expects"), _default(field, is_csv), field.description or "")
        for name, field in model.model_fields.items()
    )
    return _rows(("Column" if is_csv else "Key", "Takes", "Default", "Meaning"), rows)


def _default(field: FieldInfo, is_csv: bool) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True, validated_data={})
    if value is None:
        return "empty" if is_csv else "absent"
    if isinstance(value, Section):
        return "its defaults"
    if isinstance(value, bool) and is_csv:
        return "`Y`" if value else "`N`"
    return f"`{_written(value)}`"


def _written(value: Any) -> str:
    """A default as it would be written in TOML."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, time):
        return f"{value:%H:%M:%S}"
    if isinstance(value, int | Decimal):
        return str(value)
    if isinstance(value, dict):
        return "{}"
    if isinstance(value, tuple | frozenset):
        items = [f'"{item}"' for item in sorted(value)]
        return items[0] if len(items) == 1 else f"[{', '.join(items)}]"
    return f'"{value}"'


def _measure_row(one: tuple[str, Measure]) -> tuple[str, str, str]:
    name, measure = one
    if measure.one_part:
        return f"`{name}`", measure.meaning, " or ".join(measure.parts)
    return f"`{name}`", measure.meaning, ", ".join(measure.parts) or "nothing"


def _control_row(one: tuple[str, Control]) -> tuple[str, str, str]:
    name, control = one
    values = {"amount": "number", "codes": "words or FIX values, set apart by ;"}
    values |= {"ratio": "number after orders", "window": "number in seconds"}
    return f"`{name}`", values.get(control.value, control.value.replace("|", " or ")), (control.check.__doc__ or "")


def _session_row(key: SessionKey) -> tuple[str, ...]:
    who = {None: "all", "client": "clients", "broker": "brokers"}[key.role]
    if key.fixt is not None:
        who += " on FIXT.1.1" if key.fixt else " on FIX.4.x"
    if key.engine_wide:
        who += ", only in [DEFAULT]"
    defaults = {"clients": key.client_default, "brokers": key.broker_default}  # and drop copies
    if key.role is not None or len(set(defaults.values())) == 1:
        only = key.broker_default if key.role == "broker" else key.client_default
        default = f"`{only}`" if only else ("required" if key.required else "absent")
    else:
        default = ", ".join(f"`{value}` for {side}" for side, value in defaults.items() if value is not None)
    return f"`{key.name}`", who, key.kind.expects, default, key.meaning


def main(arguments: Sequence[str]) -> None:
    """Rewrite the tables of the page named by the only argument."""
    page = Path(arguments[0])
    page.write_text(rendered(page.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
