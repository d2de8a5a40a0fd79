"""What must not drift: the reference page from the code, the example files at the top from the templates."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from oms.config import page
from oms.config.session_keys import KEYS, REFUSED
from oms.config.templates import demo_files

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "configuration.md"


def test_the_reference_page_is_what_the_code_says() -> None:
    text = PAGE.read_text()
    assert text == page.rendered(text), "run: python -m oms.config.page docs/configuration.md"


def test_the_reference_page_has_every_table_once() -> None:
    assert sorted(page.named_in(PAGE.read_text())) == sorted(page.tables())


def test_a_drifted_page_is_put_right(tmp_path: Path) -> None:
    text = PAGE.read_text()
    drifted = tmp_path / "page.md"
    drifted.write_text(text.replace("| `max_batch` |", "| `max_batches` |").replace("`2000`", "`3000`"))
    assert drifted.read_text() != text
    page.main([str(drifted)])
    assert drifted.read_text() == text


def test_every_key_has_a_meaning_and_what_it_takes() -> None:
    for name, model in page.MODELS.items():
        for field_name, field in model.model_fields.items():
            assert field.description, f"{name} {field_name}"
            assert page.text_of(field, "expects"), f"{name} {field_name}"
    for key in KEYS:
        assert key.kind.fits(key.kind.example), key.name
        assert all(default is None or key.kind.fits(default) for default in (key.client_default, key.broker_default))
    assert all(problem and remedy for _, problem, remedy in REFUSED)


@pytest.mark.parametrize("name", ["sessions.cfg", *(name for name in demo_files() if name.startswith("fix_specs/"))])
def test_the_example_at_the_top_is_the_template(name: str) -> None:
    assert (ROOT / name).read_text() == demo_files()[name]


def test_the_top_has_no_standard_dialect_without_a_template() -> None:
    shipped = {name for name in demo_files() if name.startswith("fix_specs/")}
    assert {f"fix_specs/{path.name}" for path in (ROOT / "fix_specs").glob("standard-*.toml")} == shipped


def test_the_configuration_is_read_without_quickfix_or_a_database() -> None:
    code = (
        "import sys, oms.cli.check, oms.cli.init;"
        "sys.exit([name for name in ('quickfix', 'psycopg', 'sqlalchemy') if name in sys.modules] or 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
