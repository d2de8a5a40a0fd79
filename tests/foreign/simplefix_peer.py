"""A counterparty on simplefix, which reads and writes FIX messages and knows nothing of sessions.

The session is the least that the standard asks: logon, numbers that run on, heartbeats, test requests, resend
requests both ways, gap fills, possible duplicates, logout. Nothing is validated. One thread reads; the test's
thread sends; a lock keeps number and line together.
"""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress

import simplefix

from oms.sim.session import BEGIN_STRINGS
from oms.sim.wire import Message, utc_now, utc_timestamp
from tests.foreign.peer import SECONDS, ForeignPeer, Where

SESSION_TYPES = frozenset("012345A")


class SimplefixPeer(ForeignPeer):
    """See the module head. `kind` is "initiator" for a client and "acceptor" for a broker."""

    def __init__(self, where: Where, kind: str) -> None:
        super().__init__(where)
        self._listener = None if kind == "initiator" else socket.create_server(("127.0.0.1", where.port))
        self._line: socket.socket | None = None
        self._lock = threading.RLock()
        self._next_out, self._next_in = 1, 1
        self._sent: dict[int, tuple[str, list[tuple[int, str]], str]] = {}
        self._early: dict[int, Message] = {}
        self._last_left = 0.0
        self._away = threading.Event()
        self._away.set()
        self._thread: threading.Thread | None = None

    # -- the test's side ---------------------------------------------------------------------------------

    def connect(self) -> None:
        self._away.clear()
        self._thread = threading.Thread(target=self._serve, name=f"simplefix-{self.where.name}")
        self._thread.start()

    def cut(self) -> None:
        self._away.set()
        self._hang_up()
        if self._thread is not None:
            self._thread.join(SECONDS)
        self.wait_down()

    def log_out(self) -> None:
        self._away.set()
        self._tell("5", [])
        self.wait_down()
        self.cut()

    def forget(self, count: int) -> None:
        self._next_in -= count

    def leave(self, raw: str, lost: bool) -> None:
        pairs = Message("\x01" + raw).pairs
        kind = next(value for tag, value in pairs if tag == 35)
        self._tell(kind, [(tag, value) for tag, value in pairs if tag != 35], lost=lost)

    def close(self) -> None:
        self._away.set()
        self._hang_up()
        if self._listener is not None:
            with suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
        if self._thread is not None:
            self._thread.join(SECONDS)

    # -- out ---------------------------------------------------------------------------------------------

    def _tell(self, kind: str, pairs: list[tuple[int, str]], *, lost: bool = False) -> None:
        with self._lock:
            number, now = self._next_out, utc_timestamp(utc_now())
            self._next_out += 1
            self._sent[number] = (kind, pairs, now)
            if not lost:
                self._write(kind, number, pairs, now)

    def _write(self, kind: str, number: int, pairs: list[tuple[int, str]], now: str, first: str = "") -> None:
        message = simplefix.FixMessage()
        header = [(8, BEGIN_STRINGS[self.version]), (35, kind), (34, number), (49, self.where.name)]
        again = [(43, "Y"), (122, first)] if first else []
        for tag, value in [*header, (56, self.where.gateway), (52, now), *again, *pairs]:
            message.append_pair(tag, value, header=(tag, value) in header)
        with suppress(OSError):  # a line that has just gone: the message is kept
            if self._line is not None:
                self._line.sendall(message.encode())
        self._last_left = time.monotonic()

    def _send_again(self, begin: int, end: int) -> None:
        with self._lock:
            last = end or self._next_out - 1
            gap = 0
            for number in range(begin, last + 1):
                kind, pairs, first = self._sent[number]
                if kind in SESSION_TYPES:
                    gap = gap or number
                    continue
                self._fill(gap, number)
                gap = 0
                self._write(kind, number, pairs, utc_timestamp(utc_now()), first)
            self._fill(gap, last + 1)

    def _fill(self, gap: int, new: int) -> None:
        if gap:
            now = utc_timestamp(utc_now())
            self._write("4", gap, [(123, "Y"), (36, str(new))], now, now)

    # -- in ----------------------------------------------------------------------------------------------

    def _serve(self) -> None:
        while not self._away.is_set():
            try:
                self._line = self._open()
            except OSError:
                self._away.wait(0.1)
                continue
            with suppress(OSError):
                if self._listener is None:
                    self._tell("A", self._logon())
                self._read(self._line)
            self._hang_up()
            self.changed(False)

    def _open(self) -> socket.socket:
        if self._listener is None:
            return socket.create_connection(("127.0.0.1", self.where.port), SECONDS)
        line, _ = self._listener.accept()
        return line

    def _hang_up(self) -> None:
        if self._line is not None:
            with suppress(OSError):
                self._line.shutdown(socket.SHUT_RDWR)
            self._line.close()

    def _logon(self) -> list[tuple[int, str]]:
        version = [(1137, "9")] if self.version == "5.0SP2" else []
        return [(98, "0"), (108, str(self.where.heartbeat_seconds)), *version]

    def _read(self, line: socket.socket) -> None:
        parser = simplefix.FixParser()
        line.settimeout(0.2)
        while True:
            try:
                data = line.recv(65536)
            except TimeoutError:
                if time.monotonic() - self._last_left >= self.where.heartbeat_seconds:
                    self._tell("0", [])
                continue
            if not data:
                return
            parser.append_buffer(data)
            while (parsed := parser.get_message()) is not None:
                self._take(Message(parsed.encode(raw=True).decode("latin-1")))

    def _take(self, message: Message) -> None:
        number = int(message[34])
        if message.type == "A":
            self._answer_logon()
        if message.type == "4" and message.get(123) != "Y":
            self._next_in = int(message[36])
        elif number > self._next_in:
            if not self._early:
                self._tell("2", [(7, str(self._next_in)), (16, "0")])
            self._early[number] = message
        elif number == self._next_in:
            self._work(message)
            while (waiting := self._early.pop(self._next_in, None)) is not None:
                self._work(waiting)
            self._early = {late: kept for late, kept in self._early.items() if late > self._next_in}
        # below: it was seen, and comes again with PossDupFlag(43)=Y

    def _answer_logon(self) -> None:
        if self._listener is not None:
            self._tell("A", self._logon())
        self.changed(True)

    def _work(self, message: Message) -> None:
        self._next_in = int(message[36]) if message.type == "4" else int(message[34]) + 1
        self.told(message.raw)
        if message.type == "1":
            self._tell("0", [(112, message[112])])
        elif message.type == "2":
            self._send_again(int(message[7]), int(message[16]))
        elif message.type == "5":
            if not self._away.is_set():
                self._tell("5", [])
            self._hang_up()
