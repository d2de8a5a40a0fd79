"""Problems that take more than one change, several files, or the file system; and what is only warned about (I12)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from oms.config.dictionaries import STANDARD_DIRECTORY
from oms.config.load import load
from oms.config.templates import demo_files
from oms.errors import ConfigError, Problem
from tests.config.certificate import CERTIFICATE

if TYPE_CHECKING:
    from tests.config.certificate import CERTIFICATE
from tests.config.conftest import Desk

CFG = "sessions.cfg"
TOML = "oms.toml"


def everywhere(desk: Desk, old: str, new: str) -> None:
    text = (desk.directory / CFG).read_text()
    assert old in text
    desk.write(CFG, text.replace(old, new))


def test_problems_of_all_files_are_told_at_once(desk: Desk) -> None:
    desk.change(TOML, 'trading = "on"', 'tradng = "on"')
    desk.change(CFG, "SocketAcceptPort=5201", "SocketAcceptPort=99999")
    desk.change("instruments.csv", "XNAS,USD,0.01", "XNAS,usd,0.01")
    desk.change("accounts.csv", "FUND1,CLIENT1,Y", "FUND1,,Y")
    desk.change("fix_specs/standard-fix42.toml", "status_requests = true", "status_requests = 1")
    assert desk.problems() == [
        "oms.toml: [gateway] tradng: unknown key; did you mean trading?",
        'sessions.cfg: line 17 SocketAcceptPort: "99999" is not a whole number from 1 to 65535; write for example '
        "SocketAcceptPort=5201",
        "fix_specs/standard-fix42.toml: status_requests: 1 is not true or false; "
        "write for example status_requests = true",
        'instruments.csv: line 5 currency: "usd" is not three capital letters; write for example USD',
        "accounts.csv: line 4 clients: missing; write for example CLIENT1;CLIENT2",
    ]


def test_no_oms_toml(desk: Desk) -> None:
    desk.main.unlink()
    assert desk.problems() == [
        "oms.toml: no such file; create it or correct --config; `oms init DIR` writes an example"
    ]


@pytest.mark.parametrize(
    ("name", "named_by"),
    [
        (CFG, "[files] sessions"),
        ("instruments.csv", "[files] instruments"),
        ("accounts.csv", "[files] accounts"),
    ],
)
def test_a_file_that_is_not_there_is_told_once(desk: Desk, name: str, named_by: str) -> None:
    (desk.directory / name).unlink()
    assert desk.problems() == [
        f"{name}: no such file; create it or correct {named_by} in oms.toml; `oms init DIR` writes an example"
    ]


@pytest.mark.parametrize("name", [TOML, CFG, "instruments.csv", "accounts.csv", "fix_specs/standard-fix44.toml"])
def test_a_file_that_is_not_utf_8(desk: Desk, name: str) -> None:
    (desk.directory / name).write_bytes(b"name\xff")
    assert desk.problems() == [f"{name}: not UTF-8 text (byte 4); save it as UTF-8 text"]


def test_a_directory_in_the_place_of_a_file(desk: Desk) -> None:
    (desk.directory / CFG).unlink()
    (desk.directory / CFG).mkdir()
    assert desk.problems() == ["sessions.cfg: cannot be read: Is a directory; make it a file this user can read"]


def test_no_routes(desk: Desk) -> None:
    desk.write(TOML, desk.main.read_text().split("[[routes]]")[0])
    assert desk.problems() == [
        "oms.toml: [[routes]]: no route, so that every order would be refused; add a [[routes]] section"
    ]


def test_routes_as_one_section(desk: Desk) -> None:
    desk.write(TOML, desk.main.read_text().split("[[routes]]")[0] + '[routes]\nbroker = "BROKER1"\n')
    assert desk.problems() == ["oms.toml: [routes]: a section is not [[routes]] sections; write [[routes]] sections"]


def test_two_sessions_with_one_id(desk: Desk) -> None:
    desk.change(CFG, "BeginString=FIX.4.2\nTargetCompID=CLIENT2", "BeginString=FIX.4.4\nTargetCompID=CLIENT1")
    desk.change(CFG, "DataDictionary=FIX42.xml\nOmsDialect=standard-fix42\n", "")
    assert desk.problems() == [
        "sessions.cfg: [SESSION] CLIENT2: the same session id FIX.4.4:OMS->CLIENT1 as CLIENT1; "
        "change SenderCompID or TargetCompID, or remove one of the two sessions"
    ]


def test_two_sessions_whose_message_stores_would_be_one(desk: Desk) -> None:
    desk.change(CFG, "TargetCompID=BROKER1", "SenderCompID=OMS-A\nTargetCompID=B")
    desk.append(
        CFG,
        "\n[SESSION]\nOmsName=B3\nConnectionType=initiator\nBeginString=FIX.4.2\nSenderCompID=OMS\nTargetCompID=A-B\n"
        "SocketConnectHost=h\nSocketConnectPort=1\n",
    )
    assert desk.problems() == [
        "sessions.cfg: [SESSION] B3: the same message store FIX.4.2-OMS-A-B as BROKER1; "
        "change SenderCompID or TargetCompID, or remove one of the two sessions"
    ]


def test_no_client_session(desk: Desk) -> None:
    everywhere(desk, "acceptor", "initiator")
    everywhere(desk, "SocketAcceptPort=5201", "SocketConnectHost=h\nSocketConnectPort=1")
    everywhere(desk, "AllowedRemoteAddresses=127.0.0.1\n", "")
    assert desk.problems() == [
        "sessions.cfg: [SESSION]: no client session; add a [SESSION] with ConnectionType=acceptor"
    ]


def test_a_key_before_any_section(desk: Desk) -> None:
    desk.write(CFG, "HeartBtInt=30\n" + (desk.directory / CFG).read_text())
    assert desk.problems() == ["sessions.cfg: line 1: a key before any section; put [DEFAULT] or [SESSION] above it"]


def test_tls_without_a_certificate(desk: Desk) -> None:
    everywhere(desk, "ConnectionType=acceptor", "ConnectionType=acceptor\nOmsTls=Y")
    everywhere(desk, "AllowedRemoteAddresses=127.0.0.1\n", "")
    assert desk.problems() == [
        "sessions.cfg: [DEFAULT] ServerCertificateFile: missing for OmsTls=Y; add ServerCertificateFile=FILE"
    ]


def test_tls_to_brokers_without_authorities(desk: Desk) -> None:
    everywhere(desk, "ConnectionType=initiator", "ConnectionType=initiator\nOmsTls=Y")
    assert desk.problems() == [
        "sessions.cfg: [DEFAULT] CertificationAuthoritiesFile: missing for OmsTls=Y; "
        "add CertificationAuthoritiesFile=FILE"
    ]


def test_tls_for_one_of_two_clients(desk: Desk) -> None:
    desk.change(CFG, "OmsName=CLIENT1", "OmsName=CLIENT1\nOmsTls=Y")
    desk.change(CFG, "AllowedRemoteAddresses=127.0.0.1", "")
    desk.change(CFG, "[DEFAULT]", "[DEFAULT]\nServerCertificateFile=cert.pem")
    desk.write("cert.pem", CERTIFICATE)
    assert desk.problems() == [
        "sessions.cfg: [SESSION] CLIENT2 OmsTls: N, but Y for CLIENT1; write the same for all client sessions; "
        "QuickFIX has one socket kind for them"
    ]


def test_tls_with_a_certificate_that_is_not_there(desk: Desk) -> None:
    everywhere(desk, "ConnectionType=acceptor", "ConnectionType=acceptor\nOmsTls=Y")
    desk.change(CFG, "[DEFAULT]", "[DEFAULT]\nServerCertificateFile=cert.pem")
    assert desk.problems() == ["sessions.cfg: [DEFAULT] ServerCertificateFile: no file cert.pem; correct the name"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("<fix", "is not XML: unclosed token: line 1, column 0; mend the file, or write DataDictionary=FIX44.xml"),
        (
            "<a/>",
            "has no <fix major=.. minor=..> at its root; mend the file, or write DataDictionary=FIX44.xml",
        ),
        (
            "<fix type='FIX' major='4' minor='2'/>",
            "is for FIX.4.2, not FIX.4.4; write DataDictionary=FIX44.xml",
        ),
    ],
)
def test_a_dictionary_that_is_none(desk: Desk, text: str, problem: str) -> None:
    desk.write("fix_specs/FIX44.xml", text)
    desk.change("fix_specs/standard-fix44.toml", "status_requests = true", "status_requests = false")
    assert desk.problems() == [f"sessions.cfg: [SESSION] CLIENT1 DataDictionary: fix_specs/FIX44.xml {problem}"]


@pytest.mark.parametrize("code", ["D", "8", "A"])
def test_a_dictionary_without_a_message_that_the_gateway_works_with(desk: Desk, code: str) -> None:
    text = (STANDARD_DIRECTORY / "FIX44.xml").read_text()
    desk.write("fix_specs/FIX44.xml", text.replace(f"msgtype='{code}'", f"msgtype='U{code}'"))
    assert desk.problems() == [
        f"sessions.cfg: [SESSION] CLIENT1 DataDictionary: fix_specs/FIX44.xml lacks MsgType(35)={code}; "
        "add the message to the dictionary"
    ]


def test_status_requests_without_the_message_for_them(desk: Desk) -> None:
    text = (STANDARD_DIRECTORY / "FIX44.xml").read_text()
    desk.write("fix_specs/FIX44.xml", text.replace("msgtype='H'", "msgtype='UH'"))
    assert desk.problems() == [
        "sessions.cfg: [SESSION] CLIENT1 OmsDialect: standard-fix44 has status_requests, FIX44.xml lacks "
        "MsgType(35)=H; write status_requests = false in the dialect, or add the message to the dictionary"
    ]


def test_a_mass_status_request_that_the_version_does_not_have(desk: Desk) -> None:
    desk.change("fix_specs/standard-fix42.toml", "mass_cancel = false", "mass_cancel = false\nmass_status = true")
    why = (
        "OmsDialect: standard-fix42 has mass_status, FIX42.xml lacks MsgType(35)=AF; write mass_status = false in the"
        " dialect, or add the message to the dictionary"
    )
    assert desk.problems() == [f"sessions.cfg: [SESSION] {name} {why}" for name in ("CLIENT2", "BROKER1")]


def test_mass_cancels_without_the_messages_for_them(desk: Desk) -> None:
    desk.change("fix_specs/standard-fix42.toml", "mass_cancel = false", "mass_cancel = true")
    why = (
        "OmsDialect: standard-fix42 has mass_cancel, FIX42.xml lacks MsgType(35)=q or r; write mass_cancel = false"
        " in the dialect, or add the messages to the dictionary"
    )
    assert desk.problems() == [f"sessions.cfg: [SESSION] {name} {why}" for name in ("CLIENT2", "BROKER1")]


def test_a_tag_both_set_and_dropped(desk: Desk) -> None:
    desk.change("fix_specs/standard-fix42.toml", "drop = []", 'drop = ["21"]')
    assert desk.problems() == [
        "fix_specs/standard-fix42.toml: [tags] drop: tag 21 is in set as well; remove 21 from one of them"
    ]


def test_a_path_too_long_for_quickfix(desk: Desk) -> None:
    state = "/".join(["d" * 200] * 6)
    desk.change(TOML, 'state_dir = "state"', f'state_dir = "{state}"')
    assert desk.problems() == [
        "oms.toml: [gateway] state_dir: longer than 900 bytes with its directory; name a shorter one"
    ]


# -- warnings -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["ResetOnLogon", "ResetOnLogout", "ResetOnDisconnect"])
def test_resets_are_warned_about(desk: Desk, name: str) -> None:
    desk.change(CFG, "TargetCompID=BROKER1", f"TargetCompID=BROKER1\n{name}=Y")
    assert desk.warnings() == [
        f"sessions.cfg: [SESSION] BROKER1 {name}: Y: messages sent while the other side was away are lost; "
        f"write {name}=N; numbers are reset by schedule (StartTime, EndTime) or by an operator"
    ]


def test_a_route_behind_one_that_takes_everything_is_warned_about(desk: Desk) -> None:
    desk.append(TOML, '[[routes]]\nname = "late"\nbroker = "BROKER1"\n')
    # the appended section ends [log]; TOML does not mind the order
    assert desk.warnings() == [
        "oms.toml: [[routes]] #4 (late): never reached: everything-else takes every order; "
        "move it above everything-else, or remove it"
    ]


def test_a_broker_without_a_route_is_warned_about(desk: Desk) -> None:
    desk.write(TOML, desk.main.read_text().split("[[routes]]")[0] + '[[routes]]\nname = "all"\nbroker = "BROKER1"\n')
    assert desk.warnings() == ["oms.toml: [[routes]]: no route leads to BROKER2; add one, or remove the session"]


def test_a_pattern_that_matches_nothing_is_warned_about(desk: Desk) -> None:
    desk.change(TOML, 'security_exchange = "XETR" ', 'symbol = "ZZ*" ')
    desk.change("accounts.csv", "FUND1,CLIENT1,", "FUND1,CLIENT1;DMA*,")
    assert desk.warnings() == [
        'oms.toml: [[routes]] #2 (germany) symbol: "ZZ*" matches no symbol there is now; '
        "correct it, or leave it for later",
        'accounts.csv: account FUND1 clients: "DMA*" matches no client session there is now; '
        "correct it, or leave it for later",
    ]


def test_no_limits_at_all_are_warned_about(desk: Desk) -> None:
    desk.write(TOML, '[[routes]]\nname = "all"\nbroker = "BROKER1"\nfallbacks = "BROKER2"\n')
    assert desk.warnings() == [
        "oms.toml: [limits]: no limit at all, so that every order will be refused; "
        "add max_order_qty and max_order_notional"
    ]


def test_a_live_gateway_is_warned_about_what_a_live_desk_should_not_do(desk: Desk) -> None:
    desk.change(TOML, 'environment = "test"', 'environment = "live"')
    desk.change(TOML, "[limits]\n", "[limits]\nrequire_row = false\n")
    desk.change(CFG, "[DEFAULT]\n", "[DEFAULT]\nOmsEnvironment=live\nOmsAllowLoopback=Y\n")
    desk.change(CFG, "AllowedRemoteAddresses=127.0.0.1\n", "")
    assert desk.warnings() == [
        "oms.toml: [database] url: absent: a live gateway on the embedded Postgres; name a server with backups",
        "oms.toml: [operators] users: fewer than two, so that nobody can do what needs two people "
        "(fills.add, fills.correct, fills.bust, orders.settle, sessions.set_seq); "
        "name two operators with their system users",
        "sessions.cfg: [SESSION] CLIENT1 AllowedRemoteAddresses: absent: any address that knows the CompIDs "
        "may log on; "
        "add the client's addresses, OmsPassword, or OmsTls=Y with CertificateVerifyLevel=1",
    ]


# -- anything at all ----------------------------------------------------------------------------------------


def problems_of(desk: Desk) -> tuple[Problem, ...]:
    try:
        load(desk.main)
    except ConfigError as error:
        return error.problems
    return ()


NAMES = [name for name in sorted(demo_files()) if name != "fix_specs/standard-fix50sp2.toml"]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.sampled_from(NAMES), data=st.data())
def test_whatever_stands_in_a_file_it_is_loaded_or_refused_with_file_and_remedy(
    desk: Desk, name: str, data: st.DataObject
) -> None:
    good = demo_files()[name].encode()
    start = data.draw(st.integers(0, len(good)))
    length = data.draw(st.integers(0, 40))
    noise = data.draw(st.one_of(st.binary(max_size=20), st.text("[]{}=\"'\n#.,;0159eE-Ynaifx", max_size=20)))
    path = desk.directory / name
    path.write_bytes(good[:start] + (noise if isinstance(noise, bytes) else noise.encode()) + good[start + length :])
    problems = problems_of(desk)
    path.write_bytes(good)
    assert all(problem.file and problem.problem and problem.remedy for problem in problems)


def test_a_route_to_a_drop_copy_is_refused(desk: Desk) -> None:
    desk.append(
        CFG,
        "[SESSION]\nOmsName=COPY1\nConnectionType=acceptor\nBeginString=FIX.4.4\nTargetCompID=COPY1\n"
        "SocketAcceptPort=5201\nOmsRole=drop_copy\nOmsDropCopyOf=BROKER1\n",
    )
    desk.change(TOML, 'broker = "BROKER1"', 'broker = "COPY1"')
    found = desk.problems()
    assert found[0].endswith('"COPY1" is a drop copy session; name a broker: BROKER1, BROKER2')
