"""Everything that a new client needs, in the forms that products take, in one directory.

Java reads PKCS #12 as a key store and as a trust store since Java 8. Its own format, JKS, protects a key
badly, so that it is only in a bundle that somebody wants for an old product.
"""

import shutil
import tempfile
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    pkcs12,
)

from kmipkit_certs import files, java_key_store
from kmipkit_certs.authority import IssuedCertificate
from kmipkit_certs.errors import CertificateError
from kmipkit_certs.key_stores import old_encryption

CONTENTS: Mapping[str, str] = {
    "ca.crt": "the authority of the server (PEM)",
    "{name}.crt": "the certificate (PEM)",
    "{name}.key": "the private key (PEM, PKCS #8)",
    "{name}.pem": "certificate and private key in one file (PEM)",
    "{name}.p12": "certificate, private key and authority (PKCS #12); a key store for Java",
    "ca.p12": "the authority (PKCS #12); a trust store for Java",
}
"""The files, and what each is."""

JKS_CONTENTS: Mapping[str, str] = {
    "{name}.jks": "certificate, private key and authority (JKS); a key store for old products",
    "ca.jks": "the authority (JKS); a trust store for old products",
}
"""Those that a bundle only has if it is wanted."""

_AUTHORITY = "kmipkit"
"""The name of the authority in a trust store."""


def described(name: str, *, with_jks: bool = False) -> dict[str, str]:
    """What each file of a bundle is, by its name."""
    wanted = {**CONTENTS, **JKS_CONTENTS} if with_jks else CONTENTS
    return {file.format(name=name): text for file, text in wanted.items()}


def contents(
    name: str,
    issued: IssuedCertificate,
    authority: x509.Certificate,
    password: bytes,
    *,
    for_old_devices: bool = False,
    jks_date: datetime | None = None,
) -> dict[str, bytes]:
    """The files of a bundle by their names.

    Args:
        password: of the PKCS #12 and JKS files.
        for_old_devices: encrypt the PKCS #12 files with Triple DES and SHA-1.
        jks_date: the time at which the JKS files are made; without it, there are none.

    Raises:
        CertificateError: the password is empty.
    """
    if not password:
        raise CertificateError("the password of a PKCS #12 file must not be empty")
    encryption = old_encryption(password) if for_old_devices else BestAvailableEncryption(password)
    certificate = issued.certificate.public_bytes(Encoding.PEM)
    key = issued.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    trusted = pkcs12.PKCS12Certificate(authority, _AUTHORITY.encode())
    data = [
        authority.public_bytes(Encoding.PEM),
        certificate,
        key,
        certificate + key,
        pkcs12.serialize_key_and_certificates(
            name.encode(), issued.key, issued.certificate, [authority], encryption
        ),
        pkcs12.serialize_java_truststore([trusted], encryption),
    ]
    if jks_date is not None:
        chain = [issued.certificate, authority]
        data += [
            java_key_store.key_store(name, issued.key, chain, password, jks_date),
            java_key_store.trust_store([(_AUTHORITY, authority)], password, jks_date),
        ]
    return dict(zip(described(name, with_jks=jks_date is not None), data, strict=True))


def write(path: Path, data: Mapping[str, bytes]) -> None:
    """Write the files into a new directory that only its owner can read: all of them, or none.

    Raises:
        CertificateError: there is something at the path already, or it cannot be written.
    """
    if path.exists() or path.is_symlink():
        raise CertificateError(f"{path}: already exists and is not overwritten")
    try:
        temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}-"))
    except OSError as error:
        raise CertificateError(f"{path}: {error.strerror}") from None
    try:
        for name, content in data.items():
            files.write_new(temporary / name, content, files.SECRET)
        temporary.rename(path)
    except OSError as error:
        raise CertificateError(f"{path}: {error.strerror}") from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)  # nothing is there after the renaming
