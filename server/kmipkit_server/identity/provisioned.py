"""Client certificates that Re-Provision has given, and those that they replace (KMIP 2.1 §6.1.48).

A new certificate leads to the account of the old one, whatever the rule for identities says about its
name. The old one ends. Both are rows of one table, by the hash of the part that the authority has
signed, since the holder can change the signature. The table is a setting in the store, and in memory
while the server runs. A row is deleted when its certificate has expired, since TLS then refuses it.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import NamedTuple

from kmipkit_server.store.base import Reader

SETTING = "provisioned client certificates"

NO_EXPIRATION = datetime(9999, 1, 1, tzinfo=UTC)
"""For the row of a certificate whose expiration is not known."""


class Provisioned(NamedTuple):
    """A client certificate that has been replaced, or replaces another one."""

    account: str
    ends: datetime
    """From when on it is not accepted."""
    expires: datetime
    identifier: str = ""
    """The Certificate object, if the server has one."""


Table = Mapping[bytes, Provisioned]


def pack(table: Table, now: datetime) -> bytes:
    """The stored form of the table, without expired certificates."""
    rows = [
        (key.hex(), row.account, row.ends.isoformat(), row.expires.isoformat(), row.identifier)
        for key, row in table.items()
        if row.expires > now
    ]
    return json.dumps(rows).encode()


def read(reader: Reader) -> dict[bytes, Provisioned]:
    """The table as a store has it."""
    return unpack(reader.setting(SETTING))


def unpack(data: bytes | None) -> dict[bytes, Provisioned]:
    """The table from its stored form; None if there has never been one."""
    if data is None:
        return {}
    return {
        bytes.fromhex(key): Provisioned(
            account, datetime.fromisoformat(ends), datetime.fromisoformat(expires), identifier
        )
        for key, account, ends, expires, identifier in json.loads(data)
    }
