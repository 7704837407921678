"""What peers send that is not KMIP, or not whole, or not permitted: answered or closed, logged in
one line, and the server goes on serving."""

import contextlib
import socket
import ssl
import struct
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count

import pytest
from kmipkit_certs import files
from kmipkit_certs.authority import Authority, Purpose
from servers import ANSWER_TIMEOUT, RunningServer, exchange, read_message

from kmipkit.model.envelope import decode_response
from kmipkit.spec.enums import ResultReason, ResultStatus

DISCOVER = bytes.fromhex(
    "42007801000000604200770100000038420069010000002042006a0200000004000000010000000042006b"
    "0200000004000000010000000042000d0200000004000000010000000042000f010000001842005c050000"
    "00040000001e000000004200790100000000"
)


ADDRESSES = (f"127.1.{number // 250}.{number % 250 + 1}" for number in count())
"""All of them lead back to this machine."""


@pytest.fixture(autouse=True)
def goes_on_serving(server: RunningServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """After each test: no traceback, and a good request is answered."""
    monkeypatch.setattr(server, "source", next(ADDRESSES))
    before = len(server.lines())
    yield
    with server.raw() as stream:
        message, _ = decode_response(exchange(stream, DISCOVER))
        assert message.batch_items[0].result_status is ResultStatus.SUCCESS
    assert not [line for line in server.lines()[before:] if "Traceback" in line or "ERROR" in line]


def logged(server: RunningServer, before: int) -> list[str]:
    """The warnings since a line; there is one at least when the server has closed a connection that it
    does not serve, but a client may have heard of the failure earlier, or have closed it itself."""
    server.wait_for_line("WARNING", before)
    return [line for line in server.lines()[before:] if "WARNING" in line]


def structure(tag: int, content: bytes) -> bytes:
    return struct.pack(">II", tag << 8 | 1, len(content)) + content


def bomb(depth: int) -> bytes:
    data = b""
    for _ in range(depth):
        data = structure(0x420079, data)
    return structure(0x420078, DISCOVER[8:80] + data)


REFUSED = {
    "wrong tag": structure(0x42007B, DISCOVER[8:]),
    "length past the end": DISCOVER[:8] + struct.pack(">II", 0x42007701, 0x1000) + DISCOVER[16:],
    "depth bomb": bomb(2000),
    "unknown operation": DISCOVER.replace(bytes.fromhex("0000001e"), bytes.fromhex("000000fe")),
    "version from the future": DISCOVER.replace(
        bytes.fromhex("42006a0200000004000000010000000042006b020000000400000001"),
        bytes.fromhex("42006a0200000004000000090000000042006b020000000400000009"),
    ),
    "negative batch count": DISCOVER.replace(
        bytes.fromhex("42000d020000000400000001"), bytes.fromhex("42000d0200000004ffffffff")
    ),
    "text that is no UTF-8": structure(
        0x420078,
        DISCOVER[8:80] + struct.pack(">II", 0x42005C07, 4) + b"\xff\xfe\xfd\xfc" + bytes(4),
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_whole_message_that_breaks_a_rule_gets_an_answer(
    server: RunningServer, name: str
) -> None:
    before = len(server.lines())
    with server.raw() as stream:
        answer = exchange(stream, REFUSED[name])
        message, _ = decode_response(answer)
        [item] = message.batch_items
        assert item.result_status is ResultStatus.OPERATION_FAILED
        assert isinstance(item.result_reason, ResultReason)
        assert item.result_message
        # The same connection can still be used, since it is known where the next message begins.
        message, _ = decode_response(exchange(stream, DISCOVER))
        assert message.batch_items[0].result_status is ResultStatus.SUCCESS
    assert (
        len([line for line in server.lines()[before:] if "refused" in line or "bad" in line]) == 1
    )


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(struct.pack(">II", 0x42007801, 1 << 31), id="2 GiB"),
        pytest.param(struct.pack(">II", 0x42007801, (1 << 20) + 8), id="a byte too many"),
        pytest.param(b"\x00" * 16, id="zeros"),
        pytest.param(struct.pack(">II", 0x42007802, 4) + bytes(8), id="no structure"),
    ],
)
def test_what_cannot_be_a_message_is_refused_before_memory_is_taken(
    server: RunningServer, data: bytes
) -> None:
    before = len(server.lines())
    with server.raw() as stream:
        answer = exchange(stream, data)
        if answer:
            message, _ = decode_response(answer)
            assert message.batch_items[0].result_status is ResultStatus.OPERATION_FAILED
            assert stream.recv(1) == b"", "the connection is closed: nobody knows what comes next"
    assert len(logged(server, before)) == 1


def test_half_a_message_and_then_a_close_is_one_line_in_the_log(server: RunningServer) -> None:
    before = len(server.lines())
    with server.raw() as stream:
        stream.sendall(DISCOVER[:50])
    [line] = logged(server, before)
    assert "after 50 of 104 bytes" in line


def limited(server: RunningServer, limit: str) -> RunningServer:
    """The server, with one limit so short that only those may meet it who never go on."""
    config = server.folder.with_suffix(".toml")
    config.write_text(f"[limits]\n{limit} = 0.2\n")
    server.arguments = ("--config", str(config))
    return server.start()


def test_half_a_message_and_then_silence_ends_with_a_time_out(own_server: RunningServer) -> None:
    with limited(own_server, "message_timeout").raw() as stream:
        stream.sendall(DISCOVER[:50])
        assert stream.recv(1) == b""
    assert [
        line
        for line in own_server.lines()
        if "timeout while waiting for the rest of a request" in line
    ]


def test_who_never_begins_the_handshake_is_sent_away(own_server: RunningServer) -> None:
    port = limited(own_server, "handshake_timeout").port
    with socket.create_connection(("127.0.0.1", port), timeout=ANSWER_TIMEOUT) as silent:
        assert silent.recv(1) == b""
    assert [
        line for line in own_server.lines() if "timeout while waiting for the TLS handshake" in line
    ]


def test_plain_http_gets_no_service(server: RunningServer) -> None:
    before = len(server.lines())
    with server.connect() as plain:
        plain.sendall(b"GET / HTTP/1.1\r\nHost: kms\r\n\r\n")
        with contextlib.suppress(ConnectionResetError):
            while plain.recv(4096):
                pass
    [line] = logged(server, before)
    assert "TLS handshake failed" in line


def _converse(plain: socket.socket, context: ssl.SSLContext) -> None:
    """With TLS 1.3 the client learns only when it reads that its certificate was refused."""
    with context.wrap_socket(plain, server_hostname="127.0.0.1") as stream:
        stream.sendall(DISCOVER)
        if not read_message(stream):
            raise ConnectionResetError


def refused_handshake(server: RunningServer, context: ssl.SSLContext) -> str:
    """The one line that the server logs for a client that it does not let in."""
    before = len(server.lines())
    plain = server.connect()
    with pytest.raises((ssl.SSLError, ConnectionError)):
        _converse(plain, context)
    [line] = logged(server, before)
    return line


def test_no_certificate_means_no_service(server: RunningServer) -> None:
    assert "did not return a certificate" in refused_handshake(server, server.context(None))


def _context_with(
    server: RunningServer, authority: Authority, name: str, now: datetime
) -> ssl.SSLContext:
    issued = authority.issue(name, Purpose.CLIENT, now, days=1)
    written = server.pki.files(name)
    files.write_key(written.key, issued.key)
    files.write_certificate(written.cert, issued.certificate)
    return server.context(name)


def test_an_unknown_authority_means_no_service(server: RunningServer) -> None:
    stranger = Authority.create("kmipkit development CA", "ecdsa-p256", datetime.now(UTC))
    context = _context_with(server, stranger, "of-another-authority", datetime.now(UTC))
    assert "certificate" in refused_handshake(server, context)


def test_an_expired_certificate_means_no_service(server: RunningServer) -> None:
    past = datetime.now(UTC) - timedelta(days=30)
    context = _context_with(server, server.pki.authority(), "outdated", past)
    assert "expired" in refused_handshake(server, context)


def test_what_belongs_to_another_is_refused_and_not_shown(server: RunningServer) -> None:
    from kmipkit_client import OperationFailed

    with server.client("owner-of-it") as owner:
        key = owner.create(name="owner's own")
    with server.client("somebody-else") as other:
        with pytest.raises(OperationFailed) as refusal:
            other.get(key)
        assert refusal.value.reason in (ResultReason.PERMISSION_DENIED, ResultReason.NOT_AUTHORISED)
        with pytest.raises(OperationFailed):
            other.destroy(key)
        assert other.locate(name="owner's own").ids == ()
