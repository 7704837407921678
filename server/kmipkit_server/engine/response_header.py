"""The headers of responses, of which only a few bytes differ.

Nearly all responses have one batch item and no proof of a password. Their headers are the same but for
the time and the Server Correlation Value, so that the rest is encoded once for each version.
"""

import struct
from datetime import UTC, datetime
from functools import lru_cache

from kmipkit.model.codec import encode
from kmipkit.model.headers import ProtocolVersion, ResponseHeader
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import Version
from kmipkit_server.engine.exchange import Exchange

_pack_time = struct.Struct(">q").pack
_MARK = datetime.fromtimestamp(0x2233445566, UTC)
"""A time whose bytes are nowhere else in a header."""


def response_header(version: Version, exchange: Exchange, count: int) -> bytes:
    """The encoded header of a response with so many batch items."""
    value = exchange.correlation_value(version)
    if count != 1 or exchange.identity.proof is not None:
        return _encoded(version, exchange.now, value, exchange.identity.proof, count)
    # All values have the same length, so that any of them makes the form for all.
    before, between, after = _form(version, None if value is None else len(value))
    time = _packed(exchange.now)
    if value is None:
        return before + time + between
    return b"".join((before, time, between, value.encode(), after))


@lru_cache(maxsize=8)
def _packed(time: datetime) -> bytes:
    return _pack_time(int(time.timestamp()))


@lru_cache(maxsize=64)
def _form(version: Version, size: int | None) -> tuple[bytes, bytes, bytes]:
    """The bytes before, between and after the time and the Server Correlation Value."""
    value = None if size is None else "x" * size
    before, _, rest = _encoded(version, _MARK, value, None, 1).partition(_packed(_MARK))
    if value is None:
        return before, rest, b""
    between, _, after = rest.partition(value.encode())
    return before, between, after


def _encoded(
    version: Version, time: datetime, value: str | None, proof: bytes | None, count: int
) -> bytes:
    header = ResponseHeader(
        protocol_version=ProtocolVersion.of(version),
        time_stamp=time,
        server_correlation_value=value,
        server_hashed_password=proof,
        batch_count=count,
    )
    return encode(header, version, tag=Tag.RESPONSE_HEADER, strict=False)
