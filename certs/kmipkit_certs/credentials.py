"""Loading what a TLS peer needs: its certificate with chain and key, and the authorities it trusts.

All files of certificates and keys that a user gives to any command are read here. Certificate and key
may be in one file or in two, in any format of :mod:`.formats`, and in any order.
"""

import os
import secrets
import ssl
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization

from kmipkit_certs.errors import CertificateError
from kmipkit_certs.formats import Contents, KeyBlock, parse
from kmipkit_certs.passwords import KeyPassword

NO_PASSWORD = KeyPassword()

Source = Path | bytes
"""A file, or the contents of one."""


@dataclass(frozen=True, slots=True, repr=False)
class Credentials:
    """A certificate with its private key."""

    chain: tuple[x509.Certificate, ...]
    """What the peer gets: the certificate, then its issuers as far as they are in the file."""
    key: KeyBlock
    name: str
    """The names of the files, for error messages."""

    def load_into(self, context: ssl.SSLContext) -> None:
        """Make the context use them. CertificateError if OpenSSL does not accept them."""
        try:
            with _as_file(self.certificate_pem(), self.key) as (path, password):
                # Without any password, OpenSSL would ask for one at the terminal.
                context.load_cert_chain(path, password=password or b"")
        except (ssl.SSLError, ValueError) as error:
            reason = str(getattr(error, "reason", None) or error).replace("_", " ").lower()
            raise CertificateError(f"{self.name} cannot be used: {reason}") from None

    def certificate_pem(self) -> bytes:
        """The certificates, as PEM."""
        return certificates_pem(self.chain)

    def key_pem(self) -> bytes:
        """The private key as PEM, no longer encrypted.

        Raises:
            CertificateError: the library cannot decrypt a key of this kind.
        """
        return _decrypted(self.key, self.name)


def certificates_pem(certificates: Iterable[x509.Certificate]) -> bytes:
    """Certificates as PEM."""
    pem = serialization.Encoding.PEM
    return b"".join(certificate.public_bytes(pem) for certificate in certificates)


def read(source: Source, password: KeyPassword = NO_PASSWORD, *, unlock: bool = True) -> Contents:
    """The contents of a file; see :func:`.formats.parse`.

    Raises:
        CertificateError: the file cannot be read, or a part of it is malformed or locked.
    """
    name = _name(source)
    try:
        data = source if isinstance(source, bytes) else source.read_bytes()
    except OSError as error:
        raise CertificateError(f"{name}: {error.strerror}") from None
    try:
        return parse(data, lambda: password.get(name), unlock=unlock)
    except CertificateError as error:
        raise CertificateError(f"{name}: {error}") from None


def _name(source: Source) -> str:
    """The name of a source for messages, which must not show its bytes."""
    return f"the given {len(source)} bytes" if isinstance(source, bytes) else str(source)


def load_credentials(
    cert: Source, key: Source | None = None, password: KeyPassword = NO_PASSWORD
) -> Credentials:
    """The certificate in a file, with the private key from the same file or another one.

    Raises:
        CertificateError: a file cannot be read or has something else in it, or no key in it belongs to a
            certificate in it.
    """
    # A key of its own is in the second file: then one in the first is not needed, nor its password.
    own = read(cert, password, unlock=key is None)
    other = own if key is None or key == cert else read(key, password)
    certificates, keys = own.certificates, other.keys
    if not certificates or not keys:
        raise CertificateError(_what_is_missing(cert, key, own, other))
    name = _name(cert) if key is None or key == cert else f"{_name(cert)} and {_name(key)}"
    for each in keys:
        for certificate in certificates:
            if _belongs(each, certificate):
                return Credentials(tuple(_in_order(certificate, certificates)), each, name)
    unknown = next((each for each in keys if each.key is None), None)
    if unknown is not None:  # OpenSSL decides
        return Credentials(tuple(certificates), unknown, name)
    raise CertificateError(_no_match(cert, key, certificates))


def parse_credentials(data: bytes, name: str) -> Credentials:
    """The certificate and the private key in PEM or another format, neither of them encrypted.

    Raises:
        CertificateError: it is something else, or the key does not belong to a certificate.
    """
    contents = parse(data)
    for key in contents.keys:
        for certificate in contents.certificates:
            if _belongs(key, certificate):
                return Credentials(tuple(_in_order(certificate, contents.certificates)), key, name)
    raise CertificateError(
        f"{name}: there is no certificate with the private key that belongs to it"
    )


def load_certificates(
    source: Source, password: KeyPassword = NO_PASSWORD
) -> list[x509.Certificate]:
    """All certificates in a file, in its order; at least one. Keys in it are not read.

    Raises:
        CertificateError: the file cannot be read, or contains something else.
    """
    contents = read(source, password, unlock=False)
    if not contents.certificates:
        raise CertificateError(
            f"{_name(source)}: contains {contents.describe()}, not a certificate"
        )
    return contents.certificates


def load_chain(
    path: Path, key: Path | None = None, password: KeyPassword = NO_PASSWORD
) -> list[x509.Certificate]:
    """The certificates that an owner of this file would send, its own certificate first.

    Its own is the one to which a private key belongs; without a key, the one that has issued no other.

    Raises:
        CertificateError: as of :func:`load_certificates`.
    """
    contents = read(path, password, unlock=False)
    if not contents.certificates:
        raise CertificateError(f"{path}: contains {contents.describe()}, not a certificate")
    keys = contents.keys if key is None else read(key, password).keys
    certificates = contents.certificates
    owned = (each for each in certificates if any(_belongs(block, each) for block in keys))
    leaf = next(owned, None) or _without_issued(certificates)
    return list(_in_order(leaf, certificates))


