"""Why would a peer refuse this certificate? The rules of RFC 5280 and TLS, one function for each.

TLS libraries answer "certificate verify failed" or only close the connection. Each rule here says
in plain words what it saw and what to do, and all of them are tried, so that one run shows every
fault.
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

from kmipkit_certs import show
from kmipkit_certs.authority import Purpose
from kmipkit_certs.keypairs import PrivateKey

MIN_RSA = 2048
WEAK_HASHES = (hashes.MD5, hashes.SHA1)
TLS_CURVES = ("secp256r1", "secp384r1", "secp521r1")
MAX_CHAIN = 10


@dataclass(frozen=True, slots=True)
class Question:
    """What is to be judged, and by whom."""

    chain: Sequence[x509.Certificate]
    """What the owner of the certificate sends: its own first, then intermediate authorities."""
    trusted: Sequence[x509.Certificate]
    """The authorities that the judging peer trusts."""
    purpose: Purpose
    now: datetime
    host: str | None = None
    """The name or address by which a client would connect."""
    key: PrivateKey | None = None

    @property
    def leaf(self) -> x509.Certificate:
        """The certificate in question."""
        return self.chain[0]


Rule = Callable[[Question], Iterator[str]]


def reasons(question: Question) -> list[str]:
    """Why it would be refused, in plain words; empty if it would be accepted."""
    return [reason for rule in RULES for reason in rule(question)]


def _chain(question: Question) -> Iterator[str]:
    path, trouble = _path(question)
    if trouble:
        yield trouble
    for depth, authority in enumerate(path[1:]):
        yield from _authority(authority, depth)


def _path(question: Question) -> tuple[list[x509.Certificate], str]:
    """From the certificate to a trusted authority, and why it ends before that, if so."""
    path = [question.leaf]
    known = [*question.trusted, *question.chain[1:]]
    while path[-1] not in question.trusted:
        if len(path) > MAX_CHAIN:
            return path, f"chain: longer than {MAX_CHAIN} certificates"
        issuer, trouble = _issuer(path[-1], known)
        if issuer is None:
            return path, trouble
        if issuer in path:
            return path, (
                f"chain: {_name(issuer)} is signed by itself and is not among the trusted"
                " authorities; give it to the peer as a trusted authority"
            )
        path.append(issuer)
    if len(path) == 1 and show.is_authority(question.leaf):
        return path, (
            f"chain: {_name(question.leaf)} is an authority, not the certificate of a peer;"
            " issue one with it"
        )
    return path, ""


def _issuer(
    certificate: x509.Certificate, known: Sequence[x509.Certificate]
) -> tuple[x509.Certificate | None, str]:
    named = [other for other in known if other.subject == certificate.issuer]
    for other in named:
        try:
            certificate.verify_directly_issued_by(other)
        except (ValueError, TypeError, InvalidSignature):
            continue
        return other, ""
    if named:
        return None, (
            f"chain: {_name(certificate)} was signed by another key of the name"
            f" {_text(certificate.issuer)} than the trusted one; the authority was probably made"
            " anew: issue the certificate again, or trust the old authority too"
        )
    if certificate.issuer == certificate.subject:
        return None, (
            f"chain: {_name(certificate)} is signed by itself and is not among the trusted"
            " authorities; give it to the peer as a trusted authority"
        )
    return None, (
        f"chain: the issuer {_text(certificate.issuer)} of {_name(certificate)} is not among the"
        " trusted authorities nor sent with it; add the authority or the intermediate certificate"
    )


def _authority(authority: x509.Certificate, below: int) -> Iterator[str]:
    constraints = show.find(authority, x509.BasicConstraints)
    if constraints is None or not constraints.ca:
        yield (
            f"chain: {_name(authority)} signed a certificate but is no authority (Basic Constraints"
            " do not say CA)"
        )
    elif constraints.path_length is not None and below > constraints.path_length:
        yield (
            f"chain: {_name(authority)} allows {constraints.path_length} authorities below it, there"
            f" are {below}"
        )
    usage = show.find(authority, x509.KeyUsage)
    if usage is not None and not usage.key_cert_sign:
        yield f"chain: the key usage of {_name(authority)} does not allow to sign certificates"


def _dates(question: Question) -> Iterator[str]:
    for certificate in _path(question)[0]:
        start, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
        if question.now < start:
            yield (
                f"dates: {_name(certificate)} is valid from {start:%Y-%m-%d %H:%M} UTC only, it is"
                f" {question.now:%Y-%m-%d %H:%M} UTC; check both clocks"
            )
        if question.now > end:
            yield (
                f"dates: {_name(certificate)} expired on {end:%Y-%m-%d %H:%M} UTC; issue it again"
            )


def _usage(question: Question) -> Iterator[str]:
    allowed = show.usages(question.leaf)
    for wanted in map(show.usage_name, question.purpose.value):
        if allowed is not None and wanted not in allowed and "any" not in allowed:
            yield (
                f"usage: the extended key usage allows {', '.join(allowed)}, not {wanted}; issue it"
                f" with the usage {wanted}"
            )
    usage = show.find(question.leaf, x509.KeyUsage)
    if usage is not None and not usage.digital_signature:
        yield "usage: the key usage does not allow digital signatures, which TLS 1.3 needs"


def _host(question: Question) -> Iterator[str]:
    if question.host is None:
        return
    names = list(show.alternative_names(question.leaf))
    if any(_matches(question.host, name) for name in names):
        return
    if names:
        yield (
            f"name: {question.host} is not among its alternative names ({', '.join(names)});"
            " connect by one of those, or issue it with that name"
        )
    else:
        yield (
            f"name: it has no alternative names, and peers no longer look at the Common Name;"
            f" issue it with the alternative name {question.host}"
        )


def _matches(host: str, name: str) -> bool:
    """RFC 6125 §6.4: no case; a star stands for the whole leftmost label; addresses by value."""
    try:
        return ipaddress.ip_address(host) == ipaddress.ip_address(name)
    except ValueError:
        pass
    host, name = host.lower().rstrip("."), name.lower()
    if name.startswith("*."):
        return fnmatch.fnmatchcase(host, f"?*{name[1:]}") and host.count(".") == name.count(".")
    return host == name


def _algorithm(question: Question) -> Iterator[str]:
    path = _path(question)[0]
    for certificate in path:
        weakness = _weak_key(certificate.public_key())
        if weakness:
            yield f"algorithm: the key of {_name(certificate)} is {weakness}"
        trusted = certificate in question.trusted  # nobody checks the signature of a trusted one
        if not trusted and isinstance(_hash(certificate), WEAK_HASHES):
            yield (
                f"algorithm: {_name(certificate)} is signed with {show.signature_name(certificate)};"
                " peers refuse MD5 and SHA-1, sign it again with SHA-256"
            )


def _hash(certificate: x509.Certificate) -> hashes.HashAlgorithm | None:
    try:
        return certificate.signature_hash_algorithm
    except ValueError:  # not known to the library
        return None


def _weak_key(key: object) -> str:
    if isinstance(key, rsa.RSAPublicKey) and key.key_size < MIN_RSA:
        return f"RSA of {key.key_size} bits; peers want {MIN_RSA} or more"
    if isinstance(key, dsa.DSAPublicKey):
        return "DSA, which TLS does not take any more; use RSA or ECDSA"
    if isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name not in TLS_CURVES:
        return f"on the curve {key.curve.name}, which TLS peers seldom take; use P-256 or RSA"
    return ""


def _key(question: Question) -> Iterator[str]:
    if question.key is not None and question.key.public_key() != question.leaf.public_key():
        yield "key: the private key does not belong to the certificate; take the pair"


def _name(certificate: x509.Certificate) -> str:
    return _text(certificate.subject)


def _text(name: x509.Name) -> str:
    return f"'{name.rfc4514_string()}'"


RULES: tuple[Rule, ...] = (_chain, _dates, _usage, _host, _algorithm, _key)
