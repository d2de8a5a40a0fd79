"""A counterparty made of fixcore-engine: a whole FIX engine in pure Python, with dictionaries of its own.

The engine lives in an asyncio loop on a thread of its own; the test's calls are handed over to it. It validates
what arrives with the dictionaries that it brings, so what the gateway writes is read by other eyes than QuickFIX's.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import fixcore.message.message as fixcore_message
from fixcore.application import Application
from fixcore.log.base import Log
from fixcore.log.factory import LogFactory
from fixcore.session.session_id import SessionID
from fixcore.session.session_settings import SessionSettings
from fixcore.store.factory import FileStoreFactory
from fixcore.transport.acceptor import SocketAcceptor
from fixcore.transport.initiator import SocketInitiator

from oms.sim.session import BEGIN_STRINGS
from oms.sim.wire import Message
from tests.foreign.peer import SECONDS, ForeignPeer, Where

DICTIONARIES = {
    "4.2": "DataDictionary=FIX42.xml",
    "4.4": "DataDictionary=FIX44.xml",
    "5.0SP2": "DefaultApplVerID=9\nTransportDataDictionary=FIXT11.xml\nAppDataDictionary=FIX50SP2.xml",
}
SETTINGS = """\
[DEFAULT]
ConnectionType={kind}
HeartBtInt={heartbeat}
ReconnectInterval=1
UseDataDictionary=Y
ValidateFieldsOutOfRange=Y
[SESSION]
BeginString={begin}
SenderCompID={sender}
TargetCompID={target}
SocketConnectHost=127.0.0.1
SocketConnectPort={port}
SocketAcceptHost=127.0.0.1
SocketAcceptPort={port}
{dictionaries}
"""


class _Quiet(Log):
    def on_incoming(self, message: str) -> None:
        """Not kept: the peer has what came."""

    def on_outgoing(self, message: str) -> None:
        """Not kept."""

    def on_event(self, text: str) -> None:
        """Not kept."""


class _NoLogs(LogFactory):
    def create(self, session_id: SessionID) -> Log:
        return _Quiet()


class _Told(Application):
    """What the engine says, handed to the peer."""

    def __init__(self, peer: FixcorePeer) -> None:
        self._peer = peer

    def on_logon(self, session_id: SessionID) -> None:
        self._peer.changed(True)

    def on_logout(self, session_id: SessionID) -> None:
        self._peer.changed(False)

    def from_app(self, message: fixcore_message.Message, session_id: SessionID) -> None:
        self._peer.told(message.encode().decode("latin-1"))

    def from_admin(self, message: fixcore_message.Message, session_id: SessionID) -> None:
        self._peer.told(message.encode().decode("latin-1"))


class FixcorePeer(ForeignPeer):
    """See the module head. `kind` is "initiator" for a client and "acceptor" for a broker."""

    def __init__(self, where: Where, kind: str, directory: Path) -> None:
        super().__init__(where)
        begin = BEGIN_STRINGS[where.version]
        settings = SessionSettings.from_string(
            SETTINGS.format(
                kind=kind,
                heartbeat=where.heartbeat_seconds,
                begin=begin,
                sender=where.name,
                target=where.gateway,
                port=where.port,
                dictionaries=DICTIONARIES[where.version],
            )
        )
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=f"fixcore-{where.name}")
        self._thread.start()
        directory.mkdir(parents=True)
        transport = SocketInitiator if kind == "initiator" else SocketAcceptor

        async def made() -> Any:
            return transport(settings, _Told(self), FileStoreFactory(directory), _NoLogs())

        self._transport = self._in_loop(made())
        self._session = self._transport.sessions[SessionID(begin, where.name, where.gateway)]

    def _in_loop(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(SECONDS)

    def connect(self) -> None:
        self._in_loop(self._transport.start())

    def cut(self) -> None:
        self._in_loop(self._transport.stop())
        self.wait_down()

    def log_out(self) -> None:
        self._in_loop(self._session.send_logout())
        self.wait_down()
        self._in_loop(self._transport.stop())

    def forget(self, count: int) -> None:
        async def back() -> None:
            store = self._session._store  # what a copy of yesterday's store would do
            store.set_next_target_msg_seq_num(store.next_target_msg_seq_num() - count)

        self._in_loop(back())

    def leave(self, raw: str, lost: bool) -> None:
        fields = Message("\x01" + raw).pairs
        message = fixcore_message.Message.from_fields(fields, self._session._data_dictionary)

        async def nowhere(data: bytes) -> None:
            """The line swallows it."""

        async def go() -> None:
            line = self._session._send_fn
            self._session._send_fn = nowhere if lost else line
            try:
                await self._session.send_app(message)
            finally:
                self._session._send_fn = line

        self._in_loop(go())

    def close(self) -> None:
        self._in_loop(self._transport.stop())
        self._session.close()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(SECONDS)
        self._loop.close()
