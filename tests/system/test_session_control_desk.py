"""Sessions that are drained, reached from allowed addresses only, reset by schedule, and told by News(B)."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from oms.ledger.database import engine as ledger_engine
from oms.ledger.replay import verify_tables
from oms.ops.people import system_name
from tests.system.commands import answer, said
from tests.system.house import House
from tests.system.raw import RawClient
from tests.system.words import cancel, new_order, replace, report

DAILY = "StartTime=00:00:00\nEndTime=23:59:59\n"


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, shared_url: str) -> Iterator[House]:
    """CLIENT1 wants news, CLIENT2 may come from one address, CLIENT3 has a schedule; two brokers."""
    made = House(
        tmp_path_factory.mktemp("sessions"),
        shared_url,
        clients={"CLIENT1": "4.4", "CLIENT2": "4.4", "CLIENT3": "4.4", "CLIENT4": "4.2"},
        brokers={"BROKER1": "4.2", "BROKER2": "4.4"},
        session_keys={
            "CLIENT1": "OmsNews=Y\n",
            "CLIENT2": "AllowedRemoteAddresses=127.0.0.2\n",
            "CLIENT3": DAILY,
            "CLIENT4": "OmsNews=Y\n",
        },
    )
    try:
        made.peer("BROKER1")
        made.peer("BROKER2")
        made.start()
        yield made
        made.stop()
        made.check_chain()
        ledger = ledger_engine(made.url, read_only=True)
        try:
            assert verify_tables(ledger).differences == []
        finally:
            ledger.dispose()
    finally:
        made.close()


def listed(house: House) -> dict[str, tuple[str, str]]:
    found = answer(house, "sessions list")["sessions"]
    return {one["session"]: (one["state"], one["drained"]) for one in found}


def test_a_drained_client_and_broker_keep_what_they_have_and_get_nothing_new_also_after_a_start(house: House) -> None:
    client, first, second = house.up("CLIENT1", "BROKER1", "BROKER2")
    me = system_name(os.getuid())
    client.send(new_order("D1"))
    asked = first.expect("D")
    first.send(report(first, asked, "0", "N1"))
    client.expect("8", ClOrdID="D1", OrdStatus="0")

    code, text = said(house, "sessions drain BROKER1 --reason", "they close early")
    assert (code, text.startswith(f"BROKER1 is drained by {me} since ")) == (0, True), text
    drained = answer(house, "sessions drain CLIENT1 --reason leaving")["drained"]
    assert said(house, "sessions drain CLIENT1 --reason again")[0] == 2
    client.send(new_order("D2"))
    assert client.expect("8", ClOrdID="D2", OrdStatus="8")[58] == "drain: CLIENT1 is drained, no new risk is taken"
    client.send(replace("D3", "D1", qty=200))
    assert "is drained" in client.expect("9", ClOrdID="D3")[58]
    client.send(replace("D4", "D1", qty=50))
    first.expect("G")
    assert listed(house)["CLIENT1"] == ("logged on, drained", drained)
    assert answer(house, "sessions show CLIENT1")["state"] == f"logged on, {drained}"

    house.stop()
    house.start()
    client, first, second = house.up("CLIENT1", "BROKER1", "BROKER2")
    client.send(new_order("D5"))
    assert client.expect("8", ClOrdID="D5", OrdStatus="8")[58] == "drain: CLIENT1 is drained, no new risk is taken"
    answer(house, "sessions drain CLIENT1 --undo --reason", "they stay")
    assert said(house, "sessions drain CLIENT1 --undo --reason again")[0] == 2
    client.send(new_order("D6"))
    asked = second.expect("D")  # the first is passed over
    second.send(report(second, asked, "0", "N6"))
    client.expect("8", ClOrdID="D6", OrdStatus="0")
    assert "BROKER1 passed over, is drained" in said(house, "orders explain D6")[1]
    client.send(cancel("D7", "D6"))
    second.expect("F")
    answer(house, "sessions drain BROKER1 --undo --reason", "they are open")
    assert listed(house)["BROKER1"] == ("logged on", "")


def test_a_logon_from_an_address_that_is_not_allowed_is_not_answered(house: House) -> None:
    with RawClient(house.client_port, "CLIENT2", house.comp_id) as raw:
        raw.send("35=A|98=0|108=30|141=Y")
        raw.expect_closed()
        assert raw.received == []
    (refused,) = house.until("SELECT detail FROM journal WHERE kind = 'refused' AND session = 'CLIENT2'")
    assert refused["detail"]["refused"] == "Deny connections to the acceptor from 127.0.0.1"
    with RawClient(house.client_port, "CLIENT2", house.comp_id, source="127.0.0.2") as raw:
        assert raw.logon().type == "A"
        raw.logout()


def test_clients_that_want_news_are_told_of_a_kill_that_concerns_them_and_of_its_end(house: House) -> None:
    client, old, other = house.up("CLIENT1", "CLIENT4", "CLIENT3")
    kill = answer(house, "kill engage --symbol SAP --reason", "prices are wrong")["kill_id"]
    for one in (client, old):
        told = one.expect("B")
        assert (told[148], told[33], told[58]) == (
            "Kill switch engaged",
            "1",
            f"new orders and replaces are refused for symbol SAP ({kill})",
        )
    answer(house, f"kill release {kill} --reason", "prices are right")
    for one in (client, old):
        assert one.expect("B")[148] == "Kill switch released"
    mine = answer(house, "kill engage --client CLIENT4 --reason test")["kill_id"]
    assert mine in old.expect("B")[58]
    private = answer(house, "kill engage --account FUND1 --reason test --wait 0", code=1)["kill_id"]
    assert private in client.expect("B")[58]  # it has an order in that account
    for one in (mine, private):
        answer(house, f"kill release {one} --reason over")
    assert (mine in old.expect("B")[58], private in client.expect("B")[58]) == (True, True)
    assert not any(mine in one[58] for one in client.received if one.type == "B")
    assert not any(private in one[58] for one in old.received if one.type == "B")
    other.expect_nothing("B")
    sent = "SELECT FROM journal JOIN sends USING (seq) WHERE msg_type = 'B' AND outcome = 'sent' HAVING count(*) = 8"
    house.until(sent)


def test_a_session_with_a_schedule_starts_at_1_on_a_new_day_and_shows_when_the_next_begins(house: House) -> None:
    (client,) = house.up("CLIENT3")
    client.send(new_order("S1", account="NOBODY"))
    client.expect("8", ClOrdID="S1", OrdStatus="8")
    before = answer(house, "sessions show CLIENT3")
    assert (before["next_reset"]["at"][11:19], before["next_reset"]["open"]) == ("00:00:00", True)
    assert "numbers start at 1 again" in said(house, "sessions show CLIENT3")[1]
    assert answer(house, "sessions show CLIENT1")["next_reset"] is None
    house.drop("CLIENT3")
    house.stop()
    spec = house.config.sessions["CLIENT3"]
    session_file = spec.store_path / f"{spec.store_prefix}.session"
    session_file.write_text("20200102-03:04:05.000")  # the store is of another day
    house.start()
    shown = answer(house, "sessions show CLIENT3")
    assert (shown["engine"]["next_in"], shown["engine"]["next_out"]) == (1, 1)
    with RawClient(house.client_port, "CLIENT3", house.comp_id) as raw:
        raw.send("35=A|98=0|108=30", number=1)
        assert raw.expect("A")[34] == "1"
        house.until("SELECT FROM session_positions WHERE session = 'CLIENT3' AND epoch = 1 AND logged_on")


def test_a_file_that_is_read_again_retires_changes_and_names_what_must_wait_while_others_trade(house: House) -> None:
    client, _ = house.up("CLIENT1", "BROKER2")
    (gone,) = house.up("CLIENT4")
    file = house.directory / "sessions.cfg"
    kept = file.read_text()
    sections = kept.split("[SESSION]")
    without = "[SESSION]".join(one for one in sections if "OmsName=CLIENT4" not in one)
    secret = house.directory / "client1.secret"
    secret.write_text("their-first-password\n")
    secret.chmod(0o600)
    changed = without.replace(
        "OmsName=CLIENT1\n", "OmsName=CLIENT1\nOmsPassword=file:client1.secret\nLogoutTimeout=3\n"
    )
    changed = changed.replace("127.0.0.2", "127.0.0.3")
    new = "OmsName=COPY9\nTargetCompID=COPY9\nBeginString=FIX.4.4\nOmsRole=drop_copy\nOmsDropCopyOf=BROKER2\n"
    new += f"ConnectionType=acceptor\nSocketAcceptPort={house.client_port}\nOmsDialect=standard-fix44\n"
    file.write_text(f"{changed}[SESSION]\n{new}")
    told = {
        "changed": {"CLIENT1": ["LogoutTimeout", "OmsPassword"]},
        "added": [],
        "back": [],
        "retired": ["CLIENT4"],
        "restart": [
            "CLIENT2: AllowedRemoteAddresses",
            "COPY9: a new drop copy",
        ],
        "live_orders": {},
        "routes": [],
    }
    assert answer(house, "sessions reload --preview") == told
    assert said(house, "sessions reload")[0] == 2
    client.send(new_order("R1", account="TO-BROKER2"))
    house.peers["BROKER2"].expect("D")
    done = answer(house, "sessions reload --reason", "CLIENT4 has left")
    assert {name: value for name, value in done.items() if name in told} == told
    gone.wait_logged_out()
    assert client.logged_on
    assert house.gateway is not None
    control = house.gateway._commands.sessions
    assert control.kept_out["CLIENT4"].reason == control.drained["CLIENT4"].reason == "retired: CLIENT4 has left"
    house.drop("CLIENT1")
    refused = "SELECT FROM journal WHERE kind = 'refused' AND session = 'CLIENT1' AND detail::text LIKE %s"
    with RawClient(house.client_port, "CLIENT1", house.comp_id) as raw:
        raw.send("35=A|98=0|108=30", number=900)
        assert raw.expect("5")[58] == "not accepted"
    house.until(refused, "%no Password(554)%")

    file.write_text("\n".join(without.splitlines()).replace("OmsName=CLIENT1\n", "OmsName=CLIENT8\n"))
    code, text = said(house, "sessions reload --reason x")
    assert (code, "CLIENT1 has " in text, "with --force" in text) == (2, True, True), text
    file.write_text("[SESSION]\nnonsense\n")
    code, text = said(house, "sessions reload --reason x")
    assert code == 2, text
    file.write_text(kept)
    rows = house.rows("SELECT detail FROM journal WHERE msg_type = 'sessions.reload'")
    assert [dict(row["detail"]["matter"][2]) for row in rows] == [
        {"text": "CLIENT4 has left", "changed CLIENT1": "LogoutTimeout, OmsPassword", "retired": "CLIENT4"}
    ]
