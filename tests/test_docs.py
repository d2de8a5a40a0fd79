"""The documentation says what the code does: links, paths, commands, tables, kinds, steps, rules and queries.

What can be compared with the code is compared whole, so that a page that misses something new fails as well as one
that keeps something old. Prose is for people to check.
"""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import click
import psycopg
import pytest
from click.testing import CliRunner

from oms.cli.main import oms
from oms.core.controls import CONTROLS
from oms.core.risk import CHECKS
from oms.crashpoints import STEPS
from oms.ledger.schema import APPEND_ONLY, GATEWAY_ROLE, metadata
from oms.ops.metrics import CATALOGUE

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]
PLACES = ("oms", "docs", "scripts", "tests", "fix_specs", ".ci")


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def without_fences(text: str) -> str:
    """The page without fenced code, whose backquotes and brackets mean nothing."""
    return re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)


def inline_code(text: str) -> list[str]:
    """What stands in `backquotes`, also where it goes over the end of a line."""
    return [" ".join(found.split()) for found in re.findall(r"`([^`]+)`", without_fences(text))]


def section(name: str, heading: str) -> str:
    """The text of a page below a heading, up to the next heading of the same rank."""
    rank, _, _ = heading.partition(" ")
    below = text_of(name).split(f"\n{heading}\n", 1)[1]
    return re.split(rf"^#{{1,{len(rank)}}} ", below, maxsplit=1, flags=re.MULTILINE)[0]


def first_cells(text: str) -> list[str]:
    """What stands in `backquotes` in the first column of the tables of a text."""
    rows = re.findall(r"^\| (`.*?) \|", text, flags=re.MULTILINE)
    return [name for row in rows for name in re.findall(r"`([^`]+)`", row)]


# --- links and paths --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_every_relative_link_leads_to_a_file(name: str) -> None:
    links = re.findall(r"\]\(([^)\s]+)\)", without_fences(text_of(name)))
    local = [link.partition("#")[0] for link in links if not re.match(r"[a-z]+:", link)]
    assert [link for link in local if link and not ((ROOT / name).parent / link).exists()] == []


@pytest.mark.parametrize("name", NAMES)
def test_every_path_of_the_repository_that_is_named_exists(name: str) -> None:
    path = re.compile(rf"(?:{'|'.join(map(re.escape, PLACES))})/[\w./-]*")
    named = [code for code in inline_code(text_of(name)) if path.fullmatch(code)]
    assert [code for code in named if not (ROOT / code).exists()] == []


def test_every_path_of_the_tree_in_the_readme_exists() -> None:
    lines = [line for line in section("README.md", "## The tree").splitlines() if line.startswith("    ")]
    paths = [word for line in lines for word in line.split() if re.fullmatch(r"[a-z_]+/[\w./]*", word)]
    assert len(paths) >= 15
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_every_page_and_every_decision_is_in_the_index() -> None:
    linked = set(re.findall(r"\]\(([^)#]+)\)", text_of("docs/README.md")))
    pages = {str(page.relative_to(ROOT / "docs")) for page in PAGES if page.is_relative_to(ROOT / "docs")}
    assert linked == pages - {"README.md"}


# --- commands ---------------------------------------------------------------------------------------------


def command_lines(name: str) -> Iterator[str]:
    """Every `oms ...` of a page: in code blocks, with continued lines joined, and in the text."""
    text = text_of(name)
    joined = re.sub(r"\\\n\s*", " ", text)
    for line in joined.splitlines():
        if found := re.fullmatch(r"(?:\s{4,}|)(?:\.venv/bin/)?(oms [a-z].*)", line):
            yield found[1].partition("  #")[0]
    yield from (code for code in inline_code(text) if re.match(r"oms [a-z]", code))


def problem_of(line: str) -> str:
    """What is wrong with a command line: no such command, or no such option; '' if nothing is."""
    words = shlex.split(line)[1:]
    command: click.Command = oms
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        inner = command.get_command(click.Context(command), words[0])
        if inner is None:
            return f"{line}: no command {words[0]}"
        command, words = inner, words[1:]
    known = {option for one in command.params for option in one.opts} | {"--help", "--version"}
    unknown = [word for word in words if word.startswith("--") and word.partition("=")[0] not in known]
    return f"{line}: no option {', '.join(unknown)}" if unknown else ""


COMMANDS = sorted({(name, line) for name in NAMES for line in command_lines(name)})


