"""Users, and the credentials that lead to them: objects that belong to the server (3.0).

A user is linked to its credentials. Only those count that are usable now: a user or credential whose
Deactivation Date has passed is deactivated, whatever was stored when it was last written
(KMIP 1.4 §3.22).
"""

from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple

from kmipkit.model.types import NameReference
from kmipkit.spec.enums import ObjectType, State
from kmipkit.spec.item_types import ItemType
from kmipkit.spec.tags import Tag
from kmipkit.ttlv.tree import Item
from kmipkit_server.identity.identity import SYSTEM
from kmipkit_server.store.base import Criterion, LocateQuery, Reader, Record

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
"""Types of objects that only the server owns."""

_USABLE_STATES = frozenset({State.PRE_ACTIVE, State.ACTIVE})


def user_name(user: Record) -> str:
    """The name of a user, which is the name of its account."""
    name: str = user.attributes.get(Tag.NAME).name_value
    return name


def is_usable(record: Record, now: datetime) -> bool:
    """Whether a user or credential is good for a login.

    One that was never activated is, since 3.0's cases activate none; but not past its end.
    """
    end = record.deactivation
    return record.state_at(now) in _USABLE_STATES and (end is None or now < end)


class Directory(NamedTuple):
    """The users and credentials of a store, judged at a time."""

    reader: Reader
    now: datetime

    def user(self, name: str) -> Record | None:
        """The user of this name, usable or not."""
        found = map(self.reader.get, self.reader.named(SYSTEM.name, name))
        return next((item for item in found if item and item.object_type is ObjectType.USER), None)

    def credentials(self, user: Record, object_type: ObjectType) -> Iterator[Record]:
        """The usable credentials of a type that a usable user is linked to."""
        if not is_usable(user, self.now):
            return
        for link in user.attributes.all(Tag.CREDENTIAL_LINK):
            by_name = isinstance(link, NameReference)
            for identifier in self.reader.named(SYSTEM.name, link) if by_name else (link,):
                record = self.reader.get(identifier)
                if record and record.object_type is object_type and is_usable(record, self.now):
                    yield record

    def devices(self) -> Iterator[Record]:
        """The usable device credentials."""
        return self._usable(ObjectType.DEVICE_CREDENTIAL)

    def user_with(self, credential: str) -> Record | None:
        """The usable user that is linked to a credential."""
        link = Item(Tag.CREDENTIAL_LINK, ItemType.REFERENCE, credential)
        return next(self._usable(ObjectType.USER, Criterion(Tag.CREDENTIAL_LINK, link)), None)

    def user_of_certificate(self, fingerprint: bytes) -> Record | None:
        """The usable user that a usable certificate, known by its SHA-256, is a credential of."""
        value = Item(Tag.DIGEST_VALUE, ItemType.BYTE_STRING, fingerprint)
        criterion = Criterion(Tag.DIGEST, Item(Tag.DIGEST, ItemType.STRUCTURE, (value,)))
        certificates = self._usable(ObjectType.CERTIFICATE, criterion)
        users = (self.user_with(certificate.id) for certificate in certificates)
        return next((user for user in users if user is not None), None)

    def has_users(self) -> bool:
        """Whether there is any user."""
        return next(self._all(ObjectType.USER), None) is not None

    def _usable(self, object_type: ObjectType, *criteria: Criterion) -> Iterator[Record]:
        found = self._all(object_type, *criteria)
        return (record for record in found if is_usable(record, self.now))

    def _all(self, object_type: ObjectType, *criteria: Criterion) -> Iterator[Record]:
        of_type = Criterion(
            Tag.OBJECT_TYPE, Item(Tag.OBJECT_TYPE, ItemType.ENUMERATION, int(object_type))
        )
        query = LocateQuery(owner=SYSTEM.name, criteria=(*criteria, of_type), now=self.now)
        found = map(self.reader.get, self.reader.locate(query).ids)
        return (record for record in found if record is not None)
