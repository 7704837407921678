"""The server's side of TLS on a socket, with a look at what the client offers."""

import socket
import ssl

from kmipkit_conformance.clients.hello import Hello, is_complete, parse

_CHUNK = 65536


class ServerStream:
    """A connection of a client. All methods raise OSError if it fails, of which TimeoutError is one."""

    def __init__(self, plain: socket.socket, context: ssl.SSLContext) -> None:
        self._plain = plain
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self.hello: Hello | None = None
        """What the client offers, once it has said so."""

    def handshake(self) -> None:
        """Shake hands."""
        first = b""
        while True:
            try:
                self._tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                self._flush()
                data = self._receive()
                if self.hello is None and not is_complete(first):
                    first += data
                    self.hello = parse(first) if is_complete(first) else None
            except ssl.SSLError:
                self._flush()  # the alert
                raise
        self._flush()

    def recv(self, size: int = _CHUNK) -> bytes:
        """Data of the client; none at the end of the connection."""
        while True:
            try:
                return self._tls.read(size)
            except ssl.SSLWantReadError:
                self._flush()  # such as the answer to a change of keys
                if not self._receive():
                    return b""
            except ssl.SSLZeroReturnError:
                return b""
            except ssl.SSLEOFError:
                return b""

    def sendall(self, data: bytes) -> None:
        """Send data."""
        self._tls.write(data)
        self._flush()

    def _receive(self) -> bytes:
        data = self._plain.recv(_CHUNK)
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()
        return data

    def _flush(self) -> None:
        if self._outgoing.pending:
            self._plain.sendall(self._outgoing.read())
