"""`oms run` as a supervisor sees it: a process, its exit code, what it says, the ports and files it leaves."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import psycopg
import pytest

from oms.config.templates import write_demo
from oms.ledger.embedded import EmbeddedPostgres
from oms.sim.peer import FixPeer
from tests.system.house import free_ports, until

pytestmark = [pytest.mark.system, pytest.mark.engine, pytest.mark.postgres]
STOPS_WITHIN = 10  # seconds, as a supervisor expects


class Desk:
    """A configuration on free ports, and gateways started on it as processes."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.ready = directory / "ready"
        self.client_port, *self.broker_ports, self.metrics_port = free_ports(4)
        self.config = write_demo(
            directory,
            client_port=self.client_port,
            broker_ports=(self.broker_ports[0], self.broker_ports[1]),
            trading="on",
            metrics_port=self.metrics_port,
        )
        self.processes: list[subprocess.Popen[str]] = []

    def use(self, url: str) -> Desk:
        """Another Postgres than the embedded one."""
        text = self.config.read_text()
        self.config.write_text(text.replace("[database]\n", f'[database]\nurl = "{url}"\n', 1))
        return self

    def begin(self, *options: str) -> subprocess.Popen[str]:
        """Start a gateway in a process group of its own."""
        command = [sys.executable, "-m", "oms", "run", "--config", str(self.config), *options]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
        self.processes.append(process)
        return process

    def open(self) -> subprocess.Popen[str]:
        """Start a gateway and wait until it is open."""
        process = self.begin("--ready-file", str(self.ready))
        until(lambda: self.ready.exists() or process.poll() is not None, "open", 60)
        assert process.poll() is None, process.communicate()[1]
        return process

    def refused(self, *options: str) -> tuple[int, str]:
        """Exit code and last line of a gateway that cannot start."""
        process = self.begin(*options)
        said = process.communicate(timeout=60)[1]
        return process.returncode, said.splitlines()[-1]

    def scrape(self) -> str:
        """What the metrics endpoint shows."""
        with urlopen(f"http://127.0.0.1:{self.metrics_port}/metrics", timeout=10) as answer:
            return str(answer.read(), "utf-8")

    def close(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                process.kill()
                process.communicate()


@pytest.fixture
def desk() -> Iterator[Desk]:
    """Not below pytest's own directory: another run of pytest takes from that what Postgres's user may read."""
    with tempfile.TemporaryDirectory(prefix="oms-tests-") as directory:
        made = Desk(Path(directory))
        yield made
        made.close()


def stopped(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Exit code and standard error of a process that was told to stop."""
    said = process.communicate(timeout=STOPS_WITHIN)[1]
    return process.returncode, said


# -- a whole life ---------------------------------------------------------------------------------------------------


def test_a_gateway_with_the_embedded_postgres_opens_stops_and_starts_again(desk: Desk) -> None:
    process = desk.open()
    assert desk.ready.read_text() == f"{process.pid}\n"
    assert "\noms_trading 1.0\n" in desk.scrape()
    process.send_signal(signal.SIGTERM)
    code, said = stopped(process)
    assert code == 0, said
    assert (
        f"oms is open: trading on; clients CLIENT1, CLIENT2 on port {desk.client_port}; brokers BROKER1, BROKER2; "
        f"metrics http://127.0.0.1:{desk.metrics_port}/metrics; Ctrl-C or SIGTERM stops it\n"
    ) in said
    assert not desk.ready.exists()
    assert EmbeddedPostgres(desk.directory / "state" / "postgres").postmaster() is None

    process = desk.open()
    os.killpg(process.pid, signal.SIGINT)  # as Ctrl-C in a terminal: the database's processes get it too
    code, said = stopped(process)
    assert (code, "Traceback" in said) == (0, False), said


def test_route_explain_asks_the_running_gateway_which_brokers_are_logged_on(desk: Desk, postgres_url: str) -> None:
    desk.use(postgres_url).open()
    order = ("--client", "CLIENT1", "--account", "FUND1", "--symbol", "AAPL")
    command = [sys.executable, "-m", "oms", "route", "explain", "--config", str(desk.config), *order]
    asked = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert asked.returncode == 1, asked.stderr
    assert "It would be refused: no broker of rule everything-else can take it now." in asked.stdout
    assert "logged out (ledger)" in asked.stdout


def test_a_second_signal_ends_the_process_at_once(desk: Desk, postgres_url: str) -> None:
    process = desk.use(postgres_url).open()
    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGINT)
    code, said = stopped(process)
    assert (code, said.splitlines()[-1]) == (130, "oms: ended at once; the next start recovers")


def test_a_signal_during_the_start_stops_it_cleanly(desk: Desk, postgres_url: str) -> None:
    process = desk.use(postgres_url).begin()
    until(lambda: b"wakeup" if _catches_sigterm(process.pid) else b"", "signals are watched", 60)
    process.send_signal(signal.SIGTERM)
    code, said = stopped(process)
    assert (code, "Traceback" in said) == (0, False), said


def _catches_sigterm(pid: int) -> bool:
    """Whether the process has a handler of its own for SIGTERM."""
    status = Path(f"/proc/{pid}/status").read_text()
    caught = next(line for line in status.splitlines() if line.startswith("SigCgt:"))
    return bool(int(caught.split()[1], 16) >> (signal.SIGTERM - 1) & 1)


def test_a_ledger_that_refuses_a_batch_halts_the_gateway_with_exit_code_1(desk: Desk, postgres_url: str) -> None:
    process = desk.use(postgres_url).open()
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("REVOKE INSERT ON journal FROM oms_gateway")
    peer = FixPeer("initiator", "4.4", "CLIENT1", "OMS", desk.client_port, desk.directory / "peer")
    peer.start()  # its logon has to be written down
    try:
        said = process.communicate(timeout=30)[1]
    finally:
        peer.stop()
    assert process.returncode == 1
    last = said.splitlines()[-1]
    assert last.startswith("oms: the gateway halted: ")
    assert last.endswith("; start it again, it recovers from its ledger; if it halts again, run oms verify")
    assert "permission denied for table journal" in said


def test_a_stop_while_the_ledger_is_gone_is_not_kept_waiting_and_exits_with_1(desk: Desk) -> None:
    with EmbeddedPostgres(desk.directory / "server") as server:
        process = desk.use(server.url("postgres")).open()
        running = server.postmaster()
        assert running is not None
        os.kill(running.pid, signal.SIGINT)  # the server's fast shutdown
        until(lambda: server.postmaster() is None, "the server has stopped")
        peer = FixPeer("initiator", "4.4", "CLIENT1", "OMS", desk.client_port, desk.directory / "peer")
        peer.start()  # its logon waits to be written down
        try:
            until(lambda: "\noms_database_up 0.0\n" in desk.scrape(), "the loss is noticed")
            process.send_signal(signal.SIGTERM)
            code, said = stopped(process)
        finally:
            peer.stop()
    last = said.splitlines()[-1]
    assert code == 1
    assert "the ledger did not come back before the stop: " in last
    assert last.endswith("if it halts again, run oms verify")


# -- what does not start ------------------------------------------------------------------------------------------


def test_a_file_that_is_not_toml_exits_with_2_and_names_the_file(desk: Desk) -> None:
    desk.config.write_text("[gateway\nname = ")
    code, last = desk.refused()
    assert code == 2
    assert last.startswith(f"{desk.config}: not TOML: Expected ']' at the end of a table declaration (at line 1, ")


def test_a_client_port_in_use_exits_with_2_and_names_the_port(
    desk: Desk, postgres_url: str, empty_postgres_url: str
) -> None:
    first = desk.use(postgres_url).open()
    other = Desk(desk.directory / "other").use(empty_postgres_url)
    try:
        text = (other.directory / "sessions.cfg").read_text()
        (other.directory / "sessions.cfg").write_text(text.replace(str(other.client_port), str(desk.client_port)))
        code, last = other.refused()
    finally:
        other.close()
    assert code == 2
    assert last.startswith("oms: cannot open the client sessions of ")
    assert str(desk.client_port) in last
    assert last.endswith("; free the port or change SocketAcceptPort")
    assert first.poll() is None


def test_a_metrics_port_in_use_exits_with_2_and_names_the_port(desk: Desk, postgres_url: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", desk.metrics_port))
        taken.listen()
        code, last = desk.use(postgres_url).refused()
    assert code == 2
    assert last == (
        f"oms: [metrics] cannot listen on 127.0.0.1, port {desk.metrics_port}: Address already in use; free the port,"
        f" or change host and port under [metrics] in {desk.config} (port 0: no metrics)"
    )


def test_a_database_that_refuses_exits_with_2_and_names_it(desk: Desk) -> None:
    code, last = desk.use("postgresql://nobody@127.0.0.1:1/oms").refused()
    assert code == 2
    assert last.startswith("oms: database oms on 127.0.0.1:1: ")
    assert last.endswith("; start the server, or check host and port in [database] url")


def test_a_ledger_that_another_gateway_holds_exits_with_2(desk: Desk, postgres_url: str) -> None:
    first = desk.use(postgres_url).open()
    other = Desk(desk.directory / "other").use(postgres_url)
    try:
        code, last = other.refused()
    finally:
        other.close()
    said = re.fullmatch(
        r"oms: another gateway is running on this ledger: (\w+) on \S+, process (\d+), lease 1, renewed [\d.]+ s ago;"
        r" stop it first, or start this one as its standby: oms run --standby",
        last,
    )
    assert code == 2
    assert said is not None, last
    assert said[2] == str(first.pid)


def test_a_ready_file_that_cannot_be_written_exits_with_2_before_anything_starts(desk: Desk) -> None:
    file = desk.directory / "nowhere" / "ready"
    code, last = desk.refused("--ready-file", str(file))
    assert code == 2
    assert last == (
        f"oms: --ready-file {file}: there is no such directory; name a file in a directory this user may write to"
    )
    assert not (desk.directory / "state").exists()


def test_the_ready_file_of_an_earlier_run_is_gone_before_the_gateway_opens(desk: Desk) -> None:
    desk.ready.write_text("1\n")
    desk.use("postgresql://nobody@127.0.0.1:1/oms")
    assert desk.refused("--ready-file", str(desk.ready))[0] == 2
    assert not desk.ready.exists()


def test_a_log_file_that_cannot_be_written_exits_with_2(desk: Desk) -> None:
    text = desk.config.read_text()
    desk.config.write_text(text.replace('# file = "oms.log"', 'file = "nowhere/oms.log"'))
    code, last = desk.refused()
    assert (code, last.startswith(f"oms: [log] file {desk.directory}/nowhere/oms.log: cannot be written")) == (
        2,
        True,
    )


# -- the end, whatever happens ------------------------------------------------------------------------------------


def python(code: str) -> subprocess.CompletedProcess[str]:
    """Run a piece of Python that uses the inside of `oms run`."""
    lines = "import os, signal, threading, time\nimport oms.cli.run as run\n" + textwrap.dedent(code)
    return subprocess.run([sys.executable, "-c", lines], capture_output=True, text=True, timeout=60, check=False)


def test_a_stop_that_takes_too_long_is_ended_with_exit_code_1() -> None:
    done = python(
        """
        run.STOP_SECONDS = 0.2
        run._stop_on_signals(lambda: None)
        os.kill(os.getpid(), signal.SIGTERM)
        threading.Event().wait()
        """
    )
    last = "oms: did not stop within 0.2 s and was ended; the next start recovers"
    assert (done.returncode, done.stderr.splitlines()[-1]) == (1, last)


def test_a_signal_reaches_the_stop_although_the_main_thread_holds_what_it_needs() -> None:
    done = python(
        """
        lock, told = threading.Lock(), threading.Event()
        def stop():
            with lock:
                told.set()
        run._stop_on_signals(stop)
        with lock:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.2)
        assert told.wait(10)
        os._exit(0)
        """
    )
    assert done.returncode == 0, done.stderr


def test_the_process_ends_although_a_thread_hangs() -> None:
    started = time.monotonic()
    done = python(
        """
        threading.Thread(target=threading.Event().wait).start()
        with run._LastWord():
            pass
        """
    )
    assert (done.returncode, time.monotonic() - started < 30) == (0, True)


@pytest.mark.parametrize(
    ("raised", "opened", "code", "said"),
    [
        ("run.OperatorError('port taken; free it')", False, 2, "oms: port taken; free it"),
        ("run.OperatorError('port taken; free it')", True, 1, "oms: port taken; free it; start it again, "),
        ("run.OmsError('the journal is full')", False, 1, "oms: the journal is full; start it again, "),
        ("ZeroDivisionError('oh')", True, 1, "oms: halted by a mistake of the program (ZeroDivisionError: oh); "),
    ],
)
def test_the_exit_code_tells_who_must_act(raised: str, opened: bool, code: int, said: str) -> None:
    done = python(
        f"""
        with run._LastWord() as last_word:
            last_word.opened = {opened}
            raise {raised}
        """
    )
    assert done.returncode == code
    assert done.stderr.splitlines()[-1].startswith(said)
