"""The simulated broker answers as the standard's order state matrices say; the letter and number name the matrix."""

from __future__ import annotations

import pytest

from tests.sim.talk import Talk, cancel, order, replace, rule

RESTS = rule("accept")


def test_a1a_an_order_fills_in_three_pieces_in_the_words_of_4_2() -> None:
    talk = Talk(rule("accept", "{do='part_fill', qty=20}", "{do='part_fill', qty=10}", "fill"), "4.2")
    assert talk.say(order()) == [
        "0:0 0 X 100=0+100",
        "0:1 1 X 100=20+80 @20*10",
        "0:1 1 X 100=30+70 @10*10",
        "0:2 2 X 100=100+0 @70*10",
    ]


def test_a1a_an_order_fills_in_three_pieces_in_the_words_of_4_4() -> None:
    talk = Talk(rule("accept", "{do='part_fill', qty=20}", "{do='part_fill', qty=10}", "fill"))
    assert talk.say(order()) == [
        "0 0 X 100=0+100",
        "F 1 X 100=20+80 @20*10",
        "F 1 X 100=30+70 @10*10",
        "F 2 X 100=100+0 @70*10",
    ]


def test_a1b_a_part_filled_day_order_is_done_for_the_day() -> None:
    talk = Talk(rule("accept", "{do='part_fill', qty=20}", "done_for_day"))
    assert talk.say(order())[-1] == "3 3 X 100=20+0"
    assert talk.say(cancel("Y", "X")) == ["9 3 Y<X 0/1"]


def test_h1a_a_good_till_cancel_order_lives_on_after_the_day() -> None:
    talk = Talk(rule("accept", "{do='part_fill', qty=20}", "done_for_day", "{do='restate', reason=1}", "fill"))
    assert talk.say(order(t59="1"))[2:] == ["3 3 X 100=20+80", "D 1 X 100=20+80", "F 2 X 100=100+0 @80*10"]


def test_b1a_a_cancel_is_reported_under_its_own_id() -> None:
    talk = Talk(RESTS)
    talk.say(order())
    assert talk.say(cancel("Y", "X")) == ["4 4 Y<X 100=0+0"]


def test_b1b_fills_while_a_cancel_is_pending_keep_the_old_id_and_the_pending_status() -> None:
    talk = Talk(rule("accept", "pending_cancel", "{do='part_fill', qty=10}", "cancel"))
    talk.say(order())
    assert talk.say(cancel("Y", "X")) == [
        "6 6 Y<X 100=0+100",
        "F 6 X 100=10+90 @10*10",
        "4 4 Y<X 100=10+0",
    ]


def test_b1c_a_cancel_of_an_order_that_filled_meanwhile_is_too_late() -> None:
    talk = Talk(rule("accept", "pending_cancel", "fill"))
    talk.say(order())
    assert talk.say(cancel("Y", "X")) == ["6 6 Y<X 100=0+100", "F 6 X 100=100+0 @100*10", "9 2 Y<X 0/1"]


def test_b1f_a_cancel_of_an_unknown_order_is_refused_and_does_not_use_the_id_up() -> None:
    talk = Talk(RESTS)
    assert talk.say(cancel("Y", "X")) == ["9 8 Y<X 1/1"]
    assert talk.out[-1][37] == "NONE"
    assert talk.say(order("X")) == ["0 0 X 100=0+100"]


@pytest.mark.parametrize(("version", "line"), [("4.2", "0:5 5 Y<X 110=0+110"), ("4.4", "5 0 Y<X 110=0+110")])
def test_c1a_a_replace_of_an_unfilled_order(version: str, line: str) -> None:
    talk = Talk(rule("accept", "replace", "{do='part_fill', qty=10}"), version)
    talk.say(order())
    assert talk.say(replace("Y", "X", 110))[0] == line
    assert talk.out[-1][11] == "Y"  # from then on fills carry the new ClOrdID(11)


def test_c1c_a_script_may_reopen_a_filled_order_by_raising_its_quantity() -> None:
    talk = Talk(rule("accept", "fill", "replace"))
    talk.say(order())
    assert talk.say(replace("Y", "X", 120)) == ["5 1 Y<X 120=100+20"]


def test_c2a_a_replace_of_a_filled_order_is_too_late() -> None:
    talk = Talk(rule("accept", "fill"))
    talk.say(order())
    assert talk.say(replace("Y", "X", 120)) == ["9 2 Y<X 0/2"]


def test_c3c_a_replace_below_cum_qty_ends_the_order_filled_at_cum_qty() -> None:
    talk = Talk(rule("accept", "{do='part_fill', qty=80}"))
    talk.say(order())
    assert talk.say(replace("Y", "X", 70)) == ["5 2 Y<X 80=80+0"]


def test_d1a_cum_qty_is_carried_over_a_chain_of_replaces() -> None:
    talk = Talk(rule("accept", "{do='part_fill', qty=10}", "replace", "{do='part_fill', qty=20}", "replace", "fill"))
    assert talk.say(order())[1] == "F 1 X 100=10+90 @10*10"
    assert talk.say(replace("Y", "X", 80)) == ["5 1 Y<X 80=10+70", "F 1 Y 80=30+50 @20*10"]
    assert talk.say(replace("Z", "Y", 60)) == ["5 1 Z<Y 60=30+30", "F 2 Z 60=60+0 @30*10"]


