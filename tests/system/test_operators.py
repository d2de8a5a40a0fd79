"""Operators with roles, scopes and tokens, through commands as typed, real sessions, the journal and a restart."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from oms.cli.main import oms
from oms.errors import OperatorError
from oms.ops.control import call
from oms.ops.people import system_name
from oms.ops.roles import TABLE
from tests.system.commands import answer, replays, said
from tests.system.house import House, free_ports, until
from tests.system.people import ANN, Terminal
from tests.system.test_two_people import desk, propose
from tests.system.words import new_order

MakeHouse = Callable[..., House]
ROOT = system_name(os.getuid())
TINA, VIC, OLGA, NOBODY = 61_003, 61_005, 61_006, 61_099


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    return Terminal(monkeypatch)


class Office:
    """A house with people: ann and bob of operations, tina who trades for CLIENT1, rita of risk, vic who looks."""

    def __init__(self, make_house: MakeHouse, terminal: Terminal) -> None:
        self.terminal = terminal
        self.port = free_ports(1)[0]
        toml = (
            '[operators]\nfile = "people.json"\nowner_role = "none"\ntwo_people = ["fills.add", "kill.release"]\n'
            f'[control]\nlisten = "127.0.0.1:{self.port}"\n'
        )
        made: list[House] = []

        def peopled(**given: Any) -> House:
            made.append(make_house(**given | {"clients": {"CLIENT1": "4.4", "CLIENT2": "4.4"}}))
            self.house = made[0]
            self._add_people()
            return made[0]

        self.tokens: dict[str, Path] = {}
        _, self.client, self.broker, _, self.order_id = desk(peopled, toml=toml)  # type: ignore[arg-type]

    def _add_people(self) -> None:
        people = (
            f"ann --role operations --user {ANN} --no-token",
            "bob --role operations",
            f"tina --role trader --client CLIENT1 --user {TINA} --no-token",
            "rita --role risk",
            f"vic --role viewer --user {VIC} --no-token",
            f"olga --role operations --client CLIENT2 --user {OLGA} --no-token",
        )
        for one in people:
            name = one.split()[0]
            if "--no-token" not in one:
                self.tokens[name] = self.house.directory / f"{name}.token"
                one += f" --token-to {self.tokens[name]}"
            code, text = said(self.house, f"people add {one}")
            assert code == 0, text

    def by(self, name: str, command: str, login: int = NOBODY) -> tuple[int, str]:
        """A command with somebody's token, under a login that is nobody's unless another is given."""
        with self.terminal.of(login):
            return said(self.house, f"--token-file {self.tokens[name]} {command}")

    def noted(self, verb: str) -> list[tuple[str, str, str]]:
        """Who was recorded with what, and from where."""
        rows = self.house.rows("SELECT detail FROM journal WHERE msg_type = %s ORDER BY seq", verb)
        found = [(row["detail"]["matter"][0], dict(row["detail"]["matter"][2])) for row in rows]
        return [(name, args.get("what", ""), args.get("from", "")) for name, args in found]


def test_each_does_what_role_and_scope_allow_and_every_refusal_stands_in_the_journal(
    make_house: MakeHouse, terminal: Terminal
) -> None:
    office = Office(make_house, terminal)
    house = office.house
    gateway = house.gateway
    assert gateway is not None
    assert sorted(set(gateway._commands._verbs) - set(TABLE)) == []  # a verb without a row is for admins alone
    other = house.up("CLIENT2")[0]
    other.send(new_order("B1"))
    house.until("SELECT FROM client_orders WHERE client = 'CLIENT2'")
    foreign = house.rows("SELECT order_id FROM client_orders WHERE client = 'CLIENT2'")[0]["order_id"]

    with terminal.of(TINA):
        codes = [
            said(house, command, "--reason", "x")[0]
            for command in (
                f"orders cancel {office.order_id}", f"orders cancel {foreign}", "orders cancel O9",
                "kill engage --client CLIENT1 --keep-orders", "kill engage --client CLIENT2", "kill engage --firm",
                "sessions logout CLIENT1", f"fills add {office.order_id} --qty 1 --px 1 --exec-id X1",
            )
        ]  # fmt: skip
        assert codes == [0, 2, 2, 0, 2, 2, 2, 2]
    kill = office.by("rita", "kill list")[1].split()
    assert "CLIENT1" in kill
    with terminal.of(VIC):
        assert [said(house, "kill list")[0], said(house, "kill engage --firm --reason x")[0]] == [0, 2]
    with terminal.of(NOBODY):
        code, text = said(house, "kill list")
        assert (code, "uid-61099 may not command this gateway" in text) == (2, True)
    with terminal.of(0):
        assert said(house, "kill list")[0] == 2  # owner_role = "none": root is nobody here
    house.until("SELECT FROM journal WHERE detail -> 'matter' ->> 0 = 'root'")  # nobody waits for the record
    refused = office.noted("access.refused")
    tina, root = f"user {TINA}, by user", "root"
    assert refused == [
        ("tina", "orders.cancel", tina), ("tina", "orders.cancel", tina), ("tina", "kill.engage", tina),
        ("tina", "kill.engage", tina), ("tina", "sessions.logout", tina), ("tina", "fills.add", tina),
        ("vic", "kill.engage", f"user {VIC}, by user"), ("uid-61099", "kill.list", f"user {NOBODY}"),
        (root, "kill.list", "user 0"),
    ]  # fmt: skip
    counted = gateway._metrics.tally.commands
    until(lambda: counted["access.refused",] == len(refused), "the metrics count them")
    of_one_client(office, foreign)
    two_people_of_the_role(office)
    remote_and_revoked(office)
    reviewed(office)
    looks_at_the_ledger(office)
    house.stop()
    replays(house)
    no_token_is_anywhere(office)


def of_one_client(office: Office, own: str) -> None:
    """Fills, items and sessions of another client are out of scope, whatever else a command names."""
    state_dir = office.house.config.gateway.state_dir
    fill = office.house.rows("SELECT client_exec_id FROM fills")[0]["client_exec_id"]
    asked = [
        ("fills.bust", {"exec": fill, "order_id": own}, "is not within client CLIENT2"),
        ("fills.bust", {"exec": "F9", "order_id": own}, "is not within client CLIENT2"),
        ("exceptions.note", {"item_id": "X9", "order_id": own}, "is not within client CLIENT2"),
        ("sessions.show", {"session": "CLIENT1"}, "is not within client CLIENT2"),
        ("sessions.reload", {}, "is not within client CLIENT2"),
        ("approvals.propose", {"proposed": "kill.release"}, "takes one of the roles admin"),
    ]
    with office.terminal.of(OLGA):
        assert call(state_dir, "sessions.show", {"session": "CLIENT2"})["logged_on"]
        for verb, args, words in asked:
            with pytest.raises(OperatorError, match=words):
                call(state_dir, verb, args | {"text": "x"})


def two_people_of_the_role(office: Office) -> None:
    """Self-approval, an approver without the role, a changed proposal, forged tokens, and the same approval twice."""
    house = office.house
    proposed = propose(house, office.order_id)
    name, shown = proposed["proposal_id"], proposed["hash"]
    command = f"approvals approve {name} --hash {shown}"
    forged = house.directory / "forged.token"
    forged.write_text(office.tokens["bob"].read_text().strip()[:-4] + "0000\n")
    forged.chmod(0o600)
    office.tokens["forged"] = forged
    told = [
        said(house, command),
        office.by("rita", command),
        office.by("forged", command),
        office.by("bob", f"approvals approve {name} --hash 0123456789abcdef"),
        office.by("bob", command, login=VIC),
        office.by("bob", command, login=ANN),
        office.by("bob", command),
        office.by("bob", command),
    ]
    words = (
        "ann proposed", "rita is risk and cannot decide on fills.add", "this token is nobody's", "is not that of",
        "vic gave the token of bob", "ann gave the token of bob", "is approved and done", "by bob already",
    )  # fmt: skip
    for (code, text), said_ in zip(told, words, strict=True):
        assert (code, said_ in text) == (0 if "done" in said_ else 2, True), text


def remote_and_revoked(office: Office) -> None:
    """Over the network by token; a token that was rotated or revoked is nobody's at the next command."""
    house, there = office.house, f"--control tcp://127.0.0.1:{office.port}"
    without = CliRunner().invoke(oms, [*there.split(), "--token-file", str(office.tokens["bob"]), "kill", "list"])
    assert (without.exit_code, "CLIENT1" in without.output) == (0, True), without.output  # and without an oms.toml
    assert said(house, f"{there} kill list")[0] == 2
    fresh = house.directory / "bob2.token"
    assert said(house, f"people rotate bob --token-to {fresh}")[0] == 0
    assert office.by("bob", f"{there} kill list")[0] == 2
    office.tokens["bob2"] = fresh
    assert office.by("bob2", f"{there} kill list")[0] == 0
    assert said(house, "people revoke bob")[0] == 0
    assert office.by("bob2", f"{there} kill list")[0] == 2
    last = ("", "kill.list", "127.0.0.1")
    until(lambda: office.noted("access.refused")[-1] == last, "the last refusal is in the journal")
    people = house.rows("SELECT detail FROM journal WHERE msg_type = 'access.people' ORDER BY seq DESC LIMIT 1")
    assert dict(people[0]["detail"]["matter"][2])["people"] == (
        "ann operations, bob revoked, tina trader (client CLIENT1), rita risk, vic viewer,"
        " olga operations (client CLIENT2)"
    )


