"""Certificates for one test run, made by the openssl program: two authorities, and what each of them signs."""

from __future__ import annotations

import ssl
import subprocess
from pathlib import Path


class Authority:
    """A certificate authority of its own; its files are in `directory`, named by what they are."""

    def __init__(self, directory: Path, name: str) -> None:
        self._directory, self.name = directory, name
        self.certificate, self._key = directory / f"{name}.pem", directory / f"{name}.key"
        self._make(name, 3650)

    def sign(self, name: str, days: int = 365) -> tuple[Path, Path]:
        """A certificate and its key."""
        self._make(f"{self.name}-{name}", days, "-CA", str(self.certificate), "-CAkey", str(self._key))
        return self._directory / f"{self.name}-{name}.pem", self._directory / f"{self.name}-{name}.key"

    def client(self, *certificate: Path) -> ssl.SSLContext:
        """How a client of the gateway connects that trusts this authority, with a certificate or without."""
        context = ssl.create_default_context(cafile=str(self.certificate))
        context.check_hostname = False
        if certificate:
            context.load_cert_chain(*certificate)
        return context

    def _make(self, name: str, days: int, *signer: str) -> None:
        key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", f"{name}.key")
        use = "critical,CA:FALSE" if signer else "critical,CA:TRUE"
        asked = ("openssl", "req", "-x509", *key, "-out", f"{name}.pem", "-subj", f"/CN={name}", "-days", str(days))
        made = subprocess.run(
            [*asked, *signer, "-addext", f"basicConstraints={use}"],
            cwd=self._directory,
            capture_output=True,
            text=True,
            check=False,
        )
        assert made.returncode == 0, made.stderr
