"""The scenario files themselves: all of the standard's references, rows that keep its general rules, clear errors."""

from __future__ import annotations

from decimal import Decimal

import pytest

from oms.certify.scenario import EXEC_TYPES, MESSAGES, Row, Run, answers, load_all, parse, runs
from oms.errors import OperatorError

SCENARIOS = load_all()
RUNS = [run for scenario in SCENARIOS for run in runs(scenario)]
# References of 4.4, and the number that 4.2 has for them ('' where it has none).
REFERENCES = {
    "A.1.a": "D1", "A.1.b": "D2", "B.1.a": "D3", "B.1.b": "D4", "B.1.c": "D5", "B.1.d": "", "B.1.e": "", "B.1.f": "",
    "C.1.a": "D6", "C.1.b": "D7", "C.1.c": "D8", "C.2.a": "D9", "C.3.a": "D10", "C.3.b": "D11", "C.3.c": "D12",
    "D.1.a": "D13", "D.1.b": "D14", "D.1.c": "D15", "D.2.a": "D16", "D.2.b": "", "D.2.c": "", "D.2.d": "D17",
    "E.1.a": "D18", "E.1.b": "D19", "E.1.c": "D20", "E.1.d": "D21", "E.1.e": "", "F.1.a": "D22", "F.1.b": "D31",
    "F.1.c": "D23", "G.1.a": "D24", "G.1.b": "D25", "G.1.c": "D26", "H.1.a": "D27", "H.1.b": "D28", "H.1.c": "D29",
    "H.1.d": "D30", "I.1.a": "D32", "I.1.b": "D33", "J.1.a": "D34", "J.1.b": "D35", "J.1.c": "D36", "J.1.d": "",
    "K.1.a": "", "K.1.b": "", "L.1.a": "D37", "L.1.b": "",
}  # fmt: skip
COLUMNS = "| Step | From | Message | ClOrdID(11) | ExecType(150) | More |\n"
HEAD = f"# B.1.b A title\n\n{COLUMNS}| --- | --- | --- | --- | --- | --- |\n"
ENDED = frozenset("348BC")  # OrdStatus(39) with which nothing may be left


def test_all_47_scenarios_of_the_standard_are_there_under_their_references() -> None:
    assert {one.reference: one.fix42 for one in SCENARIOS} == REFERENCES
    assert len(SCENARIOS) == 47


def test_every_alternative_is_a_run_of_its_own_that_ends_with_it() -> None:
    alternatives = [row.step for scenario in SCENARIOS for row in scenario.rows if not row.step.isdecimal()]
    assert len(RUNS) == len(SCENARIOS) + len(alternatives) == 91
    for run in RUNS:
        steps = [row.step for row in run.rows]
        assert [step for step in steps if not step.isdecimal()] == (
            [steps[-1]] if run.name != run.scenario.reference else []
        )
        numbers = [int(step.rstrip("ab")) for step in steps]
        assert numbers == list(range(1, len(numbers) + 1)), run.name


def reports(run: Run) -> list[Row]:
    return [row for row in run.rows if row.msg_type == "8"]


@pytest.mark.parametrize("run", RUNS, ids=[run.name for run in RUNS])
def test_quantities_add_up_in_every_report(run: Run) -> None:
    for row in reports(run):
        cum, leaves = Decimal(row.fields["14"]), Decimal(row.fields["151"])
        whole = Decimal(row.fields.get("38", 0))
        assert cum + leaves == whole or (leaves == 0 and cum <= whole and row.fields["39"] in ENDED), row


@pytest.mark.parametrize("run", RUNS, ids=[run.name for run in RUNS])
def test_every_refusal_says_which_request_it_refuses_and_why(run: Run) -> None:
    for row in run.rows:
        if row.msg_type == "9":
            assert {"11", "41", "39", "102", "434"} <= row.fields.keys(), row
        if row.fields.get("150") == "8":
            assert "103" in row.fields, row


@pytest.mark.parametrize("run", RUNS, ids=[run.name for run in RUNS])
def test_ids_are_those_of_requests_made_before(run: Run) -> None:
    asked: set[str] = set()
    for row in run.rows:
        if row.side == "client":
            asked.add(row.fields["11"])
        else:
            assert {row.fields.get(tag, "") for tag in ("11", "41")} - {""} <= asked | {"X"}, row


def test_answers_are_the_rows_of_the_gateway_that_follow_at_once() -> None:
    text = HEAD + (
        "| 1 | client | NewOrderSingle | X | | |\n| 2 | broker | ExecutionReport | | Trade | |\n"
        "| 3 | gateway | DontKnowTrade | | | DKReason(127)=D |\n| 4 | gateway | ExceptionItem | | | unknown_order |\n"
    )
    rows = parse(text, "x").rows
    assert [len(answers(rows, at)) for at in range(4)] == [0, 2, 1, 0]
    assert rows[3] == Row("4", "gateway", "", {}, "unknown_order")


TITLE = "x: the first line must be '# <reference> <title>', such as '# B.1.b Cancel of ...'"


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", TITLE),
        ("# M.1.a Title", TITLE),
        ("# B.1.b Title\n", "x: there is no table of steps"),
        ("# B.1.b Title\n| Step | Who |", "x:2: the columns are Step, From, Message, fields, More"),
    ],
)
def test_a_file_without_head_or_table_says_so(text: str, error: str) -> None:
    with pytest.raises(OperatorError) as raised:
        parse(text, "x")
    assert str(raised.value) == error


@pytest.mark.parametrize(
    ("row", "error"),
    [
        ("1 | buyer | NewOrderSingle | X | |", "From is one of client, broker, gateway, offline, day, not 'buyer'"),
        ("1 | client | Order | X | |", f"'Order' is not one of {', '.join(MESSAGES)}"),
        ("1 | broker | ExceptionItem | | | x", "ExceptionItem is the gateway's own: From must be gateway"),
        ("1 | client | NewOrderSingle | X | | Text", "'Text' in More is not Name(tag)=value"),
        ("1 | client | NewOrderSingle | X | | 58=a", "'58' is not Name(tag)"),
        ("1 | client | NewOrderSingle | X", "4 cells where the head has 6 columns"),
        ("1 | broker | ExecutionReport | X | Fill |", f"'Fill' is not one of {', '.join(EXEC_TYPES)}"),
        (
            "one | client | NewOrderSingle | X | |",
            "a step is a number, or a number and a letter for an alternative, not 'one'",
        ),
    ],
)
def test_a_row_that_is_wrong_says_where_and_what(row: str, error: str) -> None:
    with pytest.raises(OperatorError) as raised:
        parse(f"{HEAD}| {row} |", "x")
    assert str(raised.value) == f"x:5: {error}"
