"""Makes the coming days' partitions while a gateway runs (`oms.ledger.partitions`).

What fails is logged and tried again an hour later: there are days ahead, and rows of a day without a partition go
into the default one. One thread, which does nothing else and shares nothing.
"""

from __future__ import annotations

import threading

import psycopg
import structlog

from oms.ledger.database import connect
from oms.ledger.partitions import make_coming

log = structlog.get_logger("oms.ledger")

LOOK_SECONDS = 3600.0


class Keeper:
    """The thread. `url` is of the tables' owner."""

    def __init__(self, url: str, seconds: float = LOOK_SECONDS) -> None:
        self._url = url
        self._seconds = seconds
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="partitions", daemon=True)

    def start(self) -> None:
        """Begin; the first look is at once: the one who made the ledger ready may have done it days ago."""
        self._thread.start()

    def stop(self) -> None:
        """End it."""
        self._stopping.set()
        self._thread.join(5.0)

    def _run(self) -> None:
        while True:
            self._look()
            if self._stopping.wait(self._seconds):
                return

    def _look(self) -> None:
        try:
            with connect(self._url, autocommit=True, application_name="oms partitions") as connection:
                if not make_coming(connection):
                    log.info("the coming days' partitions wait for a long reader of the journal; tried again")
        except psycopg.Error as error:
            log.warning("the coming days' partitions could not be made; tried again", error=str(error).strip())
