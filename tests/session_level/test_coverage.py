"""The page says what is covered, the files say what they cover, and a file that says nonsense is refused."""

from __future__ import annotations

import re

import pytest

from tests.session_level.coverage import PAGE, PUBLISHED, covering, page_with, table
from tests.session_level.situation import parse, read_all

WHOLE = "title: It works.\n\nconnect\n> A\n< A 34=1\n[4.2] second connect\n"


def test_the_page_has_the_table_of_the_files() -> None:
    assert PAGE.read_text(encoding="utf-8") == page_with(table())


def test_every_name_that_a_file_covers_is_a_published_one() -> None:
    named = {name for one in read_all() for name in one.published}
    assert named - set(PUBLISHED) == set()


def test_every_published_situation_of_every_version_is_covered() -> None:
    pairs = [(name, version) for name, versions in PUBLISHED.items() for version in versions]
    assert len(pairs) == 58 + 59 + 60
    assert [pair for pair in pairs if not covering(*pair)] == []


def test_a_situation_is_read_line_by_line() -> None:
    steps = parse("x", WHOLE).of("4.2")
    assert [(one.line, one.connection, one.action, one.text) for one in steps] == [
        (3, 0, "connect", ""),
        (4, 0, ">", "A"),
        (5, 0, "<", "A 34=1"),
        (6, 1, "connect", ""),
    ]
    assert len(parse("x", WHOLE).of("4.4")) == 3


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (WHOLE.replace("title: ", "titel: "), "line 1: a head line is one each of"),
        (WHOLE.replace("title", "adapted"), "has no title"),
        (WHOLE.replace("> A", "send A"), "line 4: not a step: send A"),
        (WHOLE.replace("[4.2]", "[4.3]"), "line 6: versions are some of 4.2, 4.4, 5.0SP2"),
        (WHOLE[:17], "has no steps"),
    ],
)
def test_what_is_no_situation_is_refused_with_its_line(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        parse("x", text)
