"""Commands over the network: by token, over TLS or not at all, and nobody is in the way of those on the machine."""

from __future__ import annotations

import os
import re
import socket
import ssl
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from oms.config import secrets
from oms.config.control import Control
from oms.config.people import Operators
from oms.config.people_file import Person, changing, now
from oms.errors import OperatorError
from oms.ops import control
from oms.ops.control import Calls, ControlServer, NoGateway, call, socket_path
from oms.ops.people import Caller, People
from oms.ops.remote import RemoteServer
from oms.ops.tokens import new_token
from oms.ops.way import ELSEWHERE, use
from tests.config.conftest import Desk as Configured


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def certificate(directory: Path, name: str) -> Path:
    """A certificate that vouches for itself, for 127.0.0.1; with its key in one file, and the key in NAME.key."""
    key, pem = directory / f"{name}.key", directory / f"{name}.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days",
         "2", "-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", pem],
        check=True, capture_output=True,
    )  # fmt: skip
    key.chmod(0o600)
    pem.write_text(pem.read_text() + key.read_text())
    return pem


class Gateway:
    """The doors of a gateway, local and remote, whose commands only say who gave them."""

    def __init__(self, directory: Path, listen: str, **more: Any) -> None:
        self.directory, self.asked, self.refused = directory, [], []  # type: ignore[var-annotated]
        self.token, kept = new_token(now(), None)
        with changing(directory / "people.json") as everybody:
            given = {"role": "risk", "created": now(), "token": kept}
            everybody["ann"] = Person.model_validate(given)
        people = People(Operators(file=directory / "people.json"), Control(wrong_tokens=3))
        told = lambda refusal, verb: self.refused.append((refusal.origin, verb, refusal.why))  # noqa: E731
        self.local = ControlServer(socket_path(directory), self._handle, people, told)
        self.calls = Calls(self._handle, people, told)
        self.remote = RemoteServer(Control(listen=listen, **more), self.calls)
        self.local.start()
        self.remote.start()

    def _handle(self, caller: Caller, verb: str, args: dict[str, str]) -> dict[str, Any]:
        self.asked.append((caller.name, caller.origin, caller.by, verb))
        return {"operator": caller.name}

    def stop(self) -> None:
        self.remote.stop()
        self.local.stop()


@pytest.fixture(scope="module")
def pem() -> Iterator[dict[str, Path]]:
    with tempfile.TemporaryDirectory(prefix="oms-tests-") as directory:
        yield {name: certificate(Path(directory), name) for name in ("gateway", "ann", "eve")}


