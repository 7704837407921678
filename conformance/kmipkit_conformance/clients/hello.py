"""What a client offers in its ClientHello (RFC 8446 §4.1.2, RFC 5246 §7.4.1.2).

OpenSSL tells a server only what both sides have in common. What a client must not offer is seen in the
bytes alone.
"""

import struct
from dataclasses import dataclass

_HANDSHAKE, _CLIENT_HELLO, _SUPPORTED_VERSIONS = 22, 1, 43
_RECORD_HEADER = 5

TLS_1_2, TLS_1_3 = 0x0303, 0x0304
VERSION_NAMES = {
    0x0300: "SSL 3.0",
    0x0301: "TLS 1.0",
    0x0302: "TLS 1.1",
    TLS_1_2: "TLS 1.2",
    TLS_1_3: "TLS 1.3",
}


@dataclass(frozen=True, slots=True)
class Hello:
    """The versions and cipher suites that a client offers, as numbers of the protocol."""

    versions: frozenset[int]
    suites: tuple[int, ...]


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data

    def take(self, size: int) -> bytes:
        if size > len(self._data):
            raise ValueError("cut off")
        taken, self._data = self._data[:size], self._data[size:]
        return taken

    def vector(self, length_size: int) -> bytes:
        return self.take(int.from_bytes(self.take(length_size), "big"))

    @property
    def is_empty(self) -> bool:
        return not self._data


def is_complete(data: bytes) -> bool:
    """Whether there is a whole record, or something that is none."""
    if len(data) < _RECORD_HEADER:
        return False
    return data[0] != _HANDSHAKE or len(data) >= _RECORD_HEADER + int.from_bytes(data[3:5], "big")


def parse(data: bytes) -> Hello | None:
    """The ClientHello in the first record; None if there is none."""
    try:
        return _parse(data)
    except (ValueError, struct.error):
        return None


def _parse(data: bytes) -> Hello | None:
    record = _Reader(data)
    if record.take(1)[0] != _HANDSHAKE:
        return None
    record.take(2)
    handshake = _Reader(record.vector(2))
    if handshake.take(1)[0] != _CLIENT_HELLO:
        return None
    hello = _Reader(handshake.vector(3))
    legacy_version = int.from_bytes(hello.take(2), "big")
    hello.take(32)  # random
    hello.vector(1)  # session
    suites = _numbers(hello.vector(2))
    hello.vector(1)  # compression
    versions = frozenset({legacy_version})
    extensions = _Reader(b"" if hello.is_empty else hello.vector(2))
    while not extensions.is_empty:
        kind = int.from_bytes(extensions.take(2), "big")
        content = extensions.vector(2)
        if kind == _SUPPORTED_VERSIONS:
            versions = frozenset(_numbers(_Reader(content).vector(1)))
    return Hello(frozenset(filter(_is_real, versions)), tuple(filter(_is_real, suites)))


def _numbers(data: bytes) -> tuple[int, ...]:
    return struct.unpack(f">{len(data) // 2}H", data)


def _is_real(number: int) -> bool:
    """Whether a value is not one of those that only keep peers tolerant (GREASE, RFC 8701)."""
    return number & 0x0F0F != 0x0A0A
