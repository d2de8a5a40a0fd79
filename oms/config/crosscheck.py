"""What must agree across sections and files: names that others refer to, ports, limits, routes.

Each check is a plain function that adds what it finds; ``CHECKS`` is the list. A name that refers to nothing
is a problem, because it is most likely a slip; a pattern that matches nothing is a warning, because it may be
meant for later.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from oms.config import certificates
from oms.config.environment import check_sessions, is_local
from oms.config.market_data import read_market_data
from oms.config.markets import Market
from oms.config.problems import Problems, suggestion
from oms.config.reference import Account, Instrument
from oms.config.rules import is_pattern, matches
from oms.config.sessions import Sessions
from oms.config.settings import Files, OmsToml


@dataclass(frozen=True, slots=True)
class Parts:
    """Everything that has been read, with paths made absolute."""

    file: Path
    toml: OmsToml
    files: Files
    sessions: Sessions
    instruments: dict[str, Instrument]
    accounts: dict[str, Account]
    state_dir: Path
    markets: Mapping[str, Market] = field(default_factory=dict)


STATE_DIR_BYTES = 900  # QuickFIX reads its settings by lines of 1022 bytes, and this is part of one


def check_all(parts: Parts, problems: Problems) -> None:
    """Run every check."""
    for check in CHECKS:
        check(parts, problems)


@dataclass(frozen=True, slots=True)
class Names:
    """What may be referred to; None where its file is wrong, so that one slip is not told twice."""

    clients: Collection[str] | None
    brokers: Collection[str] | None
    accounts: Collection[str] | None
    symbols: Collection[str] | None
    drop_copies: Collection[str] | None = None


def names_of(parts: Parts, problems: Problems) -> Names:
    """All names. Sessions with problems of their own count, so that one slip is told once."""

    def sessions(role: str) -> list[str] | None:
        declared = parts.sessions.declared.items()
        named = [name for name, its_role in declared if its_role in (role, None)]
        return named if parts.sessions.names_known else None

    wrong = {problem.file for problem in problems.found}
    accounts = None if parts.files.accounts in wrong else parts.accounts
    symbols = None if parts.files.instruments in wrong else parts.instruments
    return Names(sessions("client"), sessions("broker"), accounts, symbols, sessions("drop_copy"))


def _refers(file: Path, where: str, text: str, what: str, known: Collection[str] | None, problems: Problems) -> None:
    """A name must be known; a pattern should match something."""
    if known is None:
        return
    if is_pattern(text):
        if text != "*" and not any(matches((text,), name) for name in known):
            problems.warn(
                file, where, f'"{text}" matches no {what} there is now', "correct it, or leave it for later"
            )
    elif text not in known:
        problems.add(file, where, f'no {what} "{text}"', suggestion(text, known, "correct it"))


def _routes(parts: Parts, problems: Problems) -> None:
    """Names in routes exist; each rule can be reached; each broker is in one."""
    names = names_of(parts, problems)
    routes = parts.toml.routes
    if not routes:
        problems.add(
            parts.file,
            "[[routes]]",
            "no route, so that every order would be refused",
            "add a [[routes]] section",
        )
    seen: dict[str, int] = {}
    end: str | None = None
    for number, rule in enumerate(routes, 1):
        where = f"[[routes]] #{number} ({rule.name})"
        if rule.name in seen:
            problems.add(
                parts.file, f"{where} name", f"the same as #{seen[rule.name]}", "give each rule its own name"
            )
        seen.setdefault(rule.name, number)
        targets = (("broker", rule.broker), *(("fallbacks", name) for name in rule.fallbacks))
        for key, name in targets:
            _broker(parts.file, f"{where} {key}", name, names, problems)
        named = [name for _, name in targets]
        twice = next((name for name in named if named.count(name) > 1), None)
        if twice:
            problems.add(parts.file, f"{where} fallbacks", f'"{twice}" is there twice', "name each broker once")
        for key, patterns, what, known in (
            ("client", rule.client, "client session", names.clients),
            ("account", rule.account, "account", names.accounts),
            ("symbol", rule.symbol, "symbol", names.symbols),
        ):
            for text in patterns:
                _refers(parts.file, f"{where} {key}", text, what, known, problems)
        if end is not None:
            problems.warn(
                parts.file,
                where,
                f"never reached: {end} takes every order",
                f"move it above {end}, or remove it",
            )
        elif rule.takes_all:
            end = rule.name
    used = {name for rule in routes for name in (rule.broker, *rule.fallbacks)}
    for name in names.brokers or ():
        if routes and name not in used:
            problems.warn(parts.file, "[[routes]]", f"no route leads to {name}", "add one, or remove the session")


def _broker(file: Path, where: str, name: str, names: Names, problems: Problems) -> None:
    brokers, clients = names.brokers, names.clients
    if brokers is None or clients is None:
        return
    if name in brokers:
        return
    if name in clients:
        problems.add(file, where, f'"{name}" is a client session', f"name a broker: {', '.join(brokers)}")
    elif names.drop_copies and name in names.drop_copies:
        problems.add(file, where, f'"{name}" is a drop copy session', f"name a broker: {', '.join(brokers)}")
    else:
        problems.add(file, where, f'no broker session "{name}"', suggestion(name, brokers, "name a broker"))


def _limits(parts: Parts, problems: Problems) -> None:
    """Names in limits exist, no two overrides are for the same orders, and some order can pass."""
    names = names_of(parts, problems)
    limits = parts.toml.limits
    seen: dict[tuple[str, str, str], int] = {}
    for number, rule in enumerate(limits.override, 1):
        where = f"[[limits.override]] #{number}"
        aim = (rule.client, rule.account, rule.symbol)
        if aim in seen:
            problems.add(parts.file, where, f"for the same orders as #{seen[aim]}", "keep one of them")
        elif aim == ("*", "*", "*") and limits.max_order_qty is not None:
            problems.add(parts.file, where, "for the same orders as [limits]", "name a client, account or symbol")
        seen.setdefault(aim, number)
        _refers(parts.file, f"{where} client", rule.client, "client session", names.clients, problems)
        _refers(parts.file, f"{where} account", rule.account, "account", names.accounts, problems)
        _refers(parts.file, f"{where} symbol", rule.symbol, "symbol", names.symbols, problems)
    if not limits.rules():
        problems.warn(
            parts.file,
            "[limits]",
            "no limit at all, so that every order will be refused",
            "add max_order_qty and max_order_notional",
        )


def _markets(parts: Parts, problems: Problems) -> None:
    """Markets that instruments name exist; one that none names is for later."""
    if any(problem.file == parts.files.markets for problem in problems.found):
        return
    named = {one.market: symbol for symbol, one in parts.instruments.items() if one.market}
    for name, symbol in named.items():
        if parts.files.markets is None:
            remedy = 'name a markets file: markets = "markets.toml" in [files], or leave the column empty'
            problems.add(parts.files.instruments, f"symbol {symbol} market", f'no market "{name}"', remedy)
        elif name not in parts.markets:
            remedy = suggestion(name, parts.markets, f"add it to {parts.files.markets.name}")
            problems.add(parts.files.instruments, f"symbol {symbol} market", f'no market "{name}"', remedy)
    for name in parts.markets:
        if parts.files.markets is not None and name not in named:
            problems.warn(parts.files.markets, f"market {name}", "no instrument names it", "name it, or leave it")


def _breakers(parts: Parts, problems: Problems) -> None:
    """No two circuit breakers have one name, and what their scopes name exists."""
    names = names_of(parts, problems)
    seen: dict[str, int] = {}
    for number, rule in enumerate(parts.toml.breakers, 1):
        where = f"[[breakers]] #{number}"
        if rule.name in seen:
            problems.add(parts.file, f"{where} name", f'"{rule.name}" as #{seen[rule.name]} has', "name it otherwise")
        seen.setdefault(rule.name, number)
        for part, what, known in (
            ("client", "client session", names.clients),
            ("account", "account", names.accounts),
            ("symbol", "symbol", names.symbols),
            ("broker", "broker session", names.brokers),
        ):
            if (text := getattr(rule, part)) is not None:
                _refers(parts.file, f"{where} {part}", text, what, known, problems)


def _accounts(parts: Parts, problems: Problems) -> None:
    """Clients named by accounts exist."""
    clients = names_of(parts, problems).clients
    for account in parts.accounts.values():
        for text in account.clients:
            _refers(
                parts.files.accounts,
                f"account {account.account} clients",
                text,
                "client session",
                clients,
                problems,
            )


def _ports(parts: Parts, problems: Problems) -> None:
    """The gateway does not connect to itself, and no two of its own listeners want one port."""
    listening = {spec.port: name for name, spec in parts.sessions.specs.items() if spec.side == "client"}
    for name, spec in parts.sessions.specs.items():
        if spec.side == "broker" and spec.port in listening and is_local(spec.host):
            problems.add(
                parts.files.sessions,
                f"[SESSION] {name} SocketConnectPort",
                f"{spec.port} is where this gateway listens for {listening[spec.port]}",
                "give the broker's own host and port",
            )
    if parts.toml.metrics.port in listening:
        taken_by = listening[parts.toml.metrics.port]
        problems.add(
            parts.file,
            "[metrics] port",
            f"{parts.toml.metrics.port} is where this gateway listens for {taken_by}",
            "choose another port, or 0 for none",
        )


def _drop_copies(parts: Parts, problems: Problems) -> None:
    """Each drop copy is of a broker session, and each broker has one at most."""
    names = names_of(parts, problems)
    file = parts.files.sessions
    seen: dict[str, str] = {}
    for name, spec in parts.sessions.specs.items():
        where, broker = f"[SESSION] {name} OmsDropCopyOf", spec.drop_copy_of
        if spec.role != "drop_copy":
            if broker:
                problems.add(file, where, "without OmsRole=drop_copy", "add OmsRole=drop_copy, or remove it")
        elif not broker:
            problems.add(file, where, "missing for OmsRole=drop_copy", "add OmsDropCopyOf=NAME of a broker session")
        elif broker in seen:
            problems.add(file, where, f"{broker} has a drop copy already, {seen[broker]}", "keep one of the two")
        else:
            seen[broker] = name
            _broker(file, where, broker, names, problems)


def _state_dir(parts: Parts, problems: Problems) -> None:
    """The state directory is one, or can be made."""
    where = "[gateway] state_dir"
    place = parts.state_dir
    if len(os.fsencode(place)) > STATE_DIR_BYTES:
        problem = f"longer than {STATE_DIR_BYTES} bytes with its directory"
        problems.add(parts.file, where, problem, "name a shorter one")
    # os.path says False for what cannot be looked at (a name too long, say), where pathlib raises
    while not os.path.exists(place) and place != place.parent:
        place = place.parent
    if not place.is_dir():
        problems.add(parts.file, where, f"{place} is not a directory", "name a directory")
    elif not os.access(place, os.W_OK | os.X_OK):
        problems.add(parts.file, where, f"{place} cannot be written to", "name a directory this user can write to")


def _environment(parts: Parts, problems: Problems) -> None:
    """Sessions are of the gateway's environment."""
    check_sessions(parts.toml.gateway.environment, parts.files.sessions, parts.sessions.specs, problems)


