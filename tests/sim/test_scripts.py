"""Behaviour files: which orders a rule takes, what each step does, and what a file that cannot be used is told."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest

from oms.errors import OperatorError
from oms.sim.script import TAKES, StepName, parse_behaviour, read_behaviour
from tests.sim.talk import Talk, cancel, order, replace, rule


def test_the_first_rule_that_matches_takes_the_order_and_all_others_trade_in_the_market() -> None:
    rules = rule("accept", symbol='"A*"', account='"FUND?"') + rule("pending_new", text='"slow"')
    talk = Talk(rules)
    assert talk.say(order("1", t55="AAPL", t1="FUND1")) == ["0 0 1 100=0+100"]
    assert talk.say(order("2", t55="AAPL", t1="HOUSE", t58="slow please")) == ["A A 2 100=0+100"]
    assert talk.say(order("3", t55="AAPL", t1="HOUSE", t44="1")) == ["0 0 3 100=0+100"]


def test_nth_and_every_count_the_orders_that_match_the_rest_of_the_rule() -> None:
    talk = Talk(rule("reject", symbol='"IBM"', nth="2") + rule("pending_new", symbol='"IBM"', every="3"))
    answers = [talk.say(order(str(n), t55="IBM" if n != 2 else "SAP", t44="1"))[0][:3] for n in range(1, 8)]
    assert answers == ["0 0", "0 0", "8 8", "A A", "0 0", "0 0", "A A"]


def test_a_rule_may_name_one_order_by_its_id_or_its_trace() -> None:
    talk = Talk(rule("reject", cl_ord_id='"B"') + rule("expire", trace='"C1/9"'))
    answers = [talk.say(order(text, t44="1") + "|7001=C1/" + trace)[0][:3] for text, trace in ("A1", "B2", "C9")]
    assert answers == ["0 0", "8 8", "C C"]


def test_a_delay_waits_for_its_time() -> None:
    talk = Talk(rule("accept", "{do='delay', ms=200}", "fill"))
    assert talk.say(order()) == ["0 0 X 100=0+100"]
    assert talk.wait(199) == []
    assert talk.wait(1) == ["F 2 X 100=100+0 @100*10"]


def test_out_of_order_swaps_the_next_two_reports() -> None:
    talk = Talk(rule("accept", "out_of_order", "{do='part_fill', fraction=0.5}", "fill", "expire"))
    assert talk.say(order()) == [
        "0 0 X 100=0+100",
        "F 2 X 100=100+0 @50*10",
        "F 1 X 100=50+50 @50*10",
        "C 2 X 100=100+0",
    ]


def test_a_duplicate_has_the_same_exec_id_and_says_so_unless_told_not_to() -> None:
    talk = Talk(rule("accept", "fill", "duplicate", "{do='duplicate', poss_resend=false}"))
    assert talk.say(order())[2:] == ["F 2 X 100=100+0 @100*10 again", "F 2 X 100=100+0 @100*10"]
    assert [message[17] for message in talk.out] == ["SE1", "SE2", "SE2", "SE2"]


def test_wrong_quantities_do_not_add_up_and_the_next_report_is_right_again() -> None:
    talk = Talk(rule("accept", "{do='wrong_quantities', qty=10, cum_qty=77}", "fill"))
    assert talk.say(order())[1:] == ["F 1 X 100=77+90 @10*10", "F 2 X 100=100+0 @90*10"]


def test_a_report_for_an_unknown_order_leaves_the_known_one_alone() -> None:
    talk = Talk(rule("accept", "{do='unknown_order_report', qty=7, px=3}", "fill"))
    said = talk.say(order())
    assert said == ["0 0 X 100=0+100", "F 2 UNKNOWNSE2 7=7+0 @7*3", "F 2 X 100=100+0 @100*10"]


def test_silence_answers_nothing_any_more() -> None:
    talk = Talk(rule("accept", "silence", "fill"))
    assert talk.say(order()) == ["0 0 X 100=0+100"]
    said = (
        talk.say(cancel("Y", "X"))
        + talk.say("35=H|11=X|55=IBM|54=1")
        + talk.say(order())
        + talk.wait(1000, walk=True)
    )
    assert said == []


def test_a_disconnect_keeps_its_place_among_the_reports() -> None:
    assert Talk(rule("accept", "disconnect", "fill")).say(order()) == [
        "0 0 X 100=0+100",
        "disconnect",
        "F 2 X 100=100+0 @100*10",
    ]


def test_a_business_reject_answers_the_request_where_there_is_one_else_the_order() -> None:
    assert Talk(rule("business_reject")).say(order()) == ["j X D 0"]
    talk = Talk(rule("accept", "{do='delay', ms=5}", "{do='business_reject', reason=4}", "cancel"))
    talk.say(order())
    talk.say(cancel("Y", "X"))
    assert talk.wait(5) == ["j Y F 4"]


def test_a_fill_after_cancel_waits_for_the_cancel() -> None:
    talk = Talk(rule("accept", "{do='fill_after_cancel', qty=10}"))
    assert talk.say(order()) == ["0 0 X 100=0+100"]
    assert talk.say(cancel("Y", "X")) == ["4 4 Y<X 100=0+0", "F 4 X 100=10+0 @10*10"]


def test_a_fill_after_cancel_fills_the_rest_and_nothing_if_there_is_none() -> None:
    talk = Talk(rule("accept", "{do='part_fill', fraction=0.6}", "fill_after_cancel", "fill_after_cancel"))
    talk.say(order())
    assert talk.say(cancel("Y", "X")) == ["4 4 Y<X 100=60+0", "F 2 X 100=100+0 @40*10"]


def test_an_unsolicited_cancel_carries_the_orders_own_id() -> None:
    assert Talk(rule("accept", "unsolicited_cancel")).say(order())[1] == "4 4 X 100=0+0"


def test_requests_are_answered_at_once_when_no_step_ahead_speaks_of_their_kind() -> None:
    talk = Talk(rule("accept", "{do='delay', ms=100}", "replace_reject"))
    talk.say(order())
    assert talk.say(replace("Y", "X", 50)) == []
    assert talk.say(cancel("Z", "X")) == []  # behind the replace: requests of one order keep their order
    assert talk.wait(100) == ["9 0 Y<X 2/2", "4 4 Z<X 100=0+0"]


def test_of_steps_that_wait_in_a_row_the_one_goes_first_whose_request_comes_first() -> None:
    talk = Talk(rule("accept", "replace_reject", "cancel_reject", "fill"))
    talk.say(order())
    assert talk.say(cancel("Y", "X")) == ["9 0 Y<X 2/1"]
    assert talk.say(replace("Z", "X", 50)) == ["9 0 Z<X 2/2", "F 2 X 100=100+0 @100*10"]


def test_a_cancel_granted_as_usual_ends_the_script() -> None:
    talk = Talk(rule("pending_new", "{do='delay', ms=50}", "reject", "{do='part_fill', qty=10}"))
    talk.say(order())
    assert talk.say(cancel("Y", "X")) == ["4 4 Y<X 100=0+0"]
    assert talk.wait(50) == []


def test_the_step_market_hands_the_order_over_to_the_market() -> None:
    talk = Talk(rule("accept", "{do='delay', ms=50}", "market"))
    assert talk.say(order(t40="1", t44="")) == ["0 0 X 100=0+100"]
    assert talk.wait(50) == ["F 2 X 100=100+0 @100*101.83"]


def test_an_overfill_is_possible_on_purpose() -> None:
    talk = Talk(rule("accept", "{do='part_fill', qty=130}"))
    assert talk.say(order())[1] == "F 2 X 100=130+0 @130*10"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("x", "b.toml: is not TOML"),
        ("[[rule]]\nsteps = ['acept']", "b.toml: rule.1.steps.1.do: Input should be 'accept'"),
        ("[[rule]]\nsteps = [{do='fill', qty=3}]", "b.toml: rule.1.steps.1: step fill takes no qty, only px"),
        ("[[rule]]\nsteps = ['accept', 'part_fill']", "b.toml: rule.1.steps.2: step part_fill needs qty or fraction"),
        ("[[rule]]\nsteps = [{do='delay'}]", "b.toml: rule.1.steps.1: step delay needs ms"),
        ("[[rule]]\nsymbol = 'A'", "b.toml: rule.1.steps: Field required"),
        ("[market]\nspeed = 1", "b.toml: market.speed: no such key"),
        ("[market]\ntick_ms = 0", "b.toml: market.tick_ms: Input should be greater than or equal to 5"),
    ],
)
def test_a_file_that_cannot_be_used_is_told_where_and_why(text: str, problem: str) -> None:
    with pytest.raises(OperatorError) as error:
        parse_behaviour(text, "b.toml")
    assert str(error.value).startswith(problem)
    assert str(error.value).endswith("; correct it")


def test_a_file_that_is_not_there_or_not_text_is_told_so(tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match="cannot be read"):
        read_behaviour(tmp_path / "none.toml")
    (tmp_path / "b.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(OperatorError, match="is not UTF-8 text"):
        read_behaviour(tmp_path / "b.toml")


def test_the_page_lists_every_step_with_its_parameters() -> None:
    page = (Path(__file__).parents[2] / "docs" / "simulators.md").read_text()
    rows = [line.split("|") for line in page.splitlines() if line.startswith("| `")]
    listed = {row[1].strip(" `"): set(re.findall("`([a-z_]+)`", row[2])) for row in rows if len(row) == 5}
    assert listed == {name: set(TAKES.get(name, ())) for name in get_args(StepName)}
