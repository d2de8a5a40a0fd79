"""One FIX 4.4 session over one plain socket, as cheap as Python allows: no engine, no field map, no store.

For the load generator only. Framing, sequence numbers from 1, Logon(A), Heartbeat(0), TestRequest(1), Logout(5).
Anything else that a healthy run would not see (a gap, Reject(3), ResendRequest(2)) raises LoadError.
Single-threaded; the socket never blocks.
"""

from __future__ import annotations

import re
import socket
import time
from datetime import UTC, datetime
from zlib import adler32

SOH = b"\x01"
HEARTBEAT_SECONDS = 30
RECEIVE_BYTES = 1 << 18
MAX_FAST_CHECKSUM_BYTES = 500  # up to here the byte sum stays below adler32's modulus
CHECKSUM_FIELD_BYTES = 8  # SOH 10=nnn SOH, counted from the SOH before it
MSG_SEQ_NUM = re.compile(rb"\x0134=(\d+)\x01")


class LoadError(RuntimeError):
    """The system under test did something that makes the measurement worthless."""


def checksum(message: bytes) -> int:
    """CheckSum(10) of the bytes before it. adler32's low half is one plus their sum, in C and in one call."""
    if len(message) > MAX_FAST_CHECKSUM_BYTES:
        return sum(message) & 0xFF
    return ((adler32(message) & 0xFFFF) - 1) & 0xFF


def field(message: bytes, tag: bytes) -> bytes:
    """Value of the first ``tag`` (given as SOH, number, equals sign); empty where it is missing."""
    start = message.find(tag)
    if start < 0:
        return b""
    start += len(tag)
    return message[start : message.find(SOH, start)]


def readable(message: bytes) -> str:
    """The message with | for SOH, for a person."""
    return message.replace(SOH, b"|").decode(errors="replace")


class SendingClock:
    """SendingTime(52), formatted at most once a millisecond."""

    def __init__(self) -> None:
        self._millisecond = -1
        self._text = b""

    def text(self) -> bytes:
        """The time now, UTC, in milliseconds."""
        millisecond = time.time_ns() // 1_000_000
        if millisecond != self._millisecond:
            self._millisecond = millisecond
            moment = datetime.fromtimestamp(millisecond // 1000, UTC)
            self._text = moment.strftime("%Y%m%d-%H:%M:%S.").encode() + b"%03d" % (millisecond % 1000)
        return self._text


class FixPeer:
    """One end of a FIX session; ``name`` is what error messages call it."""

    application = frozenset((b"D", b"8"))  # MsgTypes(35) that the caller must see

    def __init__(self, name: str, sender: str, target: str) -> None:
        self.name = name
        self.logged_on = False
        self.answered = False  # the other side has worked through our Logon(A): it answered what came after it
        self.socket: socket.socket | None = None
        self._next_out = 1
        self._next_in = 1
        self._comp_ids = b"\x0149=%s\x0156=%s\x0152=" % (sender.encode(), target.encode())
        self._in = b""
        self._out = bytearray()
        self._clock = SendingClock()
        self._last_sent = time.monotonic()

    def attach(self, connected: socket.socket) -> None:
        """Take over a connected socket."""
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connected.setblocking(False)
        self.socket = connected

    def queue(self, msg_type: bytes, body: bytes) -> None:
        """Append one message to what ``flush`` writes; ``body`` ends with SOH or is empty."""
        sequence = self._next_out
        self._next_out = sequence + 1
        content = b"35=%s\x0134=%d%s%s\x01%s" % (msg_type, sequence, self._comp_ids, self._clock.text(), body)
        framed = b"8=FIX.4.4\x019=%d\x01%s" % (len(content), content)
        self._out += b"%s10=%03d\x01" % (framed, checksum(framed))

    @property
    def unwritten(self) -> int:
        """Bytes queued that the socket has not taken."""
        return len(self._out)

    def flush(self) -> bool:
        """Write what the socket takes now; true while something is left."""
        if self._out and self.socket is not None:
            try:
                del self._out[: self.socket.send(self._out)]
            except BlockingIOError:
                return True
            self._last_sent = time.monotonic()
        return bool(self._out)

    def receive(self) -> list[bytes]:
        """The application messages that arrived; session messages are answered here. Raises LoadError."""
        if self.socket is None:
            return []
        try:
            data = self.socket.recv(RECEIVE_BYTES)
        except BlockingIOError:
            return []
        if not data:
            raise LoadError(f"the system under test closed the connection to the {self.name}")
        stream = self._in + data if self._in else data
        messages: list[bytes] = []
        start = 0
        while (end := stream.find(b"\x0110=", start)) >= 0 and len(stream) >= end + CHECKSUM_FIELD_BYTES:
            end += CHECKSUM_FIELD_BYTES
            message = stream[start:end]
            start = end
            if self._is_application(message):
                messages.append(message)
        self._in = stream[start:]
        return messages

    def _is_application(self, message: bytes) -> bool:
        """Check the sequence and deal with session messages; true for one that the caller must see."""
        sequence = MSG_SEQ_NUM.search(message)
        if sequence is None or int(sequence[1]) != self._next_in:
            expected = f"expected MsgSeqNum(34)={self._next_in}"
            raise LoadError(f"the {self.name} {expected} and got {readable(message)}")
        self._next_in += 1
        msg_type = field(message, b"\x0135=")
        if msg_type in self.application:
            return True
        if msg_type == b"A":
            self.logged_on = True
        elif msg_type == b"1":
            self.queue(b"0", b"112=%s\x01" % field(message, b"\x01112="))
        elif msg_type == b"0":
            self.answered = self.answered or b"\x01112=ready\x01" in message
        else:
            raise LoadError(f"the {self.name} got {readable(message)}")
        return False

    def log_on(self) -> None:
        """Queue a Logon(A)."""
        self.queue(b"A", b"98=0\x01108=%d\x01" % HEARTBEAT_SECONDS)

    def ask(self) -> None:
        """Queue a TestRequest(1), whose answer sets `answered`."""
        self.queue(b"1", b"112=ready\x01")

    def log_off(self) -> None:
        """Send Logout(5) and close without waiting for the answer."""
        if self.socket is not None:
            self.queue(b"5", b"")
            self.flush()
            self.socket.close()
            self.socket = None

    def heartbeat_when_due(self) -> None:
        """Queue a Heartbeat(0) where nothing was sent for half of HeartBtInt(108)."""
        if self.logged_on and time.monotonic() - self._last_sent > HEARTBEAT_SECONDS / 2:
            self.queue(b"0", b"")
