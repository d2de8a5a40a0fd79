"""When certificates end, and when a session's numbers start at 1 again, by what sessions.cfg names."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from oms.config.certificates import Ends, not_after
from oms.config.schedule import schedule_of
from tests.config.certificate import CERTIFICATE
from tests.config.conftest import Desk

DAILY = {"StartTime": "07:00:00", "EndTime": "17:30:00"}
NIGHT = {"StartTime": "22:00:00", "EndTime": "21:55:00"}
WEEKLY = {"StartTime": "21:00:00", "EndTime": "22:00:00", "StartDay": "Sunday", "EndDay": "Fri"}
WHOLE_DAY = {"StartTime": "00:00:00", "EndTime": "00:00:00"}


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_dates_of_every_certificate_of_a_file_are_read_and_rubbish_is_named() -> None:
    ends = not_after(CERTIFICATE.encode() * 2)
    assert (len(ends), ends[0].year, ends[0] == ends[1]) == (2, 2126, True)
    assert not_after(b"no certificate") == []
    for cut in (200, 260, 300):
        lines = CERTIFICATE.splitlines()
        rubbish = "\n".join([lines[0], "".join(lines[1:-1])[:cut], lines[-1]])
        with pytest.raises(ValueError, match=r"."):
            not_after(rubbish.encode())


def test_what_is_said_of_an_end_before_and_after_it() -> None:
    ends = Ends("ServerCertificateFile", "server.pem", at("2026-03-02 12:00"))
    assert ends.says(at("2026-02-28 13:00")) == "ends 2026-03-02, in 1 days"
    assert ends.says(at("2026-03-02 12:00")) == "ended 2026-03-02"


def test_a_certificate_file_without_one_is_a_problem(desk: Desk) -> None:
    text = (desk.directory / "sessions.cfg").read_text().replace("AllowedRemoteAddresses=127.0.0.1\n", "")
    text = text.replace("ConnectionType=acceptor", "ConnectionType=acceptor\nOmsTls=Y")
    desk.write("sessions.cfg", text.replace("[DEFAULT]", "[DEFAULT]\nServerCertificateFile=cert.pem"))
    desk.write("cert.pem", "")
    assert desk.problems() == [
        "sessions.cfg: [DEFAULT] ServerCertificateFile: cert.pem has no certificate in PEM form;"
        " name a file of certificates (PEM)"
    ]


@pytest.mark.parametrize(
    ("settings", "now", "is_open", "reset"),
    [
        (DAILY, "2026-03-02 06:59:59", False, "2026-03-02 07:00:00"),
        (DAILY, "2026-03-02 07:00:00", True, "2026-03-03 07:00:00"),
        (DAILY, "2026-03-02 17:29:59", True, "2026-03-03 07:00:00"),
        (DAILY, "2026-03-02 18:00:00", False, "2026-03-03 07:00:00"),
        (NIGHT, "2026-03-02 21:57:00", False, "2026-03-02 22:00:00"),
        (NIGHT, "2026-03-02 23:00:00", True, "2026-03-03 22:00:00"),
        (NIGHT, "2026-03-02 03:00:00", True, "2026-03-02 22:00:00"),
        (WEEKLY, "2026-03-04 03:00:00", True, "2026-03-08 21:00:00"),  # a Wednesday
        (WEEKLY, "2026-03-07 03:00:00", False, "2026-03-08 21:00:00"),  # a Saturday
        (WEEKLY, "2026-03-08 21:00:00", True, "2026-03-15 21:00:00"),  # a Sunday
        (WHOLE_DAY, "2026-03-02 03:00:00", True, "2026-03-03 00:00:00"),
    ],
)
def test_a_schedule_says_whether_it_is_open_and_when_it_begins_anew(
    settings: dict[str, str], now: str, is_open: bool, reset: str
) -> None:
    schedule = schedule_of(settings)
    assert schedule is not None
    assert (schedule.is_open(at(now)), schedule.next_reset(at(now))) == (is_open, at(reset))


def test_local_times_are_of_this_machine_and_no_schedule_is_none() -> None:
    schedule = schedule_of(DAILY | {"UseLocalTime": "Y"})
    assert schedule is not None
    reset = schedule.next_reset(at("2026-03-02 12:00"))
    assert (reset.astimezone().time().isoformat(), reset - at("2026-03-02 12:00") <= timedelta(days=1)) == (
        "07:00:00",
        True,
    )
    assert schedule_of({"NonStopSession": "Y"}) is None


def test_a_password_is_named_or_hashed_and_never_repeated_in_what_is_said_of_it(desk: Desk) -> None:
    kept = (desk.directory / "sessions.cfg").read_text()
    of_client, of_broker = "OmsName=CLIENT1\n", "OmsName=BROKER1\n"
    for session, more, said in (
        (of_client, "OmsPassword=opensesame", "the password itself; name its place: OmsPassword=file:NAME; or a"),
        (of_client, "OmsPassword=scrypt:opensesame", "no hash that can be read; make it with"),
        (of_broker, "OmsPassword=scrypt:opensesame", "a hash, and the broker has to be told the password itself"),
        (of_client, "OmsUsername=opensesame", "without OmsPassword; add OmsPassword, or remove it"),
    ):
        desk.write("sessions.cfg", kept.replace(session, f"{session}{more}\n"))
        (problem,) = desk.problems()
        assert (said in problem, "opensesame" in problem) == (True, False), problem
