"""Whether a dialect's tag rules fit the counterparty's data dictionary: repeating groups must stay whole.

A rule works on fields one by one. A member of a group that gets a tag from outside the group, a group that loses the
field each of its entries begins with, or a member set where no group is would make a message that no dictionary
has; such rules are found here, when the configuration is read. Limit: only the messages that the gateway handles.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from oms.config.dialects import Dialect
from oms.config.tag_rules import TagRule
from oms.fix.dictionary import MessageSpec, message_specs


def misfits(dialect: Dialect, dictionary: Path) -> Iterator[tuple[str, str, str]]:
    """Key of the dialect, problem and remedy of every rule that would break a group."""
    if not dialect.to_counterparty and not dialect.from_counterparty:
        return
    try:
        specs = message_specs(dictionary)
    except KeyError as name:
        yield "", f"{dictionary.name} has {name} in a message and does not define it", "correct the dictionary"
        return
    for section, rules in (
        ("to_counterparty", dialect.to_counterparty),
        ("from_counterparty", dialect.from_counterparty),
    ):
        for number, rule in enumerate(rules, 1):
            for key, problem, remedy in _of(rule, specs, dictionary.name):
                yield f"[[{section}]] #{number} {key}", problem, remedy


def _of(rule: TagRule, specs: Mapping[str, MessageSpec], name: str) -> Iterator[tuple[str, str, str]]:
    seen: set[str] = set()
    for msg_type, spec in specs.items():
        if rule.messages and msg_type not in rule.messages:
            continue
        found = [
            *_renames(rule, spec, name),
            *(
                ("drop", f"{tag} begins every entry of its repeating group", "drop the group by its count field")
                for tag in sorted(rule.drop)
                if str(tag) in spec.delimiters
            ),
            *(
                (
                    key,
                    f"{tag} is only there in repeating groups of {name}",
                    f"remove {tag}; groups come from the other side",
                )
                for key, table in (("set", rule.set), ("default", rule.default))
                for tag in sorted(table)
                if str(tag) in spec.member_of
            ),
        ]
        for one in found:
            if one[1] not in seen:
                seen.add(one[1])
                yield one


def _renames(rule: TagRule, spec: MessageSpec, name: str) -> Iterator[tuple[str, str, str]]:
    for old, new in sorted(rule.rename.items()):
        groups, others = spec.member_of.get(str(old)), spec.member_of.get(str(new))
        if groups and not groups & (others or frozenset()):
            problem = f"{old} is a member of repeating group {_listed(groups)} of {name}, {new} is not"
            yield "rename", problem, f"add field {new} to the group in the dictionary"
        elif others and not groups:
            problem = f"{new} is only there in repeating group {_listed(others)} of {name}, {old} is not"
            yield "rename", problem, "name a field that stands outside groups"


def _listed(counts: frozenset[str]) -> str:
    return ", ".join(sorted(counts, key=int))
