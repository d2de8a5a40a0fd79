"""What `oms health` says of what it sees: each failure is told apart, and only what stops work is unhealthy."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from oms.config.load import Config, load
from oms.config.templates import write_demo
from oms.core.kill import Kill
from oms.ops import health
from oms.ops.health import BAD, OK, WARN, Health, Seen
from oms.ops.session_control import SessionControl
from oms.ops.standing import DISABLE, ENABLE, KeptOut

WELL = Seen(0.1, {"committer": True, "send-CLIENT1": True}, False, 0.0, True, 9.9, {}, {}, True, ())
KILL = Kill("K1", (("symbol", "AAPL"),), "ann", "x")
Found = dict[str, tuple[str, str]]


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Config:
    return load(
        write_demo(tmp_path_factory.mktemp("desk"), client_port=5201, broker_ports=(5301, 5302), trading="on")
    )


class Sessions:
    """Both engines' sessions, logged on, and what was asked of them."""

    def __init__(self, config: Config) -> None:
        self.sessions = {
            name: SimpleNamespace(logged_on=True, store_problem="", heartbeat_seconds=30) for name in config.sessions
        }
        self.asked: list[tuple[str, ...]] = []

    def logout(self, session: str, reason: str) -> None:
        self.asked.append((session, reason))


def findings(config: Config, seen: Seen = WELL, kept_out: Mapping[str, KeptOut] | None = None, **more: Any) -> Found:
    """By what they are about; `more` are attributes of the first broker's session."""
    engine: Any = Sessions(config)
    vars(engine.sessions[config.role("broker")[0].name]).update(more)
    made = Health(config, lambda: {"all": engine}, kept_out or {}, lambda: seen)
    return {one.about: (one.state, one.text) for one in made.findings()}


def unwell(found: Found) -> Found:
    return {about: one for about, one in found.items() if one[0] != OK}


def test_a_gateway_that_is_well_has_no_warning(config: Config) -> None:
    assert unwell(findings(config)) == {}


@pytest.mark.parametrize(
    ("changes", "about", "state", "text"),
    [
        ({"core_seconds": 7.0}, "core thread", BAD, "has not turned for 7 s; see the ledger and the log"),
        ({"threads": {"committer": False, "send-B": False, "send-C": True}}, "threads", BAD,
         "dead: committer, send-B; start the gateway again"),
        ({"outage": True}, "ledger", BAD, "gone: what was read waits, nothing leaves; see to the database"),
        ({"lag_seconds": 2.5}, "ledger", BAD, "reachable; the oldest batch waits for 2.5 s"),
        ({"lease_held": False}, "lease", BAD, "not held: nothing leaves; see to the database"),
        ({"lease_seconds_left": 0.4}, "lease", WARN, "held for another 0.4 s"),
        ({"trading": False}, "trading", WARN, "off: no new order leaves"),
        ({"kills": (KILL,)}, "kill switches", WARN, f"K1 for {KILL.text}"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_the_house_is_told_apart(
    config: Config, changes: dict[str, Any], about: str, state: str, text: str
) -> None:
    assert unwell(findings(config, WELL._replace(**changes))) == {about: (state, text)}


def test_sessions_that_are_out_warn_for_brokers_and_where_somebody_keeps_them_out(config: Config) -> None:
    broker, client = config.role("broker")[0].name, config.role("client")[0].name
    assert unwell(findings(config, logged_on=False)) == {f"session {broker}": (WARN, "logged out")}
    out = KeptOut(DISABLE, "ann", datetime(2026, 3, 2, 9, 30, tzinfo=UTC), "certificate")
    told = "disabled by ann since 2026-03-02 09:30:00 UTC: certificate"
    assert unwell(findings(config, kept_out={client: out})) == {f"session {client}": (WARN, told)}


def test_a_session_is_stalled_after_two_of_its_own_heartbeats(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "last_message_at", lambda spec: 1000.0)
    engine: Any = Sessions(config)
    now = 1060.0
    made = Health(config, lambda: {"all": engine}, {}, lambda: WELL, lambda: now)
    spec = config.role("broker")[0]
    assert made.stalled(spec) is None
    now = 1060.5
    assert made.stalled(spec) == 60.5
    engine.sessions[spec.name].heartbeat_seconds = 60
    assert made.stalled(spec) is None
    engine.sessions[spec.name].heartbeat_seconds = 30
    engine.sessions[spec.name].logged_on = False
    assert made.stalled(spec) is None


def test_queues_that_are_full_are_told(config: Config) -> None:
    broker, client = config.role("broker")[0].name, config.role("client")[0].name
    limit = config.inbox.per_session
    seen = WELL._replace(inbox={broker: limit, client: limit // 2}, outbox={client: 1001})
    assert unwell(findings(config, seen)) == {
        f"inbox {broker}": (BAD, f"full with {limit} messages: the session is held back"),
        f"inbox {client}": (WARN, f"{limit // 2} of {limit} messages wait for the core"),
        f"outbox {client}": (WARN, "1001 messages wait to be sent"),
    }


def test_a_store_that_cannot_be_written_is_unhealthy(config: Config) -> None:
    broker = config.role("broker")[0].name
    told = "its store cannot be written: no space; make room on that disk"
    assert unwell(findings(config, store_problem="no space")) == {f"session {broker}": (BAD, told)}


def test_a_start_keeps_out_whoever_was_disabled_last_and_is_still_configured(config: Config) -> None:
    broker, client = config.role("broker")[0].name, config.role("client")[0].name
    engine: Any = Sessions(config)
    control = SessionControl(config, None, lambda: {"all": engine}, None, None)  # type: ignore[arg-type]
    at = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
    done = [(DISABLE, client), (DISABLE, broker), (DISABLE, "GONE"), (ENABLE, client)]
    rows = [
        {"received_at": at, "detail": {"matter": ["ann", verb, [["session", name], ["text", "why"]]]}}
        for verb, name in done
    ]
    assert control.recover(rows) == [broker]
    assert engine.asked == [(broker, "why")]
    assert control.kept_out == {broker: KeptOut(DISABLE, "ann", at, "why")}
