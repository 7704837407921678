"""What may be wrong with a certificate: the rules of RFC 5280 and TLS, one function for each.

TLS libraries report "certificate verify failed", or just close the connection. Each rule here says
what is wrong and what to do about it. All rules are applied, so that one run shows every fault.
Whether a peer accepts the certificate is not decided here; see :mod:`.check`.
"""

import fnmatch
import ipaddress
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa, x448, x25519
from cryptography.x509.oid import ExtensionOID

from kmipkit_certs import identity, revocation, show
from kmipkit_certs.authority import Purpose
from kmipkit_certs.credentials import has_issued
from kmipkit_certs.errors import CertificateError
from kmipkit_certs.revocation_status import PeerCertificate, RevocationLists

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
    is_present: bool = False
    """Whether ``now`` is the present, at which OpenSSL can compare the dates itself."""
    host: str | None = None
    """The name or address by which a client connects."""
    key: object = None
    """The private key that is said to belong to the certificate."""
    identity_source: str | None = None
    """The part of a client's certificate that names it for the server; see :mod:`.identity`."""
    revocation_lists: Sequence[x509.CertificateRevocationList] = ()
    refuses_expired: bool = True
    """Whether an expired list makes the peer refuse all certificates of its authority."""
    revoked: frozenset[bytes] = frozenset()
    """The certificates in a list of the peer's own; see :func:`.revocation.signed_hash`."""

    @property
    def leaf(self) -> x509.Certificate:
        """The certificate itself."""
        return self.chain[0]


Rule = Callable[[Check], Iterator[str]]


def _chain(check: Check) -> Iterator[str]:
    path, problem = _path(check)
    if problem:
        yield problem
    for depth, authority in enumerate(path[1:]):
        yield from _authority(authority, depth, is_root=authority in check.trusted)


def _path(check: Check) -> tuple[list[x509.Certificate], str]:
    """The path from the certificate to a trusted root, and why it ends early, if it does."""
    path = [check.leaf]
    candidates = [*check.trusted, *check.chain[1:]]
    while not (path[-1] in check.trusted and is_self_issued(path[-1])):
        if len(path) > MAX_CHAIN:
            return path, f"chain: it has more than {MAX_CHAIN} certificates"
        issuer, problem = _issuer(path[-1], candidates, path[-1] in check.trusted)
        if issuer is None:
            return path, problem
        if issuer in path:
            return path, _self_signed(issuer)
        path.append(issuer)
    return path, ""


def is_self_issued(certificate: x509.Certificate) -> bool:
    """Whether subject and issuer are the same: a root, or a certificate without an authority."""
    return _issuer_key(certificate) == _subject_key(certificate)


def _subject_key(certificate: x509.Certificate) -> revocation.NameKey | None:
    """The subject in a form that can be compared; None if it is malformed."""
    try:
        return revocation.name_key(certificate.subject)
    except (ValueError, TypeError):
        return None


def _issuer_key(certificate: x509.Certificate) -> revocation.NameKey | None:
    try:
        return revocation.name_key(certificate.issuer)
    except (ValueError, TypeError):
        return None


def _self_signed(certificate: x509.Certificate) -> str:
    return (
        f"chain: {show.name_text(certificate)} is self-signed and not among the trusted"
        " authorities; add it to those of the peer"
    )


def _issuer(
    certificate: x509.Certificate, candidates: Sequence[x509.Certificate], is_trusted: bool
) -> tuple[x509.Certificate | None, str]:
    name_key = _issuer_key(certificate)
    same_name = [each for each in candidates if _subject_key(each) == name_key]
    # The library verifies no signatures with SHA-1; another rule says that peers do not either.
    is_unverifiable = isinstance(_hash(certificate), WEAK_HASHES)
    for candidate in same_name:
        if is_unverifiable or has_issued(candidate, certificate):
            return candidate, ""
    name, issuer = show.name_text(certificate), show.issuer_text(certificate)
    if same_name:
        return None, (
            f"chain: {name} was signed by an authority {issuer} with"
            " a different key than the trusted one; the authority was probably recreated: issue the"
            " certificate again, or trust the old authority as well"
        )
    if is_self_issued(certificate):
        return None, _self_signed(certificate)
    if is_trusted:
        return None, _rootless(certificate)
    return None, (
        f"chain: the issuer {issuer} of {name} is not among the trusted authorities, and was not sent"
        " with it; add the authority or the intermediate certificate"
    )


def _rootless(certificate: x509.Certificate) -> str:
    return (
        f"chain: {show.name_text(certificate)} is trusted, but it is not a root: its issuer"
        f" {show.issuer_text(certificate)} is missing, and OpenSSL requires the chain up to its"
        " root; add the root to the trusted authorities"
    )


