"""Sources that are asked again and again, each in a thread of its own: a file, and an address of HTTP.

Whatever goes wrong (no such file, no answer in time, too long, not what it should be) is a failure of the source and
told to the feed; the thread goes on asking. Limits: MAX_BYTES of one answer; redirects are followed to HTTP only.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import (
    HTTPDefaultErrorHandler,
    HTTPErrorProcessor,
    HTTPHandler,
    HTTPRedirectHandler,
    HTTPSHandler,
    OpenerDirector,
    ProxyHandler,
    Request,
    UnknownHandler,
)

from oms.config.prices import Source as Settings
from oms.errors import OperatorError
from oms.prices.feed import Feed, Quote
from oms.prices.read import MAX_BYTES, Names, from_csv, from_json

Fetch = Callable[[], list[Quote] | None]  # the prices, None where nothing changed; raises OperatorError
_PART = 65_536


class Polled:
    """Asks `fetch` every so many seconds."""

    def __init__(self, name: str, every: int, fetch: Fetch, feed: Feed) -> None:
        self._name, self._every, self._fetch, self._feed = name, every, fetch, feed
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"prices-{name}", daemon=True)

    def start(self) -> None:
        """Begin to ask."""
        self._thread.start()

    def stop(self) -> None:
        """Ask no more. A question under way may go on for its time-out: nobody waits for it."""
        self._stop.set()

    def _run(self) -> None:
        while True:
            self.ask()
            if self._stop.wait(self._every):
                return

    def ask(self) -> None:
        """Ask once."""
        try:
            quotes = self._fetch()
        except OperatorError as error:
            self._feed.fails(self._name, str(error))
        else:
            self._feed.put(self._name, quotes or ())


class FileOf:
    """The prices of a CSV file, when it has changed. A row without a time is as of when the file was written."""

    def __init__(self, path: Path, names: Names) -> None:
        self._path, self._names = path, names
        self._seen: tuple[int, int, int] | None = None

    def __call__(self) -> list[Quote] | None:
        """See `Fetch`."""
        try:
            found = self._path.stat()
            seen = (found.st_mtime_ns, found.st_size, found.st_ino)
            if seen == self._seen:
                return None
            if found.st_size > MAX_BYTES:
                raise OperatorError(f"{self._path} has {found.st_size} bytes, more than {MAX_BYTES}")
            text = self._path.read_bytes()[: MAX_BYTES + 1].decode("utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise OperatorError(f"{self._path} cannot be read: {error}") from error
        try:
            quotes = from_csv(text, self._names, datetime.fromtimestamp(found.st_mtime, UTC))
        except OperatorError as error:
            raise OperatorError(f"{self._path}: {error}") from error
        self._seen = seen
        return quotes


class AnswerOf:
    """The prices that an address of HTTP or HTTPS answers with."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._names = Names(settings.symbol, settings.price, settings.at)
        self._opener = _opener()

    def __call__(self) -> list[Quote] | None:
        """See `Fetch`."""
        settings = self._settings
        try:
            text = self._answer().decode("utf-8-sig")
        except HTTPError as error:
            raise OperatorError(f"the answer was {error.code} {error.reason}") from error
        except (OSError, HTTPException, ValueError) as error:
            raise OperatorError(f"no answer that can be read: {error}") from error
        now = datetime.now(UTC)
        if settings.format == "json":
            return from_json(text, settings.rows, self._names, now)
        return from_csv(text, self._names, now)

    def _answer(self) -> bytes:
        """All of the answer. The time-out counts for all of it, so that one byte a second does not hold it up."""
        until = time.monotonic() + self._settings.timeout
        asked = Request(self._settings.url or "", headers={"User-Agent": "oms", "Accept-Encoding": "identity"})
        found = bytearray()
        with self._opener.open(asked, timeout=self._settings.timeout) as answer:
            while part := answer.read1(_PART):
                found += part
                if len(found) > MAX_BYTES:
                    raise OperatorError(f"the answer has more than {MAX_BYTES} bytes")
                if time.monotonic() > until:
                    raise OperatorError(f"the answer took longer than {self._settings.timeout} s")
        return bytes(found)


def _opener() -> OpenerDirector:
    """HTTP and HTTPS alone: no file://, no ftp://, also after a redirect; proxies as the environment has them."""
    opener = OpenerDirector()
    for made in (
        ProxyHandler, HTTPHandler, HTTPSHandler, HTTPRedirectHandler, HTTPDefaultErrorHandler, HTTPErrorProcessor,
        UnknownHandler,
    ):  # fmt: skip
        opener.add_handler(made())
    return opener
