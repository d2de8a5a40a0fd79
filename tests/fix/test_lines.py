"""A line is stalled when it is full and nothing leaves it for the whole time; one that is read slowly is not."""

from __future__ import annotations

import select
import socket
from collections.abc import Iterator
from contextlib import closing, suppress

import pytest

from oms.fix.lines import LineWatch, cut, unsent


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Our end and a counterparty's, of a line with small buffers."""
    with closing(socket.socket()) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        there = socket.socket()
        there.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        there.connect(listener.getsockname())
        here, _ = listener.accept()
    with here, there:
        yield here, there


def fill(here: socket.socket) -> None:
    """Send until nothing more is taken, also not a moment later."""
    here.setblocking(False)
    while select.select([], [here], [], 0.1)[1]:
        with suppress(BlockingIOError):
            here.send(bytes(4096))


def test_a_full_line_that_nobody_reads_is_stalled_after_the_time_and_not_before(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    here, _ = ends
    watch = LineWatch([here.getsockname()[1]], [], 10)
    assert watch.stalled(0) == []
    fill(here)
    assert watch.stalled(1) == []
    assert watch.stalled(10.9) == []
    assert [line.descriptor for line in watch.stalled(11)] == [here.fileno()]


def test_a_line_that_is_not_full_is_never_stalled(ends: tuple[socket.socket, socket.socket]) -> None:
    here, _ = ends
    here.send(b"8=FIX.4.4")
    watch = LineWatch([here.getsockname()[1]], [], 1)
    assert [watch.stalled(float(now)) for now in range(5)] == [[]] * 5


def test_a_line_from_which_somebody_reads_now_and_then_is_not_stalled(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    here, there = ends
    watch = LineWatch([here.getsockname()[1]], [], 2)
    fill(here)
    assert watch.stalled(0) == []
    for now in range(1, 6):
        waiting = unsent(here.fileno())
        assert waiting is not None
        while unsent(here.fileno()) == waiting:
            there.recv(2048)
        assert watch.stalled(float(now)) == []
        fill(here)


def test_only_lines_of_the_sessions_ports_are_looked_at(ends: tuple[socket.socket, socket.socket]) -> None:
    here, _ = ends
    watch = LineWatch([1], [2], 1)
    fill(here)
    watch.stalled(0)
    assert watch.stalled(10) == []


def test_a_line_that_is_cut_ends_for_both_and_one_that_is_gone_is_left_alone(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    here, there = ends
    watch = LineWatch([here.getsockname()[1]], [], 1)
    fill(here)
    watch.stalled(0)
    (line,) = watch.stalled(2)
    assert cut(line)
    with pytest.raises(BrokenPipeError):
        here.send(b"8=FIX.4.4")
    there.settimeout(5)
    while there.recv(65536):
        pass
    assert not cut(line._replace(there=("127.0.0.1", 1)))
