"""A desk: the demo configuration in a directory of its own, to be spoilt in one place and loaded."""

from __future__ import annotations

import functools
from pathlib import Path

import pytest

from oms.config import dictionaries, session_reader
from oms.config.dictionaries import STANDARD_DIRECTORY
from oms.config.load import Config, load
from oms.config.templates import write_demo
from oms.errors import ConfigError


class Desk:
    """A written configuration. Messages are given with the desk's directory and the standard one left out."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.main = write_demo(directory, client_port=5201, broker_ports=(5301, 5302), trading="on")

    def change(self, name: str, old: str, new: str) -> Desk:
        """Replace the first occurrence of a text that must be there."""
        text = (self.directory / name).read_text()
        assert old in text, f"{old!r} is not in {name}"
        return self.write(name, text.replace(old, new, 1))

    def write(self, name: str, text: str) -> Desk:
        """Write a whole file."""
        (self.directory / name).write_text(text)
        return self

    def append(self, name: str, text: str) -> Desk:
        """Add to the end of a file."""
        return self.write(name, (self.directory / name).read_text() + text)

    def load(self) -> Config:
        """The configuration, which must be right."""
        return load(self.main)

    def plain(self, text: str) -> str:
        """A message without the directories of this machine."""
        return text.replace(f"{self.directory}/", "").replace(str(STANDARD_DIRECTORY), "STANDARD")

    def problems(self) -> list[str]:
        """Every problem of the configuration, which must have some."""
        with pytest.raises(ConfigError) as caught:
            load(self.main)
        return [self.plain(str(problem)) for problem in caught.value.problems]

    def warnings(self) -> list[str]:
        """Every warning of the configuration, which must be right."""
        return [self.plain(str(warning)) for warning in self.load().warnings]


standard_dictionary = functools.cache(dictionaries.read_dictionary)


def read_dictionary(path: Path) -> dictionaries.Dictionary:
    """The real function; the installed dictionaries, which no test changes, are read once per test run."""
    return (standard_dictionary if path.parent == STANDARD_DIRECTORY else dictionaries.read_dictionary)(path)


@pytest.fixture(autouse=True)
def _standard_dictionaries_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_reader, "read_dictionary", read_dictionary)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)
