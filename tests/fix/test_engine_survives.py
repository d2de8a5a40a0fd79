"""What a stranger sends as the first bytes of a connection, or a client as a data length, never ends the process.

The engine runs in a process of its own: without the edits of scripts/setuplib/engine_edits.py it is aborted by the
first of these messages, and takes its process with it.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import textwrap
from datetime import UTC, datetime
from pathlib import Path

import pytest

from oms.config.dictionaries import STANDARD_DIRECTORY

ACCEPTOR = """
    import sys
    from oms.fix.engine import Engine

    class Listener:
        def logged_on(self, *_): pass
        def logged_out(self, *_): pass
        def received(self, *_): pass
        def refused(self, session, raw, reason): pass
        def may_resend(self, *_): return True
        def failed(self, *_): pass

    engine = Engine("acceptor", sys.argv[1], {"FIX.4.4:OMS->CLIENT1": "CLIENT1"}, Listener())
    engine.start()
    print("open", flush=True)
    sys.stdin.read()
    import os
    os._exit(0)
"""
SETTINGS = """[DEFAULT]
ConnectionType=acceptor
FileStorePath={store}
NonStopSession=Y
HeartBtInt=30
UseDataDictionary=Y
DataDictionary={dictionary}
[SESSION]
BeginString=FIX.4.4
SenderCompID=OMS
TargetCompID=CLIENT1
SocketAcceptPort={port}
"""
LOGON = "35=A|34={number}|49=CLIENT1|52=20260302-12:00:00.000|56=OMS|98=0|108=30|"
FIRST_MESSAGES = {
    "a field that is no field": "35=A|junk|34=1|49=CLIENT1|56=OMS|",
    "a tag that is no number": "35=A|4x=1|34=1|49=CLIENT1|56=OMS|",
    "a data length beyond the message": "35=A|90=100000000|91=abc|34=1|49=CLIENT1|56=OMS|",
    "a negative data length": "35=A|90=-5|91=abc|34=1|49=CLIENT1|56=OMS|",
    "a data length beyond the message in a logon": LOGON.format(number=1) + "95=100000000|96=abc|",
}


def framed(body: str) -> bytes:
    """A message with the right BodyLength(9) and CheckSum(10) around a body written with `|`."""
    body = body.replace("|", "\x01")
    text = f"8=FIX.4.4\x019={len(body)}\x01{body}"
    return f"{text}10={sum(text.encode()) % 256:03d}\x01".encode()


@pytest.mark.parametrize("body", FIRST_MESSAGES.values(), ids=FIRST_MESSAGES.keys())
def test_a_garbled_first_message_closes_its_connection_and_nothing_else(tmp_path: Path, body: str) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = SETTINGS.format(store=tmp_path, dictionary=STANDARD_DIRECTORY / "FIX44.xml", port=port)
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(ACCEPTOR), settings],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "open\n"
        with socket.create_connection(("127.0.0.1", port), timeout=5) as stranger:
            stranger.sendall(framed(body))
            assert stranger.recv(1000) == b""  # closed without an answer
        with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
            client.sendall(framed(LOGON.format(number=1).replace("20260302-12:00:00.000", _now())))
            assert b"\x0135=A\x01" in client.recv(1000)
    finally:
        process.stdin.close()
        code = process.wait(10)
        process.stdout.close()
    assert code == 0


def _now() -> str:
    return f"{datetime.now(UTC):%Y%m%d-%H:%M:%S}.000"
