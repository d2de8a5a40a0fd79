"""Every (state, event) pair of the table, allowed and refused, against a second table written by hand.

The second table is drawn the way a person would on a whiteboard: one line per state, one column per event,
`.` where the table must refuse. It shares nothing with the first but the names.
"""

from __future__ import annotations

import pytest

from oms.core import transitions as life

COLUMNS = ["rou", "los", "ack", "acc", "rej", "tra", "ame", "can", "rep", "exp", "fin", "sto", "sus", "cal", "res"]
EVENT = {
    "rou": life.ROUTE, "los": life.LOSE, "ack": life.ACKNOWLEDGE, "acc": life.ACCEPT, "rej": life.REJECT,
    "tra": life.TRADE, "ame": life.AMEND, "can": life.CANCEL, "rep": life.REPLACE, "exp": life.EXPIRE,
    "fin": life.FINISH_DAY, "sto": life.STOP, "sus": life.SUSPEND, "cal": life.CALCULATE, "res": life.RESTATE,
}  # fmt: skip
STATE = {
    "recv": life.RECEIVED, "rout": life.ROUTED, "pend": life.PENDING_NEW, "work": life.WORKING,
    "stop": life.STOPPED, "susp": life.SUSPENDED, "done": life.DONE_FOR_DAY, "calc": life.CALCULATED,
    "canc": life.CANCELED, "expi": life.EXPIRED, "reje": life.REJECTED, "unkn": life.UNKNOWN,
}  # fmt: skip
WHITEBOARD = """
        rou  los  ack  acc  rej  tra  ame  can  rep  exp  fin  sto  sus  cal  res
recv    rout .    .    .    reje .    .    canc .    .    .    .    .    .    .
rout    rout unkn pend work reje work work canc work expi done stop susp calc work
pend    .    unkn pend work reje work work canc work expi done stop susp calc work
work    .    .    work work reje work work canc work expi done stop susp calc work
stop    .    .    stop work reje stop stop canc work expi done stop susp calc work
susp    .    .    susp work reje susp susp canc work expi done stop susp calc work
done    .    .    done work reje done done canc work expi done stop susp calc work
calc    .    .    calc work reje calc calc canc work expi done stop susp calc work
canc    .    .    canc canc .    canc canc canc .    .    canc .    .    .    canc
expi    .    .    expi expi .    expi expi expi .    expi .    .    .    .    expi
reje    .    .    reje .    reje work reje .    .    .    .    .    .    .    .
unkn    .    unkn pend work reje work work canc work expi done stop susp calc work
"""


def whiteboard() -> list[tuple[str, str, str | None]]:
    head, *lines = WHITEBOARD.strip("\n").splitlines()
    assert head.split() == COLUMNS
    rows = []
    for line in lines:
        state, *cells = line.split()
        rows += [
            (STATE[state], EVENT[column], None if cell == "." else STATE[cell])
            for column, cell in zip(COLUMNS, cells, strict=True)
        ]
    return rows


@pytest.mark.parametrize(("state", "event", "after"), whiteboard())
def test_the_table_says_of_every_state_and_event_what_follows_or_that_it_is_refused(
    state: str, event: str, after: str | None
) -> None:
    assert life.next_state(state, event) == after


def test_the_whiteboard_has_every_state_and_event() -> None:
    pairs = {(state, event) for state, event, _ in whiteboard()}
    assert pairs == {(state, event) for state in life.TABLE for event in life.EVENTS}
    assert len(whiteboard()) == len(pairs) == 12 * 15


def test_the_table_names_only_states_and_events_that_exist() -> None:
    assert {after for row in life.TABLE.values() for after in row.values()} <= set(life.TABLE)
    assert {event for row in life.TABLE.values() for event in row} <= set(life.EVENTS)
    assert set(life.EVENT_OF_EXEC_TYPE.values()) == set(life.EVENTS) - {life.ROUTE, life.LOSE}


def test_an_ended_order_stays_ended_but_for_a_fill_of_what_was_refused() -> None:
    ways_back = {
        (state, event): after
        for state in life.TERMINAL
        for event, after in life.TABLE[state].items()
        if after not in life.TERMINAL
    }
    assert ways_back == {(life.REJECTED, life.TRADE): life.WORKING}


def test_a_fill_is_taken_in_every_state_in_which_a_broker_may_hold_the_order() -> None:
    refusing = [state for state in life.TABLE if life.next_state(state, life.TRADE) is None]
    assert refusing == [life.RECEIVED]


def test_contradictions_are_the_fills_of_ended_orders() -> None:
    assert {(state, life.TRADE) for state in life.TERMINAL} == life.CONTRADICTIONS


# What each ExecType(150) of FIX 4.4 does. 6, E and I are not of the order's life: requests and status answers.
EXEC_TYPES = {
    "0": life.ACCEPT, "3": life.FINISH_DAY, "4": life.CANCEL, "5": life.REPLACE, "7": life.STOP, "8": life.REJECT,
    "9": life.SUSPEND, "A": life.ACKNOWLEDGE, "B": life.CALCULATE, "C": life.EXPIRE, "D": life.RESTATE,
    "F": life.TRADE, "G": life.AMEND, "H": life.AMEND,
}  # fmt: skip


def test_every_exec_type_of_the_standard_that_moves_an_order_has_its_event() -> None:
    assert life.EVENT_OF_EXEC_TYPE == EXEC_TYPES
