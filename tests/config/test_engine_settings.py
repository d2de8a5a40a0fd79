"""The settings text that QuickFIX gets of a right configuration: complete, with absolute paths, ours in front."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from oms.config.dictionaries import STANDARD_DIRECTORY
from oms.config.load import engine_settings
from tests.config.certificate import CERTIFICATE

if TYPE_CHECKING:
    from tests.config.certificate import CERTIFICATE
from tests.config.conftest import Desk

STANDARD_44 = STANDARD_DIRECTORY / "FIX44.xml"


def test_client_settings_for_quickfix_are_complete(desk: Desk) -> None:
    text = (desk.directory / "sessions.cfg").read_text()
    one = text[: text.index("[SESSION]\nOmsName=CLIENT2")] + text[text.index("# ---- brokers") :]
    desk.write("sessions.cfg", one)
    desk.write("accounts.csv", "account,clients\nFUND1,*\n")
    desk.change("oms.toml", 'client = "CLIENT2"', 'client = "CLIENT1"')
    assert engine_settings(desk.load(), "client").replace(str(desk.directory), "DESK") == (
        "[DEFAULT]\nConnectionType=acceptor\nSocketNodelay=Y\nSocketReceiveBufferSize=32768\n\n[SESSION]\n"
        "SenderCompID=OMS\nBeginString=FIX.4.4\nTargetCompID=CLIENT1\nSocketAcceptPort=5201\n"
        f"DataDictionary={STANDARD_44}\nAllowedRemoteAddresses=127.0.0.1\nNonStopSession=Y\nUseDataDictionary=Y\n"
        "SocketReuseAddress=Y\nUseLocalTime=N\nLogonTimeout=10\nLogoutTimeout=2\nResetOnLogon=N\nResetOnLogout=N\n"
        "ResetOnDisconnect=N\nRefreshOnLogon=N\nSendRedundantResendRequests=N\nSendNextExpectedMsgSeqNum=N\n"
        "PersistMessages=Y\nTimestampPrecision=3\nCheckCompID=Y\nCheckLatency=N\nMaxLatency=120\n"
        "ValidateLengthAndChecksum=Y\nValidateFieldsOutOfOrder=Y\nValidateFieldsHaveValues=Y\n"
        "ValidateUserDefinedFields=N\nAllowUnknownMsgFields=N\nFileStorePath=DESK/state/fix_store\n"
    )


def test_broker_settings_for_quickfix_have_engine_wide_keys_in_default_and_lenient_checks(desk: Desk) -> None:
    text = engine_settings(desk.load(), "broker")
    default, one, two = text.split("\n\n")
    assert default == "[DEFAULT]\nConnectionType=initiator\nReconnectInterval=2\nSocketNodelay=Y"
    lenient = {"AllowUnknownMsgFields=Y", "ValidateFieldsHaveValues=N", "ValidateFieldsOutOfOrder=N", "HeartBtInt=30"}
    assert lenient <= set(one.splitlines())
    assert lenient <= set(two.splitlines())
    assert {
        "BeginString=FIXT.1.1",
        "DefaultApplVerID=FIX.5.0SP2",
        f"TransportDataDictionary={STANDARD_DIRECTORY / 'FIXT11.xml'}",
        f"AppDataDictionary={STANDARD_DIRECTORY / 'FIX50SP2.xml'}",
    } <= set(two.splitlines())
    assert "Oms" not in text.replace("OMS", "")


def test_what_a_session_says_wins_over_default_and_over_ours(desk: Desk) -> None:
    desk.change("sessions.cfg", "TargetCompID=BROKER1", "TargetCompID=BROKER1\nheartbtint=5\nAllowUnknownMsgFields=N")
    settings = desk.load().sessions["BROKER1"].settings
    assert (settings["HeartBtInt"], settings["AllowUnknownMsgFields"]) == ("5", "N")


def test_a_schedule_takes_the_place_of_the_session_that_never_stops(desk: Desk) -> None:
    desk.change("sessions.cfg", "HeartBtInt=30", "HeartBtInt=30\nStartTime=00:00:00\nEndTime=00:00:00")
    settings = desk.load().sessions["CLIENT1"].settings
    assert (settings["StartTime"], settings["EndTime"]) == ("00:00:00", "00:00:00")
    assert "NonStopSession" not in settings


def test_further_hosts_and_addresses_are_as_quickfix_reads_them(desk: Desk) -> None:
    desk.change(
        "sessions.cfg", "SocketConnectPort=5301", "SocketConnectPort=5301\nSocketConnectHost1=b\nsocketconnectport1=1"
    )
    desk.change("sessions.cfg", "Addresses=127.0.0.1", "Addresses=127.0.0.1, 10.0.0.1")
    sessions = desk.load().sessions
    broker = sessions["BROKER1"].settings
    assert (broker["SocketConnectHost1"], broker["SocketConnectPort1"]) == ("b", "1")
    assert sessions["CLIENT1"].settings["AllowedRemoteAddresses"] == "127.0.0.1,10.0.0.1"


def test_tls_is_per_role_with_absolute_file_names(desk: Desk) -> None:
    text = (desk.directory / "sessions.cfg").read_text().replace("AllowedRemoteAddresses=127.0.0.1\n", "")
    text = text.replace("ConnectionType=acceptor", "ConnectionType=acceptor\nOmsTls=Y")
    desk.write("sessions.cfg", text.replace("[DEFAULT]", "[DEFAULT]\nServerCertificateFile=cert.pem"))
    desk.write("cert.pem", CERTIFICATE)
    config = desk.load()
    assert (config.tls("client"), config.tls("broker")) == (True, False)
    default = engine_settings(config, "client").split("\n\n")[0].splitlines()
    assert f"ServerCertificateFile={desk.directory / 'cert.pem'}" in default


@pytest.mark.parametrize(
    ("connection", "side"),
    [
        ("acceptor\nSocketAcceptPort=5201", "client"),
        ("initiator\nSocketConnectHost=127.0.0.1\nSocketConnectPort=5401", "broker"),
    ],
)
def test_a_drop_copy_is_of_either_side_and_what_it_says_is_checked_as_a_brokers_word_is(
    desk: Desk, connection: str, side: str
) -> None:
    desk.append(
        "sessions.cfg",
        f"[SESSION]\nConnectionType={connection}\nOmsName=COPY1\nTargetCompID=COPY1\nBeginString=FIX.4.4\n"
        "OmsRole=drop_copy\nOmsDropCopyOf=BROKER1\n",
    )
    config = desk.load()
    spec = config.sessions["COPY1"]
    assert (spec.role, spec.side, spec.drop_copy_of) == ("drop_copy", side, "BROKER1")
    assert (spec.settings["ValidateFieldsOutOfOrder"], spec.settings["AllowUnknownMsgFields"]) == ("N", "Y")
    assert [one.name for one in config.role("drop_copy")] == ["COPY1"]
    assert spec in config.side(side)  # type: ignore[arg-type]
    assert "TargetCompID=COPY1\n" in engine_settings(config, side)  # type: ignore[arg-type]
    assert "OmsRole" not in engine_settings(config, side)  # type: ignore[arg-type]
