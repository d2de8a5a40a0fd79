"""Secrets of the configuration: from a file, the environment or a command; told to nobody else."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from oms.config import secrets
from oms.config.secrets import HIDDEN, hashed, is_hashed, matches, redact, secret, url_with_password
from oms.errors import OperatorError
from oms.ledger.database import owner_url, with_password
from tests.config.conftest import Desk

WORD = "Tr0ub4dor&3"


@pytest.fixture(autouse=True)
def _nothing_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secrets, "_remembered", set())


def kept(path: Path, text: bytes = WORD.encode(), mode: int = 0o600) -> Path:
    path.write_bytes(text)
    path.chmod(mode)
    return path


def test_a_secret_is_the_first_line_of_a_file_a_variable_or_what_a_program_prints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept(tmp_path / "word", f"{WORD}\r\nmore\n".encode())
    monkeypatch.setenv("OMS_TEST_WORD", WORD)
    prints = f"command: {sys.executable} -c 'print(\"{WORD}\")'"
    found = [secret(text, tmp_path) for text in ("file:word", f"file:{tmp_path}/word", "env:OMS_TEST_WORD", prints)]
    assert [*found, secret("plain:word")] == [WORD, WORD, WORD, WORD, "plain:word"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("file:", "file: names nothing; write for example file:/run/secrets/oms_db"),
        ("env: ", "env: names nothing; write for example env:OMS_DB_PASSWORD"),
        (
            "file:none",
            "none of a secret cannot be read: No such file or directory; make it, or let this user read it",
        ),
        ("file:open", "open of a secret may be read or written by others; `chmod 600"),
        ("file:/dev/zero", "of a secret is no ordinary file; name one"),
        ("file:.", "cannot be read: Is a directory"),
        ("file:a\x00b", "cannot be read: no file name"),
        ("file:empty", "is no secret: it has to be one line of 1 to 4096 printable characters"),
        ("file:long", "is no secret: it has to be one line"),
        ("file:bytes", "of a secret is no UTF-8 text; save it as text"),
        ("file:escape", "is no secret"),
        ("env:OMS_NOT_SET", "the environment variable OMS_NOT_SET of a secret is not set"),
        ("command:no-such-program x", "no-such-program cannot be run for a secret: No such file or directory"),
        ("command:sh -c 'echo Tr0ub4dor; exit 3'", "sh ended with exit code 3 and gave no secret; try it by hand"),
        ("command:echo 'x", "command: of a secret cannot be read: No closing quotation; mend its quotes"),
        ("command:true", "the output of true is no secret"),
        ("command:sleep 60", "sleep gave no secret within 0.2 s; try it by hand"),
    ],
)
def test_a_secret_that_cannot_be_read_is_refused_with_place_and_remedy_and_never_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, words: str
) -> None:
    monkeypatch.setattr(secrets, "_COMMAND_SECONDS", 0.2 if "sleep" in text else 10.0)
    kept(tmp_path / "open", mode=0o644)
    kept(tmp_path / "empty", b"\n")
    kept(tmp_path / "long", b"x" * 5000)
    kept(tmp_path / "bytes", b"\xff\xfe")
    kept(tmp_path / "escape", b"Tr0ub4dor\x1b[2J")
    with pytest.raises(OperatorError, match=re.escape(words)) as caught:
        secret(text, tmp_path)
    assert "Tr0ub4dor" not in str(caught.value)


def test_what_was_read_is_hidden_wherever_it_is_about_to_be_written() -> None:
    secret(WORD)
    secret('say "so"')
    text = f'login {WORD}; {{"x": "say \\"so\\""}}; postgresql://oms:unread@db/oms; oms_{"0a" * 4}_{"5f" * 32}.'
    told = f'login {HIDDEN}; {{"x": "{HIDDEN}"}}; postgresql://oms:{HIDDEN}@db/oms; {HIDDEN}.'
    assert redact(text) == told
    assert redact("nothing of it") == "nothing of it"


def test_the_password_of_a_url_comes_from_its_own_key_and_is_quoted() -> None:
    made = url_with_password("postgresql://oms@db:5432/oms?sslmode=require", "p@ss/word")
    assert made == "postgresql://oms:p%40ss%2Fword@db:5432/oms?sslmode=require"
    assert redact(f"{made} p@ss/word p%40ss%2Fword") == (
        f"postgresql://oms:{HIDDEN}@db:5432/oms?sslmode=require {HIDDEN} {HIDDEN}"
    )
    with pytest.raises(OperatorError, match="the secret is no URL; it has to be postgresql://USER@HOST"):
        url_with_password(WORD, None)
    with pytest.raises(OperatorError, match="a password both in the URL and in its own key; keep one of them"):
        url_with_password("postgresql://oms:x@db/oms", "y")


def test_url_and_passwords_of_the_database_are_read_when_it_is_opened_and_shown_nowhere(desk: Desk) -> None:
    kept(desk.directory / "owner")
    kept(desk.directory / "url", f"postgresql://oms:{WORD}@db/oms".encode())
    desk.change("oms.toml", "[database]", '[database]\nurl = "file:url"\nowner_url = "postgresql://own@db/oms"')
    desk.change("oms.toml", "[database]", '[database]\nowner_password = "file:owner"')
    config = desk.load()
    assert WORD not in repr(config)
    assert config.database.url is not None
    assert with_password(config.database.url, config.database.password, config) == f"postgresql://oms:{WORD}@db/oms"
    assert owner_url(config, "x") == "postgresql://own:Tr0ub4dor%263@db/oms"


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        (
            'url = "postgresql://oms@db/oms"\npassword = "Tr0ub4dor&3"',
            'oms.toml: [database] password: the password itself; name its place, such as "file:/run/secrets/oms_db"',
        ),
        (
            'url = "postgresql://oms@db/oms"\npassword = 12345678',
            'oms.toml: [database] password: the password itself; name its place, such as "file:/run/secrets/oms_db"',
        ),
        ('password = "env:X"', "oms.toml: [database]: password without the URL that it is for; add url"),
    ],
)
def test_a_password_in_the_configuration_itself_is_refused_and_not_shown(
    desk: Desk, lines: str, problem: str
) -> None:
    desk.change("oms.toml", "[database]", f"[database]\n{lines}")
    assert desk.problems() == [problem]


def test_a_hash_tells_the_right_secret_from_others_and_equal_secrets_have_different_hashes() -> None:
    one, two = hashed(WORD), hashed(WORD)
    assert one != two
    assert WORD not in one
    assert [matches(WORD, one), matches(WORD, two), matches(WORD + "x", one), matches("", one)] == [
        True, True, False, False,
    ]  # fmt: skip
    assert is_hashed(one)


@pytest.mark.parametrize(
    "kept_text",
    [
        "",
        "scrypt",
        "scrypt:1:1:1:YWFhYWFhYWE=:YQ==",
        "scrypt:1073741824:8:1:YWFhYWFhYWE=:YQ==",
        WORD,
        "scrypt:a:b:c:d:e",
    ],
)
def test_what_is_no_hash_matches_nothing_and_costs_nothing(kept_text: str) -> None:
    assert not is_hashed(kept_text)
    assert not matches(kept_text, kept_text)
