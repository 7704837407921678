"""Credentials in request headers, and tickets (KMIP 1.4 §2.1.2, KMIP 2.1 §9.11, §7.39)."""

from typing import Annotated

from kmipkit.model.structure import Structure, Wire, structure
from kmipkit.model.types import DateTimeExtended
from kmipkit.spec.enums import AttestationType, CredentialType, HashingAlgorithm, TicketType
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V1_1, V1_2, V2_0, Version
from kmipkit.ttlv.tree import Item


@structure(Tag.NONCE)
class Nonce(Structure):
    """A number that a server issues for one attestation (1.4 §2.1.14)."""

    nonce_id: Annotated[bytes, Wire(Tag.NONCE_ID)]
    nonce_value: Annotated[bytes, Wire(Tag.NONCE_VALUE)]


@structure(Tag.TICKET)
class Ticket(Structure):
    """The result of Login, which authenticates later requests (2.1 §7.39)."""

    ticket_type: Annotated[TicketType, Wire(Tag.TICKET_TYPE)]
    ticket_value: Annotated[bytes, Wire(Tag.TICKET_VALUE)]


@structure(Tag.CREDENTIAL_VALUE)
class UsernameAndPassword(Structure):
    """A username, and usually a password."""

    username: Annotated[str, Wire(Tag.USERNAME)]
    password: Annotated[str | None, Wire(Tag.PASSWORD)] = None


@structure(Tag.CREDENTIAL_VALUE)
class Device(Structure):
    """The identifiers of a device (since 1.1)."""

    device_serial_number: Annotated[str | None, Wire(Tag.DEVICE_SERIAL_NUMBER)] = None
    password: Annotated[str | None, Wire(Tag.PASSWORD)] = None
    device_identifier: Annotated[str | None, Wire(Tag.DEVICE_IDENTIFIER)] = None
    network_identifier: Annotated[str | None, Wire(Tag.NETWORK_IDENTIFIER)] = None
    machine_identifier: Annotated[str | None, Wire(Tag.MACHINE_IDENTIFIER)] = None
    media_identifier: Annotated[str | None, Wire(Tag.MEDIA_IDENTIFIER)] = None


@structure(Tag.CREDENTIAL_VALUE)
class Attestation(Structure):
    """A measurement or assertion about the client (since 1.2)."""

    nonce: Annotated[Nonce, Wire(Tag.NONCE)]
    attestation_type: Annotated[AttestationType, Wire(Tag.ATTESTATION_TYPE)]
    attestation_measurement: Annotated[bytes | None, Wire(Tag.ATTESTATION_MEASUREMENT)] = None
    attestation_assertion: Annotated[bytes | None, Wire(Tag.ATTESTATION_ASSERTION)] = None


@structure(Tag.CREDENTIAL_VALUE)
class OneTimePassword(Structure):
    """A one-time password (since 2.0)."""

    username: Annotated[str, Wire(Tag.USERNAME)]
    password: Annotated[str | None, Wire(Tag.PASSWORD)] = None
    one_time_password: Annotated[str, Wire(Tag.ONE_TIME_PASSWORD)]


@structure(Tag.CREDENTIAL_VALUE)
class HashedPassword(Structure):
    """A hash over user, password and time (since 2.0)."""

    username: Annotated[str, Wire(Tag.USERNAME)]
    timestamp: Annotated[DateTimeExtended, Wire(Tag.TIME_STAMP)]
    hashing_algorithm: Annotated[HashingAlgorithm | None, Wire(Tag.HASHING_ALGORITHM)] = None
    hashed_password: Annotated[bytes, Wire(Tag.HASHED_PASSWORD)]


@structure(Tag.CREDENTIAL_VALUE)
class TicketCredential(Structure):
    """The ticket of an earlier Login (since 2.0)."""

    ticket: Annotated[Ticket, Wire(Tag.TICKET)]


_VALUES: dict[CredentialType, tuple[Version, type[Structure]]] = {
    CredentialType.DEVICE: (V1_1, Device),
    CredentialType.ATTESTATION: (V1_2, Attestation),
    CredentialType.ONE_TIME_PASSWORD: (V2_0, OneTimePassword),
    CredentialType.HASHED_PASSWORD: (V2_0, HashedPassword),
    CredentialType.TICKET: (V2_0, TicketCredential),
    CredentialType.USERNAME_AND_PASSWORD: (Version(1, 0), UsernameAndPassword),
}


def _value_class(credential_type: CredentialType, version: Version) -> type[Structure] | None:
    since, cls = _VALUES.get(credential_type, (version, None))
    return cls if since <= version else None


@structure(Tag.CREDENTIAL)
class Credential(Structure):
    """A credential; if the version does not know its type, the value is a tree."""

    credential_type: Annotated[CredentialType, Wire(Tag.CREDENTIAL_TYPE)]
    credential_value: Annotated[
        UsernameAndPassword
        | Device
        | Attestation
        | OneTimePassword
        | HashedPassword
        | TicketCredential
        | Item,
        Wire(Tag.CREDENTIAL_VALUE, by="credential_type", choose=_value_class),
    ]


@structure(Tag.AUTHENTICATION)
class Authentication(Structure):
    """The credentials of a request (1.4 §6.6); several since 1.2."""

    credentials: Annotated[tuple[Credential, ...], Wire(Tag.CREDENTIAL, required=True)]
