"""TLS to the database: both sides prove who they are, and who cannot is told what to do."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import nodes
import pytest
import stores
import trio
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from documents import free_port
from kmipkit_certs.authority import Authority, IssuedCertificate, Purpose
from kmipkit_server.store.errors import StoreError
from postgresql_server import PostgreSQLServer

pytestmark = stores.needs_postgresql

_ACCESS = "local all all trust\nhostssl all all localhost cert\n"


def _write(folder: Path, name: str, issued: IssuedCertificate) -> None:
    (folder / f"{name}.crt").write_bytes(issued.certificate.public_bytes(Encoding.PEM))
    key = folder / f"{name}.key"
    key.touch(mode=0o600)
    key.write_bytes(issued.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An authority, the database's certificate, and those of two roles; and another authority."""
    folder, now = tmp_path_factory.mktemp("pki"), datetime.now(UTC)
    for name in ("ca", "other"):
        authority = Authority.create(name, "ecdsa-p256", now)
        (folder / f"{name}.crt").write_bytes(authority.certificate.public_bytes(Encoding.PEM))
        if name == "ca":
            for role in (stores.ROLE, "stranger"):
                _write(folder, role, authority.issue(role, Purpose.CLIENT, now))
            names = ("db.example", "localhost")
            _write(folder, "db", authority.issue("db", Purpose.SERVER, now, alternative=names))
    return folder


@pytest.fixture(scope="module")
def database(pki: Path) -> Iterator[tuple[PostgreSQLServer, int]]:
    """A server that accepts connections over TLS with a certificate only, and its port."""
    port = free_port()
    settings = {"listen_addresses": "localhost", "port": str(port), "ssl": "on"}
    files = {"ssl_cert_file": "db.crt", "ssl_key_file": "db.key", "ssl_ca_file": "ca.crt"}
    server = PostgreSQLServer({**settings, **files, "hba_file": "data/access.conf"})
    try:
        (server.data / "access.conf").write_text(_ACCESS)
        for name in files.values():
            (server.data / name).write_bytes((pki / name).read_bytes())
            (server.data / name).chmod(0o600)
        owner = server.data.stat()
        for name in ("access.conf", *files.values()):
            os.chown(server.data / name, owner.st_uid, owner.st_gid)
        server.start()
        stores.prepare(server)
        yield server, port
    finally:
        server.close()


def _url(database: tuple[PostgreSQLServer, int], pki: Path, **changes: str) -> str:
    server, port = database
    role = {
        "host": "localhost",
        "sslmode": "verify-full",
        "sslrootcert": str(pki / "ca.crt"),
        "sslcert": str(pki / f"{stores.ROLE}.crt"),
        "sslkey": str(pki / f"{stores.ROLE}.key"),
    }
    parameters = "&".join(f"{name}={value}" for name, value in {**role, **changes}.items() if value)
    name = server.create("kmipkit_template")
    return f"postgresql://{stores.ROLE}@/{name}?port={port}&{parameters}"


def test_a_server_stores_over_tls(
    database: tuple[PostgreSQLServer, int], pki: Path, tmp_path: Path
) -> None:
    """Attributes are not sealed on their way to the database."""
    store = nodes.open_node(tmp_path, "a", _url(database, pki))

    async def run() -> None:
        async with nodes.serving(store):
            await nodes.write(store, nodes.creates("one"))
            assert await nodes.read(store, "one") is not None
            [(sessions, are_encrypted)] = database[0].sql(
                "SELECT count(*), bool_and(ssl) FROM pg_stat_activity JOIN pg_stat_ssl USING (pid)"
                f" WHERE usename = '{stores.ROLE}'"
            )
            assert sessions
            assert are_encrypted

    trio.run(run)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"sslrootcert": "other.crt"}, "verify failed; name the authority of the database with"),
        ({"sslcert": "", "sslkey": ""}, "name a certificate of the role and its key with sslcert"),
        (
            {"sslcert": "stranger.crt", "sslkey": "stranger.key"},
            "the Common Name of the certificate must be the role",
        ),
        ({"host": "127.0.0.1"}, "use a name in the URL that the certificate of the database has"),
        ({"sslmode": "disable"}, r"permit it in pg_hba\.conf"),
    ],
)
def test_who_cannot_connect_is_told_what_to_do(
    database: tuple[PostgreSQLServer, int],
    pki: Path,
    tmp_path: Path,
    changes: dict[str, str],
    text: str,
) -> None:
    """What libpq says is often only that the other side has refused."""
    files = {
        name: str(pki / value) if value.endswith((".crt", ".key")) else value
        for name, value in changes.items()
    }
    with pytest.raises(StoreError, match=text):
        nodes.open_node(tmp_path, "a", _url(database, pki, **files))
