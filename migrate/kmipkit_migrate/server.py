"""A server as a migration sees it: what it can do, what it has, and one object of it."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from kmipkit_client import Client, OperationFailed
from kmipkit_client.errors import ClientError

from kmipkit.errors import LocalProtocolError, ProtocolError
from kmipkit.model.attribute import Attributes
from kmipkit.spec.enums import ObjectType, Operation, QueryFunction
from kmipkit.spec.masks import StorageStatusMask
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V1_3, V2_0, Version
from kmipkit_migrate.errors import MigrationError

PAGE = 1000
"""Identifiers that one Locate asks for."""

Failure = OperationFailed | LocalProtocolError | ProtocolError
FAILURES = (OperationFailed, LocalProtocolError, ProtocolError)
"""What concerns one object, and not the connection."""


@dataclass
class Server:
    """One of the two servers."""

    client: Client
    name: str
    """Its address, for messages."""
    version: Version = field(init=False)
    operations: frozenset[Operation] = field(init=False)

    def open(self) -> "Server":
        """Find out what it can do. MigrationError if it does not answer."""
        try:
            self.version = self.client.version()
            response = self.client.query(QueryFunction.QUERY_OPERATIONS)
            self.operations = frozenset(response.operations)
        except (ClientError, ProtocolError) as error:
            # An error of the connection names the server already.
            text = str(error).removeprefix(f"{self.name}: ")
            raise MigrationError(f"{self.name}: {text}") from None
        return self

    @property
    def imports(self) -> bool:
        """Whether it takes over objects with their identifiers and all of their attributes."""
        return Operation.IMPORT in self.operations

    def identifiers(self) -> list[str]:
        """All objects that the account can see, the oldest first, as far as the server can tell.

        Destroyed ones are among them if the server still has something of them. MigrationError if the
        server cannot list its objects.
        """
        found: dict[str, None] = {}
        for mask in self._masks():
            try:
                found |= dict.fromkeys(self._located(mask))
            except OperationFailed as error:
                if mask is None:
                    raise MigrationError(f"{self.name} cannot list its objects: {error}") from None
        return list(found)[::-1]

    def _masks(self) -> Iterator[StorageStatusMask | None]:
        """Which objects to ask for (KMIP 1.4 §9.1.3.3.2, 2.1 §12.3); some servers know no mask."""
        yield None
        yield StorageStatusMask.ON_LINE_STORAGE | StorageStatusMask.ARCHIVAL_STORAGE
        if self.version >= V2_0:
            yield StorageStatusMask.DESTROYED_STORAGE

    def _located(self, mask: StorageStatusMask | None) -> Iterator[str]:
        if self.version < V1_3:  # there is no Offset Items (KMIP 1.3 §4.9)
            yield from self.client.locate(storage_status=mask).ids
            return
        offset = 0
        while True:
            page = self.client.locate(maximum=PAGE, offset=offset or None, storage_status=mask).ids
            yield from page
            if len(page) < PAGE:
                return
            # Meanwhile objects may appear: each page overlaps with the one before.
            offset += PAGE - 1

    def attributes(self, identifier: str) -> Attributes:
        """All attributes of an object. OperationFailed if there is no such object."""
        return self.client.get_attributes(identifier)

    def object_type(self, attributes: Attributes) -> ObjectType:
        """The type of an object."""
        return ObjectType(attributes.get(Tag.OBJECT_TYPE))


def reason_of(error: Failure) -> str:
    """A failure in one line."""
    if isinstance(error, OperationFailed):
        reason = "" if error.reason is None else error.reason.name.replace("_", " ").title()
        return f"{reason}: {error.message}" if error.message else reason or str(error)
    return str(error)
