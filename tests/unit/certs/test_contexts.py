"""What the server sends of its chain is what OpenSSL would look for in each handshake.

A loss: a client that trusts the authority of the server no longer gets a chain that leads to it.
"""

import ssl
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from kmipkit_certs import contexts, keypairs
from kmipkit_certs.authority import Authority, Purpose
from kmipkit_certs.credentials import Credentials, load_credentials

NOW = datetime.now(UTC)
OLD = Authority.create("Root", keypairs.DEFAULT_ALGORITHM, NOW - timedelta(days=3))
ROOT = OLD.renewed(NOW)
OTHER = Authority.create("Other", keypairs.DEFAULT_ALGORITHM, NOW)
CLIENT = ROOT.issue("client", Purpose.CLIENT, NOW)
SERVER = ROOT.issue("server", Purpose.SERVER, NOW)

_DER = 2
"""The form of certificates in Python's own module for OpenSSL."""


def pem(*certificates: x509.Certificate) -> bytes:
    return b"".join(each.public_bytes(Encoding.PEM) for each in certificates)


def credentials(issued: Any, *issuers: x509.Certificate) -> Credentials:
    key = issued.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return load_credentials(pem(issued.certificate, *issuers) + key)


def chain_of_openssl(trusted: Sequence[x509.Certificate]) -> list[bytes]:
    """What OpenSSL sends if it has the certificate alone."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.verify_mode = ssl.CERT_REQUIRED
    credentials(SERVER).load_into(context)
    contexts.trust(context, trusted)
    return chain_from(context)


def chain_from(server: ssl.SSLContext) -> list[bytes]:
    """The certificates that a client gets in a handshake with a server."""
    client = contexts.client_context(credentials(CLIENT), [ROOT.certificate])
    client.check_hostname = False
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = (
        client.wrap_bio(to_client, to_server),
        server.wrap_bio(to_server, to_client, server_side=True),
    )
    for _ in range(4):
        for end in ends:
            with suppress(ssl.SSLError):  # it waits, or the server refuses the client
                end.do_handshake()
    connection: Any = ends[0]
    return [each.public_bytes(_DER) for each in connection._sslobj.get_unverified_chain()]


def der(*certificates: x509.Certificate) -> list[bytes]:
    return [each.public_bytes(Encoding.DER) for each in certificates]


def test_the_chain_is_that_of_openssl() -> None:
    for trusted in ([ROOT.certificate], [OTHER.certificate, ROOT.certificate]):
        own = credentials(SERVER)
        assert chain_from(contexts.server_context([own], trusted)) == chain_of_openssl(trusted)
        assert len(chain_of_openssl(trusted)) == 2


def test_the_chain_has_the_newest_certificate_of_an_authority() -> None:
    trusted = [OLD.certificate, ROOT.certificate]
    for some in (trusted, trusted[::-1]):
        chain = chain_from(contexts.server_context([credentials(SERVER)], some))
        assert chain == der(SERVER.certificate, ROOT.certificate)


def test_a_chain_in_the_file_is_sent_as_it_is() -> None:
    own = credentials(SERVER, ROOT.certificate)
    trusted = [OTHER.certificate, ROOT.certificate]
    chain = chain_from(contexts.server_context([own], trusted))
    assert chain == der(SERVER.certificate, ROOT.certificate)


def test_the_authority_of_the_server_may_be_another_one() -> None:
    chain = chain_from(contexts.server_context([credentials(SERVER)], [OTHER.certificate]))
    assert chain == der(SERVER.certificate)
