"""Who talks to the gateway in the live part: two that send anything, and two that trade as if nothing were.

Each runs in a thread of its own. A fuzzer sends a handful of messages, then a TestRequest(1), and waits for its
answer: by then the gateway's engine has dealt with all of them, so those that were well framed and not lost in a gap
must be in the journal. The canary sends an order at a time and measures how long its acknowledgement takes.
"""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime

from benchlib.fixpeer import field as value_of
from fuzzlib.line import Gone, Line
from fuzzlib.mutate import Maker, body_of, framed, garbled

HANDFUL = (1, 16)
SOUND_SHARE, GARBLED_SHARE, UNRULY_SHARE = 0.15, 0.01, 0.0005
BARRIER_SECONDS = 30.0
ASK_AGAIN_SECONDS = 0.25
OWN_FAULT_SECONDS = 5.0  # a wrong BodyLength(9) makes any engine wait for the rest: the line is closed and opened
OPEN_SECONDS = 60.0
CANARY_PAUSE, CANARY_SECONDS = 0.05, 5.0
UNRULY = (
    (b"5", b""), (b"0", b""), (b"1", b""), (b"1", b"112=\xff\x01"), (b"2", b"7=1\x0116=0\x01"), (b"2", b"7=x\x01"),
    (b"2", b"7=999999\x0116=1\x01"), (b"4", b""), (b"4", b"36=1\x01"), (b"4", b"36=999999\x01123=Y\x01"),
    (b"4", b"36=9223372036854775808\x01"), (b"4", b"36=18446744073709551615\x01123=N\x01"), (b"4", b"36=-1\x01"),
    (b"A", b"98=0\x01108=0\x01"), (b"A", b"98=0\x01108=30\x01"), (b"A", b"141=Y\x0198=0\x01108=-5\x01"),
    (b"D", b"11=x\x01"), (b"8", b"43=Y\x01"), (b"3", b"45=18446744073709551616\x01"),
    (b"n", b"212=5\x01213=<x/>\x01"),
)  # fmt: skip
NUMBERS = (b"1", b"0", b"-1", b"x", b"\xc2\xb2", b"2147483648", b"9223372036854775808", b"1" * 5000, b"")


@dataclass(slots=True)
class Sent:
    """What a fuzzer sent, and what it must find in the journal: every message by its bytes."""

    messages: int = 0
    garbled: int = 0
    unruly: int = 0
    stalled: int = 0
    logons: int = 0
    due: Counter[bytes] = field(default_factory=Counter)
    answers: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)


class Fuzzer(threading.Thread):
    """Sends `number` messages, whatever becomes of the line."""

    def __init__(self, name: str, line: Line, maker: Maker, number: int, ends: float) -> None:
        super().__init__(name=f"fuzz-{name}", daemon=True)
        self.line, self.sent = line, Sent()
        self.ends = ends  # may be brought forward
        self._maker, self._number = maker, number
        self._chance = random.Random(maker.chance.random())
        self._asked = 0
        self._at_fault = False  # whether this connection had something after which an engine may well be silent

    def run(self) -> None:
        """Until all is sent, the time is over, or the gateway does not answer any more."""
        down_since = time.monotonic()
        while self.sent.messages < self._number and time.monotonic() < self.ends:
            try:
                self.line.open()
                self._at_fault = False
                down_since = time.monotonic()
                while self.sent.messages < self._number and time.monotonic() < self.ends:
                    self._handful()
                    down_since = time.monotonic()
            except Gone:
                pass
            except OSError as error:
                if time.monotonic() - down_since > OPEN_SECONDS:
                    self.sent.problems.append(f"{self.name}: no logon within {OPEN_SECONDS:.0f} s: {error}")
                    return
            except StopIteration:
                return
        self.line.log_out()
        self.sent.logons = self.line.logons

    def _handful(self) -> None:
        """Some messages in one write, then the barrier."""
        chance = self._chance
        count = min(chance.randint(*HANDFUL), self._number - self.sent.messages)
        made = [self._one() for _ in range(count)]
        self.sent.messages += count
        self.line.write(b"".join(raw for raw, _, _ in made))
        self._barrier()
        lost = self.line.gap_filled
        for raw, number, due in made:
            if due and not any(number in gap for gap in lost):
                self.sent.due[raw] += 1

    def _one(self) -> tuple[bytes, int, bool]:
        """A message, its number, and whether the journal must have it."""
        chance, maker = self._chance, self._maker
        roll = chance.random()
        if roll < UNRULY_SHARE:
            self.sent.unruly += 1
            self._at_fault = True
            return self._unruly(), 0, False
        fields = maker.sound() if roll < UNRULY_SHARE + SOUND_SHARE else maker.spoiled()
        while self._at_fault and fields[0][1] == b"3":
            # The engine takes a Reject(3) out of turn, and then never asks for the message that was lost before it.
            fields = maker.spoiled()
        if chance.random() < GARBLED_SHARE:
            self.sent.garbled += 1
            self._at_fault = True
            number = self.line.next_out  # it may get through with its number, or not
            return garbled(chance, self.line.message(fields[0][1], body_of(fields), number)), 0, False
        number = self.line.next_out
        return self.line.message(fields[0][1], body_of(fields)), number, True

    def _unruly(self) -> bytes:
        """A message of the session's own, or a header, that may well end the session."""
        chance, line = self._chance, self.line
        kind, body = chance.choice(UNRULY)
        if chance.random() < 0.5:
            return line.message(kind, body)
        number = chance.choice((*NUMBERS, b"%d" % (line.next_out + 5)))
        sender = chance.choice((line.sender, line.sender, b"NOBODY"))
        head = b"35=%s\x0134=%s\x0149=%s\x0156=OMS\x0152=20260302-13:00:00\x01" % (kind, number, sender)
        return framed(line.begin_string, head + body)

    def _barrier(self) -> None:
        """Until the gateway answers a TestRequest(1) sent now."""
        self._asked += 1
        token = b"T%d" % self._asked
        began = asked = time.monotonic()
        gaps = len(self.line.gap_filled)
        self.line.send(b"1", b"112=%s\x01" % token)
        while True:
            for message in self.line.read(ASK_AGAIN_SECONDS):
                kind = value_of(message, b"\x0135=")
                self.sent.answers[kind.decode("latin-1")] += 1
                if kind == b"8" or kind in b"DFG":
                    self._learn(kind, message)
                if kind == b"0" and value_of(message, b"\x01112=") == token:
                    return
            now = time.monotonic()
            if self._at_fault and now - began > OWN_FAULT_SECONDS:
                self.sent.stalled += 1
                raise Gone
            if now - began > BARRIER_SECONDS:
                self.sent.problems.append(f"{self.name}: no answer to a TestRequest(1) for {BARRIER_SECONDS:.0f} s")
                raise StopIteration
            if now - asked > ASK_AGAIN_SECONDS or len(self.line.gap_filled) > gaps:
                # The question was lost in the gap, or swallowed by what stood before it.
                asked, gaps = now, len(self.line.gap_filled)
                self.line.send(b"1", b"112=%s\x01" % token)

    def _learn(self, kind: bytes, message: bytes) -> None:
        """An order that came is one to report on."""
        if kind != b"8" and self._maker.from_broker:
            self._maker.ids.append(value_of(message, b"\x0111="))


