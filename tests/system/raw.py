"""A FIX client over a plain socket: for what no engine would send.

    with RawClient(house.client_port, "CLIENT3", house.comp_id) as raw:
        raw.logon()
        raw.send("35=D|11=R1|...")             # header, length and checksum are added, all of them right
        raw.send_bytes(b"8=FIX.4.4\\x01garbage")  # as it is
        reject = raw.expect("3")

Sequence numbers start at 1 with every logon (ResetSeqNumFlag(141)=Y).
"""

from __future__ import annotations

import socket
import ssl
import time
from types import TracebackType

from oms.sim.wire import Message, utc_now, utc_timestamp

SOH = "\x01"


class RawClient:
    """One TCP connection to the gateway."""

    def __init__(
        self,
        port: int,
        sender: str,
        target: str,
        begin_string: str = "FIX.4.4",
        source: str = "",
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._sender, self._target, self._begin_string = sender, target, begin_string
        self.next_number = 1
        self.received: list[Message] = []
        self._pending = b""
        self._socket: socket.socket = socket.create_connection(
            ("127.0.0.1", port), timeout=10, source_address=(source, 0)
        )
        if tls is not None:
            self._socket = tls.wrap_socket(self._socket)

    def __enter__(self) -> RawClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def message(self, text: str, *, number: int | None = None, sender: str = "", more: str = "") -> bytes:
        """A whole message from MsgType(35) on, with header, BodyLength(9) and CheckSum(10).

        `number` 0 leaves MsgSeqNum(34) out.
        """
        kind, _, rest = text.partition("|")
        if kind in ("35=D", "35=F", "35=G") and "60=" not in rest:
            rest += f"|60={utc_timestamp(utc_now())}"
        head = f"{kind}|34={self.next_number if number is None else number}|49={sender or self._sender}"
        if number == 0:
            head = f"{kind}|49={sender or self._sender}"
        elif number is None:
            self.next_number += 1
        body = f"{head}|52={utc_timestamp(utc_now())}|56={self._target}|{more}{rest}".rstrip("|") + "|"
        raw = body.replace("|", SOH).encode("latin-1")
        raw = f"8={self._begin_string}{SOH}9={len(raw)}{SOH}".encode() + raw
        return raw + f"10={sum(raw) % 256:03d}{SOH}".encode()

    def send(self, text: str, *, number: int | None = None, sender: str = "", more: str = "") -> bytes:
        """Send one message; returns it as it left."""
        raw = self.message(text, number=number, sender=sender, more=more)
        self._socket.sendall(raw)
        return raw

    def send_bytes(self, raw: bytes) -> None:
        """Send as it is."""
        self._socket.sendall(raw)

    def logon(self) -> Message:
        """Log on from MsgSeqNum(34) 1; returns the answer."""
        self.next_number = 1
        self.send("35=A|98=0|108=30|141=Y")
        return self.expect("A")

    def logout(self) -> None:
        """An orderly end: Logout(5) both ways."""
        self.send("35=5")
        self.expect("5")

    def expect(self, kind: str, seconds: float = 10) -> Message:
        """The next message of this MsgType(35); others before it are kept in `received` only."""
        deadline = time.monotonic() + seconds
        while True:
            for message in self._read(deadline):
                self.received.append(message)
                if message.type == kind:
                    return message

    def expect_closed(self, seconds: float = 10) -> None:
        """The gateway closes the connection, whatever it says before."""
        self._socket.settimeout(seconds)
        try:
            while self._socket.recv(65536):
                pass
        except ConnectionError:
            pass

    def _read(self, deadline: float) -> list[Message]:
        """One message: what is left of the last read first."""
        while True:
            end = self._pending.find(b"\x0110=")
            close = self._pending.find(b"\x01", end + 1) if end >= 0 else -1
            if close >= 0:
                raw, self._pending = self._pending[: close + 1], self._pending[close + 1 :]
                return [Message(raw.decode("latin-1"))]
            self._socket.settimeout(max(deadline - time.monotonic(), 0.001))
            try:
                data = self._socket.recv(65536)
            except TimeoutError:
                raise AssertionError(f"nothing came; received so far: {self.received}") from None
            assert data, f"the gateway closed the connection; received so far: {self.received}"
            self._pending += data
