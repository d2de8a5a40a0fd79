"""What a database server refuses, as an OperatorError that names the server and what a person can do about it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import errors as pg
from sqlalchemy import make_url
from sqlalchemy.exc import DBAPIError

from oms.errors import OperatorError
from oms.ledger.schema import GATEWAY_ROLE


@contextmanager
def database_errors(url: str) -> Iterator[None]:
    """Turns what a database server refuses into an OperatorError that names the server and the remedy."""
    try:
        yield
    except DBAPIError as error:
        if not isinstance(error.orig, OPERATORS_TO_MEND):
            raise  # a mistake of ours
        raise _explained(error.orig, url) from error
    except OPERATORS_TO_MEND as error:
        raise _explained(error, url) from error


OPERATORS_TO_MEND = (
    psycopg.OperationalError,
    psycopg.InterfaceError,
    pg.InsufficientPrivilege,
    pg.UndefinedTable,
    pg.UndefinedColumn,
    pg.ReadOnlySqlTransaction,
)

# Text of the message -> remedy, first match wins. libpq gives no SQLSTATE for a refused login.
REMEDIES = (
    ("password authentication failed", "check the user, and PGPASSWORD or ~/.pgpass"),
    ("no password supplied", "put the password into PGPASSWORD or ~/.pgpass"),
    ("no pg_hba.conf entry", "let this host and user in by the server's pg_hba.conf"),
    ("does not exist", "create it, or correct [database] url"),
    ("is not permitted to log in", "let the role log in, or name another user in [database] url"),
    ("permission denied to set role", f"as a superuser run: GRANT {GATEWAY_ROLE} TO that user"),
    ("Permission denied", "run as the user who started the gateway"),
    ("permission denied", f"as a superuser run: GRANT {GATEWAY_ROLE} TO that user"),
    ("read-only transaction", "the server is read-only (a standby?); name the primary in [database] url"),
    ("starting up", "wait a moment and try again"),
    ("shutting down", "start the server and try again"),
    ("too many", "raise max_connections of the server, or end other connections"),
    ("timeout", "check host and port in [database] url, and the network between"),
    ("resolve host", "check the host in [database] url"),
    ("Connection refused", "start the server, or check host and port in [database] url"),
    ("No space left", "free space on the server's disk"),
)


def _explained(error: BaseException, url: str) -> OperatorError:
    said = first_line(error)
    remedy = next((remedy for sign, remedy in REMEDIES if sign in str(error)), "see the server's log")
    if isinstance(error, pg.UndefinedTable | pg.UndefinedColumn):
        remedy = "the ledger is incomplete; run: oms db migrate"
    return OperatorError(f"database {_shown(url)}: {said}; {remedy}")


def first_line(error: object) -> str:
    """The server's own words, without libpq's preamble."""
    line = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return line.rsplit("FATAL:", 1)[-1].strip()


def _shown(url: str) -> str:
    made = make_url(url)
    host = made.host or made.query.get("host") or "localhost"
    return f"{made.database} on {host}" + (f":{made.port}" if made.port else "")
