"""The PKI that a server creates on its first start, for laboratories and tests."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from kmipkit_certs import keypairs, renewal
from kmipkit_certs.authority import Purpose
from kmipkit_certs.credentials import load_certificates
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


class Renewed(NamedTuple):
    """A certificate that was renewed."""

    path: Path
    old_end: datetime
    """Until when the certificate before is valid, which peers may still have."""


def renew(
    path: Path,
    *,
    required: Sequence[str],
    hosts: Sequence[str],
    clock: Callable[[], datetime],
) -> list[Renewed]:
    """Renew what ends soon: the authority and the server's certificates.

    Certificates of clients are not renewed here: their holders have copies, and whether one still has
    a right to it is for a person to say (``kmipkit certs renew``).

    Args:
        required: names without which a server's certificate is renewed, too. That the addresses of the
            machine have changed is no reason: peers may have the present certificate in a list.
        hosts: further names that a renewed certificate gets.

    Raises:
        CertificateError: the key of the authority is missing, or a file cannot be written.
    """
    directory, now = Directory(path), clock()
    changed = []
    for name in (CA, SERVER, RSA_SERVER):
        cert = directory.files(name).cert
        [present, *_] = load_certificates(cert)
        margin = renewal.AUTHORITY_MARGIN if name == CA else renewal.MARGIN
        is_due = renewal.ends_within(present, now, margin)
        if is_due or (name != CA and renewal.lacks(present, required)):
            renewal.renew(
                directory, name, now, alternative=() if name == CA else (*required, *hosts)
            )
            changed.append(Renewed(cert, present.not_valid_after_utc))
    return changed
