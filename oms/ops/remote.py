"""Commands over the network: TLS on the gateway's side, and on the side of who gives them.

The listener hands each connection to the same `Calls` as the local socket does, with places of its own, so that
whoever crowds it does not crowd operators on the machine. A token is always needed; without TLS only 127.0.0.1 and
its like are listened on.
Threads: one that accepts.
"""

from __future__ import annotations

import socket
import ssl
import stat
import threading
from contextlib import suppress
from typing import Protocol

import structlog

from oms.config.control import Control, host_and_port, is_loopback
from oms.errors import OperatorError
from oms.ops.way import way

log = structlog.get_logger("oms.control")

_BACKLOG = 16
_CONNECT_SECONDS = 10.0


class NoAnswer(OperatorError):
    """Something listens there and says nothing in time."""


class NoGateway(OperatorError):
    """Nobody listens on the control socket."""


class Takes(Protocol):
    """Takes connections to serve."""

    def take(self, connection: socket.socket, address: str = "") -> None:
        """Serve one that came from an address."""


class RemoteServer:
    """Listens as `[control]` says until stopped."""

    def __init__(self, control: Control, calls: Takes) -> None:
        self._control = control
        self._calls = calls
        self._socket: socket.socket | None = None
        self._thread = threading.Thread(target=self._accept, name="control-remote", daemon=True)

    def start(self) -> None:
        """Open the port, if one is configured. Raises OperatorError where that is not possible."""
        if self._control.listen is None:
            return
        host, port = host_and_port(self._control.listen)
        self._context = _server_context(self._control)
        if self._context is None and not is_loopback(host):
            raise OperatorError("[control] listen: without TLS on 127.0.0.1 only; add certificate and private_key")
        try:
            self._socket = socket.create_server((host, port), family=_family(host, port), backlog=_BACKLOG)
        except OSError as error:
            raise OperatorError(
                f"[control] listen: {self._control.listen} cannot be listened on: {error}; free it, or name another"
            ) from error
        self._thread.start()
        log.info("commands from other machines", listen=self._control.listen, tls=self._context is not None)

    def stop(self) -> None:
        """Close the port; commands under way are answered."""
        if self._socket is None:
            return
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)  # wakes accept
        self._socket.close()
        self._thread.join(2.0)

    def _accept(self) -> None:
        assert self._socket is not None
        while True:
            try:
                connection, address = self._socket.accept()
            except ConnectionAbortedError:
                continue
            except OSError:
                return
            if self._context is not None:  # the handshake is the serving thread's: a slow one holds up nobody
                try:
                    connection = self._context.wrap_socket(
                        connection, server_side=True, do_handshake_on_connect=False
                    )
                except OSError:
                    connection.close()
                    continue
            self._calls.take(connection, str(address[0]))


def _family(host: str, port: int) -> socket.AddressFamily:
    try:
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
    except OSError as error:
        raise OperatorError(f"[control] listen: {host} is no address of this machine: {error}; correct it") from error


def _server_context(control: Control) -> ssl.SSLContext | None:
    """TLS as configured, None without. Raises OperatorError."""
    if control.certificate is None or control.private_key is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        if control.private_key.stat().st_mode & (stat.S_IWGRP | stat.S_IRWXO):
            where = control.private_key
            raise OperatorError(f"[control] private_key: others may read or write {where}; `chmod 600 {where}`")
        context.load_cert_chain(control.certificate, control.private_key, password=_no_password)
        if control.client_ca is not None:
            context.load_verify_locations(control.client_ca)
            context.verify_mode = ssl.CERT_REQUIRED
    except (OSError, ValueError) as error:
        raise OperatorError(
            f"[control]: certificate, private_key or client_ca cannot be used: {error}; give PEM files that belong"
            " together"
        ) from error
    return context


def _no_password() -> str:
    """OpenSSL would ask at the terminal."""
    raise ValueError("the key is locked with a password")


# -- who gives commands -------------------------------------------------------------------------------------------


def ask(request: bytes, seconds: float) -> tuple[bytes, object]:
    """A request to the gateway at `way.address`, and its answer's line. Raises OperatorError."""
    scheme, _, place = way.address.rpartition("://")
    try:
        host, port = host_and_port(place)
    except ValueError:
        raise OperatorError(f"--control {way.address!r} is no address; write tls://HOST:PORT") from None
    if scheme not in ("tls", "tcp") or (scheme == "tcp" and not is_loopback(host)):
        raise OperatorError(f"--control {way.address!r}: write tls://HOST:PORT; tcp:// is for 127.0.0.1 only")
    try:
        with _connected(host, port, scheme == "tls") as connection:
            connection.settimeout(seconds)
            connection.sendall(request)
            with connection.makefile("rb") as stream:
                return stream.readline(), way.address
    except ssl.SSLCertVerificationError as error:
        why = error.verify_message
        raise OperatorError(
            f"{way.address} does not prove that it is {host}: {why}; give --ca FILE of its authority"
        ) from error
    except ConnectionRefusedError as error:
        raise NoGateway(f"no gateway listens on {way.address}; start it, or correct --control") from error
    except OSError as error:
        raise NoAnswer(f"the gateway did not answer on {way.address}: {error}") from error


def _connected(host: str, port: int, tls: bool) -> socket.socket:
    context = _client_context() if tls else None
    connection = socket.create_connection((host, port), timeout=_CONNECT_SECONDS)
    if context is None:
        return connection
    try:
        return context.wrap_socket(connection, server_hostname=host)
    except OSError:
        connection.close()
        raise


def _client_context() -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=way.ca)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if way.certificate is not None:
            context.load_cert_chain(way.certificate, password=_no_password)
    except (OSError, ValueError) as error:
        raise OperatorError(f"--ca or --cert cannot be used: {error}; give PEM files") from error
    return context
