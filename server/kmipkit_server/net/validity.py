"""How long the certificates and revocation lists of the server are still valid."""

from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple

from cryptography import x509

from kmipkit_server.net.tls import TLSSettings

_DAY = 24 * 3600.0


class Validity(NamedTuple):
    """The end of a certificate or list, all of them named by the configuration or by the server."""

    role: str
    """``server``, ``issuer`` (of the server's certificate), ``client-authority`` or ``crl``."""
    name: str
    begin: datetime | None
    end: datetime

    def days_left(self, now: datetime) -> float:
        """Days until the end; negative after it."""
        return (self.end - now).total_seconds() / _DAY


def validities(tls: TLSSettings) -> Iterator[Validity]:
    """The ends of all certificates and lists in use."""
    for credentials in tls.material.own:
        yield _validity("server", credentials.name, credentials.chain[0])
        for issuer in credentials.chain[1:]:
            yield _validity("issuer", _subject(issuer), issuer)
    for authority in (*tls.material.trusted, *tls.further):
        yield _validity("client-authority", _subject(authority), authority)
    for expiration in tls.revocations.expirations():
        yield Validity("crl", f"{expiration.path}: {expiration.issuer}", None, expiration.end)


def _validity(role: str, name: str, certificate: x509.Certificate) -> Validity:
    return Validity(role, name, certificate.not_valid_before_utc, certificate.not_valid_after_utc)


def _subject(certificate: x509.Certificate) -> str:
    """The subject with the serial number: authorities may share a name while one replaces another."""
    return f"{certificate.subject.rfc4514_string()} ({certificate.serial_number:x})"
