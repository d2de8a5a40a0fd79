"""Who commands the gateway: system users by the kernel's word, or holders of tokens; their names, roles and scopes.

The control socket learns the user number of the other end from the kernel; here it becomes the name that stands in
the journal. A token says who its holder is, wherever he calls from. The file of people counts as it is now: it is
read again when it changes, and while it cannot be read nobody of it may do anything.
Invariant: a name means one person, whatever the configuration says, so that nobody passes for another.
Threads: any.
"""

from __future__ import annotations

import grp
import os
import pwd
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from math import ceil

from oms.config.control import Control
from oms.config.people import Operators
from oms.config.people_file import PeopleFile, Person, read_people
from oms.errors import OperatorError
from oms.ops.roles import NONE, Scope, scope_text
from oms.ops.tokens import Lockout, holder

OWNER_ROLE = "admin"  # of users in oms.toml, where there is no file of people


@dataclass(frozen=True, slots=True)
class Caller:
    """Who gives a command: the name for the journal, what he may do, and from where he calls."""

    name: str
    role: str
    scope: Scope = field(default_factory=dict)
    origin: str = "local"  # `user 1001`, or `10.0.0.7`
    by: str = "user"  # or token


class Refused(OperatorError):
    """Somebody may not command. `name`, `origin` and `why` are for the record: `why` has no secret."""

    def __init__(self, name: str, origin: str, why: str, told: str = "") -> None:
        super().__init__(told or why)
        self.name, self.origin, self.why = name, origin, why


def system_name(user: int) -> str:
    """The system's name of a user number."""
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return f"uid-{user}"


