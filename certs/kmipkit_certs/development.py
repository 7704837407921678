"""The PKI that a server creates on its first start, for laboratories and tests."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from kmipkit_certs import keypairs
from kmipkit_certs.authority import Purpose
from kmipkit_certs.directory import CA, Directory

AUTHORITY_NAME = "kmipkit development CA"
SERVER = "server"


@dataclass(frozen=True, slots=True)
class Development:
    """The files that a server needs."""

    ca: Path
    server_cert: Path
    server_key: Path


def ensure(
    path: Path,
    *,
    hosts: Sequence[str],
    clients: Sequence[str],
    clock: Callable[[], datetime],
    algorithm: str = keypairs.DEFAULT_ALGORITHM,
) -> Development:
    """Create what is missing: an authority, a server certificate for ``hosts``, client certificates.

    Existing files stay as they are; a start that was interrupted is completed.

    Raises:
        CertificateError: the directory cannot be written, or a file of a pair is missing.
    """
    directory = Directory(path)
    if not directory.files(CA).cert.exists():
        directory.files(CA).key.unlink(missing_ok=True)
        directory.init(AUTHORITY_NAME, algorithm, clock())
    certificates = [
        (SERVER, Purpose.BOTH, hosts),
        *((name, Purpose.CLIENT, ()) for name in clients),
    ]
    for name, purpose, alternative in certificates:
        paths = directory.files(name)
        if not paths.cert.exists():
            # The key is written first: without its certificate nobody has used it.
            paths.key.unlink(missing_ok=True)
            directory.issue(name, purpose, clock(), alternative=alternative, algorithm=algorithm)
    server = directory.files(SERVER)
    return Development(directory.ca, server.cert, server.key)
