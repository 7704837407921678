"""The identity of a client, from its certificate.

The configuration says which part of the certificate names the client. An identity owns the objects
that it creates, so several certificates (renewals, members of a cluster) may have the same identity.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256

from cryptography import x509
from kmipkit_certs.identity import NoName, client_name, require_not_reserved

from kmipkit_server.identity.identity import SYSTEM, Identity


class NoIdentity(Exception):
    """The certificate does not name a client; the text says why."""


MAX_CACHED = 1024
"""Certificates whose identity is cached, so that a new connection need not parse them again."""


@dataclass(frozen=True, slots=True)
class IdentityRule:
    """From certificate to identity: the part that names it, and accounts for some of the names."""

    source: str = "cn"
    accounts: Mapping[str, str] = field(default_factory=dict)
    _cache: dict[bytes, Identity] = field(default_factory=dict, compare=False, repr=False)

    def identify(self, certificate: bytes | None) -> Identity:
        """The identity of a verified certificate (DER). NoIdentity if it does not name one."""
        if certificate is None:
            raise NoIdentity("the client sent no certificate")
        identity = self._cache.get(certificate)
        if identity is None:
            identity = self._read(certificate)
            if len(self._cache) >= MAX_CACHED:
                self._cache.clear()
            self._cache[certificate] = identity
        return identity

    def account_of(self, certificate: bytes) -> str | None:
        """The account that a certificate names; ``None`` if it names none."""
        try:
            return self._read(certificate).name
        except NoIdentity:
            return None

    def _read(self, der: bytes) -> Identity:
        try:
            certificate = x509.load_der_x509_certificate(der)
        except (ValueError, x509.InvalidVersion) as error:
            raise NoIdentity(f"the certificate is malformed: {error}") from None
        try:
            name = client_name(certificate, self.source)
            if name not in self.accounts:
                require_not_reserved(name)
        except NoName as error:
            raise NoIdentity(str(error)) from None
        account = self.accounts.get(name, name)
        if account == SYSTEM.name:
            raise NoIdentity("the account of the certificate is that of the server itself")
        return Identity(
            account,
            certificate=sha256(der).digest(),
            certificate_expires=certificate.not_valid_after_utc,
        )
