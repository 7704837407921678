"""Writing JKS, the old key store of Java, for products that read nothing else.

Java reads PKCS #12 in its place since Java 8, and no library that is kept writes JKS. The format is that
of ``sun.security.provider.JavaKeyStore`` in OpenJDK: a header, entries with an alias each, and a SHA-1
over password and content. A private key is encrypted by an exclusive or with a key stream of SHA-1
(``sun.security.provider.KeyProtector``). One guess of the password costs an attacker two hashes, so that
such a file needs the same care as a private key without a password.
"""

import hashlib
import os
import struct
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from kmipkit_certs.errors import CertificateError
from kmipkit_certs.keypairs import PrivateKey

MAGIC = 0xFEEDFEED
_VERSION = 2
_KEY_ENTRY, _CERTIFICATE_ENTRY = 1, 2
_SEAL = b"Mighty Aphrodite"
"""What OpenJDK hashes between the password and the content."""
_PROTECTOR = bytes.fromhex("060a2b060104012a02110101")
"""The object identifier 1.3.6.1.4.1.42.2.17.1.1 in DER: the key protector of JKS."""
_NULL = b"\x05\x00"
_SEQUENCE, _OCTETS = 0x30, 0x04
_SALT_SIZE = 20


def key_store(
    alias: str,
    key: PrivateKey,
    chain: Sequence[x509.Certificate],
    password: bytes,
    now: datetime,
    random: Callable[[int], bytes] = os.urandom,
) -> bytes:
    """A key store with one private key and its certificates, the own one first.

    Raises:
        CertificateError: the password is empty, or no text.
    """
    secret = _java_password(password)
    plain = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    parts = (
        _sized(_protected(plain, secret, random(_SALT_SIZE))),
        struct.pack(">I", len(chain)),
        *map(_certificate, chain),
    )
    return _sealed([_entry(_KEY_ENTRY, alias, now, b"".join(parts))], secret)


def trust_store(
    authorities: Iterable[tuple[str, x509.Certificate]], password: bytes, now: datetime
) -> bytes:
    """A trust store with certificates of authorities, each with its alias.

    Raises:
        CertificateError: the password is empty, or no text.
    """
    entries = [
        _entry(_CERTIFICATE_ENTRY, alias, now, _certificate(certificate))
        for alias, certificate in authorities
    ]
    return _sealed(entries, _java_password(password))


def _java_password(password: bytes) -> bytes:
    """A password as Java hashes it: two bytes for each of its characters."""
    if not password:
        raise CertificateError("the password of a Java key store must not be empty")
    try:
        return password.decode().encode("utf-16-be")
    except UnicodeDecodeError:
        raise CertificateError("the password of a Java key store must be text in UTF-8") from None


def _protected(plain: bytes, secret: bytes, salt: bytes) -> bytes:
    """A private key as EncryptedPrivateKeyInfo (PKCS #8): salt, encrypted key and check value."""
    stream, block = bytearray(), salt
    while len(stream) < len(plain):
        block = _sha1(secret + block)
        stream += block
    encrypted = bytes(one ^ other for one, other in zip(plain, stream, strict=False))
    data = salt + encrypted + _sha1(secret + plain)
    return _der(_SEQUENCE, _der(_SEQUENCE, _PROTECTOR + _NULL) + _der(_OCTETS, data))


def _entry(kind: int, alias: str, now: datetime, content: bytes) -> bytes:
    # Java looks for an alias in lower case, and finds no other one.
    milliseconds = int(now.timestamp() * 1000)
    return (
        struct.pack(">I", kind) + _text(alias.lower()) + struct.pack(">Q", milliseconds) + content
    )


def _certificate(certificate: x509.Certificate) -> bytes:
    return _text("X.509") + _sized(certificate.public_bytes(Encoding.DER))


def _sealed(entries: Sequence[bytes], secret: bytes) -> bytes:
    content = struct.pack(">III", MAGIC, _VERSION, len(entries)) + b"".join(entries)
    return content + _sha1(secret + _SEAL + content)


def _text(text: str) -> bytes:
    """A text as Java's DataOutput writes it: in UTF-8, each half of a surrogate pair by itself."""
    units = struct.iter_unpack(">H", text.encode("utf-16-be"))
    data = b"".join(chr(unit).encode("utf-8", "surrogatepass") for (unit,) in units)
    return struct.pack(">H", len(data)) + data


def _sized(data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + data


def _der(tag: int, content: bytes) -> bytes:
    size = len(content)
    if size < 0x80:
        return bytes((tag, size)) + content
    length = size.to_bytes((size.bit_length() + 7) // 8)
    return bytes((tag, 0x80 | len(length))) + length + content


def _sha1(data: bytes) -> bytes:
    return hashlib.sha1(data).digest()  # noqa: S324 - what the format has
