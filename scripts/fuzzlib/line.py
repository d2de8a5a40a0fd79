"""One end of a FIX session over a plain socket that may send anything, and lives with whatever follows.

Every logon starts both sides at MsgSeqNum(34) 1 (ResetSeqNumFlag(141)=Y). Blocking, with time-outs; one thread per
line. It answers TestRequest(1) and, with gap fills, ResendRequest(2); all else that comes is handed out.
`Gone` is raised when the gateway has closed the connection, which is its right after much of what is sent here.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime

from benchlib.fixpeer import field
from fuzzlib.mutate import SOH, framed

LOOPBACK = "127.0.0.1"
CHUNK = 1 << 18
LOGON_SECONDS = 20.0


class Gone(Exception):
    """The connection is closed."""


class Line:
    """A session's other end. `listener` for a broker, `port` for a client."""

    def __init__(
        self, begin_string: bytes, sender: str, *, port: int = 0, listener: socket.socket | None = None
    ) -> None:
        self.begin_string = begin_string
        self.sender = sender.encode()
        self.next_out = 1
        self.gap_filled: list[range] = []
        self.logons = 0
        self._port, self._listener = port, listener
        self._socket: socket.socket | None = None
        self._in = b""

    # -- the connection ------------------------------------------------------------------------------------

    def open(self) -> None:
        """Connect (or wait to be called) and log on. Gone or TimeoutError where that fails."""
        self.close()
        if self._listener is not None:
            self._listener.settimeout(LOGON_SECONDS)
            made, _ = self._listener.accept()
        else:
            made = socket.create_connection((LOOPBACK, self._port), timeout=LOGON_SECONDS)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket, self._in, self.next_out, self.gap_filled = made, b"", 1, []
        if self._listener is None:
            self._log_on()
        self._expect(b"A", LOGON_SECONDS)
        if self._listener is not None:
            self._log_on()
        self.logons += 1

    def _log_on(self) -> None:
        more = b"1137=9\x01" if self.begin_string == b"FIXT.1.1" else b""
        self.send(b"A", b"98=0\x01108=30\x01141=Y\x01" + more)

    def close(self) -> None:
        """Close without a word."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    # -- out -----------------------------------------------------------------------------------------------

    def message(self, msg_type: bytes, body: bytes, number: int = 0) -> bytes:
        """A whole message under the next number, or under the one given, which then uses up none."""
        if not number:
            number, self.next_out = self.next_out, self.next_out + 1
        now = datetime.now(UTC).strftime("%Y%m%d-%H:%M:%S.%f")[:-3].encode()
        head = b"35=%s\x0134=%d\x0149=%s\x0152=%s\x0156=OMS\x01" % (msg_type, number, self.sender, now)
        return framed(self.begin_string, head + body)

    def send(self, msg_type: bytes, body: bytes) -> None:
        """Send a message of ours."""
        self.write(self.message(msg_type, body))

    def write(self, raw: bytes) -> None:
        """Send bytes as they are; raises Gone."""
        if self._socket is None:
            raise Gone
        try:
            self._socket.settimeout(LOGON_SECONDS)
            self._socket.sendall(raw)
        except OSError as error:
            raise Gone from error

    # -- in ------------------------------------------------------------------------------------------------

    def read(self, seconds: float) -> list[bytes]:
        """What has come, session messages that need an answer answered; empty after `seconds`. Raises Gone."""
        if self._socket is None:
            raise Gone
        self._socket.settimeout(max(seconds, 0.001))
        try:
            data = self._socket.recv(CHUNK)
        except TimeoutError:
            return []
        except OSError as error:
            raise Gone from error
        if not data:
            raise Gone
        self._in += data
        found = list(self._complete())
        for message in found:
            self._answer(message)
        return found

    def _complete(self) -> Iterator[bytes]:
        while (end := self._in.find(b"\x0110=")) >= 0 and (close := self._in.find(SOH, end + 1)) >= 0:
            message, self._in = self._in[: close + 1], self._in[close + 1 :]
            yield message

    def _answer(self, message: bytes) -> None:
        kind = field(message, b"\x0135=")
        if kind == b"1":
            self.send(b"0", b"112=%s\x01" % field(message, b"\x01112="))
        elif kind == b"2" and (begin := field(message, b"\x017=")).isdigit():
            first = int(begin)
            self.gap_filled.append(range(first, self.next_out))
            body = b"43=Y\x01122=20260302-13:00:00\x01123=Y\x0136=%d\x01" % self.next_out
            self.write(self.message(b"4", body, number=first))

    def _expect(self, kind: bytes, seconds: float) -> bytes:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            for message in self.read(deadline - time.monotonic()):
                if field(message, b"\x0135=") == kind:
                    return message
        raise TimeoutError(f"no MsgType(35) {kind.decode()} within {seconds:.0f} s")

    def log_out(self) -> None:
        """Logout(5) and close."""
        with suppress(Gone, TimeoutError):
            self.send(b"5", b"")
            self._expect(b"5", 3.0)
        self.close()
