"""The environment of a ledger: `test` or `live`, whichever it was first used with, marked in the ledger itself.

A gateway of the other environment is refused before it changes anything. The mark is made once, by the tables' owner;
the gateway's role can only read it, and no command changes it.
"""

from __future__ import annotations

from typing import Any

import psycopg

from oms.config.load import Config
from oms.errors import OperatorError


def mark(connection: psycopg.Connection[Any], config: Config) -> None:
    """Mark a ledger that has no mark yet. To be called as the tables' owner, once the tables are there."""
    connection.execute(
        "INSERT INTO ledger_environment (name, environment, since, marked_by) VALUES ('ledger', %s, now(), %s)"
        " ON CONFLICT (name) DO NOTHING",
        [config.gateway.environment, config.gateway.name],
    )


def require_own(connection: psycopg.Connection[Any], config: Config) -> None:
    """Raises OperatorError where the ledger is of the other environment; one without a mark is anybody's."""
    there = connection.execute("SELECT to_regclass('ledger_environment') IS NOT NULL").fetchone()
    if there is None or not there[0]:
        return
    found = connection.execute(
        "SELECT environment, since, marked_by, current_database() FROM ledger_environment WHERE name = 'ledger'"
    ).fetchone()
    if found is None or found[0] == config.gateway.environment:
        return
    theirs, since, name, database = found
    ours = config.gateway.environment
    place = "[database] url" if config.database.url is not None else "[gateway] state_dir, where its Postgres is"
    raise OperatorError(
        f'[gateway] environment of {config.path} is "{ours}", and the ledger {database} is a {theirs} ledger since'
        f" {since:%Y-%m-%d} (gateway {name}): test and live never share one; name the {ours} ledger in {place}, or"
        f' correct environment to "{theirs}"'
    )
