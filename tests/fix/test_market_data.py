"""What a market data session asks for, and the prices that are read out of snapshots and updates."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal as D
from pathlib import Path

import pytest

from oms.config.market_data import engine_text, read_market_data
from oms.config.problems import Problems
from oms.fix.market_data import market_data_request, ticks_of

EARLIER = datetime(2026, 3, 2, 11, 59, 58, tzinfo=UTC)
SENT = datetime(2026, 3, 2, 12, 0, 0, tzinfo=UTC)
HEAD = "8=FIX.4.4|9=1|35={}|34=2|49=FEED|52=20260302-12:00:00|56=OMS|262=P1|"


def ticks(kind: str, body: str) -> list[tuple[str, D, datetime]]:
    return ticks_of((HEAD.format(kind) + body + "10=000|").replace("|", "\x01"))


@pytest.mark.parametrize(
    ("kind", "body", "expected"),
    [
        ("W", "55=IBM|268=2|269=0|270=9|269=2|270=10.5|271=100|", [("IBM", D("10.5"), SENT)]),
        ("W", "55=IBM|268=1|269=2|270=10|272=20260302|273=11:59:58|", [("IBM", D(10), EARLIER)]),
        ("W", "55=IBM|268=1|269=2|270=10|273=noon|", [("IBM", D(10), SENT)]),
        ("X", "268=2|279=0|269=2|55=IBM|270=10|279=1|269=2|55=SAP|270=11|",
         [("IBM", D(10), SENT), ("SAP", D(11), SENT)]),
        ("X", "268=2|279=0|269=2|55=IBM|270=10|279=1|269=2|270=11|", [("IBM", D(10), SENT), ("IBM", D(11), SENT)]),
        ("X", "268=1|279=2|269=2|55=IBM|270=10|", []),
        ("W", "55=IBM|268=1|269=1|270=10|", []),
        ("W", "55=IBM|268=4|269=2|270=0|269=2|270=-1|269=2|270=NaN|269=2|270=1E+99|", []),
        ("W", "268=1|269=2|270=10|", []),
        ("W", "55=IBM|268=0|", []),
    ],
)  # fmt: skip
def test_trades_that_have_a_price_are_read(kind: str, body: str, expected: list[tuple[str, D, datetime]]) -> None:
    assert ticks(kind, body) == expected


def test_all_symbols_are_asked_for_by_snapshot_and_updates() -> None:
    text = "35=V|262=P1|263=1|264=1|265=1|267=1|269=2|146=2|55=IBM|55=SAP|"
    assert market_data_request("P1", ["IBM", "SAP"]).replace("\x01", "|") == text


def test_settings_are_of_one_initiator_of_a_version_with_market_data(tmp_path: Path) -> None:
    file = tmp_path / "market_data.cfg"
    good = "[SESSION]\nBeginString=FIX.4.4\nSenderCompID=OMS\nTargetCompID=FEED\n"
    good += "SocketConnectHost=127.0.0.1\nSocketConnectPort=5000\n"
    cases = {
        good: [],
        good + good: [": 2 [SESSION] sections"],
        good.replace("FIX.4.4", "FIX.4.3"): ["BeginString"],
        good.replace("TargetCompID=FEED\n", ""): ["TargetCompID: missing"],
        good + "ConnectionType=acceptor\n": ["not an initiator"],
        good + "OmsTls=X\n": ["OmsTls: X is neither Y nor N"],
        good + "OmsTls=Y\n": ["CertificationAuthoritiesFile: missing for OmsTls=Y"],
        good + "OmsTls=Y\nCertificationAuthoritiesFile=ca.pem\n": ["no file ca.pem"],
        good + "ClientCertificateFile=us.pem\n": ["ClientCertificateFile: without OmsTls=Y"],
        good + "OmsPassword=hunter2\n": ["OmsPassword: the password itself"],
        good + "OmsUsername=desk\n": ["OmsUsername: without OmsPassword"],
        good + "OmsPassword=env:FEED\nOmsPasswordIn=Text\n": ["OmsPasswordIn: neither Password nor RawData"],
        good + "OmsUsername=desk\nOmsPassword=env:FEED\nOmsPasswordIn=RawData\n": [],
    }
    for text, said in cases.items():
        file.write_text(text)
        problems = Problems()
        values = read_market_data(file, "settings", problems)
        told = " ".join(map(str, problems.found))
        assert bool(values) == (not said), told
        assert all(one in told for one in said), told
    file.write_text(good)
    session_id, settings = engine_text(read_market_data(file, "settings", Problems()), tmp_path / "store")
    assert session_id == "FIX.4.4:OMS->FEED"
    assert f"FileStorePath={tmp_path / 'store'}\n" in settings
    assert "ResetOnLogon=Y\n" in settings
