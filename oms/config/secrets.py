"""Secrets of the configuration: from a file, the environment or a command, and never in a log.

``secret`` reads one when it is needed, not when the configuration is: who may not read a password can still give
commands. Every secret that was read is remembered, so that ``redact`` finds it in whatever is about to be written.
Limits: a secret has 1 to 4096 printable characters; one with fewer than SHORTEST is returned, but not looked for in
texts, where it would be found everywhere. Errors name the place of a secret and never its contents.
Threads: any; what is remembered is only ever added to.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import re
import secrets
import shlex
import stat
import subprocess
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from oms.errors import OperatorError

PREFIXES = ("file:", "env:", "command:")
HIDDEN = "********"
SHORTEST = 4
_LONGEST = 4096
_COMMAND_SECONDS = 10.0
_SCRYPT = (2**14, 8, 1)  # n, r, p: 16 MB and some 50 ms
_TOKEN = re.compile(r"oms_[0-9a-f]{8}_[0-9a-f]{64}")
_IN_URL = re.compile(r"(?<=://)([^\s/:@]*):([^\s@]+)@")
_remembered: set[str] = set()


def secret(text: str, directory: Path | None = None) -> str:
    """The secret that a key of the configuration names, or is where it begins with none of PREFIXES.

    ``file:NAME`` is the first line of a file (relative to ``directory``, that of oms.toml), ``env:NAME`` a variable
    of the environment, ``command:PROGRAM ARGUMENTS`` the first line that a program prints; no shell reads it. Raises
    OperatorError with the remedy.
    """
    kind, colon, place = text.partition(":")
    place = place.strip()
    if kind + colon not in PREFIXES:
        found, where = text, "the secret in the configuration"
    elif not place:
        raise OperatorError(f"{kind}: names nothing; write for example {kind}:{_EXAMPLES[kind]}")
    elif kind == "file":
        found, where = _of_file(directory / Path(place).expanduser() if directory else Path(place).expanduser())
    elif kind == "env":
        found, where = _of_environment(place)
    else:
        found, where = _of_command(place)
    if not 0 < len(found) <= _LONGEST or not found.isprintable():
        raise OperatorError(f"{where} is no secret: it has to be one line of 1 to {_LONGEST} printable characters")
    remember(found)
    return found


_EXAMPLES = {"file": "/run/secrets/oms_db", "env": "OMS_DB_PASSWORD", "command": "pass show oms/db"}


def is_reference(text: str) -> bool:
    """Whether a text names the place of a secret rather than being one."""
    return text.startswith(PREFIXES)


def url_with_password(url: str, password: str | None, directory: Path | None = None) -> str:
    """A URL as it is used: itself possibly a secret, its password that of another key where one is given.

    Raises OperatorError.
    """
    found = secret(url, directory) if is_reference(url) else url
    try:
        parts = urlsplit(found)
        inside, host = parts.password, parts.netloc.rpartition("@")[2]
        usable = parts.scheme in ("postgresql", "postgresql+psycopg") and len(parts.path) > 1 and parts.port != 0
    except ValueError:
        usable = False
    if not usable:  # what it is instead is not shown
        raise OperatorError("[database]: the secret is no URL; it has to be postgresql://USER@HOST:PORT/DATABASE")
    if inside:
        remember(unquote(inside))
        remember(inside)
    if password is None:
        return found
    if inside:
        raise OperatorError("[database]: a password both in the URL and in its own key; keep one of them")
    told = secret(password, directory)
    quoted = quote(told, safe="")
    remember(quoted)
    return urlunsplit(parts._replace(netloc=f"{quote(unquote(parts.username or ''))}:{quoted}@{host}"))


def remember(text: str) -> None:
    """Look for this text in whatever goes through ``redact`` from now on."""
    if len(text) >= SHORTEST:
        _remembered.update((text, json.dumps(text)[1:-1]))  # and as a line of a log in JSON has it


def redact(text: str) -> str:
    """A text without the secrets that this process has read, nor the passwords of URLs."""
    for one in sorted(_remembered, key=len, reverse=True) if _remembered else ():
        if one in text:
            text = text.replace(one, HIDDEN)
    if "oms_" in text:
        text = _TOKEN.sub(HIDDEN, text)
    return _IN_URL.sub(rf"\1:{HIDDEN}@", text) if "://" in text else text


def hashed(text: str) -> str:
    """A secret as it may be kept: ``scrypt:N:R:P:SALT:HASH``, salted, so that equal ones differ."""
    salt = secrets.token_bytes(16)
    parts = (base64.b64encode(one).decode() for one in (salt, _scrypt(text, salt, *_SCRYPT)))
    return ":".join(("scrypt", *map(str, _SCRYPT), *parts))


def is_hashed(text: str) -> bool:
    """Whether a text is what `hashed` gives, with costs that this process would pay."""
    return _parts(text) is not None


def matches(text: str, kept: str) -> bool:
    """Whether a secret is the one that was hashed; the time it takes does not depend on where they differ."""
    parts = _parts(kept)
    if parts is None:
        return False
    costs, salt, wanted = parts
    return hmac.compare_digest(_scrypt(text, salt, *costs), wanted)


def _scrypt(text: str, salt: bytes, n: int, r: int, p: int) -> bytes:
    return hashlib.scrypt(text.encode("utf-8", "surrogateescape"), salt=salt, n=n, r=r, p=p, maxmem=2**26)


def _parts(kept: str) -> tuple[tuple[int, int, int], bytes, bytes] | None:
    """Costs, salt and hash of what `hashed` gave; None where it is something else."""
    kind, *parts = kept.split(":")
    if kind != "scrypt" or len(parts) != 5 or not all(one.isdecimal() and len(one) < 7 for one in parts[:3]):
        return None
    n, r, p = map(int, parts[:3])
    try:
        salt, wanted = (base64.b64decode(one, validate=True) for one in parts[3:])
    except ValueError:
        return None
    sane = 2**10 <= n <= 2**15 and n & (n - 1) == 0 and 1 <= r <= 8 and 1 <= p <= 4
    return ((n, r, p), salt, wanted) if sane and len(salt) >= 8 and len(wanted) == 64 else None


def _of_file(path: Path) -> tuple[str, str]:
    """The first line of a file that not everybody may read."""
    where = f"the file {path}"
    try:
        with path.open("rb") as stream:
            mode = os.fstat(stream.fileno()).st_mode
            if not stat.S_ISREG(mode):
                raise OperatorError(f"{where} of a secret is no ordinary file; name one")
            if mode & 0o007 or mode & stat.S_IWGRP:
                raise OperatorError(f"{where} of a secret may be read or written by others; `chmod 600 {path}`")
            line = stream.readline(_LONGEST * 4 + 2)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "no file name"
        raise OperatorError(
            f"{where} of a secret cannot be read: {why}; make it, or let this user read it"
        ) from error
    return _line(line, where), where


def _of_environment(name: str) -> tuple[str, str]:
    where = f"the environment variable {name}"
    if name not in os.environ:
        raise OperatorError(f"{where} of a secret is not set; set it before the command is started")
    return os.environ[name], where


def _of_command(text: str) -> tuple[str, str]:
    """The first line that a program prints; what it writes on standard error is not shown: nobody knows what."""
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise OperatorError(f"command: of a secret cannot be read: {error}; mend its quotes") from error
    where = f"the output of {words[0]}"
    try:
        done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, timeout=_COMMAND_SECONDS)
    except subprocess.TimeoutExpired:
        raise OperatorError(f"{words[0]} gave no secret within {_COMMAND_SECONDS:g} s; try it by hand") from None
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise OperatorError(f"{words[0]} cannot be run for a secret: {why}; name a program that is there") from error
    if done.returncode:
        raise OperatorError(f"{words[0]} ended with exit code {done.returncode} and gave no secret; try it by hand")
    return _line(done.stdout.partition(b"\n")[0], where), where


def _line(raw: bytes, where: str) -> str:
    try:
        return raw.rstrip(b"\r\n").decode()
    except UnicodeDecodeError:
        raise OperatorError(f"{where} of a secret is no UTF-8 text; save it as text") from None
