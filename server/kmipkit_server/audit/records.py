"""The records of the audit log, as they are written and read: one JSON object each.

A field that has its default is not written. No field is for a value that a client sends as a secret, or
that an operation returns: records have identifiers, names of the standard, and messages of errors.
"""

from datetime import datetime
from enum import StrEnum
from typing import Annotated

import msgspec

from kmipkit_server.store.owners import account_in_tenant, tenant_of


class Event(StrEnum):
    """What a record is about."""

    OPERATION = "operation"
    """A batch item, carried out or refused."""
    MESSAGE = "message"
    """A message that cannot be read."""
    CONNECTION = "connection"
    """A connection that was refused, or whose data could not be read; one record for many alike."""
    ADMINISTRATION = "administration"
    """A request of an administrator, carried out or refused."""
    SENT = "sent"
    """A request of the server to a client: Put or Notify."""
    CHECKPOINT = "checkpoint"
    """A signature over all records before it."""
    NOT_COMMITTED = "not committed"
    """Records of changes that did not take place after all: the store could not commit them."""
    LOST = "lost"
    """Records that were missing when the server started."""
    INTERRUPTION = "interruption"
    """A time in which records could not be written."""
    LOSSES = "losses"
    """Records that a sink has not got; they are in the log itself."""
    REMOVED = "removed"
    """Files that were deleted because they had reached their maximum age."""
    BACKUP = "backup"
    """A backup that the server has made by itself, or could not make."""
    RESTORED = "restored"
    """The start after a restore: what came after the backup is not in the server."""
    TAMPERED = "tampered"
    """A file that another program has changed while the server wrote it."""


class Outcome(StrEnum):
    """The result of an operation."""

    SUCCESS = "success"
    FAILED = "failed"
    UNDONE = "undone"
    """It succeeded, but a later item of its message failed."""
    PENDING = "pending"
    """It is carried out later; then there is another record."""


class Cause(StrEnum):
    """Why a checkpoint was made."""

    FILE = "file"
    """It is the first record of a file."""
    START = "start"
    INTERVAL = "interval"
    ROTATION = "rotation"
    """It is the last record of a file."""
    STOP = "stop"


class Client(msgspec.Struct, frozen=True):
    """Who has sent a request."""

    account: str = ""
    """Its name inside the tenant."""
    user: str = ""
    """The Unique Identifier of the user; empty for the account of a certificate."""
    tenant: str = ""
    address: str = ""
    """Empty for the server itself, as when it rotates a key."""
    port: int = 0
    certificate: str = ""
    """The serial number of the client certificate, in hexadecimal digits."""
    fingerprint: str = ""
    """The SHA-256 hash of its signed part, as ``kmipkit certs show`` prints it."""


def client_of(owner: str) -> Client:
    """The client of which nothing is known but the whole name of its account."""
    return Client(account=account_in_tenant(owner), tenant=tenant_of(owner))


class _Fields(msgspec.Struct, omit_defaults=True, kw_only=True):
    """The fields of all kinds of records but the client, in the order in which they are written."""

    n: int = 0
    """The number of the record; without gaps."""
    log: str = ""
    """The log that it is in; empty for that of the first worker."""
    time: Annotated[datetime, msgspec.Meta(tz=True)]
    event: Event
    operation: str = ""
    objects: tuple[str, ...] = ()
    """Unique Identifiers that the request names or the response has."""
    object_count: int = 0
    """How many there are, if they are too many for a record."""
    outcome: Outcome | None = None
    reason: str = ""
    """The Result Reason."""
    message: str = ""
    notes: tuple[str, ...] = ()
    """What the policy had to say: who has approved the operation, or that it will be refused later."""
    duration: int = 0
    """Microseconds from the request to this record."""
    version: str = ""
    """The protocol version."""
    item: int = 0
    """The position in a batch of several items, beginning with 1."""
    items: int = 0
    """The number of items of a batch of several."""
    client_correlation_value: str = ""
    server_correlation_value: str = ""
    subject: str = ""
    """What else the request of an administrator is about, such as an account."""
    change: bool = False
    """Whether the record is part of the transaction of a change."""
    again: int = 0
    """The former number of a record that was lost from the log, but not from the store."""
    kind: str = ""
    """What has happened with a connection."""
    count: int = 0
    """How many events of the same kind the record stands for, if there are several."""
    first: int = 0
    """The first number of records that this one is about."""
    last: int = 0
    since: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    cause: Cause | None = None
    chain: str = ""
    """The log to which a checkpoint belongs."""
    previous: str = ""
    """The hash of the record before a checkpoint."""
    key: str = ""
    """Which key has signed a checkpoint."""
    boot: str = ""
    """Identifies the time since the machine was started."""


class Record(_Fields, omit_defaults=True, kw_only=True):
    """A record to write; its client is encoded already."""

    client: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class Entry(_Fields, kw_only=True):
    """A record that was read."""

    client: Client = Client()
    signature: str = ""
    hash: str = ""

    @property
    def numbers(self) -> range:
        """The numbers of the records that this one is about."""
        return range(self.first, self.last + 1)


_encode = msgspec.json.Encoder().encode


def encode(value: Record | Entry | Client) -> bytes:
    """The JSON of a record or client."""
    try:
        return _encode(value)
    except UnicodeEncodeError:
        # A text that is not Unicode, as a certificate might have it, must not end the writer.
        return _encode(_readable(value))


def _readable(value: Record | Entry | Client) -> Record | Entry | Client:
    """The same with texts in which nothing but Unicode is left."""
    fields: dict[str, object] = {
        name: _escaped(text)
        for name, text in msgspec.structs.asdict(value).items()
        if isinstance(text, str)
    }
    if not isinstance(value, Client):
        fields["objects"] = tuple(map(_escaped, value.objects))
        fields["notes"] = tuple(map(_escaped, value.notes))
    return msgspec.structs.replace(value, **fields)


def _escaped(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


decode = msgspec.json.Decoder(Entry).decode
"""The record in a line that the server has written."""


def read(line: bytes) -> Entry | None:
    """The record in a line that anybody may have written; None if it has none."""
    try:
        return decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
