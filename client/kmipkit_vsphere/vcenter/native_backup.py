"""The backup of a native key provider: one PKCS#12 file, which other programs open (vsphere.md §8).

Common libraries cannot write secret bags, so the file holds a key pair with a self-signed
certificate, and the certificate carries, in an extension of its own, a JSON text that names the
provider and holds the primary key encrypted to that key pair (RSA-OAEP, SHA-256). Whoever
opens the file with its password can decrypt the primary key, with any tool; nobody else can.
"""

from datetime import datetime, timedelta
from typing import Final, NamedTuple
from uuid import UUID

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import NameOID

from kmipkit_vsphere.model.encoding import decode, encode
from kmipkit_vsphere.model.errors import DamagedData, InvalidArgument
from kmipkit_vsphere.model.keys import Secret, SecretText
from kmipkit_vsphere.model.message import Message, Text
from kmipkit_vsphere.providers.native import NativeSpec, PrimaryKey

EXTENSION: Final = x509.ObjectIdentifier("2.25.206213907718353467316317838463461275309")
"""From a random UUID (ITU-T X.667)."""

_KEY_BITS: Final = 3072
_OAEP: Final = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)


class EarlierKey(Message):
    """A primary key that was replaced, encrypted like the present one."""

    key_id: UUID
    encrypted_key_derivation_key: bytes


class BackupContent(Message, omit_defaults=True):
    """The JSON text in the certificate."""

    provider: Text
    key_id: UUID
    tpm_required: bool
    encrypted_key_derivation_key: bytes
    created: str
    previous: tuple[EarlierKey, ...] = ()


class Backup(NamedTuple):
    """What a file holds, and when it was written."""

    spec: NativeSpec
    created: datetime


def write(spec: NativeSpec, now: datetime, password: SecretText | None) -> bytes:
    """The file, protected by PBES2 with AES-256 and a MAC with SHA-256, or not at all."""
    key = rsa.generate_private_key(65537, _KEY_BITS)
    content = BackupContent(
        provider=spec.provider_id,
        key_id=spec.key_id,
        tpm_required=spec.tpm_required,
        encrypted_key_derivation_key=key.public_key().encrypt(spec.kdk.reveal(), _OAEP),
        created=now.isoformat(timespec="seconds"),
        previous=tuple(
            EarlierKey(known.key_id, key.public_key().encrypt(known.kdk.reveal(), _OAEP))
            for known in spec.previous
        ),
    )
    certificate = _certificate(key, spec.provider_id, now, encode(content))
    return pkcs12.serialize_key_and_certificates(
        spec.provider_id.encode(), key, certificate, None, _protection(password)
    )


def read(data: bytes, password: SecretText | None) -> Backup:
    """What a backup holds.

    Raises :class:`InvalidArgument` for a wrong password or a file that is not PKCS#12, and
    :class:`DamagedData` for another PKCS#12 file.
    """
    try:
        secret = password.reveal() if password else None
        key, certificate, _ = pkcs12.load_key_and_certificates(data, secret)
    except ValueError:
        raise InvalidArgument("this is not a PKCS#12 file, or the password is wrong") from None
    if not isinstance(key, rsa.RSAPrivateKey) or certificate is None:
        raise DamagedData("this PKCS#12 file is not a backup of a native key provider")
    content = _content(certificate)
    try:
        kdk = Secret(key.decrypt(content.encrypted_key_derivation_key, _OAEP))
        previous = tuple(
            PrimaryKey(known.key_id, Secret(key.decrypt(known.encrypted_key_derivation_key, _OAEP)))
            for known in content.previous
        )
        spec = NativeSpec(content.provider, content.key_id, kdk, content.tpm_required, previous)
        return Backup(spec, datetime.fromisoformat(content.created))
    except ValueError:
        raise DamagedData("the primary key in the backup cannot be decrypted") from None


def _content(certificate: x509.Certificate) -> BackupContent:
    try:
        extension = certificate.extensions.get_extension_for_oid(EXTENSION).value
        assert isinstance(extension, x509.UnrecognizedExtension)
        return decode(extension.value, BackupContent)
    except (x509.ExtensionNotFound, ValueError, InvalidArgument):
        raise DamagedData("this PKCS#12 file is not a backup of a native key provider") from None


def _certificate(
    key: rsa.RSAPrivateKey, provider: str, now: datetime, content: bytes
) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, provider[:64])])
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=3650))
        .add_extension(x509.UnrecognizedExtension(EXTENSION, content), critical=False)
        .sign(key, hashes.SHA256())
    )


def _protection(password: SecretText | None) -> serialization.KeySerializationEncryption:
    if not password:
        return serialization.NoEncryption()
    return (
        serialization.PrivateFormat.PKCS12.encryption_builder()
        .kdf_rounds(100_000)
        .key_cert_algorithm(pkcs12.PBES.PBESv2SHA256AndAES256CBC)
        .hmac_hash(hashes.SHA256())
        .build(password.reveal())
    )
