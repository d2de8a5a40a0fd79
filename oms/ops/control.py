"""The control socket: operators' commands to the running gateway, over a local socket with file permissions.

One request and one answer per connection, each a line of JSON: `{"verb": ..., "args": {...}, "token": ...}` and
`{"ok": true, "answer": {...}}` or `{"ok": false, "error": ...}`. Who asks is what the kernel says of the other end
(SO_PEERCRED), or whose token it shows, never what it says of itself; what he may do `oms.ops.access` decides. Lines
and connections are bounded and a slow caller is cut off, so that nobody can hold the gateway up here.
From other machines the same goes over TLS (`oms.ops.remote`).

Threads: one that accepts, one per connection; the handler is called from the latter.
"""

from __future__ import annotations

import hashlib
import json
import os
import socket
import ssl
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
from oms.ops import remote
from oms.ops.people import Caller, People, Refused
from oms.ops.remote import NoAnswer, NoGateway
from oms.ops.tokens import refuse_if_others_may_write, token_from
from oms.ops.way import ELSEWHERE, way

__all__ = ["AT_ONCE", "Calls", "ControlServer", "NoAnswer", "NoGateway", "call", "socket_path"]

log = structlog.get_logger("oms.control")

Handler = Callable[[Caller, str, dict[str, str]], dict[str, Any]]
OnRefusal = Callable[[Refused, str], None]

_LINE_LIMIT = 65_536
AT_ONCE = 16
_CALLER_SECONDS = 5.0
_PATH_LIMIT = 100  # bytes; the kernel takes some 104 to 108


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


class Calls:
    """Answers callers, AT_ONCE at a time. `handler` gets (caller, verb, args); an OperatorError of it is the answer.

    `refused` is told who may not command at all, and of what he asked.
    """

    def __init__(self, handler: Handler, people: People, refused: OnRefusal | None = None) -> None:
        self._handler = handler
        self._people = people
        self._refused = refused or (lambda refusal, verb: None)
        self._places = threading.BoundedSemaphore(AT_ONCE)

    def take(self, connection: socket.socket, address: str = "") -> None:
        """Serve a connection in a thread of its own; closed at once where too many are served."""
        if not self._places.acquire(blocking=False):
            connection.close()
            return
        threading.Thread(target=self._serve, args=(connection, address), name="control-call", daemon=True).start()

    def _serve(self, connection: socket.socket, address: str) -> None:
        try:
            with connection:
                connection.settimeout(_CALLER_SECONDS)
                if isinstance(connection, ssl.SSLSocket):
                    connection.do_handshake()
                answer = self._answer(connection, address)
                connection.settimeout(_CALLER_SECONDS)
                connection.sendall(json.dumps(answer, default=str).encode() + b"\n")
        except OSError as error:
            log.warning("an operator's connection failed", error=str(error), **({"from": address} if address else {}))
        finally:
            self._places.release()

    def _answer(self, connection: socket.socket, address: str) -> dict[str, Any]:
        user = None if address else _user_of(connection)
        asked = None
        with suppress(ValueError):  # of what cannot be read the caller is told below, once it is known who he is
            asked = _read(_line(connection))
        verb, args, token = asked or ("", {}, "")
        try:
            caller = self._people.caller(user, token, address)
        except Refused as error:
            log.warning("an operator was refused", operator=error.name, reason=error.why, **{"from": error.origin})
            self._refused(error, verb)
            return {"ok": False, "error": str(error)}
        if asked is None:
            return {"ok": False, "error": 'not a command: one line {"verb": text, "args": {name: text}}'}
        try:
            return {"ok": True, "answer": self._handler(caller, verb, args)}
        except OperatorError as error:
            log.warning("a command was refused", operator=caller.name, verb=verb, error=str(error))
            return {"ok": False, "error": str(error)}


class ControlServer:
    """Listens on the local socket until stopped; see `Calls`."""

    def __init__(
        self, path: Path, handler: Handler, people: People | None = None, refused: OnRefusal | None = None
    ) -> None:
        self._path = path
        self._people = people or People()
        self._calls = Calls(handler, self._people, refused)
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
            refuse_if_others_may_write(self._path)
            listening.listen(AT_ONCE)
        except OperatorError:
            listening.close()
            raise
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
            self._calls.take(connection)


def _read(line: bytes) -> tuple[str, dict[str, str], str]:
    """Verb, arguments and token of a request. Raises ValueError."""
    try:
        asked = json.loads(line)
        verb, args, token = asked["verb"], asked.get("args", {}), asked.get("token", "")
        if not all(isinstance(one, str) for one in (verb, token, *args, *args.values())):
            raise ValueError("not texts")
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError("not a command") from error
    return verb, args, token


def _line(connection: socket.socket) -> bytes:
    """One line. ValueError where it is longer than the limit."""
    with connection.makefile("rb") as stream:
        line = stream.readline(_LINE_LIMIT + 1)
    if len(line) > _LINE_LIMIT:
        raise ValueError("too long")
    return line


def call(state_dir: Path, verb: str, args: dict[str, str], seconds: float = 20.0) -> dict[str, Any]:
    """Ask the running gateway: that of the state directory, or the one that `oms --control` names.

    Raises OperatorError with its words, or where there is none.
    """
    token = token_from(way.token_file, way.token_command)
    request = json.dumps({"verb": verb, "args": args} | ({"token": token} if token else {})).encode() + b"\n"
    if way.address and state_dir != ELSEWHERE:
        raise OperatorError("this command is for the gateway of oms.toml only; leave --control and OMS_CONTROL away")
    line, place = remote.ask(request, seconds) if way.address else _ask(state_dir, request, seconds)
    if not line:
        raise OperatorError(f"the gateway closed {place} without an answer; try again, and see its log")
    try:
        found: dict[str, Any] = json.loads(line)
    except ValueError:
        raise OperatorError(f"what listens on {place} is no gateway; correct the address") from None
    if not found.get("ok"):
        raise OperatorError(str(found.get("error")))
    answer: dict[str, Any] = found["answer"]
    return answer


def _ask(state_dir: Path, request: bytes, seconds: float) -> tuple[bytes, object]:
    path = socket_path(state_dir)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(seconds)
        try:
            connection.connect(str(path))
            connection.sendall(request)
            with connection.makefile("rb") as stream:
                return stream.readline(), path
        except (FileNotFoundError, ConnectionRefusedError) as error:
            raise NoGateway(f"no gateway listens on {path}; start it with `oms run`") from error
        except PermissionError as error:
            raise OperatorError(
                f"you may not open {path}: be in the group that [operators] socket_group of oms.toml names, and in"
                " [operators] users"
            ) from error
        except OSError as error:
            raise NoAnswer(f"the gateway did not answer on {path}: {error}") from error
