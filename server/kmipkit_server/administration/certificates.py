"""Certificates in requests."""

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from kmipkit_server.administration.problems import unprocessable


def read_certificate(pem: str) -> bytes:
    """A certificate in DER. Refused if the text is not exactly one in PEM."""
    try:
        [certificate] = x509.load_pem_x509_certificates(pem.encode())
    except ValueError:
        raise unprocessable("the certificate must be one certificate in PEM") from None
    return certificate.public_bytes(Encoding.DER)
