"""What a server says when it accepts connections: a line for people, and a file for programs."""

import json
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from socket import socket

from kmipkit_server.config import Config
from kmipkit_server.config.effective import ADMIN, is_development
from kmipkit_server.net.connection_log import peer_name
from kmipkit_server.service.tls_files import CERTIFICATES


@dataclass(frozen=True, slots=True)
class Ready:
    """With what clients reach the server."""

    host: str
    """Empty if it has no port."""
    port: int
    directory: Path
    ca: Path
    cert: Path | None
    """The certificate and the key of a client, if the server has made them itself."""
    key: Path | None
    metrics: str | None
    """The URL of the metrics."""
    is_test_mode: bool

    @property
    def address(self) -> str:
        """Host and port."""
        return peer_name((self.host, self.port)) if self.host else "no port"

    def __str__(self) -> str:
        line = f"ready: listening on {self.address}, data in {self.directory}, CA {self.ca}"
        if self.cert is not None:
            line += f", client certificate {self.cert} and key {self.key}"
        if self.metrics is not None:
            line += f", metrics {self.metrics}"
        return f"{line}, TEST MODE" if self.is_test_mode else line

    def as_json(self) -> str:
        """The same for programs; paths are absolute."""
        value = {
            "address": self.address,
            "host": self.host,
            "port": self.port,
            "ca": _absolute(self.ca),
            "cert": _absolute(self.cert),
            "key": _absolute(self.key),
            "directory": _absolute(self.directory),
            "metrics": self.metrics,
            "test_mode": self.is_test_mode,
            "process": os.getpid(),
        }
        return json.dumps(value, indent=2)


def _absolute(path: Path | None) -> str | None:
    return None if path is None else str(path.absolute())


def ready(
    config: Config,
    ca: Path,
    sockets: Sequence[socket],
    monitoring_sockets: Sequence[socket],
    *,
    is_test_mode: bool,
) -> Ready:
    """What a server with this configuration and these sockets says."""
    certificates = config.store.directory / CERTIFICATES
    is_own = is_development(config)
    metrics = None
    if monitoring_sockets:
        scheme = "http" if config.metrics.tls == "off" else "https"
        metrics = f"{scheme}://{peer_name(_address(monitoring_sockets))}/metrics"
    host, port = _address(sockets)
    return Ready(
        host,
        port,
        config.store.directory,
        ca,
        certificates / f"{ADMIN}.crt" if is_own else None,
        certificates / f"{ADMIN}.key" if is_own else None,
        metrics,
        is_test_mode,
    )


def _address(sockets: Sequence[socket]) -> tuple[str, int]:
    if not sockets:
        return "", 0
    host, port = sockets[0].getsockname()[:2]
    return host, port


@contextmanager
def ready_file(path: Path | None) -> Iterator[Callable[[Ready], None]]:
    """Writes the file for programs, while the server runs: not before, and not afterwards.

    A reader finds the whole of it, or no file. OSError if it could not be written.
    """
    if path is None:
        yield lambda _: None
        return
    try:
        path.unlink(missing_ok=True)  # of a server that was killed
        # It is made before the server starts, so that the start fails if that is not possible.
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from None
    new = Path(name)
    with open(handle, "w", encoding="utf-8") as file:

        def write(state: Ready) -> None:
            file.write(f"{state.as_json()}\n")
            file.flush()
            new.replace(path)

        try:
            yield write
        finally:
            new.unlink(missing_ok=True)
            path.unlink(missing_ok=True)
