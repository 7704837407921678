"""Users and their credentials: objects that belong to the server, or to a tenant (3.0).

A user is linked to its credentials. Only those that are usable now are valid: a user or credential
whose Deactivation Date has passed is deactivated, whatever state was stored when it was last written
(KMIP 1.4 §3.22).
"""

import logging
from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple

from kmipkit_certs.identity import USER_PREFIX
from kmipkit_certs.revocation_status import PeerCertificate

from kmipkit.model.codec import decode
from kmipkit.model.objects import Certificate
from kmipkit.model.types import NameReference
from kmipkit.spec.enums import ObjectType, State
from kmipkit.spec.item_types import ItemType
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import Version
from kmipkit.ttlv.tree import Item
from kmipkit_server.identity.identity import SYSTEM, Identity
from kmipkit_server.store.base import Criterion, LocateQuery, Reader, Record
from kmipkit_server.store.criteria import is_met
from kmipkit_server.store.errors import Damaged
from kmipkit_server.store.owners import is_of_tenant, owner_name, tenant_of

log = logging.getLogger("kmipkit.server")

SYSTEM_TYPES = frozenset(
    {
        ObjectType.USER,
        ObjectType.GROUP,
        ObjectType.PASSWORD_CREDENTIAL,
        ObjectType.DEVICE_CREDENTIAL,
        ObjectType.ONE_TIME_PASSWORD_CREDENTIAL,
        ObjectType.HASHED_PASSWORD_CREDENTIAL,
    }
)
"""The object types that only the server owns."""

_USABLE_STATES = frozenset({State.PRE_ACTIVE, State.ACTIVE})


def account_material(name: str) -> bytes:
    """The material of a new user: the name of its account, which does not change with its Name."""
    return f"{USER_PREFIX}{name}".encode()


def account_name(user: Record) -> str:
    """The name of a user's account, which owns the user's objects.

    A user of a store that an earlier server has written keeps its account, whose name is that of the
    user itself.
    """
    if user.material:
        return user.material.decode()
    name: str = user.attributes.get(Tag.NAME).name_value
    # No name leads into a tenant.
    return account_material(name).decode() if is_of_tenant(name) else name


def account_of(user: Record) -> Identity:
    """The account of a user, in the tenant to which the user belongs."""
    return Identity(owner_name(tenant_of(user.owner), account_name(user)), user=user.id)


def is_usable(record: Record, now: datetime) -> bool:
    """Whether a user or credential is valid for a login.

    It need not be activated, since the test cases of 3.0 activate none. Then no state shows that its
    Deactivation Date has passed, so that the date is checked as well.
    """
    end = record.deactivation
    return record.state_at(now) in _USABLE_STATES and (end is None or now < end)


class Directory(NamedTuple):
    """The users and credentials of a tenant, or of the server, at a time."""

    reader: Reader
    """The part of the store that the tenant sees."""
    now: datetime
    owner: str = SYSTEM.name
    """To whom they belong."""

    def user(self, name: str) -> Record | None:
        """The user of this name, usable or not."""
        records = map(self._get, self.reader.find_by_name(self.owner, name))
        return next(
            (record for record in records if record and record.object_type is ObjectType.USER), None
        )

    def credentials(self, user: Record, object_type: ObjectType) -> Iterator[Record]:
        """The usable credentials of a type to which a usable user is linked."""
        if not is_usable(user, self.now):
            return
        for link in user.attributes.all(Tag.CREDENTIAL_LINK):
            by_name = isinstance(link, NameReference)
            for identifier in self.reader.find_by_name(self.owner, link) if by_name else (link,):
                record = self._get(identifier)
                if record and record.object_type is object_type and is_usable(record, self.now):
                    yield record

    def devices(self) -> Iterator[Record]:
        """The usable device credentials."""
        return self._usable(ObjectType.DEVICE_CREDENTIAL)

    def user_with(self, credential: str) -> Record | None:
        """The usable user who is linked to a credential."""
        link = Item(Tag.CREDENTIAL_LINK, ItemType.REFERENCE, credential)
        return next(self._usable(ObjectType.USER, Criterion(Tag.CREDENTIAL_LINK, link)), None)

    def user_of_certificate(self, peer: PeerCertificate) -> Record | None:
        """The usable user who is linked to a usable credential with this certificate."""
        identifier = (
            Item(Tag.ISSUER_DISTINGUISHED_NAME, ItemType.BYTE_STRING, peer.encoded_issuer),
            Item(Tag.CERTIFICATE_SERIAL_NUMBER, ItemType.BYTE_STRING, peer.encoded_serial),
        )
        key = Tag.X_509_CERTIFICATE_IDENTIFIER
        criterion = Criterion(key, Item(key, ItemType.STRUCTURE, identifier))
        users = (
            self.user_with(certificate.id)
            for certificate in self._usable(ObjectType.CERTIFICATE, criterion)
            if _is_certificate(certificate, peer)
        )
        return next((user for user in users if user is not None), None)

    def has_users(self) -> bool:
        """Whether there are any users."""
        # The first one says so, unless it is damaged.
        return any(
            next(self._all(ObjectType.USER, maximum=most), None) is not None for most in (1, None)
        )

    def _usable(self, object_type: ObjectType, *criteria: Criterion) -> Iterator[Record]:
        records = self._all(object_type, *criteria)
        return (record for record in records if is_usable(record, self.now))

    def _all(
        self, object_type: ObjectType, *criteria: Criterion, maximum: int | None = None
    ) -> Iterator[Record]:
        of_type = Criterion(
            Tag.OBJECT_TYPE, Item(Tag.OBJECT_TYPE, ItemType.ENUMERATION, int(object_type))
        )
        query = LocateQuery(self.owner, (*criteria, of_type), self.now, maximum=maximum)
        records = map(self._get, self.reader.locate(query).ids)
        # The index alone must not decide who logs in: see kmipkit_server.store.criteria.
        return (record for record in records if record is not None and is_met(query, record))

    def _get(self, identifier: str) -> Record | None:
        """A record; a damaged one counts as missing, so that all others can log in."""
        try:
            record = self.reader.get(identifier)
            # The material has a seal of its own, which is checked when the material is read.
            is_readable = record is not None and (
                record.is_destroyed or record.material is not None
            )
        except Damaged as error:
            log.error("%s", error)
            return None
        return record if is_readable else None


def _is_certificate(record: Record, peer: PeerCertificate) -> bool:
    """Whether a stored certificate is that of a peer."""
    material = record.material
    if not material:
        return False
    stored = decode(Certificate, material[2:], Version(material[0], material[1]))
    return PeerCertificate.parse(stored.certificate_value).signed_hash == peer.signed_hash


def linked_groups(reader: Reader, identity: Identity) -> frozenset[str]:
    """Identifiers and names of the Groups to which the user of an account is linked; none without one.

    A Group that is destroyed or deactivated counts no longer.
    """
    user = None if identity.user is None else reader.get(identity.user)
    if user is None:
        return frozenset()
    found: set[str] = set()
    for link in user.attributes.all(Tag.GROUP_LINK):
        is_name = isinstance(link, NameReference)
        for identifier in reader.find_by_name(identity.system, link) if is_name else (link,):
            group = reader.get(identifier)
            if group is not None and group.object_type is ObjectType.GROUP:
                found |= {group.id, *(name.name_value for name in group.attributes.all(Tag.NAME))}
    return frozenset(found)
