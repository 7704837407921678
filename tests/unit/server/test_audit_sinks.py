"""Records on their way to other places: their form, and that nothing slow or dead holds up a request."""

import json
import os
import re
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from audited import AuditedLaboratory
from kmipkit_certs import keypairs
from kmipkit_certs.authority import Purpose
from kmipkit_certs.directory import Directory
from kmipkit_client import calls
from kmipkit_server.audit.forms import to_cef
from kmipkit_server.audit.records import Client, Entry, Event, Outcome, encode
from kmipkit_server.audit.sinks.sink import BATCH, Sink
from kmipkit_server.audit.sinks.stdout import OutputTransport
from kmipkit_server.audit.sinks.syslog import SyslogTransport, to_message
from kmipkit_server.audit.target import Target, parse_target
from kmipkit_server.config import AuditConfig, Config, ConfigError, check
from kmipkit_server.service.audit import tls_context
from laboratory import START

MESSAGE = re.compile(
    rb"<(?P<priority>[0-9]{1,3})>1 (?P<time>[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}\.[0-9]{6}Z)"
    rb" (?P<host>[!-~]{1,255}) (?P<app>[!-~]{1,48}) (?P<process>[0-9]+) (?P<id>[!-~]{1,32})"
    rb" \[meta sequenceId=\"(?P<number>[1-9][0-9]*)\"\] (?P<message>.*)",
    re.DOTALL,
)
"""A message as RFC 5424 §6 has it."""


def entry(n: int = 1, **fields: Any) -> Entry:
    return Entry(n=n, time=START, event=fields.pop("event", Event.OPERATION), **fields)


def line(n: int = 1, **fields: Any) -> bytes:
    return bytes(encode(entry(n, hash="0" * 64, **fields))) + b"\n"


# --- forms -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("event", Event)
@pytest.mark.parametrize("account", ["ada", "Zoë <&> \n 数据库"])
def test_a_syslog_message_has_the_form_of_the_standard(event: Event, account: str) -> None:
    record = line(event=event, client=Client(account=account), outcome=Outcome.FAILED)
    match = MESSAGE.fullmatch(to_message(record, "kms-1.example", 4711))
    assert match is not None
    assert int(match["priority"]) // 8 == 13, "log audit"
    assert match["host"] == b"kms-1.example"
    assert match["message"].startswith(b"\xef\xbb\xbf") is not record.isascii()
    content = match["message"].removeprefix(b"\xef\xbb\xbf")
    assert content == record.rstrip(b"\n"), "its hash can be verified"
    assert json.loads(content)["client"]["account"] == account


def test_sequence_numbers_stay_within_their_limit() -> None:
    for number, sequence in ((1, 1), (2**31 - 1, 2**31 - 1), (2**31, 1)):
        match = MESSAGE.fullmatch(to_message(line(number), "-", 1))
        assert match is not None
        assert int(match["number"]) == sequence


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("tls://logs.example.org", Target("tls", "logs.example.org", 6514)),
        ("tcp://10.0.0.9:601", Target("tcp", "10.0.0.9", 601)),
        ("udp://[2001:db8::1]:1514", Target("udp", "2001:db8::1", 1514)),
        ("udp://logs", Target("udp", "logs", 514)),
        ("unix:///dev/log", Target("unix", "/dev/log")),
        ("logs.example.org:514", None),
        ("http://logs.example.org", None),
        ("tcp://logs:70000", None),
        ("unix://dev", None),
    ],
)
def test_the_address_of_a_collector(text: str, target: Target | None) -> None:
    assert parse_target(text) == target
    config = Config(audit=AuditConfig(syslog=text))
    if target is None:
        with pytest.raises(ConfigError, match=r"audit\.syslog must be"):
            check(config, "test")
    else:
        assert check(config, "test") is config


