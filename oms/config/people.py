"""``[operators]`` and ``[exceptions]`` of oms.toml: who may command, what needs two people, how long items may wait.

Invariant: one system user is one operator at most, so that nobody is two people.
"""

from __future__ import annotations

import re
from typing import Literal, get_args

from pydantic import StrictInt, field_validator

from oms.config.problems import FileName, Section, key, show, wrong
from oms.config.rules import NAME

Verb = Literal[
    "fills.add",
    "fills.correct",
    "fills.bust",
    "fills.link",
    "sessions.set_seq",
    "kill.release",
    "trading.on",
    "limits.apply",
    "breakers.reset",
    "orders.settle",
]
Role = Literal["viewer", "trader", "risk", "operations", "admin"]
_YEAR_MINUTES = 525_600


def _is_user(value: object) -> bool:
    """Whether this may be a system user: a name, or a number."""
    if isinstance(value, str):
        return bool(value.strip()) and value.isprintable() and not value.isdigit()
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**32 - 1


class Operators(Section):
    """Who may command the gateway over its control socket, besides the user who runs it and root."""

    users: dict[str, str | int] = key(
        dict,
        "Operators by name, each with the system user (name or number) that they are logged in as. Only they "
        "propose and approve what needs two people.",
        expects="a table of operator name to system user",
        example='{ ann = "ann", bob = 1002 }',
    )
    file: FileName | None = key(
        None,
        "Who has which role, scope and token; written by `oms people`, read again when it changes. Absent: every one "
        "of `users` may give every command.",
        expects="a file name",
        example='"people.json"',
    )
    owner_role: Literal["viewer", "trader", "risk", "operations", "admin", "none"] = key(
        "admin",
        "Role of the user that runs the gateway and of root, where the file does not name them.",
        expects='"viewer", "trader", "risk", "operations", "admin" or "none"',
        example='"none"',
    )
    default_role: Literal["viewer", "none"] = key(
        "none",
        "Role of a system user who may open the socket and is nobody's of the file.",
        expects='"viewer" or "none"',
        example='"viewer"',
    )
    socket_group: str | None = key(
        None,
        "System group that may open the control socket; absent: only the user who runs the gateway, and root.",
        expects="the name of a group",
        example='"desk"',
        min_length=1,
    )
    two_people: tuple[Verb, ...] = key(
        ("fills.add", "fills.correct", "fills.bust", "orders.settle", "sessions.set_seq"),
        "What one operator proposes and another approves. sessions.set_seq needs it only where fills or orders are "
        "at risk, orders.settle only where an order ends or a replace is settled.",
        expects="a list of " + ", ".join(f'"{verb}"' for verb in get_args(Verb)),
        example='["fills.add", "fills.correct", "fills.bust", "sessions.set_seq"]',
    )
    approval_minutes: StrictInt = key(
        60,
        "For how long a proposal may be approved.",
        expects="a whole number from 1 to 10080",
        example="60",
        ge=1,
        le=10_080,
    )

    @field_validator("users", mode="before")
    @classmethod
    def _each_is_one(cls, users: object) -> object:
        if not isinstance(users, dict):
            raise ValueError("not a table")
        seen: dict[object, str] = {}
        for name, user in users.items():
            if not re.fullmatch(NAME, name):
                raise wrong(f"{show(name)} is no name of an operator", "use 1 to 32 letters, digits, _ or -")
            if not _is_user(user):
                raise wrong(f"{name} = {show(user)}", f'write for example {name} = "ann", or {name} = 1002')
            if user in seen:
                raise wrong(f"{seen[user]} and {name} are the same system user {user}", "keep one of them")
            seen[user] = name
        return users


class Exceptions(Section):
    """For how long exception items may stay open before they count as overdue."""

    error_minutes: StrictInt = key(
        30,
        "Items of severity error.",
        expects=f"a whole number from 1 to {_YEAR_MINUTES}",
        example="30",
        ge=1,
        le=_YEAR_MINUTES,
    )
    warning_minutes: StrictInt = key(
        240,
        "Items of severity warning.",
        expects=f"a whole number from 1 to {_YEAR_MINUTES}",
        example="240",
        ge=1,
        le=_YEAR_MINUTES,
    )
    kinds: dict[str, int] = key(
        dict,
        "Items of a kind, whatever their severity.",
        expects=f"a table of kind to a whole number from 1 to {_YEAR_MINUTES}",
        example="{ unknown_outcome = 10, not_at_work = 5 }",
    )

    @field_validator("kinds", mode="before")
    @classmethod
    def _in_range(cls, kinds: object) -> object:
        if not isinstance(kinds, dict):
            raise ValueError("not a table")
        for kind, minutes in kinds.items():
            if isinstance(minutes, bool) or not isinstance(minutes, int) or not 1 <= minutes <= _YEAR_MINUTES:
                remedy = f"write a whole number of minutes from 1 to {_YEAR_MINUTES}"
                raise wrong(f"{kind} = {show(minutes)}", remedy)
        return kinds

    def minutes_for(self, kind: str, severity: str) -> int:
        """For how many minutes an item may stay open."""
        otherwise = self.warning_minutes if severity == "warning" else self.error_minutes
        return self.kinds.get(kind, otherwise)
