"""Makes the coming days' partitions while a gateway runs (`oms.ledger.partitions`), and sums up what has traded.

What fails is logged and tried again, an hour later and five minutes later: there are days ahead, and rows of a day
without a partition go into the default one; what was not summed up makes the next start the longer
(`oms.ledger.traded_sums`). One thread, which does nothing else and shares nothing.
"""

from __future__ import annotations

import threading
import time
from datetime import timedelta

import psycopg
import structlog

from oms.ledger.database import connect
from oms.ledger.partitions import make_coming
from oms.ledger.traded_sums import sum_up

log = structlog.get_logger("oms.ledger")

LOOK_SECONDS = 3600.0
SUM_SECONDS = 300.0  # what a start has to add up itself is at most of so long, and of LEAST rows


class Keeper:
    """The thread. `url` is of the tables' owner; `rollover` is when a trade date begins."""

    def __init__(self, url: str, seconds: float = LOOK_SECONDS, rollover: timedelta = timedelta()) -> None:
        self._url = url
        self._seconds = seconds
        self._rollover = rollover
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
        looked = time.monotonic() - self._seconds
        while True:
            if time.monotonic() - looked >= self._seconds:
                self._look()
                looked = time.monotonic()
            self._sum()
            if self._stopping.wait(min(self._seconds, SUM_SECONDS)):
                return

    def _look(self) -> None:
        try:
            with connect(self._url, autocommit=True, application_name="oms partitions") as connection:
                if not make_coming(connection):
                    log.info("the coming days' partitions wait for a long reader of the journal; tried again")
        except psycopg.Error as error:
            log.warning("the coming days' partitions could not be made; tried again", error=str(error).strip())

    def _sum(self) -> None:
        try:
            sum_up(self._url, self._rollover)
        except psycopg.Error as error:
            log.warning("what has traded could not be summed up; tried again", error=str(error).strip())
