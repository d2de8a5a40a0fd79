"""The control socket: operators' commands to the running gateway, over a local socket with file permissions.

One request and one answer per connection, each a line of JSON: `{"verb": ..., "args": {...}}` and
`{"ok": true, "answer": {...}}` or `{"ok": false, "error": ...}`. Who asks is what the kernel says of the other end
(SO_PEERCRED), never what it says of itself; only the user who runs the gateway, root, and the operators of the
configuration (`oms.ops.people`) may command. Lines and connections are bounded and a slow caller is cut off, so that
nobody can hold the gateway up here.

Threads: one that accepts, one per connection; the handler is called from the latter.
"""

from __future__ import annotations

import hashlib
import json
import os
import socket
import struct
import sys
import tempfile
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import structlog

from oms.errors import OperatorError
from oms.ops.people import People, system_name

log = structlog.get_logger("oms.control")

Handler = Callable[[str, str, dict[str, str]], dict[str, Any]]

_LINE_LIMIT = 65_536
_AT_ONCE = 16
_CALLER_SECONDS = 5.0
_PATH_LIMIT = 100  # bytes; the kernel takes some 104 to 108


class NoGateway(OperatorError):
    """Nobody listens on the control socket."""


def socket_path(state_dir: Path) -> Path:
    """Where the gateway with this state directory listens: in it, or, if its path is too long, under a hash of it."""
    path = state_dir.resolve() / "control.sock"
    if len(os.fsencode(path)) <= _PATH_LIMIT:
        return path
    name = hashlib.sha256(os.fsencode(path)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"oms-{os.getuid()}-{name}" / "control.sock"


def _user_of(connection: socket.socket) -> int:
    """The user id at the other end, as the kernel knows it."""
    if sys.platform == "darwin":
        data = connection.getsockopt(0, 1, 76)  # LOCAL_PEERCRED: version, uid, groups
        return int(struct.unpack_from("2I", data)[1])
    data = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return int(struct.unpack("3i", data)[1])


class ControlServer:
    """Listens until stopped. `handler` gets (operator, verb, args); an OperatorError of it is the answer."""

    def __init__(self, path: Path, handler: Handler, people: People | None = None) -> None:
        self._path = path
        self._handler = handler
        self._people = people or People()
        self._places = threading.BoundedSemaphore(_AT_ONCE)
        self._socket: socket.socket | None = None
        self._thread = threading.Thread(target=self._accept, name="control", daemon=True)

    def start(self) -> None:
        """Open the socket. Raises OperatorError where that is not possible."""
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            was_there = self._path.parent.exists()
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            if self._path.parent.stat().st_uid != os.getuid():
                raise PermissionError("its directory belongs to another user")
            with suppress(FileNotFoundError):
                self._path.unlink()  # of a gateway that was killed: the ledger's lock says that it is gone
            before = os.umask(0o177)
            try:
                listening.bind(str(self._path))
            finally:
                os.umask(before)
            if self._people.group is not None:
                os.chown(self._path, -1, self._people.group)
                self._path.chmod(0o660)
                if not was_there:  # made for the socket alone
                    os.chown(self._path.parent, -1, self._people.group)
                    self._path.parent.chmod(0o710)
            listening.listen(_AT_ONCE)
        except OSError as error:
            listening.close()
            raise OperatorError(
                f"cannot open the control socket {self._path}: {error}; check the rights on state_dir"
            ) from error
        self._socket = listening
        self._thread.start()

    def stop(self) -> None:
        """Close the socket; commands under way are answered."""
        if self._socket is None:
            return
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)  # wakes accept
        self._socket.close()
        self._thread.join(2.0)
        with suppress(FileNotFoundError):
            self._path.unlink()

    def _accept(self) -> None:
        assert self._socket is not None
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            if not self._places.acquire(blocking=False):
                connection.close()
                continue
            threading.Thread(target=self._serve, args=(connection,), name="control-call", daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            with connection:
                connection.settimeout(_CALLER_SECONDS)
                answer = self._answer(connection)
                connection.settimeout(_CALLER_SECONDS)
                connection.sendall(json.dumps(answer, default=str).encode() + b"\n")
        except OSError as error:
            log.warning("an operator's connection failed", error=str(error))
        finally:
            self._places.release()

    def _answer(self, connection: socket.socket) -> dict[str, Any]:
        user = _user_of(connection)
        operator = self._people.name_of(user)
        if not self._people.may_command(user):
            log.warning("an operator was refused", operator=operator)
            with suppress(ValueError):
                _line(connection)  # what is left unread would cut the answer off
            return {
                "ok": False,
                "error": f"{operator} may not command this gateway; it runs as {system_name(os.getuid())}, and"
                " [operators] users of its oms.toml names who else may",
            }
        try:
            asked = json.loads(_line(connection))
            verb, args = asked["verb"], asked.get("args", {})
            if not isinstance(verb, str) or not all(isinstance(one, str) for one in (*args, *args.values())):
                raise ValueError("not texts")
        except (ValueError, KeyError, TypeError, AttributeError):
            return {"ok": False, "error": 'not a command: one line {"verb": text, "args": {name: text}}'}
        try:
            return {"ok": True, "answer": self._handler(operator, verb, args)}
        except OperatorError as error:
            log.warning("a command was refused", operator=operator, verb=verb, error=str(error))
            return {"ok": False, "error": str(error)}


def _line(connection: socket.socket) -> bytes:
    """One line. ValueError where it is longer than the limit."""
    with connection.makefile("rb") as stream:
        line = stream.readline(_LINE_LIMIT + 1)
    if len(line) > _LINE_LIMIT:
        raise ValueError("too long")
    return line


def call(state_dir: Path, verb: str, args: dict[str, str], seconds: float = 20.0) -> dict[str, Any]:
    """Ask the running gateway. Raises OperatorError with its words, or where there is none."""
    path = socket_path(state_dir)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(seconds)
        try:
            connection.connect(str(path))
            connection.sendall(json.dumps({"verb": verb, "args": args}).encode() + b"\n")
            with connection.makefile("rb") as stream:
                line = stream.readline()
        except (FileNotFoundError, ConnectionRefusedError) as error:
            raise NoGateway(f"no gateway listens on {path}; start it with `oms run`") from error
        except PermissionError as error:
            raise OperatorError(
                f"you may not open {path}: be in the group that [operators] socket_group of oms.toml names, and in"
                " [operators] users"
            ) from error
        except OSError as error:
            raise OperatorError(f"the gateway did not answer on {path}: {error}") from error
    if not line:
        raise OperatorError(f"the gateway closed {path} without an answer; try again, and see its log")
    found: dict[str, Any] = json.loads(line)
    if not found.get("ok"):
        raise OperatorError(str(found.get("error")))
    answer: dict[str, Any] = found["answer"]
    return answer