class People:
    """The configured operators, looked up on this machine. Raises OperatorError where that is not possible.

    `changed` is told of the file of people each time it was read: its people in words, or what is wrong with it.
    """

    def __init__(self, operators: Operators | None = None, control: Control | None = None) -> None:
        self._operators = operators or Operators()
        limits = control or Control()
        self._lockout = Lockout(limits.wrong_tokens, limits.lock_out_seconds)
        self._lock = threading.Lock()
        self._stamp: tuple[int, ...] | None = None
        self._broken = ""
        self._file = PeopleFile()
        self._names = self._of_config()
        self.changed: Callable[[str], None] = lambda words: None
        self.group = _group(self._operators.socket_group)
        self._look()
        if self._broken:
            raise OperatorError(f"[operators] file: {self._broken}")

    # -- who ------------------------------------------------------------------------------------------------

    def caller(self, user: int | None, token: str, address: str = "") -> Caller:
        """Who is at the other end: a system user, None where he is on another machine. Raises Refused."""
        origin = address or f"user {user}"
        people, names = self._look()
        if token and (user is None or self._operators.file is not None):
            return self._by_token(people, names, token, user, origin)
        if user is None:
            raise Refused("", origin, "no token", "a token is needed: OMS_TOKEN, --token-file or --token-command")
        name = names.get(user)
        if self._broken and user not in (os.getuid(), 0):
            raise Refused(name or system_name(user), origin, self._broken)
        if name is not None and self._operators.file is None:
            return Caller(name, OWNER_ROLE, origin=origin)
        if name is not None and name in people.people:
            return _person(name, people.people[name], origin, "user")
        return self._nobodys(user, name or system_name(user), people, origin)

    def _nobodys(self, user: int, name: str, people: PeopleFile, origin: str) -> Caller:
        """A system user who is not in the file."""
        if name in people.people:  # somebody else's name: he may be that person, and may be another
            raise Refused(
                name, origin, f"the system user {name} is not mapped to the operator {name}: give the token"
            )
        role = self._operators.owner_role if user in (os.getuid(), 0) else self._operators.default_role
        if role == NONE:
            raise Refused(name, origin, "no operator", self._who_may(name))
        return Caller(name, role, origin=origin)

    def _by_token(
        self, people: PeopleFile, names: dict[int, str], token: str, user: int | None, origin: str
    ) -> Caller:
        if seconds := self._lockout.remaining(origin):
            raise Refused("", origin, "locked out", f"too many wrong tokens; try again in {ceil(seconds)} s")
        found = holder(token, people)
        if found is None:
            locked = self._lockout.wrong(origin)
            why = "wrong token" + (", which locks its sender out" if locked else "")
            told = self._broken or "this token is nobody's; `oms people rotate NAME` makes a new one"
            raise Refused("", origin, why, told)
        name, person = found
        mapped = names.get(user) if user is not None else None
        if mapped is not None and mapped != name:
            raise Refused(mapped, origin, f"{mapped} gave the token of {name}; nobody is two people")
        expires = person.token.expires if person.token is not None else None
        if expires is not None and datetime.now(UTC) >= expires:
            why = f"the token of {name} expired at {expires:%Y-%m-%d %H:%M:%S} UTC; `oms people rotate {name}`"
            raise Refused(name, origin, why)
        return _person(name, person, origin, "token")

    def _who_may(self, name: str) -> str:
        whose = "the file of people" if self._operators.file is not None else "[operators] users of its oms.toml"
        return (
            f"{name} may not command this gateway; it runs as {system_name(os.getuid())}, and {whose} names who may"
        )

    # -- two people -----------------------------------------------------------------------------------------

    def needs_two(self, verb: str) -> bool:
        """Whether a command needs a second person."""
        return verb in self._operators.two_people

    @property
    def valid_seconds(self) -> int:
        """For how long a proposal may be approved."""
        return self._operators.approval_minutes * 60

    def barred(self, operator: str) -> str:
        """Why somebody may neither propose nor approve, with the remedy; '' where he may."""
        people, names = self._look()
        if self._operators.file is None:
            named, where, remedy = set(names.values()), "[operators] users of oms.toml", "name them with their"
            remedy = "name them with their system users and start the gateway again"
        else:
            named = {name for name, person in people.people.items() if person.revoked is None}
            where, remedy = "the file of people", "add them with `oms people add`"
        if len(named) < 2:
            return f"this needs two people, and {where} does not name two; {remedy}"
        if operator not in named:
            return f"{operator} is not in {where}: only who is named there proposes and approves"
        return ""

    def gone(self, operator: str) -> bool:
        """Whether somebody who was an operator is none any more: what only he proposed is not to be done."""
        people, _ = self._look()
        person = people.people.get(operator)
        return self._operators.file is not None and (person is None or person.revoked is not None)

    def everybody(self) -> list[tuple[str, Person | None, str]]:
        """Name, entry of the file (None where he is only in oms.toml) and role of each who is named."""
        people, names = self._look()
        found = [(name, person, person.role) for name, person in people.people.items()]
        role = OWNER_ROLE if self._operators.file is None else NONE
        return [*found, *((name, None, role) for name in names.values() if name not in people.people)]

    # -- the file -------------------------------------------------------------------------------------------

    def _look(self) -> tuple[PeopleFile, dict[int, str]]:
        """The people as their file is now, and the operators by number of system user."""
        path = self._operators.file
        if path is None:
            return self._file, self._names
        stamp: tuple[int, ...] = ()
        with suppress(OSError):
            found = path.stat()
            stamp = (found.st_ino, found.st_mtime_ns, found.st_ctime_ns, found.st_size)
        with self._lock:
            if stamp != self._stamp:
                self._stamp = stamp
                self._read()
            return self._file, self._names

    def _read(self) -> None:
        assert self._operators.file is not None
        names = self._of_config()
        try:
            people = read_people(self._operators.file)
            for name, person in people.people.items():
                if person.user is not None and person.revoked is None:
                    _take(names, name, person.user)
        except OperatorError as error:
            self._file, self._names, self._broken = PeopleFile(), self._of_config(), str(error)
        else:
            self._file, self._names, self._broken = people, names, ""
        self.changed(self._broken or self.words())

    def words(self) -> str:
        """Everybody of the file with role and scope, for the journal."""
        told = (
            f"{name} {'revoked' if person.revoked else person.role}"
            + (f" ({scope_text(dict(person.scope.items()))})" if person.scope else "")
            for name, person in self._file.people.items()
        )
        return ", ".join(told) or "nobody"

    def _of_config(self) -> dict[int, str]:
        names: dict[int, str] = {}
        for name, user in self._operators.users.items():
            _take(names, name, user)
        return names


def _take(names: dict[int, str], name: str, user: str | int) -> None:
    """Note which number a name's system user has. Raises OperatorError where one would be two."""
    number = user if isinstance(user, int) else _number_of(name, user)
    if names.get(number, name) != name or any(one == name for key, one in names.items() if key != number):
        raise OperatorError(
            f"[operators] users: {names.get(number, name)} and {name} are the same system user {user};"
            " nobody is two people, keep one of them"
        )
    if _known(name) not in (None, number):
        raise OperatorError(
            f"[operators] users: {name} is also a system user, and not the one that is named ({user});"
            " give the operator another name"
        )
    names[number] = name


def _person(name: str, person: Person, origin: str, by: str) -> Caller:
    """Somebody of the file. Raises Refused where he was revoked."""
    if person.revoked is not None:
        raise Refused(name, origin, f"{name} was revoked at {person.revoked:%Y-%m-%d %H:%M:%S} UTC")
    return Caller(name, person.role, dict(person.scope.items()), origin, by)


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