def incomplete_anchor(
    authority: x509.Certificate, trusted: Sequence[x509.Certificate]
) -> Iterator[str]:
    """A trusted authority that is not a root, and whose issuer is not trusted."""
    if not is_self_issued(authority) and not any(has_issued(each, authority) for each in trusted):
        yield _rootless(authority)


def _authority(authority: x509.Certificate, below: int, *, is_root: bool) -> Iterator[str]:
    constraints = show.extension_value(authority, x509.BasicConstraints)
    name = show.name_text(authority)
    if is_root and is_self_issued(authority) and authority.version is x509.Version.v1:
        return  # version 1 has no extensions; OpenSSL accepts it as a root, and only there
    if constraints is None or not constraints.ca:
        yield (
            f"chain: {name} signed a certificate, but its Basic Constraints do not make it an authority"
        )
    elif constraints.path_length is not None and below > constraints.path_length:
        yield f"chain: {name} permits {constraints.path_length} authorities below it; there are {below}"
    usage = show.extension_value(authority, x509.KeyUsage)
    if usage is not None and not usage.key_cert_sign:
        yield f"chain: the key usage of {name} does not permit signing certificates"


def dates(check: Check) -> Iterator[str]:
    """Certificates of the path that are not valid yet, or no longer."""
    for certificate in _path(check)[0]:
        start, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
        name = show.name_text(certificate)
        if check.now < start:
            yield (
                f"dates: {name} is not valid before {start:%Y-%m-%d %H:%M} UTC, and it"
                f" is {check.now:%Y-%m-%d %H:%M} UTC; compare the clocks of both sides"
            )
        if check.now > end:
            yield f"dates: {name} expired on {end:%Y-%m-%d %H:%M} UTC; issue a new one"


def usage(check: Check) -> Iterator[str]:
    """An extended key usage that excludes the side of the connection, on the certificate or above."""
    for certificate in _path(check)[0]:
        allowed = show.usages(certificate)
        for usage_name in map(show.usage_name, check.purpose.value):
            if allowed is None or usage_name in allowed:
                continue
            is_leaf = certificate == check.leaf
            of = "" if is_leaf else f" of {show.name_text(certificate)}"
            hint = ", and OpenSSL does not take any for it" if "any" in allowed else ""
            yield (
                f"usage: the extended key usage{of} permits {', '.join(allowed)}, but not"
                f" {usage_name}{hint}; issue a certificate with the usage {usage_name}"
            )
    key_usage = show.extension_value(check.leaf, x509.KeyUsage)
    if key_usage is not None and not key_usage.digital_signature:
        yield "usage: the key usage does not permit digital signatures, which TLS 1.3 requires"


_KNOWN_EXTENSIONS = frozenset(
    {
        ExtensionOID.BASIC_CONSTRAINTS,
        ExtensionOID.CERTIFICATE_POLICIES,
        ExtensionOID.CRL_DISTRIBUTION_POINTS,
        ExtensionOID.EXTENDED_KEY_USAGE,
        ExtensionOID.INHIBIT_ANY_POLICY,
        ExtensionOID.KEY_USAGE,
        ExtensionOID.NAME_CONSTRAINTS,
        ExtensionOID.POLICY_CONSTRAINTS,
        ExtensionOID.POLICY_MAPPINGS,
        ExtensionOID.SUBJECT_ALTERNATIVE_NAME,
    }
)
"""The extensions that OpenSSL processes."""


def _extensions(check: Check) -> Iterator[str]:
    for certificate in _path(check)[0]:
        name = show.name_text(certificate)
        try:
            extensions = certificate.extensions
        except show.MALFORMED_EXTENSIONS as error:
            yield f"extension: an extension of {name} is malformed: {error}"
            continue
        for extension in extensions:
            if extension.critical and extension.oid not in _KNOWN_EXTENSIONS:
                oid = extension.oid.dotted_string
                yield (
                    f"extension: {name} has the critical extension {oid}, which OpenSSL does not know"
                    " (RFC 5280 §4.2: then it must be refused); issue it without, or not as critical"
                )


def host(check: Check) -> Iterator[str]:
    """A name by which clients connect that is not in the certificate."""
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
            f"name: it has no alternative names, and many peers ignore the Common Name; issue a"
            f" certificate with the alternative name {check.host}"
        )


