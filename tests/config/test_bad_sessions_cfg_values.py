"""What sessions.cfg may not say of names, stores, times, certificates and dictionaries.

Every case spoils the demo configuration in one place and compares the whole list of messages (I12).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.config.conftest import Desk

CFG = "sessions.cfg"

CASES: dict[str, tuple[tuple[str, ...], list[str]]] = {
    "a qualifier on a client": (
        ("change", CFG, "SocketAcceptPort=5201", "SocketAcceptPort=5201\nSessionQualifier=A"),
        [
            (
                "sessions.cfg: [SESSION] CLIENT1 SessionQualifier: not a key of an acceptor session; "
                "remove it, or correct ConnectionType"
            ),
        ],
    ),
    "DataDictionary on FIXT": (
        ("change", CFG, "TransportDataDictionary=FIXT11.xml", "DataDictionary=FIXT11.xml"),
        [
            (
                "sessions.cfg: [SESSION] BROKER2 DataDictionary: not a key of a FIXT.1.1 session; remove "
                "it, or correct BeginString"
            ),
        ],
    ),
    "an engine-wide key in one session": (
        ("change", CFG, "SocketConnectPort=5301", "SocketConnectPort=5301\nReconnectInterval=5"),
        [
            (
                "sessions.cfg: [SESSION] BROKER1 ReconnectInterval: QuickFIX has one value of it for all "
                "sessions; move it to [DEFAULT]"
            ),
        ],
    ),
    "two sessions of one name": (
        ("change", CFG, "OmsName=CLIENT2", "OmsName=CLIENT1"),
        [
            (
                'sessions.cfg: [SESSION] CLIENT1: a second session named "CLIENT1"; give each session an '
                "OmsName of its own"
            ),
        ],
    ),
    "a session name with a space": (
        ("change", CFG, "OmsName=CLIENT1", "OmsName=CLIENT 1"),
        [
            (
                'sessions.cfg: line 13 OmsName: "CLIENT 1" is not 1 to 32 letters, digits, _ or -; write '
                "for example OmsName=CLIENT1"
            ),
        ],
    ),
    "a TargetCompID that cannot be a name": (
        (
            "change",
            CFG,
            "OmsName=CLIENT1\nConnectionType=acceptor\nBeginString=FIX.4.4\nTargetCompID=CLIENT1",
            "ConnectionType=acceptor\nBeginString=FIX.4.4\nTargetCompID=CLI.ENT",
        ),
        [
            ("sessions.cfg: [SESSION] CLI.ENT OmsName: missing, and CLI.ENT cannot be a name; add OmsName=NAME"),
        ],
    ),
    "a CompID that cannot be a file name": (
        ("change", CFG, "TargetCompID=CLIENT1", "TargetCompID=CLI/ENT1"),
        [
            (
                'sessions.cfg: line 16 TargetCompID: "CLI/ENT1" is not 1 to 64 printable characters '
                "without space, /, \\, : or >; write for example TargetCompID=CLIENT1"
            ),
        ],
    ),
    "a broker on a client's port": (
        ("change", CFG, "SocketConnectPort=5301", "SocketConnectPort=5201"),
        [
            (
                "sessions.cfg: [SESSION] BROKER1 SocketConnectPort: 5201 is where this gateway listens for "
                "CLIENT2; give the broker's own host and port"
            ),
        ],
    ),
    "a store path": (
        ("change", CFG, "HeartBtInt=30", "HeartBtInt=30\nFileStorePath=/tmp"),
        [
            (
                "sessions.cfg: line 9 FileStorePath: set by the gateway; remove it; the stores are in "
                "state_dir/fix_store ([gateway] state_dir)"
            ),
        ],
    ),
    "QuickFIX's web page": (
        ("change", CFG, "HeartBtInt=30", "HeartBtInt=30\nHttpAcceptPort=8080"),
        [
            (
                "sessions.cfg: line 9 HttpAcceptPort: opens a web page without a password that can reset "
                "sequence numbers; remove it; use `oms sessions`"
            ),
        ],
    ),
    "a MySQL store": (
        ("change", CFG, "HeartBtInt=30", "HeartBtInt=30\nMySQLStoreHost=x"),
        [
            (
                "sessions.cfg: line 9 MySQLStoreHost: not used by this gateway; remove it; the ledger is "
                "[database] in oms.toml"
            ),
        ],
    ),
    "a file log": (
        ("change", CFG, "HeartBtInt=30", "HeartBtInt=30\nFileLogPath=x"),
        [
            ("sessions.cfg: line 9 FileLogPath: not used by this gateway; remove it; the log is [log] in oms.toml"),
        ],
    ),
    "a logon time": (
        ("change", CFG, "HeartBtInt=30", "HeartBtInt=30\nLogonTime=08:00:00"),
        [
            ("sessions.cfg: line 9 LogonTime: not supported by this gateway; remove it; use StartTime and EndTime"),
        ],
    ),
    "no dictionary": (
        ("change", CFG, "HeartBtInt=30", "HeartBtInt=30\nUseDataDictionary=N"),
        [
            (
                'sessions.cfg: line 9 UseDataDictionary: "N" is not Y, which this gateway relies on; write '
                "for example UseDataDictionary=Y"
            ),
        ],
    ),
    "messages not kept": (
        ("change", CFG, "HeartBtInt=30", "HeartBtInt=30\nPersistMessages=N"),
        [
            (
                'sessions.cfg: line 9 PersistMessages: "N" is not Y, which this gateway relies on; write '
                "for example PersistMessages=Y"
            ),
        ],
    ),
    "half a schedule": (
        ("change", CFG, "HeartBtInt=30", "HeartBtInt=30\nStartTime=00:00:00"),
        [
            "sessions.cfg: [DEFAULT] StartTime: without EndTime; add EndTime, or remove StartTime",
        ],
    ),
    "a schedule that never stops": (
        (
            "change",
            CFG,
            "HeartBtInt=30",
            "HeartBtInt=30\nStartTime=00:00:00\nEndTime=00:00:00\nNonStopSession=Y",
        ),
        [
            (
                "sessions.cfg: [DEFAULT] NonStopSession: Y together with StartTime; remove NonStopSession "
                "or the schedule"
            ),
        ],
    ),
    "days without times": (
        ("change", CFG, "HeartBtInt=30", "HeartBtInt=30\nStartDay=Sunday\nEndDay=Friday"),
        [
            "sessions.cfg: [DEFAULT] StartDay: without StartTime; add StartTime and EndTime",
        ],
    ),
    "times that are none": (
        ("change", CFG, "HeartBtInt=30", "HeartBtInt=30\nStartTime=8:00\nEndTime=24:00:00"),
        [
            ('sessions.cfg: line 9 StartTime: "8:00" is not a time HH:MM:SS; write for example StartTime=00:00:00'),
            ('sessions.cfg: line 10 EndTime: "24:00:00" is not a time HH:MM:SS; write for example EndTime=00:00:00'),
        ],
    ),
    "a second host without port": (
        ("change", CFG, "SocketConnectPort=5301", "SocketConnectPort=5301\nSocketConnectHost1=backup"),
        [
            (
                "sessions.cfg: [SESSION] BROKER1 SocketConnectHost1: without SocketConnectPort1; add "
                "SocketConnectPort1, or remove SocketConnectHost1"
            ),
        ],
    ),
    "an empty file": (
        ("write", CFG, ""),
        [
            "sessions.cfg: [SESSION]: no client session; add a [SESSION] with ConnectionType=acceptor",
            "sessions.cfg: [SESSION]: no broker session; add a [SESSION] with ConnectionType=initiator",
        ],
    ),
    "a certificate without TLS": (
        ("change", CFG, "[DEFAULT]", "[DEFAULT]\nServerCertificateFile=oms.toml"),
        [
            (
                "sessions.cfg: [DEFAULT] ServerCertificateFile: no session has OmsTls=Y; add OmsTls=Y, or "
                "remove the TLS keys"
            ),
        ],
    ),
    "authorities spelt otherwise": (
        ("change", CFG, "[DEFAULT]", "[DEFAULT]\nCertificateAuthoritiesFile=oms.toml"),
        [
            (
                "sessions.cfg: line 6 CertificateAuthoritiesFile: not what QuickFIX calls it; write "
                "CertificationAuthoritiesFile"
            ),
        ],
    ),
    "a dictionary that is not there": (
        ("change", CFG, "DataDictionary=FIX44.xml", "DataDictionary=FIX45.xml"),
        [
            (
                "sessions.cfg: [SESSION] CLIENT1 DataDictionary: no file FIX45.xml in fix_specs and "
                "STANDARD; put it there, or write DataDictionary=FIX44.xml"
            ),
        ],
    ),
    "a dictionary path that is not there": (
        ("change", CFG, "DataDictionary=FIX44.xml", "DataDictionary=specs/a.xml"),
        [
            (
                "sessions.cfg: [SESSION] CLIENT1 DataDictionary: no file specs/a.xml in specs; put it "
                "there, or write DataDictionary=FIX44.xml"
            ),
        ],
    ),
    "a dictionary of another version": (
        ("change", CFG, "DataDictionary=FIX44.xml", "DataDictionary=FIX42.xml"),
        [
            (
                "sessions.cfg: [SESSION] CLIENT1 DataDictionary: STANDARD/FIX42.xml is for FIX.4.2, not "
                "FIX.4.4; write DataDictionary=FIX44.xml"
            ),
        ],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_bad_values_of_sessions_cfg_are_refused_with_file_key_and_remedy(desk: Desk, case: str) -> None:
    (action, *arguments), expected = CASES[case]
    getattr(desk, action)(*arguments)
    assert desk.problems() == expected
