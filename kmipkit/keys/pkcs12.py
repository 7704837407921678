"""PKCS #12: a private key and its certificates under a password (KMIP 1.4 §2.1.2, 2.1 §4.31)."""

from collections.abc import Sequence

from cryptography import x509
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, pkcs12

from kmipkit.keys._border import FAILURES, foreign_errors
from kmipkit.spec.enums import ResultReason


def pkcs_12(
    key: object, certificates: Sequence[bytes], password: bytes, name: bytes | None = None
) -> bytes:
    """A PKCS #12 file with a private key and certificates in DER, the certificate of the key first.

    Raises:
        OperationError: Key Format Type Not Supported for a key that PKCS #12 does not support.
    """
    chain = [x509.load_der_x509_certificate(der) for der in certificates]
    with foreign_errors(
        "PKCS #12 does not support this key, or the certificate does not belong to it",
        ResultReason.KEY_FORMAT_TYPE_NOT_SUPPORTED,
        failures=(*FAILURES, TypeError),  # TypeError: an algorithm such as X25519
    ):
        return pkcs12.serialize_key_and_certificates(
            name,
            key,  # type: ignore[arg-type]  # other keys are refused by the library
            chain[0] if chain else None,
            chain[1:],
            BestAvailableEncryption(password),
        )
