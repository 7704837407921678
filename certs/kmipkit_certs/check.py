"""Why a peer would reject a certificate: the rules of RFC 5280 and TLS, one function for each.

TLS libraries report "certificate verify failed", or just close the connection. Each rule here says
what is wrong and what to do about it. All rules are applied, so that one run shows every fault.
"""

import fnmatch
import ipaddress
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa

from kmipkit_certs import revocation, show
from kmipkit_certs.authority import Purpose
from kmipkit_certs.errors import CertificateError
from kmipkit_certs.keypairs import PrivateKey

MIN_RSA = 2048
WEAK_HASHES = (hashes.MD5, hashes.SHA1)
TLS_CURVES = ("secp256r1", "secp384r1", "secp521r1")
MAX_CHAIN = 10


@dataclass(frozen=True, slots=True)
class Check:
    """A certificate to check, and the peer that would verify it."""

    chain: Sequence[x509.Certificate]
    """The certificates that the owner sends: its own first, then intermediate authorities."""
    trusted: Sequence[x509.Certificate]
    """The authorities that the peer trusts."""
    purpose: Purpose
    now: datetime
    host: str | None = None
    """The name or address by which a client connects."""
    key: PrivateKey | None = None
    revocation_lists: Sequence[x509.CertificateRevocationList] = ()
    revoked: frozenset[bytes] = frozenset()
    """The certificates in a list of the peer's own; see :func:`.revocation.signed_hash`."""

    @property
    def leaf(self) -> x509.Certificate:
        """The certificate itself."""
        return self.chain[0]


Rule = Callable[[Check], Iterator[str]]


def reasons(check: Check) -> list[str]:
    """Why a peer would reject the certificate; empty if it would accept it."""
    return [reason for rule in RULES for reason in rule(check)]


def _chain(check: Check) -> Iterator[str]:
    path, problem = _path(check)
    if problem:
        yield problem
    for depth, authority in enumerate(path[1:]):
        yield from _authority(authority, depth)


def _path(check: Check) -> tuple[list[x509.Certificate], str]:
    """The path from the certificate to a trusted authority, and why it ends early, if it does."""
    path = [check.leaf]
    candidates = [*check.trusted, *check.chain[1:]]
    while path[-1] not in check.trusted:
        if len(path) > MAX_CHAIN:
            return path, f"chain: it has more than {MAX_CHAIN} certificates"
        issuer, problem = _issuer(path[-1], candidates)
        if issuer is None:
            return path, problem
        if issuer in path:
            return path, (
                f"chain: {_name(issuer)} is self-signed and not among the trusted"
                " authorities; add it to those of the peer"
            )
        path.append(issuer)
    if len(path) == 1 and show.is_authority(check.leaf):
        return path, (
            f"chain: {_name(check.leaf)} is a certificate authority, not a peer;"
            " issue a certificate with it"
        )
    return path, ""


def _issuer(
    certificate: x509.Certificate, candidates: Sequence[x509.Certificate]
) -> tuple[x509.Certificate | None, str]:
    same_name = [candidate for candidate in candidates if candidate.subject == certificate.issuer]
    for candidate in same_name:
        try:
            certificate.verify_directly_issued_by(candidate)
        except (ValueError, TypeError, InvalidSignature):
            continue
        return candidate, ""
    if same_name:
        return None, (
            f"chain: {_name(certificate)} was signed by an authority {_text(certificate.issuer)} with"
            " a different key than the trusted one; the authority was probably recreated: issue the"
            " certificate again, or trust the old authority as well"
        )
    if certificate.issuer == certificate.subject:
        return None, (
            f"chain: {_name(certificate)} is self-signed and not among the trusted"
            " authorities; add it to those of the peer"
        )
    return None, (
        f"chain: the issuer {_text(certificate.issuer)} of {_name(certificate)} is not among the"
        " trusted authorities, and was not sent with it; add the authority or the intermediate"
        " certificate"
    )


def _authority(authority: x509.Certificate, below: int) -> Iterator[str]:
    constraints = show.extension_value(authority, x509.BasicConstraints)
    if constraints is None or not constraints.ca:
        yield (
            f"chain: {_name(authority)} signed a certificate, but its Basic Constraints do not"
            " make it an authority"
        )
    elif constraints.path_length is not None and below > constraints.path_length:
        yield (
            f"chain: {_name(authority)} permits {constraints.path_length} authorities below it; there"
            f" are {below}"
        )
    usage = show.extension_value(authority, x509.KeyUsage)
    if usage is not None and not usage.key_cert_sign:
        yield f"chain: the key usage of {_name(authority)} does not permit signing certificates"


