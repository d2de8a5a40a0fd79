"""What sessions.cfg may not say of roles, ports, keys and versions.

Every case spoils the demo configuration in one place and compares the whole list of messages (I12).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.config.conftest import Desk

CFG = "sessions.cfg"

COPY = (
    "[SESSION]\nOmsName=COPY1\nConnectionType=initiator\nBeginString=FIX.4.2\nTargetCompID=COPY1\n"
    "SocketConnectHost=127.0.0.1\nSocketConnectPort=5401\n"
)

CASES: dict[str, tuple[tuple[str, ...], list[str]]] = {
    "a role that there is not": (
        ("append", CFG, COPY + "OmsRole=copy\nOmsDropCopyOf=BROKER1\n"),
        ['sessions.cfg: line 63 OmsRole: "copy" is not drop_copy; write for example OmsRole=drop_copy'],
    ),
    "a drop copy of nobody": (
        ("append", CFG, COPY + "OmsRole=drop_copy\n"),
        [
            (
                "sessions.cfg: [SESSION] COPY1 OmsDropCopyOf: missing for OmsRole=drop_copy; add OmsDropCopyOf=NAME"
                " of a broker session"
            )
        ],
    ),
    "a drop copy of a broker that there is not": (
        ("append", CFG, COPY + "OmsRole=drop_copy\nOmsDropCopyOf=BROKER3\n"),
        [
            'sessions.cfg: [SESSION] COPY1 OmsDropCopyOf: no broker session "BROKER3"; did you mean BROKER2?',
        ],
    ),
    "a drop copy of a client": (
        ("append", CFG, COPY + "OmsRole=drop_copy\nOmsDropCopyOf=CLIENT1\n"),
        [
            (
                'sessions.cfg: [SESSION] COPY1 OmsDropCopyOf: "CLIENT1" is a client session; name a broker: BROKER1,'
                " BROKER2"
            )
        ],
    ),
    "two drop copies of one broker": (
        (
            "append",
            CFG,
            COPY
            + "OmsRole=drop_copy\nOmsDropCopyOf=BROKER1\n"
            + COPY.replace("COPY1", "COPY2")
            + "OmsRole=drop_copy\nOmsDropCopyOf=BROKER1\n",
        ),
        [
            (
                "sessions.cfg: [SESSION] COPY2 OmsDropCopyOf: BROKER1 has a drop copy already, COPY1; keep one of the"
                " two"
            )
        ],
    ),
    "a copy's broker without its role": (
        ("change", CFG, "OmsName=BROKER1\n", "OmsName=BROKER1\nOmsDropCopyOf=BROKER2\n"),
        [
            (
                "sessions.cfg: [SESSION] BROKER1 OmsDropCopyOf: without OmsRole=drop_copy; add OmsRole=drop_copy, or"
                " remove it"
            )
        ],
    ),
    "a stray line": (
        ("append", CFG, "hello\n"),
        [
            'sessions.cfg: line 56: "hello" is not Key=Value; put a # before it if it is a comment',
        ],
    ),
    "an unknown section": (
        ("append", CFG, "[SESION]\nBeginString=FIX.4.2\n"),
        [
            "sessions.cfg: line 56: unknown section [SESION]; write [DEFAULT] or [SESSION]",
        ],
    ),
    "a second DEFAULT": (
        ("append", CFG, "[DEFAULT]\nHeartBtInt=10\n"),
        [
            (
                "sessions.cfg: line 56: a second [DEFAULT] (the first is on line 5); move its keys to the "
                "first; QuickFIX ignores the second"
            ),
        ],
    ),
    "a line too long for QuickFIX": (
        ("append", CFG, "# " + "x" * 1022 + "\n"),
        [
            "sessions.cfg: line 56: longer than 1022 bytes; shorten it; QuickFIX reads no further",
        ],
    ),
    "a misspelt key": (
        ("change", CFG, "HeartBtInt=30", "HeartBeatInt=30"),
        [
            "sessions.cfg: line 8 HeartBeatInt: unknown key; did you mean HeartBtInt?",
        ],
    ),
    "a key that exists nowhere": (
        ("change", CFG, "HeartBtInt=30", "Foo=30"),
        [
            "sessions.cfg: line 8 Foo: unknown key; remove it; docs/configuration.md has the list",
        ],
    ),
    "a key written twice": (
        ("change", CFG, "HeartBtInt=30", "HeartBtInt=30\nheartbtint=20"),
        [
            "sessions.cfg: line 9 heartbtint: written twice (also on line 8); keep one of them",
        ],
    ),
    "a port out of range": (
        ("change", CFG, "SocketAcceptPort=5201", "SocketAcceptPort=70000"),
        [
            (
                'sessions.cfg: line 17 SocketAcceptPort: "70000" is not a whole number from 1 to 65535; '
                "write for example SocketAcceptPort=5201"
            ),
        ],
    ),
    "a comment behind a value": (
        ("change", CFG, "SocketAcceptPort=5201", "SocketAcceptPort=5201 # clients"),
        [
            (
                'sessions.cfg: line 17 SocketAcceptPort: "5201 # clients" is not a whole number from 1 to '
                "65535; write for example SocketAcceptPort=5201; a comment needs a line of its own"
            ),
        ],
    ),
    "an empty value": (
        ("change", CFG, "TargetCompID=CLIENT1", "TargetCompID="),
        [
            (
                'sessions.cfg: line 16 TargetCompID: "" is not 1 to 64 printable characters without space, '
                "/, \\, : or >; write for example TargetCompID=CLIENT1"
            ),
        ],
    ),
    "no TargetCompID": (
        ("change", CFG, "TargetCompID=CLIENT1\n", ""),
        [
            (
                "sessions.cfg: [SESSION] CLIENT1 TargetCompID: missing; add for example "
                "TargetCompID=CLIENT1, here or in [DEFAULT]"
            ),
        ],
    ),
    "no port to listen on": (
        ("change", CFG, "SocketAcceptPort=5201\n", ""),
        [
            (
                "sessions.cfg: [SESSION] CLIENT1 SocketAcceptPort: missing; add for example "
                "SocketAcceptPort=5201, here or in [DEFAULT]"
            ),
        ],
    ),
    "no host to connect to": (
        ("change", CFG, "SocketConnectHost=127.0.0.1\n", ""),
        [
            (
                "sessions.cfg: [SESSION] BROKER1 SocketConnectHost: missing; add for example "
                "SocketConnectHost=127.0.0.1, here or in [DEFAULT]"
            ),
        ],
    ),
    "no ConnectionType": (
        ("change", CFG, "ConnectionType=acceptor\n", ""),
        [
            (
                "sessions.cfg: [SESSION] CLIENT1 ConnectionType: missing; add for example "
                "ConnectionType=acceptor, here or in [DEFAULT]"
            ),
        ],
    ),
    "no BeginString": (
        ("change", CFG, "BeginString=FIX.4.4\n", ""),
        [
            (
                "sessions.cfg: [SESSION] CLIENT1 BeginString: missing; add for example "
                "BeginString=FIX.4.2, here or in [DEFAULT]"
            ),
        ],
    ),
    "an unsupported FIX version": (
        ("change", CFG, "BeginString=FIX.4.4\n", "BeginString=FIX.4.3\n"),
        [
            (
                'sessions.cfg: line 15 BeginString: "FIX.4.3" is not FIX.4.2 or FIX.4.4 or FIXT.1.1; write '
                "for example BeginString=FIX.4.2"
            ),
        ],
    ),
    "an unknown ConnectionType": (
        ("change", CFG, "ConnectionType=acceptor\n", "ConnectionType=client\n"),
        [
            (
                'sessions.cfg: line 14 ConnectionType: "client" is not acceptor or initiator; write for '
                "example ConnectionType=acceptor"
            ),
        ],
    ),
    "FIXT without DefaultApplVerID": (
        ("change", CFG, "DefaultApplVerID=FIX.5.0SP2\n", ""),
        [
            (
                "sessions.cfg: [SESSION] BROKER2 DefaultApplVerID: missing; add for example "
                "DefaultApplVerID=FIX.5.0SP2, here or in [DEFAULT]"
            ),
        ],
    ),
    "an unsupported DefaultApplVerID": (
        ("change", CFG, "DefaultApplVerID=FIX.5.0SP2\n", "DefaultApplVerID=FIX.5.0\n"),
        [
            (
                'sessions.cfg: line 49 DefaultApplVerID: "FIX.5.0" is not FIX.5.0SP2 or 9; write for '
                "example DefaultApplVerID=FIX.5.0SP2"
            ),
        ],
    ),
    "DefaultApplVerID on FIX 4.2": (
        ("change", CFG, "DataDictionary=FIX42.xml", "DefaultApplVerID=9"),
        [
            (
                "sessions.cfg: [SESSION] CLIENT2 DefaultApplVerID: not a key of a FIX.4.x session; remove "
                "it, or correct BeginString"
            ),
        ],
    ),
    "a host to connect to on a client": (
        ("change", CFG, "SocketAcceptPort=5201", "SocketAcceptPort=5201\nSocketConnectHost=localhost"),
        [
            (
                "sessions.cfg: [SESSION] CLIENT1 SocketConnectHost: not a key of an acceptor session; "
                "remove it, or correct ConnectionType"
            ),
        ],
    ),
    "a policy without a rate": (
        ("change", CFG, "SocketAcceptPort=5201", "SocketAcceptPort=5201\nOmsOverRate=delay"),
        [
            (
                "sessions.cfg: [SESSION] CLIENT1 OmsOverRate: without OmsMaxRate; add for example OmsMaxRate=50,"
                " or remove it"
            ),
        ],
    ),
    "what refines another policy": (
        (
            "change",
            CFG,
            "SocketAcceptPort=5201",
            "SocketAcceptPort=5201\nOmsMaxRate=9\nOmsMaxDelayed=5\nOmsDisconnectAfter=5",
        ),
        [
            (
                "sessions.cfg: [SESSION] CLIENT1 OmsMaxDelayed: without OmsMaxRate and OmsOverRate=delay; add them,"
                " or remove it"
            ),
            (
                "sessions.cfg: [SESSION] CLIENT1 OmsDisconnectAfter: without OmsMaxRate and OmsOverRate=disconnect;"
                " add them, or remove it"
            ),
        ],
    ),
    "a rate of a broker": (
        ("change", CFG, "SocketConnectPort=5301", "SocketConnectPort=5301\nOmsMaxRate=9"),
        [
            (
                "sessions.cfg: [SESSION] BROKER1 OmsMaxRate: not a key of an initiator session; remove it, or"
                " correct ConnectionType"
            ),
        ],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_bad_sessions_cfg_is_refused_with_file_key_and_remedy(desk: Desk, case: str) -> None:
    (action, *arguments), expected = CASES[case]
    getattr(desk, action)(*arguments)
    assert desk.problems() == expected
