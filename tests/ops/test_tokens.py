"""Operators' tokens and the file of people: who is known by what, and what becomes of the rest."""

from __future__ import annotations

import json
import os
import re
import stat
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from oms.config import secrets
from oms.config.control import Control
from oms.config.people import Operators
from oms.config.people_file import PeopleFile, Person, changing, now, read_people
from oms.errors import OperatorError
from oms.ops import people as module
from oms.ops import tokens
from oms.ops.people import Caller, People, Refused
from oms.ops.tokens import Lockout, new_token, token_from

ANN, BOB = 61_001, 61_002


@pytest.fixture(autouse=True)
def _cheap_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secrets, "_SCRYPT", (2**10, 8, 1))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "people.json"


def add(file: Path, name: str, role: str = "trader", *, days: float = 1, token: bool = True, **more: Any) -> str:
    """Somebody in the file; his token."""
    shown, kept = new_token(now(), now() + timedelta(days=days))
    with changing(file) as everybody:
        given = {"role": role, "created": now(), "token": kept if token else None} | more
        everybody[name] = Person.model_validate(given)
    return shown


def change(file: Path, name: str, **what: Any) -> None:
    with changing(file) as everybody:
        everybody[name] = everybody[name].model_copy(update=what)


def people(file: Path, **operators: Any) -> People:
    limits = Control(wrong_tokens=3, lock_out_seconds=60)
    return People(Operators.model_validate({"file": file} | operators), limits)


def refused(found: People, user: int | None, token: str, address: str = "") -> str:
    with pytest.raises(Refused) as caught:
        found.caller(user, token, address)
    return caught.value.why


def test_a_token_is_its_holders_from_anywhere_and_a_system_user_is_who_is_mapped(file: Path) -> None:
    token = add(file, "ann", scope={"client": ["BUYA"]})
    add(file, "bob", "risk", token=False, user=BOB)
    found = people(file)
    scope = {"client": ("BUYA",)}
    assert found.caller(None, token, "10.0.0.7") == Caller("ann", "trader", scope, "10.0.0.7", "token")
    assert found.caller(61_009, token) == Caller("ann", "trader", scope, "user 61009", "token")
    assert found.caller(BOB, "") == Caller("bob", "risk", {}, "user 61002", "user")


def test_what_is_nobodys_is_refused_and_so_is_one_person_with_the_token_of_another(file: Path) -> None:
    token = add(file, "ann")
    add(file, "bob", token=False, user=BOB)
    found = people(file)
    assert refused(found, None, "", "10.0.0.7") == "no token"
    assert refused(found, BOB, token) == "bob gave the token of ann; nobody is two people"
    assert refused(found, 61_009, "") == "no operator"
    assert refused(found, None, "oms_x", "10.0.0.8") == "wrong token"
    forged = token[:-1] + ("0" if token[-1] != "0" else "1")
    assert refused(found, None, forged, "10.0.0.8") == "wrong token"


def test_expired_rotated_and_revoked_tokens_end_at_once(file: Path) -> None:
    old, over = add(file, "ann"), add(file, "carl", days=-1)
    found = people(file)
    assert re.fullmatch(
        r"the token of carl expired at .* UTC; `oms people rotate carl`", refused(found, None, over, "x")
    )
    token, kept = new_token(now(), None)
    change(file, "ann", token=kept)
    assert refused(found, None, old, "x") == "wrong token"
    assert found.caller(None, token, "x").name == "ann"
    change(file, "ann", role="viewer")
    assert found.caller(None, token, "x").role == "viewer"
    change(file, "ann", revoked=now())
    assert refused(found, None, token, "x").startswith("ann was revoked at ")


