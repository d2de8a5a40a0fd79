"""Certificates for one run, made by the openssl program: an authority, and what it signs."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import NamedTuple

from oms.errors import OperatorError


class Signed(NamedTuple):
    """The files of one certificate."""

    certificate: Path
    key: Path


class Authority:
    """A certificate authority of its own; its files are in `directory`, named by what they are."""

    def __init__(self, directory: Path, name: str) -> None:
        self._directory, self.name = directory, name
        self.certificate, self._key = directory / f"{name}.pem", directory / f"{name}.key"
        self._make(name, 3650)

    def sign(self, name: str, days: int = 365) -> Signed:
        """A certificate and its key. Raises OperatorError."""
        self._make(f"{self.name}-{name}", days, "-CA", str(self.certificate), "-CAkey", str(self._key))
        return Signed(self._directory / f"{self.name}-{name}.pem", self._directory / f"{self.name}-{name}.key")

    def _make(self, name: str, days: int, *signer: str) -> None:
        key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", f"{name}.key")
        use = "critical,CA:FALSE" if signer else "critical,CA:TRUE"
        asked = ("openssl", "req", "-x509", *key, "-out", f"{name}.pem", "-subj", f"/CN={name}", "-days", str(days))
        try:
            made = subprocess.run(
                [*asked, *signer, "-addext", f"basicConstraints={use}"],
                cwd=self._directory,
                capture_output=True,
                text=True,
                check=False,
            )
        except FileNotFoundError as error:
            raise OperatorError("openssl is not installed, and TLS needs certificates; install it") from error
        if made.returncode:
            raise OperatorError(f"openssl made no certificate: {made.stderr.strip()}")


class Certificates:
    """What a house needs whose sessions are all TLS: the gateway's two certificates, and one for each simulator."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir()
        self._authority = Authority(directory.resolve(), "authority")
        self._simulators: dict[str, Signed] = {}

    def of_gateway(self) -> str:
        """Lines for [DEFAULT] of sessions.cfg: every session is TLS, and both sides show who they are."""
        server, client = self._authority.sign("server"), self._authority.sign("gateway")
        keys = {
            "OmsTls": "Y",
            "ServerCertificateFile": server.certificate,
            "ServerCertificateKeyFile": server.key,
            "ClientCertificateFile": client.certificate,
            "ClientCertificateKeyFile": client.key,
            "CertificationAuthoritiesFile": self._authority.certificate,
            "CertificateVerifyLevel": 1,
        }
        return "".join(f"{key}={value}\n" for key, value in keys.items())

    def of_simulator(self, name: str) -> tuple[Path, Path, Path]:
        """Its certificate, its key and the authority; the same ones each time."""
        if name not in self._simulators:
            self._simulators[name] = self._authority.sign(name)
        return *self._simulators[name], self._authority.certificate
