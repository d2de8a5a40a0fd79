"""What ``oms.toml`` may say: one frozen model per section, one field per key.

The fields are the single source of defaults and meanings; ``docs/configuration.md`` is checked against them.
Limits: these models look at one section at a time. What must agree across sections and files is in
``crosscheck.py``.
Invariants: trading is off unless the file says on; an order for which no limit is configured has no limit
rule at all, so that the gateway refuses it; money and quantities are decimals; times are UTC.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import BeforeValidator, SecretStr, StrictBool, StrictInt, field_validator, model_validator

from oms.config.breakers import BreakerRule
from oms.config.control import Control
from oms.config.outbound import ReplaceDiscipline
from oms.config.people import Exceptions, Operators
from oms.config.prices import Prices
from oms.config.problems import FileName, Section, key, wrong
from oms.config.rules import NAME, Limits, RouteRule
from oms.config.secrets import is_reference


def _utc_time(value: object) -> object:
    if isinstance(value, str):
        value = time.fromisoformat(value)
    if isinstance(value, time) and not value.utcoffset():
        return value.replace(tzinfo=UTC)
    raise ValueError("not a time of day in UTC")


UtcTime = Annotated[time, BeforeValidator(_utc_time)]


class Gateway(Section):
    """Who this gateway is, where it keeps its state, and whether it may trade."""

    name: str = key(
        "oms",
        "Name of this gateway in logs, metrics and the journal.",
        expects="1 to 32 letters, digits, _ or -",
        example='"desk1"',
        pattern=NAME,
    )
    environment: Literal["test", "live"] = key(
        "test",
        "Shown everywhere a person looks; the ledger keeps the one it was first used with, and no gateway of the "
        'other starts on it. "live" asks more of the configuration: marked sessions, brokers on other machines.',
        expects='"test" or "live"',
        example='"test"',
    )
    state_dir: FileName = key(
        Path("state"),
        "Directory for the FIX message stores, the control socket and the embedded Postgres. "
        "Relative to oms.toml. One gateway per directory.",
        expects="a directory",
        example='"state"',
    )
    trading: Literal["on", "off"] = key(
        "off",
        'The ceiling of `oms trading`: with "off" nobody switches trading on. While trading is off new orders and '
        "replaces that add risk are refused; sessions, cancels and reports still work.",
        expects='"on" or "off"',
        example='"off"',
    )
    after_unclean_stop: Literal["wait", "trade"] = key(
        "wait",
        'After a stop that was none in order (kill -9, a crash, a take-over from a gateway that is gone): "wait" '
        'keeps trading off until `oms trading on`; "trade" leaves it as it was.',
        expects='"wait" or "trade"',
        example='"wait"',
    )
    trading_day_rollover: UtcTime = key(
        time(0, 0, tzinfo=UTC),
        "UTC time at which a new trade date begins. A trading day carries the UTC date on which it begins.",
        expects="a time of day in UTC",
        example="22:00:00",
    )

    keep_positions: StrictBool = key(
        False,
        "Keep the net position of every account and symbol from all fills in the ledger, for `oms kill engage "
        "--reduce-only`. Costs some microseconds per event, and a question to the ledger at a start.",
        expects="true or false",
        example="true",
    )

    lease_seconds: StrictInt = key(
        5,
        "For how long the gateway may write and send without word from its ledger. A standby takes over after that "
        "time at the latest, and with a standby waiting the gateway ends when the ledger is away for longer.",
        expects="a whole number from 2 to 300",
        example="5",
        ge=2,
        le=300,
    )

    stalled_line_seconds: StrictInt = key(
        30,
        "A session whose counterparty takes nothing off its full line for so long is cut; what it has not got is "
        "resent when it logs on.",
        expects="a whole number from 1 to 3600",
        example="30",
        ge=1,
        le=3600,
    )

    @property
    def rollover(self) -> timedelta:
        """When a trade date begins, from midnight UTC."""
        at = self.trading_day_rollover
        return timedelta(hours=at.hour, minutes=at.minute, seconds=at.second)

    def trade_date(self, moment: datetime) -> date:
        """The trade date of an aware moment: the UTC date on which its trading day began."""
        utc = moment.astimezone(UTC)
        return utc.date() if utc.timetz() >= self.trading_day_rollover else date.fromordinal(utc.toordinal() - 1)


class Files(Section):
    """Where the other files are. Relative names are relative to the directory of oms.toml."""

    sessions: FileName = key(
        Path("sessions.cfg"),
        "The FIX sessions (QuickFIX settings).",
        expects="a file name",
        example='"sessions.cfg"',
    )
    fix_specs: FileName = key(
        Path("fix_specs"),
        "Directory of data dictionaries (*.xml) and dialects (*.toml) that differ from the standard ones.",
        expects="a directory",
        example='"fix_specs"',
    )
    instruments: FileName = key(
        Path("instruments.csv"),
        "Instruments that may be traded.",
        expects="a file name",
        example='"instruments.csv"',
    )
    accounts: FileName = key(
        Path("accounts.csv"),
        "Accounts, and which client may use which.",
        expects="a file name",
        example='"accounts.csv"',
    )
    limits: FileName | None = key(
        None,
        "Limits on projections: open orders, exposure, positions, price collars and more, per client, account, "
        "trader, symbol, broker. Absent: only the limits per order of [limits].",
        expects="a file name",
        example='"limits.csv"',
    )
    markets: FileName | None = key(
        None,
        "When the markets that instruments name take orders: sessions, holidays, half days. Absent: at any time.",
        expects="a file name",
        example='"markets.toml"',
    )


class Database(Section):
    """The ledger. Without a URL the gateway starts an embedded Postgres in its state directory."""

    url: str | None = key(
        None,
        "Postgres of the ledger, as the role that may only insert into journal and fills. Absent: "
        "embedded Postgres. "
        "Keep the password out of the file: name its place in password, or let libpq read ~/.pgpass. May itself be "
        "file:NAME, env:NAME or command:PROGRAM.",
        expects="a URL postgresql://USER@HOST:PORT/DATABASE",
        example='"postgresql://oms@localhost:5432/oms"',
        repr=False,
    )
    owner_url: str | None = key(
        None,
        "The same database as the role that owns the tables; used for migrations only. Absent: the same as url.",
        expects="a URL postgresql://USER@HOST:PORT/DATABASE",
        example='"postgresql://oms_owner@localhost:5432/oms"',
        repr=False,
    )

    password: SecretStr | None = key(
        None,
        "Password for url: file:NAME, env:NAME or command:PROGRAM, read when the database is opened.",
        expects="the place of a secret",
        example='"file:/run/secrets/oms_db"',
    )
    owner_password: SecretStr | None = key(
        None,
        "Password for owner_url, likewise.",
        expects="the place of a secret",
        example='"env:OMS_OWNER_PASSWORD"',
    )

    @field_validator("password", "owner_password", mode="before")
    @classmethod
    def _names_a_place(cls, value: object) -> object:
        if value is not None and not (isinstance(value, str) and is_reference(value)):
            raise wrong("the password itself", 'name its place, such as "file:/run/secrets/oms_db"')  # not shown
        return value

    @field_validator("url", "owner_url")
    @classmethod
    def _is_postgres(cls, value: str | None) -> str | None:
        if value is None or is_reference(value):
            return value
        try:
            parts = urlsplit(value)
            usable = parts.scheme in ("postgresql", "postgresql+psycopg") and len(parts.path) > 1 and parts.port != 0
        except ValueError:
            usable = False
        if not usable:  # the URL itself is not shown: it may hold a password
            raise wrong(
                "not the URL of a Postgres database",
                'write "postgresql://USER@HOST:PORT/DATABASE", or remove the key for the embedded Postgres',
            )
        return value

    @model_validator(mode="after")
    def _owner_needs_url(self) -> Database:
        if self.owner_url is not None and self.url is None:
            raise wrong("owner_url without url", "add url, or remove owner_url for the embedded Postgres")
        for name, password, url in (
            ("password", self.password, self.url),
            ("owner_password", self.owner_password, self.owner_url),
        ):
            if password is not None and url is None:
                raise wrong(f"{name} without the URL that it is for", f"add {name.replace('password', 'url')}")
        return self


class Inbox(Section):
    """How much may wait between the FIX sessions and the core."""

    per_session: StrictInt = key(
        500,
        "Messages of one session that may wait; past it that session, and no other, feels back-pressure. A client's "
        "cancels wait behind what it sent before them, and so behind no more than this.",
        expects="a whole number from 1 to 1000000",
        example="500",
        ge=1,
        le=1_000_000,
    )
    max_batch: StrictInt = key(
        500,
        "Messages that one commit may cover. More throughput under load against a longer commit.",
        expects="a whole number from 1 to 100000",
        example="500",
        ge=1,
        le=100_000,
    )
    shared_batch: StrictInt = key(
        32,
        "As max_batch, while more than one client is logged on: smaller, so that nobody waits long behind another's.",
        expects="a whole number from 1 to 100000",
        example="32",
        ge=1,
        le=100_000,
    )


class Metrics(Section):
    """The Prometheus endpoint."""

    host: str = key(
        "127.0.0.1", "Address it listens on. It has no password.", expects="an address", example='"127.0.0.1"'
    )
    port: StrictInt = key(
        0,
        "Port it listens on; 0 turns it off.",
        expects="a whole number from 0 to 65535",
        example="9464",
        ge=0,
        le=65535,
    )


class Log(Section):
    """The gateway's own log. Raw FIX messages are in the journal, not here."""

    level: Literal["debug", "info", "warning", "error"] = key(
        "info",
        "Least level that is written.",
        expects='"debug", "info", "warning" or "error"',
        example='"info"',
    )
    format: Literal["console", "json"] = key(
        "console",
        "For people, or one JSON object per line.",
        expects='"console" or "json"',
        example='"console"',
    )
    file: FileName | None = key(
        None,
        "File to append to, relative to oms.toml. Absent: standard error.",
        expects="a file name",
        example='"oms.log"',
    )