def _matches(host_name: str, name: str) -> bool:
    """RFC 6125 §6.4: regardless of case; a star matches the leftmost label; addresses by value."""
    try:
        return ipaddress.ip_address(host_name) == ipaddress.ip_address(name)
    except ValueError:
        pass
    host_name, name = host_name.lower().rstrip("."), name.lower()
    if name.startswith("*."):
        return fnmatch.fnmatchcase(host_name, f"?*{name[1:]}") and (
            host_name.count(".") == name.count(".")
        )
    return host_name == name


def _algorithm(check: Check) -> Iterator[str]:
    path = _path(check)[0]
    for certificate in path:
        yield from weak_algorithms(certificate, is_trusted=certificate in check.trusted)


def weak_algorithms(certificate: x509.Certificate, *, is_trusted: bool = False) -> Iterator[str]:
    """Keys and signatures that peers refuse; the signature of a trusted certificate is not verified."""
    name = show.name_text(certificate)
    weakness = _weak_key(certificate)
    if weakness:
        yield f"algorithm: the key of {name} is {weakness}"
    if not is_trusted and isinstance(_hash(certificate), WEAK_HASHES):
        yield (
            f"algorithm: {name} is signed with {show.signature_name(certificate)};"
            " peers reject MD5 and SHA-1; sign it with SHA-256"
        )


def _hash(certificate: x509.Certificate) -> hashes.HashAlgorithm | None:
    try:
        return certificate.signature_hash_algorithm
    except (ValueError, UnsupportedAlgorithm):  # the library does not know the algorithm
        return None


def _weak_key(certificate: x509.Certificate) -> str:
    try:
        key = certificate.public_key()
    except (ValueError, UnsupportedAlgorithm) as error:
        return f"not supported: {error}"
    if isinstance(key, rsa.RSAPublicKey) and key.key_size < MIN_RSA:
        return f"RSA with {key.key_size} bits; peers require at least {MIN_RSA}"
    if isinstance(key, dsa.DSAPublicKey):
        return "DSA, which TLS no longer supports; use RSA or ECDSA"
    if isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name not in TLS_CURVES:
        return f"on the curve {key.curve.name}, which few TLS peers support; use P-256 or RSA"
    if isinstance(key, x25519.X25519PublicKey | x448.X448PublicKey):
        return "for key agreement only, and cannot sign; use RSA or ECDSA"
    return ""


def _key(check: Check) -> Iterator[str]:
    public_key = getattr(check.key, "public_key", None)
    try:
        if public_key is not None and public_key() != check.leaf.public_key():
            yield "key: the private key does not belong to the certificate; use the key of this one"
    except (ValueError, UnsupportedAlgorithm):
        return  # another rule says that the key is not supported


def _identity(check: Check) -> Iterator[str]:
    """The server takes the account from a client's certificate."""
    if check.identity_source is None or check.purpose is Purpose.SERVER:
        return
    try:
        identity.require_not_reserved(identity.client_name(check.leaf, check.identity_source))
    except identity.NoName as error:
        yield f"identity: {error}"


def _revocation(check: Check) -> Iterator[str]:
    has_lists = bool(check.revocation_lists or check.revoked)
    if check.purpose is Purpose.SERVER and not has_lists:
        return  # only the server looks at every certificate
    path = _path(check)[0]
    lists = []
    for crl in check.revocation_lists:
        try:
            authority = revocation.signer(crl, [*check.trusted, *path[1:]])
            revocation.entries(crl)
        except CertificateError as error:
            yield f"revocation: {error}"
            continue
        lists.append(revocation.RevocationList(revocation.NO_PATH, crl, authority))
    try:
        status = RevocationLists.of(lists, check.revoked, check.trusted)
        # A server looks the certificate itself up, and the authorities that it trusts. A peer of a
        # server does the same for all certificates that the server sends.
        concerned = path[:1] if check.purpose is Purpose.CLIENT else path
        peers = [PeerCertificate.of(certificate) for certificate in concerned]
    except (ValueError, TypeError) as error:
        yield f"revocation: a certificate is malformed: {error}"
        return
    for peer in peers:
        reason = status.reason(peer)
        if reason is None and check.refuses_expired:
            reason = status.expiration_reason(peer, check.now)
        if reason is not None:
            yield f"revocation: {reason}"


VERIFICATION: tuple[Rule, ...] = (_chain, usage, _extensions, host, _algorithm)
"""What OpenSSL verifies; these rules only explain its verdict."""
DATES: tuple[Rule, ...] = (dates,)
"""Likewise, if the certificate is checked at the present time."""
DECISIONS: tuple[Rule, ...] = (_key, _identity, _revocation)
"""What OpenSSL does not verify here; these rules decide."""
