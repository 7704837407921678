"""The authorities of clients that resume sessions: those of the handshake, or none is guessed.

A loss: by resuming a session, a client of a tenant would be the account of the same name outside.
"""

from dataclasses import dataclass
from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from kmipkit_certs.authority import Authority
from kmipkit_server.identity.certificate import NoIdentity
from kmipkit_server.net.chains import Authorities
from kmipkit_server.tenants.claims import key_of

NOW = datetime(2026, 11, 29, tzinfo=UTC)


@dataclass
class Stream:
    """A connection after its handshake."""

    certificate: bytes
    chain: tuple[bytes, ...] = ()
    is_resumed: bool = False

    def peer_certificate(self) -> bytes:
        return self.certificate

    def peer_chain(self) -> tuple[bytes, ...]:
        assert not self.is_resumed, "OpenSSL has none"
        return self.chain


@pytest.fixture(scope="module")
def authority() -> bytes:
    return Authority.create("Acme CA", "ecdsa-p256", NOW).certificate.public_bytes(Encoding.DER)


def test_a_resumed_session_has_the_authorities_of_its_handshake(authority: bytes) -> None:
    known = Authorities()
    assert known.of(Stream(b"db01", (b"db01", authority))) == (key_of(authority),)
    assert known.of(Stream(b"web", (b"web",))) == ()
    assert known.of(Stream(b"db01", is_resumed=True)) == (key_of(authority),)
    assert known.of(Stream(b"web", is_resumed=True)) == ()


def test_a_later_handshake_counts(authority: bytes) -> None:
    known = Authorities()
    known.of(Stream(b"db01", (b"db01", authority)))
    known.of(Stream(b"db01", (b"db01",)))
    assert known.of(Stream(b"db01", is_resumed=True)) == ()


def test_what_was_forgotten_is_refused(authority: bytes) -> None:
    """The number is bounded, since anybody with a certificate adds to it."""
    known = Authorities(maximum=2)
    for name in (b"a", b"b", b"a", b"c"):
        known.of(Stream(name, (name, authority)))
    assert known.of(Stream(b"a", is_resumed=True)) == (key_of(authority),)
    with pytest.raises(NoIdentity, match="too old"):
        known.of(Stream(b"b", is_resumed=True))
