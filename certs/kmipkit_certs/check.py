"""Whether a peer accepts a certificate, and why not.

The verdict is that of OpenSSL, with the settings of the server or of the client; see :mod:`.handshake`.
:mod:`.rules` explain it, and decide what OpenSSL does not verify.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType

from cryptography import x509

from kmipkit_certs import rules, show
from kmipkit_certs.authority import Purpose
from kmipkit_certs.credentials import has_issued
from kmipkit_certs.errors import CertificateError
from kmipkit_certs.handshake import refusal_by_client, refusal_by_server
from kmipkit_certs.rules import Check

EXPIRES_SOON = timedelta(days=30)

__all__ = ["Check", "Verdict", "authority_warnings", "reasons", "server_warnings", "verdict"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a peer does with a certificate."""

    openssl: str | None
    """OpenSSL's reason to refuse it, in its words; None if OpenSSL accepts it."""
    reasons: tuple[str, ...]
    """Why the peer refuses it, and what to do about it; empty if it accepts it."""
    warnings: tuple[str, ...] = ()
    """What other peers may object to, though this one accepts it."""

    @property
    def is_accepted(self) -> bool:
        """Whether the peer accepts the certificate."""
        return not self.reasons


def verdict(check: Check) -> Verdict:
    """Ask OpenSSL, and explain what it says."""
    try:
        openssl = _openssl(check)
    except CertificateError as error:
        openssl = str(error)
    openssl_rules = (*rules.VERIFICATION, *(rules.DATES if check.is_present else ()))
    decisions = (*rules.DECISIONS, *(() if check.is_present else rules.DATES))
    objections = [text for rule in openssl_rules for text in rule(check)]
    decided = [text for rule in decisions for text in rule(check)]
    if openssl is None:
        return Verdict(None, tuple(decided), tuple(_advice(check)))
    return Verdict(openssl, (*_explained(openssl, objections), *decided))


def reasons(check: Check) -> list[str]:
    """Why a peer would refuse the certificate; empty if it would accept it."""
    return list(verdict(check).reasons)


def _openssl(check: Check) -> str | None:
    refusals = []
    if check.purpose is not Purpose.SERVER:
        refusals.append(
            refusal_by_server(check.chain, check.trusted, checks_dates=check.is_present)
        )
    if check.purpose is not Purpose.CLIENT:
        refusals.append(
            refusal_by_client(check.chain, check.trusted, check.host, checks_dates=check.is_present)
        )
    return next((each for each in refusals if each is not None), None)


_TOPICS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "expired": ("dates", "issue a new certificate"),
        "not yet valid": ("dates", "compare the clocks of both sides"),
        "purpose": ("usage", "issue a certificate for this side of the connection"),
        "critical extension": ("extension", "issue it without the extension"),
        "mismatch": ("name", "connect by a name in the certificate"),
        "too weak": ("algorithm", "use RSA with 2048 bits or more, or ECDSA, and SHA-256"),
        "did not return a certificate": (
            "algorithm",
            "TLS 1.3 cannot use this key; use P-256 or RSA",
        ),
        "no shared cipher": ("algorithm", "TLS 1.3 cannot use this key; use P-256 or RSA"),
        "not supported": ("algorithm", "use RSA or ECDSA"),
        "subtree violation": ("chain", "an authority does not permit names like those in it"),
        "name constraint": ("chain", "an authority does not permit names like those in it"),
        "key identifier": ("chain", "newer versions of Python require it; issue it again with one"),
        "basic constraints": ("chain", "newer versions of Python require them; issue it again"),
        "key usage": ("chain", "newer versions of Python require it; issue it again"),
    }
)
"""Parts of OpenSSL's words, the rules that explain them, and what to say if none of them does."""


def _explained(openssl: str, objections: Sequence[str]) -> list[str]:
    words = openssl.lower()
    default = ("chain", "the chain does not lead to a trusted authority as OpenSSL requires it")
    topic, advice = next((each for part, each in _TOPICS.items() if part in words), default)
    explaining = [text for text in objections if text.startswith(f"{topic}:")]
    if explaining:  # first what OpenSSL has found first
        return [*explaining, *(text for text in objections if text not in explaining)]
    return [f"{topic}: {openssl}; {advice}", *objections]


def _advice(check: Check) -> Iterator[str]:
    """What other peers than OpenSSL object to."""
    if check.purpose is not Purpose.CLIENT:
        yield from rules.host(check)
    if check.is_present:
        yield from _expires_soon(check.leaf, check.now)
    if check.leaf.serial_number <= 0:
        yield "serial: the serial number is not positive (RFC 5280 §4.1.2.2); some peers refuse that"


# The server's own certificate ----------------------------------------------------------------------


def server_warnings(
    chain: Sequence[x509.Certificate], trusted: Sequence[x509.Certificate], now: datetime
) -> list[str]:
    """Why clients may refuse a server with this certificate.

    Which authorities they trust is not known, so this is no verdict.

    Args:
        trusted: the authorities of the clients, which often have issued the server's certificate, too.
    """
    check = Check(chain, (), Purpose.SERVER, now)
    return [
        *(text for certificate in chain for text in _dates(certificate, now)),
        *rules.usage(check),
        *_nameless(chain[0]),
        *_incomplete(chain, trusted),
        *(text for certificate in chain for text in rules.weak_algorithms(certificate)),
    ]


def authority_warnings(trusted: Sequence[x509.Certificate], now: datetime) -> list[str]:
    """Why the server may refuse all clients of an authority that it trusts."""
    return [
        *(text for certificate in trusted for text in _dates(certificate, now)),
        *(
            text
            for certificate in trusted
            for text in rules.incomplete_anchor(certificate, trusted)
        ),
    ]


def _dates(certificate: x509.Certificate, now: datetime) -> Iterator[str]:
    yield from rules.dates(Check([certificate], [certificate], Purpose.BOTH, now))
    yield from _expires_soon(certificate, now)


def _expires_soon(certificate: x509.Certificate, now: datetime) -> Iterator[str]:
    end = certificate.not_valid_after_utc
    if now <= end < now + EXPIRES_SOON:
        yield (
            f"dates: {show.name_text(certificate)} expires on {end:%Y-%m-%d %H:%M} UTC; issue a new one"
            " before that"
        )


def _nameless(certificate: x509.Certificate) -> Iterator[str]:
    if not list(show.alternative_names(certificate)):
        yield (
            f"name: {show.name_text(certificate)} has no alternative names, and many clients ignore the"
            " Common Name; issue a certificate with the names and addresses of the server"
        )


def _incomplete(
    chain: Sequence[x509.Certificate], trusted: Sequence[x509.Certificate]
) -> Iterator[str]:
    """The file of the server must have the intermediate authorities, which clients do not know."""
    top = chain[0]
    for each in chain[1:]:
        if has_issued(each, top):
            top = each
    if rules.is_self_issued(top):
        return
    issuer, name = show.issuer_text(top), show.name_text(top)
    authority = next((each for each in trusted if has_issued(each, top)), None)
    if authority is None:
        yield (
            f"chain: the issuer {issuer} of {name} is not in the file; if it is an intermediate"
            " authority, add its certificate, since clients may know only the root"
        )
    elif not rules.is_self_issued(authority):
        yield (
            f"chain: the intermediate authority {issuer} of {name} is not in the file; add its"
            " certificate, since clients may know only the root"
        )
