"""test and live never mix: marks of sessions, hosts of brokers, and the limits file that live asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from oms.config.load import load
from oms.errors import ConfigError

if TYPE_CHECKING:
    from tests.config.conftest import Desk

TOML, CFG = "oms.toml", "sessions.cfg"
LIVE = 'environment = "live"'


def live(desk: Desk) -> Desk:
    """A live desk that starts: every session marked, brokers elsewhere, no limits file asked for."""
    desk.change(TOML, 'environment = "test"', LIVE)
    desk.change(TOML, "[limits]\n", "[limits]\nrequire_row = false\n")
    desk.change(CFG, "[DEFAULT]\n", "[DEFAULT]\nOmsEnvironment=live\n")
    return brokers_at(desk, "127.0.0.1", "fix.broker.example")


def brokers_at(desk: Desk, old: str, new: str) -> Desk:
    """Both brokers at another host."""
    text = (desk.directory / CFG).read_text()
    return desk.write(CFG, text.replace(f"SocketConnectHost={old}\n", f"SocketConnectHost={new}\n"))


def problems(desk: Desk) -> list[str]:
    """Everything that speaks against a start."""
    try:
        load(desk.main)
    except ConfigError as error:
        return [f"{one.file.name}: {one.key}: {one.problem}; {one.remedy}" for one in error.problems]
    return []


def test_a_live_desk_with_every_session_marked_and_its_brokers_elsewhere_starts(desk: Desk) -> None:
    assert problems(live(desk)) == []
    assert {spec.environment for spec in desk.load().sessions.values()} == {"live"}


def test_a_session_of_the_other_environment_is_refused_on_either_side(desk: Desk) -> None:
    said = "test and live never mix"
    live(desk).change(CFG, "OmsName=BROKER2\n", "OmsName=BROKER2\nOmsEnvironment=test\n")
    assert problems(desk) == [
        "sessions.cfg: [SESSION] BROKER2 OmsEnvironment: the session is marked test, and [gateway] environment is"
        f' "live"; take the session that is for live; {said}'
    ]
    desk.change(TOML, LIVE, 'environment = "test"')
    assert [one.split(" OmsEnvironment")[0] for one in problems(desk)] == [
        f"sessions.cfg: [SESSION] {name}" for name in ("CLIENT1", "CLIENT2", "BROKER1")
    ]


def test_on_test_a_mark_may_be_there_and_on_live_it_must(desk: Desk) -> None:
    desk.change(CFG, "[DEFAULT]\n", "[DEFAULT]\nOmsEnvironment=test\n")
    assert problems(desk) == []
    live(desk).change(CFG, "OmsEnvironment=live\nOmsEnvironment=test\n", "")
    assert problems(desk) == [
        f"sessions.cfg: [SESSION] {name} OmsEnvironment: missing, on live every session is marked; add"
        " OmsEnvironment=live once you have made sure that its CompIDs and host are the live ones"
        for name in ("CLIENT1", "CLIENT2", "BROKER1", "BROKER2")
    ]


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.0.1", "localhost", "LOCALHOST", "::1", "0.0.0.0"])
def test_on_live_a_broker_on_this_machine_is_refused_unless_it_is_said_to_be_a_tunnel(desk: Desk, host: str) -> None:
    brokers_at(live(desk), "fix.broker.example", host)
    remedy = "give the broker's host, or add OmsAllowLoopback=Y if a tunnel or proxy here leads to it"
    assert problems(desk) == [
        f"sessions.cfg: [SESSION] {name} SocketConnectHost: {host} is this machine, on live; {remedy}"
        for name in ("BROKER1", "BROKER2")
    ]
    desk.change(CFG, "[DEFAULT]\n", "[DEFAULT]\nOmsAllowLoopback=Y\n")
    assert problems(desk) == []


def test_a_second_host_of_a_broker_counts_too(desk: Desk) -> None:
    live(desk).change(
        CFG, "OmsName=BROKER1\n", "OmsName=BROKER1\nSocketConnectHost1=127.0.0.1\nSocketConnectPort1=5399\n"
    )
    assert [one.split(":")[1] for one in problems(desk)] == [" [SESSION] BROKER1 SocketConnectHost1"]


def test_live_asks_for_a_limits_file_where_nothing_else_is_said_and_test_does_not(desk: Desk) -> None:
    assert not desk.load().require_row
    live(desk).change(TOML, "require_row = false\n", "")
    remedy = 'add limits = "limits.csv" to [files], with a row for each client or account; or require_row = false'
    assert problems(desk) == [
        "oms.toml: [limits] require_row: true (so it is on live where the key is absent), and [files] names no limits"
        f" file: every order would be refused; {remedy}"
    ]
    desk.change(TOML, '# limits = "limits.csv" ', 'limits = "limits.csv" ')
    assert (problems(desk), desk.load().require_row) == ([], True)