def test_d2a_two_replaces_back_to_back_are_answered_in_turn() -> None:
    talk = Talk(rule("accept", "{do='delay', ms=10}", "pending_replace", "replace", "replace"))
    talk.say(order())
    assert talk.say(replace("Y", "X", 80)) + talk.say(replace("Z", "Y", 70)) == []
    assert talk.wait(10) == ["E E Y<X 100=0+100", "5 0 Y<X 80=0+80", "5 0 Z<Y 70=0+70"]


def test_d2c_two_replaces_both_refused_point_back_to_the_accepted_id() -> None:
    talk = Talk(rule("accept", "{do='delay', ms=10}", "replace_reject", "replace_reject"))
    talk.say(order())
    talk.say(replace("Y", "X", 80))
    talk.say(replace("Z", "Y", 70))
    assert talk.wait(10) == ["9 0 Y<X 2/2", "9 0 Z<X 2/2"]


@pytest.mark.parametrize(("version", "line"), [("4.2", "0:8 1 X 100=10+90"), ("4.4", "8 1 X 100=10+90")])
def test_f1a_a_second_order_of_the_same_id_is_refused_with_the_state_of_the_first(version: str, line: str) -> None:
    talk = Talk(rule("accept", "{do='part_fill', qty=10}"), version)
    talk.say(order())
    assert talk.say(order(t38="150")) == [line]
    assert talk.out[-1][103] == "6"


def test_f1b_a_possible_resend_is_answered_with_the_state_or_taken_as_new() -> None:
    talk = Talk(RESTS)
    talk.say(order("X"))
    assert talk.say(order("X") + "|97=Y") == ["I 0 X 100=0+100"]
    assert talk.say(order("Y") + "|97=Y") == ["0 0 Y 100=0+100"]


def test_a_possible_duplicate_of_a_known_order_or_request_is_passed_over() -> None:
    talk = Talk(RESTS)
    talk.say(order("X"))
    talk.say(cancel("Y", "X"))
    assert talk.say(order("X") + "|43=Y") == []
    assert talk.say(cancel("Y", "X") + "|43=Y") == []


def test_a_request_whose_id_was_used_before_is_refused_as_duplicate() -> None:
    talk = Talk(RESTS)
    talk.say(order("X"))
    assert talk.say(cancel("X", "X")) == ["9 0 X<X 6/1"]
    assert talk.say(cancel("Y", "X")) == ["4 4 Y<X 100=0+0"]


@pytest.mark.parametrize(("version", "line"), [("4.2", "3:8 8 Y 0=0+0"), ("4.4", "I 8 Y 0=0+0")])
def test_g1a_a_status_request_for_an_unknown_order(version: str, line: str) -> None:
    talk = Talk(RESTS, version)
    assert talk.say("35=H|11=Y|55=IBM|54=1") == [line]
    assert (talk.out[-1][17], talk.out[-1][103], talk.out[-1][37]) == ("0", "5", "NONE")


@pytest.mark.parametrize(("version", "line"), [("4.2", "3:1 1 X 100=10+90"), ("4.4", "I 1 X 100=10+90")])
def test_g1c_a_status_request_for_a_part_filled_order(version: str, line: str) -> None:
    talk = Talk(rule("accept", "{do='part_fill', qty=10}"), version)
    talk.say(order())
    assert talk.say("35=H|11=X|55=IBM|54=1") == [line]
    assert talk.out[-1][17] == "0"  # a status reply tells of no event


def test_j1a_busts_and_corrections_refer_to_the_latest_word_on_the_execution() -> None:
    talk = Talk(
        rule(
            "accept",
            "{do='part_fill', qty=10, px=100}",
            "{do='part_fill', qty=90, px=110}",
            "{do='bust', nth=1}",
            "{do='correct', nth=2, px=100}",
            "{do='part_fill', qty=10, px=120}",
            "{do='correct', nth=2, px=120}",
        )
    )
    assert talk.say(order())[3:] == [
        "H 1 X 100=90+10 of SE2",
        "G 1 X 100=90+10 @90*100 of SE3",
        "F 2 X 100=100+0 @10*120",
        "G 2 X 100=100+0 @90*120 of SE5",
    ]
    assert [message[6] for message in talk.out] == ["0", "100", "109", "110", "100", "102", "120"]


@pytest.mark.parametrize(
    ("version", "lines"),
    [
        ("4.2", ["1:1 4 X 100=0+0 of SE2", "0:1 4 X 100=40+0 @40*10"]),
        ("4.4", ["H 4 X 100=0+0 of SE2", "F 4 X 100=40+0 @40*10"]),
    ],
)
def test_j1b_bust_and_fill_of_a_cancelled_order_leave_it_cancelled(version: str, lines: list[str]) -> None:
    talk = Talk(rule("accept", "{do='part_fill', qty=50}", "cancel", "bust", "{do='part_fill', qty=40}"), version)
    talk.say(order())
    assert talk.say(cancel("Y", "X"))[1:] == lines


def test_i1a_fill_or_kill_that_cannot_fill_is_cancelled_not_expired() -> None:
    assert Talk().say(order(t59="4", t44="1")) == ["0 0 X 100=0+100", "4 4 X 100=0+0"]


def test_e1d_the_broker_trims_the_quantity_on_its_own() -> None:
    talk = Talk(rule("accept", "{do='restate', qty=90}", "fill"))
    assert talk.say(order())[1:] == ["D 0 X 90=0+90", "F 2 X 90=90+0 @90*10"]
    assert talk.out[1][378] == "5"
