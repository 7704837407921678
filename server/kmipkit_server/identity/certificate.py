"""The identity of a client, from its certificate.

The configuration says which part of the certificate names the client. An identity owns the objects
that it creates, so several certificates (renewals, members of a cluster) may have the same identity.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import ClassVar

from cryptography import x509
from kmipkit_certs.identity import NoName, client_name, require_not_reserved
from kmipkit_certs.revocation_status import MALFORMED, PeerCertificate

from kmipkit.spec.enums import ResultReason
from kmipkit_server.identity.identity import SYSTEM, Identity
from kmipkit_server.store.errors import StoreError
from kmipkit_server.store.owners import is_of_tenant


class NoIdentity(Exception):
    """The certificate does not name a client; the text says why."""

    reason: ClassVar[ResultReason] = ResultReason.AUTHENTICATION_NOT_SUCCESSFUL
    """What a KMIP client gets."""
    status: ClassVar[HTTPStatus] = HTTPStatus.FORBIDDEN
    """What a client of the application beside KMIP gets."""

    @property
    def answer(self) -> str:
        """What the client learns."""
        return str(self)


class ManyTenants(NoIdentity):
    """Several tenants claim the certificate. The text names them, so that the client does not get it."""

    @property
    def answer(self) -> str:
        """What the client learns."""
        return (
            "the server cannot tell to whom the certificate belongs; ask its administrator, whose log"
            " says why"
        )


class Unavailable(NoIdentity):
    """The store cannot tell at the moment to whom the certificate belongs; the text is for the log."""

    reason: ClassVar[ResultReason] = ResultReason.GENERAL_FAILURE
    status: ClassVar[HTTPStatus] = HTTPStatus.SERVICE_UNAVAILABLE

    @property
    def answer(self) -> str:
        """What the client learns."""
        return StoreError.explanation


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
        if account == SYSTEM.name or is_of_tenant(account):
            raise NoIdentity(
                f"identity.accounts gives the certificate of {name!r} the account {account!r}, which no"
                " certificate can have"
            )
        try:
            return Identity(
                account,
                certificate=PeerCertificate.of(certificate),
                certificate_expires=certificate.not_valid_after_utc,
                presented=der,
            )
        except MALFORMED as error:
            raise NoIdentity(f"the certificate is malformed: {error}") from None
