"""The API of administrators under attack: from clients without rights, and with hostile requests.

Whoever gets in can see what is stored and block everybody; whoever keeps it busy stops the server.
"""

import json
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from click.testing import CliRunner
from cryptography import x509
from kmipkit_certs.revocation import text_line
from kmipkit_client.tls import tls_context
from kmipkit_server.audit.files import log_files
from kmipkit_server.audit.records import Entry, Event, Outcome, decode
from kmipkit_server.engine.dispatcher import Dispatcher
from kmipkit_server.identity.certificate import NoIdentity
from kmipkit_server.identity.identity import Identity
from kmipkit_testing import KeyServer, key_server
from servers import ANSWER_TIMEOUT

from kmipkit.cli import main
from kmipkit.spec.enums import CryptographicAlgorithm

PREFIX = "/admin/v1"
HOSTILE = "key \x1b[2J\x07\x9b2J\u202e\u2028"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("audit")


@pytest.fixture(scope="module")
def kms(folder: Path) -> Iterator[KeyServer]:
    settings = {"audit": {"enabled": True, "directory": folder}}
    with key_server(["db-1", HOSTILE], settings=settings) as server:
        yield server


@contextmanager
def connected(kms: KeyServer, account: str = "admin") -> Iterator[HTTPConnection]:
    """An HTTPS connection with the certificate of an account."""
    to = kms.settings_of(account)
    context: ssl.SSLContext = tls_context(to.ca, to.cert, to.key)
    plain = socket.create_connection((to.host, to.port), timeout=ANSWER_TIMEOUT)
    http = HTTPConnection("kms")
    with context.wrap_socket(plain, server_hostname=to.host) as stream:
        http.sock = stream
        yield http


def ask(
    kms: KeyServer, method: str, path: str, body: Any = None, account: str = "admin"
) -> tuple[int, Any]:
    """The status and the body of an answer."""
    with connected(kms, account) as http:
        data = None if body is None else json.dumps(body).encode()
        http.request(method, PREFIX + path, data, {"Content-Type": "application/json"})
        response = http.getresponse()
        return response.status, json.loads(response.read())


def entries(folder: Path) -> list[Entry]:
    lines = [line for file in log_files(folder) for line in file.path.read_bytes().splitlines()]
    return [decode(line) for line in lines]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/objects"),
        ("GET", "/openapi.json"),
        ("GET", "/nothing"),
        ("PUT", "/accounts/admin/block"),
        ("POST", "/accounts/admin/transfer"),
        ("POST", "/users"),
        ("DELETE", "/sessions/1"),
    ],
)
def test_a_client_that_is_no_administrator_gets_nothing(
    kms: KeyServer, folder: Path, method: str, path: str
) -> None:
    status, body = ask(kms, method, path, account="db01")
    assert status == 403
    assert "'db01' is not an administrator" in body["detail"]
    last = [each for each in entries(folder) if each.event is Event.ADMINISTRATION][-1]
    assert (last.outcome, last.reason, last.client.account) == (
        Outcome.FAILED,
        "Forbidden",
        "db01",
    )
    assert last.message == body["detail"]


def test_a_revoked_administrator_is_refused(tmp_path: Path) -> None:
    """A stolen certificate is worth nothing once it is revoked."""
    revoked = tmp_path / "revoked.txt"
    settings = {
        "identity": {"administrators": ("admin", "thief")},
        "tls": {"revoked": revoked},
        "audit": {"enabled": True, "directory": tmp_path / "audit"},
    }
    revoked.write_text("")
    with key_server(settings=settings) as kms:
        assert ask(kms, "GET", "/objects", account="thief")[0] == 200
    files = kms.pki.client("thief")
    certificate = x509.load_pem_x509_certificate(files.cert.read_bytes())
    revoked.write_text(text_line(certificate, datetime.now(UTC)) + "\n")
    with key_server(settings=settings) as kms:
        status, body = ask(kms, "GET", "/objects", account="thief")
        assert status == 403
        assert "list of revoked ones" in body["detail"]
        assert ask(kms, "GET", "/objects")[0] == 200
    refusals = [each for each in entries(tmp_path / "audit") if each.event is Event.CONNECTION]
    assert any("list of revoked ones" in each.message for each in refusals)


