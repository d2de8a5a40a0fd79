"""FIX 4.4 load generator: one client and one broker in one single-threaded process of its own.

The client (initiator) sends NewOrderSingle(D); the broker (acceptor) answers each with New and a full fill. One
clock sees both ends, so a latency is one subtraction. At the broker an order is known by Text(58), which every
system must pass on, since ClOrdID(11) may be replaced; at the client a report is known by the client's ClOrdID(11).

JSON lines: one command on stdin (``connect``, ``window``, ``rate``, ``stop``), one answer on stdout. Whatever a
healthy system would not do (a lost, repeated or rejected order, a fill before its New) ends the run with a
message. Every phase is bounded in time, and the end of stdin ends the process.
"""

from __future__ import annotations

import argparse
import gc
import json
import select
import socket
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

from benchlib.fixpeer import FixPeer, LoadError, field, readable

STALL_SECONDS = 30.0
# In throughput phases what came in two milliseconds is read at once, so that the generator leaves the machine free.
COALESCE_SECONDS = 0.002
CLIENT, BROKER, SYSTEM = "CLIENT", "BROKER", "GATEWAY"  # CompIDs; the system uses one towards both
ACCOUNT, SYMBOL, PRICE = "ACC1", "TEST", "10.50"

ORDER = (
    "11=c%08d\x011={account}\x0121=1\x0138=100\x0140=2\x0144={price}\x0154=1\x0155={symbol}\x0158=c%08d\x01"
    "59=0\x0160={now}\x01"
)
NEW = "6=0\x0111=%s\x0114=0\x0117=n%d\x0137=b%d\x0138=100\x0139=0\x0154=1\x0155={symbol}\x01150=0\x01151=100\x01"
FILL = (
    "6={price}\x0111=%s\x0114=100\x0117=f%d\x0131={price}\x0132=100\x0137=b%d\x0138=100\x0139=2\x0154=1\x01"
    "55={symbol}\x01150=F\x01151=0\x01"
)


def template(text: str) -> bytes:
    """A message body whose constants are filled in."""
    now = datetime.now(UTC).strftime("%Y%m%d-%H:%M:%S.000")
    return text.format(account=ACCOUNT, symbol=SYMBOL, price=PRICE, now=now).encode()


