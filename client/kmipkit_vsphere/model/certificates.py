"""Certificates and their private keys, as they pass between vCenter, hosts and key servers."""

import ssl

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from kmipkit_certs import formats, keypairs
from kmipkit_certs.credentials import parse_credentials
from kmipkit_certs.errors import CertificateError
from kmipkit_certs.keypairs import PrivateKey

from kmipkit_vsphere.model.errors import InvalidArgument
from kmipkit_vsphere.model.keys import Secret


def load_pair(context: ssl.SSLContext, certificate: str, key: Secret) -> None:
    """Give a context its certificate and private key (both PEM)."""
    try:
        parse_credentials(
            certificate.encode() + b"\n" + key.reveal(), "the client certificate"
        ).load_into(context)
    except CertificateError as error:
        raise InvalidArgument(str(error)) from None


def parse_certificate(pem: str) -> x509.Certificate:
    """A certificate from PEM; :class:`InvalidArgument` for anything else."""
    try:
        certificates = formats.parse(pem.encode(), unlock=False).certificates
    except CertificateError as error:
        raise InvalidArgument(f"this is not a certificate in PEM: {error}") from None
    if not certificates:
        raise InvalidArgument("this is not a certificate in PEM")
    return certificates[0]


def to_pem(certificate: x509.Certificate) -> str:
    """A certificate as PEM."""
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def to_der(certificate: x509.Certificate) -> bytes:
    """A certificate as DER."""
    return certificate.public_bytes(serialization.Encoding.DER)


def parse_private_key(pem: bytes) -> PrivateKey:
    """A private key from PEM; :class:`InvalidArgument` for anything else."""
    try:
        keys = formats.parse(pem).keys
        return keypairs.as_private_key(keys[0].key if keys else None)
    except CertificateError as error:
        raise InvalidArgument(f"this is not an unencrypted private key in PEM: {error}") from None