@pytest.fixture
def door(pem: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> Iterator[Gateway]:
    """A gateway that listens over TLS, and asks callers for no certificate."""
    monkeypatch.setattr(secrets, "_SCRYPT", (2**10, 8, 1))
    with tempfile.TemporaryDirectory(prefix="oms-tests-") as directory:
        listen = f"127.0.0.1:{free_port()}"
        made = Gateway(
            Path(directory), listen, certificate=pem["gateway"], private_key=pem["gateway"].with_suffix(".key")
        )
        yield made
        made.stop()
    use("", None, None, None, None)


def address(gateway: Gateway, scheme: str = "tls") -> str:
    return f"{scheme}://{gateway.remote._control.listen}"


def test_a_token_commands_over_tls_and_whoever_has_none_or_a_forged_one_is_refused_and_recorded(
    door: Gateway, pem: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    use(address(door), pem["gateway"], None, None, None)
    monkeypatch.setenv("OMS_TOKEN", door.token)
    assert call(ELSEWHERE, "kill.list", {}) == {"operator": "ann"}
    assert door.asked == [("ann", "127.0.0.1", "token", "kill.list")]
    monkeypatch.setenv("OMS_TOKEN", door.token[:-4] + "0000")
    for _ in range(3):
        with pytest.raises(OperatorError, match="this token is nobody's; `oms people rotate NAME` makes a new one"):
            call(ELSEWHERE, "kill.list", {})
    monkeypatch.setenv("OMS_TOKEN", door.token)
    with pytest.raises(OperatorError, match=r"too many wrong tokens; try again in \d+ s"):
        call(ELSEWHERE, "kill.list", {})
    monkeypatch.delenv("OMS_TOKEN")
    with pytest.raises(OperatorError, match="a token is needed: OMS_TOKEN, --token-file or --token-command"):
        call(ELSEWHERE, "kill.list", {})
    whys = ["wrong token", "wrong token", "wrong token, which locks its sender out", "locked out", "no token"]
    assert door.refused == [("127.0.0.1", "kill.list", why) for why in whys]
    use("", None, None, None, None)
    assert call(door.directory, "kill.list", {})["operator"] == control.People().caller(os.getuid(), "").name


def test_who_does_not_trust_the_certificate_says_nothing_and_plain_text_gets_no_answer(
    door: Gateway, pem: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMS_TOKEN", door.token)
    use(address(door), pem["eve"], None, None, None)
    with pytest.raises(OperatorError, match=r"does not prove that it is 127\.0\.0\.1: .*; give --ca FILE"):
        call(ELSEWHERE, "kill.list", {})
    use(address(door, "tcp"), None, None, None, None)
    with pytest.raises(OperatorError, match="tcp://127"):
        call(ELSEWHERE, "kill.list", {})
    use(address(door).replace("127.0.0.1", "localhost"), pem["gateway"], None, None, None)
    with pytest.raises(OperatorError, match=r"does not prove that it is localhost"):
        call(ELSEWHERE, "kill.list", {})
    assert door.asked == []


def test_with_an_authority_for_callers_a_token_alone_is_not_enough(
    door: Gateway, pem: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    key = pem["gateway"].with_suffix(".key")
    listen = f"127.0.0.1:{free_port()}"
    strict = Control(listen=listen, certificate=pem["gateway"], private_key=key, client_ca=pem["ann"])
    server = RemoteServer(strict, door.calls)
    server.start()
    monkeypatch.setenv("OMS_TOKEN", door.token)
    try:
        use(f"tls://{listen}", pem["gateway"], pem["ann"], None, None)
        assert call(ELSEWHERE, "kill.list", {}) == {"operator": "ann"}
        for shown in (None, pem["eve"]):
            use(f"tls://{listen}", pem["gateway"], shown, None, None)
            with pytest.raises(OperatorError, match=r"did not answer on|without an answer"):
                call(ELSEWHERE, "kill.list", {})
        assert len(door.asked) == 1
    finally:
        server.stop()


def test_callers_that_say_nothing_are_cut_off_and_those_on_the_machine_are_served_meanwhile(
    door: Gateway, pem: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "_CALLER_SECONDS", 0.5)
    host, _, port = (door.remote._control.listen or "").rpartition(":")
    silent = [socket.create_connection((host, int(port))) for _ in range(40)]
    assert call(door.directory, "kill.list", {})["operator"]
    for one in silent:
        one.settimeout(10)
        with suppress(ConnectionResetError):
            assert one.recv(1) == b""
        one.close()
    use(address(door), pem["gateway"], None, None, None)
    monkeypatch.setenv("OMS_TOKEN", door.token)
    assert call(ELSEWHERE, "kill.list", {}) == {"operator": "ann"}


def test_a_command_that_has_a_gateway_of_its_own_never_reaches_the_one_elsewhere(
    door: Gateway, pem: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMS_TOKEN", door.token)
    use(address(door), pem["gateway"], None, None, None)
    with pytest.raises(OperatorError, match=r"is for the gateway of oms\.toml only; leave --control"):
        call(door.directory, "kill.engage", {})
    assert door.asked == []


def test_on_this_machine_alone_it_may_do_without_tls(monkeypatch: pytest.MonkeyPatch) -> None:
    with tempfile.TemporaryDirectory(prefix="oms-tests-") as directory:
        gateway = Gateway(Path(directory), f"127.0.0.1:{free_port()}")
        monkeypatch.setenv("OMS_TOKEN", gateway.token)
        use(address(gateway, "tcp"), None, None, None, None)
        try:
            assert call(ELSEWHERE, "kill.list", {}) == {"operator": "ann"}
        finally:
            gateway.stop()
        with pytest.raises(NoGateway, match="no gateway listens on tcp://127"):
            call(ELSEWHERE, "kill.list", {})
        use("", None, None, None, None)


@pytest.mark.parametrize(
    "given", ["10.0.0.7", "http://10.0.0.7:1", "tcp://10.0.0.7:5400", "tls://:5400", "tls://x:99999"]
)
def test_an_address_that_is_none_is_refused_and_so_is_one_without_tls_elsewhere(given: str) -> None:
    use(given, None, None, None, None)
    try:
        with pytest.raises(OperatorError, match=re.escape(f"--control {given!r}") + ".*write tls://HOST:PORT"):
            call(ELSEWHERE, "kill.list", {})
    finally:
        use("", None, None, None, None)


def test_a_door_that_cannot_be_opened_is_refused_with_the_remedy(pem: dict[str, Path]) -> None:
    key = pem["gateway"].with_suffix(".key")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(OperatorError, match=r"\[control\] listen: .* cannot be listened on: .*; free it"):
            RemoteServer(Control(listen=listen), None).start()  # type: ignore[arg-type]
    other = Control(listen="127.0.0.1:1", certificate=pem["ann"], private_key=key)
    with pytest.raises(OperatorError, match=r"\[control\]: certificate, private_key or client_ca cannot be used"):
        RemoteServer(other, None).start()  # type: ignore[arg-type]
    open_key = pem["gateway"].with_name("open.key")
    open_key.write_bytes(key.read_bytes())
    open_key.chmod(0o644)
    shown = Control(listen="127.0.0.1:1", certificate=pem["gateway"], private_key=open_key)
    with pytest.raises(OperatorError, match=r"others may read or write .*open\.key; `chmod 600"):
        RemoteServer(shown, None).start()  # type: ignore[arg-type]


BAD = {
    "beyond the machine without TLS": (
        'listen = "0.0.0.0:5400"',
        'oms.toml: [control]: listen = "0.0.0.0:5400" without TLS: tokens would cross the network in the clear;'
        " add certificate and private_key, or listen on 127.0.0.1",
    ),
    "a name, which may be anywhere": (
        'listen = "gateway:5400"',
        'oms.toml: [control]: listen = "gateway:5400" without TLS: tokens would cross the network in the clear;'
        " add certificate and private_key, or listen on 127.0.0.1",
    ),
    "no port": (
        'listen = "127.0.0.1"',
        'oms.toml: [control] listen: "127.0.0.1" is not host:port; write for example "10.0.0.5:5400"',
    ),
    "half a certificate": (
        'certificate = "x.pem"',
        "oms.toml: [control]: certificate and private_key go together; give both, or neither",
    ),
    "callers' authority without TLS": (
        'client_ca = "x.pem"',
        "oms.toml: [control]: client_ca without certificate; add certificate and private_key",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_control_section_is_refused_with_the_remedy(tmp_path: Path, case: str) -> None:
    line, problem = BAD[case]
    made = Configured(tmp_path).change("oms.toml", "[inbox]", f"[control]\n{line}\n[inbox]")
    assert made.problems() == [problem]


def test_a_socket_in_a_directory_that_everybody_may_write_to_is_not_opened() -> None:
    with tempfile.TemporaryDirectory(prefix="oms-tests-") as directory:
        Path(directory).chmod(0o777)
        server = ControlServer(socket_path(Path(directory)), lambda caller, verb, args: {})
        with pytest.raises(OperatorError, match=r"may be written by everybody, so that anybody could be the gateway"):
            server.start()
        server.stop()


def test_only_versions_of_tls_that_are_safe_are_spoken(door: Gateway) -> None:
    assert door.remote._context is not None
    assert door.remote._context.minimum_version >= ssl.TLSVersion.TLSv1_2
