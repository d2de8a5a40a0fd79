"""TLS through real sessions: who has no certificate, or one of a stranger's authority, gets no session, either way.

And certificates that end soon are told by `oms check`, `oms sessions show`, `oms health` and the metrics.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event, Thread
from time import monotonic
from typing import NamedTuple

import pytest

from oms.config.certificates import not_after
from oms.sim.peer import FixPeer
from tests.system.certificates import Authority
from tests.system.commands import answer, said
from tests.system.house import House, until
from tests.system.newcomers import Newcomer
from tests.system.raw import RawClient
from tests.system.words import new_order, report

CLIENTS = ("CLIENT1", "CLIENT2", "CLIENT3", "CLIENT4")


class Secured(NamedTuple):
    house: House
    ours: Authority
    theirs: Authority
    good: tuple[Path, Path]
    stranger: tuple[Path, Path]

    def client(self, name: str, source: str = "") -> RawClient:
        """A client with a good certificate, connected."""
        house = self.house
        return RawClient(house.client_port, name, house.comp_id, source=source, tls=self.ours.client(*self.good))


def trade(secured: Secured, client: RawClient, cl_ord_id: str) -> None:
    """An order goes to the broker, and its client is told that it is new."""
    broker = secured.house.peers["BROKER1"]
    client.send(new_order(cl_ord_id))
    broker.send(report(broker, broker.expect("D"), "0", f"N-{cl_ord_id}"))
    assert client.expect("8")[11] == cl_ord_id


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory, shared_url: str) -> Iterator[Secured]:
    """A gateway that asks clients for certificates, with one of its own that ends in 20 days, and two TLS brokers."""
    directory = tmp_path_factory.mktemp("tls")
    files = directory / "certificates"
    files.mkdir()
    ours, theirs = Authority(files, "ours"), Authority(files, "theirs")
    server, gateway = ours.sign("server", days=20), ours.sign("gateway")
    house = House(
        directory,
        shared_url,
        clients=dict.fromkeys(CLIENTS, "4.4"),
        brokers={"BROKER1": "4.4", "BROKER2": "4.4"},
        session_keys={
            **dict.fromkeys((*CLIENTS, "BROKER1", "BROKER2"), "OmsTls=Y\n"),
            "CLIENT3": "OmsTls=Y\nAllowedRemoteAddresses=127.0.0.3\n",
        },
    )
    toml = directory / "oms.toml"
    toml.write_text(toml.read_text().replace("[gateway]\n", "[gateway]\nstalled_line_seconds = 1\n"))
    keys = {
        "ServerCertificateFile": server[0],
        "ServerCertificateKeyFile": server[1],
        "ClientCertificateFile": gateway[0],
        "ClientCertificateKeyFile": gateway[1],
        "CertificationAuthoritiesFile": ours.certificate,
        "CertificateVerifyLevel": 1,
        "SocketSendBufferSize": 8192,
    }
    cfg = directory / "sessions.cfg"
    head = "".join(f"{key}={value}\n" for key, value in keys.items())
    cfg.write_text(cfg.read_text().replace("[DEFAULT]\n", f"[DEFAULT]\n{head}"))
    for name, authority in (("BROKER1", ours), ("BROKER2", theirs)):
        certificate, key = authority.sign(name)
        house.peers[name] = FixPeer(
            "acceptor",
            "4.4",
            name,
            house.comp_id,
            house.broker_ports[name],
            directory / "peers" / name,
            tls=True,
            settings={
                "ServerCertificateFile": str(certificate),
                "ServerCertificateKeyFile": str(key),
                "CertificationAuthoritiesFile": str(ours.certificate),
                "CertificateVerifyLevel": "1",
            },
        ).start()
    try:
        house.start()
        yield Secured(house, ours, theirs, ours.sign("client"), theirs.sign("client"))
        house.check_chain()
    finally:
        house.close()


def test_a_client_with_a_certificate_of_the_authority_trades_with_a_broker_that_shows_one_too(
    secured: Secured,
) -> None:
    secured.house.until_logged_on("BROKER1")
    with secured.client("CLIENT1") as client:
        assert client.logon().type == "A"
        trade(secured, client, "T1")
        client.logout()


def test_a_stranger_that_begins_no_handshake_holds_up_no_client(secured: Secured) -> None:
    secured.house.until_logged_on("BROKER1")
    with ExitStack() as stack:
        for _ in range(5):
            stack.enter_context(socket.create_connection(("127.0.0.1", secured.house.client_port)))
        with secured.client("CLIENT1") as client:
            began = monotonic()
            client.logon()
            trade(secured, client, "T2")
            assert monotonic() - began < 5.0
            client.logout()


def test_a_client_that_is_made_to_wait_holds_up_no_other(secured: Secured, monkeypatch: pytest.MonkeyPatch) -> None:
    house = secured.house
    house.until_logged_on("BROKER1")
    assert house.gateway is not None
    listener = house.gateway._engines["client"]._listener
    as_before, go_on = listener.received, Event()

    def received(session: str, raw: str) -> None:
        if session == "CLIENT1":
            go_on.wait()
        as_before(session, raw)

    monkeypatch.setattr(listener, "received", received)
    with secured.client("CLIENT1") as waits, secured.client("CLIENT2") as other:
        waits.logon()
        other.logon()
        try:
            waits.send(new_order("W1"))
            trade(secured, other, "W2")
        finally:
            go_on.set()
        broker = house.peers["BROKER1"]
        broker.send(report(broker, broker.expect("D"), "0", "N-W1"))
        assert waits.expect("8")[11] == "W1"
        waits.logout()
        other.logout()


def test_half_a_record_holds_up_nothing_that_leaves_for_the_same_client(secured: Secured) -> None:
    house, broker = secured.house, secured.house.peers["BROKER1"]
    house.until_logged_on("BROKER1")
    writer = RawClient(house.client_port, "CLIENT1", house.comp_id)  # makes the messages; its own line is not used
    with writer, socket.create_connection(("127.0.0.1", house.client_port), timeout=10) as line:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = secured.ours.client(*secured.good).wrap_bio(incoming, outgoing)

        def until_read(wanted: bytes) -> bytes:
            text = b""
            while wanted not in text:
                try:
                    text += tls.read()
                except ssl.SSLWantReadError:
                    line.sendall(outgoing.read())
                    incoming.write(line.recv(65536))
            return text

        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                line.sendall(outgoing.read())
                incoming.write(line.recv(65536))
        line.sendall(outgoing.read())
        tls.write(writer.message("35=A|98=0|108=30|141=Y"))
        line.sendall(outgoing.read())
        until_read(b"\x0135=A\x01")
        tls.write(writer.message(new_order("H1")))
        line.sendall(outgoing.read())
        asked = broker.expect("D")
        tls.write(writer.message(new_order("H2")))
        record = outgoing.read()
        line.sendall(record[: len(record) // 2])
        broker.send(report(broker, asked, "0", "N-H1"))
        until_read(b"\x0111=H1\x01")
        line.sendall(record[len(record) // 2 :])
        broker.send(report(broker, broker.expect("D"), "0", "N-H2"))
        until_read(b"\x0111=H2\x01")


def test_bursts_both_ways_arrive_whole_although_the_line_is_cut(secured: Secured) -> None:
    house, broker, number = secured.house, secured.house.peers["BROKER1"], 400
    house.until_logged_on("BROKER1")
    client = FixPeer(
        "initiator",
        "4.4",
        "CLIENT4",
        house.comp_id,
        house.client_port,
        house.directory / "peers" / "CLIENT4",
        tls=True,
        settings={
            "ClientCertificateFile": str(secured.good[0]),
            "ClientCertificateKeyFile": str(secured.good[1]),
            "CertificationAuthoritiesFile": str(secured.ours.certificate),
            "ReconnectInterval": "1",
        },
    ).start()
    try:
        client.wait_logged_on()

        def fill_all() -> None:
            for _ in range(number):
                asked = broker.expect("D")
                broker.send(report(broker, asked, "F", f"F-{asked[11]}", cum=100, last=(100, "150"), avg="150"))

        market = Thread(target=fill_all)
        market.start()
        for one in range(number):
            client.send(new_order(f"B{one}"))
        client.disconnect()
        market.join(60)
        assert not market.is_alive()
        house.until(f"SELECT FROM fills HAVING count(*) = {number}")
        for one in range(number):
            client.expect("8", ClOrdID=f"B{one}", OrdStatus="2")
    finally:
        client.stop()


def test_addresses_from_which_a_client_may_come_count_over_tls(secured: Secured) -> None:
    with pytest.raises((ConnectionError, EOFError, AssertionError, ssl.SSLError)) as refused:  # noqa: SIM117
        with secured.client("CLIENT3", source="127.0.0.2") as client:
            client.logon()
    assert "timed out" not in str(refused.value)
    (row,) = secured.house.until("SELECT detail FROM journal WHERE session = 'CLIENT3' AND kind = 'refused'")
    assert "Deny connections to the acceptor from 127.0.0.2" in str(row["detail"])
    with secured.client("CLIENT3", source="127.0.0.3") as client:
        assert client.logon().type == "A"
        client.logout()


def test_a_client_that_is_added_on_the_port_of_others_is_as_secure_as_they_are(secured: Secured) -> None:
    house = secured.house
    house.until_logged_on("BROKER1")
    file = house.directory / "sessions.cfg"
    kept = file.read_text()
    more = "OmsTls=Y\nAllowedRemoteAddresses=127.0.0.3\n"
    new = Newcomer(house, "CLIENT5", more=more, port=house.client_port).section
    with secured.client("CLIENT1") as other:
        other.logon()
        file.write_text(kept + new.replace("OmsTls=Y\n", ""))
        code, text = said(house, "sessions reload --reason signed")
        assert (code, "CLIENT5 OmsTls: N, but Y for CLIENT1" in text) == (2, True), text
        file.write_text(kept + new)
        with secured.client("CLIENT5", "127.0.0.3") as early:
            early.send("35=A|98=0|108=30|141=Y")
            early.expect_closed()
        assert answer(house, "sessions reload --reason signed")["added"] == ["CLIENT5"]
        with secured.client("CLIENT5") as elsewhere:
            elsewhere.send("35=A|98=0|108=30|141=Y")
            elsewhere.expect_closed()
        stranger = secured.ours.client(*secured.stranger)
        with (
            pytest.raises((ssl.SSLError, ConnectionError, AssertionError)),
            RawClient(house.client_port, "CLIENT5", house.comp_id, source="127.0.0.3", tls=stranger) as line,
        ):
            line.logon()
        with secured.client("CLIENT5", "127.0.0.3") as client:
            client.logon()
            trade(secured, client, "T9")
            trade(secured, other, "T10")
            client.logout()
        other.logout()


def test_a_client_that_reads_nothing_is_cut_and_no_other_waits_for_it(secured: Secured) -> None:
    house = secured.house
    house.until_logged_on("BROKER1")
    with secured.client("CLIENT2") as deaf, secured.client("CLIENT1") as other:
        other.logon()
        deaf.logon()
        deaf._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        with suppress(OSError):  # as soon as it is cut
            for number in range(5000):
                deaf.send(new_order(f"S{number}", account="NOBODY"))  # each is answered by a reject
        house.until("SELECT FROM session_positions WHERE session = 'CLIENT2' AND NOT logged_on")
        trade(secured, other, "S-other")
        other.logout()


@pytest.mark.parametrize("shows", ["nothing", "a stranger's"])
def test_a_client_without_a_certificate_or_with_a_strangers_gets_no_answer(secured: Secured, shows: str) -> None:
    context = secured.ours.client(*(secured.stranger if shows == "a stranger's" else ()))
    before = secured.house.rows("SELECT count(*) AS n FROM journal WHERE session = 'CLIENT2'")
    with (
        pytest.raises((ssl.SSLError, ConnectionError, EOFError, AssertionError)) as refused,
        RawClient(secured.house.client_port, "CLIENT2", secured.house.comp_id, tls=context) as client,
    ):
        client.logon()
    assert "timed out" not in str(refused.value)
    assert secured.house.rows("SELECT count(*) AS n FROM journal WHERE session = 'CLIENT2'") == before


def test_a_broker_whose_certificate_is_of_another_authority_is_not_logged_on_to(secured: Secured) -> None:
    secured.house.until_logged_on("BROKER1")
    peer = secured.house.peers["BROKER2"]
    assert (peer.logged_on, [one for one in peer.admin if one.type == "A"]) == (False, [])
    found = answer(secured.house, "sessions show BROKER2")
    assert (found["state"], found["engine"]["may_log_on"]) == ("logged out", True)


def test_a_certificate_that_ends_soon_is_told_wherever_one_looks(secured: Secured) -> None:
    house = secured.house
    at = datetime.now(UTC) + timedelta(days=20)
    file = next(house.directory.glob("certificates/ours-server.pem"))
    (ends,) = not_after(file.read_bytes())
    assert abs(ends - at) < timedelta(minutes=5)
    said_of_it = f"{file} ends {ends:%Y-%m-%d}, in 19 days"
    assert said_of_it in said(house, "check")[1]
    assert f"ServerCertificateFile {said_of_it}" in said(house, "sessions show CLIENT1")[1]
    health = answer(house, "health", code=0)
    (finding,) = [one for one in health["findings"] if one["about"] == "ServerCertificateFile"]
    assert (finding["state"], finding["text"].startswith(said_of_it)) == ("warn", True)
    assert {one["about"]: one["state"] for one in health["findings"]}[f"port {house.client_port}"] == "ok"
    assert house.gateway is not None
    samples = house.gateway._session_watch.samples()["oms_certificate_expiry_seconds"]
    assert {key for key, _ in samples} == {
        "ServerCertificateFile",
        "ClientCertificateFile",
        "CertificationAuthoritiesFile",
    }
    assert abs(samples["ServerCertificateFile", str(file)] - (ends - datetime.now(UTC)).total_seconds()) < 60


def test_the_port_is_found_to_take_connections_and_found_out_when_it_does_not(secured: Secured) -> None:
    assert secured.house.gateway is not None
    watch = secured.house.gateway._session_watch
    watch.listening.look()
    assert watch.samples()["oms_listening"] == {(str(secured.house.client_port),): 1}
    until(lambda: watch._accepted().get(secured.house.client_port), "a probe was accepted")