def test_wrong_tokens_lock_their_sender_out_and_nobody_else_and_cost_nothing_then(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = add(file, "ann")
    found = people(file)
    forged = [refused(found, None, f"oms_{number:08x}_{'0' * 64}", "10.0.0.7") for number in range(3)]
    assert forged == ["wrong token", "wrong token", "wrong token, which locks its sender out"]
    asked: list[str] = []
    monkeypatch.setattr(module, "holder", lambda *given: asked.append("hash"))
    assert refused(found, None, token, "10.0.0.7") == "locked out"
    assert asked == []
    monkeypatch.undo()
    assert found.caller(None, token, "10.0.0.8").name == "ann"
    assert found.caller(ANN, token).name == "ann"


def test_a_lock_out_ends_and_remembers_no_more_senders_than_its_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    at = 0.0
    monkeypatch.setattr(tokens, "monotonic", lambda: at)
    lock = Lockout(2, 60.0)
    assert [lock.wrong("x"), lock.wrong("x")] == [False, True]
    assert lock.remaining("x") == 60.0
    at = 61.0
    assert lock.remaining("x") == 0.0
    assert lock.wrong("x") is False
    for number in range(5000):
        lock.wrong(str(number))
    assert len(lock._wrong) == 1000


def test_the_hash_is_made_whether_or_not_the_token_is_somebodys(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add(file, "ann")
    hashes: list[str] = []
    monkeypatch.setattr(tokens, "matches", lambda token, kept: hashes.append(kept) or False)
    known = next(iter(read_people(file).people.values())).token
    assert known is not None
    for token_id in (known.token_id, "00000000"):
        assert tokens.holder(f"oms_{token_id}_{'0' * 64}", read_people(file)) is None
    assert [kept == known.hash for kept in hashes] == [True, False]


def test_the_gateways_own_user_and_strangers_have_the_roles_that_are_configured(file: Path) -> None:
    add(file, "ann")
    me = os.getuid()
    assert people(file).caller(me, "").role == "admin"
    assert refused(people(file, owner_role="none"), me, "") == "no operator"
    assert people(file, owner_role="none", default_role="viewer").caller(61_009, "").role == "viewer"
    in_config = people(file, users={"dora": 61_004})
    assert refused(in_config, 61_004, "") == "no operator"  # in oms.toml, and the file gives no role


def test_a_system_user_with_an_operators_name_is_not_that_operator(file: Path) -> None:
    add(file, module.system_name(os.getuid()))
    name = module.system_name(os.getuid())
    why = f"the system user {name} is not mapped to the operator {name}: give the token"
    assert refused(people(file), os.getuid(), "") == why


BROKEN = {
    "open to all": (None, 0o644, "may be written by others, or read by everybody; `chmod 640"),
    "the group may write": (None, 0o660, "may be written by others"),
    "no JSON": ("{", 0o600, "Invalid JSON"),
    "a role that there is not": (
        '{"people": {"ann": {"role": "god", "created": "2026-01-01T00:00:00Z"}}}', 0o600, "people.ann.role",
    ),
    "a hash that is none": (
        '{"people": {"ann": {"role": "risk", "created": "2026-01-01T00:00:00Z", "token": {"token_id": "1", "hash":'
        ' "secret", "created": "2026-01-01T00:00:00Z"}}}}', 0o600, "not what `oms people` writes",
    ),
    "a key that there is not": ('{"people": {}, "admins": []}', 0o600, "admins"),
    "two of one user": (
        '{"people": {"a": {"role": "risk", "user": 1, "created": "2026-01-01T00:00:00Z"},'
        ' "b": {"role": "risk", "user": 1, "created": "2026-01-01T00:00:00Z"}}}', 0o600, "a and b are the same",
    ),
    "too long": (" " * 1_000_001, 0o600, "longer than 1000000 bytes"),
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN)
def test_a_file_that_may_not_be_trusted_stops_a_start_and_bars_everybody_of_it_later(file: Path, case: str) -> None:
    text, mode, words = BROKEN[case]
    token = add(file, "ann")
    found = people(file)
    told: list[str] = []
    found.changed = told.append
    if text is not None:
        file.write_text(text)
    file.chmod(mode)
    with pytest.raises(OperatorError, match=re.escape(words)):
        people(file)
    assert "wrong token" in refused(found, None, token, "x")
    assert words in refused(found, BOB, "")
    assert found.caller(os.getuid(), "").role == "admin"  # who could mend it
    assert [words in one for one in told] == [True]
    file.write_text(json.dumps({"people": {"ann": {"role": "viewer", "user": BOB, "created": now().isoformat()}}}))
    file.chmod(0o600)
    assert found.caller(BOB, "") == Caller("ann", "viewer", {}, "user 61002", "user")
    assert told[1:] == ["ann viewer"]


def test_the_file_is_replaced_as_a_whole_stays_private_and_holds_no_token(file: Path) -> None:
    token = add(file, "ann")
    text = file.read_text()
    assert token not in text
    assert token.rpartition("_")[2] not in text
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    with pytest.raises(OperatorError, match="nothing was changed"), changing(file) as everybody:
        everybody["no name"] = everybody["ann"]
    assert file.read_text() == text
    assert sorted(one.name for one in file.parent.iterdir()) == ["people.json", "people.json.lock"]


def test_a_token_is_read_from_a_file_a_command_or_the_environment_and_never_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token, _ = new_token(now(), None)
    kept = tmp_path / "token"
    kept.write_text(token + "\n")
    kept.chmod(0o600)
    monkeypatch.setenv("OMS_TOKEN", token)
    assert [token_from(kept, None), token_from(None, f"cat {kept}"), token_from(None, None)] == [token] * 3
    monkeypatch.setenv("OMS_TOKEN", token[:-1])
    with pytest.raises(OperatorError, match=r"^OMS_TOKEN is no token: `oms people rotate NAME` makes a new one$"):
        token_from(None, None)
    monkeypatch.delenv("OMS_TOKEN")
    assert token_from(None, None) == ""


def test_two_people_are_two_of_the_file_who_are_not_revoked(file: Path) -> None:
    add(file, "ann")
    add(file, "bob")
    found = people(file)
    assert [found.barred("ann"), found.barred("root")] == [
        "",
        "root is not in the file of people: only who is named there proposes and approves",
    ]
    assert [found.gone("ann"), found.gone("bob"), found.gone("zoe")] == [False, False, True]
    change(file, "bob", revoked=now())
    assert found.gone("bob")
    assert found.barred("ann").startswith("this needs two people, and the file of people does not name two")


def test_an_empty_file_of_people_is_nobody() -> None:
    assert PeopleFile().by_token("") is None
