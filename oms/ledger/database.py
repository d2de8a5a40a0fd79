"""Connections to the ledger, its schema, and who may do what to it.

`migrate` brings a database to this program's schema with Alembic and then secures it (I6): the gateway works as
the role `oms_gateway`, which may insert into and read the append-only tables, update the projections besides, and
delete nothing; triggers refuse UPDATE, DELETE and TRUNCATE of the append-only tables to everybody, owners and
superusers too. What a server refuses is put into words by `oms.ledger.remedies`.
URLs are `postgresql://...`; every connection speaks UTC.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg
from psycopg import errors as pg
from psycopg import sql
from pydantic import SecretStr
from sqlalchemy import Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from oms.config.load import Config
from oms.config.secrets import url_with_password
from oms.errors import OperatorError
from oms.ledger import environment
from oms.ledger.embedded import EmbeddedPostgres
from oms.ledger.partitions import REFUSE_FUNCTION, make_coming
from oms.ledger.remedies import database_errors, first_line
from oms.ledger.schema import APPEND_ONLY, GATEWAY_ROLE, OWNERS, PROJECTION_VERSION, PROJECTIONS, STANDING, metadata

SCHEMA_VERSION = "0016"  # the newest file of migrations/versions; a test holds the two together
OLDEST_POSTGRES = 14
EMBEDDED = "postgres"  # its directory in the state directory
DATABASE_NAME = "oms"  # of the embedded server
GATEWAY_LOCK = 0x6F6D7331  # advisory lock that a running gateway's writer holds; fits in 32 bits
MIGRATION_LOCK = 0x6F6D74  # advisory lock: one migration at a time
CONNECT_SECONDS = 10


def connect(url: str, *, role: str | None = None, **options: Any) -> psycopg.Connection[Any]:
    """A psycopg connection in UTC, working as ``role`` where one is given. Raises psycopg.Error."""
    plain = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    with ExitStack() as unless_ready:
        connection = psycopg.connect(plain, **{"connect_timeout": CONNECT_SECONDS, **options})
        unless_ready.callback(connection.close)
        _prepare_session(connection, role=role, read_only=False)
        unless_ready.pop_all()
    return connection


def gateway_connection(url: str, **options: Any) -> psycopg.Connection[Any]:
    """A connection with no more rights than the gateway has. Raises psycopg.Error."""
    return connect(url, role=GATEWAY_ROLE, **options)


def engine(url: str, *, role: str | None = None, read_only: bool = False, **options: Any) -> Engine:
    """A SQLAlchemy engine in UTC, working as ``role`` where one is given; read-only if so asked."""
    made = create_engine(
        make_url(url).set(drivername="postgresql+psycopg"),
        connect_args={"connect_timeout": CONNECT_SECONDS},
        **options,
    )

    @event.listens_for(made, "connect")
    def _connected(connection: psycopg.Connection[Any], _: object) -> None:
        _prepare_session(connection, role=role, read_only=read_only)

    return made


def _prepare_session(connection: psycopg.Connection[Any], *, role: str | None, read_only: bool) -> None:
    before = connection.autocommit
    connection.autocommit = True
    connection.execute("SET timezone TO 'UTC'")
    if role is not None:
        connection.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(role)))
    if read_only:
        connection.execute("SET default_transaction_read_only TO on")
    connection.autocommit = before


@contextmanager
def open_database(config: Config, *, create: bool = True) -> Iterator[str]:
    """The URL of the gateway's database, for as long as the block lasts.

    Starts the embedded server where one is configured and none runs, and stops it afterwards if nobody else
    uses it. With ``create`` false a ledger that was never made is an error rather than made empty.
    """
    if config.database.url is not None:
        yield with_password(config.database.url, config.database.password, config)
        return
    data = config.gateway.state_dir / EMBEDDED
    if not create and not _exists(data / "PG_VERSION"):
        raise OperatorError(
            f"there is no ledger in {data} yet; start the gateway once: oms run --config {config.path}"
        )
    with EmbeddedPostgres(data) as server:
        _ensure_database(server.url("postgres"))
        yield server.url(DATABASE_NAME)


def revive_database(config: Config) -> None:
    """Starts the embedded server again if it died under the block of `open_database`; its URL stays the same.

    Does nothing where it runs, or where a server of the operator's is configured. Raises OperatorError.
    """
    if config.database.url is None:
        with EmbeddedPostgres(config.gateway.state_dir / EMBEDDED):
            pass  # not stopped at the end: the block of `open_database` uses it too


def owner_url(config: Config, url: str) -> str:
    """The URL for migrations, given that of the ledger."""
    found = config.database
    return url if found.owner_url is None else with_password(found.owner_url, found.owner_password, config)


def with_password(url: str, password: SecretStr | None, config: Config) -> str:
    """A configured URL as it is used, with its secrets. Raises OperatorError where one cannot be read."""
    kept = None if password is None else password.get_secret_value()
    return url_with_password(url, kept, config.directory)


def migrate_configured(config: Config, url: str) -> str:
    """`migrate` as configured: by the owner of the tables, for the user that the gateway connects as.

    Marks the ledger's environment if it has none. Raises OperatorError where it is of another one.
    """
    require_environment(config, url)
    login = None
    if config.database.owner_url is not None:
        with database_errors(url), connect(url) as connection:
            login = connection.execute("SELECT session_user").fetchone()
    owner = owner_url(config, url)
    before = migrate(owner, login=login[0] if login else None)
    with database_errors(owner), connect(owner) as connection:
        environment.mark(connection, config)
        environment.require_own(connection, config)  # which its journal may have told
    return before


def require_environment(config: Config, url: str) -> None:
    """Raises OperatorError where the ledger is not of the configuration's environment."""
    with database_errors(url), connect(url) as connection:
        environment.require_own(connection, config)


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except PermissionError:  # the server runs as another user; whether we may use it shows at connecting
        return True


