"""The server's certificate authorities: a key and a certificate each, among the server's own objects.

That of Certify issues certificates for any purpose, that of Re-Provision only those of clients. They are
apart: only the second can make somebody a client of this server.

Key and certificate are made for the first request that needs them, and stored like all objects: sealed,
and in the transaction of the request. They belong to the server, so that administrators can find and get
the certificate. The key is sensitive and not extractable, so that nobody can get it.

Each tenant has authorities of its own, which belong to it, so that nobody who trusts the certificates of
one tenant trusts those of another.

A setting says which two objects they are. Their names are for administrators only, who can give the
same names to other objects of the server.
"""

from datetime import datetime
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
)
from kmipkit_certs.authority import Authority

from kmipkit.keys import costs
from kmipkit.model.attribute import Attributes
from kmipkit.model.attributes import Name
from kmipkit.model.keyblock import KeyBlock, KeyValue
from kmipkit.model.objects import Certificate, PrivateKey
from kmipkit.spec.enums import (
    CertificateType,
    CryptographicAlgorithm,
    KeyFormatType,
    NameType,
    ObjectType,
)
from kmipkit.spec.masks import CryptographicUsageMask
from kmipkit.spec.tags import Tag
from kmipkit_server.engine.call import Call
from kmipkit_server.keys.material import key_bytes
from kmipkit_server.objects import creation
from kmipkit_server.objects.derived_attributes import derived_attributes
from kmipkit_server.objects.managed import Managed, pack_object
from kmipkit_server.store.base import Reader
from kmipkit_server.store.owners import setting_of

ALGORITHM, BITS = "rsa-3072", 3072
"""RSA, since every client can verify its signatures."""


class Kind(NamedTuple):
    """One of the authorities."""

    name: str
    """The Name of the certificate, and of the setting with the Unique Identifiers of the key and the
    certificate, each on a line."""

    @property
    def key_name(self) -> str:
        """The Name of the key."""
        return f"{self.name} key"


CERTIFY, CLIENTS = Kind("certificate authority"), Kind("client certificate authority")
NAME, KEY_NAME, SETTING = CERTIFY.name, CERTIFY.key_name, CERTIFY.name


class AuthorityKey(NamedTuple):
    """An authority in a form that can be sent to a worker."""

    certificate: bytes
    key: bytes

    def load(self) -> Authority:
        """The authority itself."""
        # The server made the key itself, and nobody else can: it need not be validated.
        private = load_der_private_key(self.key, password=None, unsafe_skip_rsa_key_validation=True)
        return Authority(
            x509.load_der_x509_certificate(self.certificate),
            private,  # type: ignore[arg-type]  # RSA, as made here
        )


SIGNATURE_COST = costs.rsa_operation(BITS)
"""Milliseconds that a signature of an authority takes."""


def authority(call: Call, kind: Kind = CERTIFY) -> AuthorityKey:
    """The authority, which is made if there is none yet. Needs a transaction."""
    stored = _stored(call.store, kind, call.now, call.identity.tenant)
    if stored is None:
        return _make(call, kind)
    key, certificate = stored
    return AuthorityKey(_der(certificate), key_bytes(key))


def certificate(call: Call) -> bytes | None:
    """The certificate of Certify's authority in DER, if there is one."""
    return stored_certificate(call.store, CERTIFY, call.now, call.identity.tenant)


def stored_certificate(store: Reader, kind: Kind, now: datetime, tenant: str) -> bytes | None:
    """The certificate of an authority in DER, if there is one; ``store`` is the part of the tenant."""
    stored = _stored(store, kind, now, tenant)
    return _der(stored[1]) if stored is not None else None


def _der(certificate: Managed) -> bytes:
    value = certificate.object
    assert isinstance(value, Certificate)
    return value.certificate_value


def _stored(
    store: Reader, kind: Kind, now: datetime, tenant: str
) -> tuple[Managed, Managed] | None:
    """The key and the certificate; None if an administrator has destroyed or obliterated one."""
    setting = store.setting(setting_of(tenant, kind.name))
    if setting is None:
        return None
    records = [store.get(identifier) for identifier in setting.decode().split("\n")]
    key, certificate = (
        None if record is None or record.is_destroyed else Managed(record, now)
        for record in records
    )
    return None if key is None or certificate is None else (key, certificate)


def _make(call: Call, kind: Kind) -> AuthorityKey:
    certificate_der, der = call.compute(
        _new_authority,
        f"{call.settings.server_name} {kind.name}",
        call.now,
        cost=costs.generation(CryptographicAlgorithm.RSA, BITS),
    )
    block = KeyBlock(
        key_format_type=KeyFormatType.PKCS_8,
        key_value=KeyValue(key_material=der),
        cryptographic_algorithm=CryptographicAlgorithm.RSA,
        cryptographic_length=BITS,
    )
    mask = CryptographicUsageMask.CERTIFICATE_SIGN | CryptographicUsageMask.CRL_SIGN
    key = PrivateKey(key_block=block)
    public = Certificate(
        certificate_type=CertificateType.X_509,
        certificate_value=certificate_der,
    )
    identifiers = []
    for object_type, name, value, is_sensitive in (
        (ObjectType.PRIVATE_KEY, kind.key_name, key, True),
        (ObjectType.CERTIFICATE, kind.name, public, False),
    ):
        attributes = Attributes.of(
            (Tag.NAME, Name(name_value=name, name_type=NameType.UNINTERPRETED_TEXT_STRING)),
            (Tag.CRYPTOGRAPHIC_USAGE_MASK, mask),
            (Tag.SENSITIVE, is_sensitive),
            (Tag.EXTRACTABLE, not is_sensitive),
        )
        managed = creation.store(
            call, object_type, pack_object(value), attributes, derived_attributes(value),
            generated=True, of_system=True,
        )  # fmt: skip
        identifiers.append(managed.id)
    setting = setting_of(call.identity.tenant, kind.name)
    call.set_shared(setting, "\n".join(identifiers).encode())
    return AuthorityKey(certificate_der, der)


def _new_authority(name: str, now: datetime) -> tuple[bytes, bytes]:
    """The certificate and the key of a new authority."""
    new = Authority.create(name, ALGORITHM, now)
    return (
        new.certificate.public_bytes(Encoding.DER),
        new.key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()),
    )
