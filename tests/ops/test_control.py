"""The control socket: who may speak, how, and what comes back."""

from __future__ import annotations

import grp
import json
import os
import re
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from oms.config.people import Operators
from oms.errors import OperatorError
from oms.ops import control
from oms.ops.control import ControlServer, call, socket_path
from oms.ops.people import Caller, People, system_name

Asked = list[tuple[str, str, dict[str, str]]]


class House:
    """A server whose handler remembers what it was asked."""

    def __init__(self, state_dir: Path) -> None:
        self.state_dir = state_dir
        self.asked: Asked = []
        self.server = ControlServer(socket_path(state_dir), self._handle)
        self.server.start()

    def _handle(self, caller: Caller, verb: str, args: dict[str, str]) -> dict[str, Any]:
        self.asked.append((caller.name, verb, args))
        if verb == "refuse":
            raise OperatorError("not today; try tomorrow")
        return {"said": verb}

    def speak(self, line: bytes) -> dict[str, Any]:
        """The answer to a line as it is."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(5)
            connection.connect(str(socket_path(self.state_dir)))
            connection.sendall(line)
            with connection.makefile("rb") as stream:
                found: dict[str, Any] = json.loads(stream.readline())
        return found


@pytest.fixture
def house() -> Iterator[House]:
    with tempfile.TemporaryDirectory(prefix="oms-tests-") as directory:
        made = House(Path(directory))
        yield made
        made.server.stop()


def test_a_command_is_answered_and_carries_the_name_that_the_system_knows(house: House) -> None:
    assert call(house.state_dir, "exceptions.take", {"item_id": "X1"}) == {"said": "exceptions.take"}
    assert house.asked == [(system_name(os.getuid()), "exceptions.take", {"item_id": "X1"})]


def test_what_the_gateway_refuses_is_the_callers_error(house: House) -> None:
    with pytest.raises(OperatorError, match="not today; try tomorrow"):
        call(house.state_dir, "refuse", {})


@pytest.mark.parametrize(
    "line",
    [b"hello\n", b"[]\n", b'{"verb": 1}\n', b'{"verb": "x", "args": {"a": 1}}\n', b'{"verb": "x", "args": "a"}\n',
     b"\n", b"\xff\xfe\n", b'{"verb": "' + b"x" * 70_000 + b'"}\n'],
    ids=["text", "list", "number", "number in args", "args", "empty", "bytes", "too long"],
)  # fmt: skip
def test_what_is_no_command_is_refused_and_the_next_caller_is_served(house: House, line: bytes) -> None:
    error = 'not a command: one line {"verb": text, "args": {name: text}}'
    assert house.speak(line) == {"ok": False, "error": error}
    assert call(house.state_dir, "x", {}) == {"said": "x"}


def test_callers_that_say_nothing_hold_nobody_up(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "_CALLER_SECONDS", 0.2)
    silent = [socket.socket(socket.AF_UNIX) for _ in range(20)]
    for one in silent:
        one.connect(str(socket_path(house.state_dir)))
    for one in silent:
        one.settimeout(5)
        assert one.recv(1) == b""  # cut off
        one.close()
    assert call(house.state_dir, "x", {}) == {"said": "x"}


def test_only_the_user_of_the_gateway_can_reach_the_socket(house: House) -> None:
    path = socket_path(house.state_dir)
    assert path.stat().st_mode & 0o777 == 0o600


def test_another_user_is_refused(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "_user_of", lambda connection: os.getuid() + 12_345)
    with pytest.raises(OperatorError, match="may not command this gateway; it runs as"):
        call(house.state_dir, "x", {})
    assert house.asked == []


SAYS_WHO = (
    "import socket, sys; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); "
    's.sendall(b\'{"verb": "who"}\\n\'); print(s.makefile().readline())'
)
PYTHON = Path("/usr/bin/python3")


@pytest.mark.skipif(os.getuid() != 0 or not PYTHON.exists(), reason="only root can become other users")
def test_users_of_the_system_are_operators_by_the_kernels_word_whatever_they_say() -> None:
    group = grp.getgrgid(1)
    people = People(Operators(users={"ann": 61_001, "bob": 61_002}, socket_group=group.gr_name))
    with tempfile.TemporaryDirectory(prefix="oms-tests-") as directory:
        Path(directory).chmod(0o711)
        path = socket_path(Path(directory))
        server = ControlServer(path, lambda caller, verb, args: {"operator": caller.name}, people)
        server.start()
        try:
            said = [
                subprocess.run(
                    [PYTHON, "-c", SAYS_WHO, path], user=user, group=number, extra_groups=[], capture_output=True,
                    text=True, check=False, cwd="/", env={}, timeout=20,
                )
                for user, number in ((61_001, 1), (61_002, 1), (61_003, 1), (61_001, 61_001))
            ]  # fmt: skip
        finally:
            server.stop()
    assert [json.loads(one.stdout)["answer"]["operator"] for one in said[:2]] == ["ann", "bob"]
    assert "uid-61003 may not command this gateway" in json.loads(said[2].stdout)["error"]
    assert "PermissionError" in said[3].stderr


@pytest.mark.parametrize(
    ("operators", "words"),
    [
        (Operators(users={"ann": "nobody-of-this-name"}), "whom this machine does not know"),
        (Operators(users={"root": 61_001}), "root is also a system user, and not the one that is named"),
        (Operators(users={"ann": 0, "bob": "root"}), "ann and bob are the same system user root"),
        (Operators(socket_group="no-such-group"), "this machine has no group 'no-such-group'"),
    ],
)
def test_operators_whom_this_machine_does_not_have_or_who_would_be_two_are_refused(
    operators: Operators, words: str
) -> None:
    with pytest.raises(OperatorError, match=re.escape(words)):
        People(operators)


def test_what_needs_two_people_needs_two_who_are_named() -> None:
    assert People(Operators(users={"ann": 61_001})).barred("ann").startswith("this needs two people, and [operators]")
    two = People(Operators(users={"ann": 61_001, "bob": 61_002}))
    assert (two.barred("ann"), two.barred("root")) == (
        "",
        "root is not in [operators] users of oms.toml: only who is named there proposes and approves",
    )


def test_a_socket_of_a_gateway_that_was_killed_is_taken_over(house: House) -> None:
    path = socket_path(house.state_dir)
    house.server.stop()
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    with pytest.raises(OperatorError, match=r"no gateway listens on .*; start it with `oms run`"):
        call(house.state_dir, "x", {})
    house.server = ControlServer(path, lambda caller, verb, args: {"again": verb})
    house.server.start()
    assert call(house.state_dir, "x", {}) == {"again": "x"}


def test_a_state_directory_with_a_long_path_has_its_socket_elsewhere() -> None:
    long = Path("/srv") / ("d" * 120)
    path = socket_path(long)
    assert len(os.fsencode(path)) < 100
    assert path == socket_path(long) != socket_path(long / "other")
    assert path.name == "control.sock"
