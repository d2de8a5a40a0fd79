"""The barrier: asked at the last moment before an order or a replace leaves, by every sender, without a lock.

It stands beside the core, not behind it: an engaged kill switch stops what is already decided and committed, and
it does so while the inbox is full, a session is stuck or the ledger is gone. Kills are kept in a file of the state
directory, written and synced before they count as engaged, so that they hold over a restart without the ledger.
Trading switched off stops the same way (`oms.ops.trading` keeps it over a restart); replaces that add no risk pass.

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
from oms.core.trading import takes_risk_away
from oms.errors import OperatorError

_PLAIN = 4  # parts of a kill that is not reduce-only in the file


class Barrier:
    """Trading on or off, and the kills in force."""

    def __init__(self, trading: bool, book: Book, file: Path) -> None:
        self.switched_on = trading  # by `oms.ops.trading`; read without a lock
        self._book = book
        self._file = file
        self._writing = threading.Lock()
        self.kills: tuple[Kill, ...] = _read(file)  # replaced as a whole, never changed

    @property
    def trading(self) -> bool:
        """Whether new orders may leave at all."""
        return self.switched_on and not any(not kill.scope for kill in self.kills)

    def why_not(self, cl_ord_id: str = "") -> str:
        """Why a new order or replace with this ClOrdID(11) of ours must not leave; '' where it may.

        Reads the core's book from another thread, which is safe; what it does not find is stopped by a kill of any
        scope, because what cannot be checked is refused.
        """
        kills, on = self.kills, self.switched_on
        if on and not kills:
            return ""
        found = self._book.by_broker_id.get(cl_ord_id)
        if not on and (found is None or not takes_risk_away(found[0], cl_ord_id)):
            return "trading is off"
        if not kills:
            return ""
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
        try:
            write_synced(self._file, json.dumps([kill if kill.reduce_only else kill[:_PLAIN] for kill in self.kills]))
        except OSError as error:
            raise OperatorError(
                f"{self._file} cannot be written: {error}; the kill switches in force now hold until the process ends"
            ) from error


def write_synced(file: Path, text: str) -> None:
    """Write one line into a file as a whole or not at all, and have it on the disk. Raises OSError."""
    made = file.with_suffix(".new")
    with made.open("w", encoding="utf-8") as draft:
        draft.write(text + "\n")
        draft.flush()
        os.fsync(draft.fileno())
    made.replace(file)
    directory = os.open(file.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


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
