"""PKCS #12: a private key and its certificates under a password (KMIP 1.4 §2.1.2, 2.1 §4.31)."""

from collections.abc import Sequence

from cryptography import x509
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, pkcs12

from kmipkit.keys._border import foreign_errors
from kmipkit.spec.enums import ResultReason


def pkcs_12(
    key: object, certificates: Sequence[bytes], password: bytes, name: bytes | None = None
) -> bytes:
    """A container with a private key and certificates in DER, the key's own first.

    Raises:
        OperationError: Key Format Type Not Supported for a kind of key that has no place in it.
    """
    chain = [x509.load_der_x509_certificate(der) for der in certificates]
    with foreign_errors(
        "the key and its certificates do not make a PKCS #12",
        ResultReason.KEY_FORMAT_TYPE_NOT_SUPPORTED,
    ):
        return pkcs12.serialize_key_and_certificates(
            name,
            key,  # type: ignore[arg-type]  # what it does not take, it refuses
            chain[0] if chain else None,
            chain[1:],
            BestAvailableEncryption(password),
        )
