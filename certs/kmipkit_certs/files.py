"""Reading and writing PEM files; private keys are 0600 from the first byte."""

import os
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization

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
        b"-----BEGIN ": "other PEM data",
    }
    return next((name for mark, name in marks.items() if mark in data), "unknown data")
