"""Who may do what: one table of the verbs of the control socket, with the roles that may give each.

A row also says by what a verb's scope is found (`oms.ops.access` looks it up) and whether it reads what not everybody
should see, so that each such read is recorded. `python -m oms.ops.roles docs/decisions/operators.md` writes the table
into that page.
Invariants: a verb that is not in TABLE is for admins alone; a verb without a scope changes everything at once, so
somebody whose scope is a part of the desk may not give it, unless it only reads.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final, NamedTuple, get_args

from oms.config.people import Role

ROLES: Final[tuple[Role, ...]] = get_args(Role)
DIMENSIONS: Final = ("client", "account", "broker", "symbol")
_BLOCK = re.compile(r"(<!-- table: roles -->\n).*?(<!-- end -->)", re.DOTALL)
NONE: Final = "none"  # the role of somebody who may do nothing

Scope = Mapping[str, tuple[str, ...]]  # dimension -> patterns; one that is not named is not restricted
Subject = Mapping[str, frozenset[str]]  # dimension -> what a command is about, each a name or, in a kill, a pattern


class Rule(NamedTuple):
    """A row of the table.

    `about`: where the scope of a command comes from: its own parts, an order, a kill, an item, a session, a broker, a
    fill, a proposal, or nothing.
    """

    roles: frozenset[str]
    about: str = ""
    reads: bool = False
    sensitive: bool = False


_ALL = frozenset(ROLES)
_DESK = frozenset({"trader", "risk", "operations", "admin"})
_RISK = frozenset({"risk", "admin"})
_OPERATIONS = frozenset({"operations", "admin"})
_SECOND_LINE = frozenset({"risk", "operations", "admin"})

TABLE: Final[dict[str, Rule]] = {
    # what only looks
    "health": Rule(_ALL, reads=True),
    "kill.list": Rule(_ALL, reads=True),
    "trading.status": Rule(_ALL, reads=True),
    "breakers.list": Rule(_ALL, reads=True),
    "breakers.show": Rule(_ALL, reads=True),
    "prices.list": Rule(_ALL, reads=True),
    "sessions.show": Rule(_ALL, "session", reads=True),
    "sessions.preview_seq": Rule(_SECOND_LINE, "session", reads=True, sensitive=True),
    "limits.show": Rule(_SECOND_LINE, reads=True, sensitive=True),
    "limits.history": Rule(_SECOND_LINE, reads=True, sensitive=True),
    "ledger.read": Rule(_ALL, reads=True, sensitive=True),  # `oms orders` and their like, before they read
    "approvals.list": Rule(_ALL, reads=True, sensitive=True),  # each sees what is in his scope
    "approvals.show": Rule(_ALL, "proposal", reads=True, sensitive=True),
    # what stops something: many may
    "kill.engage": Rule(_DESK, "own"),
    "orders.cancel": Rule(_DESK, "order"),
    "trading.off": Rule(_SECOND_LINE),
    "breakers.trip": Rule(_SECOND_LINE, "own"),
    # what lets something through again: few may
    "kill.release": Rule(_RISK, "kill"),
    "trading.on": Rule(_RISK),
    "breakers.reset": Rule(_RISK),
    "limits.part": Rule(_RISK, reads=True),
    "limits.apply": Rule(_RISK),
    "prices.load": Rule(_SECOND_LINE),
    # books and sessions
    "exceptions.take": Rule(_DESK, "item"),
    "exceptions.note": Rule(_DESK, "item"),
    "exceptions.resolve": Rule(_SECOND_LINE, "item"),
    "fills.add": Rule(_OPERATIONS, "order"),
    "fills.correct": Rule(_OPERATIONS, "fill"),
    "fills.bust": Rule(_OPERATIONS, "fill"),
    "fills.link": Rule(_OPERATIONS, "fill"),
    "orders.settle": Rule(_OPERATIONS, "order"),
    "reconcile.run": Rule(_SECOND_LINE, "own"),
    "reconcile.file": Rule(_OPERATIONS, "own"),
    "sessions.logon": Rule(_OPERATIONS, "session"),
    "sessions.logout": Rule(_OPERATIONS, "session"),
    "sessions.enable": Rule(_OPERATIONS, "session"),
    "sessions.disable": Rule(_OPERATIONS, "session"),
    "sessions.drain": Rule(_SECOND_LINE, "session"),
    "sessions.undrain": Rule(_OPERATIONS, "session"),
    "sessions.reload": Rule(_OPERATIONS),
    "sessions.set_seq": Rule(_OPERATIONS, "session"),
    # what others proposed: whoever could have proposed it himself (see `oms.ops.access`)
    "approvals.approve": Rule(_SECOND_LINE, "proposal"),
    "approvals.reject": Rule(_DESK, "proposal"),
}
_UNKNOWN = Rule(frozenset({"admin"}))


def rule_of(verb: str) -> Rule:
    """The row of a verb; that of admins alone where the table has none."""
    return TABLE.get(verb, _UNKNOWN)


def verbs_of(role: str) -> list[str]:
    """The verbs of the table that a role may give, in its order."""
    return [verb for verb, rule in TABLE.items() if role in rule.roles]


def outside(scope: Scope, subject: Subject) -> str:
    """Which part of somebody's scope a command is not within: a dimension; '' where it is within all."""
    for dimension, patterns in scope.items():
        values = subject.get(dimension) or frozenset()
        if not values or not all(any(contains(one, value) for one in patterns) for value in values):
            return dimension
    return ""


def contains(pattern: str, value: str) -> bool:
    """Whether everything that a value stands for, itself a name or a pattern, is within a pattern.

    Where that cannot be told from the texts it is not: `?` and `[` in a scope or in a value that is a pattern.
    """
    if value == pattern:
        return True
    if not any(sign in value for sign in "*?["):
        return fnmatchcase(value, pattern)
    # Of a pattern with `*` alone, `*` is what takes up the signs in the value: whatever they stand for is within.
    return not any(sign in pattern for sign in "?[") and "[" not in value and fnmatchcase(value, pattern)


def scope_text(scope: Scope) -> str:
    """A scope for people: `client BUYA or BUYB; symbol SAP`, or `everything`."""
    return "; ".join(f"{name} {' or '.join(patterns)}" for name, patterns in scope.items()) or "everything"


def rendered(page: str) -> str:
    """A page with the table between its two marks written anew."""
    head = ("command", "scope by", "recorded", *ROLES)
    rows = "".join(f"| {' | '.join(row)} |\n" for row in (head, ("---",) * len(head), *_rows()))
    return _BLOCK.sub(lambda match: f"{match[1]}{rows}{match[2]}", page)


def _rows() -> Iterable[tuple[str, ...]]:
    """Verb, where its scope comes from, what is recorded, and yes for each role."""
    for verb, rule in TABLE.items():
        about = "its own parts" if rule.about == "own" else rule.about
        about = about or ("not restricted" if rule.reads else "the whole desk")
        recorded = "change" if not rule.reads else "read" if rule.sensitive else ""
        yield (f"`{verb}`", about, recorded, *("yes" if role in rule.roles else "" for role in ROLES))


def main(arguments: Sequence[str]) -> None:
    """Rewrite the table of the page named by the only argument."""
    page = Path(arguments[0])
    page.write_text(rendered(page.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
