"""What a player notices, against a gateway in memory: every mistake is told with its step, field by field."""

from __future__ import annotations

from collections.abc import Callable

from oms.certify.player import Player
from tests.certify.conftest import FakeGateway

PlayerOf = Callable[..., Player]
ROWS = """\
| 1 | client | NewOrderSingle | X | | | | 100 | | | | |
| 2 | broker | ExecutionReport | X | | New | New | 100 | 0 | 100 | 0 | |
| 3 | broker | ExecutionReport | X | | Trade | PartiallyFilled | 100 | 40 | 60 | 40 | LastPx(31)=10 |
"""
STATUS_OF_ITS_OWN = """\
| 1 | client | OrderStatusRequest | X | | | | | | | | |
| 2 | gateway | ExecutionReport | X | | OrderStatus | Rejected | 0 | 0 | 0 | | |
"""


def played(player: Player) -> str:
    """What the player complains of, without the message that it quotes."""
    player.play()
    return "\n".join(line for line in player.failure.splitlines() if "the message:" not in line)


def on(to: str, kind: str, **change: str | None) -> Callable[[str, dict[int, str]], dict[int, str]]:
    """Changes fields (`t39="1"`) of what goes to one side with ExecType(150) or MsgType(35) `kind`."""

    def spoil(side: str, fields: dict[int, str]) -> dict[int, str]:
        if side == to and kind in (fields[35], fields.get(150)):
            fields = fields | {int(tag[1:]): value for tag, value in change.items() if value is not None}
            return {tag: value for tag, value in fields.items() if change.get(f"t{tag}", "") is not None}
        return fields

    return spoil


def test_a_run_that_goes_as_the_scenario_has_it_passes_and_keeps_the_books(player_of: PlayerOf) -> None:
    player = player_of(ROWS, FakeGateway())
    assert played(player) == ""
    account = player.accounts[0]
    kept = (account.ord_status, *(str(one) for one in (account.cum_qty, account.leaves_qty, account.avg_px)))
    assert (player.done, kept) == (True, ("1", "40", "60", "10.00000000"))


def test_a_wrong_or_missing_field_at_the_client_is_told_by_name_with_both_values(player_of: PlayerOf) -> None:
    spoil = on("client", "F", t39="0", t14="30", t32=None, t41="X", t6="9")
    assert played(player_of(ROWS, FakeGateway(spoil))) == (
        "A.1.a, 4.4/4.4, step 3 (the broker's 8): the client got something else\n"
        "  OrigClOrdID(41)          expected nothing                      received X\n"
        "  LastQty(32)              expected 40                           received nothing\n"
        "  OrdStatus(39)            expected 1                            received 0\n"
        "  CumQty(14)               expected 40                           received 30\n"
        "  AvgPx(6)                 expected 10                           received 9"
    )


def test_a_wrong_request_at_the_broker_is_told(player_of: PlayerOf) -> None:
    assert played(player_of(ROWS, FakeGateway(on("broker", "D", t38="90", t97="Y")))) == (
        "A.1.a, 4.4/4.4, step 1 (the client's D): the broker got something else\n"
        "  OrderQty(38)             expected 100                          received 90\n"
        "  PossResend(97)           expected nothing                      received Y"
    )


def test_a_message_that_does_not_come_is_told_with_what_came_elsewhere_and_what_an_engine_refused(
    player_of: PlayerOf,
) -> None:
    gateway = FakeGateway(lambda to, fields: None if fields.get(150) == "0" else fields)
    gateway.client.refused = ["8=FIX.4.4|... (Value is incorrect)"]
    expected = "expected the broker's ExecutionReport(8) at the client, nothing came"
    assert played(player_of(ROWS, gateway)) == (
        f"A.1.a, 4.4/4.4, step 2 (the broker's 8): {expected}\n"
        "  refused by the client's FIX engine: 8=FIX.4.4|... (Value is incorrect)"
    )


def test_an_id_that_is_not_the_gateways_own_is_told(player_of: PlayerOf) -> None:
    failure = played(player_of(ROWS, FakeGateway(on("client", "0", t37="A.1.a:4.4/4.4:1"))))
    told = "the client must get an OrderID(37) of the gateway's own, not A.1.a:4.4/4.4:1"
    assert failure.splitlines()[0] == f"A.1.a, 4.4/4.4, step 2 (the broker's 8): {told}"
    failure = played(player_of(ROWS, FakeGateway(on("broker", "D", t11="A.1.a:4.4/4.4:X"))))
    told = "the broker must get a ClOrdID(11) of the gateway's own, not A.1.a:4.4/4.4:X"
    assert failure.splitlines()[0] == f"A.1.a, 4.4/4.4, step 1 (the client's D): {told}"


def test_an_execution_id_that_is_used_twice_is_told(player_of: PlayerOf) -> None:
    failure = played(player_of(ROWS, FakeGateway(on("client", "8", t17="E1"))))
    told = "the client must get an ExecID(17) of its own, not E1"
    assert failure.splitlines()[0] == f"A.1.a, 4.4/4.4, step 3 (the broker's 8): {told}"


def test_what_comes_besides_is_noticed_at_the_latest_by_the_fence(player_of: PlayerOf) -> None:
    gateway = FakeGateway()
    player = player_of(ROWS, gateway)
    player.play(3)
    assert player.failure == ""
    gateway.client.say("", "35=H|11=stray")
    failure = played(player)
    assert failure.splitlines()[:2] == [
        "A.1.a, 4.4/4.4, step fence (the client's D): the broker got something else",
        "  MsgType(35)              expected D                            received H",
    ]


def test_a_request_that_the_gateway_should_answer_itself_and_passes_on_is_told(player_of: PlayerOf) -> None:
    failure = played(player_of(STATUS_OF_ITS_OWN, FakeGateway()))
    first, *rest = failure.splitlines()
    assert first == "A.1.a, 4.4/4.4, step 2 (the gateway's 8): expected 8 at the client, nothing came"
    assert [line.split("|")[0] for line in rest] == ["  but at the broker: 35=H"]


def test_a_report_may_be_under_way_while_the_player_stops(player_of: PlayerOf) -> None:
    gateway = FakeGateway()
    player = player_of(ROWS, gateway)
    player.play(2, ahead=True)
    player.play(2, ahead=True)  # it is under way already
    assert [message[150] for message in gateway.client.waiting] == ["F"]
    assert played(player) == ""
