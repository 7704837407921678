"""TLS settings of an impostor: a certificate for the right names, of an authority that nobody knows."""

import ssl
from datetime import UTC, datetime
from pathlib import Path

from kmipkit_certs.authority import Purpose
from kmipkit_certs.directory import Directory
from kmipkit_certs.keypairs import DEFAULT_ALGORITHM

from kmipkit_conformance.streams import server_context

_SERVER = "impostor"


def impostor_context(folder: Path, host: str, ca: Path) -> ssl.SSLContext:
    """The settings; certificate and key are made in an empty folder. Clients show one of ``ca``."""
    directory, now = Directory(folder), datetime.now(UTC)
    directory.init("an authority that nobody knows", DEFAULT_ALGORITHM, now)
    names = dict.fromkeys((host, "localhost", "127.0.0.1"))
    files = directory.issue(_SERVER, Purpose.SERVER, now, alternative=tuple(names))
    return server_context(ca, files.cert, files.key)
