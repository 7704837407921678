"""The roles accept no peer whose certificate is revoked: before a connection, and before each call."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trio
from cryptography.hazmat.primitives.serialization import Encoding
from kmipkit_certs.authority import Purpose
from kmipkit_certs.credentials import load_certificates
from kmipkit_certs.directory import Directory
from kmipkit_certs.revocation import text_line
from kmipkit_certs.revocation_files import RevocationFiles
from kmipkit_vsphere.model.errors import InvalidArgument, RPCError, ServerNotTrusted
from kmipkit_vsphere.model.message import Text
from kmipkit_vsphere.providers.key_server import TLSKeyServer
from kmipkit_vsphere.rpc import channel
from kmipkit_vsphere.rpc.call import Request, table
from kmipkit_vsphere.rpc.tls import Credentials
from servers import RunningServer

NOW = datetime.now(UTC)
HOST, CALLER = "esx01", "vcenter"


class Echo(Request[str]):
    text: Text


async def echo(request: Echo) -> str:
    return request.text


ROWS = table(Echo.row("user", echo))


@pytest.fixture
def pki(tmp_path: Path) -> Directory:
    directory = Directory(tmp_path / "roles")
    directory.init("roles", "ecdsa-p256", NOW)
    for name in (HOST, CALLER):
        directory.issue(name, Purpose.BOTH, NOW, alternative=[name])
    directory.revoke([], NOW)
    return directory


def credentials(pki: Directory, name: str, files: RevocationFiles | None = None) -> Credentials:
    pair = pki.files(name)
    lists = RevocationFiles((pki.revocation_list,)) if files is None else files
    return Credentials(pair.cert, pair.key, pki.ca, revocation_files=lists)


def revoke(pki: Directory, name: str) -> None:
    pki.revoke(load_certificates(pki.files(name).cert), NOW)


@asynccontextmanager
async def serving(own: Credentials) -> AsyncIterator[tuple[str, int]]:
    server = channel.Server(
        ROWS, {CALLER: frozenset({"user"})}, own.server_context(), revocations=own.revocations()
    )
    async with trio.open_nursery() as nursery:
        yield await nursery.start(server.serve, ("127.0.0.1", 0))
        nursery.cancel_scope.cancel()


def test_a_caller_that_is_revoked_loses_its_connection(
    pki: Directory, caplog: pytest.LogCaptureFixture
) -> None:
    own = credentials(pki, CALLER, RevocationFiles())

    async def test() -> None:
        async with serving(credentials(pki, HOST)) as address:
            async with await channel.connect(address, HOST, own) as client:
                assert await client.call(Echo("before")) == "before"
                revoke(pki, CALLER)
                with pytest.raises(RPCError):
                    await client.call(Echo("after"))
            with pytest.raises(RPCError):
                async with await channel.connect(address, HOST, own) as client:
                    await client.call(Echo("again"))

    trio.run(test)
    assert "'CN=vcenter' was revoked on" in caplog.text


def test_a_role_that_is_revoked_is_not_called(pki: Directory) -> None:
    revoke(pki, HOST)

    async def test() -> None:
        async with serving(credentials(pki, HOST, RevocationFiles())) as address:
            with pytest.raises(RPCError, match=r"esx01 at .* is not trusted: .* was revoked"):
                await channel.connect(address, HOST, credentials(pki, CALLER))

    trio.run(test)


def test_a_list_that_has_expired_may_hide_a_revocation(pki: Directory) -> None:
    pki.revoke([], NOW - timedelta(days=9), days=8)

    async def test() -> None:
        async with serving(credentials(pki, HOST, RevocationFiles())) as address:
            with pytest.raises(RPCError, match=r"revocation list .* expired"):
                await channel.connect(address, HOST, credentials(pki, CALLER))

    trio.run(test)


def test_a_damaged_list_brings_no_certificate_back(
    pki: Directory, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    own_list = tmp_path / "revoked.txt"
    [certificate] = load_certificates(pki.files(HOST).cert)
    own_list.write_text(text_line(certificate, NOW) + "\n")
    revocations = credentials(pki, CALLER, RevocationFiles(revoked=own_list)).revocations()
    der = certificate.public_bytes(Encoding.DER)
    with pytest.raises(RPCError, match="list of revoked ones"):
        revocations.require_valid(der)
    own_list.write_text("not a list\n")
    os.utime(own_list, (1, 1))
    with pytest.raises(RPCError, match="list of revoked ones"):
        revocations.require_valid(der)
    assert "the old ones stay in force" in caplog.text
    own_list.write_text("")
    revocations.require_valid(der)
    with pytest.raises(InvalidArgument, match="missing"):
        credentials(pki, CALLER, RevocationFiles((tmp_path / "missing",))).revocations()


def test_vcenter_does_not_trust_a_key_server_that_is_revoked(own_server: RunningServer) -> None:
    server = own_server.start()
    mine = server.credentials("vcenter")
    lists = RevocationFiles((server.pki.revocation_list,))
    [certificate] = load_certificates(server.pki.files("server").cert)
    # On a host of its own, vCenter reads the list; the server itself would refuse nobody for it.
    server.pki.revoke([certificate], NOW)
    own = Credentials(mine["cert"], mine["key"], mine["ca"], revocation_files=lists)

    async def test() -> None:
        kms = TLSKeyServer(
            "kms1", "127.0.0.1", server.port, own.client_context(), revocations=own.revocations()
        )
        with pytest.raises(ServerNotTrusted, match="was revoked"):
            await kms.connect()

    trio.run(test)
