"""The core's messages to one counterparty's words: its version, its dictionary, its dialect's tag rules.

The core speaks 4.4; for a FIX 4.2 counterparty ExecType(150), ExecTransType(20) and reason codes are translated
here. Fields that pass through go out as they came, in their order, where the counterparty's dictionary has them;
what its rules drop is named to the caller, which puts it into the journal. Nothing is dropped in silence.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import NamedTuple

from oms.config.sessions import SessionSpec
from oms.core import tags as t
from oms.core.messages import Outgoing, Pairs
from oms.core.routing import USER_DEFINED
from oms.fix.decode_mass import affected_orders
from oms.fix.dictionary import MessageSpec, message_specs
from oms.fix.fields import LENGTH_OF
from oms.fix.rules import Rules, rules_of

SOH = "\x01"
_EXEC_TRANS_TYPE = {"H": "1", "G": "2", "I": "3"}
_ORD_REJ_REASONS_42 = frozenset("012345678")
_CXL_REJ_REASONS_42 = frozenset("0123")
_SET_ON = frozenset({"D", "G"})
# Header fields that a rule may set: SenderSubID, TargetSubID, OnBehalfOf..., DeliverTo..., and their locations.
HEADER_FIELDS = frozenset({"50", "57", "115", "116", "128", "129", "142", "143", "144", "145"})
_REPORTS = frozenset({"8", "9", "j"})


class Encoded(NamedTuple):
    """The text of a message without the session's header, and the tags that rules dropped from it."""

    text: str
    dropped: tuple[str, ...]


class Encoder:
    """Writes messages for one session."""

    def __init__(self, spec: SessionSpec) -> None:
        self._fix42 = spec.appl_ver_id == "FIX.4.2"
        self._specs = message_specs(spec.application_dictionary)
        rules = spec.dialect.tags
        self._set = tuple((str(tag), value) for tag, value in sorted(rules.set.items()))
        self._drop = frozenset(str(tag) for tag in rules.drop)
        self._rules = rules_of(spec.dialect, self._specs, outgoing=True)
        self._plain = {msg_type: self._plain_tags(msg_type) for msg_type in self._specs}
        self._drop_unknown = {
            True: rules.unknown_reports == "drop",
            False: rules.unknown != "pass",  # 'reject' was asked before the order was accepted
        }

    def _plain_tags(self, msg_type: str) -> dict[str, frozenset[str]]:
        """Tags that pass whatever their value: in the dictionary, in no group, no data, and no rule about them.

        Each with the set of itself alone, to which it sets `inside` of `_passed`.
        """
        spec = self._specs[msg_type]
        listed = spec.listed.keys() if msg_type in _REPORTS else ()
        plain = spec.allowed.difference(self._drop, spec.member_of, listed, LENGTH_OF)
        return {tag: frozenset((tag,)) for tag in plain}

    def encode(self, out: Outgoing) -> Encoded:
        """One message in this counterparty's words."""
        spec = self._specs.get(out.msg_type, MessageSpec(frozenset(), ()))
        fields = fix42_fields(out.msg_type, out.fields) if self._fix42 else out.fields
        allowed = spec.allowed
        parts = ["35=" + out.msg_type]
        dropped: list[str] = []
        if self._rules is not None:
            fields, out, header, gone = _ruled(self._rules, out, fields, spec)
            parts += header
            dropped += gone
        parts += [tag + "=" + value for tag, value in fields.items() if value and tag in allowed]
        body = affected_orders(out.body, allowed) if out.msg_type == "r" else out.body
        if body:
            parts += self._passed(out.msg_type, body, fields, spec, dropped)
        if out.defaults or (self._set and out.msg_type in _SET_ON):
            given = {part.partition("=")[0] for part in parts}
            extra = self._set if out.msg_type in _SET_ON else ()
            required = [pair for pair in out.defaults if pair[0] in spec.required]
            parts += [f"{tag}={value}" for tag, value in (*required, *extra) if tag not in given and tag in allowed]
        text = SOH.join(parts) + SOH
        for tag, value in out.offers:
            if value and tag in allowed and f"{SOH}{tag}=" not in text:
                text += f"{tag}={value}{SOH}"
        return Encoded(text, tuple(dropped))

    def _passed(
        self,
        msg_type: str,
        body: tuple[tuple[str, str], ...],
        fields: dict[str, str],
        spec: MessageSpec,
        dropped: list[str],
    ) -> list[str]:
        drop_unknown = self._drop_unknown[msg_type in _REPORTS]
        allowed, member_of, plain = spec.allowed, spec.member_of, self._plain.get(msg_type, {})
        parts: list[str] = []
        inside: frozenset[str] = frozenset()  # count fields of the repeating groups we may be in
        for tag, value in body:
            if tag in fields:
                continue
            if tag in plain:
                parts.append(tag + "=" + value)
                inside = plain[tag]
                continue
            groups = member_of.get(tag)
            # A member goes with its group: alone it would stand where no dictionary has it.
            unknown = inside.isdisjoint(groups) if groups else tag not in allowed and not _user_defined(tag)
            if msg_type in _REPORTS and not groups and not spec.takes(tag, value):
                unknown = True  # a code it does not know would cost the client the whole report
            if tag in self._drop or (drop_unknown and unknown) or _unprotected(tag, value, parts):
                dropped.append(tag)
                continue
            if groups:
                inside |= {tag}
            elif tag in allowed:
                inside = frozenset((tag,))
            parts.append(f"{tag}={value}")
        return parts


