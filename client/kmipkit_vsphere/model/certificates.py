"""Certificates and their private keys, as they pass between vCenter, hosts and key servers."""

import secrets
import ssl
import tempfile

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from kmipkit_certs import keypairs
from kmipkit_certs.keypairs import PrivateKey

from kmipkit_vsphere.model.errors import InvalidArgument
from kmipkit_vsphere.model.keys import Secret


def load_pair(context: ssl.SSLContext, certificate: str, key: Secret) -> None:
    """Give a context its certificate and private key (both PEM).

    :mod:`ssl` reads them from a file only; the key goes there encrypted under a password that
    exists for this call.
    """
    password = secrets.token_urlsafe(32).encode()
    sealed = parse_private_key(key.reveal()).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(password),
    )
    with tempfile.NamedTemporaryFile() as file:  # made with mode 0600
        file.write(certificate.encode() + sealed)
        file.flush()
        context.load_cert_chain(file.name, password=password)


def parse_certificate(pem: str) -> x509.Certificate:
    """A certificate from PEM; :class:`InvalidArgument` for anything else."""
    try:
        return x509.load_pem_x509_certificate(pem.encode())
    except ValueError:
        raise InvalidArgument("this is not a certificate in PEM") from None


def to_pem(certificate: x509.Certificate) -> str:
    """A certificate as PEM."""
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def to_der(certificate: x509.Certificate) -> bytes:
    """A certificate as DER."""
    return certificate.public_bytes(serialization.Encoding.DER)


def parse_private_key(pem: bytes) -> PrivateKey:
    try:
        return keypairs.as_private_key(serialization.load_pem_private_key(pem, None))
    except (ValueError, TypeError):
        raise InvalidArgument("this is not an unencrypted private key in PEM") from None
