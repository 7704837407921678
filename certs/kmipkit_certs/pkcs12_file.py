"""Writing PKCS #12: certificate, key and authorities in one encrypted file, as many devices want it."""

from collections.abc import Sequence

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    KeySerializationEncryption,
    PrivateFormat,
    pkcs12,
)

from kmipkit_certs.credentials import Credentials
from kmipkit_certs.errors import CertificateError
from kmipkit_certs.keypairs import as_private_key


def pack(
    own: Credentials,
    authorities: Sequence[x509.Certificate],
    name: str,
    password: bytes,
    *,
    for_old_devices: bool = False,
) -> bytes:
    """The content of a PKCS #12 file.

    Args:
        authorities: go into the file beside the certificates that the owner sends.
        name: the "friendly name" that devices show.
        for_old_devices: encrypt with Triple DES and SHA-1, since devices from before about 2019
            read nothing better.

    Raises:
        CertificateError: the password is empty, which devices treat in different ways.
    """
    if not password:
        raise CertificateError("the password of a PKCS #12 file must not be empty")
    leaf, *issuers = own.chain
    others = [each for each in dict.fromkeys((*issuers, *authorities)) if each != leaf]
    return pkcs12.serialize_key_and_certificates(
        name.encode(),
        as_private_key(own.key.key),
        leaf,
        others,
        _old(password) if for_old_devices else BestAvailableEncryption(password),
    )


def _old(password: bytes) -> KeySerializationEncryption:
    builder = PrivateFormat.PKCS12.encryption_builder()
    algorithm = pkcs12.PBES.PBESv1SHA1And3KeyTripleDESCBC
    return (
        builder.kdf_rounds(50_000)
        .key_cert_algorithm(algorithm)
        .hmac_hash(hashes.SHA1())  # noqa: S303 - what such devices read
        .build(password)
    )
