"""What a dialect would make of one message, field by field, by the code that the gateway itself runs.

Nothing is sent and nothing is kept. Lines come in the message's order; what a rule added stands at the end.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import NamedTuple

from oms.config.dialects import Dialect
from oms.config.sessions import SessionSpec
from oms.core import messages as m
from oms.fix.dictionary import message_specs
from oms.fix.encode import HEADER_FIELDS, Encoder
from oms.fix.fields import ENVELOPE, SOH, split
from oms.fix.rules import Field, rules_of


class Line(NamedTuple):
    """One field: what it was ('' if a rule added it), what it becomes ('' if it is dropped), and by which rules."""

    was_tag: str
    before: str
    tag: str
    after: str
    by: str


def try_incoming(dialect: Dialect, dictionary: Path, raw: str) -> tuple[list[Line], str]:
    """What the gateway would take a message from the counterparty for; and why it would be refused, '' if not."""
    fields, refusal = _ruled(dialect, dictionary, raw, outgoing=False)
    return [_line(one) for one in fields], refusal


def try_outgoing(dialect: Dialect, dictionary: Path, raw: str) -> tuple[list[Line], str]:
    """What would leave for the counterparty; header fields of the message itself are left out."""
    kept = "".join(f"{tag}={value}{SOH}" for tag, value in split(raw) if tag == "35" or tag not in ENVELOPE)
    fields, refusal = _ruled(dialect, dictionary, kept, outgoing=True)
    msg_type = next(one.value for one in fields if one.tag == "35")
    left = [(one.tag, one.value) for one in fields if not one.dropped and one.tag not in HEADER_FIELDS | {"35"}]
    text, dropped = _encoder(dialect, dictionary).encode(m.Outgoing(0, "", msg_type, "", {}, tuple(left)))
    gone = Counter(dropped)
    unknown = [tag for tag in dropped if tag not in {str(one) for one in dialect.tags.drop}]
    for one in fields:
        if not one.dropped and gone[one.tag] > 0:
            gone[one.tag] -= 1
            one.dropped = True
            one.by.append(f"not in {dictionary.name}" if one.tag in unknown else "[tags] drop")
    had = {one.tag for one in fields}
    for tag, value in split(text):
        if tag not in had:
            fields.append(Field(tag, value, None))
            fields[-1].by.append("[tags] set")
    if unknown and dialect.tags.unknown == "reject" and msg_type in ("D", "G") and not refusal:
        refusal = (
            f"field {', '.join(sorted(set(unknown), key=int))} is not in {dictionary.name} ([tags] unknown = reject)"
        )
    return [_line(one) for one in fields], refusal


def _encoder(dialect: Dialect, dictionary: Path) -> Encoder:
    """The encoder of a session with this dialect, less the rules that have been applied already."""
    rest = dialect.model_copy(update={"to_counterparty": (), "translate": ()})
    return Encoder(
        SessionSpec(
            "", "broker", "FIX.4.4", "FIX.4.4", "", "", "", "", None, dictionary, rest, Path(), "", 0, False, {}
        )
    )


def _ruled(dialect: Dialect, dictionary: Path, raw: str, *, outgoing: bool) -> tuple[list[Field], str]:
    fields = [Field(tag, value, (tag, value)) for tag, value in split(raw)]
    rules = rules_of(dialect, message_specs(dictionary), outgoing=outgoing)
    msg_type = next((one.value for one in fields if one.tag == "35"), "")
    refusal: m.Problem | None = rules.apply(msg_type, fields) if rules is not None else None
    return fields, "" if refusal is None else f"{refusal.tag} {refusal.text}"


def _line(one: Field) -> Line:
    was_tag, before = one.was or ("", "")
    return Line(was_tag, before, one.tag, "" if one.dropped else one.value, ", ".join(one.by))
