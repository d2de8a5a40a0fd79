"""``[control]`` of oms.toml: where the gateway takes commands besides its local socket.

Invariant: commands leave the machine over TLS or not at all.
"""

from __future__ import annotations

from ipaddress import ip_address

from pydantic import StrictInt, field_validator, model_validator

from oms.config.problems import FileName, Section, key, show, wrong


def host_and_port(text: str) -> tuple[str, int]:
    """`host:port` or `[address]:port` taken apart. Raises ValueError."""
    host, colon, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not colon or not host or not port.isdecimal() or not 0 < int(port) < 65_536 or not host.isprintable():
        raise ValueError("not host:port")
    return host, int(port)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address; a name counts only where it is localhost."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class Control(Section):
    """Commands of operators from other machines, by their tokens. Absent: the local socket only."""

    listen: str | None = key(
        None,
        "Where the gateway takes commands over TLS, besides its local socket. Each needs a token of `oms people`.",
        expects="host:port",
        example='"10.0.0.5:5400"',
    )
    certificate: FileName | None = key(
        None,
        "Certificate that the gateway shows, with those of its issuers (PEM). Not needed on 127.0.0.1.",
        expects="a file name",
        example='"control.pem"',
    )
    private_key: FileName | None = key(
        None,
        "Private key of the certificate (PEM), which nobody else may read.",
        expects="a file name",
        example='"control.key"',
    )
    client_ca: FileName | None = key(
        None,
        "Only callers with a certificate of this authority (PEM) get as far as their token.",
        expects="a file name",
        example='"desk-ca.pem"',
    )
    wrong_tokens: StrictInt = key(
        5,
        "After so many wrong tokens within lock_out_seconds from one address or system user, it is locked out.",
        expects="a whole number from 1 to 1000",
        example="5",
        ge=1,
        le=1000,
    )
    lock_out_seconds: StrictInt = key(
        300,
        "For how long.",
        expects="a whole number from 1 to 86400",
        example="300",
        ge=1,
        le=86_400,
    )

    @field_validator("listen")
    @classmethod
    def _is_address(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                host_and_port(value)
            except ValueError:
                raise wrong(f"{show(value)} is not host:port", 'write for example "10.0.0.5:5400"') from None
        return value

    @model_validator(mode="after")
    def _is_safe(self) -> Control:
        if (self.certificate is None) != (self.private_key is None):
            raise wrong("certificate and private_key go together", "give both, or neither")
        if self.client_ca is not None and self.certificate is None:
            raise wrong("client_ca without certificate", "add certificate and private_key")
        if self.listen is not None and self.certificate is None and not is_loopback(host_and_port(self.listen)[0]):
            raise wrong(
                f"listen = {show(self.listen)} without TLS: tokens would cross the network in the clear",
                "add certificate and private_key, or listen on 127.0.0.1",
            )
        return self