class OmsToml(Section):
    """The whole of oms.toml."""

    gateway: Gateway = key(Gateway, "Who this gateway is.", expects="a [gateway] section")
    files: Files = key(Files, "Where the other files are.", expects="a [files] section")
    database: Database = key(Database, "The ledger.", expects="a [database] section")
    inbox: Inbox = key(Inbox, "What may wait.", expects="an [inbox] section")
    limits: Limits = key(Limits, "Limits per order.", expects="a [limits] section")
    routes: tuple[RouteRule, ...] = key((), "Where orders go.", expects="[[routes]] sections")
    prices: Prices = key(Prices, "Where reference prices come from.", expects="a [prices] section")
    breakers: tuple[BreakerRule, ...] = key((), "What stops by itself.", expects="[[breakers]] sections")
    replace_discipline: tuple[ReplaceDiscipline, ...] = key(
        (), "What replaces must keep to.", expects="[[replace_discipline]] sections"
    )
    operators: Operators = key(Operators, "Who may command.", expects="an [operators] section")
    control: Control = key(Control, "Commands from other machines.", expects="a [control] section")
    exceptions: Exceptions = key(Exceptions, "How long items may wait.", expects="an [exceptions] section")
    metrics: Metrics = key(Metrics, "Prometheus endpoint.", expects="a [metrics] section")
    log: Log = key(Log, "The log.", expects="a [log] section")
