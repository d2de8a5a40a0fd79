"""The pace: never more than the burst and the rate allow, half of it after a complaint, all of it again in steps."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from oms.pace import Pace, TooFast


def sent_within(pace: Pace, since: float, until: float, step: float = 0.001) -> int:
    """How many leave if somebody always wants to send."""
    count, now = 0, since
    while now < until:
        while pace.wait(now) == 0:
            pace.take(now)
            count += 1
        now += step
    return count


def test_a_burst_leaves_at_once_and_then_as_many_a_second_as_the_rate_says() -> None:
    pace = Pace(50, 5, 10)
    assert sent_within(pace, 0.0, 0.001) == 5
    assert sent_within(pace, 0.001, 2.0) in (98, 99, 100)
    assert 0 < pace.wait(2.0) <= 0.02
    assert sent_within(pace, 60.0, 60.001) == 5


@given(st.integers(1, 200), st.integers(1, 20), st.lists(st.floats(0, 0.2), min_size=1, max_size=200))
def test_in_no_span_of_time_does_more_leave_than_burst_and_rate_allow(
    rate: int, burst: int, pauses: list[float]
) -> None:
    pace, now, left = Pace(rate, burst, 10), 0.0, list[float]()
    for pause in pauses:
        now += pause
        if pace.wait(now) == 0:
            pace.take(now)
            left.append(now)
    for first, since in enumerate(left):
        for last, until in enumerate(left[first:], 1):
            assert last <= burst + (until - since) * rate + 1e-6


def test_a_complaint_halves_the_rate_and_a_quarter_comes_back_at_a_time() -> None:
    pace = Pace(40, 4, 10)
    pace.slow(100.0)
    assert (pace.rate(100.0), pace.wait(100.0)) == (20, 0.05)
    pace.slow(100.5)  # about what had left before
    assert pace.rate(100.5) == 20
    pace.slow(102.0)
    assert [pace.rate(at) for at in (111.9, 112.0, 122.0, 132.0, 500.0)] == [10, 20, 30, 40, 40]
    assert pace.complaints == 3


def test_however_often_it_complains_a_sixteenth_still_leaves() -> None:
    pace = Pace(160, 1, 10)
    for at in range(100, 200, 2):
        pace.slow(float(at))
    assert (pace.rate(199.0), pace.complaints) == (10, 50)


def test_a_complaint_is_known_by_type_field_and_value_and_nothing_else_is_one() -> None:
    pace = Pace(10, 1, 10, [TooFast("j", "58", "*rate limit*"), TooFast("3", "373", "99")])
    texts = {
        "8=FIX.4.4|9=1|35=j|34=2|58=Message Rate Limit exceeded|10=0|": True,
        "8=FIX.4.4|9=1|35=j|34=2|58=unknown symbol|10=0|": False,
        "8=FIX.4.4|9=1|35=8|34=2|58=rate limit|10=0|": False,
        "8=FIX.4.4|9=1|35=3|34=2|373=99|10=0|": True,
        "8=FIX.4.4|9=1|35=3|34=2|373=5|58=rate limit|10=0|": False,
        "": False,
    }
    assert {text: pace.says_too_fast(text.replace("|", "\x01")) for text in texts} == texts
    assert not Pace(10, 1, 10).says_too_fast("35=j\x0158=rate limit\x01")
