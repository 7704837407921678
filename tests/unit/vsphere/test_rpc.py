"""The channel between the roles: calls, faults, limits, and names on both sides. In memory."""

import base64
import json
import logging
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from kmipkit_vsphere.calls import guest, host, machines
from kmipkit_vsphere.host.crypto import CryptoManagerHost
from kmipkit_vsphere.host.host import Host
from kmipkit_vsphere.host.service import GUEST, MANAGEMENT, host_calls
from kmipkit_vsphere.model.crypto_spec import CryptoSpecKind
from kmipkit_vsphere.model.encoding import decode, encode
from kmipkit_vsphere.model.errors import (
    EncryptionKeyRequired,
    InternalFault,
    InvalidArgument,
    InvalidState,
    NoPermission,
    NotFound,
    RPCError,
    VSphereError,
    fault_from,
)
from kmipkit_vsphere.model.keys import CryptoKeyId, CryptoKeyPlain, Secret
from kmipkit_vsphere.model.message import Text
from kmipkit_vsphere.roles import process
from kmipkit_vsphere.rpc import channel
from kmipkit_vsphere.rpc.api import Api, Caller
from kmipkit_vsphere.rpc.call import Request, Rows, table
from kmipkit_vsphere.rpc.channel import (
    HANDSHAKE_TIMEOUT,
    Client,
    Server,
)
from kmipkit_vsphere.rpc.http import MAX_REQUEST
from kmipkit_vsphere.rpc.serving import CallStream
from kmipkit_vsphere.rpc.tls import Credentials

from kmipkit.places import MIN_SILENCE

NOW = datetime.now(UTC)
KEY = CryptoKeyPlain(
    CryptoKeyId("kp", "k1"), "AES-256", Secret(b"\x5asecret-key-bytes-of-32-bytes!!\xa5")
)


def run(test: Callable[[], Awaitable[None]]) -> None:
    """Run on a virtual clock: time-outs take no time."""
    trio.run(test, clock=trio.testing.MockClock(autojump_threshold=0))


class Echo(Request[str]):
    text: Text


class Defect(Request[None]):
    pass


class Locked(Request[None]):
    pass


class Misfit(Request[int]):
    """Answered with something else than it declares."""


async def echo(request: Echo) -> str:
    return request.text


async def defect(_request: Defect) -> None:
    raise ZeroDivisionError("text with a secret")


async def locked(_request: Locked) -> None:
    raise EncryptionKeyRequired("locked", required_key=[KEY.key_id])


async def misfit(_request: Misfit) -> Any:
    return "text with a secret"


ROWS = table(
    Echo.row("user", echo),
    Defect.row("user", defect),
    Locked.row("user", locked),
    Misfit.row("user", misfit),
)


async def send(client: Client, method: str, params: Any = None) -> Any:
    """A call that no declared request would make."""
    return json.loads(await client.send(method, json.dumps(params or {}).encode()))


@asynccontextmanager
async def served(
    rows: Rows = ROWS, roles: frozenset[str] = frozenset({"user"})
) -> AsyncIterator[tuple[Client, trio.abc.Stream]]:
    near, far = trio.testing.memory_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(CallStream(far, Api(rows, "test"), Caller("caller", roles)).serve)
        client = Client(near, "peer")
        yield client, near
        await client.aclose()


def test_calls_are_answered_in_turn() -> None:
    async def test() -> None:
        async with served() as (client, _), trio.open_nursery() as nursery:
            answers: list[str] = []

            async def call(text: str) -> None:
                answers.append(await client.call(Echo(text)))

            for text in "abc":
                nursery.start_soon(call, text)
        assert sorted(answers) == ["a", "b", "c"]

    run(test)


@pytest.mark.parametrize(
    ("method", "params", "fault"),
    [
        ("Echo", {"text": 5}, InvalidArgument),
        ("Echo", {}, InvalidArgument),
        ("Nothing", {}, NotFound),
        ("Echo", {"text": "x", "other": 1}, InvalidArgument),
        ("Echo", [1], InvalidArgument),
        ("Defect", {}, InternalFault),
        ("Locked", {}, EncryptionKeyRequired),
    ],
)
def test_faults_arrive_as_what_they_are(
    method: str, params: Any, fault: type[VSphereError]
) -> None:
    async def test() -> None:
        async with served() as (client, _):
            with pytest.raises(fault):
                await send(client, method, params)
            assert await client.call(Echo("still there")) == "still there"

    run(test)