def _ensure_database(url: str) -> None:
    with database_errors(url), psycopg.connect(url, autocommit=True) as connection:
        if connection.execute("SELECT FROM pg_database WHERE datname = %s", (DATABASE_NAME,)).fetchone():
            return
        with suppress(pg.DuplicateDatabase, pg.UniqueViolation):  # another starter was a moment earlier
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE_NAME)))


@contextmanager
def open_ledger(config: Config) -> Iterator[Engine]:
    """A read-only engine on the gateway's ledger for the CLI; never makes or changes anything.

    Raises OperatorError where there is no ledger, no access, or another program's schema.
    """
    with open_database(config, create=False) as url:
        made = engine(url, read_only=True, poolclass=NullPool)
        with database_errors(url):
            require_schema(made)
            yield made


def migrate(url: str, *, login: str | None = None) -> str:
    """Brings the database to SCHEMA_VERSION and secures it; returns the version it had ('' for none).

    ``url`` is of the tables' owner; ``login`` names the user the gateway connects as, where it is another one.
    Starters that come at the same time wait for each other. Raises OperatorError.
    """
    made = engine(url, poolclass=NullPool)
    with database_errors(url), made.connect() as connection:
        _require_postgres(connection)
        connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": MIGRATION_LOCK})
        connection.commit()
        before = _version(connection)
        connection.commit()
        if before and before != SCHEMA_VERSION and before not in _known_versions():  # which takes a while to load
            raise _mismatch(before)
        if before != SCHEMA_VERSION:
            if _gateway_running(connection):
                raise OperatorError("a gateway is running on this ledger; stop it, then run: oms db migrate")
            _upgrade(connection)
            if not before:  # an empty ledger was made by no other version of the rules
                made_by = {"version": PROJECTION_VERSION}
                connection.execute(text("UPDATE projection_versions SET version = :version"), made_by)
        _secure(connection, login)
        connection.commit()
    return before


def schema_version(made: Engine) -> str:
    """The version of the schema in a database; '' where there is none."""
    with made.connect() as connection:
        return _version(connection)


def require_schema(made: Engine) -> None:
    """Raises OperatorError unless the database has exactly this program's schema."""
    version = schema_version(made)
    if version != SCHEMA_VERSION:
        raise _mismatch(version)


def is_gateway_running(made: Engine) -> bool:
    """Whether a gateway's writer is connected to this database."""
    with made.connect() as connection:
        return _gateway_running(connection)


def database_status(url: str) -> dict[str, Any]:
    """What a person asks of a database: database, postgres, schema ('' for none), gateway_running, size, rows.

    ``rows`` are the server's estimates by table.
    """
    made = engine(url, read_only=True, poolclass=NullPool)
    counted = text(  # of a table in partitions the sum over them
        "SELECT coalesce(whole.relname, part.relname), sum(greatest(n_live_tup, part.reltuples, 0))::bigint "
        "FROM pg_stat_user_tables JOIN pg_class AS part ON part.oid = relid AND relkind = 'r' "
        "LEFT JOIN pg_inherits ON inhrelid = part.oid LEFT JOIN pg_class AS whole ON whole.oid = inhparent "
        "WHERE coalesce(whole.relname, part.relname) = ANY(:names) GROUP BY 1 ORDER BY 1"
    )
    with made.connect() as connection:
        return {
            "database": connection.scalar(text("SELECT current_database()")),
            "postgres": connection.scalar(text("SHOW server_version")),
            "schema": _version(connection),
            "gateway_running": _gateway_running(connection),
            "size": connection.scalar(text("SELECT pg_size_pretty(pg_database_size(current_database()))")),
            "rows": {row[0]: row[1] for row in connection.execute(counted, {"names": list(metadata.tables)})},
        }


def _gateway_running(connection: Connection) -> bool:
    held = text(
        "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 1 "
        "AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) "
        "AND classid = 0 AND objid = :key)"
    )
    return bool(connection.scalar(held, {"key": GATEWAY_LOCK}))