def _limit_row(parts: Parts, problems: Problems) -> None:
    """Where an order needs a row of the limits file there is such a file."""
    if parts.toml.limits.asks_for_row(parts.toml.gateway.environment) and parts.toml.files.limits is None:
        why = "" if parts.toml.limits.require_row else " (so it is on live where the key is absent)"
        problems.add(
            parts.file,
            "[limits] require_row",
            f"true{why}, and [files] names no limits file: every order would be refused",
            'add limits = "limits.csv" to [files], with a row for each client or account; or require_row = false',
        )


def _prices(parts: Parts, problems: Problems) -> None:
    """Sources can be set up as they are written; where prices grow old, something must bring new ones."""
    toml = parts.toml
    for number, one in enumerate(toml.prices.beside(parts.file.parent).source, 1):
        if one.settings is not None:
            read_market_data(one.settings, f"[[prices.source]] #{number} settings in {parts.file.name}", problems)
    unknown = [one.symbol for one in parts.instruments.values() if one.reference_at is None]
    if toml.limits.max_price_age is not None and not toml.prices.source and unknown:
        problems.warn(
            parts.file,
            "[limits] max_price_age",
            f"no [[prices.source]], and {len(unknown)} instruments have no reference_at ({unknown[0]}, for example): "
            "orders that need their price are refused until it is loaded",
            "add a source or reference_at, or use `oms prices load`",
        )


