"""TLS on a non-blocking socket, with the methods of a trio stream.

``trio.SSLStream`` costs more than the rest of a request, because it copies every byte through memory
buffers. Here, OpenSSL reads and writes the socket itself, and trio only waits until it can
(docs/performance.md has the figures). Only one task may read, and only one may write, at a time.
"""

import contextlib
import socket
import ssl
import time
from functools import lru_cache
from types import TracebackType
from typing import Any, Self

import trio
from cryptography import x509

from kmipkit_server.fairness.shared_loop import SLICE, shared_loop
from kmipkit_server.net.tls_failures import classify

MAX_READ = 16 * 1024
"""Bytes of one read: a whole TLS record, since no read returns more."""

LINGER_SECONDS = 2.0
LINGER_BYTES = 4 * 1024 * 1024
"""How long, and how much, a refused client may still send; see :func:`linger`."""

_HAS_EXPIRED = 10
"""X509_V_ERR_CERT_HAS_EXPIRED of OpenSSL."""

PART = 128 * 1024
"""Bytes of one write, at most: some tenths of a millisecond to encrypt."""

READS_BEFORE_YIELD = 32
"""Reads without waiting after which other tasks run."""


_DER = 2
"""The form of certificates in Python's own module for OpenSSL (``_ssl.ENCODING_DER``)."""


@lru_cache(maxsize=1024)
def _end_of(certificate: bytes) -> float:
    """The time until which a certificate is valid, in seconds since 1970."""
    return x509.load_der_x509_certificate(certificate).not_valid_after_utc.timestamp()


class TLSFailure(Exception):
    """TLS or TCP failed; the text is the reason of OpenSSL or the peer."""

    def __init__(self, error: OSError) -> None:
        super().__init__(explain(error))
        self.kind = classify(error)
        """What went wrong, if it was in a handshake."""


