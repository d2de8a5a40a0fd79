"""QuickFIX's file store finds each message by blocks of its index, and gives what a plain dictionary would.

As published it keeps a place in memory for each message; `scripts/setuplib/store_edits.py` changes that. Blocks have
256 entries, so that what is told here is of many messages.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path
from typing import Any

import pytest
import quickfix as fix
from hypothesis import example, given, settings
from hypothesis import strategies as st

from oms.fix.store import mend_torn

NAME = "FIX.4.4-OMS-BROKER"
ALL = 10**6


class Kept:
    """A store on disk, and beside it what it has to give: numbers with texts in the order in which they were set."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.header = directory / f"{NAME}.header"
        self.entries: list[tuple[int, str]] = []
        self.next = 1
        self.open()

    def open(self) -> None:
        now, who = fix.UtcTimeStamp(), fix.SessionID("FIX.4.4", "OMS", "BROKER")
        self.store = fix.FileStore(now, str(self.directory), who)

    def set(self, count: int, first: int | None = None) -> None:
        """So many messages from a number on, each with a text of its own."""
        first = first or self.next
        for number in range(first, first + count):
            text = f"{len(self.entries)}:" + "x" * (number % 7)
            assert self.store.set(number, text)
            self.entries.append((number, text))
            self.next = number + 1

    def again(self, back: int, count: int) -> None:
        self.set(count, max(self.next - back, 1))

    def get(self, low: int, length: int) -> None:
        found = fix.VectorString()
        self.store.get(low, low + length, found)
        wanted = sorted(dict(self.entries).items())
        assert list(found) == [text for number, text in wanted if low <= number <= low + length]

    def reopen(self) -> None:
        del self.store  # it closes its files
        self.open()

    def refresh(self) -> None:
        self.store.refresh()

    def reset(self) -> None:
        self.store.reset(fix.UtcTimeStamp())
        self.entries, self.next = [], 1

    def torn(self, cut: int) -> None:
        """The last entry was written in part; a start mends that before it opens the store."""
        del self.store
        if self.entries:
            size = len(self.header.read_bytes().split()[-1]) + 1
            with self.header.open("r+b") as file:
                file.truncate(self.header.stat().st_size - min(cut, size))
            mend_torn(self.directory / NAME)
            self.entries.pop()
        self.open()


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("set"), st.integers(1, 600)),
        st.tuples(st.just("set"), st.integers(1, 5), st.integers(1, 2000)),
        st.tuples(st.just("again"), st.integers(1, 700), st.integers(1, 300)),
        st.tuples(st.just("get"), st.integers(0, 1500), st.integers(0, 700)),
        st.tuples(st.just("torn"), st.integers(1, 20)),
        st.sampled_from([("reopen",), ("refresh",), ("reset",)]),
    ),
    max_size=12,
)


@settings(max_examples=60, deadline=None)
@given(STEPS)
@example([("set", 600), ("get", 1, 600), ("set", 1), ("again", 300, 40), ("get", 250, 60), ("set", 300)])
@example([("set", 256), ("torn", 1), ("again", 10, 300), ("reopen",), ("get", 240, 9), ("set", 256)])
def test_whatever_is_set_and_opened_again_the_latest_of_each_number_comes(steps: list[tuple[Any, ...]]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        kept = Kept(Path(directory))
        for name, *numbers in steps:
            getattr(kept, name)(*numbers)
        kept.get(1, ALL)
        kept.reopen()
        kept.get(1, ALL)


def test_every_single_message_of_many_blocks_is_found(tmp_path: Path) -> None:
    kept = Kept(tmp_path)
    kept.set(1100)
    for number in range(1102):
        kept.get(number, 0)


def test_an_entry_without_its_blank_stays_what_it_was_while_the_store_is_open(tmp_path: Path) -> None:
    """What is written after it is its own by the file's text: such a block is asked from memory."""
    kept = Kept(tmp_path)
    kept.set(3)
    del kept.store
    kept.header.write_text(kept.header.read_text().rstrip())
    kept.open()
    kept.set(600)
    kept.get(1, ALL)


@pytest.mark.parametrize("after", ["x 9,0,1 ", "9 ", "9,", "9,0", "9,x,1 ", "9 ,0,1 ", "-,0,1 ", "\0"])
def test_of_an_index_that_is_spoiled_what_comes_before_is_known_and_what_is_set_later(
    tmp_path: Path, after: str
) -> None:
    kept = Kept(tmp_path)
    kept.set(300)
    del kept.store
    with kept.header.open("a") as file:
        file.write(after)
    kept.open()
    kept.get(1, ALL)
    kept.set(300)
    kept.get(1, ALL)


def test_an_index_may_have_any_blanks_and_signs(tmp_path: Path) -> None:
    kept = Kept(tmp_path)
    kept.set(2)
    del kept.store
    first, second = kept.header.read_text().split()
    kept.header.write_text(f"\n {first}\t\t+{second.replace(',', ', +')}" + " " * 40_000 + "\n")
    kept.open()
    kept.get(1, ALL)
    kept.set(300)
    kept.get(1, ALL)


def test_an_index_that_lost_its_entries_while_it_was_open_is_an_error_and_no_gap(tmp_path: Path) -> None:
    kept = Kept(tmp_path)
    kept.set(300)
    kept.header.write_bytes(b"")
    with pytest.raises(fix.IOException, match="Unable to read from file"):
        kept.get(1, ALL)


def run(script: str, directory: Path) -> str:
    """What a script with a store prints, in a process of its own."""
    command = [sys.executable, "-c", textwrap.dedent(script), str(directory)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


OPEN = """
    import resource, signal, sys
    import psutil
    import quickfix as fix
    store = fix.FileStore(fix.UtcTimeStamp(), sys.argv[1], fix.SessionID("FIX.4.4", "OMS", "BROKER"))
"""


def test_a_message_whose_entry_had_no_room_comes_as_long_as_the_store_is_open(tmp_path: Path) -> None:
    script = """
    for number in range(1, 301):
        store.set(number, "a")
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2800, resource.RLIM_INFINITY))
    try:
        for number in range(301, 401):
            store.set(number, "b")
    except fix.IOException as error:
        print(number, str(error).split(" /")[0])
    try:
        store.set(number, "c")
    except fix.IOException as error:
        print(number, str(error).split(" /")[0])
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    for other in range(number + 1, 900):
        store.set(other, "d")
    found = fix.VectorString()
    store.get(1, 1000, found)
    print("".join(found) == "a" * 300 + "b" * (number - 301) + "c" + "d" * (899 - number))
    """
    *refused, whole = run(OPEN + script, tmp_path).splitlines()
    assert refused == ["302 IO Error: Unable to flush file"] * 2
    assert whole == "True"


def test_memory_does_not_grow_with_the_messages_sent(tmp_path: Path) -> None:
    script = """
    def fill(begin, end):
        for number in range(begin, end):
            store.set(number, "text")
        return psutil.Process().memory_info().rss
    before = fill(1, 2000)
    print((fill(2000, 102_000) - before) / 100_000)
    """
    assert float(run(OPEN + script, tmp_path)) < 8
