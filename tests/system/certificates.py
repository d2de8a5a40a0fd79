"""Certificates for one test run, and how a client in Python connects with them."""

from __future__ import annotations

import ssl
from pathlib import Path

from stormlib.certificates import Authority as MadeAuthority


class Authority(MadeAuthority):
    """An authority that a test's own client can trust."""

    def client(self, *certificate: Path) -> ssl.SSLContext:
        """How a client of the gateway connects that trusts this authority, with a certificate or without."""
        context = ssl.create_default_context(cafile=str(self.certificate))
        context.check_hostname = False
        if certificate:
            context.load_cert_chain(*certificate)
        return context
