"""How a trial of some minutes ends: figures in a file, the directory kept or gone, the verdict as exit code."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import click

from oms.demo.interrupts import Interrupts
from oms.demo.processes import DemoFailure
from oms.errors import OperatorError

FAILED, INTERRUPTED = 1, 130


def conduct(
    name: str, where: Path, run: Callable[[Interrupts], dict[str, Any]], json_file: Path | None, *, keep: bool
) -> NoReturn:
    """Run a trial whose figures have `ok`; `where` goes if all is well, unless it is to be kept. Ends the program."""
    try:
        with Interrupts() as interrupts:
            content = run(interrupts)
    except (DemoFailure, OperatorError) as error:
        click.echo(f"{name}: {error}", err=True)
        sys.exit(FAILED)
    except KeyboardInterrupt:
        click.echo(f"{name}: stopped; everything it started has ended", err=True)
        sys.exit(INTERRUPTED)
    if json_file is not None:
        json_file.write_text(json.dumps(content, indent=2, default=str) + "\n", encoding="utf-8")
    if content["ok"] and not keep:
        shutil.rmtree(where, ignore_errors=True)
    elif not content["ok"]:
        click.echo(f"Configuration, records and logs are kept in {where}.")
    sys.exit(0 if content["ok"] else FAILED)
