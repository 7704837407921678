"""Messages between two processes of a server, and open sockets along with them.

A message is a struct of :mod:`kmipkit_server.process.messages`, as MessagePack behind its length.
Sending never waits: what the other end does not read at once is sent by a task. The end of the other
process is the end of the stream, however it has ended.
"""

import array
import contextlib
import os
import socket
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

import msgspec
import trio

from kmipkit_server.process.messages import Message

_LENGTH = 4
_READ = 256 * 1024
_FILES = 16
"""File descriptors that come with one read, at most: a message has one."""
NO_FILE = -1
"""Stands for a file that was lost on the way, since this process has too many open."""
_CLOSE_ON_EXEC = getattr(socket, "MSG_CMSG_CLOEXEC", 0)

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Message).decode


class ChannelClosed(Exception):
    """The other process has ended."""


class _Outgoing(NamedTuple):
    data: bytes
    files: tuple[int, ...]
    """Duplicates that belong to the queue."""


class Channel:
    """One end of a pair of sockets."""

    def __init__(self, connected: socket.socket) -> None:
        """Take the socket over."""
        connected.setblocking(False)
        self._socket = connected
        self._queue: deque[_Outgoing] = deque()
        self._has_more = trio.Event()
        self._all_sent = trio.Event()
        self._all_sent.set()
        self._buffer = bytearray()
        self._files: deque[int] = deque()
        """Received file descriptors whose messages are not read yet."""

    def send(self, message: Message, files: Sequence[int] = ()) -> None:
        """Send a message, and duplicates of open files with it; lost if the other end is closed.

        OSError if there can be no duplicate, since this process has too many open files.
        """
        body = _encode(message)
        data = len(body).to_bytes(_LENGTH, "big") + body
        if not self._queue:
            try:
                data = data[self._send(data, files) :]
            except (BlockingIOError, InterruptedError):
                pass  # the task sends all of it
            except OSError:
                return  # the other end is closed, as the reader will find
            else:
                files = ()
        if data:
            self._queue.append(_Outgoing(data, tuple(map(os.dup, files))))
            if self._all_sent.is_set():
                self._all_sent = trio.Event()
            self._has_more.set()

    def _send(self, data: bytes, files: Sequence[int]) -> int:
        if not files:
            return self._socket.send(data)
        rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", files))
        return self._socket.sendmsg([data], [rights])

    async def run(self) -> None:
        """Send what could not be sent at once, until cancelled."""
        while True:
            await self._has_more.wait()
            self._has_more = trio.Event()
            while self._queue:
                data, files = self._queue[0]
                try:
                    rest = data[self._send(data, files) :]
                except (BlockingIOError, InterruptedError):
                    await trio.lowlevel.wait_writable(self._socket)
                    continue
                except OSError:
                    self._discard()
                    return
                _close(files)
                if rest:
                    self._queue[0] = _Outgoing(rest, ())
                else:
                    self._queue.popleft()
            self._all_sent.set()

    async def flushed(self) -> None:
        """Wait until all is sent, or cannot be sent any more."""
        await self._all_sent.wait()

    async def receive(self) -> tuple[Message, tuple[int, ...]]:
        """The next message, and the files that came with it, or :data:`NO_FILE`. ChannelClosed at the
        end."""
        while True:
            if len(self._buffer) >= _LENGTH:
                end = _LENGTH + int.from_bytes(self._buffer[:_LENGTH], "big")
                if len(self._buffer) >= end:
                    message = _decode(self._buffer[_LENGTH:end])
                    del self._buffer[:end]
                    return message, tuple(self._files.popleft() for _ in range(message.files))
            await self._read()

    async def _read(self) -> None:
        while True:
            try:
                data, ancillary, flags, _ = self._socket.recvmsg(
                    _READ, socket.CMSG_SPACE(_FILES * array.array("i").itemsize), _CLOSE_ON_EXEC
                )
            except (BlockingIOError, InterruptedError):
                await trio.lowlevel.wait_readable(self._socket)
                continue
            except OSError:
                raise ChannelClosed from None
            break
        for level, kind, content in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                descriptors = array.array("i")
                descriptors.frombytes(content[: len(content) // 4 * 4])
                self._files.extend(descriptors)
        if flags & socket.MSG_CTRUNC:  # a read has the files of one message only
            self._files.append(NO_FILE)
        if not data:
            raise ChannelClosed
        self._buffer += data

    def close(self) -> None:
        """Close the socket, and what was not sent or taken."""
        trio.lowlevel.notify_closing(self._socket)
        self._socket.close()
        self._discard()
        _close(self._files)
        self._files.clear()

    def _discard(self) -> None:
        for each in self._queue:
            _close(each.files)
        self._queue.clear()
        self._all_sent.set()


def _close(files: Sequence[int] | deque[int]) -> None:
    for each in files:
        with contextlib.suppress(OSError):
            os.close(each)
