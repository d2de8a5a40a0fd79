"""A FIX market data session: asks for the last trades of all symbols with MarketDataRequest(V), and hears the prices.

MarketDataSnapshotFullRefresh(W) and MarketDataIncrementalRefresh(X) are read: MDEntryType(269) trade alone, its
MDEntryPx(270), and its time from MDEntryDate(272) and MDEntryTime(273) or else SendingTime(52). An engine of its own,
apart from those of orders: nothing of it is journaled, a session that is lost asks anew when it is back.
Threads: the engine's; `heard` and `failed` are called from them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path

from oms.config.market_data import engine_text
from oms.config.secrets import secret
from oms.config.session_keys import credentials
from oms.errors import OperatorError, Unsendable
from oms.fix.engine import Engine
from oms.fix.fields import parse_time, split
from oms.fix.handle import SOH, msg_type
from oms.fix.logon import Credentials
from oms.fix.making import make_one

Tick = tuple[str, Decimal, datetime]

_AT_ONCE = 200  # symbols of one request
_TRADE, _DELETED = "2", "2"  # MDEntryType(269), MDUpdateAction(279)


class MarketData:
    """The session of one source. `symbols` are asked for at each logon; `heard` gets prices, `failed` why none come.

    `directory` is where a file with the password is looked for.
    """

    def __init__(
        self,
        source: str,
        values: dict[str, str],
        store: Path,
        directory: Path,
        symbols: Sequence[str],
        heard: Callable[[list[Tick]], None],
        failed: Callable[[str], None],
    ) -> None:
        self._name = f"market data {source}"
        session_id, text = engine_text(values, store)
        self._session_id, self._settings = session_id, text
        self._values, self._directory = values, directory
        self._symbols, self._heard, self._failed = symbols, heard, failed
        self._engine: Engine | None = None

    def start(self) -> None:
        """Begin to connect; that goes on by itself."""
        self._failed("not logged on yet")
        try:
            self._engine = make_one(self._name, self._session_id, self._settings, self, *self._secured())
            self._engine.start()
        except (OSError, OperatorError) as error:
            self._failed(str(error))

    @property
    def engines(self) -> tuple[Engine, ...]:
        """Its engine, once it has one."""
        return () if self._engine is None else (self._engine,)

    def _secured(self) -> tuple[bool, Credentials | None]:
        """Whether it is TLS, and what we log on with. Raises OperatorError where the password cannot be had."""
        given = credentials(self._values)
        tls = self._values.get("OmsTls") == "Y"
        if not given:
            return tls, None
        password = secret(given["password"], self._directory)
        return tls, Credentials(given["username"], password, given["password_in_raw_data"])

    def stop(self) -> None:
        """Log out and end."""
        if self._engine is not None:
            self._engine.stop(2.0)

    # -- engine's side (see oms.fix.engine.EngineListener) ---------------------------------------------------------

    def logged_on(self, session: str, next_sender: int, next_target: int) -> None:
        """Ask for everything."""
        assert self._engine is not None
        texts = [
            market_data_request(f"P{next_sender}-{first}", self._symbols[first : first + _AT_ONCE])
            for first in range(0, len(self._symbols), _AT_ONCE)
        ]
        try:
            self._engine.send(self._name, texts)
        except Unsendable as error:
            self._failed(str(error))

    def logged_out(self, session: str) -> None:
        """No prices until it is back."""
        self._failed("logged out")

    def received(self, session: str, raw: str) -> None:
        """One message."""
        kind = msg_type(raw)
        if kind in ("W", "X"):
            self._heard(ticks_of(raw))
        elif kind in ("Y", "j"):
            self._failed(f"the request was refused: {dict(split(raw)).get('58', '') or 'no Text(58)'}")

    def refused(self, session: str, raw: str, reason: str) -> None:
        """The engine turned something away."""
        self._failed(f"the engine refused a message: {reason}")

    def may_resend(self, session: str, raw: str) -> bool:
        """A request of before is asked anew at the logon, never sent again."""
        return False

    def failed(self, session: str, raw: str, error: BaseException) -> None:
        """A message that this code cannot take."""
        self._failed(f"a message cannot be read: {error}")


def market_data_request(md_req_id: str, symbols: Sequence[str]) -> str:
    """MarketDataRequest(V): snapshot and updates, top of book, incremental, trades of these symbols."""
    fields = [
        ("35", "V"),
        ("262", md_req_id),
        ("263", "1"),
        ("264", "1"),
        ("265", "1"),
        ("267", "1"),
        ("269", _TRADE),
    ]
    fields += [("146", str(len(symbols))), *(("55", symbol) for symbol in symbols)]
    return "".join(f"{tag}={value}{SOH}" for tag, value in fields)


def ticks_of(raw: str) -> list[Tick]:
    """The trades of a MarketDataSnapshotFullRefresh(W) or MarketDataIncrementalRefresh(X) that have a price."""
    pairs = split(raw)
    first = "279" if ("35", "X") in pairs[:3] else "269"
    head: dict[str, str] = {}
    entries: list[dict[str, str]] = []
    for tag, value in pairs:
        if tag == first:
            entries.append({"55": entries[-1].get("55", "") if entries else head.get("55", "")})
        (entries[-1] if entries else head)[tag] = value
    sent = parse_time(head.get("52", ""))
    ticks = []
    for entry in entries:
        if entry.get("269") != _TRADE or entry.get("279") == _DELETED or not entry["55"]:
            continue
        try:
            price = Decimal(entry.get("270", ""))
        except InvalidOperation:
            continue
        at = _time_of(entry, sent)
        if price.is_finite() and -12 <= price.adjusted() <= 15 and price > 0 and at is not None:
            ticks.append((entry["55"], price, at))
    return ticks


def _time_of(entry: dict[str, str], sent: datetime | None) -> datetime | None:
    day = entry.get("272") or (f"{sent:%Y%m%d}" if sent is not None else "")
    if (clock := entry.get("273")) and (found := parse_time(f"{day}-{clock}")) is not None:
        return found.astimezone(UTC)
    return sent
