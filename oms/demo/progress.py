"""What a person sees while the demo runs, on standard error: a moving table on a terminal, else a line now and then.

The figures are those of the simulators' status lines, about one a second.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from oms.demo.plan import BROKERS, CLIENTS
from oms.demo.processes import Child

LINE_SECONDS = 3.0
REJECTED, UNANSWERED = "8", "unanswered"


class Progress:
    """Says what happens. Used by one thread."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._started = self._last_line = time.monotonic()
        self._live: Live | None = None

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.done()

    @property
    def seconds(self) -> float:
        """Since the beginning."""
        return time.monotonic() - self._started

    def say(self, text: str) -> None:
        """One line about a step, with the time since the beginning."""
        self._console.print(Text(f"{self.seconds:5.1f} s  {text}"), soft_wrap=True)
        self._last_line = time.monotonic()

    def show(self, children: Mapping[str, Child], planned: Mapping[str, int]) -> None:
        """The figures as they are now; `planned` are the orders that each client is to send."""
        rows = [_client_row(children[c.name], planned.get(c.name, 0)) for c in CLIENTS if c.name in children]
        rows += [_broker_row(children[broker.name]) for broker in BROKERS if broker.name in children]
        if self._console.is_terminal:
            if self._live is None:
                self._live = Live(console=self._console, auto_refresh=False, transient=True)
                self._live.start()
            self._live.update(_table(rows), refresh=True)
        elif time.monotonic() - self._last_line >= LINE_SECONDS and any(row["fills"] != "0" for row in rows):
            # Before the first fill there is nothing to tell.
            self.say("; ".join(_line(row) for row in rows))

    def done(self) -> None:
        """The moving table goes; lines may follow."""
        if self._live is not None:
            self._live.stop()
            self._live = None


def _client_row(child: Child, planned: int) -> dict[str, str]:
    status, counts, by_status = _parts(child)
    sent = int(counts.get("orders", 0))
    return {
        "": child.name,
        "state": str(status.get("state", "starting")),
        "orders": f"{sent} of {planned}" if planned else str(sent),
        "acknowledged": str(sent - int(by_status.get(UNANSWERED, 0))),
        "fills": str(status.get("fills", 0)),
        "rejects": str(by_status.get(REJECTED, 0)),
        "alive": str(status.get("in_flight", 0)),
    }


def _broker_row(child: Child) -> dict[str, str]:
    status, _, by_status = _parts(child)
    return {
        "": child.name,
        "state": str(status.get("state", "starting")),
        "orders": str(status.get("orders", 0)),
        "acknowledged": "",
        "fills": str(status.get("fills", 0)),
        "rejects": str(by_status.get(REJECTED, 0)),
        "alive": "",
    }


def _parts(child: Child) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    status = child.status
    return status, status.get("counts", {}), status.get("by_ord_status", {})


def _table(rows: Sequence[Mapping[str, str]]) -> Table:
    made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in rows[0] if rows else ():
        made.add_column(name, justify="left" if name in ("", "state") else "right")
    for row in rows:
        made.add_row(*[Text(cell) for cell in row.values()])
    return made


def _line(row: Mapping[str, str]) -> str:
    """`CLIENT1 orders 75 of 150, acknowledged 75, fills 60`."""
    return f"{row['']} " + ", ".join(f"{name} {value}" for name, value in list(row.items())[2:] if value)
