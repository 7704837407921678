"""Listening sockets, and the addresses of peers."""

import socket

from kmipkit_server.net.connection_log import peer_name

BACKLOG = 512


def host_name(address: object) -> str:
    """The address without the port."""
    return str(address[0]) if isinstance(address, tuple) and address else str(address)


def port_of(address: object) -> int:
    """The port; 0 if there is none."""
    return int(address[1]) if isinstance(address, tuple) and len(address) >= 2 else 0


def open_sockets(host: str, port: int) -> list[socket.socket]:
    """Listening, non-blocking sockets on every address of ``host``; OSError if one is taken."""
    sockets: list[socket.socket] = []
    try:
        for family, kind, protocol, _, address in socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        ):
            listening = socket.socket(family, kind, protocol)
            sockets.append(listening)
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            # Port 0 is any free port on the first address, and then the same port on the others.
            actual_port = port or (sockets[0].getsockname()[1] if len(sockets) > 1 else 0)
            listening.bind((address[0], actual_port, *address[2:]))
            listening.listen(BACKLOG)
            listening.setblocking(False)
    except OSError as error:
        for listening in sockets:
            listening.close()
        message = f"cannot listen on {peer_name((host, port))}: {error.strerror}"
        raise OSError(error.errno, message) from None
    return sockets
