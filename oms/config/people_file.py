"""The file of people: each operator with role, scope, system user and the hash of a token. Written by `oms people`.

JSON, replaced as a whole, so that who reads it sees the old or the new. Read by the gateway whenever it changes.
Invariants: the token itself is never in it; whoever is not the gateway's user, root or of its group cannot read it,
and nobody else can write it, or it is refused.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError, field_validator, model_validator

from oms.config.people import Role
from oms.config.rules import NAME
from oms.config.secrets import is_hashed
from oms.errors import OperatorError

Dimension = Literal["client", "account", "broker", "symbol"]
_SIZE_LIMIT = 1_000_000
_PATTERN_LIMIT = 64


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Token(_Part):
    """A token as it is kept: `token_id` is its middle part, which finds it."""

    token_id: str
    hash: str
    created: AwareDatetime
    expires: AwareDatetime | None = None

    @field_validator("hash")
    @classmethod
    def _is_hash(cls, value: str) -> str:
        if not is_hashed(value):
            raise ValueError("not what `oms people` writes")
        return value


class Person(_Part):
    """One operator. Revoked ones stay, so that a review names them; they may do nothing."""

    role: Role
    scope: dict[Dimension, tuple[str, ...]] = {}
    user: str | int | None = None
    token: Token | None = None
    created: AwareDatetime
    created_by: str = ""
    revoked: AwareDatetime | None = None
    revoked_by: str = ""

    @field_validator("scope")
    @classmethod
    def _has_patterns(cls, value: dict[Dimension, tuple[str, ...]]) -> dict[Dimension, tuple[str, ...]]:
        for patterns in value.values():
            if not patterns or not all(0 < len(one) <= _PATTERN_LIMIT and one.isprintable() for one in patterns):
                raise ValueError(f"a scope has patterns of 1 to {_PATTERN_LIMIT} printable characters")
        return value


class PeopleFile(_Part):
    """Everybody, by name."""

    people: dict[str, Person] = {}

    @model_validator(mode="after")
    def _each_is_one(self) -> PeopleFile:
        seen: dict[object, str] = {}
        for name, person in self.people.items():
            if not re.fullmatch(NAME, name):
                raise ValueError("a name has 1 to 32 letters, digits, _ or -")
            for what in (person.user, person.token and person.token.token_id):
                if what is not None and what in seen:
                    raise ValueError(f"{seen[what]} and {name} are the same; nobody is two people")
                seen[what] = name
        return self

    def by_token(self, token_id: str) -> tuple[str, Person] | None:
        """Whose token has this id."""
        for name, person in self.people.items():
            if person.token is not None and person.token.token_id == token_id:
                return name, person
        return None


def read_people(path: Path) -> PeopleFile:
    """The file's contents. Raises OperatorError where it cannot be read, or may not be trusted."""
    try:
        with path.open("rb") as stream:
            status = os.fstat(stream.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise OperatorError(f"{path} is no ordinary file; name the file that `oms people` writes")
            if status.st_mode & (stat.S_IWGRP | stat.S_IRWXO):
                raise OperatorError(f"{path} may be written by others, or read by everybody; `chmod 640 {path}`")
            if status.st_uid not in (0, os.getuid()) and os.getuid() != 0:
                raise OperatorError(f"{path} belongs to another user than the gateway's; `chown` it")
            text = stream.read(_SIZE_LIMIT + 1)
    except FileNotFoundError:
        raise OperatorError(f"there is no file {path}; `oms people add NAME --role ROLE` makes it") from None
    except OSError as error:
        raise OperatorError(f"{path} cannot be read: {error.strerror}; let the gateway's user read it") from error
    if len(text) > _SIZE_LIMIT:
        raise OperatorError(f"{path} is longer than {_SIZE_LIMIT} bytes; it is no file of people")
    try:
        return PeopleFile.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise OperatorError(
            f"{path}: {where or 'the file'}: {first['msg']}; put back a copy, or write it anew with `oms people`"
        ) from None


@contextmanager
def changing(path: Path) -> Iterator[dict[str, Person]]:
    """Everybody, to be changed within the block and written at its end; one changes it at a time.

    A block that raises changes nothing. Raises OperatorError.
    """
    try:
        with path.with_name(path.name + ".lock").open("w") as lock:
            os.chmod(lock.fileno(), 0o600)
            fcntl.flock(lock, fcntl.LOCK_EX)
            people = dict(read_people(path).people) if path.exists() else {}
            yield people
            _write(path, people)
    except OSError as error:
        raise OperatorError(
            f"{path} cannot be written: {error.strerror}; be the user that runs the gateway"
        ) from error


def new_person(given: dict[str, Any]) -> Person:
    """A person of these parts. Raises OperatorError where one cannot be."""
    try:
        return Person.model_validate(given)
    except ValidationError as error:
        raise OperatorError(_problem(error)) from None


def _problem(error: ValidationError) -> str:
    return f"{error.errors()[0]['msg'].removeprefix('Value error, ')}; nothing was changed"


def _write(path: Path, people: dict[str, Person]) -> None:
    try:
        made = PeopleFile.model_validate({"people": {name: one.model_dump() for name, one in people.items()}})
    except ValidationError as error:
        raise OperatorError(_problem(error)) from None
    before = path.stat() if path.exists() else None
    handle, name = tempfile.mkstemp(prefix=path.name, dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(json.dumps(made.model_dump(mode="json", exclude_defaults=True), indent=2) + "\n")
            stream.flush()
            os.fsync(stream.fileno())
            if before is not None:
                os.chmod(name, stat.S_IMODE(before.st_mode) & 0o640)
                if os.getuid() == 0:
                    os.chown(name, before.st_uid, before.st_gid)
        os.replace(name, path)
    except OSError:
        Path(name).unlink(missing_ok=True)
        raise


def now() -> datetime:
    """To the second, as the file has it."""
    return datetime.now(UTC).replace(microsecond=0)
