"""When the TLS certificates end that sessions show, or take: read from the files that sessions.cfg names.

The standard library can verify a certificate but does not give the dates of one that it is not connected with, and no
library for it is installed; so the few bytes of DER on the way to `notAfter` are read here (RFC 5280, 4.1).
Limits: certificates in PEM; the dates alone are read, whether a chain holds is found out by the handshake.
"""

from __future__ import annotations

import os
import re
import ssl
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from oms.config.problems import Problems

if TYPE_CHECKING:  # the parts are read there, and only looked at here
    from oms.config.crosscheck import Parts

FILES = ("ServerCertificateFile", "ClientCertificateFile", "CertificationAuthoritiesFile")
SOON_DAYS = 30
_PEM = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
_SEQUENCE, _VERSION, _UTC_TIME, _GENERALIZED_TIME = 0x30, 0xA0, 0x17, 0x18


class Ends(NamedTuple):
    """The first of a file's certificates to end: which key of sessions.cfg names it, the file, and when (UTC)."""

    key: str
    file: str
    at: datetime

    def says(self, now: datetime) -> str:
        """`ends 2027-03-02, in 12 days` or `ended 2026-03-02`."""
        days = (self.at - now).days
        return f"ended {self.at:%Y-%m-%d}" if self.at <= now else f"ends {self.at:%Y-%m-%d}, in {days} days"


def ends_of(settings: Mapping[str, str]) -> list[Ends]:
    """Of the certificate files that a session's settings name, those that can be read."""
    found = []
    for key in FILES:
        if key in settings:
            try:
                dates = not_after(Path(settings[key]).read_bytes())
            except (OSError, ValueError):
                continue  # told by `problem_of`
            if dates:
                found.append(Ends(key, settings[key], min(dates)))
    return found


def problem_of(path: Path) -> str:
    """Why no date can be read from a certificate file, '' if one can."""
    try:
        return "" if not_after(path.read_bytes()) else "has no certificate in PEM form"
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    except ValueError:
        return "has a certificate that cannot be read"


def check(parts: Parts, problems: Problems) -> None:
    """TLS certificates can be read, and do not end soon. One that has ended stops no start: others may do without."""
    now, file = datetime.now(UTC), parts.files.sessions
    specs = [spec for spec in parts.sessions.specs.values() if spec.tls]
    for key, name in sorted({(key, spec.settings[key]) for spec in specs for key in FILES if key in spec.settings}):
        if not os.path.isfile(name):
            continue  # the reader has told
        where, problem = f"[DEFAULT] {key}", problem_of(Path(name))
        if problem:
            problems.add(file, where, f"{name} {problem}", "name a file of certificates (PEM)")
        for one in ends_of({key: name}):
            if (one.at - now).days < SOON_DAYS:
                problems.warn(file, where, f"{name} {one.says(now)}", "have a new one made")


def not_after(pem: bytes) -> list[datetime]:
    """When each certificate of a PEM file ends. Raises ValueError for one that is none."""
    return [_not_after(ssl.PEM_cert_to_DER_cert(one.decode("ascii"))) for one in _PEM.findall(pem)]


def _not_after(der: bytes) -> datetime:
    _, certificate, _ = _take(der, _SEQUENCE)
    _, body, _ = _take(certificate, _SEQUENCE)
    kind, _, rest = _take(body)
    if kind == _VERSION:
        _, _, rest = _take(rest)  # serialNumber
    for _ in ("signature", "issuer"):
        _, _, rest = _take(rest, _SEQUENCE)
    _, validity, _ = _take(rest, _SEQUENCE)
    _, _, rest = _take(validity)
    kind, text, _ = _take(rest)
    form = {_UTC_TIME: "%y%m%d%H%M%SZ", _GENERALIZED_TIME: "%Y%m%d%H%M%SZ"}.get(kind)
    if form is None:
        raise ValueError("no time where a certificate ends")
    return datetime.strptime(text.decode("ascii"), form).replace(tzinfo=UTC)


def _take(der: bytes, wanted: int | None = None) -> tuple[int, bytes, bytes]:
    """The first value of some DER: its kind, its contents, and what follows."""
    if len(der) < 2 or (wanted is not None and der[0] != wanted):
        raise ValueError("no certificate")
    length, start = der[1], 2
    if length & 0x80:
        count = length & 0x7F
        length, start = int.from_bytes(der[2 : 2 + count], "big"), 2 + count
    if len(der) < start + length:
        raise ValueError("a certificate is cut off")
    return der[0], der[start : start + length], der[start + length :]