def test_a_defect_is_logged_without_its_text(caplog: pytest.LogCaptureFixture) -> None:
    async def test() -> None:
        async with served() as (client, _):
            with pytest.raises(InternalFault) as caught:
                await client.call(Defect())
            assert "secret" not in str(caught.value)

    run(test)
    assert "ZeroDivisionError" in caplog.text
    assert "secret" not in caplog.text


def test_arguments_of_a_fault_arrive() -> None:
    async def test() -> None:
        async with served() as (client, _):
            with pytest.raises(EncryptionKeyRequired) as caught:
                await client.call(Locked())
            assert caught.value.required_key == [KEY.key_id]

    run(test)


def test_a_caller_without_the_role_is_refused() -> None:
    async def test() -> None:
        async with served(roles=frozenset()) as (client, _):
            with pytest.raises(NoPermission, match="user"):
                await client.call(Echo("x"))

    run(test)


def test_a_connection_that_closes_without_a_byte_is_no_event(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def test() -> None:
        async with served():
            pass

    run(test)
    assert not caplog.records


def test_a_call_that_is_too_long_is_not_sent() -> None:
    async def test() -> None:
        async with served() as (client, _):
            with pytest.raises(RPCError, match="is longer than"):
                await client.send("Echo", b'"' + b"x" * MAX_REQUEST + b'"')
            assert await client.call(Echo("still there")) == "still there"

    run(test)


def test_unknown_faults_and_arguments_become_plain_errors() -> None:
    assert type(fault_from("Novel", "m", {})) is VSphereError
    assert type(fault_from("EncryptionKeyRequired", "m", {})) is VSphereError
    assert fault_from("InvalidState", "m", {"cryptoState": "safe"}).arguments == {
        "cryptoState": "safe"
    }


# The host's calls ------------------------------------------------------------------------------


SPELLINGS = (
    base64.b64encode(KEY.key_data.reveal()).decode(),
    KEY.key_data.reveal().hex(),
    "secret-key",
)


def test_a_host_behind_the_channel(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    rows = host_calls(Host.start("esx01", tmp_path))

    async def test() -> None:
        async with served(rows, frozenset({MANAGEMENT, GUEST})) as (client, _):
            await client.call(machines.CreateMachine("vm1", 65536))
            await client.call(guest.WriteDisk("vm1", 100, b"GUEST"))
            with pytest.raises(InvalidState):
                await client.call(host.AddKey(KEY))
            await client.call(host.CryptoManagerHostPrepare())
            await client.call(host.CryptoManagerHostEnable(initial_key=KEY))
            [result] = await client.call(host.AddKeys([KEY]))
            assert (result.success, result.fault) == (False, "AlreadyExists")
            status = await client.call(host.GetCryptoKeyStatus([KEY.key_id]))
            assert status == [host.KeyPresence(KEY.key_id, True, "external")]
            kind = CryptoSpecKind.ENCRYPT
            await client.call(machines.ReconfigureCrypto("vm1", kind, KEY.key_id))
            assert await client.call(guest.ReadDisk("vm1", 100, 5)) == b"GUEST"
            [machine] = await client.call(machines.ListMachines())
            assert machine.crypto_state == "unlocked"
            info = await client.call(host.HostInfo())
            assert (info.crypto_state, info.crypto_key_id) == ("safe", KEY.key_id)

    trio.run(test)
    assert "AddKeys" in caplog.text
    for spelling in SPELLINGS:
        assert spelling not in caplog.text


def test_messages_are_sent_with_the_names_of_the_api() -> None:
    assert json.loads(encode(host.AddKey(KEY))) == {
        "key": {
            "keyId": {"keyId": "k1", "providerId": "kp"},
            "algorithm": "AES-256",
            "keyData": SPELLINGS[0],
        }
    }
    assert decode(encode(host.AddKey(KEY)), host.AddKey) == host.AddKey(KEY)


def test_a_guest_cannot_bring_keys(tmp_path: Path) -> None:
    rows = host_calls(Host.start("esx01", tmp_path))

    async def test() -> None:
        async with served(rows, frozenset({GUEST})) as (client, _):
            with pytest.raises(NoPermission):
                await client.call(host.CryptoManagerHostPrepare())

    run(test)


TEXT = "a string of 1 to 4096 characters"
KEY_ID = {"providerId": "kp", "keyId": "k1"}
BAD_PARAMS: list[tuple[str, dict[str, Any], str]] = [
    ("AddKey", {}, "key must be an object"),
    ("AddKey", {"key": "text"}, "key must be an object"),
    ("AddKey", {"key": {"keyId": {"keyId": "k"}}}, f"key.keyId.providerId must be {TEXT}"),
    ("AddKey", {"key": {"keyId": KEY_ID, "algorithm": 5}}, f"key.algorithm must be {TEXT}"),
    (
        "AddKey",
        {"key": {"keyId": KEY_ID, "algorithm": "AES-256", "keyData": "secret-key"}},
        "key.keyData must be base64",
    ),
    ("AddKeys", {"keys": [1]}, "keys[0] must be an object"),
    ("AddKeys", {"keys": 1}, "keys must be a list of objects"),
    ("RemoveKey", {"keyId": KEY_ID, "force": "yes"}, "force must be true or false"),
    (
        "CreateMachine",
        {"name": "vm", "diskSize": "1"},
        f"diskSize must be an integer from 1 to {1 << 62}",
    ),
    ("CreateMachine", {"name": "vm", "diskSize": 512, "uuid": "x"}, "uuid must be a UUID"),
    (
        "ReadDisk",
        {"name": "vm", "offset": 0, "length": 1 << 30},
        "length must be an integer from 0 to 262144",
    ),
    ("WriteDisk", {"name": "vm", "offset": 0, "data": "*"}, "data must be base64"),
    ("WriteDisk", {"name": "x" * 5000, "offset": 0, "data": ""}, f"name must be {TEXT}"),
    ("ReconfigureCrypto", {"name": "vm", "kind": "secret-key"}, "kind must be one of Encrypt, "),
    (
        "ReconfigureCrypto",
        {"name": "vm", "kind": "Encrypt", "parts": [5]},
        "parts[0] must be a string",
    ),
]


@pytest.mark.parametrize(("method", "params", "problem"), BAD_PARAMS)
def test_a_bad_parameter_is_named_and_its_value_is_not(
    tmp_path: Path, method: str, params: dict[str, Any], problem: str
) -> None:
    rows = host_calls(Host.start("esx01", tmp_path))

    async def test() -> None:
        async with served(rows, frozenset({MANAGEMENT, GUEST})) as (client, _):
            with pytest.raises(InvalidArgument) as caught:
                await send(client, method, params)
            assert caught.value.message.startswith(f"the parameter {problem}")
            assert "secret-key" not in caught.value.message

    run(test)


def test_an_answer_that_does_not_fit_is_an_error_without_its_value() -> None:
    async def test() -> None:
        async with served() as (client, _):
            with pytest.raises(RPCError, match="Misfit on peer") as caught:
                await client.call(Misfit())
            assert "secret" not in caught.value.message

    run(test)


def test_no_method_is_served_twice() -> None:
    with pytest.raises(ValueError, match="Echo is served twice"):
        table(Echo.row("user", echo), Echo.row("guest", echo))


def test_key_bytes_do_not_show_in_representations() -> None:
    crypto = CryptoManagerHost()
    crypto.prepare()
    crypto.enable(KEY)
    shown = repr(host.AddKey(KEY)) + repr(crypto) + repr(crypto.keys())
    assert "<Secret, 32 bytes>" in shown
    for spelling in SPELLINGS:
        assert spelling not in shown


# TLS ---------------------------------------------------------------------------------------------


class Authority:
    """Makes certificates for these tests."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder, self.name = folder, name
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.certificate = self._sign(name, self.key.public_key(), ca=True)
        self.path = folder / f"{name}.crt"
        self.path.write_bytes(self.certificate.public_bytes(serialization.Encoding.PEM))

    def _sign(self, name: str, key: ec.EllipticCurvePublicKey, *, ca: bool) -> x509.Certificate:
        return (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, self.name)]))
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(NOW - timedelta(days=1))
            .not_valid_after(NOW + timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
            .sign(self.key, hashes.SHA256())
        )

    def issue(self, name: str, trust: "Authority | None" = None) -> Credentials:
        key = ec.generate_private_key(ec.SECP256R1())
        path = self.folder / f"{self.name}-{name}"
        certificate = self._sign(name, key.public_key(), ca=False)
        path.with_suffix(".crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        path.with_suffix(".key").write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return Credentials(path.with_suffix(".crt"), path.with_suffix(".key"), (trust or self).path)


@asynccontextmanager
async def tls_pair(
    server: Credentials, caller: Credentials, wanted: str
) -> AsyncIterator["trio.SSLStream[trio.abc.Stream]"]:
    near, far = trio.testing.memory_stream_pair()
    callers = {"vcenter": frozenset({"user"})}
    async with trio.open_nursery() as nursery:
        nursery.start_soon(Server(ROWS, callers, server.server_context()).handle, far)
        yield trio.SSLStream(near, caller.client_context(), server_hostname=wanted)
        await trio.aclose_forcefully(near)


@pytest.mark.parametrize(("name", "allowed"), [("vcenter", True), ("intruder", False)])
def test_the_caller_is_known_by_its_certificate(tmp_path: Path, name: str, allowed: bool) -> None:
    authority = Authority(tmp_path, "ca")

    async def test() -> None:
        pair = tls_pair(authority.issue("esx01"), authority.issue(name), "esx01")
        async with pair as stream:
            client = Client(stream, "esx01")
            if allowed:
                assert await client.call(Echo("x")) == "x"
            else:
                with pytest.raises(NoPermission, match="intruder"):
                    await client.call(Echo("x"))

    trio.run(test)


def test_the_called_side_is_known_by_its_name(tmp_path: Path) -> None:
    authority = Authority(tmp_path, "ca")

    async def test() -> None:
        pair = tls_pair(authority.issue("esx02"), authority.issue("vcenter"), "esx01")
        async with pair as stream:
            with pytest.raises(trio.BrokenResourceError) as caught:
                await stream.do_handshake()
            assert isinstance(caught.value.__cause__, ssl.SSLCertVerificationError)

    trio.run(test)


def test_a_foreign_authority_is_refused(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    ours, theirs = Authority(tmp_path, "ca"), Authority(tmp_path, "other")

    async def test() -> None:
        pair = tls_pair(ours.issue("esx01"), theirs.issue("vcenter", trust=ours), "esx01")
        async with pair as stream:
            with pytest.raises(RPCError):
                await Client(stream, "esx01").call(Echo("x"))

    trio.run(test)
    assert [record.getMessage()[:22] for record in caplog.records] == ["a TLS handshake failed"]


def test_a_caller_who_never_shakes_hands(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    credentials = Authority(tmp_path, "ca").issue("esx01")

    async def test() -> None:
        _near, far = trio.testing.memory_stream_pair()
        await Server(ROWS, {}, credentials.server_context()).handle(far)

    run(test)
    assert f"longer than {HANDSHAKE_TIMEOUT:.0f} s" in caplog.text


@pytest.mark.parametrize("name", ["", "x" * 64, "esx..01", "esx01\n", "esx\0", "é" * 60])
def test_names_that_no_role_can_have(tmp_path: Path, name: str) -> None:
    """A host of such a name can be added to an inventory; nobody answers by it."""
    credentials = Authority(tmp_path, "ca").issue("vcenter")

    async def test() -> None:
        with pytest.raises(RPCError, match="is not a name that a certificate can carry"):
            await channel.connect(("127.0.0.1", 9), name, credentials)

    trio.run(test)


def test_files_that_are_no_certificate(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("x")
    with pytest.raises(InvalidArgument, match="cannot use the certificate"):
        Credentials(path, path, path).client_context()


def test_silent_connections_make_room_for_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Peers that connect and say nothing would otherwise keep vCenter from its hosts."""
    monkeypatch.setattr(channel, "SHARE", 3)
    server = Server(ROWS, {}, Authority(tmp_path, "ca").issue("vcenter").server_context())

    async def test() -> None:
        served: list[int] = []

        async def serve(number: int, stream: trio.abc.Stream) -> None:
            served.append(number)
            await server.handle(stream)
            served.remove(number)

        async with trio.open_nursery() as nursery:
            for number in range(3):
                nursery.start_soon(serve, number, trio.testing.memory_stream_pair()[1])
                await trio.sleep(0.1)
            await trio.sleep(MIN_SILENCE)
            nursery.start_soon(serve, 3, trio.testing.memory_stream_pair()[1])
            await trio.sleep(0.1)
            assert sorted(served) == [1, 2, 3]
            nursery.cancel_scope.cancel()

    run(test)


@pytest.mark.parametrize("which", ["calls", "another service"])
def test_a_port_that_is_in_use_is_an_error_and_no_traceback(tmp_path: Path, which: str) -> None:
    credentials = Authority(tmp_path, "ca").issue("vcenter")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        async def serve(_: tuple[str, int], **__: Any) -> None:
            await trio.open_tcp_listeners(port, host="127.0.0.1")

        own = process.Listening(("127.0.0.1", port if which == "calls" else 0), credentials)
        also = (process.Service("the API", ("127.0.0.1", port), serve),)
        with pytest.raises(InvalidArgument, match=f"cannot listen on 127.0.0.1:{port}: Address"):
            process.run("vCenter", ROWS, own, print, (), also)
