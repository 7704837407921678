"""Certificates for tests: an authority that is made once in a process, and what it issues."""

import threading
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from kmipkit_certs.authority import Purpose
from kmipkit_certs.directory import Directory
from kmipkit_server.test_mode.folders import temporary_folder

ADMIN = "admin"
"""The account of the first client, which may manage users and groups."""
SERVER = "server"
HOSTS = ("localhost", "127.0.0.1", "::1")
AUTHORITY = "kmipkit test authority"


@dataclass(frozen=True, slots=True)
class ClientFiles:
    """The files with which a client connects, all in PEM."""

    ca: Path
    """The authority of the server's certificate."""
    cert: Path
    key: Path


class PKI:
    """An authority in a folder, which issues certificates (ECDSA, P-256) as they are asked for."""

    def __init__(self, folder: Path, name: str = AUTHORITY) -> None:
        """Create the authority in this folder."""
        self.directory = Directory(folder)
        self.directory.init(name, "ecdsa-p256", datetime.now(UTC))
        self._lock = threading.Lock()

    @property
    def ca(self) -> Path:
        """The certificate of the authority."""
        return self.directory.ca

    def client(self, name: str = ADMIN) -> ClientFiles:
        """The files of a client with this account."""
        return self._issued(name, Purpose.CLIENT)

    def server(self, name: str = SERVER, hosts: Iterable[str] = HOSTS) -> ClientFiles:
        """The files of a server for these host names and addresses."""
        return self._issued(name, Purpose.SERVER, hosts)

    def _issued(self, name: str, purpose: Purpose, hosts: Iterable[str] = ()) -> ClientFiles:
        with self._lock:  # several servers, in threads of their own, share the folder
            files = self.directory.files(name)
            if not files.cert.exists():
                self.directory.issue(name, purpose, datetime.now(UTC), alternative=hosts)
        return ClientFiles(self.ca, files.cert, files.key)


@cache
def shared_pki() -> PKI:
    """The authority of this process, which all of its servers share; it ends with the process."""
    import atexit

    folders = ExitStack()
    atexit.register(folders.close)
    return PKI(folders.enter_context(temporary_folder()))
