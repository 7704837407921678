"""Encryption to recipients: the age format (https://age-encryption.org/v1), and CMS for certificates.

The data are always an age file. A certificate gets the secret of an age key pair that was made for this
file alone, as CMS EnvelopedData (RFC 5652 §6): so one file is for recipients of both kinds, and
``age`` and ``openssl cms`` open it without kmipkit.
"""

import io
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyrage
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.ciphers import algorithms
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from cryptography.hazmat.primitives.serialization.pkcs7 import (
    PKCS7EnvelopeBuilder,
    PKCS7Options,
    pkcs7_decrypt_der,
)
from kmipkit_certs.credentials import NO_PASSWORD, load_certificates, load_credentials
from kmipkit_certs.errors import CertificateError
from kmipkit_certs.passwords import KeyPassword

from kmipkit_server.backup.errors import BackupError

PUBLIC = "age1"
SECRET = "AGE-SECRET-KEY-1"  # noqa: S105 - how secret keys begin
_BLOCK = 64 * 1024


@dataclass(frozen=True, slots=True)
class Recipients:
    """For whom backups are encrypted: each of them can open them alone."""

    keys: tuple[str, ...] = ()
    """Public keys of age, ``age1...``."""
    certificates: tuple[x509.Certificate, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Who they are, for people."""
        return (*self.keys, *(fingerprint(each) for each in self.certificates))


@dataclass(frozen=True, slots=True, repr=False)
class Identities:
    """Who opens backups: secret keys, which no message shows."""

    keys: tuple[Any, ...] = ()
    """Identities of age."""
    credentials: tuple[tuple[x509.Certificate, rsa.RSAPrivateKey], ...] = ()


def fingerprint(certificate: x509.Certificate) -> str:
    """The name of a certificate as recipient."""
    return f"certificate {certificate.fingerprint(hashes.SHA256()).hex()[:16]}"


def recipients(texts: Iterable[str], base: Path = Path()) -> Recipients:
    """Recipients from public keys of age, and names of files with such keys or with certificates.

    BackupError if one of them is not usable, or if there is none.
    """
    keys: dict[str, None] = {}
    certificates: dict[bytes, x509.Certificate] = {}
    for text in texts:
        if text.startswith(PUBLIC):
            keys[_public_key(text, text)] = None
            continue
        for found in _recipients_in(base / text):
            if isinstance(found, str):
                keys[found] = None
            else:
                certificates[found.fingerprint(hashes.SHA256())] = found
    if not keys and not certificates:
        raise BackupError(
            "no recipient: give a public key of age (kmipkit admin backup identity makes one), or the"
            " file of a certificate"
        )
    return Recipients(tuple(keys), tuple(certificates.values()))


def _recipients_in(path: Path) -> Iterator[str | x509.Certificate]:
    if not path.exists():
        raise BackupError(
            f"{path} does not exist; a recipient is a public key of age, {PUBLIC}..., or a file with"
            " such keys or with a certificate"
        )
    data = _read(path)
    if SECRET.encode() in data:
        raise BackupError(
            f"{path} is an identity, which must stay away from the server; give its public key,"
            f" {PUBLIC}..., instead"
        )
    if PUBLIC.encode() in data and b"-----BEGIN" not in data:
        for line in data.decode("ascii", "replace").split("\n"):
            if line.strip() and not line.startswith("#"):
                yield _public_key(line.strip(), str(path))
        return
    try:
        found = load_certificates(path)
    except CertificateError as error:
        raise BackupError(f"{error}; a recipient is a public key of age or a certificate") from None
    for certificate in found:
        if not isinstance(certificate.public_key(), rsa.RSAPublicKey):
            raise BackupError(
                f"{path}: the key of the certificate is not RSA; backups are encrypted to"
                " certificates with RSA keys, and to keys of age"
            )
        yield certificate


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BackupError(f"{path}: {error.strerror}") from None


def _public_key(text: str, where: str) -> str:
    try:
        return str(pyrage.x25519.Recipient.from_str(text))
    except pyrage.RecipientError:
        raise BackupError(f"{where} is not a public key of age, {PUBLIC}...") from None


def load_identities(paths: Sequence[Path], password: KeyPassword = NO_PASSWORD) -> Identities:
    """Identities from files: those of age, and certificates with their RSA keys.

    BackupError if a file is not usable, or if there is none.
    """
    keys, credentials = [], []
    for path in paths:
        data = _read(path)
        if SECRET.encode() in data:
            keys += list(_secret_keys(data, path))
        else:
            credentials.append(_credential(path, password))
    if not keys and not credentials:
        raise BackupError(
            "no identity: --identity names the file with the secret key of a recipient"
        )
    return Identities(tuple(keys), tuple(credentials))


def _secret_keys(data: bytes, path: Path) -> Iterator[Any]:
    for line in data.decode("ascii", "replace").split("\n"):
        if line.strip() and not line.startswith("#"):
            try:
                yield pyrage.x25519.Identity.from_str(line.strip())
            except pyrage.IdentityError:
                raise BackupError(
                    f"{path} has a line that is no secret key of age, {SECRET}..."
                ) from None


def _credential(path: Path, password: KeyPassword) -> tuple[x509.Certificate, rsa.RSAPrivateKey]:
    try:
        found = load_credentials(path, None, password)
    except CertificateError as error:
        raise BackupError(f"{error}; an identity is a secret key of age, or a certificate with its"
                          " RSA key in one file") from None  # fmt: skip
    key = load_pem_private_key(found.key_pem(), None)
    if not isinstance(key, rsa.RSAPrivateKey):
        raise BackupError(f"{path}: the key is not RSA")
    return found.chain[0], key


def new_identity(path: Path) -> str:
    """Write a new secret key of age into a new file that only the user can read; its public key.

    BackupError if the file exists.
    """
    identity = pyrage.x25519.Identity.generate()
    public = str(identity.to_public())
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        raise BackupError(f"{path} exists already; it is not overwritten") from None
    except OSError as error:
        raise BackupError(f"{path}: {error.strerror}") from None
    with open(descriptor, "w", encoding="ascii") as file:
        file.write(f"# public key: {public}\n{identity}\n")
        file.flush()
        os.fsync(file.fileno())
    return public


class _Pulled(io.RawIOBase):
    """Chunks as a file to read from."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._rest = memoryview(b"")
        self.error: BaseException | None = None

    def read(self, size: int = -1) -> bytes:
        try:
            while not self._rest:
                self._rest = memoryview(next(self._chunks))
        except StopIteration:
            return b""
        except BaseException as error:  # the library would hide what it is: see :func:`encrypt`
            self.error = error
            raise
        size = _BLOCK if size < 0 else size
        part, self._rest = self._rest[:size], self._rest[size:]
        return bytes(part)


class _Pushed(io.RawIOBase):
    """A function as a file to write to."""

    def __init__(self, write: Callable[[bytes], object]) -> None:
        self._write = write
        self.error: BaseException | None = None

    def write(self, data: Any) -> int:
        try:
            self._write(bytes(data))
        except BaseException as error:  # as above
            self.error = error
            raise
        return len(data)


def encrypt(
    chunks: Iterable[bytes], write: Callable[[bytes], object], to: Recipients
) -> tuple[bytes, ...]:
    """Encrypt as an age file; the CMS of each certificate, which opens it as well.

    What the chunks and ``write`` raise is raised.
    """
    keys = [pyrage.x25519.Recipient.from_str(each) for each in to.keys]
    envelopes = []
    if to.certificates:
        single = pyrage.x25519.Identity.generate()
        keys.append(single.to_public())
        envelopes = [_envelope(str(single).encode(), each) for each in to.certificates]
    source, sink = _Pulled(chunks), _Pushed(write)
    try:
        pyrage.encrypt_io(source, sink, keys)
    except Exception as error:
        raise source.error or sink.error or error from None
    return tuple(envelopes)


def _envelope(secret: bytes, certificate: x509.Certificate) -> bytes:
    return (
        PKCS7EnvelopeBuilder()
        .set_data(secret)
        .set_content_encryption_algorithm(algorithms.AES256)
        .add_recipient(certificate)
        .encrypt(Encoding.DER, [PKCS7Options.Binary])
    )


def _nobodys(name: str) -> BackupError:
    return BackupError(
        f"{name} is not encrypted to this identity; kmipkit admin backup list shows its recipients, and"
        " kmipkit admin backup identity --public shows to which one an identity belongs"
    )


def decrypt(
    source: Any,
    write: Callable[[bytes], object],
    identities: Identities,
    envelopes: Sequence[bytes] = (),
    *,
    name: str,
) -> None:
    """Decrypt an age file to ``write``, whose exceptions are raised.

    BackupError if no identity is for it, or if it was changed: then a part of it may have been written.
    """
    keys = [*identities.keys, *_enveloped(identities, envelopes)]
    if not keys:
        raise _nobodys(name)
    sink = _Pushed(write)
    try:
        pyrage.decrypt_io(source, sink, keys)
    except pyrage.DecryptError as error:
        if sink.error is not None:
            raise sink.error from None
        if str(error).lower().startswith("no matching keys"):
            raise _nobodys(name) from None
        raise _damaged(name, error) from None
    except OSError as error:
        if sink.error is not None:
            raise sink.error from None
        raise _damaged(name, error) from None


def _damaged(name: str, error: Exception) -> BackupError:
    return BackupError(
        f"{name} was changed, or is damaged ({str(error).rstrip('.').lower()}): put another copy of the"
        " file in its place, or take an earlier backup with --at"
    )


def _enveloped(identities: Identities, envelopes: Sequence[bytes]) -> Iterator[Any]:
    """The secret keys that the envelopes have for these identities."""
    for certificate, key in identities.credentials:
        for envelope in envelopes:
            try:
                secret = pkcs7_decrypt_der(envelope, certificate, key, [])
                yield pyrage.x25519.Identity.from_str(secret.decode("ascii"))
            except (ValueError, pyrage.IdentityError):
                continue  # it is for another certificate
