"""What is not sent again is in the ledger before the broker is told, by a gap fill, that it never comes."""

from __future__ import annotations

from collections.abc import Callable

import psycopg
import pytest

from tests.system.house import House, until
from tests.system.words import new_order

pytestmark = [pytest.mark.system, pytest.mark.engine, pytest.mark.postgres]


def test_no_gap_is_filled_while_the_ledger_cannot_take_that_an_order_is_not_sent_again(
    make_house: Callable[..., House],
) -> None:
    house = make_house()
    dialect = house.directory / "fix_specs" / "standard-fix42.toml"
    text = dialect.read_text()
    dialect.write_text(text.replace("resend_window_seconds = 10", "resend_window_seconds = 1"))
    house.start()
    client, broker = house.up("CLIENT1", "BROKER1")
    client.send(new_order("A1"))
    number = int(broker.expect("D")[34])
    house.until("SELECT FROM sends WHERE session = 'BROKER1' AND sent_at < now() - interval '1.1 s'")  # too old

    def gap_fills() -> int:
        return sum(message.type == "4" for message in broker.admin)

    with psycopg.connect(house.url) as holder:
        holder.execute("LOCK TABLE batches IN EXCLUSIVE MODE")  # reads go on, nothing commits
        broker.lose_from(number)
        broker.wait_logged_on(logons=2)
        broker.wait_logged_on(30, logons=3)  # its line was cut, because the ledger did not answer
        assert gap_fills() == 0
    until(lambda: gap_fills() > 0, "the gap to be filled", 30)
    assert house.rows("SELECT kind FROM exception_items") == [{"kind": "unknown_outcome"}]
    assert house.rows("SELECT life FROM client_orders") == [{"life": "unknown"}]
