"""Reading and writing PEM files; private keys are 0600 from the first byte."""

import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization

from kmipkit_certs import revocation
from kmipkit_certs.errors import CertificateError
from kmipkit_certs.keypairs import PrivateKey, as_private_key

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


def read_certificates(path: Path) -> list[x509.Certificate]:
    """All certificates in a file, PEM or DER, in its order; at least one.

    Raises:
        CertificateError: the file cannot be read, or contains something else.
    """
    data = read(path)
    try:
        if b"-----BEGIN CERTIFICATE-----" in data:
            return x509.load_pem_x509_certificates(data)
        if b"-----BEGIN " not in data:
            return [x509.load_der_x509_certificate(data)]
    except ValueError as error:
        raise CertificateError(f"{path}: malformed certificate: {error}") from None
    raise CertificateError(f"{path}: contains {_content(data)}, not a certificate")


_PEM_CRL = re.compile(b"-----BEGIN X509 CRL-----.*?-----END X509 CRL-----", re.DOTALL)


def is_revocation_list(path: Path) -> bool:
    """Whether the file contains certificate revocation lists, PEM or DER."""
    data = read(path)
    if b"-----BEGIN " in data:
        return _PEM_CRL.search(data) is not None
    try:
        x509.load_der_x509_crl(data)
    except ValueError:
        return False
    return True


def read_revocation_lists(path: Path) -> list[x509.CertificateRevocationList]:
    """All certificate revocation lists in a file, PEM or DER; at least one.

    Raises:
        CertificateError: the file cannot be read, or contains something else.
    """
    data = read(path)
    try:
        if b"-----BEGIN " not in data:
            return [x509.load_der_x509_crl(data)]
        lists = [x509.load_pem_x509_crl(block) for block in _PEM_CRL.findall(data)]
    except ValueError as error:
        raise CertificateError(f"{path}: malformed revocation list: {error}") from None
    if not lists or len(lists) != data.count(b"-----BEGIN "):
        raise CertificateError(f"{path}: contains {_content(data)}, not only revocation lists")
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


def read_key(path: Path) -> PrivateKey:
    """The private key of a file.

    Raises:
        CertificateError: the file cannot be read, or contains something else.
    """
    data = read(path)
    load = (
        serialization.load_pem_private_key
        if b"-----BEGIN " in data
        else serialization.load_der_private_key
    )
    try:
        return as_private_key(load(data, None))
    except TypeError:
        raise CertificateError(
            f"{path}: the private key is encrypted; remove its passphrase"
        ) from None
    except (ValueError, UnsupportedAlgorithm):
        raise CertificateError(f"{path}: contains {_content(data)}, not a private key") from None


def read_request(path: Path) -> x509.CertificateSigningRequest:
    """The certificate signing request of a file, PEM or DER.

    Raises:
        CertificateError: the file cannot be read, or contains something else.
    """
    data = read(path)
    load = x509.load_pem_x509_csr if b"-----BEGIN " in data else x509.load_der_x509_csr
    try:
        return load(data)
    except ValueError:
        content = _content(data)
        raise CertificateError(f"{path}: contains {content}, not a certificate request") from None


def _content(data: bytes) -> str:
    marks = {
        b"PRIVATE KEY-----": "a private key",
        b"-----BEGIN CERTIFICATE REQUEST": "a certificate request",
        b"-----BEGIN NEW CERTIFICATE REQUEST": "a certificate request",
        b"-----BEGIN CERTIFICATE-----": "a certificate",
        b"-----BEGIN X509 CRL-----": "a revocation list",
        b"-----BEGIN ": "other PEM data",
    }
    return next((name for mark, name in marks.items() if mark in data), "unknown data")
