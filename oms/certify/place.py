"""The configuration of a gateway to be certified: a client and a broker session for every version, on free ports.

An order goes to the broker whose version its account names. Every account may trade; limits are out of the way.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import time
from pathlib import Path

from oms.config.templates import demo_files
from oms.sim.session import BEGIN_STRINGS

COMP_ID = "OMS"
SYMBOL = "AAPL"
ROLES = ("client", "broker")

_TOML = """\
[gateway]
name = "certified"
state_dir = "state"
trading = "on"
after_unclean_stop = "trade"
trading_day_rollover = {rollover:%H:%M:%S}
[limits]
max_order_qty = 1000000
max_order_notional = 1000000000
[log]
level = "warning"
"""
_ROUTE = '[[routes]]\nname = "{account}"\naccount = "{account}"\nbroker = "{broker}"\n'
_HEAD = f"[DEFAULT]\nSenderCompID={COMP_ID}\nReconnectInterval=1\nHeartBtInt=30\n"
_INSTRUMENTS = """\
symbol,security_exchange,currency,tick_size,lot_size,reference_price,min_price,max_price,tradable
AAPL,XNAS,USD,0.01,1,150,,,Y
"""


def session_name(role: str, version: str) -> str:
    """The name and TargetCompID of a counterparty: CLIENT42, BROKER50SP2."""
    return role.upper() + version.replace(".", "")


def account(version: str) -> str:
    """The account whose orders go to the broker of a version."""
    return f"TO-{session_name('broker', version)}"


def asks_nothing(dialect: str) -> str:
    """The text of a dialect whose broker is not asked for the state of orders, neither at a logon nor for being slow.

    A scenario says every message that a broker gets: such questions are in none of them.
    """
    quiet = "status_requests_per_second = 0\nacknowledge_seconds = 0\nanswer_seconds = 0\n"
    return dialect.replace("status_requests = true\n", f"status_requests = true\n{quiet}")


def write(directory: Path, versions: Iterable[str], ports: dict[str, int], rollover: time) -> Path:
    """Write all files; `ports` has `client` for all clients and one by the name of each broker. Raises OSError."""
    versions = list(versions)
    brokers = [session_name("broker", version) for version in versions]
    accounts = [account(version) for version in versions]
    routes = [_ROUTE.format(account=one, broker=broker) for one, broker in zip(accounts, brokers, strict=True)]
    sessions = [_session(role, version, ports) for role in ROLES for version in versions]
    texts = {
        "oms.toml": _TOML.format(rollover=rollover) + "".join(routes),
        "sessions.cfg": _HEAD + "".join(sessions),
        "instruments.csv": _INSTRUMENTS,
        "accounts.csv": "account,clients,active\n" + "".join(f"{one},*,Y\n" for one in accounts),
    }
    for name, text in demo_files().items():
        if name.startswith("fix_specs/"):
            texts[name] = asks_nothing(text)
    for name, text in texts.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    config = directory / "oms.toml"
    config.chmod(0o600)
    return config


def _session(role: str, version: str, ports: dict[str, int]) -> str:
    name = session_name(role, version)
    lines = [f"[SESSION]\nOmsName={name}\nTargetCompID={name}\nBeginString={BEGIN_STRINGS[version]}"]
    if role == "client":
        lines.append(f"ConnectionType=acceptor\nSocketAcceptPort={ports['client']}\nAllowedRemoteAddresses=127.0.0.1")
    else:
        lines.append(f"ConnectionType=initiator\nSocketConnectHost=127.0.0.1\nSocketConnectPort={ports[name]}")
    if version == "5.0SP2":
        lines.append("DefaultApplVerID=FIX.5.0SP2")
    lines.append(f"OmsDialect=standard-fix{version.replace('.', '').lower()}")
    return "\n".join(lines) + "\n"
