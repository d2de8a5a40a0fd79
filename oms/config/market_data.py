"""The settings of a FIX market data session (`[[prices.source]]` of kind fix): a QuickFIX file of one initiator.

It has an engine of its own, apart from the clients' and brokers': prices never pass the inbox, the journal or the
outbox. Limits: FIX.4.2 and FIX.4.4, without TLS; the session begins anew with each Logon(A) unless the file says no.
"""

from __future__ import annotations

from pathlib import Path

from oms.config.cfg_reader import read_cfg
from oms.config.dictionaries import STANDARD_DIRECTORY, STANDARD_NAMES
from oms.config.problems import Problems

VERSIONS = ("FIX.4.2", "FIX.4.4")
_NEEDED = ("BeginString", "SenderCompID", "TargetCompID", "SocketConnectHost", "SocketConnectPort")


def read_market_data(file: Path, named_by: str, problems: Problems) -> dict[str, str]:
    """The keys of the session, {} where anything is wrong with the file."""
    text = problems.read(file, named_by)
    if text is None:
        return {}
    before = len(problems.found)
    default, *sessions = read_cfg(text, file, problems)
    if len(sessions) != 1:
        problems.add(file, "", f"{len(sessions)} [SESSION] sections", "write one: a source is one session")
        return {}
    values = default.values | sessions[0].values
    for name in _NEEDED:
        if name not in values:
            problems.add(file, f"[SESSION] {name}", "missing", f"add {name}=...")
    if values.get("ConnectionType", "initiator") != "initiator":
        problems.add(file, "[SESSION] ConnectionType", "not an initiator", "write ConnectionType=initiator")
    if (version := values.get("BeginString", VERSIONS[0])) not in VERSIONS:
        problems.add(file, "[SESSION] BeginString", f"{version} has no market data here", f"write {VERSIONS[-1]}")
    return values if len(problems.found) == before else {}


def engine_text(values: dict[str, str], store: Path) -> tuple[str, str]:
    """The session's id, and the settings for the engine with what the file leaves out."""
    given = {
        "ConnectionType": "initiator",
        "HeartBtInt": "30",
        "ReconnectInterval": "5",
        "StartTime": "00:00:00",
        "EndTime": "00:00:00",
        "ResetOnLogon": "Y",
        "FileStorePath": str(store),
        "DataDictionary": str(STANDARD_DIRECTORY / STANDARD_NAMES[values["BeginString"]]),
    } | {name: value for name, value in values.items() if not name.startswith("Oms")}
    lines = "\n".join(f"{name}={value}" for name, value in given.items())
    session_id = f"{given['BeginString']}:{given['SenderCompID']}->{given['TargetCompID']}"
    return session_id, f"[DEFAULT]\n[SESSION]\n{lines}\n"
