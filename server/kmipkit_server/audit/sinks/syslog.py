"""Syslog messages (RFC 5424) over UDP (RFC 5426), TCP (RFC 6587), TLS (RFC 5425) or a local socket.

The message is the record as JSON, as it is in the log. TCP and TLS count octets, so that no collector
splits a record at a line end; with TLS, the collector's certificate is verified.
"""

import os
import socket
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import trio

from kmipkit_server.audit.records import Entry, Event, Outcome, decode
from kmipkit_server.audit.target import Target

_FACILITY = 13
"""Log audit."""
_CRITICAL, _WARNING, _NOTICE, _INFORMATIONAL = 2, 4, 5, 6
_SEVERITIES = {
    Event.TAMPERED: _CRITICAL,
    Event.LOST: _CRITICAL,
    Event.INTERRUPTION: _WARNING,
    Event.LOSSES: _WARNING,
    Event.RESTORED: _WARNING,
    Event.NOT_COMMITTED: _NOTICE,
}
_MAX_SEQUENCE = 2**31 - 1
"""The highest sequenceId (RFC 5424 §7.3.1)."""

_BOM = b"\xef\xbb\xbf"
"""A message that is UTF-8, and not only ASCII, begins with it (RFC 5424 §6.4)."""


def to_message(line: bytes, host: str, process: int) -> bytes:
    """The syslog message for a line of the log."""
    entry = decode(line)
    body = line.rstrip(b"\n")
    if not body.isascii():
        body = _BOM + body
    time = entry.time.isoformat(timespec="microseconds").replace("+00:00", "Z")
    identifier = entry.event.replace(" ", "-")
    number = (entry.n - 1) % _MAX_SEQUENCE + 1
    head = (
        f"<{_FACILITY * 8 + _severity(entry)}>1 {time} {host} kmipkit {process} {identifier}"
        f' [meta sequenceId="{number}"] '
    )
    return head.encode("ascii") + body


def _severity(entry: Entry) -> int:
    severity = _SEVERITIES.get(entry.event)
    if severity is not None:
        return severity
    return _NOTICE if entry.outcome is Outcome.FAILED else _INFORMATIONAL


def host_name() -> str:
    """The name of this machine as syslog permits it (RFC 5424 §6.2.4)."""
    name = "".join(char for char in socket.gethostname() if "!" <= char <= "~")
    return name[:255] or "-"


@dataclass(slots=True)
class SyslogTransport:
    """Sends lines to a collector; the connection is opened when it is needed."""

    target: Target
    context: Callable[[], ssl.SSLContext] | None = None
    """The settings of TLS."""
    host: str = field(default_factory=host_name)
    process: int = field(default_factory=os.getpid)
    _stream: "trio.SSLStream[trio.SocketStream] | trio.SocketStream | None" = None
    _datagrams: trio.socket.SocketType | None = None

    async def send(self, lines: Sequence[bytes]) -> None:
        """Send messages; see :class:`.sink.Transport`."""
        messages = [to_message(line, self.host, self.process) for line in lines]
        if self.target.scheme in ("udp", "unix"):
            await self._send_datagrams(messages)
        else:
            framed = b"".join(b"%d %b" % (len(each), each) for each in messages)
            if self._stream is None:
                self._stream = await self._connect()
            await self._stream.send_all(framed)

    async def close(self) -> None:
        """Close the connection."""
        stream, self._stream = self._stream, None
        datagrams, self._datagrams = self._datagrams, None
        if datagrams is not None:
            datagrams.close()
        if stream is not None:
            await stream.aclose()

    async def _connect(self) -> "trio.SSLStream[trio.SocketStream] | trio.SocketStream":
        plain = await trio.open_tcp_stream(self.target.host, self.target.port)
        if self.context is None:
            return plain
        # Collectors often close without close_notify, and nothing is read from them.
        stream = trio.SSLStream(
            plain, self.context(), server_hostname=self.target.host, https_compatible=True
        )
        try:
            await stream.do_handshake()
        except BaseException:  # of any kind: it is raised again
            await trio.aclose_forcefully(plain)
            raise
        return stream

    async def _send_datagrams(self, messages: Sequence[bytes]) -> None:
        if self._datagrams is None:
            self._datagrams = await self._open_datagrams()
        for message in messages:
            await self._datagrams.send(message)

    async def _open_datagrams(self) -> trio.socket.SocketType:
        family: int = socket.AF_UNIX
        address: Any = self.target.host
        if self.target.scheme == "udp":
            [(family, _, _, _, address), *_] = await trio.socket.getaddrinfo(
                self.target.host, self.target.port, type=socket.SOCK_DGRAM
            )
        datagrams = trio.socket.socket(family, socket.SOCK_DGRAM)
        try:
            await datagrams.connect(address)
        except BaseException:  # of any kind: it is raised again
            datagrams.close()
            raise
        return datagrams
