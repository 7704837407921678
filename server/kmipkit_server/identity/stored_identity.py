"""The form of an identity outside this process: in the store, and on the way to another process.

It has no secret: a ticket is in it by the hash of its value.
"""

from datetime import datetime

import msgspec
from kmipkit_certs.revocation import NameKey
from kmipkit_certs.revocation_status import PeerCertificate

from kmipkit.model.codec import decode, encode
from kmipkit.model.payloads.limits import Right, Rights
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V3_0
from kmipkit_server.identity.identity import Identity


class StoredCertificate(msgspec.Struct, frozen=True, array_like=True):
    """What identifies a certificate; see :class:`.PeerCertificate`."""

    subject: str
    issuer: NameKey
    serial: str
    """In hexadecimal digits: it may have more than 64 bits."""
    signed_hash: bytes
    encoded_issuer: bytes
    encoded_serial: bytes
    issuer_name: str
    alternative_names: tuple[str, ...]

    @classmethod
    def of(cls, certificate: PeerCertificate | None) -> "StoredCertificate | None":
        """The form of a certificate, if there is one."""
        if certificate is None:
            return None
        values = {name: getattr(certificate, name) for name in cls.__struct_fields__}
        return cls(**values | {"serial": f"{certificate.serial:x}"})

    def restored(self) -> PeerCertificate:
        """The certificate."""
        values = {name: getattr(self, name) for name in self.__struct_fields__}
        return PeerCertificate(**values | {"serial": int(self.serial, 16)})


class StoredIdentity(msgspec.Struct, frozen=True, omit_defaults=True):
    """The account of a request, with what is checked of its connection; see :class:`.Identity`."""

    name: str
    is_administrator: bool = False
    user: str | None = None
    rights: bytes | None = None
    """The rights of a delegated ticket, in the encoding of 3.0."""
    ticket: bytes | None = None
    certificate: StoredCertificate | None = None
    certificate_expires: datetime | None = None
    presented: bytes = b""
    authorities: tuple[bytes, ...] = ()
    address: str = ""
    port: int = 0

    @classmethod
    def of(cls, identity: Identity) -> "StoredIdentity":
        """The form of an identity."""
        return cls(
            identity.name,
            identity.is_administrator,
            identity.user,
            pack_rights(identity.rights),
            identity.ticket,
            StoredCertificate.of(identity.certificate),
            identity.certificate_expires,
            identity.presented,
            identity.authorities,
            identity.address,
            identity.port,
        )

    def restored(self) -> Identity:
        """The identity."""
        return Identity(
            self.name,
            self.is_administrator,
            self.user,
            None if self.certificate is None else self.certificate.restored(),
            self.certificate_expires,
            self.presented,
            self.authorities,
            unpack_rights(self.rights),
            self.address,
            self.port,
            self.ticket,
        )


def pack_rights(rights: tuple[Right, ...] | None) -> bytes | None:
    """The stored form of the rights of a ticket."""
    if rights is None:
        return None
    return encode(Rights(rights=rights), V3_0, tag=Tag.RIGHTS, strict=False)


def unpack_rights(stored: bytes | None) -> tuple[Right, ...] | None:
    """The rights from their stored form."""
    return None if stored is None else decode(Rights, stored, V3_0, tag=Tag.RIGHTS).rights
