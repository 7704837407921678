"""Renewing certificates before they end: the same key and the same names, with new dates.

The key stays. So a renewal changes one file, which readers see whole, and works wherever the key is:
nothing but the certificate is needed. Peers that know the key go on, and so do clients that have the
authority's old certificate until that ends. Who wants a new key issues a certificate with a new name,
and revokes the old one.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from itertools import islice

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from kmipkit_certs import files
from kmipkit_certs.authority import AUTHORITY_DAYS, SKEW, Authority, Purpose, alternative_names
from kmipkit_certs.check import EXPIRES_SOON
from kmipkit_certs.credentials import load_certificates
from kmipkit_certs.directory import CA, Directory, require_issued
from kmipkit_certs.errors import CertificateError

MARGIN = EXPIRES_SOON + timedelta(days=2)
"""Before the end of a certificate: so early that nobody is warned of an end that will not come."""
AUTHORITY_MARGIN = timedelta(days=365)
"""The same for the authority: so long, all peers have time to get its new certificate."""
_SHORTEST = timedelta(days=1)
"""For how long a renewal is valid at least, unless its caller says so."""
MAX_NAMES = 100
"""Alternative names of a certificate; renewals add to them, and the oldest make room."""


def ends_within(certificate: x509.Certificate, now: datetime, margin: timedelta) -> bool:
    """Whether a certificate ends in this time, or has ended."""
    return certificate.not_valid_after_utc < now + margin


def renew(
    directory: Directory,
    name: str,
    now: datetime,
    *,
    alternative: Sequence[str] = (),
    days: float | None = None,
) -> x509.Certificate:
    """Sign the certificate of a name anew, with further alternative names; the old one stays valid.

    Args:
        days: for how long; by default as long as the old one was valid.

    Raises:
        CertificateError: the authority has not issued it, or has revoked it; nothing has changed.
    """
    with files.locked(directory.path):
        path = directory.files(name).cert
        if not path.exists():
            present = ", ".join(_names_in(directory)) or "none"
            raise CertificateError(f"{path} does not exist; there are certificates of: {present}")
        old, *others = load_certificates(path)
        authority = directory.authority()
        if name == CA:
            new = authority.renewed(now, days or AUTHORITY_DAYS).certificate
        else:
            _require_not_revoked(directory, authority, old, name)
            new = authority.certify(
                old.subject,
                old.public_key(),
                _purpose(old),
                now,
                days or max(_SHORTEST, _duration(old)) / timedelta(days=1),
                _names(old, alternative),
            )
        files.replace(path, b"".join(each.public_bytes(Encoding.PEM) for each in (new, *others)))
    return new


def due(directory: Directory, now: datetime, margin: timedelta) -> list[str]:
    """The names in a directory whose certificates end soon; that of the authority is one of them."""
    return [
        name
        for name in _names_in(directory)
        if ends_within(
            load_certificates(directory.files(name).cert)[0],
            now,
            max(margin, AUTHORITY_MARGIN) if name == CA else margin,
        )
    ]


def _names_in(directory: Directory) -> list[str]:
    return sorted(path.stem for path in directory.path.glob("*.crt"))


def lacks(certificate: x509.Certificate, names: Iterable[str]) -> bool:
    """Whether an alternative name is not in a certificate. CertificateError: it is not valid."""
    present = _present(certificate)
    return any(each not in present for each in alternative_names(names))


def _names(old: x509.Certificate, further: Sequence[str]) -> list[x509.GeneralName]:
    """The first of the old ones, which may name the account, then further ones, then the others."""
    present = _present(old)
    names = dict.fromkeys((*present[:1], *alternative_names(further), *present[1:]))
    return list(islice(names, MAX_NAMES))


def _present(certificate: x509.Certificate) -> list[x509.GeneralName]:
    try:
        return list(
            certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        )
    except x509.ExtensionNotFound:
        return []


def _duration(certificate: x509.Certificate) -> timedelta:
    return certificate.not_valid_after_utc - certificate.not_valid_before_utc - SKEW


def _purpose(certificate: x509.Certificate) -> Purpose:
    try:
        extension = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    except x509.ExtensionNotFound:
        usages: frozenset[x509.ObjectIdentifier] = frozenset()
    else:
        usages = frozenset(extension.value)
    for purpose in Purpose:
        if usages == frozenset(purpose.value):
            return purpose
    raise CertificateError(
        f"'{certificate.subject.rfc4514_string()}' has usages that kmipkit certs does not issue; make it"
        " again with the program that has made it"
    )


def _require_not_revoked(
    directory: Directory, authority: Authority, certificate: x509.Certificate, name: str
) -> None:
    require_issued(certificate, authority.certificate, "renew it")
    revoked, _ = directory.revoked(authority.certificate)
    if certificate.serial_number in {entry.serial_number for entry in revoked}:
        raise CertificateError(
            f"the certificate of {name} is revoked, and its key may be in wrong hands; issue one with"
            " a new key and another name"
        )
