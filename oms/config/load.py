"""Reads the whole configuration, or says everything that is wrong with it.

``oms.toml`` names the other files: sessions, data dictionaries and dialects, instruments, accounts.
Invariant (I12): ``load`` either returns a Config of which every part has been checked alone and against the
others, or raises one ConfigError with all problems found. It writes nothing and connects to nothing.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from oms.config.breakers import BreakerRule
from oms.config.control import Control
from oms.config.crosscheck import Parts, check_all
from oms.config.limit_rows import read_limit_rows
from oms.config.markets import Market, read_markets
from oms.config.outbound import ReplaceDiscipline
from oms.config.people import Exceptions, Operators
from oms.config.prices import Prices
from oms.config.problems import Problems
from oms.config.reference import Account, Instrument, read_accounts, read_instruments
from oms.config.rules import LimitRule, RouteRule
from oms.config.session_keys import Role, Side
from oms.config.session_reader import SessionReader
from oms.config.sessions import SessionSpec, settings_text
from oms.config.settings import Database, Files, Gateway, Inbox, Log, Metrics, OmsToml
from oms.core.terms import Limit
from oms.errors import Problem

Part = TypeVar("Part", Files, Gateway)
Named = TypeVar("Named", Operators, Control)


@dataclass(frozen=True, slots=True)
class Config:
    """Everything configured. Paths are absolute.

    ``limits`` has the [limits] default first, if there is one, then the overrides in file order; ``routes``
    are in file order; ``warnings`` are allowed but worth an operator's look.
    """

    path: Path
    directory: Path
    gateway: Gateway
    files: Files
    database: Database
    inbox: Inbox
    limits: tuple[LimitRule, ...]
    routes: tuple[RouteRule, ...]
    instruments: dict[str, Instrument]
    accounts: dict[str, Account]
    sessions: dict[str, SessionSpec]
    metrics: Metrics
    log: Log
    operators: Operators
    exceptions: Exceptions
    control: Control
    limit_rows: tuple[Limit, ...] = ()
    replace_discipline: tuple[ReplaceDiscipline, ...] = ()
    markets: Mapping[str, Market] = field(default_factory=dict)
    breakers: tuple[BreakerRule, ...] = ()
    require_row: bool = False  # an order needs a row of the limits file that names its client or account
    max_price_age: int | None = None  # seconds
    prices: Prices = field(default_factory=Prices)
    warnings: tuple[Problem, ...] = ()

    def limit_for(self, client: str, account: str, symbol: str) -> LimitRule | None:
        """The rule for such an order, or None: then the order is refused.

        The most specific matching rule wins: more exact names first, then more patterns other than ``*``,
        then the earlier one in the file.
        """
        taking = [rule for rule in self.limits if rule.takes(client, account, symbol)]
        return max(taking, key=lambda rule: rule.specificity, default=None)  # max keeps the first of equals

    def role(self, role: Role) -> tuple[SessionSpec, ...]:
        """The sessions of a role, in file order."""
        return tuple(spec for spec in self.sessions.values() if spec.role == role)

    def side(self, side: Side) -> tuple[SessionSpec, ...]:
        """The sessions of one engine, in file order: "client" those that accept, "broker" those that connect."""
        return tuple(spec for spec in self.sessions.values() if spec.side == side)

    def tls(self, side: Side) -> bool:
        """Whether the sessions of an engine use TLS; all of them do, or none."""
        return any(spec.tls for spec in self.side(side))


def engine_settings(config: Config, side: Side) -> str:
    """QuickFIX settings text for all sessions of an engine: defaults in, paths absolute, ``Oms`` keys out."""
    return settings_text(config.side(side))


def load(path: Path) -> Config:
    """The configuration whose oms.toml is ``path``. Raises ConfigError with every problem found."""
    file = path.expanduser().absolute()
    if os.path.isdir(file):  # False, where pathlib raises, for a name that cannot be one
        file = file / "oms.toml"
    problems = Problems()
    text = problems.read(file, "--config")
    data = None if text is None else problems.toml(text, file)
    problems.stop_if_any()
    assert data is not None
    whole = problems.validated(OmsToml, data, file)
    # a slip in one section must not hide what is wrong in the other files: these two are tried alone
    files = _alone(Files, data.get("files"))
    gateway = _alone(Gateway, data.get("gateway"))
    files = Files(**{name: _beside(file, path) for name, path in files if path is not None})
    state_dir = _beside(file, gateway.state_dir)
    sessions = SessionReader(files.sessions, files.fix_specs, state_dir, problems).read(
        f"[files] sessions in {file.name}"
    )
    instruments = read_instruments(files.instruments, f"[files] instruments in {file.name}", problems)
    accounts = read_accounts(files.accounts, f"[files] accounts in {file.name}", problems)
    limit_rows: tuple[Limit, ...] = ()
    if files.limits is not None:
        limit_rows = read_limit_rows(files.limits, f"[files] limits in {file.name}", problems)
    markets = read_markets(files.markets, f"[files] markets in {file.name}", problems)
    if whole is not None:
        parts = Parts(file, whole, files, sessions, instruments, accounts, state_dir, markets)
        check_all(parts, problems)
    problems.stop_if_any()
    assert whole is not None
    log_file = _beside(file, whole.log.file) if whole.log.file else None
    return Config(
        path=file,
        directory=file.parent,
        gateway=whole.gateway.model_copy(update={"state_dir": state_dir}),
        files=files,
        database=whole.database,
        inbox=whole.inbox,
        limits=whole.limits.rules(),
        routes=whole.routes,
        replace_discipline=whole.replace_discipline,
        breakers=whole.breakers,
        instruments=instruments,
        accounts=accounts,
        sessions=sessions.specs,
        limit_rows=limit_rows,
        markets=markets,
        require_row=whole.limits.asks_for_row(whole.gateway.environment),
        max_price_age=whole.limits.max_price_age,
        prices=whole.prices.beside(file.parent),
        metrics=whole.metrics,
        log=whole.log.model_copy(update={"file": log_file}),
        operators=_with_paths(whole.operators, file, "file"),
        control=_with_paths(whole.control, file, "certificate", "private_key", "client_ca"),
        exceptions=whole.exceptions,
        warnings=tuple(problems.warnings),
    )


def _alone(model: type[Part], data: object) -> Part:
    """One section by itself, its defaults where it is wrong; what is wrong has been noted with the whole."""
    return Problems().validated(model, data or {}, Path()) or model()


def _with_paths(section: Named, file: Path, *names: str) -> Named:
    """A section with these file names, where given, relative to the directory of oms.toml."""
    given = {name: path for name in names if (path := getattr(section, name)) is not None}
    return section.model_copy(update={name: _beside(file, path) for name, path in given.items()})


def _beside(file: Path, path: Path) -> Path:
    """A path of the configuration, relative to the directory of oms.toml."""
    return (file.parent / path.expanduser()).absolute()
