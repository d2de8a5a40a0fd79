"""QuickFIX behind a small, safe surface: sessions in, raw text out, nothing else of the engine visible.

Facts of the engine this module lives with (measured; see docs/decisions/quickfix.md):
- An exception that leaves a callback ends the engine's thread, so every callback is guarded and reported.
- `fromApp` returning means "processed"; a listener that cannot take a message must block, not raise.
- A send while logged out would be stored and leave later. `toApp` refuses it, under the session's lock.
- A resend passes through `toApp` with PossDupFlag(43)=Y; the listener decides, a refusal becomes a gap fill.

Threads: one engine thread per connection calls the listener; `send` may be called from any one thread per
session. Listener methods must be quick; blocking in `received` pushes back on that session alone.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import quickfix as fix

from oms.errors import StoreFailure, Unsendable
from oms.fix.callbacks import Application, LogFactory, pin_thread, unpin_thread
from oms.fix.engine_words import ACCEPTED, ALLOWS, STORE_FAILED, complains
from oms.fix.handle import SOH, EngineListener, SessionHandle, msg_seq_num, msg_type
from oms.fix.logon import LOCKED_OUT, NOT_ACCEPTED, Credentials, Door, masked, show


class Engine:
    """All sessions of one direction (`acceptor` or `initiator`) in this process.

    `settings` is QuickFIX settings text; `names` maps the engine's session id text to the configured name.
    """

    def __init__(
        self,
        direction: str,
        settings: str,
        names: Mapping[str, str],
        listener: EngineListener,
        *,
        tls: bool = False,
        store_failed: Callable[[str, str], None] = lambda session, problem: None,
        may_send: Callable[[], bool] = lambda: True,
        doors: Mapping[str, Door] | None = None,
        credentials: Mapping[str, Credentials] | None = None,
    ) -> None:
        """`doors` are of sessions whose Logon(A) is checked, `credentials` of those that we log on to with some."""
        self._listener = listener
        self._connects = direction == "initiator"
        self._may_send = may_send  # asked last of all before the engine is called, which asks nobody
        self._store_failed = store_failed  # called under a session's lock: it must not wait for a sender
        self._logged_out = threading.Condition()
        self.sessions: dict[str, SessionHandle] = {}
        self._by_id: dict[str, SessionHandle] = {}
        self._by_address: dict[int, SessionHandle] = {}
        self._ended: bool | None = None  # what `stop` has said
        self.accepted: dict[int, float] = {}  # when a connection was taken off a port last (monotonic)
        for session_id, name in names.items():
            handle = SessionHandle(name, session_id)
            handle.door, handle.credentials = (doors or {}).get(name), (credentials or {}).get(name)
            self.sessions[name] = self._by_id[session_id] = handle
        self._application = Application(self)
        self._settings = fix.SessionSettings()
        self._settings.setFromString(settings)
        self._store_factory = fix.FileStoreFactory(self._settings)
        self._log_factory = LogFactory(self)
        kinds: dict[tuple[str, bool], Callable[..., Any]] = {
            ("acceptor", False): fix.ThreadedSocketAcceptor,
            ("acceptor", True): fix.SSLSocketAcceptor,
            ("initiator", False): fix.ThreadedSocketInitiator,
            ("initiator", True): fix.SSLSocketInitiator,
        }
        self._engine = kinds[direction, tls](
            self._application, self._store_factory, self._settings, self._log_factory
        )

    # -- owner's side ------------------------------------------------------------------------------------

    def start(self) -> None:
        """Open ports or begin to connect. Raises OSError with the engine's words where a port is taken."""
        problem = ""
        try:
            self._engine.start()
        except (fix.ConfigError, fix.RuntimeError) as error:
            problem = str(error)
        if problem:  # raised out here, because that error's traceback would keep the native engine alive
            raise OSError(problem)

    def stop(self, seconds: float = 5.0) -> bool:
        """Log out and close everything. False if the engine did not finish in time (a stalled peer).

        The owner must have released every callback that blocks: the engine waits for it without limit.
        """
        if self._ended is not None:
            return self._ended
        deadline = time.monotonic() + seconds
        engines = self._served()
        handles = [handle for engine in engines for handle in engine.sessions.values()]
        for handle in handles:
            if handle.logged_on:
                handle.engine_session.logout("the gateway stops")
        for engine in engines:
            engine._await_logouts(min(deadline, time.monotonic() + 3.0))
        done = threading.Event()

        def work() -> None:
            for handle in handles:
                if handle.logged_on:
                    handle.engine_session.disconnect()
            self._engine.stop(True)
            done.set()

        threading.Thread(target=work, name="fix-stop", daemon=True).start()
        finished = done.wait(max(deadline - time.monotonic(), 0.5))
        while finished and any(handle.sending for handle in handles):
            finished = time.monotonic() < deadline  # a send under way still holds its session
            time.sleep(0.001)
        if finished:
            self.drop()
        self._ended = finished
        return finished

    def drop(self) -> None:
        """Give up the sessions and their stores, where no thread of an engine uses them (any more)."""
        del self._engine  # its end calls back into the factories, which must still be there

    def _served(self) -> Iterable[Engine]:
        """The engines whose sessions the threads of this one may serve, when it stops."""
        return (self,)

    def _await_logouts(self, deadline: float) -> None:
        with self._logged_out:
            self._logged_out.wait_for(
                # without a store there is no Logout(5) to wait for
                lambda: all(not one.logged_on or one.store_problem for one in self.sessions.values()),
                max(deadline - time.monotonic(), 0.0),
            )

    def send(self, session: str, texts: list[str]) -> list[str]:
        """Send application messages, each given as `35=..|tag=value|...` text (SOH-separated, with trailing SOH).

        Header fields 8, 9, 34, 49, 52, 56 are the engine's; repeating groups are read by the session's dictionaries.
        Returns the raw texts as they went out: fewer than were given if the session is logged out by then, or if
        the next one is no message; only where that is the first one, it raises Unsendable. What is not among them
        was not stored. StoreFailure where the session's store cannot be written.
        """
        handle = self.sessions[session]
        handle.sending = threading.get_ident()
        try:
            # Logged on is asked again under the session's lock; after `stop` there is no session.
            if not handle.logged_on or not self._may_send():
                return []
            # Without the envelope the engine's parser drops all but the first entry of a repeating group.
            left, problem = handle.engine_session.send([f"{handle.head}{text}10=000\x01" for text in texts])
        finally:
            handle.sending = 0
        if problem and not left:
            first_line = problem.partition("\n")[0]
            raise Unsendable(f"the FIX engine cannot make this message: {first_line}")
        if handle.store_problem and not left:
            raise StoreFailure(handle.store_problem)
        return left

    def numbers(self, session: str) -> tuple[int, int]:
        """The next MsgSeqNum(34) to send and the next to expect."""
        native = self.sessions[session].engine_session
        return native.getExpectedSenderNum(), native.getExpectedTargetNum()

    def idle_seconds(self, session: str) -> float | None:
        """Seconds since a thread of the engine looked after a session last; None where none is to do so.

        None is to do so for a session that others connect to while nobody is logged on, nor before the start or
        after the end.
        """
        handle = self.sessions[session]
        if not hasattr(self, "_engine") or not (handle.logged_on or self._connects):
            return None
        idle = float(fix._quickfix.session_idle_seconds(handle.engine_session))
        return None if idle < 0 else idle

    def set_next_target(self, session: str, number: int) -> None:
        """Expect `number` next: the counterparty will be asked to resend from there."""
        self.sessions[session].engine_session.setNextTargetMsgSeqNum(number)

    def set_next_sender(self, session: str, number: int) -> None:
        """Send under `number` next. Only while the session is logged out: a line that is up would be cut."""
        self.sessions[session].engine_session.setNextSenderMsgSeqNum(number)

    def wait_logged_out(self, session: str, seconds: float) -> bool:
        """Whether a session is down, waiting up to `seconds` for it."""
        with self._logged_out:
            return self._logged_out.wait_for(lambda: not self.sessions[session].logged_on, seconds)

    def cut(self, session: str) -> None:
        """End one session's connection without a Logout(5), as a network would; it logs on again."""
        handle = self.sessions[session]
        handle.is_cut = True
        handle.engine_session.disconnect()

    def logout(self, session: str, reason: str) -> None:
        """Log one session out with a Text(58) that says why; it stays out until `logon`."""
        self.sessions[session].engine_session.logout(reason)

    def logon(self, session: str) -> None:
        """Let a session that was logged out log on again."""
        self.sessions[session].engine_session.logon()

    def enabled(self, session: str) -> bool:
        """Whether a session may log on: not so from `logout` to `logon`."""
        return bool(self.sessions[session].engine_session.isEnabled())

    def set_logon(self, session: str, credentials: Credentials | None, *, asks: bool) -> None:
        """From the next Logon(A) on: what a counterparty has to show (`asks`), or what we do; None: nothing."""
        handle = self.sessions[session]
        if asks:
            handle.door = None if credentials is None else Door(credentials)
        else:
            handle.credentials = credentials

    def set_timing(self, session: str, key: str, value: str) -> None:
        """Change one of LogonTimeout, LogoutTimeout, MaxLatency (seconds), CheckLatency (Y or N) as it runs."""
        set_it = getattr(self.sessions[session].engine_session, f"set{key}")
        set_it(value == "Y" if key == "CheckLatency" else int(value))

    def disconnect(self, session: str) -> None:
        """Cut the connection without a Logout(5), as a network would."""
        self.sessions[session].engine_session.disconnect()

    # -- engine's side (called from engine threads) ------------------------------------------------------

    def handle_of(self, session_id: Any) -> SessionHandle | None:
        """The handle of an engine session id, None for one that is not configured.

        The engine passes a reference to a member of its session, which lives as long as the engine: its
        address is the key after the first look, because a call into the engine costs a turn of the GIL.
        """
        address = int(session_id.this)
        handle = self._by_address.get(address)
        if handle is None:
            handle = self._by_id.get(session_id.toString())
            if handle is not None and handle.engine_session is not None:
                self._by_address[address] = handle
        return handle

    def guarded(self, session_id: Any, action: Callable[[SessionHandle], None]) -> None:
        """Run a callback so that nothing it raises reaches the engine, which would die of it."""
        handle = self.handle_of(session_id)
        if handle is None:
            return
        try:
            action(handle)
        except Exception as error:
            self._listener.failed(handle.name, masked(handle.in_hand)[0], error)

    def _refused(self, session: str, raw: str, reason: str) -> None:
        """What the engine turned away, without the passwords that it may have had."""
        raw, reason = masked(raw, reason)
        self._listener.refused(session, raw, reason)

    def on_create(self, handle: SessionHandle) -> None:
        """Find the native session once; its pointer lives as long as the engine."""
        native_id = fix.SessionID()
        native_id.fromString(handle.session_id)
        handle.native_id = native_id
        handle.engine_session = fix.Session.lookupSession(native_id)

    def on_logon(self, handle: SessionHandle) -> None:
        """Mark up, then tell the listener with the sequence numbers in force."""
        pin_thread()
        handle.logged_on = True
        handle.last_number = 0
        native = handle.engine_session
        self._listener.logged_on(handle.name, native.getExpectedSenderNum(), native.getExpectedTargetNum())

    def on_logout(self, handle: SessionHandle) -> None:
        """Mark down; the engine also calls this for logons that never completed."""
        try:
            if handle.logged_on:
                handle.logged_on = False
                with self._logged_out:
                    self._logged_out.notify_all()
                self._listener.logged_out(handle.name)
        finally:
            unpin_thread()

    def on_to_admin(self, handle: SessionHandle, message: Any) -> None:
        """A Reject(3) of ours says that the engine refused a message: report which and why."""
        text = message.toString()
        kind = msg_type(text)
        if kind == "A" and handle.credentials is not None:
            show(message, handle.credentials)
        elif kind == "5" and handle.turned_away:
            handle.turned_away = False
            message.setField(58, NOT_ACCEPTED)  # nothing that helps to guess
        elif kind == "3":
            start = text.find("\x0158=")
            reason = text[start + 4 : text.find(SOH, start + 4)] if start >= 0 else "refused by the engine"
            tag = text.find("\x01371=")
            if tag >= 0:
                reason += f" (RefTagID(371)={text[tag + 5 : text.find(SOH, tag + 5)]})"
            raw = handle.in_hand
            handle.incoming.clear()
            self._refused(handle.name, raw, reason)

    def on_from_admin(self, handle: SessionHandle, message: Any) -> None:
        """Session messages are the engine's, but a Reject(3) is about one of ours, and a Logon(A) is checked."""
        raw = handle.in_hand
        handle.incoming.clear()  # so that no application message takes it for its own
        if handle.door is not None and not raw:
            raw = message.toString()  # the engine asks more than once about a Logon(A)
        kind = msg_type(raw)
        if kind == "3":
            self._listener.received(handle.name, raw)
        elif kind == "A":
            handle.is_cut = False
            if handle.door is not None and not self._let_in(handle, raw):
                return
            start = raw.find("\x01108=")
            text = raw[start + 5 : raw.find(SOH, start + 5)] if start >= 0 else ""
            handle.heartbeat_seconds = int(text) if text.isascii() and text.isdigit() and len(text) < 6 else 0

    def accepts(self, session_id: Any, message: Any) -> bool:
        """After `on_from_admin`: False for a Logon(A) that was not let in, or that nobody could look at."""
        handle = self.handle_of(session_id)
        if handle is None or handle.door is None or not handle.turned_away:
            return True
        handle.heartbeat_seconds = 0
        return False

    def _let_in(self, handle: SessionHandle, raw: str) -> bool:
        assert handle.door is not None
        handle.turned_away = True  # whatever fails from here on
        reason = handle.door.why_not(raw, handle.address)
        if not reason:
            handle.turned_away = False
            return True
        if not reason.startswith(LOCKED_OUT):  # that it is shut was told with the last wrong one
            self._refused(handle.name, raw, f"Logon(A) {NOT_ACCEPTED}: {reason}")
        return False

    def on_from_app(self, session_id: Any, message: Any) -> None:
        """Hand over the exact text; a message replayed from the engine's gap queue has only its own."""
        handle = self.handle_of(session_id)
        if handle is None:
            return
        raw = ""
        try:
            if handle.incoming:
                raw = handle.incoming.pop()
            number = msg_seq_num(raw)
            if not raw or number <= handle.last_number:
                raw = message.toString()
                number = msg_seq_num(raw)
            handle.last_number = number
            self._listener.received(handle.name, raw)
        except Exception as error:
            self._listener.failed(handle.name, raw, error)

    def on_to_app(self, session_id: Any, message: Any) -> bool:
        """Whether an application message may go out now. Runs under the session's lock."""
        handle = self.handle_of(session_id)
        if handle is None:
            return False
        if handle.sending == threading.get_ident():
            return handle.logged_on
        try:
            text = message.toString()
            if "\x0143=Y\x01" not in text:
                return handle.logged_on  # the engine's own BusinessMessageReject(j)
            if handle.is_cut:
                return False  # nothing leaves, no gap is filled
            return self._listener.may_resend(handle.name, text)
        except Exception as error:
            self._listener.failed(handle.name, "", error)
            return False

    def on_event(self, handle: SessionHandle | None, text: str) -> None:
        """The engine's log lines: those that tell of a message it would not take are reported."""
        try:
            if handle is None and text.startswith(ACCEPTED):
                port = text.rpartition(" ")[2]
                self.accepted[int(port) % 65536] = time.monotonic()
            elif handle is None and "Session not found" in text:
                _, _, raw = text.partition(": ")
                self._refused("", raw, "no such session on this port: check BeginString(8), the CompIDs and the port")
            elif handle is not None and text.startswith("IO Error") and any(it in text for it in STORE_FAILED):
                handle.store_problem = text
                with self._logged_out:
                    self._logged_out.notify_all()
                self._store_failed(handle.name, text)
            elif handle is not None and complains(text):
                reason = text.strip() or "a field that every message must have is missing"
                self._refused(handle.name, handle.in_hand, reason)
                handle.incoming.clear()
            elif handle is not None and text.startswith(ALLOWS):
                handle.address = text[len(ALLOWS) :]
        except Exception as error:
            self._listener.failed(handle.name if handle else "", "", error)