def test_commands_are_found_in_the_pages() -> None:
    assert {line.split()[1] for _, line in COMMANDS} >= {"init", "check", "run", "orders", "sessions", "verify"}


@pytest.mark.parametrize(("name", "line"), COMMANDS)
def test_every_command_line_that_is_shown_parses(name: str, line: str) -> None:
    assert problem_of(line) == ""
    path = [word for word in shlex.split(line)[1:3] if re.fullmatch(r"[a-z]+", word)]
    assert CliRunner().invoke(oms, [*path, "--help"]).exit_code == 0


@pytest.mark.parametrize("line", ["oms order list", "oms orders list --colour", "oms run --ready=x"])
def test_a_command_line_that_does_not_parse_is_noticed(line: str) -> None:
    assert problem_of(line) != ""


def test_every_make_target_that_is_shown_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", text_of("Makefile"), flags=re.MULTILINE))
    code = [line for name in NAMES for line in (*text_of(name).splitlines(), *inline_code(text_of(name)))]
    shown = {found[1] for line in code if (found := re.match(r"(?: {4})?make ([a-z]+)\b(?! sure)", line))}
    assert {"demo", "test"} <= shown <= targets


# --- what pages list is what the code has -----------------------------------------------------------------


def test_the_ledger_page_has_every_table_with_all_its_columns() -> None:
    page = text_of("docs/ledger.md")
    named = set(re.findall(r"^### (\w+)$", page, flags=re.MULTILINE))
    assert named == set(metadata.tables)
    described = {name: set(first_cells(section("docs/ledger.md", f"### {name}"))) for name in named}
    assert described == {name: set(table.columns.keys()) for name, table in metadata.tables.items()}


def test_the_ledger_page_names_the_append_only_tables_and_the_role() -> None:
    said = section("docs/ledger.md", "## What nobody can change")
    assert set(inline_code(said)) >= {*APPEND_ONLY, GATEWAY_ROLE}
    refused = re.search(r"TRUNCATE of (.*?) to everybody", said, flags=re.DOTALL)
    assert refused is not None
    assert set(re.findall(r"`(\w+)`", refused[1])) == set(APPEND_ONLY)


def raised_kinds() -> set[str]:
    """The kinds of exception items that the core raises."""
    kinds = set()
    for path in (ROOT / "oms" / "core").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "open_item":
                kind = node.args[3]
                if isinstance(kind, ast.Constant):
                    kinds.add(str(kind.value))
                else:  # one of those that the module lists
                    kinds.update(import_module(f"oms.core.{path.stem}").KINDS)
    return kinds


def test_the_runbook_says_what_to_do_about_every_kind_of_exception_item() -> None:
    kinds = raised_kinds()
    assert len(kinds) > 15
    assert sorted(first_cells(section("docs/runbook.md", "## Exception items"))) == sorted(kinds)


def test_the_life_of_an_order_says_what_a_crash_means_at_every_step() -> None:
    said = first_cells(section("docs/life_of_an_order.md", "## What a crash means, step by step"))
    assert said == list(STEPS)


def test_the_clients_rules_show_the_refusal_of_every_check() -> None:
    refusals = section("docs/client_rules_of_engagement.md", "## Every refusal")
    rules = re.findall(r"`([a-z_]+): ", refusals)
    checks = {check.__name__ for check in CHECKS} | set(CONTROLS)
    assert set(rules) == checks | {"route", "circuit_breaker", "throttle", "drain"}


@pytest.mark.parametrize("name", NAMES)
def test_every_metric_that_is_named_exists(name: str) -> None:
    suffix = re.compile(r"_(?:bucket|count|sum)$")
    named = {word for code in inline_code(text_of(name)) for word in re.findall(r"\boms_\w+", code)}
    known = {entry.name for entry in CATALOGUE} | {GATEWAY_ROLE}
    assert {word for word in named if word not in known and suffix.sub("", word) not in known} == set()


QUERIES = re.findall(r"^```sql\n(.*?)^```", text_of("docs/ledger.md"), flags=re.MULTILINE | re.DOTALL)


@pytest.mark.postgres
@pytest.mark.parametrize("query", QUERIES)
def test_every_query_of_the_ledger_page_runs(query: str, filled_url: str) -> None:
    with psycopg.connect(filled_url) as connection:
        connection.execute("SET TRANSACTION READ ONLY")
        assert connection.execute(query.encode()).description is not None
