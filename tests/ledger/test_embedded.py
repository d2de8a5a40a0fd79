"""The embedded server comes up again whatever happened before, and is stopped by the last who used it."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from oms.config.load import load
from oms.config.templates import write_demo
from oms.errors import OperatorError
from oms.ledger import database
from oms.ledger.embedded import EmbeddedPostgres

pytestmark = pytest.mark.postgres

Use = Callable[..., EmbeddedPostgres]


@pytest.fixture(scope="module")
def made_data() -> Iterator[Path]:
    """A data directory that was made and stopped in order, to copy from."""
    with tempfile.TemporaryDirectory(prefix="oms-emb-") as directory:
        path = Path(directory) / "postgres"
        with EmbeddedPostgres(path) as server:
            execute(server, "CREATE TABLE kept (n int)", "INSERT INTO kept VALUES (42)")
        yield path


@pytest.fixture
def directory() -> Iterator[Path]:
    """An empty directory under a short path, in which every server is stopped afterwards."""
    made = Path(tempfile.mkdtemp(prefix="oms-emb-")).resolve()
    yield made
    for process in servers_below(made):
        process.kill()
    shutil.rmtree(made)


@pytest.fixture
def data(directory: Path, made_data: Path) -> Path:
    path = directory / "postgres"
    subprocess.run(["cp", "-a", made_data, path], check=True)
    return path


def servers_below(directory: Path) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter(["name", "cmdline"]):
        if process.info["name"] == "postgres" and str(directory) in " ".join(process.info["cmdline"] or ()):
            found.append(process)
    return found


def execute(server: EmbeddedPostgres, *statements: str) -> None:
    with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement)


def kept(server: EmbeddedPostgres) -> object:
    with psycopg.connect(server.url("postgres")) as connection:
        row = connection.execute("SELECT n FROM kept").fetchone()
    return row and row[0]


def other_process(data: Path) -> subprocess.Popen[str]:
    """Another process that uses the server until it is told to end (a line) or killed."""
    code = (
        "import sys; from pathlib import Path; from oms.ledger.embedded import EmbeddedPostgres\n"
        "with EmbeddedPostgres(Path(sys.argv[1])): print('up', flush=True); sys.stdin.readline()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(data)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    return process


def test_a_first_start_makes_the_data_and_a_stop_ends_the_server(directory: Path) -> None:
    server = EmbeddedPostgres(directory / "state" / "postgres")
    with server:
        execute(server, "CREATE TABLE kept (n int)", "INSERT INTO kept VALUES (7)")
        assert server.postmaster() is not None
    assert server.postmaster() is None
    assert psutil.wait_procs(servers_below(directory), timeout=10)[1] == []
    with server:
        assert kept(server) == 7


def test_a_server_is_stopped_by_the_last_process_that_uses_it(data: Path) -> None:
    other = other_process(data)
    with EmbeddedPostgres(data) as server:
        assert kept(server) == 42
    assert server.postmaster() is not None
    other.communicate("end\n", timeout=30)
    assert server.postmaster() is None


def test_two_uses_in_one_process_count_as_two(data: Path) -> None:
    with EmbeddedPostgres(data) as first:
        with EmbeddedPostgres(data):
            pass
        assert kept(first) == 42
    assert first.postmaster() is None


def test_starters_at_the_same_time_share_one_server(directory: Path) -> None:
    servers = [EmbeddedPostgres(directory / "postgres") for _ in range(4)]
    threads = [threading.Thread(target=server.start) for server in servers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len({server.postmaster() for server in servers} - {None}) == 1
    for server in servers:
        server.stop()
    assert servers[0].postmaster() is None


def test_after_kill_9_of_its_user_the_server_is_joined_and_stopped_by_the_next(data: Path) -> None:
    other = other_process(data)
    other.kill()
    other.communicate()
    server = EmbeddedPostgres(data)
    orphan = server.postmaster()
    assert orphan is not None
    with server:
        assert server.postmaster() == orphan
        assert kept(server) == 42
    assert server.postmaster() is None


def test_after_kill_9_of_the_server_and_its_user_the_next_start_recovers(data: Path) -> None:
    other = other_process(data)
    server = EmbeddedPostgres(data)
    running = server.postmaster()
    assert running is not None
    execute(server, "UPDATE kept SET n = 43")
    os.kill(running.pid, signal.SIGKILL)
    other.kill()
    other.communicate()
    with server:
        assert kept(server) == 43


def test_a_server_that_died_is_revived_at_the_same_url(directory: Path) -> None:
    config = load(write_demo(directory, client_port=5201, broker_ports=(5301, 5302), trading="off"))
    with database.open_database(config) as url:
        server = EmbeddedPostgres(directory / "state" / "postgres")
        died = server.postmaster()
        assert died is not None
        os.kill(died.pid, signal.SIGKILL)
        database.revive_database(config)
        revived = server.postmaster()
        assert revived is not None
        assert revived.pid != died.pid
        with psycopg.connect(url) as connection:
            assert connection.info.dbname == "oms"
        database.revive_database(config)
        assert server.postmaster() == revived
    assert server.postmaster() is None


def test_a_process_number_that_a_stranger_was_given_is_no_server(data: Path) -> None:
    other = other_process(data)
    server = EmbeddedPostgres(data)
    running = server.postmaster()
    assert running is not None
    pid_file, lock = data / "postmaster.pid", data / ".s.PGSQL.5432.lock"
    left = [(path, path.read_text()) for path in (pid_file, lock)]
    other.communicate("end\n", timeout=30)
    # not this process itself: Postgres knows that its own ancestors are no servers
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as stranger:
        for path, text in left:
            path.write_text(text.replace(str(running.pid), str(stranger.pid), 1))
            shutil.chown(path, data.owner())
        assert server.postmaster() is None
        with server:
            assert kept(server) == 42
        stranger.communicate(b"end\n")


def test_an_interrupted_first_start_leaves_nothing_in_the_way(directory: Path) -> None:
    half = directory / "postgres.new"
    half.mkdir()
    (half / "PG_VERSION").write_text("18\n")
    with EmbeddedPostgres(directory / "postgres") as server:
        execute(server, "SELECT 1")
    assert not half.exists()


@pytest.mark.parametrize("name", ["d" * 120, "a, b's desk"])
def test_a_path_that_cannot_have_a_socket_gets_one_elsewhere(directory: Path, made_data: Path, name: str) -> None:
    data = directory / name / "postgres"
    data.parent.mkdir(parents=True)
    subprocess.run(["cp", "-a", made_data, data], check=True)
    with EmbeddedPostgres(data) as server:
        running = server.postmaster()
        assert running is not None
        assert running.socket_dir != str(data)
        assert Path(running.socket_dir).stat().st_mode & 0o077 == 0
        assert kept(server) == 42
    shutil.rmtree(running.socket_dir)


def test_only_the_servers_user_may_use_its_socket(data: Path) -> None:
    with EmbeddedPostgres(data):
        assert (data / ".s.PGSQL.5432").stat().st_mode & 0o777 == 0o700


def test_a_server_that_cannot_start_is_an_operator_error_naming_its_last_words_and_log(data: Path) -> None:
    (data / "global" / "pg_control").unlink()
    with pytest.raises(OperatorError) as failed:
        EmbeddedPostgres(data).start()
    said = str(failed.value)
    form = r"the embedded Postgres did not start: pg_ctl: .*could not .*; it said last: .*; its log is (.*)"
    assert (found := re.fullmatch(form, said))
    assert found[1] == str(data / "log")


def test_a_directory_with_other_things_in_it_is_not_touched(directory: Path) -> None:
    data = directory / "postgres"
    data.mkdir()
    (data / "letter.txt").write_text("dear")
    with pytest.raises(OperatorError, match="not a data directory of Postgres and not empty; move it away"):
        EmbeddedPostgres(data).start()
    assert [path.name for path in data.iterdir()] == ["letter.txt"]


def test_a_file_where_the_directory_should_be_is_an_operator_error(directory: Path) -> None:
    (directory / "state").write_text("")
    with pytest.raises(OperatorError, match=r"cannot use .*state for the embedded Postgres"):
        EmbeddedPostgres(directory / "state" / "postgres").start()


def test_the_url_of_a_server_that_does_not_run_is_an_operator_error(data: Path) -> None:
    with pytest.raises(OperatorError, match="does not run; see its log"):
        EmbeddedPostgres(data).url("oms")
