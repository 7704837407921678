"""The authorities of clients, also of those that resume a session.

A tenant may recognize its clients by an authority in their chain. TLS verifies a chain in a whole
handshake only, and does not keep it with the session; so it is remembered here. Sessions are kept by the
process that has made them, so that what resumes one is known, unless it was made long ago.
"""

from typing import Protocol

from kmipkit_server.identity.certificate import NoIdentity
from kmipkit_server.tenants.claims import keys_of

MAX_KNOWN = 20_480
"""Certificates whose authorities are remembered: as many as OpenSSL keeps sessions."""


class Verified(Protocol):
    """A connection whose handshake is complete."""

    @property
    def is_resumed(self) -> bool:
        """Whether it continues an earlier session."""

    def peer_certificate(self) -> bytes | None:
        """The certificate of the client (DER)."""

    def peer_chain(self) -> tuple[bytes, ...]:
        """The verified chain; only of a connection that is not resumed."""


class Authorities:
    """The authorities of the clients that have connected."""

    def __init__(self, maximum: int = MAX_KNOWN) -> None:
        self._maximum = maximum
        self._known: dict[bytes | None, tuple[bytes, ...]] = {}

    def of(self, stream: Verified) -> tuple[bytes, ...]:
        """The keys of the authorities in the verified chain of a client.

        NoIdentity if a session is resumed whose chain was forgotten: without its authorities, the
        client could be taken for an account of another tenant.
        """
        certificate = stream.peer_certificate()
        if not stream.is_resumed:
            keys = keys_of(stream.peer_chain()[1:])
            self._known.pop(certificate, None)
            if len(self._known) >= self._maximum:
                del self._known[next(iter(self._known))]
            self._known[certificate] = keys
            return keys
        found = self._known.get(certificate)
        if found is None:
            raise NoIdentity("the session is too old to be resumed; connect without it")
        return found
