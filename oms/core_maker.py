"""Makes what decides: the core and its judge, with the totals, prices and breakers that it looks at, as they were.

At a start, after recovery has filled the book. What these parts need of others that are made later they ask for when
it is needed. Thread: the main one; afterwards all of it is the core thread's.
"""

from __future__ import annotations

from collections.abc import Callable, Container
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple

from oms import breaker_watch
from oms.config.load import Config
from oms.core.book import Book
from oms.core.breaker_live import LiveBreakers
from oms.core.copies import Recalled
from oms.core.core import Core
from oms.core.judge import LiveJudge
from oms.ledger.load import Reader
from oms.ledger.remedies import database_errors
from oms.ledger.traded import restore
from oms.ops.barrier import Barrier
from oms.price_watch import PriceWatch
from oms.terms import core_terms_of, graces_of


class Deciding(NamedTuple):
    """The core, and what it decides by."""

    core: Core
    judge: LiveJudge
    prices: PriceWatch
    breakers: LiveBreakers


def make_core(
    config: Config,
    book: Book,
    reader: Reader,
    url: str,
    barrier: Barrier,
    recall: Callable[[str, date, str], Recalled],
    drained: Callable[[], Container[str]],
    today: date,
    rollover: timedelta,
) -> Deciding:
    """`recall` has what both witnesses told of an execution; `drained` the sessions without new orders.

    `rollover` is when a trading day begins. Raises OperatorError where the ledger cannot be read.
    """
    terms = core_terms_of(config)
    with database_errors(url):
        prices = PriceWatch(config, terms.instruments, reader)
        judge = LiveJudge(terms, book.is_up, lambda: barrier.kills, recall, lambda: barrier.switched_on)
        prices.guard(judge)
        if judge.exposure is not None:
            judge.exposure.load_live(book.orders.values())
            restore(reader, judge.exposure, today, terms.instruments, rollover)
        breakers = breaker_watch.restored(
            config, terms.instruments, reader, book.orders.values(), today, datetime.now(UTC)
        )
    judge.breakers = breakers if breakers.breakers.groups else None
    judge.drained = drained
    return Deciding(Core(book, judge, dict(terms.brokers), graces_of(config)), judge, prices, breakers)
