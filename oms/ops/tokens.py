"""Operators' tokens: made, shown once, kept as a salted hash, compared in constant time; wrong ones are counted.

A token is `oms_ID_SECRET`: the id finds the person, the secret of 256 random bits makes it hard to guess. A hash
costs some 50 ms and 16 MB: one is made at a time, and whoever shows wrong tokens is locked out before it comes to it.
Threads: any.
"""

from __future__ import annotations

import os
import re
import secrets
import stat
import threading
from datetime import datetime
from functools import cache
from pathlib import Path
from time import monotonic

from oms.config.people_file import PeopleFile, Person, Token
from oms.config.secrets import hashed, matches, remember, secret
from oms.errors import OperatorError

_FORM = re.compile(r"oms_([0-9a-f]{8})_[0-9a-f]{64}")
_SOURCES_LIMIT = 1000
VARIABLE = "OMS_TOKEN"


def new_token(created: datetime, expires: datetime | None) -> tuple[str, Token]:
    """A token to be shown once, and what is kept of it."""
    token_id = secrets.token_hex(4)
    token = f"oms_{token_id}_{secrets.token_hex(32)}"
    return token, Token(token_id=token_id, hash=hashed(token), created=created, expires=expires)


class Lockout:
    """Counts wrong tokens by source; after `limit` within `seconds` the source is locked out for as long."""

    def __init__(self, limit: int, seconds: float) -> None:
        self._limit = limit
        self._seconds = seconds
        self._lock = threading.Lock()
        self._wrong: dict[str, list[float]] = {}

    def remaining(self, source: str) -> float:
        """For how many seconds a source is locked out; 0 where it is not."""
        with self._lock:
            times = self._recent(source)
            return self._seconds - (monotonic() - times[-1]) if len(times) >= self._limit else 0.0

    def wrong(self, source: str) -> bool:
        """Count a wrong token; whether that locks the source out."""
        with self._lock:
            times = self._recent(source)
            times.append(monotonic())
            self._wrong.pop(source, None)
            self._wrong[source] = times[-self._limit :]
            while len(self._wrong) > _SOURCES_LIMIT:
                del self._wrong[next(iter(self._wrong))]  # who was wrong the longest ago
            return len(times) >= self._limit

    def _recent(self, source: str) -> list[float]:
        since = monotonic() - self._seconds
        times = self._wrong.get(source, [])
        return times if times and times[-1] > since else []


_one_hash_at_a_time = threading.Lock()


@cache
def _nobodys() -> str:
    return hashed("nobody's")


def holder(token: str, people: PeopleFile) -> tuple[str, Person] | None:
    """Whose token this is; None where it is nobody's. Takes as long for a token with an unknown id."""
    form = _FORM.fullmatch(token)
    if form is None:
        return None
    found = people.by_token(form[1])
    kept = found[1].token if found is not None else None
    with _one_hash_at_a_time:
        right = matches(token, kept.hash if kept is not None else _nobodys())
    return found if right else None


def token_from(file: Path | None, command: str | None) -> str:
    """The caller's token: of a file, of a command, else of OMS_TOKEN; '' for none. Raises OperatorError."""
    if file is not None:
        token = secret(f"file:{file}")
    elif command is not None:
        token = secret(f"command:{command}")
    else:
        token = os.environ.get(VARIABLE, "").strip()
    if not token:
        return ""
    remember(token)
    if _FORM.fullmatch(token) is None:
        where = file or ("what the command printed" if command else VARIABLE)
        raise OperatorError(f"{where} is no token: `oms people rotate NAME` makes a new one")
    return token


def refuse_if_others_may_write(path: Path) -> None:
    """The socket, and the directory it is in: whoever may write there could stand in for it. Raises OperatorError."""
    for one in (path, path.parent):
        status = one.stat()
        sticky = stat.S_ISDIR(status.st_mode) and status.st_mode & stat.S_ISVTX
        if status.st_mode & stat.S_IWOTH and not sticky:
            raise OperatorError(
                f"{one} may be written by everybody, so that anybody could be the gateway; `chmod o-w {one}`"
            )
