"""The counterparties, each single-threaded: broker and flooding client as processes, steady clients for the caller.

The broker fills orders of FILLED_QTY at once, lets those of RESTING_QTY rest, and grants every cancel. The flooder
places some orders that rest, waits for its cue, then offers more than the gateway can take while it cancels those one
by one; what the socket does not take is not made, but counted as held back. Times are of time.monotonic.
"""

from __future__ import annotations

import select
import socket
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from multiprocessing.connection import Connection

from benchlib.fixpeer import FixPeer, LoadError
from benchlib.fixpeer import field as value_of
from overloadlib.house import ACCOUNT, BROKER, FLOOD, GATEWAY, PRICE, SYMBOL

FILLED_QTY, RESTING_QTY = 10, 100
MOST_UNWRITTEN = 1 << 16
SEND_BUFFER = 1 << 15
LOGON_SECONDS = 60.0
CANCELS_A_SECOND, PLACED_A_SECOND = 10, 50
BY_A_RATE = ("max_order_rate:", "throttle:")


class Peer(FixPeer):
    """A session end that sees cancels and their rejects too."""

    application = frozenset((b"D", b"F", b"H", b"8", b"9"))


@dataclass(slots=True)
class Tally:
    """What one client sent and what became of it. Latencies are pairs: when sent, seconds until the answer."""

    orders: int = 0
    cancels: int = 0
    held_back: int = 0
    accepted: int = 0
    filled: int = 0
    throttled: int = 0
    cancelled: int = 0
    unanswered: int = 0
    order_seconds: list[tuple[float, float]] = field(default_factory=list)
    cancel_seconds: list[tuple[float, float]] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)
    texts: Counter[str] = field(default_factory=Counter)


class Client:
    """A client's session and its tally. `on_resting`: called with the ClOrdID(11) of an order that rests."""

    def __init__(self, name: str, port: int, on_resting: Callable[[bytes], None] = lambda cl_ord_id: None) -> None:
        self.peer, self.tally = Peer(name, name, GATEWAY), Tally()
        self._name, self._port, self._on_resting = name.encode(), port, on_resting
        self._number = 0
        self.waiting: dict[bytes, tuple[float, bool]] = {}  # ClOrdID(11) -> when it was sent, whether it is a cancel
        now = datetime.now(UTC).strftime("%Y%m%d-%H:%M:%S")
        self._order = (
            f"11=%s\x011={ACCOUNT}\x0121=1\x0138=%d\x0140=2\x0144={PRICE}\x0154=1\x0155={SYMBOL}\x0159=0\x0160={now}\x01"
        ).encode()
        self._cancel = f"11=%s\x0141=%s\x0138=%d\x0154=1\x0155={SYMBOL}\x0160={now}\x01".encode()

    def log_on(self) -> None:
        """Connect and log on. LoadError, OSError where that fails."""
        made = socket.create_connection(("127.0.0.1", self._port), timeout=LOGON_SECONDS)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        self.peer.attach(made)
        self.peer.log_on()
        turn_until([self], lambda: self.peer.logged_on, LOGON_SECONDS, f"{self.peer.name} got no Logon(A)")

    def order(self, qty: int) -> None:
        """Queue a new order."""
        cl_ord_id = self._next_id()
        self.waiting[cl_ord_id] = (time.monotonic(), False)
        self.peer.queue(b"D", self._order % (cl_ord_id, qty))
        self.tally.orders += 1

    def cancel(self, order: bytes) -> None:
        """Queue a cancel."""
        cl_ord_id = self._next_id()
        self.waiting[cl_ord_id] = (time.monotonic(), True)
        self.peer.queue(b"F", self._cancel % (cl_ord_id, order, RESTING_QTY))
        self.tally.cancels += 1

    def _next_id(self) -> bytes:
        self._number += 1
        return b"%s-%d" % (self._name, self._number)

    def serve(self) -> None:
        """Take what has come."""
        for message in self.peer.receive():
            self._answer(message, time.monotonic())

    def _answer(self, message: bytes, now: float) -> None:
        tally, cl_ord_id = self.tally, value_of(message, b"\x0111=")
        status = value_of(message, b"\x0139=")
        if value_of(message, b"\x0135=") == b"9":
            self.waiting.pop(cl_ord_id, None)
            tally.refused[value_of(message, b"\x0158=").decode("latin-1")] += 1
            return
        if status not in (b"0", b"2", b"4", b"8"):
            return  # only on its way
        sent, _ = self.waiting.pop(cl_ord_id, (0.0, False))
        if not sent:
            tally.refused[f"a second answer to {cl_ord_id.decode()}"] += 1
        elif status == b"4":
            tally.cancelled += 1
            tally.cancel_seconds.append((sent, now - sent))
        elif status == b"8":
            text = value_of(message, b"\x0158=").decode("latin-1")
            throttled = text.startswith(BY_A_RATE)
            tally.throttled += throttled
            (tally.texts if throttled else tally.refused)[text[:200]] += 1
        else:
            tally.accepted += 1
            tally.filled += status == b"2"
            tally.order_seconds.append((sent, now - sent))
            if status == b"0":
                self._on_resting(cl_ord_id)

    def close(self) -> Tally:
        """Log off; the tally."""
        self.tally.unanswered = len(self.waiting)
        self.peer.log_off()
        return self.tally


