"""Accounts that an administrator has blocked: their requests are refused until they are unblocked.

The blocks are a setting in the store, and in memory while the server runs.
"""

from collections.abc import Mapping
from datetime import datetime

import msgspec

from kmipkit_server.store.base import Reader

SETTING = "blocked accounts"


class Block(msgspec.Struct, frozen=True):
    """Why an account is blocked."""

    since: datetime
    by: str
    """The account of the administrator."""
    reason: str = ""


Blocks = Mapping[str, Block]
"""The blocks by the names of accounts."""

_decode = msgspec.json.Decoder(dict[str, Block]).decode


def read(reader: Reader) -> dict[str, Block]:
    """The blocks as a store has them."""
    return unpack(reader.setting(SETTING))


def pack(blocks: Blocks) -> bytes:
    """The stored form."""
    return msgspec.json.encode(blocks)


def unpack(data: bytes | None) -> dict[str, Block]:
    """The blocks from their stored form; None if none has ever been stored."""
    return {} if data is None else _decode(data)
