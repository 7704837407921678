"""The stored form of credentials: the material of objects that Create Credential makes (3.0)."""

from typing import Annotated, Any

from kmipkit.model.codec import decode, encode
from kmipkit.model.payloads.accounts import (
    DeviceCredential,
    HashedPasswordCredential,
    OTPCredential,
    PasswordCredential,
)
from kmipkit.model.structure import Structure, Wire, structure
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V3_0
from kmipkit_server.store.base import Record


@structure()
class StoredCredential(Structure):
    """The content of a credential object: a password, a device that may have one, and so on."""

    password: Annotated[PasswordCredential | None, Wire(Tag.PASSWORD_CREDENTIAL)] = None
    device: Annotated[DeviceCredential | None, Wire(Tag.DEVICE_CREDENTIAL)] = None
    otp: Annotated[OTPCredential | None, Wire(Tag.OTP_CREDENTIAL)] = None
    hashed: Annotated[HashedPasswordCredential | None, Wire(Tag.HASHED_PASSWORD_CREDENTIAL)] = None


def pack_credential(**parts: Any) -> bytes:
    """The stored form: ``password``, ``device``, ``otp`` or ``hashed``, in the encoding of 3.0."""
    return bytes(V3_0) + encode(StoredCredential(**parts), V3_0, tag=Tag.CREDENTIAL)


def unpack_credential(record: Record) -> StoredCredential:
    """The credential of :func:`pack_credential`."""
    return decode(StoredCredential, (record.material or b"")[2:], V3_0, tag=Tag.CREDENTIAL)