def _ruled(
    rules: Rules, out: Outgoing, fields: dict[str, str], spec: MessageSpec
) -> tuple[dict[str, str], Outgoing, list[str], tuple[str, ...]]:
    """The message after the dialect's tag rules: own fields, the rest, fields for the header, tags dropped.

    Defaults and offers that would be taken become part of it, so that rules see all that leaves.
    """
    pairs = [(tag, value) for tag, value in fields.items() if value and tag in spec.allowed]
    pairs += [pair for pair in out.body if pair[0] not in fields]
    given = {tag for tag, _ in pairs}
    pairs += [pair for pair in out.defaults if pair[0] in spec.required and pair[0] not in given]
    pairs += [pair for pair in out.offers if pair[1] and pair[0] in spec.allowed and pair[0] not in given]
    left, gone = rules.outgoing(out.msg_type, pairs)
    header = [f"{tag}={value}" for tag, value in left if tag in HEADER_FIELDS]
    body = tuple(pair for pair in left if pair[0] not in fields and pair[0] not in HEADER_FIELDS)
    own = {tag: value for tag, value in left if tag in fields}
    return own, out._replace(body=body, defaults=(), offers=()), header, gone


def _unprotected(tag: str, value: str, parts: list[str]) -> bool:
    """Data with separators in it, whose length field did not pass: it would fall apart into fields of its own."""
    return SOH in value and not any(part.startswith(f"{LENGTH_OF.get(tag, '')}=") for part in parts)


def _user_defined(tag: str) -> bool:
    return len(tag) > 3 and tag.isdigit() and int(tag) >= USER_DEFINED


def fix42_fields(msg_type: str, fields: dict[str, str]) -> dict[str, str]:
    """Fields in 4.2 terms: ExecTransType(20) beside ExecType(150), and only the reason codes 4.2 has."""
    fields = dict(fields)
    if msg_type == "8":
        exec_type = fields[t.EXEC_TYPE]
        fields[t.EXEC_TRANS_TYPE] = _EXEC_TRANS_TYPE.get(exec_type, "0")
        if exec_type in ("F", "G", "H"):
            filled = Decimal(fields[t.CUM_QTY]) >= Decimal(fields[t.ORDER_QTY])
            fields[t.EXEC_TYPE] = "2" if filled else "1"
        elif exec_type == "I":
            fields[t.EXEC_TYPE] = fields[t.ORD_STATUS]
        elif exec_type == "5" and fields[t.ORD_STATUS] == "0":
            fields[t.ORD_STATUS] = "5"
        if fields.get(t.ORD_REJ_REASON, "0") not in _ORD_REJ_REASONS_42:
            fields[t.ORD_REJ_REASON] = "0"
    elif msg_type == "9" and fields.get(t.CXL_REJ_REASON, "0") not in _CXL_REJ_REASONS_42:
        fields[t.CXL_REJ_REASON] = "2"
    return fields


def allowed_tags(spec: SessionSpec, msg_type: str) -> frozenset[str] | None:
    """What a request to this broker may carry, None where its dialect does not refuse unknown fields."""
    rules = spec.dialect.tags
    if rules.unknown != "reject":
        return None
    known = message_specs(spec.application_dictionary).get(msg_type, MessageSpec(frozenset(), ()))
    taken = {str(tag) for tag in rules.drop}
    for rule in spec.dialect.to_counterparty:
        if not rule.messages or msg_type in rule.messages:
            taken |= {str(tag) for tag in (*rule.drop, *rule.rename)}
    return known.allowed | taken


def incoming_rules(spec: SessionSpec) -> Rules | None:
    """The tag rules for what comes from a counterparty, None where its dialect has none."""
    if not spec.dialect.from_counterparty and not spec.dialect.translate:
        return None
    return rules_of(spec.dialect, message_specs(spec.application_dictionary), outgoing=False)


def refusals(spec: SessionSpec) -> Callable[[str, Pairs], str] | None:
    """Why this broker's tag rules refuse an order or replace of these fields; None where no rule can."""
    dialect = spec.dialect
    can = any(rule.require or rule.unmapped == "refuse" for rule in dialect.to_counterparty)
    if not can and not any(rule.unmapped == "refuse" for rule in dialect.translate):
        return None
    rules = rules_of(dialect, message_specs(spec.application_dictionary), outgoing=True)
    return None if rules is None else rules.refusal
