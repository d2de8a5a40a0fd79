"""Makes an engine for some sessions of one side, which does not run yet."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import quickfix as fix

from oms.config.load import Config, engine_settings
from oms.config.session_keys import Side
from oms.errors import OperatorError
from oms.fix.engine import Engine
from oms.fix.handle import EngineListener
from oms.fix.logon import Credentials, logon_of
from oms.fix.ports import Guest, Host


def make_engine(
    config: Config,
    side: Side,
    listener: EngineListener,
    store_failed: Callable[[str, str], None],
    may_send: Callable[[], bool],
    host: Host | None = None,
) -> Engine:
    """For the sessions of one side of a configuration. Opens their message stores; no port, no connection.

    `host`: the engine that has the ports of these clients open already; None where they are to be opened.
    """
    specs, problem = config.side(side), ""
    port_of = {spec.name: spec.port for spec in specs}
    make: Callable[..., Engine] = Engine
    if side == "client":
        make = partial(Host, port_of.values()) if host is None else partial(Guest, host, port_of)
    try:
        return make(
            "initiator" if side == "broker" else "acceptor",
            engine_settings(config, side),
            {spec.session_id: spec.name for spec in specs},
            listener,
            tls=config.tls(side),
            store_failed=store_failed,
            may_send=may_send,
            **logon_of(side, specs, config.directory),
        )
    except (fix.ConfigError, fix.RuntimeError) as error:
        problem = str(error)
    # raised out here, because that error's traceback would keep the native engine alive
    names = ", ".join(spec.name for spec in specs)
    raise OperatorError(f"the FIX engine cannot make the sessions {names}: {problem}; correct sessions.cfg")


def make_one(
    name: str, session_id: str, settings: str, listener: EngineListener, tls: bool, credentials: Credentials | None
) -> Engine:
    """For one session of its own, that we connect. Raises OperatorError where the engine does not take it."""
    problem = ""
    try:
        given = {} if credentials is None else {name: credentials}
        return Engine("initiator", settings, {session_id: name}, listener, tls=tls, credentials=given)
    except (fix.ConfigError, fix.RuntimeError) as error:
        problem = str(error)
    raise OperatorError(f"the FIX engine cannot make the session {session_id}: {problem}; correct its settings")
