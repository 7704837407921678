"""What ``kmipkit certs check`` says is what the server does: a family of certificates through both."""

import json
import signal
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from certificate_family import Member, key_pem, members, pem
from click.testing import CliRunner
from kmipkit_certs.cli import certs
from kmipkit_client import calls, messages
from kmipkit_client.tls import tls_context
from servers import ANSWER_TIMEOUT, RunningServer, exchange

from kmipkit.model.codec import encode
from kmipkit.model.envelope import decode_response
from kmipkit.spec.enums import ResultStatus
from kmipkit.spec.versions import V1_4


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server whose authorities change."""
    folder = tmp_path_factory.mktemp("family")
    first = RunningServer(folder / "made").start()
    first.end()
    own = first.pki.files("server")
    (folder / "trusted.pem").write_bytes(first.pki.ca.read_bytes())
    running = RunningServer(
        folder / "data",
        ("--tls-cert", str(own.cert), "--tls-key", str(own.key),
         "--tls-ca", str(folder / "trusted.pem")),
    )  # fmt: skip
    running.start()
    yield running
    running.end()


def trust(server: RunningServer, data: bytes) -> None:
    path = server.folder.parent / "trusted.pem"
    if path.read_bytes() == data:
        return
    path.write_bytes(data)
    before = len(server.lines())
    server.signal(signal.SIGHUP)
    server.wait_for_line("certificates reloaded", before)


def serves(server: RunningServer, member: Member, folder: Path) -> bool:
    """Whether the server answers a request over real TLS, whatever the client itself thinks."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    try:
        context.load_cert_chain(folder / "client.pem")
        plain = socket.create_connection(("127.0.0.1", server.port), ANSWER_TIMEOUT)
        with context.wrap_socket(plain) as stream:
            data = exchange(stream, REQUEST)
    except (ssl.SSLError, ConnectionError):
        return False
    response, _ = decode_response(data)
    return response.batch_items[0].result_status is ResultStatus.SUCCESS


REQUEST = encode(messages.request(V1_4, [calls.discover_versions()]), V1_4)


@pytest.mark.filterwarnings("ignore:Parsed a serial number:UserWarning")
def test_check_accepts_exactly_what_the_server_serves(
    server: RunningServer, tmp_path: Path
) -> None:
    """The verdict of the command line against an answer over real TLS, for the whole family."""
    differences, served = {}, []
    family = list(members())
    for member in sorted(family, key=lambda each: pem(each.trusted)):  # one reload for each trust
        (tmp_path / "client.pem").write_bytes(pem(member.chain) + key_pem(member.key))
        (tmp_path / "ca.pem").write_bytes(pem(member.trusted))
        trust(server, pem(member.trusted))
        before = len(server.lines())
        is_served = serves(server, member, tmp_path)
        arguments = ["check", tmp_path / "client.pem", "--ca", tmp_path / "ca.pem", "--json"]
        result = CliRunner().invoke(certs, list(map(str, arguments)))
        verdict = json.loads(result.output)
        assert verdict["accepted"] is (result.exit_code == 0)
        assert bool(verdict["reasons"]) is not verdict["accepted"]
        log = "\n".join(server.lines()[before:])
        served.append(is_served)
        if verdict["accepted"] is not is_served:
            differences[member.name] = (is_served, verdict, log)
        elif verdict["openssl"] is not None and "certificate refused: " in log:
            assert f"certificate refused: {verdict['openssl']}" in log, member.name
    assert differences == {}
    names = [member.name for member in family]
    assert len(set(names)) == len(names) > 150
    assert served.count(True) > 50
    assert served.count(False) > 50


def connects(folder: Path, host: str | None) -> bool:
    """Whether our client finishes a handshake with a server that shows the certificate."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.set_ciphers("DEFAULT:@SECLEVEL=0")
    client = tls_context(folder / "ca.pem", None, None)
    client.check_hostname = host is not None
    try:
        server.load_cert_chain(folder / "client.pem")
    except ssl.SSLError:
        return False
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client.wrap_bio(to_client, to_server, server_hostname=host),
        server.wrap_bio(to_server, to_client, server_side=True),
    ]
    while ends:
        for end in list(ends):
            try:
                end.do_handshake()
                ends.remove(end)
            except ssl.SSLWantReadError:
                continue
            except ssl.SSLError:
                return False
    return True


@pytest.mark.filterwarnings("ignore:Parsed a serial number:UserWarning")
@pytest.mark.parametrize("host", [None, "array.example", "other.example"])
def test_check_accepts_exactly_the_servers_that_our_client_accepts(
    tmp_path: Path, host: str | None
) -> None:
    differences = {}
    count = 0
    for member in members():
        (tmp_path / "client.pem").write_bytes(pem(member.chain) + key_pem(member.key))
        (tmp_path / "ca.pem").write_bytes(pem(member.trusted))
        is_accepted = connects(tmp_path, host)
        name = ("--server",) if host is None else ("--host", host)
        arguments = [tmp_path / "client.pem", "--ca", tmp_path / "ca.pem", "--json", *name]
        result = CliRunner().invoke(certs, ["check", *map(str, arguments)])
        verdict = json.loads(result.output)
        count += is_accepted
        if verdict["accepted"] is not is_accepted:
            differences[member.name] = (is_accepted, verdict)
    assert differences == {}
    assert count >= 2 or host == "other.example"