def _version(connection: Connection) -> str:
    if connection.scalar(text("SELECT to_regclass('alembic_version')")) is None:
        return ""
    return connection.scalar(text("SELECT max(version_num) FROM alembic_version")) or ""


def _mismatch(version: str) -> OperatorError:
    if not version:
        return OperatorError("the database has no ledger yet; run: oms db migrate")
    if version in _known_versions():
        return OperatorError(
            f"the ledger has schema {version}, this program needs {SCHEMA_VERSION}; "
            "stop the gateway and run: oms db migrate"
        )
    return OperatorError(
        f"the ledger has schema {version}, which this program (schema {SCHEMA_VERSION}) does not know: "
        "a newer oms wrote it; use that one"
    )


def _require_postgres(connection: Connection) -> None:
    number = int(connection.scalar(text("SHOW server_version_num")) or 0)
    if number < OLDEST_POSTGRES * 10_000:
        raise OperatorError(
            f"the server is PostgreSQL {number // 10_000}; the ledger needs {OLDEST_POSTGRES} or newer"
        )


def _alembic_config() -> Any:
    from alembic.config import Config as AlembicConfig

    made = AlembicConfig()
    made.set_main_option("script_location", "oms.ledger:migrations")
    return made


def _known_versions() -> set[str]:
    from alembic.script import ScriptDirectory

    return {script.revision for script in ScriptDirectory.from_config(_alembic_config()).walk_revisions()}


def _upgrade(connection: Connection) -> None:
    from alembic import command

    made = _alembic_config()
    made.attributes["connection"] = connection
    command.upgrade(made, "head")


def _secure(connection: Connection, login: str | None) -> None:
    """Role, rights and triggers, derived from the lists in schema.py; the same however often it is done."""
    _ensure_role(connection, login)

    def run(statement: str) -> None:
        connection.execute(text(statement))

    run(
        f"CREATE OR REPLACE FUNCTION {REFUSE_FUNCTION}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "RAISE EXCEPTION 'the table % is append-only: % is refused (what happened stays written)', "
        "TG_TABLE_NAME, TG_OP USING ERRCODE = 'restrict_violation'; END $$"
    )
    for name in APPEND_ONLY:
        run(
            f"CREATE OR REPLACE TRIGGER {name}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {name} "
            f"FOR EACH STATEMENT EXECUTE FUNCTION {REFUSE_FUNCTION}()"
        )
        # ALWAYS: session_replication_role must not open a way round it.
        run(f"ALTER TABLE {name} ENABLE ALWAYS TRIGGER {name}_append_only")
    every = ", ".join(metadata.tables)
    run(f"REVOKE ALL ON {every}, alembic_version FROM {GATEWAY_ROLE}, PUBLIC")
    run(f"GRANT SELECT, INSERT ON {', '.join(APPEND_ONLY)} TO {GATEWAY_ROLE}")
    run(f"GRANT SELECT, INSERT, UPDATE ON {', '.join((*PROJECTIONS, *STANDING))} TO {GATEWAY_ROLE}")
    run(f"GRANT SELECT ON alembic_version, {', '.join(OWNERS)} TO {GATEWAY_ROLE}")
    make_coming(connection.connection.driver_connection)  # type: ignore[arg-type]


def _ensure_role(connection: Connection, login: str | None) -> None:
    """Makes the gateway's role, and lets the owner and ``login`` work as it."""
    user = connection.scalar(text("SELECT current_user")) or ""
    members = [user] if login in (None, user) else [user, str(login)]
    quoted = connection.dialect.identifier_preparer.quote
    try:
        with connection.begin_nested():
            connection.exec_driver_sql(
                f"DO $$ BEGIN CREATE ROLE {GATEWAY_ROLE} NOLOGIN; "
                "EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$"
            )
        for member in members:
            if not _may_become_gateway(connection, member):
                with connection.begin_nested():
                    connection.exec_driver_sql(f"GRANT {GATEWAY_ROLE} TO {quoted(member)}")
    except DBAPIError as error:
        if not isinstance(error.orig, pg.InsufficientPrivilege | pg.UndefinedObject):
            raise
        grants = " ".join(f"GRANT {GATEWAY_ROLE} TO {quoted(member)};" for member in members)
        raise OperatorError(
            f"cannot give the gateway its role: {first_line(error.orig)}; as a superuser run: "
            f"CREATE ROLE {GATEWAY_ROLE} NOLOGIN; {grants}"
        ) from error


def _may_become_gateway(connection: Connection, member: str) -> bool:
    # From 16 on a member may lack the right to SET ROLE.
    right = "SET" if (connection.dialect.server_version_info or (0,)) >= (16,) else "MEMBER"
    asked = text("SELECT pg_has_role(CAST(:member AS name), :role, :right)")
    values = {"member": member, "role": GATEWAY_ROLE, "right": right}
    return bool(connection.scalar(asked, values))
