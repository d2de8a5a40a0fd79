"""The barrier: asked at the last moment before an order or a replace leaves, by every sender, without a lock.

It stands beside the core, not behind it: an engaged kill switch stops what is already decided and committed, and
it does so while the inbox is full, a session is stuck or the ledger is gone. Kills are kept in a file of the state
directory, written and synced before they count as engaged, so that they hold over a restart without the ledger.

Threads: `why_not` from senders and engine threads; `engage` and `release` from the control socket's threads.
"""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

from oms.core.book import Book
from oms.core.kill import Kill
from oms.core.order import Child, Order
from oms.errors import OperatorError

_PLAIN = 4  # parts of a kill that is not reduce-only in the file


class Barrier:
    """Trading on or off, and the kills in force."""

    def __init__(self, trading: bool, book: Book, file: Path) -> None:
        self._trading = trading
        self._book = book
        self._file = file
        self._writing = threading.Lock()
        self.kills: tuple[Kill, ...] = _read(file)  # replaced as a whole, never changed

    @property
    def trading(self) -> bool:
        """Whether new orders may leave at all."""
        return self._trading and not any(not kill.scope for kill in self.kills)

    def why_not(self, cl_ord_id: str = "") -> str:
        """Why a new order or replace with this ClOrdID(11) of ours must not leave; '' where it may.

        Reads the core's book from another thread, which is safe; what it does not find is stopped by a kill of any
        scope, because what cannot be checked is refused.
        """
        if not self._trading:
            return "trading is off"
        kills = self.kills
        if not kills:
            return ""
        found = self._book.by_broker_id.get(cl_ord_id)
        if found is None:
            return f"kill switch {kills[0].kill_id} is engaged"
        order = found[0]
        seq = _decided(*found, cl_ord_id)
        kill = next((kill for kill in kills if not _judged_by(kill, seq) and kill.covers_order(order)), None)
        return "" if kill is None else f"kill switch {kill.kill_id} is engaged for {kill.text}"

    def engage(self, kill: Kill) -> None:
        """In force when this returns. Raises OperatorError where it cannot be kept; it is in force all the same."""
        with self._writing:
            self.kills = (*self.kills, kill)
            self._write()

    def judged_from(self, kill_id: str, seq: int) -> None:
        """From this journal row on the core has judged by a kill: one that is reduce-only lets those decisions pass.

        Raises OperatorError where the file cannot be written: it stops everything in scope until the next start.
        """
        with self._writing:
            if any(kill.reduce_only and kill.kill_id == kill_id for kill in self.kills):
                known = [kill._replace(since=seq) if kill.kill_id == kill_id else kill for kill in self.kills]
                self.kills = tuple(known)
                self._write()

    def release(self, kill_id: str) -> None:
        """No longer in force. Raises OperatorError where the file cannot be written: then it stays in force."""
        with self._writing:
            before = self.kills
            self.kills = tuple(kill for kill in before if kill.kill_id != kill_id)
            try:
                self._write()
            except OperatorError:
                self.kills = before
                raise

    def _write(self) -> None:
        text = json.dumps([kill if kill.reduce_only else kill[:_PLAIN] for kill in self.kills])
        made = self._file.with_suffix(".new")
        try:
            with made.open("w", encoding="utf-8") as file:
                file.write(text + "\n")
                file.flush()
                os.fsync(file.fileno())
            made.replace(self._file)
            directory = os.open(self._file.parent, os.O_RDONLY)
            try:
                os.fsync(directory)
            finally:
                os.close(directory)
        except OSError as error:
            raise OperatorError(
                f"{self._file} cannot be written: {error}; the kill switches in force now hold until the process ends"
            ) from error


def _decided(order: Order, child: Child, cl_ord_id: str) -> int:
    """The journal row of the request that has this ClOrdID(11), or of the order itself."""
    request = order.request_by_broker_id(cl_ord_id)
    return child.sent_seq if request is None else request.seq


def _judged_by(kill: Kill, seq: int) -> bool:
    """Whether what was decided in this row was let through by a kill that is reduce-only."""
    return kill.reduce_only and 0 < kill.since < seq


def _read(file: Path) -> tuple[Kill, ...]:
    """The kills of an earlier run. Raises OperatorError where the file is there and cannot be understood."""
    if not file.exists():
        return ()
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        return tuple(
            Kill(name, tuple((part, pattern) for part, pattern in scope), *rest) for name, scope, *rest in found
        )
    except (OSError, ValueError, TypeError, IndexError) as error:
        raise OperatorError(
            f"{file} holds the kill switches in force and cannot be read: {error}; look at it, and remove it only if"
            " none is meant to be engaged"
        ) from error
