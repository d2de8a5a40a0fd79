"""The demo's orders: seeded, of every kind, each ending by itself, and known to the brokers' script."""

from __future__ import annotations

from collections import Counter
from itertools import islice
from pathlib import Path

import pytest

from oms.config.load import load
from oms.config.templates import write_demo
from oms.demo.plan import BEHAVIOUR, BROKERS, CLIENTS, SCRIPTED, Party, plans, write_plans
from oms.sim.flow import Plan, read_plans
from oms.sim.matching import Instrument, read_instruments
from oms.sim.orders import FOK, IOC
from oms.sim.script import read_behaviour


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("config")
    return write_demo(directory, client_port=15001, broker_ports=(15002, 15003), trading="on")


@pytest.fixture(scope="module")
def instruments(config: Path) -> dict[str, Instrument]:
    return read_instruments(config.with_name("instruments.csv"))


def first(number: int, client: Party, instruments: dict[str, Instrument], seed: int = 1) -> list[Plan]:
    return list(islice(plans(client, seed, instruments), number))


def test_the_file_gives_a_client_the_very_plans(tmp_path: Path, instruments: dict[str, Instrument]) -> None:
    for client in CLIENTS:
        made = first(200, client, instruments)
        write_plans(tmp_path / "orders.csv", made)
        assert read_plans(tmp_path / "orders.csv") == made


def test_a_seed_gives_the_same_orders_again_and_each_client_its_own(instruments: dict[str, Instrument]) -> None:
    one, other = CLIENTS
    assert first(50, one, instruments, 7) == first(60, one, instruments, 7)[:50]
    assert first(50, one, instruments, 7) != first(50, one, instruments, 8)
    assert [plan.terms for plan in first(50, one, instruments)] != [
        plan.terms for plan in first(50, other, instruments)
    ]


def test_a_run_has_every_kind_of_order_and_request(instruments: dict[str, Instrument]) -> None:
    made = [plan for client in CLIENTS for plan in first(150, client, instruments)]
    assert {plan.terms.ord_type for plan in made} == {"1", "2", "3", "4"}
    assert {plan.terms.tif for plan in made} == {"0", "1", "3", "4"}
    assert {step.action for plan in made for step in plan.follow_ups} == {"cancel", "replace", "status"}
    assert sum(plan.expect_reject for plan in made) >= 10
    assert Counter(plan.terms.text for plan in made).keys() == {"", *SCRIPTED}


def test_an_order_that_may_rest_is_cancelled_in_the_end(instruments: dict[str, Instrument]) -> None:
    for client in CLIENTS:
        for plan in first(300, client, instruments):
            rests = not plan.expect_reject and not plan.terms.text and plan.terms.tif not in (IOC, FOK)
            while_alive = [step for step in plan.follow_ups if step.when != "finished"]
            if rests:
                assert while_alive[-1].action == "cancel", plan
                assert all(step.when in ("at_once", "acked") for step in while_alive), plan


def test_the_brokers_script_has_a_rule_for_each_scripted_text_and_no_other() -> None:
    assert {rule.text for rule in read_behaviour(BEHAVIOUR).rules} == set(SCRIPTED)


def test_the_parties_are_those_of_the_configuration(config: Path) -> None:
    loaded = load(config)
    versions = {"FIX.4.2": "4.2", "FIX.4.4": "4.4", "FIX.5.0SP2": "5.0SP2"}
    for role, parties in (("client", CLIENTS), ("broker", BROKERS)):
        found = [(spec.name, versions[spec.appl_ver_id]) for spec in loaded.role(role)]  # type: ignore[arg-type]
        assert found == [(party.name, party.version) for party in parties]
    for client in CLIENTS:
        assert all(loaded.accounts[account].active for account in client.accounts)
