"""Which system users may command the gateway, and under which names.

The control socket learns the user number of the other end from the kernel; here it becomes the name that stands in
the journal. Invariant: a name means one user, whatever the configuration says, so that nobody passes for another.
"""

from __future__ import annotations

import grp
import os
import pwd

from oms.config.people import Operators
from oms.errors import OperatorError


def system_name(user: int) -> str:
    """The system's name of a user number."""
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return f"uid-{user}"


class People:
    """The configured operators, looked up on this machine. Raises OperatorError where that is not possible."""

    def __init__(self, operators: Operators | None = None) -> None:
        self._operators = operators or Operators()
        self._names: dict[int, str] = {}
        for name, user in self._operators.users.items():
            number = user if isinstance(user, int) else _number_of(name, user)
            if number in self._names:
                raise OperatorError(
                    f"[operators] users: {self._names[number]} and {name} are the same system user {user};"
                    " nobody is two people, keep one of them"
                )
            if _known(name) not in (None, number):
                raise OperatorError(
                    f"[operators] users: {name} is also a system user, and not the one that is named ({user});"
                    " give the operator another name"
                )
            self._names[number] = name
        self.group = _group(self._operators.socket_group)

    def may_command(self, user: int) -> bool:
        """Whether a user may command at all."""
        return user in (os.getuid(), 0) or user in self._names

    def name_of(self, user: int) -> str:
        """The operator's name, else the system's."""
        return self._names.get(user) or system_name(user)

    def needs_two(self, verb: str) -> bool:
        """Whether a command needs a second person."""
        return verb in self._operators.two_people

    @property
    def valid_seconds(self) -> int:
        """For how long a proposal may be approved."""
        return self._operators.approval_minutes * 60

    def barred(self, operator: str) -> str:
        """Why somebody may neither propose nor approve, with the remedy; '' where he may."""
        if len(self._names) < 2:
            return (
                "this needs two people, and [operators] users of oms.toml does not name two; name them with their"
                " system users and start the gateway again"
            )
        if operator not in self._names.values():
            return (
                f"{operator} is not in [operators] users of oms.toml: only who is named there proposes and approves"
            )
        return ""


def _known(name: str) -> int | None:
    try:
        return pwd.getpwnam(name).pw_uid
    except KeyError:
        return None


def _number_of(name: str, user: str) -> int:
    number = _known(user)
    if number is None:
        raise OperatorError(
            f"[operators] users: {name} is to be the system user {user!r}, whom this machine does not know;"
            " create or correct it (`getent passwd`)"
        )
    return number


def _group(name: str | None) -> int | None:
    if name is None:
        return None
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        raise OperatorError(
            f"[operators] socket_group: this machine has no group {name!r}; create or correct it (`getent group`)"
        ) from None