class LoadGenerator:
    """The client and the broker of one run. ``orders`` is the most that all phases together may send."""

    def __init__(self, broker_port: int, orders: int) -> None:
        self.client = FixPeer("client", CLIENT, SYSTEM)
        self.broker = FixPeer("broker", BROKER, SYSTEM)
        self._listener = socket.create_server(("127.0.0.1", broker_port))
        self._order, self._new, self._fill = template(ORDER), template(NEW), template(FILL)
        self._issued = 0
        self._filled = 0
        # One slot per order, nanoseconds of one monotonic clock; 0 is "not yet".
        self._order_sent, self._order_reached, self._fill_sent, self._fill_reached = ([0] * orders for _ in range(4))
        self._news = bytearray(orders)

    def connect(self, client_port: int, seconds: float) -> None:
        """Log both sessions on within ``seconds``. Raises LoadError."""
        deadline = time.monotonic() + seconds
        self._listener.settimeout(seconds)
        try:
            self.broker.attach(self._listener.accept()[0])
        except TimeoutError as late:
            raise LoadError(f"the system under test did not connect to the broker within {seconds:.0f} s") from late
        self._until_logged_on(self.broker, deadline)
        self.broker.log_on()
        # The gateway refuses orders for a broker that is not logged on, so wait until it says that it is.
        self.broker.ask()
        self._until(lambda: self.broker.answered, "the broker got no answer to its TestRequest(1)", deadline)
        self.client.attach(self._reach(client_port, deadline))
        self.client.log_on()
        self._until_logged_on(self.client, deadline)

    def _reach(self, client_port: int, deadline: float) -> socket.socket:
        while True:
            try:
                return socket.create_connection(("127.0.0.1", client_port), timeout=1.0)
            except OSError as refused:
                if time.monotonic() > deadline:
                    raise LoadError(f"nothing accepts on the client port {client_port}: {refused}") from refused
            self.turn(0.05)

    def _until_logged_on(self, peer: FixPeer, deadline: float) -> None:
        self._until(lambda: peer.logged_on, f"the {peer.name} got no Logon(A)", deadline)

    def _until(self, reached: Callable[[], bool], otherwise: str, deadline: float) -> None:
        while not reached():
            if time.monotonic() > deadline:
                raise LoadError(otherwise)
            self.turn(0.05)

    def turn(self, wait_seconds: float) -> None:
        """One round: write what is queued, wait for either socket, handle what arrived, write again."""
        client, broker = self.client, self.broker
        readers = [peer.socket for peer in (client, broker) if peer.socket is not None]
        writers = [peer.socket for peer in (client, broker) if peer.flush() and peer.socket is not None]
        ready = select.select(readers, writers, [], wait_seconds)[0]
        for readable_socket in ready:
            if readable_socket is broker.socket:
                self._serve_broker(broker.receive())
            else:
                self._serve_client(client.receive())
        if not ready:
            client.heartbeat_when_due()
            broker.heartbeat_when_due()
        client.flush()
        broker.flush()

    def _send_order(self) -> None:
        number = self._issued
        self._issued = number + 1
        self._order_sent[number] = time.perf_counter_ns()
        self.client.queue(b"D", self._order % (number, number))

    def _serve_broker(self, messages: list[bytes]) -> None:
        now = time.perf_counter_ns()
        for message in messages:
            text = field(message, b"\x0158=c")
            if not text or self._order_reached[int(text)]:
                raise LoadError(f"order without its Text(58), or twice, at the broker: {readable(message)}")
            number = int(text)
            self._order_reached[number] = now
            order_id = field(message, b"\x0111=")
            self.broker.queue(b"8", self._new % (order_id, number, number))
            self.broker.queue(b"8", self._fill % (order_id, number, number))
            self._fill_sent[number] = time.perf_counter_ns()

    def _serve_client(self, messages: list[bytes]) -> None:
        now = time.perf_counter_ns()
        for message in messages:
            number = int(field(message, b"\x0111=c") or -1)
            exec_type = field(message, b"\x01150=")
            if number < 0 or exec_type not in (b"0", b"F"):
                raise LoadError(f"unexpected report at the client: {readable(message)}")
            if exec_type == b"0":
                self._news[number] += 1
                continue
            if self._fill_reached[number] or self._news[number] != 1:
                raise LoadError(f"fill twice, or without one New before it, at the client: {readable(message)}")
            self._fill_reached[number] = now
            self._filled += 1

    def run_window(self, orders: int, window: int) -> dict[str, float]:
        """Send ``orders`` with at most ``window`` unfilled at any time. Returns the phase's figures."""
        first, end, filled_before = self._issued, self._issued + orders, self._filled
        started = last_progress = time.perf_counter()
        while (done := self._filled - filled_before) < orders:
            before = self._filled
            while self._issued < end and self._issued - first - done < window:
                self._send_order()
            self.turn(1.0)
            if window > 1:
                select.select([], [], [], COALESCE_SECONDS)
            if self._filled != before:
                last_progress = time.perf_counter()
            elif time.perf_counter() - last_progress > STALL_SECONDS:
                raise LoadError(f"no fill for {STALL_SECONDS:.0f} s, after {done} of {orders} orders")
        return self._figures(first, end, time.perf_counter() - started)

    def run_rate(self, orders: int, per_second: float) -> dict[str, float]:
        """Send ``orders`` on a fixed timetable, whatever the system does. Returns the phase's figures."""
        first, end, filled_before = self._issued, self._issued + orders, self._filled
        started = time.perf_counter()
        give_up = started + orders / per_second + STALL_SECONDS
        latest = 0.0
        while self._filled - filled_before < orders:
            now = time.perf_counter()
            if now > give_up:
                raise LoadError(f"{self._filled - filled_before} of {orders} orders filled in the time allowed")
            due = started + (self._issued - first) / per_second
            while self._issued < end and due <= now:
                latest = max(latest, now - due)
                self._send_order()
                due += 1.0 / per_second
            self.turn(max(0.0, due - time.perf_counter()) if self._issued < end else 0.5)
        figures = self._figures(first, end, time.perf_counter() - started)
        return figures | {"latest_send_ms": round(latest * 1e3, 3)}

    def _figures(self, first: int, end: int, seconds: float) -> dict[str, float]:
        figures = {
            "orders": end - first,
            "seconds": round(seconds, 4),
            "orders_per_second": round((end - first) / seconds, 1),
        }
        for name, sent, reached in (
            ("order_to_broker", self._order_sent, self._order_reached),
            ("report_to_client", self._fill_sent, self._fill_reached),
        ):
            waits = sorted(reached[number] - sent[number] for number in range(first, end))
            for percent in (50, 99):
                wait = waits[min(len(waits) - 1, len(waits) * percent // 100)]
                figures[f"{name}_p{percent}_ms"] = round(wait / 1e6, 4)
            figures[f"{name}_max_ms"] = round(waits[-1] / 1e6, 4)
        return figures


def commands(generator: LoadGenerator) -> Iterator[dict[str, Any]]:
    """Commands from stdin until its end; the sessions stay alive between them."""
    while True:
        if select.select([sys.stdin], [], [], 0.2)[0]:
            line = sys.stdin.readline()
            if not line:
                return
            yield json.loads(line)
        else:
            generator.turn(0.0)


def carry_out(generator: LoadGenerator, command: dict[str, Any]) -> dict[str, float]:
    """One command; returns its answer."""
    match command["do"]:
        case "connect":
            generator.connect(int(command["client_port"]), float(command["seconds"]))
            return {}
        case "window":
            return generator.run_window(int(command["orders"]), int(command["window"]))
        case "rate":
            return generator.run_rate(int(command["orders"]), float(command["per_second"]))
        case _:
            generator.client.log_off()
            generator.broker.log_off()
            return {}


def answer(content: dict[str, Any]) -> None:
    """One JSON line on stdout."""
    sys.stdout.write(json.dumps(content) + "\n")
    sys.stdout.flush()


def main() -> int:
    """Run until told to stop; 1 where the system under test spoiled the measurement."""
    parser = argparse.ArgumentParser(description="FIX 4.4 load generator, driven by JSON lines on stdin.")
    parser.add_argument("--broker-port", type=int, required=True)
    parser.add_argument("--orders", type=int, required=True, help="the most that all phases together send")
    options = parser.parse_args()
    generator = LoadGenerator(options.broker_port, options.orders)
    gc.freeze()
    gc.disable()
    answer({"listening": options.broker_port})
    try:
        for command in commands(generator):
            cpu_before = time.process_time()
            figures = carry_out(generator, command)
            answer(figures | {"generator_cpu_seconds": round(time.process_time() - cpu_before, 4)})
    except (LoadError, OSError) as problem:
        answer({"error": str(problem)})
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
