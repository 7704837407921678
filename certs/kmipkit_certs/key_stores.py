"""Certificate, key and authorities in one encrypted file, as many devices want it: PKCS #12 or JKS."""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    KeySerializationEncryption,
    PrivateFormat,
    pkcs12,
)

from kmipkit_certs import java_key_store
from kmipkit_certs.credentials import Credentials
from kmipkit_certs.errors import CertificateError
from kmipkit_certs.keypairs import as_private_key

Form = Literal["pkcs12", "pkcs12-old", "jks"]
"""``pkcs12-old`` has Triple DES and SHA-1, since devices from before about 2019 read nothing better."""


def pack(
    form: Form,
    own: Credentials,
    authorities: Sequence[x509.Certificate],
    name: str,
    password: bytes,
    now: datetime,
) -> bytes:
    """The content of a file.

    Args:
        authorities: go into the file beside the certificates that the owner sends.
        name: the "friendly name" or alias that devices show.
        now: the date of the entry in a JKS file.

    Raises:
        CertificateError: the password is empty, which devices treat in different ways.
    """
    if not password:
        raise CertificateError(f"the password of a {describe(form)} file must not be empty")
    leaf, *issuers = own.chain
    others = [each for each in dict.fromkeys((*issuers, *authorities)) if each != leaf]
    key = as_private_key(own.key.key)
    if form == "jks":
        return java_key_store.key_store(name, key, [leaf, *others], password, now)
    encryption = BestAvailableEncryption(password) if form == "pkcs12" else old_encryption(password)
    return pkcs12.serialize_key_and_certificates(name.encode(), key, leaf, others, encryption)


def describe(form: Form) -> str:
    """The name of a form for people."""
    return "JKS" if form == "jks" else "PKCS #12"


def old_encryption(password: bytes) -> KeySerializationEncryption:
    """The encryption that devices from before about 2019 read: Triple DES and SHA-1."""
    builder = PrivateFormat.PKCS12.encryption_builder()
    algorithm = pkcs12.PBES.PBESv1SHA1And3KeyTripleDESCBC
    return (
        builder.kdf_rounds(50_000)
        .key_cert_algorithm(algorithm)
        .hmac_hash(hashes.SHA1())  # noqa: S303 - what such devices read
        .build(password)
    )
