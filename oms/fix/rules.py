"""A counterparty's tag rules at work: [[to_counterparty]], [[from_counterparty]] and [[translate]] of its dialect.

Outgoing messages pass the rules in the file's order, then the translation into the counterparty's values; incoming
ones are translated first, so that rules always see our values. Repeating groups keep their order, and a group whose
count field is dropped goes whole. What is refused (`require`, `unmapped`) is refused for orders and replaces only:
cancels and reports always pass. A session without rules has no `Rules` at all and costs nothing.
Invariants: the ids, terms and quantities of orders are out of reach (oms.config.tag_rules). The journal keeps what
came, and beside it what the rules made of it (`noted`), so that replay reads the same whatever the rules say then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from oms.config.dialects import Dialect
from oms.config.tag_rules import REFUSED_FOR, TagRule, Translate
from oms.core import messages as m
from oms.core import tags as t
from oms.fix.dictionary import MessageSpec
from oms.fix.fields import LENGTH_OF, SOH, split

DATA_OF = {length: data for data, length in LENGTH_OF.items()}
_REASONS = {t.SYMBOL: "1", t.ACCOUNT: "15"}  # OrdRejReason(103): unknown symbol, unknown account
_NAMES = {
    t.ACCOUNT: "Account",
    t.SYMBOL: "Symbol",
    t.EX_DESTINATION: "ExDestination",
    t.SECURITY_EXCHANGE: "SecurityExchange",
}


class Field:
    """One field on its way through the rules: what it was (None if a rule added it), and what became of it."""

    __slots__ = ("by", "dropped", "tag", "value", "was")

    def __init__(self, tag: str, value: str, was: tuple[str, str] | None) -> None:
        self.tag, self.value, self.was = tag, value, was
        self.dropped = False
        self.by: list[str] = []  # the rules that did it


Step = Callable[[list[Field]], m.Problem | None]


class Rules:
    """The rules of one direction of one session."""

    def __init__(self, steps: Iterable[tuple[frozenset[str], Step]]) -> None:
        self._all = tuple(steps)
        self._by_type: dict[str, tuple[Step, ...]] = {}

    def apply(self, msg_type: str, fields: list[Field]) -> m.Problem | None:
        """Work on the fields in place; the first reason to refuse, None where there is none."""
        steps = self._by_type.get(msg_type)
        if steps is None:
            steps = tuple(step for types, step in self._all if not types or msg_type in types)
            if len(self._by_type) < 100:  # a counterparty may invent types without end
                self._by_type[msg_type] = steps
        refusal: m.Problem | None = None
        for step in steps:
            found = step(fields)
            refusal = refusal or found
        return refusal if msg_type in REFUSED_FOR else None

    def outgoing(self, msg_type: str, pairs: Iterable[tuple[str, str]]) -> tuple[m.Pairs, tuple[str, ...]]:
        """What leaves, and the tags that rules dropped."""
        fields = [Field(tag, value, (tag, value)) for tag, value in pairs]
        self.apply(msg_type, fields)
        left = tuple((one.tag, one.value) for one in fields if not one.dropped)
        return left, tuple(one.tag for one in fields if one.dropped)

    def refusal(self, msg_type: str, pairs: Iterable[tuple[str, str]]) -> str:
        """Why an order or replace of these fields would not leave, '' if it would."""
        found = self.apply(msg_type, [Field(tag, value, (tag, value)) for tag, value in pairs])
        return "" if found is None else f"{found.tag} {found.text}"

    def read(self, raw: str) -> tuple[str, m.Problem | None]:
        """What the gateway takes a message for, and why an order or replace is refused; `raw` itself if unchanged."""
        try:
            pairs = split(raw)
        except ValueError:
            return raw, None  # decoding says what is wrong with it
        fields = [Field(tag, value, (tag, value)) for tag, value in pairs]
        refusal = self.apply(next((value for tag, value in pairs if tag == "35"), ""), fields)
        if not any(one.by for one in fields):
            return raw, refusal
        text = "".join(f"{one.tag}={one.value}{SOH}" for one in fields if not one.dropped)
        return text.replace("\x00", "\\x00"), refusal


def rules_of(dialect: Dialect, specs: Mapping[str, MessageSpec], *, outgoing: bool) -> Rules | None:
    """The rules of a direction, None where the dialect has none. `specs` are of the counterparty's dictionary."""
    groups = _Groups(specs)
    steps: list[tuple[frozenset[str], Step]] = []
    name = "to_counterparty" if outgoing else "from_counterparty"
    for number, rule in enumerate(dialect.to_counterparty if outgoing else dialect.from_counterparty, 1):
        steps += [(rule.messages, step) for step in _steps(rule, f"[[{name}]] #{number}", groups)]
    translations = [
        (frozenset[str](), _translate(one, f"[[translate]] #{number}", outgoing))
        for number, one in enumerate(dialect.translate, 1)
    ]
    steps = [*steps, *translations] if outgoing else [*translations, *steps]
    return Rules(steps) if steps else None


