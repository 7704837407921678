"""Reading and writing files; private keys are 0600 from the first byte."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from kmipkit_certs import credentials, revocation
from kmipkit_certs.credentials import NO_PASSWORD
from kmipkit_certs.errors import CertificateError
from kmipkit_certs.formats import Contents
from kmipkit_certs.keypairs import PrivateKey, as_private_key
from kmipkit_certs.passwords import KeyPassword

SECRET = 0o600
PUBLIC = 0o644


def write_new(path: Path, data: bytes, mode: int) -> None:
    """Write a new file durably; at no time does it have a wider mode than ``mode``."""
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    except FileExistsError:
        raise CertificateError(f"{path}: the file already exists and is not overwritten") from None
    except OSError as error:
        raise CertificateError(f"{path}: {error.strerror}") from None
    with os.fdopen(handle, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def replace(path: Path, data: bytes) -> None:
    """Write a public file durably; readers see the old content or the new, never a part."""
    temporary = path.with_name(f".{path.name}.new")
    temporary.unlink(missing_ok=True)  # of a run that was interrupted
    write_new(temporary, data, PUBLIC)
    try:
        temporary.replace(path)
    except OSError as error:
        raise CertificateError(f"{path}: {error.strerror}") from None


def append(path: Path, data: bytes) -> None:
    """Add to a public file, which need not exist, durably and in one write."""
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, PUBLIC)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise CertificateError(f"{path}: {error.strerror}") from None


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Keep other processes that lock the directory waiting, so that no change is lost."""
    try:
        handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise CertificateError(f"{directory}: {error.strerror}") from None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def write_key(path: Path, key: PrivateKey) -> None:
    """Write a private key as PKCS #8 without a passphrase, for servers that start unattended."""
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    write_new(path, pem, SECRET)


def write_certificate(path: Path, *chain: x509.Certificate) -> None:
    """Write certificates as PEM, the leaf first."""
    pem = b"".join(certificate.public_bytes(serialization.Encoding.PEM) for certificate in chain)
    write_new(path, pem, PUBLIC)


def read(path: Path) -> bytes:
    """The content of a file.

    Raises:
        CertificateError: it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise CertificateError(f"{path}: {error.strerror}") from None


def is_revocation_list(path: Path, password: KeyPassword = NO_PASSWORD) -> bool:
    """Whether the file contains certificate revocation lists, in any format."""
    return bool(credentials.read(path, password, unlock=False).revocation_lists)


def read_revocation_lists(path: Path) -> list[x509.CertificateRevocationList]:
    """All certificate revocation lists in a file, in any format; at least one.

    Raises:
        CertificateError: the file cannot be read, or contains something else.
    """
    contents = credentials.read(path, unlock=False)
    lists, contents.revocation_lists = contents.revocation_lists, []
    if not lists or contents != Contents():
        raise CertificateError(f"{path}: contains {contents.describe()}, not only revocation lists")
    return lists


def read_revoked(path: Path) -> frozenset[bytes]:
    """The certificates in a list of one's own; see :mod:`.revocation`.

    Raises:
        CertificateError: the file cannot be read, or a line is malformed.
    """
    data = read(path)
    try:
        return revocation.parse_lines(data.decode())
    except UnicodeDecodeError:
        raise CertificateError(f"{path}: not a text file in UTF-8") from None
    except CertificateError as error:
        raise CertificateError(f"{path}: {error}") from None


def read_key(path: Path, password: KeyPassword = NO_PASSWORD) -> PrivateKey:
    """The private key of a file, if it can sign certificates.

    Raises:
        CertificateError: the file cannot be read, or contains something else.
    """
    block = credentials.load_key(path, password)
    if block.key is None:
        raise CertificateError(f"{path}: the private key is not supported: {block.unsupported}")
    return as_private_key(block.key)


def read_request(path: Path) -> x509.CertificateSigningRequest:
    """The certificate signing request of a file, in any format.

    Raises:
        CertificateError: the file cannot be read, or contains something else.
    """
    contents = credentials.read(path, unlock=False)
    if not contents.requests:
        raise CertificateError(f"{path}: contains {contents.describe()}, not a certificate request")
    return contents.requests[0]