def turn(clients: list[Client], seconds: float) -> None:
    """One round: write, wait for any socket, take what came, write."""
    by_socket = {one.peer.socket: one for one in clients if one.peer.socket is not None}
    writers = [one.peer.socket for one in clients if one.peer.flush() and one.peer.socket is not None]
    ready, _, _ = select.select(list(by_socket), writers, [], max(seconds, 0))
    for one in ready:
        by_socket[one].serve()
    for client in clients:
        client.peer.heartbeat_when_due()
        client.peer.flush()


def turn_until(clients: list[Client], reached: Callable[[], bool], seconds: float, otherwise: str) -> None:
    """Rounds until something is so. LoadError with `otherwise` after `seconds`."""
    deadline = time.monotonic() + seconds
    while not reached():
        if time.monotonic() > deadline:
            raise LoadError(otherwise)
        turn(clients, 0.02)


# --- processes ----------------------------------------------------------------------------------------------


def flood(port: int, seconds: float, rate: int, drain_seconds: float, line: Connection) -> None:
    """The flooding client. Tells `line` when it is ready, waits for its word, floods, and tells its tally."""
    try:
        line.send(_flood(port, seconds, rate, drain_seconds, line))
    except (LoadError, OSError) as error:
        line.send(f"{FLOOD}: {error}")


def _flood(port: int, seconds: float, rate: int, drain_seconds: float, line: Connection) -> Tally:
    resting: list[bytes] = []
    client = Client(FLOOD, port, resting.append)
    client.log_on()
    wanted = int(seconds * CANCELS_A_SECOND)
    began = time.monotonic()
    while client.tally.orders < wanted:
        if client.tally.orders < (time.monotonic() - began) * PLACED_A_SECOND:
            client.order(RESTING_QTY)
        turn([client], 0.005)
    turn_until([client], lambda: not client.waiting, drain_seconds, "the orders before the burst were not answered")
    line.send("ready")
    turn_until([client], line.poll, LOGON_SECONDS * 60, "no cue")
    line.recv()
    began, offered, cancelled = time.monotonic(), 0, 0
    while (since := time.monotonic() - began) < seconds:
        if resting and cancelled < since * CANCELS_A_SECOND:
            client.cancel(resting.pop())
            cancelled += 1
        for _ in range(min(int(since * rate) - offered, 200)):
            offered += 1
            if client.peer.unwritten < MOST_UNWRITTEN:
                client.order(FILLED_QTY)
            else:
                client.tally.held_back += 1
        turn([client], 0.002)
    client.tally.held_back += max(int(seconds * rate) - offered, 0)
    while resting:
        client.cancel(resting.pop())
    deadline = time.monotonic() + drain_seconds
    while client.waiting and time.monotonic() < deadline:
        turn([client], 0.02)
    return client.close()


def market(port: int, line: Connection) -> None:
    """The broker: answers until `line` says otherwise, then tells how many orders and cancels it got."""
    try:
        with socket.create_server(("127.0.0.1", port)) as listener:
            line.send("ready")
            listener.settimeout(LOGON_SECONDS * 3)
            peer = Peer(BROKER, BROKER, GATEWAY)
            peer.attach(listener.accept()[0])
            line.send(_market(peer, line))
    except (LoadError, OSError) as error:
        line.send(f"{BROKER}: {error}")


def _market(peer: Peer, line: Connection) -> Counter[str]:
    got: Counter[str] = Counter()
    resting: set[bytes] = set()
    answered = False
    while not line.poll():
        if (line_to := peer.socket) is None:
            break
        select.select([line_to], [line_to] if peer.flush() else [], [], 0.05)
        for message in peer.receive():
            got[_report(peer, message, got.total(), resting)] += 1
        if peer.logged_on and not answered:
            answered = True
            peer.log_on()
            peer.ask()
        if peer.answered:
            peer.answered = False
            line.send("answered")
        peer.heartbeat_when_due()
    peer.log_off()
    return got


def _report(peer: Peer, message: bytes, number: int, resting: set[bytes]) -> str:
    cl_ord_id, qty = value_of(message, b"\x0111="), int(value_of(message, b"\x0138=") or 0)
    common = b"17=e%d\x0137=b%s\x0111=%s\x0154=1\x0155=%s\x0138=%d\x01"
    symbol, price = SYMBOL.encode(), PRICE.encode()
    msg_type = value_of(message, b"\x0135=")
    if msg_type == b"H":  # of an order whose answer is late, for the gateway
        state = b"39=0\x0114=0\x01151=%d\x016=0\x01" if cl_ord_id in resting else b""
        if state:
            head = common % (number, cl_ord_id, cl_ord_id, symbol, RESTING_QTY)
            peer.queue(b"8", head + b"150=I\x01" + state % RESTING_QTY)
        return "asked"
    if msg_type == b"F":
        original = value_of(message, b"\x0141=")
        resting.discard(original)
        head = common % (number, original, cl_ord_id, symbol, RESTING_QTY)
        peer.queue(b"8", head + b"41=%s\x01150=4\x0139=4\x0114=0\x01151=0\x016=0\x01" % original)
        return "cancels"
    head = common % (number, cl_ord_id, cl_ord_id, symbol, qty)
    if qty == RESTING_QTY:
        resting.add(cl_ord_id)
        peer.queue(b"8", head + b"150=0\x0139=0\x0114=0\x01151=%d\x016=0\x01" % qty)
    else:
        filled = b"150=F\x0139=2\x0114=%d\x01151=0\x016=%s\x0132=%d\x0131=%s\x01" % (qty, price, qty, price)
        peer.queue(b"8", head + filled)
    return "orders"
