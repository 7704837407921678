"""TLS on a non-blocking socket, with the methods of a trio stream.

``trio.SSLStream`` costs more than the rest of a request together, because it copies every byte
through memory buffers. Here OpenSSL reads and writes the socket itself, and trio only waits until
it may (docs/performance.md has the figures). One task reads and one writes at a time.
"""

import contextlib
import socket
import ssl
from types import TracebackType
from typing import Self

import trio

MAX_READ = 16 * 1024
"""Bytes taken from the connection at once: a whole TLS record, more than which no read gives."""

LINGER_SECONDS = 2.0
LINGER_BYTES = 4 * 1024 * 1024
"""How long, and for how much, a peer that was refused may go on sending; see :func:`linger`."""

TURNS_BEFORE_YIELD = 32
"""Reads that may succeed at once before other tasks get a turn."""


class TLSFailure(Exception):
    """The connection broke below the messages; the text says what OpenSSL or the peer said."""


def explain(error: OSError) -> str:
    """A TLS or socket error in a few words, without OpenSSL's file names and numbers."""
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
        except OSError as error:  # the peer is gone already
            raise TLSFailure(explain(error)) from None
        self._turns = 0
        self._ended = False

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
        """Complete the handshake; TLSFailure says which rule broke."""
        while True:
            try:
                self._socket.do_handshake()
            except ssl.SSLWantReadError:
                await trio.lowlevel.wait_readable(self._socket)
            except ssl.SSLWantWriteError:
                await trio.lowlevel.wait_writable(self._socket)
            except OSError as error:
                raise TLSFailure(explain(error)) from None
            else:
                return

    def peer_certificate(self) -> bytes | None:
        """The peer's verified certificate as DER, None if it sent none."""
        return self._socket.getpeercert(binary_form=True)

    def description(self) -> str:
        """Protocol and cipher suite, for the log."""
        cipher = self._socket.cipher()
        return f"{self._socket.version()} {cipher[0] if cipher else ''}".strip()

    async def receive_some(self, max_bytes: int = MAX_READ) -> bytes:
        """The next bytes, empty when the peer has closed; TLSFailure when the connection broke."""
        self._turns += 1
        if self._turns >= TURNS_BEFORE_YIELD:
            self._turns = 0
            await trio.lowlevel.checkpoint()
        while True:
            try:
                data = self._socket.recv(max_bytes)
            except ssl.SSLWantReadError:
                self._turns = 0
                await trio.lowlevel.wait_readable(self._socket)
            except ssl.SSLWantWriteError:
                await trio.lowlevel.wait_writable(self._socket)
            except (ssl.SSLEOFError, ConnectionError):
                self._ended = True
                return b""  # closed without close_notify, as many clients do
            except OSError as error:
                raise TLSFailure(explain(error)) from None
            else:
                self._ended = not data
                return data

    async def send_all(self, data: bytes) -> None:
        """Send everything, in one write where the socket takes it (some clients read once)."""
        view = memoryview(data)
        while view:
            try:
                view = view[self._socket.send(view) :]
            except ssl.SSLWantWriteError:
                await trio.lowlevel.wait_writable(self._socket)
            except ssl.SSLWantReadError:
                await trio.lowlevel.wait_readable(self._socket)
            except OSError as error:
                raise TLSFailure(explain(error)) from None

    async def aclose(self) -> None:
        """Say goodbye (close_notify) if that needs no waiting, and close."""
        self.abort(notify=True)
        await trio.lowlevel.checkpoint()

    async def finish(self, *, notify: bool) -> None:
        """Close so that the peer can read what it was sent last; ``notify`` sends close_notify."""
        if self._ended:
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
        with contextlib.suppress(OSError):  # want-read: ours is out, the peer's is not awaited
            self._socket.unwrap()


async def linger(connection: socket.socket) -> None:
    """Close a connection, but let its peer read first what it was sent last.

    A socket that is closed with data unread resets the connection, and the reset takes away what
    the peer has not read: the alert or the answer that says why it is refused. So this says that
    nothing follows, and reads what still comes until the peer closes, too, within bounds.
    """
    try:
        connection.shutdown(socket.SHUT_WR)  # of a TLS socket: what follows is read undeciphered
        left = LINGER_BYTES
        with trio.move_on_after(LINGER_SECONDS):
            while left > 0:
                try:
                    data = connection.recv(MAX_READ)
                except BlockingIOError:
                    await trio.lowlevel.wait_readable(connection)
                    continue
                if not data:
                    break
                left -= len(data)
    except OSError:
        pass  # the peer is gone
    finally:
        trio.lowlevel.notify_closing(connection)
        connection.close()
