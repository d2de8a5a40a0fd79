"""The working configuration that ``oms init`` writes and the demo starts from.

Two clients (FIX.4.4, FIX.4.2) and two brokers (FIX.4.2, FIX.5.0SP2 over FIXT.1.1) on loopback. The texts are
in ``demo/``; only ports and what trading depends on are filled in. Limit: nothing here looks at what a directory
already has.
"""

from __future__ import annotations

import os
from pathlib import Path
from string import Template

DEMO = Path(__file__).parent / "demo"
FILLED_IN = ("oms.toml", "sessions.cfg")
CLIENT_PORT = 5201
BROKER_PORT = 5301


def demo_files(
    *,
    client_port: int = CLIENT_PORT,
    broker_ports: tuple[int, int] = (BROKER_PORT, BROKER_PORT + 1),
    trading: str = "off",
    metrics_port: int = 0,
    after_unclean_stop: str = "wait",
) -> dict[str, str]:
    """The texts of the configuration by file name relative to its directory."""
    values = {
        "client_port": client_port,
        "broker_port_1": broker_ports[0],
        "broker_port_2": broker_ports[1],
        "trading": trading,
        "after_unclean_stop": after_unclean_stop,
        "metrics_port": metrics_port,
    }
    texts = {}
    for path in sorted(path for path in DEMO.rglob("*") if path.is_file()):
        name = path.relative_to(DEMO).as_posix()
        text = path.read_text(encoding="utf-8")
        texts[name] = Template(text).substitute(values) if name in FILLED_IN else text
    return texts


def write_demo(
    directory: Path,
    *,
    client_port: int,
    broker_ports: tuple[int, int],
    trading: str,
    metrics_port: int = 0,
    after_unclean_stop: str = "wait",
) -> Path:
    """Write the configuration, over what is there. Returns the path of oms.toml. Raises OSError."""
    texts = demo_files(
        client_port=client_port,
        broker_ports=broker_ports,
        trading=trading,
        metrics_port=metrics_port,
        after_unclean_stop=after_unclean_stop,
    )
    for name, text in texts.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    main_file = directory / "oms.toml"
    os.chmod(main_file, 0o600)  # it may come to hold the URL of a database
    return main_file