def _without_issued(certificates: Sequence[x509.Certificate]) -> x509.Certificate:
    """The certificate that has issued none of the others; the first if that is not unique."""
    ends = [
        each
        for each in certificates
        if not any(has_issued(each, other) for other in certificates if other != each)
    ]
    return ends[0] if len(ends) == 1 else certificates[0]


def load_key(path: Path, password: KeyPassword = NO_PASSWORD) -> KeyBlock:
    """The first private key in a file.

    Raises:
        CertificateError: the file cannot be read, or contains something else.
    """
    contents = read(path, password)
    if not contents.keys:
        raise CertificateError(f"{path}: contains {contents.describe()}, not a private key")
    return contents.keys[0]


def _what_is_missing(source: Source, second: Source | None, own: Contents, other: Contents) -> str:
    cert, key = _name(source), None if second is None else _name(second)
    if second is None or second == source:
        if not own.certificates:
            return f"{cert}: contains {own.describe()}, not a certificate"
        return f"{cert}: contains no private key; give the file with the key as well"
    if own.keys and not own.certificates and other.certificates:
        return f"{cert}: contains a private key, and {key} a certificate: the two files are interchanged"
    if not own.certificates:
        return f"{cert}: contains {own.describe()}, not a certificate"
    return f"{key}: contains {other.describe()}, not a private key"


def _no_match(source: Source, key: Source | None, certificates: Sequence[x509.Certificate]) -> str:
    subject = _subject(certificates[0])
    cert = _name(source)
    where = cert if key is None else _name(key)
    if len(certificates) == 1:
        return (
            f"{where}: the private key does not belong to the certificate {subject} in {cert}; use the"
            " key with which that certificate was requested"
        )
    return (
        f"{where}: the private key belongs to none of the {len(certificates)} certificates in {cert},"
        f" of which {subject} is the first; use the key with which the certificate was requested"
    )


def _subject(certificate: x509.Certificate) -> str:
    try:
        return repr(certificate.subject.rfc4514_string())
    except (ValueError, TypeError):  # malformed; TypeError for a BIT STRING in place of text
        return "without a readable subject"


def _belongs(key: KeyBlock, certificate: x509.Certificate) -> bool:
    public = getattr(key.key, "public_key", None)
    try:
        return public is not None and bool(public() == certificate.public_key())
    except (ValueError, UnsupportedAlgorithm):
        return False


def _in_order(
    leaf: x509.Certificate, certificates: Sequence[x509.Certificate]
) -> Iterator[x509.Certificate]:
    """The certificate, each issuer after what it has issued, and then what is left (RFC 5246 §7.4.2)."""
    yield leaf
    rest = [each for each in dict.fromkeys(certificates) if each != leaf]
    last: x509.Certificate | None = leaf
    while last is not None:
        last = next((each for each in rest if has_issued(each, last)), None)
        if last is not None:
            rest.remove(last)
            yield last
    yield from rest


def has_issued(authority: x509.Certificate, certificate: x509.Certificate) -> bool:
    """Whether the certificate has the name and the signature of the authority."""
    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


@contextmanager
def _as_file(certificates: bytes, key: KeyBlock) -> Iterator[tuple[str, bytes | None]]:
    """The path of a file for OpenSSL, and the password of the key in it.

    :mod:`ssl` reads certificates and keys only from files. This one is in memory (memfd), so that no
    byte of a key gets to a disk. Where the system has no such files, the key is encrypted under a
    password that nothing else knows.
    """
    if HAS_MEMORY_FILES:
        with memory_file(certificates + key.pem) as descriptor:
            yield memory_path(descriptor), key.password
        return
    pem, password = _encrypted(key)
    with tempfile.NamedTemporaryFile() as temporary:  # its mode is 0600
        temporary.write(certificates + pem)
        temporary.flush()
        yield temporary.name, password


HAS_MEMORY_FILES = hasattr(os, "memfd_create") and Path("/proc/self/fd").is_dir()


@contextmanager
def memory_file(data: bytes) -> Iterator[int]:
    """The descriptor of a file in memory, which exists until it is closed (Linux)."""
    descriptor = os.memfd_create("certificates", os.MFD_CLOEXEC)
    try:
        with os.fdopen(descriptor, "wb", closefd=False) as file:
            file.write(data)
        yield descriptor
    finally:
        os.close(descriptor)


def memory_path(descriptor: int) -> str:
    """The path of a file in memory, for a process that has it open."""
    return f"/proc/self/fd/{descriptor}"


def _decrypted(key: KeyBlock, name: str) -> bytes:
    if key.password is None:
        return key.pem
    private_bytes = getattr(key.key, "private_bytes", None)
    if private_bytes is None:
        raise CertificateError(f"{name}: the private key is not supported: {key.unsupported}")
    pem: bytes = private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return pem


def _encrypted(key: KeyBlock) -> tuple[bytes, bytes | None]:
    private_bytes = getattr(key.key, "private_bytes", None)
    if key.password is not None or private_bytes is None:
        return key.pem, key.password
    password = secrets.token_urlsafe(32).encode()
    pem = private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(password),
    )
    return pem, password
