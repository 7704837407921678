"""The upper limit: the transport of the kmipkit server, without anything behind it.

``python -m bench.peers.echo_server PKI``: reads whole messages and answers each with 200 bytes.
"""

import ssl
import sys
from pathlib import Path

import trio
from kmipkit_server.net.sockets import open_sockets
from kmipkit_server.net.tls import TLSFiles
from kmipkit_server.net.transport import TLSFailure, TLSStream

from kmipkit.connection import Framer, Signal
from kmipkit.model.codec import encode
from kmipkit.model.field_types import EPOCH
from kmipkit.model.headers import ProtocolVersion, ResponseHeader
from kmipkit.model.messages import ResponseBatchItem, ResponseMessage
from kmipkit.model.payloads.lifecycle import DestroyResponse
from kmipkit.spec.enums import Operation, ResultStatus
from kmipkit.spec.versions import V1_2

VERSION = V1_2
ANSWER = encode(
    ResponseMessage(
        response_header=ResponseHeader(
            protocol_version=ProtocolVersion.of(VERSION), time_stamp=EPOCH, batch_count=1
        ),
        batch_items=(
            ResponseBatchItem(
                operation=Operation.DESTROY,
                result_status=ResultStatus.SUCCESS,
                response_payload=DestroyResponse(unique_identifier="x" * 56),
            ),
        ),
    ),
    VERSION,
)
"""200 bytes that the load generator accepts as a success."""


async def serve(context: ssl.SSLContext, listening: trio.socket.SocketType) -> None:
    async with trio.open_nursery() as nursery:
        while True:
            stream, _ = await listening.accept()
            nursery.start_soon(answer, stream, context)


async def answer(plain: trio.socket.SocketType, context: ssl.SSLContext) -> None:
    import socket

    raw = socket.socket(fileno=plain.detach())
    raw.setblocking(False)
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    stream = TLSStream(raw, context)
    framer = Framer()
    try:
        await stream.do_handshake()
        while True:
            framer.feed(await stream.receive_some())
            while isinstance(framer.next_message(), bytes):
                await stream.send_all(ANSWER)
            if framer.next_message() is Signal.CLOSED:
                return
    except TLSFailure:
        return
    finally:
        stream.abort()


async def main(pki: Path) -> None:
    files = TLSFiles(((pki / "server.crt", pki / "server.key"),), pki / "ca.crt")
    context = files.load().server_context()
    [listening] = open_sockets("127.0.0.1", 0)
    print("ready", listening.getsockname()[1], flush=True)
    await serve(context, trio.socket.from_stdlib_socket(listening))


if __name__ == "__main__":
    trio.run(main, Path(sys.argv[1]))
