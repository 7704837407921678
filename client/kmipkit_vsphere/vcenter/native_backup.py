"""The backup of a native key provider: one PKCS#12 file, which other programs open (vsphere.md §8).

Common libraries cannot write secret bags, so the file holds a key pair with a self-signed
certificate, and the certificate carries, in an extension of its own, a JSON text that names the
provider and holds the primary key encrypted to that key pair (RSA-OAEP, SHA-256). Who opens the
file with its password can decrypt the primary key, with any tool; nobody else can.
"""

import base64
import binascii
import json
from datetime import datetime, timedelta
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import NameOID

from kmipkit_vsphere.model.errors import DamagedData, InvalidArgument
from kmipkit_vsphere.model.keys import Secret
from kmipkit_vsphere.providers.native import NativeSpec

EXTENSION: Final = x509.ObjectIdentifier("2.25.206213907718353467316317838463461275309")
"""Made from a random UUID, as anybody may (ITU-T X.667)."""

_KEY_BITS: Final = 3072
_OAEP: Final = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)
_ENCRYPTED: Final = "encryptedKeyDerivationKey"


def write(spec: NativeSpec, now: datetime, password: str | None) -> bytes:
    """The file, protected by PBES2 with AES-256 and a MAC with SHA-256, or by nothing at all."""
    key = rsa.generate_private_key(65537, _KEY_BITS)
    content = {**spec.to_json(), "created": now.isoformat(timespec="seconds")}
    del content["keyDerivationKey"]
    sealed = key.public_key().encrypt(spec.kdk.reveal(), _OAEP)
    content[_ENCRYPTED] = base64.b64encode(sealed).decode("ascii")
    certificate = _certificate(key, spec.provider_id, now, json.dumps(content).encode())
    return pkcs12.serialize_key_and_certificates(
        spec.provider_id.encode(), key, certificate, None, _protection(password)
    )


def read(data: bytes, password: str | None) -> NativeSpec:
    """What a backup holds.

    Raises :class:`InvalidArgument` for a wrong password or a file that is no PKCS#12, and
    :class:`DamagedData` for one that is not such a backup.
    """
    try:
        secret = password.encode() if password else None
        key, certificate, _ = pkcs12.load_key_and_certificates(data, secret)
    except ValueError:
        raise InvalidArgument("this is no PKCS#12 file, or the password is wrong") from None
    if not isinstance(key, rsa.RSAPrivateKey) or certificate is None:
        raise DamagedData("this PKCS#12 file is not a backup of a native key provider")
    content = _content(certificate)
    try:
        kdk = key.decrypt(base64.b64decode(content[_ENCRYPTED], validate=True), _OAEP)
    except (KeyError, TypeError, ValueError, binascii.Error):
        raise DamagedData("the primary key in the backup cannot be decrypted") from None
    text = base64.b64encode(Secret(kdk).reveal()).decode("ascii")
    return NativeSpec.from_json({**content, "keyDerivationKey": text})


def _content(certificate: x509.Certificate) -> dict[str, Any]:
    try:
        found = certificate.extensions.get_extension_for_oid(EXTENSION).value
        assert isinstance(found, x509.UnrecognizedExtension)
        content = json.loads(found.value)
    except (x509.ExtensionNotFound, ValueError):
        content = None
    if not isinstance(content, dict):
        raise DamagedData("this PKCS#12 file is not a backup of a native key provider")
    return content


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


def _protection(password: str | None) -> serialization.KeySerializationEncryption:
    if not password:
        return serialization.NoEncryption()
    return (
        serialization.PrivateFormat.PKCS12.encryption_builder()
        .kdf_rounds(100_000)
        .key_cert_algorithm(pkcs12.PBES.PBESv2SHA256AndAES256CBC)
        .hmac_hash(hashes.SHA256())
        .build(password.encode())
    )
