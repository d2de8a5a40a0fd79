"""One run of the demo from beginning to end: set up, trade, wait for quiet, compare, tell, and stay if asked to."""

from __future__ import annotations

from collections.abc import Callable

from oms.demo.comparison import compare
from oms.demo.figures import broker_figures, client_figures
from oms.demo.interrupts import Interrupts
from oms.demo.place import LOOPBACK, Place, opened
from oms.demo.plan import BROKERS, CLIENTS
from oms.demo.progress import Progress
from oms.demo.report import Outcome
from oms.demo.stage import Options, Stage, Traded
from oms.demo.views import read_views
from oms.ledger.database import Engine
from oms.ledger.replay import verify_tables
from oms.ledger.statistics import latencies, refusals
from oms.ledger.verify import verify_chain


def run(options: Options, progress: Progress, interrupts: Interrupts, told: Callable[[Outcome], None]) -> bool:
    """Run it; `told` gets the outcome while everything still runs. Returns whether all is well.

    Raises OperatorError where it could not be set up, DemoFailure where it could not be brought to its end.
    """
    with progress, opened(options.directory) as place, Stage(place, options, progress, interrupts) as stage:
        stage.open()
        traded = stage.trade()
        progress.say("comparing the three views, verifying the journal and replaying it")
        outcome = _outcome(options, place, stage.engine, traded, progress)
        told(outcome)
        if options.stay:
            stage.stay()
    return outcome.ok


def _outcome(options: Options, place: Place, engine: Engine, traded: Traded, progress: Progress) -> Outcome:
    views = read_views(place, engine)
    compared = compare(views)
    chain = verify_chain(engine)
    return Outcome(
        directory=options.directory,
        config=place.config,
        seed=options.seed,
        seconds=progress.seconds,
        clients=client_figures(views, {client.name: client.version for client in CLIENTS}),
        brokers=broker_figures(views, {broker.name: broker.version for broker in BROKERS}),
        refusals=refusals(engine),
        latencies=latencies(engine),
        items=views.ledger.items,
        recoveries=traded.recoveries,
        compared=compared,
        chain=chain,
        replay=verify_tables(engine) if chain.ok else None,
        problems=traded.problems,
        metrics=f"http://{LOOPBACK}:{place.ports['metrics']}/metrics",
    )