class _Groups:
    """Which tags are members of repeating groups, over all messages of a dictionary."""

    def __init__(self, specs: Mapping[str, MessageSpec]) -> None:
        self._counts: dict[str, set[str]] = {}
        for spec in specs.values():
            for tag, counts in spec.member_of.items():
                self._counts.setdefault(tag, set()).update(counts)

    def has(self, tag: str) -> bool:
        """Whether a tag stands in groups."""
        return tag in self._counts

    def end(self, fields: list[Field], at: int) -> int:
        """Where the group ends whose count field stands at this place."""
        inside = {fields[at].tag}
        for place in range(at + 1, len(fields)):
            if inside.isdisjoint(self._counts.get(fields[place].tag, ())):
                return place
            inside.add(fields[place].tag)
        return len(fields)


def _steps(rule: TagRule, where: str, groups: _Groups) -> Iterable[Step]:
    """A rule's steps, in the order in which it is documented to act."""
    if rule.rename:
        yield _rename({str(old): str(new) for old, new in rule.rename.items()}, f"{where} rename", groups)
    if rule.drop:
        dropped = {str(tag) for tag in rule.drop}
        paired = {LENGTH_OF.get(tag) or DATA_OF.get(tag) or tag for tag in dropped}
        yield _drop(frozenset(dropped | paired), f"{where} drop", groups)
    for tag, table in rule.map.items():
        yield _map(str(tag), table, rule.unmapped == "refuse", f"{where} map")
    for tag, value in rule.default.items():
        yield _set(str(tag), value, f"{where} default", keep=True)
    for tag, value in rule.set.items():
        yield _set(str(tag), value, f"{where} set", keep=False)
    for tag in sorted(rule.require):
        yield _require(str(tag), where)


def _rename(names: dict[str, str], where: str, groups: _Groups) -> Step:
    def step(fields: list[Field]) -> m.Problem | None:
        renamed = [field for field in fields if field.tag in names and not field.dropped]
        # Outside groups a tag may stand once: what had the new tag before gives way.
        taken = {names[field.tag] for field in renamed if not groups.has(names[field.tag])}
        for field in fields:
            if field.tag in taken and field.tag not in names and not field.dropped:
                field.dropped = True
                field.by.append(where)
        for field in renamed:
            field.tag = names[field.tag]
            field.by.append(where)
        return None

    return step


def _drop(tags: frozenset[str], where: str, groups: _Groups) -> Step:
    def step(fields: list[Field]) -> m.Problem | None:
        for at, field in enumerate(fields):
            if field.tag not in tags or field.dropped:
                continue
            for gone in fields[at : groups.end(fields, at)]:
                gone.dropped = True
                gone.by.append(where)
        return None

    return step


def _map(tag: str, table: Mapping[str, str], refuses: bool, where: str) -> Step:
    def step(fields: list[Field]) -> m.Problem | None:
        refusal: m.Problem | None = None
        for field in fields:
            if field.tag != tag or field.dropped:
                continue
            value = table.get(field.value)
            if value is None:
                if refuses and refusal is None:
                    refusal = _problem(tag, f"{field.value[:64]} has no other value in {where}")
            elif value != field.value:
                field.value = value
                field.by.append(where)
        return refusal

    return step


def _translate(rule: Translate, where: str, outgoing: bool) -> Step:
    table = dict(rule.table)
    return _map(
        str(rule.tag),
        table if outgoing else {theirs: ours for ours, theirs in table.items()},
        rule.unmapped == "refuse",
        where,
    )


def _set(tag: str, value: str, where: str, *, keep: bool) -> Step:
    def step(fields: list[Field]) -> m.Problem | None:
        found = [field for field in fields if field.tag == tag and not field.dropped]
        if not found:
            added = Field(tag, value, None)
            added.by.append(where)
            fields.append(added)
        elif not keep:
            for field in found:
                if field.value != value:
                    field.value = value
                    field.by.append(where)
        return None

    return step


def _require(tag: str, where: str) -> Step:
    def step(fields: list[Field]) -> m.Problem | None:
        if any(field.tag == tag and not field.dropped for field in fields):
            return None
        return _problem(tag, f"is missing, and required by {where}")

    return step


def _problem(tag: str, text: str) -> m.Problem:
    return m.Problem(f"{_NAMES.get(tag, 'field ')}({tag})", text, _REASONS.get(tag, "99"))


# -- what the journal keeps of it ----------------------------------------------------------------------------------


def noted(body: m.Body, refusal: m.Problem | None, raw: str, text: str, detail: dict[str, Any]) -> m.Body:
    """The event of a message that was read by rules; `detail` gets what replay needs to read it the same way."""
    if text is not raw:
        detail["read_as"] = storable(text)
    if refusal is None or not isinstance(body, m.NewOrder | m.ReplaceRequest) or body.problem is not None:
        return body
    detail["refused_by_rule"] = list(refusal)
    return body._replace(problem=refusal)


def storable(text: str) -> str:
    """Text with whatever bytes as JSON can hold it: a character per byte where it is not plain ASCII."""
    return text if text.isascii() else text.encode("utf-8", "surrogateescape").decode("latin-1")


def as_read(raw: bytes, detail: Mapping[str, Any]) -> str:
    """The text that the gateway took a journal row's message for."""
    if "read_as" in detail:
        raw = str(detail["read_as"]).encode("latin-1")
    return raw.decode("utf-8", "surrogateescape")


def as_refused(body: m.Body, detail: Mapping[str, Any]) -> m.Body:
    """The event of a journal row with the refusal that a rule gave it, if one did."""
    if "refused_by_rule" in detail and isinstance(body, m.NewOrder | m.ReplaceRequest):
        return body._replace(problem=m.Problem(*detail["refused_by_rule"]))
    return body