def explain(error: OSError) -> str:
    """The reason of a TLS or socket error, without OpenSSL's file names and numbers."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"certificate refused: {error.verify_message}"
    if isinstance(error, ssl.SSLError) and error.reason:
        return str(error.reason).replace("_", " ").lower()
    return error.strerror or str(error) or type(error).__name__


class TLSStream:
    """The server's end of one TLS connection."""

    def __init__(self, raw: socket.socket, context: ssl.SSLContext) -> None:
        """Take over a connected, non-blocking socket; nothing is sent or read yet."""
        try:
            self._socket = context.wrap_socket(
                raw, server_side=True, do_handshake_on_connect=False, suppress_ragged_eofs=False
            )
        except OSError as error:  # the client has closed already
            raise TLSFailure(error) from None
        self._reads = 0
        self._has_peer_closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def do_handshake(self) -> None:
        """Complete the handshake; TLSFailure has the reason if that fails."""
        while True:
            try:
                self._socket.do_handshake()
            except ssl.SSLWantReadError:
                await trio.lowlevel.wait_readable(self._socket)
            except ssl.SSLWantWriteError:
                await trio.lowlevel.wait_writable(self._socket)
            except OSError as error:
                raise TLSFailure(error) from None
            else:
                break
        if self._socket.session_reused:
            self._require_not_expired()

    def _require_not_expired(self) -> None:
        """Refuse a resumed session whose certificate has expired: OpenSSL does not look at it again."""
        certificate = self.peer_certificate()
        if certificate and _end_of(certificate) < time.time():
            error = ssl.SSLCertVerificationError(1, "the certificate of the session has expired")
            error.verify_code, error.verify_message = _HAS_EXPIRED, "certificate has expired"
            raise TLSFailure(error)

    def peer_certificate(self) -> bytes | None:
        """The peer's verified certificate as DER; None if it sent none."""
        return self._socket.getpeercert(binary_form=True)

    @property
    def is_resumed(self) -> bool:
        """Whether the connection continues an earlier session."""
        return bool(self._socket.session_reused)

    def peer_chain(self) -> tuple[bytes, ...]:
        """The peer's chain as TLS has verified it, as DER: its certificate first, a trusted one last.

        A session that is resumed has none: its chain was verified by an earlier handshake.
        """
        connection: Any = self._socket
        if hasattr(connection, "get_verified_chain"):  # since Python 3.13
            return tuple(connection.get_verified_chain())
        chain = connection._sslobj.get_verified_chain()
        return tuple(each.public_bytes(_DER) for each in chain)

    def description(self) -> str:
        """Protocol and cipher suite, for the log."""
        cipher = self._socket.cipher()
        return f"{self._socket.version()} {cipher[0] if cipher else ''}".strip()

    async def receive_some(self, max_bytes: int = MAX_READ) -> bytes:
        """The next bytes; empty if the peer has closed. TLSFailure if the connection failed."""
        # A read that finds data does not wait, so that a client which sends without pause would
        # keep all other tasks from running. A checkpoint for each read would cost too much.
        self._reads += 1
        if self._reads >= READS_BEFORE_YIELD:
            self._reads = 0
            await trio.lowlevel.checkpoint()
        while True:
            try:
                data = self._socket.recv(max_bytes)
            except ssl.SSLWantReadError:
                self._reads = 0
                await trio.lowlevel.wait_readable(self._socket)
            except ssl.SSLWantWriteError:
                await trio.lowlevel.wait_writable(self._socket)
            except (ssl.SSLEOFError, ConnectionError):
                # Many clients close without close_notify. The length of a KMIP message shows
                # whether it is complete, so that nothing can be cut off unnoticed.
                self._has_peer_closed = True
                return b""
            except OSError as error:
                raise TLSFailure(error) from None
            else:
                self._has_peer_closed = not data
                return data

    def send_now(self, data: bytes) -> bytes:
        """Send what can be sent without waiting; the rest, which is nearly always empty."""
        try:
            sent = self._socket.send(data)
        except (ssl.SSLWantWriteError, ssl.SSLWantReadError):
            return data
        except OSError as error:
            raise TLSFailure(error) from None
        return data[sent:]

    async def send_all(self, data: bytes, account: str = "") -> None:
        """Send all data to a client of an account.

        In one write if it is not large: some clients read a response in one read.
        """
        shared, used = shared_loop(), 0.0
        view = memoryview(data)
        while view:
            begun = shared.clock()
            try:
                view = view[self._socket.send(view[:PART]) :]
                used += shared.clock() - begun
                if used >= SLICE:
                    await shared.give_way(account, used)
                    used = 0.0
            except ssl.SSLWantWriteError:
                await trio.lowlevel.wait_writable(self._socket)
            except ssl.SSLWantReadError:
                await trio.lowlevel.wait_readable(self._socket)
            except OSError as error:
                raise TLSFailure(error) from None

    async def aclose(self) -> None:
        """Send close_notify if that needs no waiting, and close."""
        self.abort(notify=True)
        await trio.lowlevel.checkpoint()

    async def finish(self, *, notify: bool) -> None:
        """Close so that the peer can still read the last data; ``notify`` sends close_notify."""
        if self._has_peer_closed:
            self.abort(notify=notify)
            return
        if notify:
            self._notify()
        await linger(self._socket)

    def abort(self, *, notify: bool = False) -> None:
        """Close at once; ``notify`` sends close_notify first."""
        if self._socket.fileno() < 0:
            return
        if notify:
            self._notify()
        trio.lowlevel.notify_closing(self._socket)
        self._socket.close()

    def _notify(self) -> None:
        # unwrap() sends close_notify, and then raises SSLWantReadError, an OSError, because the
        # peer's own close_notify is not there yet. The server does not wait for it.
        with contextlib.suppress(OSError):
            self._socket.unwrap()


async def linger(connection: socket.socket) -> None:
    """Close a connection after the peer has read the last data.

    Closing a socket with unread data resets the connection, and the peer loses what it has not read
    yet: the alert or the response that says why it is refused. So this closes the sending side, and
    reads and discards what the peer still sends until it closes as well, within limits.
    """
    try:
        connection.shutdown(socket.SHUT_WR)  # a TLS socket then receives without decryption
        bytes_left = LINGER_BYTES
        with trio.move_on_after(LINGER_SECONDS):
            while bytes_left > 0:
                try:
                    data = connection.recv(MAX_READ)
                except BlockingIOError:
                    await trio.lowlevel.wait_readable(connection)
                    continue
                if not data:
                    break
                bytes_left -= len(data)
    except OSError:
        pass  # the peer has closed or reset the connection
    finally:
        trio.lowlevel.notify_closing(connection)
        connection.close()