def test_a_huge_body_is_refused_before_it_has_come(kms: KeyServer) -> None:
    with connected(kms) as http:
        http.putrequest("POST", f"{PREFIX}/users")
        http.putheader("Content-Type", "application/json")
        http.putheader("Content-Length", str(1 << 30))
        http.endheaders()
        with suppress(OSError):
            for _ in range(1 << 14):
                http.sock.sendall(bytes(1 << 16))
            raise AssertionError("a gigabyte was taken")
    assert ask(kms, "GET", "/objects")[0] == 200


def test_a_body_beyond_the_limit_is_told_so(kms: KeyServer, folder: Path) -> None:
    with connected(kms) as http:
        http.request("POST", f"{PREFIX}/users", bytes((1 << 20) + 1))
        response = http.getresponse()
        problem = json.loads(response.read())
    assert (response.status, problem["status"]) == (413, 413)
    assert response.getheader("Content-Type") == "application/problem+json"
    refusals = [each for each in entries(folder) if each.event is Event.CONNECTION]
    assert any("413" in each.message for each in refusals)


def test_a_request_that_comes_slowly_is_ended() -> None:
    """Many of these would take all places."""
    with key_server(settings={"limits": {"message_timeout": 30.0}}) as kms, connected(kms) as http:
        http.putrequest("POST", f"{PREFIX}/users")
        http.putheader("Content-Length", "100")
        http.endheaders()
        http.sock.sendall(b"{")
        number = waiting(kms)
        kms.clock.advance(seconds=31)
        assert http.sock.recv(1) == b"", f"connection {number} is closed"
        assert ask(kms, "GET", "/objects")[0] == 200


def waiting(kms: KeyServer) -> int:
    """The connection that has begun a request, once the server knows it."""
    deadline = time.monotonic() + ANSWER_TIMEOUT
    while time.monotonic() < deadline:
        for each in ask(kms, "GET", "/sessions")[1]["sessions"]:
            if each["doing"] == "waits for the rest of a request":
                return int(each["number"])
    raise AssertionError("the server has not received the beginning of a request")


@pytest.mark.parametrize(
    "head",
    [
        b"GET /admin/v1/objects HTTP/1.1\r\n\r\n",
        b"GET /admin/v1/objects HTTP/1.1\r\nHost: kms\r\nHost: evil\r\n\r\n",
        b"GET /admin/v1/objects HTTP/9.9\r\nHost: kms\r\n\r\n",
        b"GET /admin/v1/\x00 HTTP/1.1\r\nHost: kms\r\n\r\n",
        b"GET /admin/v1/objects\xff HTTP/1.1\r\nHost: kms\r\n\r\n",
        b"POST /admin/v1/users HTTP/1.1\r\nHost: kms\r\nContent-Length: x\r\n\r\n",
        b"POST /admin/v1/users HTTP/1.1\r\nHost: kms\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"POST /admin/v1/users HTTP/1.1\r\nHost: kms\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET /admin/v1/objects HTTP/1.1\r\nHost: kms\r\nX: " + b"x" * 200_000 + b"\r\n\r\n",
    ],
    ids=lambda head: str(head[:60]),
)
def test_malformed_http_is_answered_and_the_server_goes_on(kms: KeyServer, head: bytes) -> None:
    with connected(kms) as http:
        with suppress(OSError):  # it may close before it has read all
            http.sock.sendall(head)
        assert http.sock.recv(12) in (b"HTTP/1.1 400", b"HTTP/1.1 431", b"HTTP/1.1 505")
    assert ask(kms, "GET", "/objects")[0] == 200


@pytest.mark.parametrize(
    "path",
    ["/../kmip", "/objects/../../../etc/passwd", "/objects/%2e%2e/config", "/objects/a%2Fb", "/;x"],
)
def test_tricks_with_paths_lead_nowhere(kms: KeyServer, path: str) -> None:
    assert ask(kms, "GET", path)[0] == 404


