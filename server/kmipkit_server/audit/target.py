"""The address of a syslog collector, as the configuration has it."""

import re
from dataclasses import dataclass

PORTS = {"udp": 514, "tcp": 514, "tls": 6514}
"""The ports that IANA gives to syslog; TCP without TLS has none of its own, and uses that of UDP."""

_TARGET = re.compile(
    r"(?P<scheme>udp|tcp|tls)://(?P<host>\[[0-9A-Fa-f:.%]+\]|[^:/\[\]]+)(:(?P<port>[0-9]{1,5}))?/?"
    r"|(?P<unix>unix)://(?P<path>/.+)"
)


@dataclass(frozen=True, slots=True)
class Target:
    """Where a collector listens."""

    scheme: str
    host: str
    """The path of a local socket."""
    port: int = 0


def parse_target(text: str) -> Target | None:
    """The target in ``tls://HOST:PORT`` or ``unix:///dev/log``; None if it is none."""
    match = _TARGET.fullmatch(text)
    if match is None:
        return None
    if match["unix"]:
        return Target("unix", match["path"])
    port = int(match["port"] or PORTS[match["scheme"]])
    return Target(match["scheme"], match["host"].strip("[]"), port) if 0 < port < 65536 else None
