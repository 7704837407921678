"""Servers on a socket, for check-kms: a key server of another vendor over TLS, and what is none."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from foreign_key_server import Dropped, ForeignServer
from kmipkit_certs.authority import Purpose
from kmipkit_certs.directory import Directory
from servers import read_message

from kmipkit.errors import ProtocolError

Serve = Callable[[socket.socket], None]


class PKI:
    """Certificates in a directory: ``server`` for 127.0.0.1, ``vcenter`` for a client, and others."""

    def __init__(self, folder: Path) -> None:
        self.directory = Directory(folder)
        self.directory.init("Acme root", "ecdsa-p256", datetime.now(UTC))
        self.issue("server", Purpose.SERVER, alternative=("127.0.0.1",))
        self.issue("vcenter", Purpose.CLIENT)
        self.trusted = folder / "trusted.pem"
        self.trusted.write_bytes(self.directory.ca.read_bytes())

    def issue(
        self, name: str, purpose: Purpose, now: datetime | None = None, **options: object
    ) -> None:
        self.directory.issue(name, purpose, now or datetime.now(UTC), **options)  # type: ignore[arg-type]

    def context(self, name: str = "server", *, verifies: bool = True) -> ssl.SSLContext:
        """The settings of a server, which trusts what is in the file of trusted certificates now."""
        files = self.directory.files(name)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(files.cert, files.key)
        if verifies:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(self.trusted)
        return context

    def options(self, name: str = "vcenter", ca: Path | None = None) -> list[str]:
        """The options of the command for a client."""
        files = self.directory.files(name)
        own = ["--cert", str(files.cert), "--key", str(files.key)]
        return ["--ca", str(ca or self.directory.ca), *own]


@contextmanager
def listening(serve: Serve) -> Iterator[str]:
    """The address of a server that calls a function for each connection, in a thread of its own."""
    threads: list[threading.Thread] = []

    def handle(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            serve(connection)

    def accept() -> None:
        with suppress(OSError):  # the socket is closed at the end
            while True:
                connection, _ = server.accept()
                threads.append(threading.Thread(target=handle, args=(connection,)))
                threads[-1].start()

    with socket.create_server(("127.0.0.1", 0), backlog=100) as server:
        acceptor = threading.Thread(target=accept)
        acceptor.start()
        try:
            yield f"127.0.0.1:{server.getsockname()[1]}"
        finally:
            server.shutdown(socket.SHUT_RDWR)
    for thread in [acceptor, *threads]:
        thread.join()


def over_tls(context: Callable[[], ssl.SSLContext], then: Serve) -> Serve:
    """A TLS handshake first; the context is made for each connection."""

    def serve(plain: socket.socket) -> None:
        with context().wrap_socket(plain, server_side=True) as stream:
            then(stream)

    return serve


def kmip(server: ForeignServer) -> Serve:
    """A key server of another vendor."""
    lock = threading.Lock()

    def serve(stream: socket.socket) -> None:
        while request := read_message(stream):  # type: ignore[arg-type]  # it has recv
            try:
                with lock:
                    answer = server.respond(request)
            except (Dropped, ProtocolError):
                return
            stream.sendall(answer)

    return serve


def http(stream: socket.socket) -> None:
    """A web server, which answers whatever comes."""
    stream.recv(4096)
    stream.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")


def ssh(stream: socket.socket) -> None:
    """A server that speaks first."""
    stream.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")
    stream.recv(4096)


def closing(_: socket.socket) -> None:
    """A server that closes each connection at once."""