class CanaryBroker(threading.Thread):
    """Fills every order it gets at once, so that none stays in anybody's memory."""

    def __init__(self, line: Line, fix42: bool) -> None:
        super().__init__(name="canary-broker", daemon=True)
        self.line, self.orders, self.problems = line, 0, list[str]()
        self.there = threading.Event()  # logged on, and heard of after that
        self._fix42 = fix42
        self._ending = threading.Event()

    def run(self) -> None:
        """Until `end`. A connection that was made and given up before this broker was there is none that is lost.

        Such a one has a Logon(A) to be read and takes one: only what comes after that shows that somebody is there.
        """
        began, there = time.monotonic(), self.there
        while not self._ending.is_set():
            try:
                self.line.open()
                self.line.send(b"1", b"112=there\x01")
                while not self._ending.is_set():
                    for message in self.line.read(0.2):
                        there.set()
                        if value_of(message, b"\x0135=") == b"D":
                            self._fill(message)
            except (Gone, OSError) as error:
                if there.is_set() and not self._ending.is_set():
                    self.problems.append(f"the canary broker lost its line: {type(error).__name__} {error}")
                if not there.is_set() and time.monotonic() - began > OPEN_SECONDS:
                    self.problems.append(f"no logon to the canary broker within {OPEN_SECONDS:.0f} s: {error}")
                    return
        self.line.log_out()

    def end(self) -> None:
        """Log out and end."""
        self._ending.set()
        self.join(10)

    def _fill(self, order: bytes) -> None:
        self.orders += 1
        cl_ord_id, qty = value_of(order, b"\x0111="), value_of(order, b"\x0138=")
        symbol, side = value_of(order, b"\x0155="), value_of(order, b"\x0154=")
        how = b"20=0\x01150=2\x01" if self._fix42 else b"150=F\x01"
        self.line.send(
            b"8",
            b"37=C%d\x0111=%s\x0117=C%d\x0139=2\x01%s55=%s\x0154=%s\x0138=%s\x01151=0\x0114=%s\x016=150\x0132=%s\x01"
            b"31=150\x01" % (self.orders, cl_ord_id, self.orders, how, symbol, side, qty, qty, qty),
        )


class Canary(threading.Thread):
    """An ordinary client, whose orders must be acknowledged in bounded time throughout."""

    def __init__(self, line: Line, symbol: bytes) -> None:
        super().__init__(name="canary", daemon=True)
        self.line, self._symbol = line, symbol
        self.seconds: list[float] = []
        self.problems: list[str] = []
        self._ending = threading.Event()

    def run(self) -> None:
        """Until `end`."""
        try:
            self.line.open()
            while not self._ending.wait(CANARY_PAUSE):
                self._trade()
        except (Gone, OSError) as error:
            self.problems.append(f"the canary lost its line: {type(error).__name__} {error}")
        self.line.log_out()

    def end(self) -> None:
        """Log out and end."""
        self._ending.set()
        self.join(15)

    def _trade(self) -> None:
        cl_ord_id = b"canary-%d" % len(self.seconds)
        now = datetime.now(UTC).strftime("%Y%m%d-%H:%M:%S").encode()
        began = time.monotonic()
        self.line.send(
            b"D",
            b"11=%s\x011=HOUSE\x0121=1\x0155=%s\x0154=1\x0160=%s\x0138=10\x0140=2\x0144=150\x0159=0\x01"
            % (cl_ord_id, self._symbol, now),
        )
        answer = b""
        while not answer and (left := began + CANARY_SECONDS - time.monotonic()) > 0:
            for message in self.line.read(left):
                if value_of(message, b"\x0111=") == cl_ord_id:
                    answer = message
        self.seconds.append(time.monotonic() - began)
        if not answer or value_of(answer, b"\x0139=") != b"2":
            text = answer.replace(b"\x01", b"|").decode("latin-1") or f"nothing within {CANARY_SECONDS:.0f} s"
            self.problems.append(f"canary order {cl_ord_id.decode()} got {text}")
