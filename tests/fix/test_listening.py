"""A port off which nobody takes connections is found, although the system completes them."""

from __future__ import annotations

import socket
import threading
from time import monotonic

from oms.fix.listening import ListenWatch


def test_a_port_whose_thread_is_dead_is_silent_until_connections_are_taken_again() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        accepted: dict[int, float] = {}
        watch = ListenWatch([port, port], lambda: accepted, patience=0.1)
        watch.look()
        assert (watch.ports, list(watch.silent)) == ([port], [port])
        since = watch.silent[port]
        watch.look()
        assert watch.silent == {port: since}

        def take() -> None:
            for _ in range(3):  # two are left from before
                line, _ = listening.accept()
                line.close()
            accepted[port] = monotonic()

        thread = threading.Thread(target=take)
        thread.start()
        slower = ListenWatch([port], lambda: accepted, patience=5.0)
        slower.silent = dict(watch.silent)
        slower.look()
        thread.join()
        assert slower.silent == {}


def test_a_port_that_is_closed_is_silent_but_not_while_the_gateway_stops() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    for stopping in (False, True):
        watch = ListenWatch([port], dict, patience=0.1, stopping=lambda: stopping)  # noqa: B023
        watch.look()
        assert list(watch.silent) == ([] if stopping else [port])
