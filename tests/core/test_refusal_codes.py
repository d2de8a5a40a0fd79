"""Every refusal of a control has a stable code, its name first in Text(58), and the clients' page has its reason."""

from __future__ import annotations

from pathlib import Path

from oms.core.controls import CONTROLS

PAGE = Path(__file__).parents[2] / "docs" / "client_rules_of_engagement.md"


def test_the_clients_page_gives_the_reason_of_every_control() -> None:
    told = {}
    for line in PAGE.read_text(encoding="utf-8").partition("### Limits")[2].splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 3 and cells[0].startswith("`"):
            told |= {name.strip("` ").removesuffix(":"): cells[1] for name in cells[0].split(", ")}
    assert {name: told.get(name) for name in CONTROLS} == {name: one.ord_rej_reason for name, one in CONTROLS.items()}
