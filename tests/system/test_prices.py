"""Reference prices of a whole gateway: loaded by hand, from a file, a FIX session and fills; over a restart."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from oms.sim.peer import FixPeer
from tests.system.certificates import Authority
from tests.system.commands import answer, replays, said
from tests.system.house import House, free_ports, until
from tests.system.words import new_order, report

MakeHouse = Callable[..., House]
PRICES = "[prices]\nmax_move = 20\n"


def moment(seconds: float = 0) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


def prices(house: House, code: int = 0) -> dict[str, tuple[str, str]]:
    """Price and source by symbol, as `oms prices list` has them."""
    listed = answer(house, "prices list", code=code)["prices"]
    return {one["symbol"]: (one["price"], one["source"]) for one in listed}


def grow_old(house: House) -> None:
    """Prices may be an hour old."""
    text = house.config_file.read_text()
    house.config_file.write_text(text.replace("[limits]\n", "[limits]\nmax_price_age = 3600\n"))


def at_market(cl_ord_id: str) -> str:
    return new_order(cl_ord_id).replace("40=2|44=150.00", "40=1")


def refused(client: FixPeer, cl_ord_id: str) -> tuple[str | None, str]:
    """OrdRejReason(103) and Text(58) of a market order."""
    client.send(at_market(cl_ord_id))
    told = client.expect("8", ClOrdID=cl_ord_id, ExecType="8")
    return told.get(103), str(told[58])


def test_loaded_prices_let_orders_through_are_held_when_they_jump_and_hold_over_a_restart(
    make_house: MakeHouse, tmp_path: Path
) -> None:
    house = make_house(toml=PRICES)
    grow_old(house)
    house.start()
    client, broker = house.up("CLIENT1", "BROKER1")
    no_time = "stale_price: reference price 150 of AAPL has no time, and may be 3600 s old"
    assert refused(client, "A1") == ("3", no_time)
    assert prices(house, code=1) == {"AAPL": ("150", "instruments file"), "SAP": ("180", "instruments file")}
    file = tmp_path / "closing.csv"
    file.write_text(f"symbol,price,at\nAAPL,151.5,{moment(-60)}\nSAP,400,{moment()}\n")
    code, told = said(house, "prices load", str(file))
    assert (code, told) == (1, "1 of 2 prices are in use.\nheld: SAP from 180 to 400; --accept-moves takes it\n")
    client.send(at_market("A2"))
    broker.send(report(broker, broker.expect("D"), "0", "N1"))
    client.expect("8", ClOrdID="A2", ExecType="0")
    (item,) = house.rows("SELECT text, state FROM exception_items WHERE kind = 'price_held'")
    assert item["text"].endswith("moved too far and are not used: SAP from 180 to 400")
    for wrong, why in (
        ("NOPE,1,", '"NOPE" is not in the instruments file'),
        (f"AAPL,1,{moment(90)}", "is in the future"),
        ("AAPL,x,", "is not a number above zero"),
    ):
        other = tmp_path / "wrong.csv"
        other.write_text(f"symbol,price,at\n{wrong}\n")
        code, told = said(house, "prices load", str(other))
        assert (code, why in told) == (2, True), told
    house.stop()
    house.start()
    client, broker = house.up("CLIENT1", "BROKER1")
    assert house.gateway is not None
    samples = house.gateway._metrics.of_prices()
    assert [samples[name][()] for name in ("oms_prices_stale", "oms_prices_held")] == [1, 1]
    assert 60 <= samples["oms_price_oldest_seconds"][()] < 3600
    by = house.rows("SELECT DISTINCT split_part(source, ':', 2) AS file FROM reference_prices")
    assert by == [{"file": " closing.csv"}]
    assert prices(house, code=1)["AAPL"][0] == "151.5"
    client.send(at_market("A3"))
    broker.expect("D")
    (held,) = house.rows("SELECT item_id FROM exception_items WHERE kind = 'price_held'")
    code, told = said(house, "exceptions resolve", held["item_id"], "--reason", "x")
    assert (code, "is closed by prices that are taken" in told) == (2, True), told
    found = answer(house, "prices load", str(file), "--accept-moves")
    assert (sorted(found["taken"]), found["held"], found["refused"]) == (["AAPL", "SAP"], [], [])
    assert house.rows("SELECT state FROM exception_items WHERE kind = 'price_held'") == [{"state": "resolved"}]
    assert prices(house)["SAP"][0] == "400"
    house.stop()
    house.check_chain()
    replays(house)


SOURCES = """\
[prices]
move = 0
[[prices.source]]
name = "market"
kind = "fix"
settings = "market_data.cfg"
good_for = 1
[[prices.source]]
name = "fills"
kind = "fills"
good_for = 1
[[prices.source]]
name = "file"
kind = "file"
path = "prices.csv"
every = 1
good_for = 3600
"""


def test_prices_come_from_a_file_from_own_fills_and_from_a_market_data_session(make_house: MakeHouse) -> None:
    house = make_house(toml=SOURCES)
    (port,) = free_ports(1)
    (house.directory / "market_data.cfg").write_text(
        "[DEFAULT]\nConnectionType=initiator\nReconnectInterval=1\n[SESSION]\nBeginString=FIX.4.4\n"
        f"SenderCompID={house.comp_id}\nTargetCompID=FEED\nSocketConnectHost=127.0.0.1\nSocketConnectPort={port}\n"
        "OmsTls=Y\nCertificationAuthoritiesFile=feeds.pem\nOmsUsername=desk\nOmsPassword=file:feed.password\n"
    )
    authority = Authority(house.directory, "feeds")
    certificate, key = authority.sign("feed")
    password = house.directory / "feed.password"
    password.write_text("not-in-a-log\n")
    password.chmod(0o600)
    (house.directory / "prices.csv").write_text(f"symbol,price,at\nAAPL,149,{moment(-5)}\n")
    house.start()
    client, broker = house.up("CLIENT1", "BROKER1")
    # The session is not there, so that the file counts, and an item tells of it.
    until(lambda: prices(house)["AAPL"] == ("149", "file"), "the price of the file")
    (item,) = house.until("SELECT * FROM exception_items WHERE kind = 'price_source'")
    assert (item["severity"], item["text"]) == ("warning", "prices of market: not logged on yet")
    client.send(new_order("A1"))
    broker.send(report(broker, broker.expect("D"), "F", "F1", cum=100, last=(100, "149.5"), avg="149.5"))
    until(lambda: prices(house)["AAPL"] == ("149.5", "fills"), "the price of the fill")
    feed = FixPeer(
        "acceptor",
        "4.4",
        "FEED",
        house.comp_id,
        port,
        house.directory / "feed",
        tls=True,
        settings={
            "ServerCertificateFile": str(certificate),
            "ServerCertificateKeyFile": str(key),
            "CertificationAuthoritiesFile": str(authority.certificate),
            "CertificateVerifyLevel": "0",
        },
    )
    with feed:
        assert {(one[553], one[554]) for one in feed.admin if one.type == "A"} == {("desk", "not-in-a-log")}
        asked = feed.expect("V")
        assert (asked[263], asked[146], asked.all(55)) == ("1", "2", ["AAPL", "SAP"])
        feed.send(f"35=W|262={asked[262]}|55=AAPL|268=2|269=0|270=150|269=2|270=150.25")
        until(lambda: prices(house)["AAPL"] == ("150.25", "market"), "the price of the snapshot")
        feed.send(f"35=X|262={asked[262]}|268=2|279=0|269=2|55=AAPL|270=151|279=0|269=2|55=SAP|270=181")
        until(lambda: prices(house)["SAP"] == ("181", "market"), "the price of the update")
        assert prices(house)["AAPL"] == ("151", "market")
        house.until("SELECT FROM exception_items WHERE kind = 'price_source' AND state = 'resolved'")
    house.stop()
    house.check_chain()
    replays(house)
