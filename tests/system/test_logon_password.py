"""Passwords of Logon(A): clients are let in by theirs, brokers are told ours, nowhere is one ever written down."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from oms.config.secrets import hashed
from oms.fix.logon import FAILURES, Credentials
from oms.sim.peer import FixPeer
from oms.sim.wire import Message
from tests.system.commands import answer, said
from tests.system.house import House
from tests.system.raw import RawClient
from tests.system.words import new_order, report

TOLD, GUESSED, OURS = "correct-horse-battery", "wrong-pony-engine", "broker-must-know-this"
LOGON = "35=A|98=0|108=30|141=Y"


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, shared_url: str) -> Iterator[House]:
    """CLIENT1 (4.4) and CLIENT2 (4.2) need a password, the broker is told one that a file has."""
    directory = tmp_path_factory.mktemp("passwords")
    secret = directory / "broker.secret"
    secret.write_text(f"{OURS}\n")
    secret.chmod(0o600)
    kept = f"OmsUsername=buya\nOmsPassword={hashed(TOLD)}\n"
    made = House(
        directory,
        shared_url,
        clients={"CLIENT1": "4.4", "CLIENT2": "4.2", "CLIENT3": "4.4"},
        brokers={"BROKER1": "4.4", "BROKER2": "4.2"},
        session_keys={
            "CLIENT1": kept,
            "CLIENT2": kept,
            "BROKER1": "OmsUsername=oms-desk\nOmsPassword=file:broker.secret\n",
            "BROKER2": "OmsPassword=file:broker.secret\nOmsPasswordIn=RawData\n",
        },
    )
    try:
        made.peer("BROKER1")
        made.peer("BROKER2")
        made.start()
        yield made
        made.check_chain()
    finally:
        made.close()


def refusals(house: House, session: str, at_least: int = 1) -> list[str]:
    """What operators read of the Logon(A)s of a session that were not accepted, once there are so many."""
    query = "SELECT detail ->> 'refused' AS reason FROM journal WHERE kind = 'refused' AND session = %s ORDER BY seq"
    house.until(f"{query} OFFSET {at_least - 1}", session)
    return [row["reason"] for row in house.rows(query, session)]


def turned_away(house: House, session: str, more: str, *, version: str = "FIX.4.4", source: str = "") -> Message:
    """The answer to a Logon(A) that is refused; the connection is closed after it."""
    with RawClient(house.client_port, session, house.comp_id, version, source) as raw:
        raw.send(f"{LOGON}{more}")
        told = raw.expect("5")
        raw.expect_closed()
        return told


def test_a_wrong_and_a_missing_password_are_refused_alike_and_a_right_one_trades(house: House) -> None:
    answers = [turned_away(house, "CLIENT1", more) for more in (f"|553=buya|554={GUESSED}", "")]
    assert {(one.type, one[58]) for one in answers} == {("5", "not accepted")}
    assert refusals(house, "CLIENT1", 2) == [
        "Logon(A) not accepted: Username(553) or Password(554) is wrong; from 127.0.0.1",
        "Logon(A) not accepted: no Password(554); from 127.0.0.1",
    ]
    directory = house.directory / "peers" / "CLIENT1"
    peer = FixPeer(
        "initiator",
        "4.4",
        "CLIENT1",
        house.comp_id,
        house.client_port,
        directory,
        credentials=Credentials("buya", TOLD),
        settings={"ResetOnLogon": "Y"},
    )
    house.peers["CLIENT1"] = peer.start()
    (client, broker) = house.up("CLIENT1", "BROKER1")
    client.send(new_order("P1"))
    broker.send(report(broker, broker.expect("D"), "0", "N1"))
    client.expect("8", ClOrdID="P1", OrdStatus="0")


def test_before_fix_43_raw_data_has_the_password(house: House) -> None:
    told = turned_away(house, "CLIENT2", f"|95={len(GUESSED)}|96={GUESSED}", version="FIX.4.2")
    assert told[58] == "not accepted"
    with RawClient(house.client_port, "CLIENT2", house.comp_id, "FIX.4.2") as raw:
        raw.send(f"{LOGON}|95={len(TOLD)}|96={TOLD}")
        assert raw.expect("A").type == "A"
        raw.logout()


def test_a_broker_is_told_our_name_and_password(house: House) -> None:
    house.up("BROKER1", "BROKER2")
    logon = next(one for one in house.peers["BROKER1"].admin if one.type == "A")
    assert (logon[553], logon[554]) == ("oms-desk", OURS)
    logon = next(one for one in house.peers["BROKER2"].admin if one.type == "A")
    assert (logon[95], logon[96], logon.get(553)) == (str(len(OURS)), OURS, None)


def test_guesses_are_few_then_the_door_is_shut_for_that_address_and_only_once_told(house: House) -> None:
    before = len(refusals(house, "CLIENT2"))
    for _ in range(FAILURES + 2):
        told = turned_away(house, "CLIENT2", "|95=3|96=abc", version="FIX.4.2", source="127.0.0.9")
        assert told[58] == "not accepted"
    assert refusals(house, "CLIENT2", before + FAILURES)[before:][-1] == (
        "Logon(A) not accepted: Username(553) or Password(554) is wrong; from 127.0.0.9;"
        f" {FAILURES} within 60 s: the door is shut for 60 s"
    )
    assert len(refusals(house, "CLIENT2")) == before + FAILURES
    right = f"|95={len(TOLD)}|96={TOLD}"
    assert turned_away(house, "CLIENT2", right, version="FIX.4.2", source="127.0.0.9")[58] == "not accepted"
    with RawClient(house.client_port, "CLIENT2", house.comp_id, "FIX.4.2") as raw:  # from its own address
        raw.send(f"{LOGON}{right}")
        raw.expect("A")
        raw.logout()
    found = answer(house, "sessions show CLIENT2")
    assert (found["password"], found["engine"]["logons_refused"]) == ("asked for", FAILURES + 4)
    assert ("logons_refused", "warning", "CLIENT2") in house.items()


def test_a_logon_that_is_not_let_in_resets_no_sequence_number(house: House) -> None:
    house.up("CLIENT1")
    house.drop("CLIENT1")
    before = answer(house, "sessions show CLIENT1")["engine"]
    turned_away(house, "CLIENT1", f"|553=buya|554={GUESSED}", source="127.0.0.5")
    after = answer(house, "sessions show CLIENT1")["engine"]
    assert (after["next_in"], after["next_out"]) == (before["next_in"], before["next_out"] + 1)


def test_no_password_is_written_down_by_then_not_of_an_unknown_session_either(house: House) -> None:
    with RawClient(house.client_port, "NOBODY", house.comp_id) as raw:
        raw.send(f"{LOGON}|553=x|554={GUESSED}")
        raw.expect_closed()
    house.until("SELECT FROM journal WHERE kind = 'refused' AND session = ''")
    nowhere(house)


def nowhere(house: House) -> None:
    """No password in any file of the house but the broker's own secret, nor in any row of the ledger, nor shown."""
    texts: list[tuple[Any, bytes]] = [
        (path, path.read_bytes())
        for path in (house.directory / "state").rglob("*")
        if path.is_file() and not path.is_socket()
    ]
    assert any(path.suffix == ".body" and b"35=A" in text for path, text in texts), "the stores were looked at"
    for table in house.rows("SELECT tablename FROM pg_tables WHERE schemaname = 'public'"):
        rows = house.rows(f'SELECT * FROM "{table["tablename"]}"')
        texts += [(table["tablename"], _plain(row)) for row in rows]
    for session in house.config.sessions:
        texts += [(session, said(house, f"sessions show {session}")[1].encode())]
        texts += [(session, said(house, f"sessions show {session} --json")[1].encode())]
    texts += [("check", said(house, "check")[1].encode()), ("config", repr(house.config).encode())]
    for password in (TOLD, GUESSED, OURS):
        assert [where for where, text in texts if password.encode() in text] == []


def _plain(row: dict[str, Any]) -> bytes:
    return b" ".join(
        bytes(value) if isinstance(value, bytes | memoryview) else str(value).encode() for value in row.values()
    )


def test_a_hash_is_made_for_what_is_typed_or_piped_and_lets_it_in() -> None:
    from click.testing import CliRunner

    from oms.cli.main import oms
    from oms.config.secrets import matches

    made = CliRunner().invoke(oms, ["sessions", "password-hash"], input=f"{TOLD}\n{TOLD}\n")
    kept = made.stdout.splitlines()[-1]
    assert (made.exit_code, matches(TOLD, kept), TOLD in made.output) == (0, True, False)
    piped = CliRunner().invoke(oms, ["sessions", "password-hash", "--stdin"], input=f"{TOLD}\n")
    assert (piped.exit_code, matches(TOLD, piped.stdout.strip())) == (0, True)
