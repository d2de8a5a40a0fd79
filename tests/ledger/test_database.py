"""The database's own guards: append-only tables (I6), the gateway's rights, migrations, clear errors."""

from __future__ import annotations

import threading

import psycopg
import pytest
from psycopg import errors as pg
from sqlalchemy import text

from oms.errors import OperatorError
from oms.ledger import database
from oms.ledger.migrations.draft import difference
from oms.ledger.schema import APPEND_ONLY, GATEWAY_ROLE, OWNERS, PROJECTIONS, STANDING, metadata
from oms.ledger.writer import Writer

pytestmark = pytest.mark.postgres

CHANGES = ("UPDATE {table} SET {column} = {column}", "DELETE FROM {table}", "TRUNCATE {table}")


def changes_of(table: str) -> list[str]:
    column = next(iter(metadata.tables[table].columns)).name
    return [change.format(table=table, column=column) for change in CHANGES]


def test_every_table_is_of_one_kind_append_only_projection_standing_or_the_owners() -> None:
    assert sorted((*APPEND_ONLY, *PROJECTIONS, *STANDING, *OWNERS)) == sorted(metadata.tables)


@pytest.mark.parametrize("table", APPEND_ONLY)
def test_i6_the_gateways_role_has_no_right_to_change_what_is_append_only(postgres_url: str, table: str) -> None:
    with database.gateway_connection(postgres_url, autocommit=True) as connection:
        for change in changes_of(table):
            with pytest.raises(pg.InsufficientPrivilege):
                connection.execute(change)
        connection.execute(f"SELECT FROM {table}")


@pytest.mark.parametrize("table", APPEND_ONLY)
@pytest.mark.parametrize("replication_role", ["origin", "replica"])
def test_i6_a_trigger_refuses_the_owner_and_superuser_too(
    postgres_url: str, table: str, replication_role: str
) -> None:
    with database.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f"SET session_replication_role TO {replication_role}")
        said = []
        for change in changes_of(table):
            with pytest.raises(pg.RestrictViolation) as refused:
                connection.execute(change)
            said.append(refused.value.diag.message_primary)
    assert said == [
        f"the table {table} is append-only: {what} is refused (what happened stays written)"
        for what in ("UPDATE", "DELETE", "TRUNCATE")
    ]


@pytest.mark.parametrize("table", [*PROJECTIONS, *STANDING])
def test_the_gateways_role_may_update_but_not_delete_what_the_journal_adds_up_to(
    postgres_url: str, table: str
) -> None:
    update, delete, truncate = changes_of(table)
    with database.gateway_connection(postgres_url, autocommit=True) as connection:
        connection.execute(update)
        for change in (delete, truncate):
            with pytest.raises(pg.InsufficientPrivilege):
                connection.execute(change)


def test_the_gateways_role_may_insert_into_every_table_but_the_owners(postgres_url: str) -> None:
    with database.gateway_connection(postgres_url) as connection:
        rights = connection.execute(
            "SELECT bool_and(has_table_privilege(t, 'INSERT, SELECT')), current_user FROM unnest(%s::text[]) t",
            [sorted(set(metadata.tables) - set(OWNERS))],
        ).fetchone()
    assert rights == (True, GATEWAY_ROLE)


def test_connections_speak_utc(postgres_url: str) -> None:
    with database.gateway_connection(postgres_url) as connection:
        moment = connection.execute("SELECT TIMESTAMPTZ '2026-01-02 03:04:05+05'").fetchone()
    assert str(moment and moment[0]) == "2026-01-01 22:04:05+00:00"


def test_a_read_only_engine_refuses_to_write(postgres_url: str) -> None:
    made = database.engine(postgres_url, read_only=True)
    with (
        pytest.raises(OperatorError, match="read-only transaction"),
        database.database_errors(postgres_url),
        made.connect() as connection,
    ):
        connection.execute(text("DELETE FROM requests"))
    made.dispose()


def test_the_migrations_make_exactly_the_schema_of_schema_py(postgres_url: str) -> None:
    """Where this fails: python -m oms.ledger.migrations.draft prints what a new migration needs."""
    made = database.engine(postgres_url)
    found = difference(made), database.schema_version(made)
    made.dispose()
    assert found == ([], database.SCHEMA_VERSION)


def test_migrating_again_changes_nothing(postgres_url: str) -> None:
    assert database.migrate(postgres_url) == database.SCHEMA_VERSION


