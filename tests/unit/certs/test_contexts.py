"""What a peer sends of its chain is what OpenSSL would look for in each handshake.

A loss: who trusts the authority of the peer no longer gets a chain that leads to it.
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


def of_openssl(protocol: ssl._SSLMethod, own: Any, trusted: Sequence[x509.Certificate]) -> Any:
    """Settings in which OpenSSL has the certificate alone."""
    context = ssl.SSLContext(protocol)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_REQUIRED
    credentials(own).load_into(context)
    contexts.trust(context, trusted)
    return context


def client_context(trusted: Sequence[x509.Certificate] = (ROOT.certificate,)) -> ssl.SSLContext:
    client = contexts.client_context(credentials(CLIENT), trusted)
    client.check_hostname = False
    return client


def server_context(trusted: Sequence[x509.Certificate], *issuers: Any) -> ssl.SSLContext:
    return contexts.server_context([credentials(SERVER, *issuers)], trusted)


def chains(client: ssl.SSLContext, server: ssl.SSLContext) -> tuple[list[bytes], list[bytes]]:
    """The certificates that the client and the server get in a handshake."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends: Any = (
        client.wrap_bio(to_client, to_server),
        server.wrap_bio(to_server, to_client, server_side=True),
    )
    for _ in range(4):
        for end in ends:
            with suppress(ssl.SSLError):  # it waits, or the server refuses the client
                end.do_handshake()
    found = [end._sslobj.get_unverified_chain() or () for end in ends]
    of_server, of_client = ([each.public_bytes(_DER) for each in chain] for chain in found)
    return of_server, of_client


def der(*certificates: x509.Certificate) -> list[bytes]:
    return [each.public_bytes(Encoding.DER) for each in certificates]


TRUSTED = ([ROOT.certificate], [OTHER.certificate, ROOT.certificate])


def test_the_chain_of_the_server_is_that_of_openssl() -> None:
    for trusted in TRUSTED:
        expected, _ = chains(client_context(), of_openssl(ssl.PROTOCOL_TLS_SERVER, SERVER, trusted))
        chain, _ = chains(client_context(), server_context(trusted))
        assert chain == expected == der(SERVER.certificate, ROOT.certificate)


def test_the_chain_of_the_client_is_that_of_openssl() -> None:
    server = server_context([ROOT.certificate])
    for trusted in TRUSTED:
        _, expected = chains(of_openssl(ssl.PROTOCOL_TLS_CLIENT, CLIENT, trusted), server)
        _, chain = chains(client_context(trusted), server)
        assert chain == expected != []


def test_the_chain_has_the_newest_certificate_of_an_authority() -> None:
    trusted = [OLD.certificate, ROOT.certificate]
    for some in (trusted, trusted[::-1]):
        chain, _ = chains(client_context(), server_context(some))
        assert chain == der(SERVER.certificate, ROOT.certificate)


def test_a_chain_in_the_file_is_sent_as_it_is() -> None:
    trusted = [OTHER.certificate, ROOT.certificate]
    chain, _ = chains(client_context(), server_context(trusted, ROOT.certificate))
    assert chain == der(SERVER.certificate, ROOT.certificate)


def test_the_authority_of_the_server_may_be_another_one() -> None:
    chain, _ = chains(client_context(), server_context([OTHER.certificate]))
    assert chain == der(SERVER.certificate)
