"""Frames: JSON on a byte stream, each message behind its length (4 bytes, big-endian).

Every failure, of the stream or of the peer, is an :class:`RPCError`; after one the stream cannot be
used any more. Lengths are checked before anything is stored.
"""

from typing import Final

import trio

from kmipkit_vsphere.model.encoding import encode
from kmipkit_vsphere.model.errors import RPCError

MAX_FRAME: Final = 1 << 20
"""Bytes of the longest frame, either way."""
FRAME_TIMEOUT: Final = 30.0
"""Seconds for a peer to take a frame, and to end one that it began."""


class FrameStream:
    """Frames on a stream; no two tasks may send, or receive, at the same time."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream
        self._buffer = bytearray()

    async def send(self, message: object) -> None:
        """Send one message; :class:`RPCError` if it is too long or the peer is gone."""
        data = encode(message)
        if len(data) > MAX_FRAME:
            raise RPCError(f"a message of {len(data)} bytes is longer than {MAX_FRAME}")
        with trio.move_on_after(FRAME_TIMEOUT) as waiting:
            try:
                await self._stream.send_all(len(data).to_bytes(4, "big") + data)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                raise RPCError("the peer closed the connection") from None
        if waiting.cancelled_caught:
            raise RPCError(f"the peer did not take a message within {FRAME_TIMEOUT:.0f} s")

    async def receive(self) -> bytes | None:
        """The next message, still encoded; None where the peer closed between two frames."""
        first = await self._read(1)
        if first is None:
            return None
        with trio.move_on_after(FRAME_TIMEOUT):
            length = int.from_bytes(first + await self._rest(3), "big")
            if length > MAX_FRAME:
                raise RPCError(f"the peer announces {length} bytes; {MAX_FRAME} are allowed")
            return await self._rest(length)
        raise RPCError(f"the peer did not end its message within {FRAME_TIMEOUT:.0f} s")

    async def _rest(self, size: int) -> bytes:
        data = await self._read(size)
        if data is None:
            raise RPCError("the peer closed the connection in the middle of a message")
        return data

    async def _read(self, size: int) -> bytes | None:
        while len(self._buffer) < size:
            try:
                data = await self._stream.receive_some(65536)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                raise RPCError("the connection broke") from None
            if not data:
                if self._buffer:
                    raise RPCError("the peer closed the connection in the middle of a message")
                return None
            self._buffer += data
        data = bytes(self._buffer[:size])
        del self._buffer[:size]
        return data

    async def aclose(self) -> None:
        """Close at once, without waiting for the peer."""
        await trio.aclose_forcefully(self._stream)
