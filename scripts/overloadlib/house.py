"""The gateway under test: five FIX 4.4 clients, of which FLOOD misbehaves, and one broker, in a directory of its own.

Without a database URL it runs its own embedded Postgres. `policy`: 'back-pressure' (no limit on rates: what is too
much waits in the client's own connection), 'reject' (a max_order_rate row for every client), or a rate of every
client session with 'throttle' (OmsOverRate=reject) or 'delay'.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from benchlib.systems import Gateway

GATEWAY, BROKER, FLOOD = "GATEWAY", "BROKER", "FLOOD"
STEADY = ("CLIENT1", "CLIENT2", "CLIENT3", "CLIENT4")
ACCOUNT, SYMBOL, PRICE = "ACC1", "TEST", "10.50"
BACK_PRESSURE, REJECT, THROTTLE, DELAY = POLICIES = ("back-pressure", "reject", "throttle", "delay")
SESSION_RATE = {THROTTLE: "OmsMaxRate={rate}\n", DELAY: "OmsMaxRate={rate}\nOmsOverRate=delay\n"}

OMS_TOML = """[gateway]
name = "overload"
environment = "test"
state_dir = "state"
trading = "on"
after_unclean_stop = "trade"
{database}
[files]
limits = "limits.csv"

[limits]
max_order_qty = 10000
max_order_notional = 1000000

[[routes]]
name = "all"
broker = "BROKER"

[log]
level = "warning"
format = "json"
file = "oms.log"
"""
DEFAULT_CFG = f"[DEFAULT]\nSenderCompID={GATEWAY}\nReconnectInterval=1\nHeartBtInt=30\nBeginString=FIX.4.4\n"
CLIENT_CFG = "\n[SESSION]\nOmsName={name}\nConnectionType=acceptor\nTargetCompID={name}\nSocketAcceptPort={port}\n"
BROKER_CFG = (
    "\n[SESSION]\nOmsName={name}\nConnectionType=initiator\nTargetCompID={name}\n"
    "SocketConnectHost=127.0.0.1\nSocketConnectPort={port}\n"
)


class House(Gateway):
    """A context manager that starts the gateway and stops it."""

    def __init__(self, policy: str, rate: int, url: str | None = None) -> None:
        super().__init__()
        self.policy, self.rate, self.url = policy, rate, url
        self.config_file = self.directory / "oms.toml"

    def command(self) -> list[str]:
        """Write the configuration; returns ``oms run`` on it."""
        database = f'[database]\nurl = "{self.url}"\n' if self.url else ""
        row = f"max_order_rate,*,{self.rate}\n" if self.policy == REJECT else ""
        client = CLIENT_CFG + SESSION_RATE.get(self.policy, "").format(rate=self.rate)
        sessions = "".join(client.format(name=name, port=self.client_port) for name in (*STEADY, FLOOD))
        sessions += BROKER_CFG.format(name=BROKER, port=self.broker_port)
        for name, text in (
            ("oms.toml", OMS_TOML.format(database=database)),
            ("sessions.cfg", DEFAULT_CFG + sessions),
            ("limits.csv", "control,client,value\n" + row),
            ("instruments.csv", "symbol,security_exchange,currency,tick_size,lot_size,reference_price\n"
                                f"{SYMBOL},XNAS,USD,0.01,1,{PRICE}\n"),
            ("accounts.csv", f"account,clients,active\n{ACCOUNT},*,Y\n"),
        ):  # fmt: skip
            (self.directory / name).write_text(text, encoding="utf-8")
        (self.directory / "fix_specs").mkdir()
        self.config_file.chmod(0o600)
        return [str(self.program()), "run", "--config", str(self.config_file)]

    def resident_mb(self) -> float:
        """Resident memory of the gateway's process, megabytes."""
        with suppress(OSError, IndexError, ValueError):
            assert self._process is not None
            pages = int(Path(f"/proc/{self._process.pid}/statm").read_text().split()[1])
            return pages * 4096 / 1e6
        return self.usage().resident_bytes / 1e6