def _live(parts: Parts, problems: Problems) -> None:
    """What a live desk should know."""
    if parts.toml.gateway.environment != "live":
        return
    if parts.toml.database.url is None:
        problems.warn(
            parts.file,
            "[database] url",
            "absent: a live gateway on the embedded Postgres",
            "name a server with backups",
        )
    operators = parts.toml.operators
    if operators.two_people and operators.file is None and len(operators.users) < 2:
        problems.warn(
            parts.file,
            "[operators] users",
            f"fewer than two, so that nobody can do what needs two people ({', '.join(operators.two_people)})",
            "name two operators with their system users",
        )
    for name, spec in parts.sessions.specs.items():
        certified = spec.tls and spec.settings.get("CertificateVerifyLevel") == "1"
        if spec.side == "client" and not (certified or spec.password or "AllowedRemoteAddresses" in spec.settings):
            problems.warn(
                parts.files.sessions,
                f"[SESSION] {name} AllowedRemoteAddresses",
                "absent: any address that knows the CompIDs may log on",
                f"add the {'client' if spec.role == 'client' else 'broker'}'s addresses,"
                " OmsPassword, or OmsTls=Y with CertificateVerifyLevel=1",
            )


CHECKS: tuple[Callable[[Parts, Problems], None], ...] = (
    _routes,
    _limits,
    _breakers,
    _accounts,
    _ports,
    _drop_copies,
    _markets,
    _state_dir,
    _environment,
    _limit_row,
    _prices,
    _live,
    certificates.check,
)