def test_a_record_in_cef_is_one_line_whatever_is_in_it() -> None:
    record = entry(
        event=Event.CONNECTION,
        kind="bad|request\\",
        outcome=Outcome.FAILED,
        message="a=b\nCEF:0|forged\\",
        client=Client(account="x=y|z", address="192.0.2.1", port=9),
    )
    text = to_cef(record)
    assert "\n" not in text
    header = re.split(r"(?<!\\)(?:\\\\)*\|", text)
    assert len(header) >= 8
    assert r"bad\|request\\" in text
    assert r"suser=x\=y|z src=192.0.2.1 spt=9" in text
    assert r"msg=a\=b\nCEF:0|forged\\" in text


# --- queues ------------------------------------------------------------------------------------------


class Collector:
    """A transport that fails or waits as a test wants it to."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self.fails = False
        self.gate = trio.Event()
        self.gate.set()
        self.closed = 0

    async def send(self, lines: Sequence[bytes]) -> None:
        await self.gate.wait()
        if self.fails:
            raise OSError("the collector is gone")
        self.lines += lines

    async def close(self) -> None:
        self.closed += 1


def run_sink(
    work: Callable[[Sink, Collector, list[int]], Awaitable[None]], capacity: int = 10
) -> None:
    """Run a sink on a virtual clock."""

    async def run() -> None:
        collector, losses = Collector(), list[int]()
        sink = Sink("collector", collector, capacity)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(sink.run, lambda _, count: losses.append(count))
            await work(sink, collector, losses)
            nursery.cancel_scope.cancel()

    trio.run(run, clock=trio.testing.MockClock(autojump_threshold=0.001))


def test_records_arrive_in_order() -> None:
    lines = [line(number) for number in range(1, 3 * BATCH)]

    async def work(sink: Sink, collector: Collector, losses: list[int]) -> None:
        for each in lines:
            sink.put([each])
        await sink.drained()
        assert collector.lines == lines
        assert not losses

    run_sink(work, capacity=1000)


def test_a_slow_collector_loses_records_which_are_counted(caplog: pytest.LogCaptureFixture) -> None:
    async def work(sink: Sink, collector: Collector, losses: list[int]) -> None:
        collector.gate = trio.Event()
        for number in range(1, 26):
            sink.put([line(number)])
        await trio.testing.wait_all_tasks_blocked()
        assert sink.lost == 15
        collector.gate.set()
        await sink.drained()
        await trio.testing.wait_all_tasks_blocked()
        assert len(collector.lines) == 10
        assert losses == [15]

    run_sink(work)
    texts = [record.getMessage() for record in caplog.records]
    assert sum("is too slow" in text for text in texts) == 1
    assert sum("has missed 15 records" in text for text in texts) == 1


def test_what_a_dead_collector_has_not_got_is_sent_again(caplog: pytest.LogCaptureFixture) -> None:
    async def work(sink: Sink, collector: Collector, losses: list[int]) -> None:
        collector.fails = True
        sink.put([line(1), line(2)])
        await trio.sleep(500)
        assert collector.closed > 3
        collector.fails = False
        await sink.drained()
        assert collector.lines == [line(1), line(2)]
        assert not losses

    run_sink(work)
    assert sum("does not accept" in record.getMessage() for record in caplog.records) == 1


def test_a_collector_that_never_answers_holds_up_nothing(tmp_path: Path) -> None:
    """Requests go on, and so does a stop."""
    laboratory = AuditedLaboratory(tmp_path / "data")

    async def work(_: Any) -> None:
        for _ in range(20):
            await laboratory.request(calls.get("missing", None, None, None))

    async def run() -> None:
        collector = Collector()
        collector.gate = trio.Event()
        sink = Sink("collector", collector, 5)
        async with trio.open_nursery() as nursery, laboratory.audited(sinks=[sink]) as audit:
            nursery.start_soon(audit.send)
            await work(audit)
        assert sink.lost > 15

    trio.run(run)
    assert len(laboratory.operations()) == 20
    laboratory.close()


# --- transports --------------------------------------------------------------------------------------

LINES = [line(1), line(2, client=Client(account="Zoë\n")), line(3, event=Event.LOST)]


def framed(data: bytes) -> list[bytes]:
    """Messages with their octets counted (RFC 6587 §3.4.1)."""
    messages = []
    while data:
        count, _, rest = data.partition(b" ")
        messages.append(rest[: int(count)])
        data = rest[int(count) :]
    return messages


def expected(transport: SyslogTransport) -> list[bytes]:
    return [to_message(each, transport.host, transport.process) for each in LINES]


@pytest.mark.parametrize("scheme", ["udp", "unix"])
def test_datagrams(tmp_path: Path, scheme: str) -> None:
    family = socket.AF_UNIX if scheme == "unix" else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as collector:
        collector.bind(str(tmp_path / "log") if scheme == "unix" else ("127.0.0.1", 0))
        name = collector.getsockname()
        target = Target(scheme, name) if scheme == "unix" else Target(scheme, *name)
        transport = SyslogTransport(target)

        async def run() -> None:
            await transport.send(LINES)
            await transport.close()

        trio.run(run)
        assert [collector.recv(65536) for _ in LINES] == expected(transport)


@pytest.mark.parametrize("scheme", ["tcp", "tls"])
def test_streams_count_octets(tmp_path: Path, scheme: str) -> None:
    received = bytearray()

    async def run() -> None:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        port = listeners[0].socket.getsockname()[1]
        server, client = contexts(tmp_path)
        transport = SyslogTransport(
            Target(scheme, "127.0.0.1", port), client if scheme == "tls" else None
        )

        async def collect(stream: Any) -> None:
            if scheme == "tls":
                stream = trio.SSLStream(stream, server, server_side=True, https_compatible=True)
            async for chunk in stream:
                received.extend(chunk)
            nursery.cancel_scope.cancel()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.serve_listeners, collect, listeners)
            await transport.send(LINES[:1])
            await transport.send(LINES[1:])
            await transport.close()
        assert framed(bytes(received)) == expected(transport)

    trio.run(run)


def contexts(folder: Path) -> tuple[ssl.SSLContext, Callable[[], ssl.SSLContext]]:
    """The settings of a collector with a certificate, and those of the server for it."""
    pki = Directory(folder / "pki")
    pki.init("collectors", keypairs.DEFAULT_ALGORITHM, datetime.now(UTC))
    files = pki.issue("collector", Purpose.SERVER, datetime.now(UTC), alternative=("127.0.0.1",))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(files.cert, files.key)
    return server, tls_context(AuditConfig(syslog="tls://127.0.0.1", syslog_ca=pki.ca))


def test_a_collector_with_another_certificate_gets_nothing(tmp_path: Path) -> None:
    async def run() -> None:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        port = listeners[0].socket.getsockname()[1]
        server, _ = contexts(tmp_path / "its own")
        _, client = contexts(tmp_path / "another")
        transport = SyslogTransport(Target("tls", "127.0.0.1", port), client)

        async def collect(plain: trio.SocketStream) -> None:
            stream = trio.SSLStream(plain, server, server_side=True)
            with pytest.raises(trio.BrokenResourceError):
                await stream.receive_some()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.serve_listeners, collect, listeners)
            with pytest.raises(trio.BrokenResourceError):
                await transport.send(LINES)
            nursery.cancel_scope.cancel()

    trio.run(run)


def test_a_file_of_the_collector_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"audit\.syslog: .*no such"):
        tls_context(AuditConfig(syslog="tls://logs", syslog_ca=tmp_path / "no such file"))


def test_standard_output_gets_json_without_control_characters() -> None:
    reading, writing = os.pipe()
    transport = OutputTransport(lambda text: os.write(writing, text.encode()))
    trio.run(transport.send, [line(1, client=Client(account="a\x1b[2J\u202e")), line(2)])
    os.close(writing)
    with open(reading, "rb") as file:
        output = file.read()
    assert output.isascii()
    assert [json.loads(each)["n"] for each in output.splitlines()] == [1, 2]
