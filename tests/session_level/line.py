"""One TCP connection that speaks FIX: bytes out, whole messages in, with a deadline on every wait.

Nothing is known here of sessions. What arrives must be FIX as the standard frames it: BeginString(8),
BodyLength(9) and MsgType(35) first, length and CheckSum(10) right; anything else is an AssertionError.
"""

from __future__ import annotations

import socket
import time

from oms.sim.wire import SOH, Message, shown

SECONDS = 10.0


def checksum(raw: bytes) -> str:
    """CheckSum(10) of everything before it."""
    return f"{sum(raw) % 256:03d}"


class Line:
    """A connection to `port` on loopback. Every wait ends after `SECONDS` with an AssertionError."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=SECONDS)
        self._pending = b""

    def send(self, raw: bytes) -> None:
        """Send bytes as they are."""
        self._socket.sendall(raw)

    def close(self) -> None:
        """Close our side."""
        self._socket.close()

    def next(self) -> Message | None:
        """The next message; None when the other side has closed."""
        deadline = time.monotonic() + SECONDS
        while (end := self._end_of_message()) < 0:
            self._socket.settimeout(max(deadline - time.monotonic(), 0.001))
            try:
                data = self._socket.recv(65536)
            except TimeoutError:
                raise AssertionError(f"nothing came within {SECONDS} s") from None
            except ConnectionError:
                data = b""
            if not data:
                assert not self._pending, f"closed in the middle of a message: {self._pending!r}"
                return None
            self._pending += data
        raw, self._pending = self._pending[:end], self._pending[end:]
        return self._framed(raw)

    def _end_of_message(self) -> int:
        trailer = self._pending.find(b"\x0110=")
        close = self._pending.find(b"\x01", trailer + 1) if trailer >= 0 else -1
        return close + 1 if close >= 0 else -1

    @staticmethod
    def _framed(raw: bytes) -> Message:
        message = Message(raw.decode("latin-1"))
        head, _, body = raw.partition(b"\x0135=")
        covered = raw[: raw.rindex(b"10=")]
        framed = (
            [tag for tag, _ in message.pairs[:3]] == [8, 9, 35]
            and message[9] == str(len(covered) - len(head) - len(SOH))
            and message[10] == checksum(covered)
            and body != b""
        )
        assert framed, f"this is not framed as FIX: {shown(message.raw)}"
        return message
