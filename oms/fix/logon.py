"""Who may log on: Username(553) and Password(554) of a Logon(A), checked for clients, given to brokers.

A client's Logon(A) is looked at before the engine does anything with it. It is let in, or refused with a Logout(5)
that says no more than that; what was wrong is for operators. FAILURES wrong ones from one address within a minute
shut the door for a minute: then nothing is compared, and nothing is told from right or wrong.
Where a client's version has no Password(554), RawData(96) is taken for it, as was done before FIX 4.3.
Invariants: passwords are compared in constant time; one that was right is remembered as a digest under a key of this
process, because a hash costs 50 ms; nothing here has a password in its text, and `masked` takes them out of what is
recorded of a message.
Threads: one door per session, called by the engine's thread of its one connection.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import monotonic
from typing import Any

from oms.config.secrets import hashed, is_hashed, matches, secret
from oms.config.sessions import SessionSpec
from oms.core.session_side import DOOR_SHUT

SOH = "\x01"
NOT_ACCEPTED = "not accepted"
LOCKED_OUT = DOOR_SHUT
FAILURES, SECONDS = 5, 60.0
_ADDRESSES = 100
_SECRET_TAGS = ("554", "925", "1402", "1404")  # Password, NewPassword, EncryptedPassword, EncryptedNewPassword
_SECRET = re.compile(rf"(?:(?<={SOH})|^)({'|'.join(_SECRET_TAGS)})=([^{SOH}]*)")
_RAW_DATA = re.compile(rf"{SOH}95=([0-9]{{1,9}}){SOH}96=")
_HIDDEN = "***"
_KEY = secrets.token_bytes(32)


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a session logs on with. `password` is the secret itself, or of a client also its hash.

    `raw_data`: ours goes into RawData(96), to brokers that take it there.
    """

    username: str
    password: str = field(repr=False)
    raw_data: bool = False


def credentials_of(specs: Iterable[SessionSpec], directory: Path) -> dict[str, Credentials]:
    """Of the sessions that have any, read now from where they are kept. Raises OperatorError."""
    found = {}
    for spec in specs:
        if spec.password:
            kept = spec.password if is_hashed(spec.password) else secret(spec.password, directory)
            found[spec.name] = Credentials(spec.username, kept, spec.password_in_raw_data)
    return found


def value(raw: str, tag: str) -> str:
    """The first value of a tag, '' where it is not there."""
    start = raw.find(f"{SOH}{tag}=")
    return raw[start + len(tag) + 2 : raw.find(SOH, start + 1)] if start >= 0 else ""


def raw_data(raw: str) -> str:
    """RawData(96), which may hold any character, by its length; '' where it is not there."""
    found = _RAW_DATA.search(raw)
    return raw[found.end() : found.end() + int(found[1])] if found else value(raw, "96")


def masked(raw: str, *others: str) -> tuple[str, ...]:
    """A message without its passwords, and other texts without what was taken out of it."""
    found = {match[2] for match in _SECRET.finditer(raw)}
    if f"{SOH}35=A{SOH}" in raw:
        found.add(raw_data(raw))
    raw = _SECRET.sub(rf"\1={_HIDDEN}", raw)
    texts = [raw, *others]
    for told in sorted(filter(None, found), key=len, reverse=True):
        # in the message only as a whole value: a short password may be part of anything
        texts[0] = texts[0].replace(f"={told}{SOH}", f"={_HIDDEN}{SOH}")
        texts[1:] = [text.replace(told, _HIDDEN) for text in texts[1:]]
    return tuple(texts)


def show(message: Any, credentials: Credentials) -> None:
    """Put Username(553) and the password into a Logon(A) of ours."""
    if credentials.username:
        message.setField(553, credentials.username)
    if credentials.raw_data:
        message.setField(95, str(len(credentials.password.encode())))
        message.setField(96, credentials.password)
    else:
        message.setField(554, credentials.password)


@dataclass(slots=True)
class Door:
    """Lets one client session in, or says why not."""

    credentials: Credentials
    clock: Callable[[], float] = monotonic
    refused: int = 0  # Logon(A) turned away since the start
    shut: int = 0  # how often the door was shut
    _wrong: dict[str, deque[float]] = field(default_factory=dict)
    _shut_until: dict[str, float] = field(default_factory=dict)
    _right: bytes = b""

    def __post_init__(self) -> None:
        if not is_hashed(self.credentials.password):  # a wrong one takes the same time however it is configured
            self.credentials = replace(self.credentials, password=hashed(self.credentials.password))

    def why_not(self, raw: str, address: str) -> str:
        """Why a Logon(A) is refused, for operators; '' where it is let in."""
        now = self.clock()
        if self._shut_until.get(address, now) > now:
            self.refused += 1
            return f"{LOCKED_OUT} for {address}: no Logon(A) is looked at for {self._shut_until[address] - now:.0f} s"
        given = (value(raw, "553"), value(raw, "554"))
        by_raw_data = not given[1] and raw_data(raw)
        named = given[0] or (self.credentials.username if by_raw_data else "")
        if self._is_right(named, by_raw_data or given[1]):
            self._wrong.pop(address, None)
            return ""
        self.refused += 1
        problem = "Username(553) or Password(554) is wrong" if any(given) or by_raw_data else "no Password(554)"
        return f"{problem}; from {address or 'an unknown address'}{self._count(address, now)}"

    def _is_right(self, username: str, password: str) -> bool:
        """Both are looked at whatever the other is, in the same time."""
        told = hmac.digest(_KEY, f"{username}{SOH}{password}".encode("utf-8", "surrogateescape"), "sha256")
        if self._right:
            if hmac.compare_digest(told, self._right):
                return True
        named = hmac.compare_digest(_bytes(username), _bytes(self.credentials.username))
        if not (matches(password, self.credentials.password) & named & bool(password)):
            return False
        self._right = told
        return True

    def _count(self, address: str, now: float) -> str:
        """One more wrong one; what is said of it."""
        if len(self._wrong) >= _ADDRESSES:  # the oldest is forgotten
            del self._wrong[next(iter(self._wrong))]
        times = self._wrong.setdefault(address, deque(maxlen=FAILURES))
        times.append(now)
        if len(times) < FAILURES or now - times[0] > SECONDS:
            return ""
        self.shut += 1
        self._shut_until = {one: until for one, until in self._shut_until.items() if until > now}
        self._shut_until[address] = now + SECONDS
        times.clear()
        return f"; {FAILURES} within {SECONDS:.0f} s: {LOCKED_OUT} for {SECONDS:.0f} s"


def _bytes(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()


def logon_of(side: str, specs: Iterable[SessionSpec], directory: Path) -> dict[str, Any]:
    """What an engine needs of it: doors for those who connect to us, our credentials for the others."""
    found = credentials_of(specs, directory)
    return {"credentials": found} if side == "broker" else {"doors": {name: Door(one) for name, one in found.items()}}
