"""QuickFIX itself takes what `engine_settings` writes, for every version and role, and reads it as meant."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from oms.config.load import engine_settings

if TYPE_CHECKING:
    from tests.config.conftest import Desk

fix = pytest.importorskip("quickfix")
pytestmark = pytest.mark.engine

SCHEDULES = {
    "none": "",
    "daily": "StartTime=06:00:00\nEndTime=22:00:00\n",
    "weekly": "StartTime=22:00:00\nEndTime=21:00:00\nStartDay=Sunday\nEndDay=fri\nUseLocalTime=Y\n",
}


class Quiet(fix.Application):  # type: ignore[misc,name-defined]
    """The callbacks that the engine makes while it makes its sessions, answered with nothing."""

    def onCreate(self, session_id: object) -> None:
        """A session was made."""


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_both_engines_are_made_with_all_their_sessions(desk: Desk, schedule: str) -> None:
    desk.change("sessions.cfg", "HeartBtInt=30\n", f"HeartBtInt=30\n{SCHEDULES[schedule]}")
    config = desk.load()
    for role, kind in (("client", fix.ThreadedSocketAcceptor), ("broker", fix.ThreadedSocketInitiator)):
        settings = fix.SessionSettings()
        settings.setFromString(engine_settings(config, role))
        application = Quiet()
        stores = fix.FileStoreFactory(settings)
        engine = kind(application, stores, settings)
        made = {session.toString() for session in engine.getSessions()}
        assert made == {spec.session_id for spec in config.role(role)}
        names = {path.name for path in (config.gateway.state_dir / "fix_store").iterdir()}
        assert {f"{spec.store_prefix}.seqnums" for spec in config.role(role)} <= names
        del engine


def test_engine_wide_values_are_where_quickfix_reads_them(desk: Desk) -> None:
    desk.change("sessions.cfg", "ReconnectInterval=2", "ReconnectInterval=7")
    settings = fix.SessionSettings()
    settings.setFromString(engine_settings(desk.load(), "broker"))
    defaults = settings.get()
    assert defaults.getInt("ReconnectInterval") == 7
    assert defaults.getBool("SocketNodelay") is True
    assert not defaults.has("OmsName")
