"""TLS through real sessions: who has no certificate, or one of a stranger's authority, gets no session, either way.

And certificates that end soon are told by `oms check`, `oms sessions show`, `oms health` and the metrics.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import pytest

from oms.config.certificates import not_after
from oms.sim.peer import FixPeer
from tests.system.certificates import Authority
from tests.system.commands import answer, said
from tests.system.house import House, until
from tests.system.raw import RawClient
from tests.system.words import new_order, report


class Secured(NamedTuple):
    house: House
    ours: Authority
    theirs: Authority
    good: tuple[Path, Path]
    stranger: tuple[Path, Path]


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
        clients={"CLIENT1": "4.4", "CLIENT2": "4.4"},
        brokers={"BROKER1": "4.4", "BROKER2": "4.4"},
        session_keys=dict.fromkeys(("CLIENT1", "CLIENT2", "BROKER1", "BROKER2"), "OmsTls=Y\n"),
    )
    keys = {
        "ServerCertificateFile": server[0],
        "ServerCertificateKeyFile": server[1],
        "ClientCertificateFile": gateway[0],
        "ClientCertificateKeyFile": gateway[1],
        "CertificationAuthoritiesFile": ours.certificate,
        "CertificateVerifyLevel": 1,
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
    house, broker = secured.house, secured.house.peers["BROKER1"]
    house.until_logged_on("BROKER1")
    with RawClient(house.client_port, "CLIENT1", house.comp_id, tls=secured.ours.client(*secured.good)) as client:
        assert client.logon().type == "A"
        client.send(new_order("T1"))
        broker.send(report(broker, broker.expect("D"), "0", "N1"))
        assert client.expect("8")[11] == "T1"
        client.logout()


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