def test_a_request_may_follow_another_one_and_none_is_confused_with_kmip(kms: KeyServer) -> None:
    """The answer to one request would be taken for that to another."""
    with connected(kms) as http:
        for path, status in (("/totals", 200), ("/nothing", 404), ("/accounts", 200)):
            http.request("GET", PREFIX + path)
            response = http.getresponse()
            response.read()
            assert response.status == status
        http.request("HEAD", f"{PREFIX}/objects")
        assert _read(http.getresponse()) == (405, b"")
        http.request("GET", f"{PREFIX}/totals")
        assert _read(http.getresponse())[0] == 200
        http.request("HEAD", "/kmip")
        assert _read(http.getresponse()) == (405, b"")


def _read(response: HTTPResponse) -> tuple[int, bytes]:
    return response.status, response.read()


def test_blocking_ends_connections_and_tickets_do_not_help(kms: KeyServer) -> None:
    """The thief would go on with the connection that is open."""
    with connected(kms, "thief") as http:
        http.request("GET", f"{PREFIX}/objects")
        assert _read(http.getresponse())[0] == 403
        status, body = ask(kms, "PUT", "/accounts/thief/block", {"reason": "stolen"})
        assert (status, body["connections"]) == (200, 1)
        assert http.sock.recv(1) == b""
    with pytest.raises(Exception, match="has blocked the account"), kms.client("thief") as client:
        client.locate()
    status, body = ask(kms, "GET", "/objects", account="thief")
    assert status == 403
    assert "blocked" in body["detail"]
    assert ask(kms, "DELETE", "/accounts/thief/block")[1]["changed"]
    with kms.client("thief") as client:
        client.locate()


@pytest.mark.parametrize("target", ["admin", "second", "user:bob"])
def test_an_administrator_cannot_take_the_objects_of_others(target: str) -> None:
    """Administrators would get every key: a transfer to themselves, and then Get."""
    settings = {"identity": {"administrators": ("admin", "second")}}
    with key_server(settings=settings) as kms:
        with kms.client("db01") as client:
            identifier = client.create(CryptographicAlgorithm.AES, 256, name="k")
        status, body = ask(kms, "POST", "/accounts/db01/transfer", {"to": target})
        assert status == 403
        assert "cannot be given" in body["detail"] or "not to a user" in body["detail"]
        assert ask(kms, "GET", f"/objects/{identifier}")[1]["object"]["owner"] == "db01"


def test_a_connection_whose_account_is_no_longer_known_learns_why_and_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It would keep the rights of an account that it has no longer."""
    admit = Dispatcher.admit

    async def admit_others(dispatcher: Dispatcher, identity: Identity) -> Identity:
        if identity.name == "db01":
            raise NoIdentity("the certificate belongs to nobody now")
        return await admit(dispatcher, identity)

    with key_server() as kms, connected(kms, "db01") as http:
        http.request("GET", f"{PREFIX}/objects")
        assert _read(http.getresponse())[0] == 403
        monkeypatch.setattr(Dispatcher, "admit", admit_others)
        assert ask(kms, "POST", "/tenants", {"name": "acme", "accounts": ["web*"]})[0] < 400
        http.request("GET", f"{PREFIX}/objects")
        response = http.getresponse()
        assert response.status == 403
        assert json.loads(response.read())["detail"] == "the certificate belongs to nobody now"
        assert http.sock.recv(1) == b"", "the connection ends"


def test_names_with_control_characters_reach_the_terminal_escaped(kms: KeyServer) -> None:
    """The name of a key would clear the screen of the administrator."""
    to = kms.settings
    options = [
        f"--server={to.host}:{to.port}", f"--ca={to.ca}", f"--cert={to.cert}", f"--key={to.key}",
    ]  # fmt: skip
    identifier = kms.ids[HOSTILE]
    blocked = f"/accounts/{quote(HOSTILE)}/block"
    assert ask(kms, "PUT", blocked, {"reason": HOSTILE})[0] == 200
    for command in (
        ["objects", "list"],
        ["objects", "list", "--json"],
        ["objects", "show", identifier],
        ["accounts", "list"],
        ["accounts", "show", HOSTILE],
        ["accounts", "show", "\x1b[2J"],
        ["users", "show", "\x1b[2J"],
        ["objects", "list", "--attribute", "\x1b[2J=b"],
    ):
        result = CliRunner().invoke(main, ["admin", *command, *options])
        unprintable = [char for char in result.output if not (char.isprintable() or char == "\n")]
        assert unprintable == []
        assert "x1b[2J" in result.output or "u001b[2J" in result.output
