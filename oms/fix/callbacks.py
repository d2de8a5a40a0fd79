"""What QuickFIX calls: its log, its log factory and its application, as thin as they can be.

Everything is handed to the `Engine` that made them. Facts behind the few lines here (measured): an exception
that leaves a callback ends the engine; a log object must be disowned by Python; a log method written in Python
costs a third of the throughput; an engine thread without a Python state of its own costs half of the CPU.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import quickfix as fix

from oms.fix.logon import NOT_ACCEPTED

if TYPE_CHECKING:  # the engine makes these objects, they only name it
    from oms.fix.engine import Engine
    from oms.fix.handle import SessionHandle

_ensure = ctypes.pythonapi.PyGILState_Ensure
_release = ctypes.pythonapi.PyGILState_Release
_thread = threading.local()


def pin_thread() -> None:
    """Keep this engine thread's Python state between callbacks.

    The engine's threads are not Python's: without this every callback makes a thread state and throws it
    away, which costs more than half of the CPU of a busy session. `unpin_thread` pairs it at logout.
    """
    if not hasattr(_thread, "pinned"):
        _thread.pinned = True
        _ensure()


def unpin_thread() -> None:
    """Let go of this thread's Python state; the thread of a connection ends after its logout."""
    if hasattr(_thread, "pinned"):
        del _thread.pinned
        _release(0)


class Log(fix.Log):
    """Remembers the raw text of the message in hand and turns complaints of the engine into `refused`.

    The two methods called per message are built-in functions: methods in Python cost a third of the throughput.
    As scripts/setup builds the engine, a text that came is told just before the callback for its message.
    """

    def __init__(self, owner: Engine, handle: SessionHandle | None) -> None:
        super().__init__()
        self._owner = owner
        self._handle = handle
        self.onIncoming: Callable[[str], Any] = handle.incoming.append if handle is not None else bool
        self.onOutgoing: Callable[[str], Any] = bool

    def clear(self) -> None:
        """Part of the engine's interface; nothing is kept here."""

    def backup(self) -> None:
        """Part of the engine's interface; nothing is kept here."""

    def onEvent(self, text: str) -> None:
        """A line of the engine's log."""
        self._owner.on_event(self._handle, text)


class LogFactory(fix.LogFactory):
    """Makes one log per session, and one for what belongs to none."""

    def __init__(self, owner: Engine) -> None:
        super().__init__()
        self._owner = owner
        self.logs: list[Log] = []  # the engine does not keep Python objects alive

    def create(self, *args: Any) -> Log:
        """Called by the engine, with a session id or without."""
        handle = self._owner.handle_of(args[0]) if args else None
        log = Log(self._owner, handle)
        self.logs.append(log)
        log.__disown__()  # the engine frees it; returned plainly it is freed twice and the heap is corrupt
        return log

    def destroy(self, log: Log) -> None:
        """The list above keeps the logs until the engine itself goes."""


class Application(fix.Application):
    """Hands every callback to the engine's owner, guarded: what raises here ends the engine."""

    def __init__(self, owner: Engine) -> None:
        super().__init__()
        self._owner = owner

    def onCreate(self, session_id: Any) -> None:
        """A session was made."""
        self._owner.guarded(session_id, self._owner.on_create)

    def onLogon(self, session_id: Any) -> None:
        """A session is up."""
        self._owner.guarded(session_id, self._owner.on_logon)

    def onLogout(self, session_id: Any) -> None:
        """A session is down."""
        self._owner.guarded(session_id, self._owner.on_logout)

    def toAdmin(self, message: Any, session_id: Any) -> None:
        """A session message leaves."""
        self._owner.guarded(session_id, lambda handle: self._owner.on_to_admin(handle, message))

    def fromAdmin(self, message: Any, session_id: Any) -> None:
        """A session message came; RejectLogon answers a Logon(A) with a Logout(5)."""
        self._owner.guarded(session_id, lambda handle: self._owner.on_from_admin(handle, message))
        if not self._owner.accepts(session_id, message):
            raise fix.RejectLogon(NOT_ACCEPTED)

    def toApp(self, message: Any, session_id: Any) -> None:
        """An application message leaves; DoNotSend keeps it."""
        if not self._owner.on_to_app(session_id, message):
            raise fix.DoNotSend

    def fromApp(self, message: Any, session_id: Any) -> None:
        """An application message came."""
        self._owner.on_from_app(session_id, message)
