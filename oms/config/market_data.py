"""The settings of a FIX market data session (`[[prices.source]]` of kind fix): a QuickFIX file of one initiator.

It has an engine of its own, apart from the clients' and brokers': prices never pass the inbox, the journal or the
outbox. TLS and a password for the Logon(A) are asked for as in sessions.cfg: OmsTls, CertificationAuthoritiesFile,
OmsUsername, OmsPassword (its place, never itself). Limits: FIX.4.2 and FIX.4.4; the session begins anew with each
Logon(A) unless the file says no.
"""

from __future__ import annotations

from pathlib import Path

from oms.config.cfg_reader import read_cfg
from oms.config.dictionaries import STANDARD_DIRECTORY, STANDARD_NAMES
from oms.config.problems import Problems
from oms.config.secrets import is_reference
from oms.config.session_keys import TLS_FILES, TLS_KEYS

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
    _check_tls(file, values, problems)
    _check_password(file, values, problems)
    return values if len(problems.found) == before else {}


def _check_tls(file: Path, values: dict[str, str], problems: Problems) -> None:
    """TLS is on, with an authority to trust and files that are there, or nothing of it is configured."""
    if values.get("OmsTls", "N") not in ("Y", "N"):
        problems.add(file, "[SESSION] OmsTls", f"{values['OmsTls']} is neither Y nor N", "write Y or N")
    written = [name for name in TLS_KEYS if name in values]
    if values.get("OmsTls") != "Y":
        if written:
            problems.add(file, f"[SESSION] {written[0]}", "without OmsTls=Y", "add OmsTls=Y, or remove it")
        return
    if "CertificationAuthoritiesFile" not in values:
        name = "CertificationAuthoritiesFile"
        problems.add(file, f"[SESSION] {name}", "missing for OmsTls=Y", f"add {name}=FILE")
    for name in TLS_FILES:
        if name in values:
            found = (file.parent / Path(values[name]).expanduser()).absolute()
            if not found.is_file():
                problems.add(file, f"[SESSION] {name}", f"no file {values[name]}", "correct the name")
            values[name] = str(found)


def _check_password(file: Path, values: dict[str, str], problems: Problems) -> None:
    kept = values.get("OmsPassword", "")
    if kept and not is_reference(kept):
        remedy = "name its place: OmsPassword=file:NAME, env:NAME or command:PROGRAM"
        problems.add(file, "[SESSION] OmsPassword", "the password itself", remedy)
    for name in ("OmsUsername", "OmsPasswordIn"):
        if name in values and not kept:
            problems.add(file, f"[SESSION] {name}", "without OmsPassword", "add OmsPassword, or remove it")
    if values.get("OmsPasswordIn", "RawData") not in ("RawData", "Password"):
        problems.add(file, "[SESSION] OmsPasswordIn", "neither Password nor RawData", "write one of them")


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
