"""PKCS #12: a private key and its certificates under a password (KMIP 1.4 §2.1.2, 2.1 §4.31)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    pkcs12,
)

from kmipkit.errors import OperationError
from kmipkit.keys._border import FAILURES, foreign_errors
from kmipkit.spec.enums import ResultReason


@dataclass(frozen=True, slots=True)
class NamedCertificate:
    """A certificate in DER, with its friendly name."""

    data: bytes
    name: str | None


@dataclass(frozen=True, slots=True)
class Contents:
    """What a PKCS #12 file has."""

    key: bytes
    """The private key, as PKCS #8."""
    name: str | None
    """The friendly name, as that of the key's certificate tells it."""
    certificates: tuple[NamedCertificate, ...]
    """The certificate of the key, and the chain of its issuers."""


def contents(data: bytes, password: bytes) -> Contents:
    """Open a PKCS #12 file.

    Raises:
        OperationError: Bad Password if the password is wrong, or the data are not PKCS #12; Invalid
            Field if there is no private key.
    """
    with foreign_errors("the password is wrong, or the data are not PKCS #12", _BAD_PASSWORD):
        opened = pkcs12.load_pkcs12(data, password)
    if opened.key is None:
        raise OperationError(ResultReason.INVALID_FIELD, "the PKCS #12 file has no private key")
    key = opened.key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    chain = list(_chain(opened.cert, opened.additional_certs))
    names = [_text(each.friendly_name) for each in chain]
    certificates = tuple(
        NamedCertificate(each.certificate.public_bytes(Encoding.DER), name)
        for each, name in zip(chain, names, strict=True)
    )
    return Contents(key, names[0] if names else None, certificates)


_BAD_PASSWORD = ResultReason.BAD_PASSWORD


def _chain(
    first: pkcs12.PKCS12Certificate | None, others: Sequence[pkcs12.PKCS12Certificate]
) -> Iterator[pkcs12.PKCS12Certificate]:
    """The certificates from the first one to the last issuer that is there, and then the rest."""
    rest = list(others)
    current = first
    while current is not None:
        yield current
        issuer = current.certificate.issuer
        current = next((each for each in rest if each.certificate.subject == issuer), None)
        if current is not None:
            rest.remove(current)
    yield from rest


def _text(name: bytes | None) -> str | None:
    return None if name is None else name.decode("utf-8", "replace")


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