def test_two_that_migrate_at_the_same_time_wait_for_each_other(empty_postgres_url: str) -> None:
    before: list[str] = []
    threads = [threading.Thread(target=lambda: before.append(database.migrate(empty_postgres_url))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(before) == ["", database.SCHEMA_VERSION]


def test_a_gateway_that_writes_is_seen_and_stops_a_migration(empty_postgres_url: str, postgres_url: str) -> None:
    made = database.engine(postgres_url)
    writer = Writer(postgres_url)
    assert not database.is_gateway_running(made)
    writer.connect()
    assert database.is_gateway_running(made)
    other = database.engine(empty_postgres_url)
    assert not database.is_gateway_running(other)  # a lock on another database of the same server
    assert database.migrate(postgres_url) == database.SCHEMA_VERSION
    with psycopg.connect(postgres_url) as connection:
        connection.execute("DELETE FROM alembic_version")
    with pytest.raises(OperatorError, match="a gateway is running on this ledger; stop it, then run: oms db migrate"):
        database.migrate(postgres_url)
    writer.close()
    for engine in (made, other):
        engine.dispose()


def test_updated_tables_keep_room_on_their_pages(postgres_url: str) -> None:
    with psycopg.connect(postgres_url) as connection:
        rows = connection.execute(
            "SELECT relname, option_value FROM pg_class, pg_options_to_table(reloptions) "
            "WHERE option_name = 'fillfactor' ORDER BY relname"
        ).fetchall()
    assert rows == [
        ("child_orders", "70"),
        ("client_orders", "70"),
        ("leases", "20"),
        ("requests", "80"),
        ("session_positions", "20"),
    ]


@pytest.mark.parametrize(
    ("version", "message"),
    [
        ("", "the database has no ledger yet; run: oms db migrate"),
        (
            "9999",
            f"the ledger has schema 9999, which this program (schema {database.SCHEMA_VERSION}) does not know: "
            "a newer oms wrote it; use that one",
        ),
    ],
)
def test_another_programs_schema_is_refused_with_the_remedy(postgres_url: str, version: str, message: str) -> None:
    with psycopg.connect(postgres_url) as connection:
        connection.execute("DELETE FROM alembic_version")
        if version:
            connection.execute("INSERT INTO alembic_version VALUES (%s)", [version])
    made = database.engine(postgres_url)
    with pytest.raises(OperatorError) as refused:
        database.require_schema(made)
    made.dispose()
    assert str(refused.value) == message


def test_an_older_schema_is_refused_with_the_remedy(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    has = database.SCHEMA_VERSION
    monkeypatch.setattr(database, "SCHEMA_VERSION", "9999")
    made = database.engine(postgres_url)
    with pytest.raises(OperatorError) as refused:
        database.require_schema(made)
    made.dispose()
    assert str(refused.value) == (
        f"the ledger has schema {has}, this program needs 9999; stop the gateway and run: oms db migrate"
    )


def test_a_newer_schema_is_not_migrated(postgres_url: str) -> None:
    with psycopg.connect(postgres_url) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(OperatorError, match="a newer oms wrote it"):
        database.migrate(postgres_url)


def test_a_server_that_refuses_connections_is_an_operator_error_with_the_remedy() -> None:
    url = "postgresql://oms:secret@127.0.0.1:9/oms"
    with pytest.raises(OperatorError) as refused:
        database.migrate(url)
    assert str(refused.value) == (
        'database oms on 127.0.0.1:9: connection failed: connection to server at "127.0.0.1", port 9 failed: '
        "Connection refused; start the server, or check host and port in [database] url"
    )


def test_a_missing_database_is_an_operator_error_with_the_remedy(postgres_url: str) -> None:
    url = postgres_url.replace("test_", "absent_")
    with pytest.raises(OperatorError, match=r'"absent_\d+" does not exist; create it, or correct \[database\]'):
        database.migrate(url)


def test_an_owner_who_may_not_make_roles_is_told_what_a_superuser_must_run(empty_postgres_url: str) -> None:
    with psycopg.connect(empty_postgres_url, autocommit=True) as connection:
        connection.execute("DROP ROLE IF EXISTS plain_owner")
        connection.execute("CREATE ROLE plain_owner LOGIN")
        connection.execute("GRANT ALL ON SCHEMA public TO plain_owner")
    with pytest.raises(OperatorError) as refused:
        database.migrate(empty_postgres_url.replace("postgres@", "plain_owner@"))
    assert str(refused.value).endswith(
        "as a superuser run: CREATE ROLE oms_gateway NOLOGIN; GRANT oms_gateway TO plain_owner;"
    )


def test_the_gateways_login_gets_the_gateways_role_and_nothing_else(empty_postgres_url: str) -> None:
    with psycopg.connect(empty_postgres_url, autocommit=True) as connection:
        connection.execute("DROP ROLE IF EXISTS gateway_login")
        connection.execute("CREATE ROLE gateway_login LOGIN")
    database.migrate(empty_postgres_url, login="gateway_login")
    url = empty_postgres_url.replace("postgres@", "gateway_login@")
    with database.gateway_connection(url, autocommit=True) as connection:
        connection.execute("SELECT FROM journal")
        with pytest.raises(pg.InsufficientPrivilege):
            connection.execute("DELETE FROM requests")
