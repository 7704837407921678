"""The PKI that a server creates on its first start, for laboratories and tests."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from kmipkit_certs import keypairs
from kmipkit_certs.authority import Purpose
from kmipkit_certs.directory import CA, Directory

AUTHORITY_NAME = "kmipkit development CA"
SERVER, RSA_SERVER = "server", "server-rsa"
RSA_ALGORITHM = "rsa-2048"
"""The algorithm of the server's second certificate: the mandatory suites of TLS 1.2 need RSA."""


@dataclass(frozen=True, slots=True)
class Development:
    """The files that a server needs."""

    ca: Path
    server_cert: Path
    server_key: Path
    rsa_cert: Path
    rsa_key: Path
    """The server's second certificate and its key, for clients that know only RSA."""


def ensure(
    path: Path,
    *,
    hosts: Sequence[str],
    clients: Sequence[str],
    clock: Callable[[], datetime],
    algorithm: str = keypairs.DEFAULT_ALGORITHM,
) -> Development:
    """Create what is missing: an authority, server certificates for ``hosts``, client certificates.

    The server has two certificates, of ``algorithm`` and RSA: TLS selects the one that the client
    supports. A directory of an earlier version gets the second one.

    Existing files stay as they are; a start that was interrupted is completed.

    Raises:
        CertificateError: the directory cannot be written, or a file of a pair is missing.
    """
    directory = Directory(path)
    if not directory.files(CA).cert.exists():
        directory.files(CA).key.unlink(missing_ok=True)
        directory.init(AUTHORITY_NAME, algorithm, clock())
    certificates = [
        (SERVER, Purpose.BOTH, hosts, algorithm),
        (RSA_SERVER, Purpose.BOTH, hosts, RSA_ALGORITHM),
        *((name, Purpose.CLIENT, (), algorithm) for name in clients),
    ]
    for name, purpose, alternative, own_algorithm in certificates:
        paths = directory.files(name)
        if not paths.cert.exists():
            # The key is written first: without its certificate nobody has used it.
            paths.key.unlink(missing_ok=True)
            directory.issue(
                name, purpose, clock(), alternative=alternative, algorithm=own_algorithm
            )
    server, second = directory.files(SERVER), directory.files(RSA_SERVER)
    return Development(directory.ca, server.cert, server.key, second.cert, second.key)
