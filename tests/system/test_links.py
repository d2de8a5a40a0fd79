"""The relays of storm and matrix do to a line what they say, and forget one that has ended by itself."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

import pytest

from stormlib.links import Link
from tests.system.house import free_ports, until


class Carried(NamedTuple):
    """A relay and both ends of a connection through it."""

    link: Link
    caller: socket.socket
    target: socket.socket


@pytest.fixture
def carried() -> Iterator[Carried]:
    (port,) = free_ports(1)
    with socket.create_server(("127.0.0.1", 0)) as server:
        link = Link(port, server.getsockname()[1])
        with socket.create_connection(("127.0.0.1", port), timeout=10) as caller:
            target, _ = server.accept()
            target.settimeout(10)
            with target:
                caller.sendall(b"8=FIX")
                assert target.recv(100) == b"8=FIX"
                yield Carried(link, caller, target)
        link.close()


def test_half_of_what_comes_next_arrives_and_then_the_line_is_cut(carried: Carried) -> None:
    link, caller, target = carried
    link.cut_within()
    assert link.doomed == 1
    target.sendall(b"0123456789")
    assert caller.recv(100) == b"01234"
    with suppress(ConnectionResetError):  # or an end, where that comes first
        assert caller.recv(100) == b""
    until(lambda: link.doomed == 0, "the connection is forgotten")
    assert (link.cut(), link.carried) == (0, {"plain": 1})


def test_a_line_that_has_ended_by_itself_is_not_waited_for(carried: Carried) -> None:
    link, caller, target = carried
    caller.shutdown(socket.SHUT_WR)
    assert target.recv(100) == b""
    target.sendall(b"the last word")
    target.close()
    assert (caller.recv(100), caller.recv(100)) == (b"the last word", b"")
    until(lambda: not link._open, "the connection is forgotten")
    link.cut_within()
    assert link.doomed == 0