def reviewed(office: Office) -> None:
    """`oms access review`: who can do what, and did it when."""
    found = {one["operator"]: one for one in answer(office.house, "access review")}
    assert list(found)[:6] == ["ann", "bob", "tina", "rita", "vic", "olga"]
    tina, bob, rita = found["tina"], found["bob"], found["rita"]
    assert (tina["scope"], tina["by"], tina["refused"]) == ({"client": ["CLIENT1"]}, ["user"], 6)
    assert [act["verb"] for act in tina["acts"]] == ["kill.engage", "orders.cancel"]
    assert (bob["verbs"], bob["remarks"], bob["last_verb"]) == ([], ["revoked"], "approvals.approve")
    assert (rita["token_age_days"], rita["token_expires_in_days"], rita["last"]) == (0, 89, None)
    assert "kill.release" in rita["verbs"]
    assert found["root"]["remarks"] == ["not an operator now, but in the ledger"]
    code, text = said(office.house, "access review")
    assert (code, "What a role may do" in text, "client CLIENT1" in text) == (0, True, True)


def looks_at_the_ledger(office: Office) -> None:
    """Each is in the journal: of who may, of who may not, and of when there was no gateway to tell."""
    house = office.house
    with office.terminal.of(TINA):
        assert said(house, f"orders explain {office.order_id}")[0] == 0
    with office.terminal.of(NOBODY):
        code, text = said(house, "orders list --limit 5")
        assert (code, "uid-61099 may not command this gateway" in text, office.order_id in text) == (2, True, False)
    house.stop()
    code, text = said(house, "positions")
    assert code == 0, text
    house.start()
    last = (ROOT, "ledger.read", "file")
    until(lambda: office.noted("access.read")[-1] == last, "the look of between is in the journal")
    rows = house.rows("SELECT detail FROM journal WHERE msg_type = 'access.read' ORDER BY seq DESC LIMIT 2")
    between, tinas = (dict(row["detail"]["matter"][2]) for row in rows)
    assert (between["about"], tinas["about"]) == (
        "command positions",
        f"command orders explain; about {office.order_id}",
    )
    assert office.noted("access.read")[-2] == ("tina", "ledger.read", f"user {TINA}, by user")
    assert office.noted("access.refused")[-1] == ("uid-61099", "ledger.read", f"user {NOBODY}")
    assert list(house.config.gateway.state_dir.glob("looks*")) == []


def no_token_is_anywhere(office: Office) -> None:
    """Not in the journal, nor in any file of the gateway but those that hold them."""
    house = office.house
    secrets = [file.read_text().strip().rpartition("_")[2] for file in office.tokens.values()]
    kept = "\n".join(str(row["detail"]) for row in house.rows("SELECT detail FROM journal"))
    assert [one for one in secrets if one in kept] == []
    for file in house.directory.rglob("*"):
        if file.is_file() and file.suffix != ".token":
            data = file.read_bytes()
            assert [one for one in secrets if one.encode() in data] == [], file