def _dates(check: Check) -> Iterator[str]:
    for certificate in _path(check)[0]:
        start, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
        if check.now < start:
            yield (
                f"dates: {_name(certificate)} is not valid before {start:%Y-%m-%d %H:%M} UTC, and it"
                f" is {check.now:%Y-%m-%d %H:%M} UTC; compare the clocks of both sides"
            )
        if check.now > end:
            yield (
                f"dates: {_name(certificate)} expired on {end:%Y-%m-%d %H:%M} UTC; issue a new one"
            )


def _usage(check: Check) -> Iterator[str]:
    allowed = show.usages(check.leaf)
    for usage_name in map(show.usage_name, check.purpose.value):
        if allowed is not None and usage_name not in allowed and "any" not in allowed:
            yield (
                f"usage: the extended key usage permits {', '.join(allowed)}, but not {usage_name};"
                f" issue a certificate with the usage {usage_name}"
            )
    usage = show.extension_value(check.leaf, x509.KeyUsage)
    if usage is not None and not usage.digital_signature:
        yield "usage: the key usage does not permit digital signatures, which TLS 1.3 requires"


def _host(check: Check) -> Iterator[str]:
    if check.host is None:
        return
    names = list(show.alternative_names(check.leaf))
    if any(_matches(check.host, name) for name in names):
        return
    if names:
        yield (
            f"name: {check.host} is not among the alternative names ({', '.join(names)});"
            " connect by one of those names, or issue a certificate with that name"
        )
    else:
        yield (
            f"name: it has no alternative names, and peers ignore the Common Name; issue a"
            f" certificate with the alternative name {check.host}"
        )


def _matches(host: str, name: str) -> bool:
    """RFC 6125 §6.4: regardless of case; a star matches the leftmost label; addresses by value."""
    try:
        return ipaddress.ip_address(host) == ipaddress.ip_address(name)
    except ValueError:
        pass
    host, name = host.lower().rstrip("."), name.lower()
    if name.startswith("*."):
        return fnmatch.fnmatchcase(host, f"?*{name[1:]}") and host.count(".") == name.count(".")
    return host == name


def _algorithm(check: Check) -> Iterator[str]:
    path = _path(check)[0]
    for certificate in path:
        weakness = _weak_key(certificate.public_key())
        if weakness:
            yield f"algorithm: the key of {_name(certificate)} is {weakness}"
        trusted = certificate in check.trusted  # its own signature is not verified
        if not trusted and isinstance(_hash(certificate), WEAK_HASHES):
            yield (
                f"algorithm: {_name(certificate)} is signed with {show.signature_name(certificate)};"
                " peers reject MD5 and SHA-1; sign it with SHA-256"
            )


def _hash(certificate: x509.Certificate) -> hashes.HashAlgorithm | None:
    try:
        return certificate.signature_hash_algorithm
    except ValueError:  # the library does not know the algorithm
        return None


def _weak_key(key: object) -> str:
    if isinstance(key, rsa.RSAPublicKey) and key.key_size < MIN_RSA:
        return f"RSA with {key.key_size} bits; peers require at least {MIN_RSA}"
    if isinstance(key, dsa.DSAPublicKey):
        return "DSA, which TLS no longer supports; use RSA or ECDSA"
    if isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name not in TLS_CURVES:
        return f"on the curve {key.curve.name}, which few TLS peers support; use P-256 or RSA"
    return ""


def _key(check: Check) -> Iterator[str]:
    if check.key is not None and check.key.public_key() != check.leaf.public_key():
        yield "key: the private key does not belong to the certificate; use the key of this certificate"


def _revocation(check: Check) -> Iterator[str]:
    path = _path(check)[0]
    for crl in check.revocation_lists:
        try:
            revocation.signer(crl, [*check.trusted, *path[1:]])
            serials = revocation.entries(crl)
        except CertificateError as error:
            yield f"revocation: {error}"
            continue
        issuer = revocation.name_key(crl.issuer)
        concerned = [each for each in path if revocation.name_key(each.issuer) == issuer]
        for certificate in concerned:
            if certificate.serial_number in serials:
                entry = serials[certificate.serial_number]
                yield f"revocation: {_name(certificate)} was revoked on {entry}; issue a new one"
        end = crl.next_update_utc
        if concerned and end is not None and check.now > end:
            yield (
                f"revocation: the revocation list of {_text(crl.issuer)} expired on"
                f" {end:%Y-%m-%d %H:%M} UTC; get a newer one from the authority"
            )
    for certificate in path:
        if revocation.signed_hash(certificate) in check.revoked:
            yield f"revocation: {_name(certificate)} is in the list of revoked certificates"


def _name(certificate: x509.Certificate) -> str:
    return _text(certificate.subject)


def _text(name: x509.Name) -> str:
    return f"'{name.rfc4514_string()}'"


RULES: tuple[Rule, ...] = (_chain, _dates, _usage, _host, _algorithm, _key, _revocation)
