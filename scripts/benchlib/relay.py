"""The baseline: a bare relay on QuickFIX, as the documentation of its Python binding leads one to write it.

Acceptor in, each message rebuilt field by field with ``setField``, initiator out, and the reports back the same way.
File store and dictionary validation on; no risk check, no ledger, no log, no own identifiers. Flat messages only:
repeating groups would need more. It stands for what the engine costs in Python without any product around it, so it
uses nothing of ours and is not tuned. Ends when its stdin ends.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import quickfix as fix

SOH = "\x01"
ENGINE_TAGS = {"8", "9", "10", "34", "35", "43", "49", "52", "56", "122"}  # the engine fills these in
BEGIN_STRING = "FIX.4.4"
SETTINGS = """[DEFAULT]
BeginString={begin_string}
SenderCompID=GATEWAY
FileStorePath={directory}/store
DataDictionary={dictionary}
UseDataDictionary=Y
NonStopSession=Y
HeartBtInt=30
ReconnectInterval=1
SocketNodelay=Y

[SESSION]
"""
CLIENT_SESSION = "ConnectionType=acceptor\nTargetCompID=CLIENT\nSocketAcceptPort={port}\n"
BROKER_SESSION = (
    "ConnectionType=initiator\nTargetCompID=BROKER\nSocketConnectHost=127.0.0.1\nSocketConnectPort={port}\n"
)


class Relay(fix.Application):
    """Client's messages to the broker, broker's messages to the client, on the engine's own threads."""

    def __init__(self) -> None:
        super().__init__()
        self._client = fix.SessionID(BEGIN_STRING, "GATEWAY", "CLIENT")
        self._broker = fix.SessionID(BEGIN_STRING, "GATEWAY", "BROKER")

    def fromApp(self, message: fix.Message, session_id: fix.SessionID) -> None:
        """Rebuild the message and send it to the other side."""
        outbound = fix.Message()
        for pair in message.toString().split(SOH):
            tag, _, value = pair.partition("=")
            if tag == "35":
                outbound.getHeader().setField(35, value)
            elif tag and tag not in ENGINE_TAGS:
                outbound.setField(int(tag), value)
        from_client = session_id.getTargetCompID().getValue() == "CLIENT"
        fix.Session.sendToTarget(outbound, self._broker if from_client else self._client)

    def onCreate(self, session_id: fix.SessionID) -> None:
        """Nothing to do."""

    def onLogon(self, session_id: fix.SessionID) -> None:
        """Nothing to do."""

    def onLogout(self, session_id: fix.SessionID) -> None:
        """Nothing to do."""

    def toAdmin(self, message: fix.Message, session_id: fix.SessionID) -> None:
        """Nothing to do."""

    def fromAdmin(self, message: fix.Message, session_id: fix.SessionID) -> None:
        """Nothing to do."""

    def toApp(self, message: fix.Message, session_id: fix.SessionID) -> None:
        """Nothing to do."""


def settings(directory: Path, name: str, session: str, port: int) -> fix.SessionSettings:
    """Settings for one side; an acceptor does not take settings that have an initiator session too."""
    dictionary = Path(sys.prefix, "share", "quickfix", "FIX44.xml")
    common = SETTINGS.format(begin_string=BEGIN_STRING, directory=directory, dictionary=dictionary)
    path = directory / f"{name}.cfg"
    path.write_text(common + session.format(port=port), encoding="utf-8")
    return fix.SessionSettings(str(path))


def main() -> None:
    """Relay until stdin ends."""
    parser = argparse.ArgumentParser(description="A bare QuickFIX relay: the benchmark's baseline.")
    parser.add_argument("--client-port", type=int, required=True)
    parser.add_argument("--broker-port", type=int, required=True)
    parser.add_argument("--directory", type=Path, required=True)
    options = parser.parse_args()
    client_side = settings(options.directory, "client", CLIENT_SESSION, options.client_port)
    broker_side = settings(options.directory, "broker", BROKER_SESSION, options.broker_port)
    relay = Relay()
    client_store, broker_store = fix.FileStoreFactory(client_side), fix.FileStoreFactory(broker_side)
    acceptor = fix.ThreadedSocketAcceptor(relay, client_store, client_side)
    initiator = fix.ThreadedSocketInitiator(relay, broker_store, broker_side)
    acceptor.start()
    initiator.start()
    sys.stdin.read()
    os._exit(0)  # nothing to keep, and the engine's stop may wait for seconds


if __name__ == "__main__":
    main()
