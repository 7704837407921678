"""Revoked certificates: revocation lists of authorities (CRLs, RFC 5280 §5), and lists of one's own.

A CRL names certificates by issuer and serial number. A list of one's own is for authorities whose key
one does not have. It has a line for each certificate, with the SHA-256 hash of the part that the
authority has signed. The usual fingerprint, over the whole certificate, would not do: whoever has a
certificate with an ECDSA signature can compute a second valid signature, and so a certificate with
another fingerprint (see :func:`signed_hash`).
"""

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import MappingProxyType

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm

from kmipkit_certs.errors import CertificateError

REASONS: Mapping[str, x509.ReasonFlags] = MappingProxyType(
    {
        "unspecified": x509.ReasonFlags.unspecified,
        "key-compromise": x509.ReasonFlags.key_compromise,
        "affiliation-changed": x509.ReasonFlags.affiliation_changed,
        "superseded": x509.ReasonFlags.superseded,
        "cessation-of-operation": x509.ReasonFlags.cessation_of_operation,
    }
)
"""The reasons of RFC 5280 §5.3.1 for the certificate of a peer that is not to come back."""

NameKey = tuple[tuple[tuple[str, str], ...], ...]
"""A distinguished name in a form in which equal names compare equal."""

_LINE = re.compile(r"signed-sha256:([0-9a-f]{64})(?:\s+#.*)?")


def name_key(name: x509.Name) -> NameKey:
    """The name without what does not distinguish names: case, runs of spaces, kinds of strings.

    RFC 5280 §7.1 has exact rules; these make at least the same names equal.
    """
    return tuple(
        tuple(sorted((each.oid.dotted_string, _folded(each.value)) for each in part))
        for part in name.rdns
    )


def _folded(value: str | bytes) -> str:
    return value.hex() if isinstance(value, bytes) else " ".join(value.split()).casefold()


def signed_hash(certificate: x509.Certificate) -> bytes:
    """The SHA-256 hash of the part that the authority has signed, which nobody else can change."""
    return hashlib.sha256(certificate.tbs_certificate_bytes).digest()


def signer(
    crl: x509.CertificateRevocationList, authorities: Iterable[x509.Certificate]
) -> x509.Certificate:
    """The authority that has signed the list.

    Raises:
        CertificateError: none of these has, or it may not sign lists, or the list is of a kind that
            is not supported.
    """
    _require_complete(crl)
    issuer = name_key(crl.issuer)
    same_name = [each for each in authorities if name_key(each.subject) == issuer]
    for authority in same_name:
        if not _is_signed_by(crl, authority):
            continue
        if not _may_sign_lists(authority):
            raise CertificateError(
                f"the key usage of {_text(crl.issuer)} does not permit signing revocation lists"
            )
        return authority
    if same_name:
        raise CertificateError(
            f"the revocation list is not signed by the trusted authority {_text(crl.issuer)}: it was"
            " changed, or belongs to another authority of the same name"
        )
    raise CertificateError(
        f"the issuer {_text(crl.issuer)} of the revocation list is not among the trusted authorities;"
        " add its certificate to them"
    )


def _is_signed_by(crl: x509.CertificateRevocationList, authority: x509.Certificate) -> bool:
    try:
        return crl.is_signature_valid(authority.public_key())  # type: ignore[arg-type]  # others raise TypeError
    except (TypeError, ValueError, UnsupportedAlgorithm):  # a key of another algorithm
        return False


def _may_sign_lists(authority: x509.Certificate) -> bool:
    """RFC 5280 §6.3.3 (f)."""
    try:
        return authority.extensions.get_extension_for_class(x509.KeyUsage).value.crl_sign
    except x509.ExtensionNotFound:
        return True


def _require_complete(crl: x509.CertificateRevocationList) -> None:
    """Refuse lists that say less than they seem to (RFC 5280 §5.2.4, §5.2.5)."""
    try:
        extensions = crl.extensions
    except (ValueError, x509.DuplicateExtension) as error:
        raise CertificateError(f"the revocation list has a malformed extension: {error}") from None
    for extension in extensions:
        value = extension.value
        if isinstance(value, x509.DeltaCRLIndicator):
            raise CertificateError("delta revocation lists are not supported; use the full list")
        if isinstance(value, x509.IssuingDistributionPoint) and value.indirect_crl:
            raise CertificateError(
                "revocation lists about certificates of other authorities (indirect CRLs) are not"
                " supported"
            )


def entries(crl: x509.CertificateRevocationList) -> dict[int, str]:
    """When and why, by serial number.

    Raises:
        CertificateError: an entry is malformed.
    """
    try:
        return {entry.serial_number: describe(entry) for entry in crl}
    except (ValueError, x509.DuplicateExtension) as error:
        raise CertificateError(f"the revocation list has a malformed entry: {error}") from None


def describe(entry: x509.RevokedCertificate) -> str:
    """When and why, such as ``2026-11-28 (key-compromise)``."""
    reason = reason_name(entry)
    return f"{entry.revocation_date_utc:%Y-%m-%d}{f' ({reason})' if reason else ''}"


def reason_name(entry: x509.RevokedCertificate) -> str:
    """The reason as the command line names it; empty if the entry has none."""
    try:
        flag = entry.extensions.get_extension_for_class(x509.CRLReason).value.reason
    except x509.ExtensionNotFound:
        return ""
    return re.sub("(?=[A-Z])", "-", flag.value).lower()


def text_line(certificate: x509.Certificate, now: datetime) -> str:
    """The line of a certificate in a list of one's own."""
    subject = certificate.subject.rfc4514_string()
    comment = "".join(each if each.isprintable() else "?" for each in subject)
    return f"signed-sha256:{signed_hash(certificate).hex()}  # {comment}, {now:%Y-%m-%d}"


def parse_lines(text: str) -> frozenset[bytes]:
    """The hashes in a list of one's own. Empty lines and lines that begin with ``#`` are comments.

    Raises:
        CertificateError: a line has another form. It must not be ignored: whoever wrote it relies
            on it.
    """
    hashes = set()
    for number, line in enumerate(text.splitlines(), 1):
        content = line.strip()
        if not content or content.startswith("#"):
            continue
        match = _LINE.fullmatch(content)
        if match is None:
            raise CertificateError(
                f"line {number} is not 'signed-sha256:' with 64 hex digits; add certificates with"
                " kmipkit certs revoke --list, since a fingerprint of the whole certificate can be"
                " evaded"
            )
        hashes.add(bytes.fromhex(match[1]))
    return frozenset(hashes)


NO_PATH = Path()
"""For a list that is not from a file."""


@dataclass(frozen=True, slots=True)
class RevocationList:
    """A CRL whose signature is verified, and the file that it is from."""

    path: Path
    crl: x509.CertificateRevocationList
    authority: x509.Certificate

    @property
    def issuer(self) -> str:
        """The name of the authority."""
        return self.authority.subject.rfc4514_string()

    def has_expired(self, now: datetime) -> bool:
        """Whether the authority has promised a newer list by now."""
        end = self.crl.next_update_utc
        return end is not None and now > end


def verified(
    path: Path,
    crls: Iterable[x509.CertificateRevocationList],
    authorities: Sequence[x509.Certificate],
) -> list[RevocationList]:
    """The lists of a file with their authorities. CertificateError as of :func:`signer`."""
    try:
        return [RevocationList(path, crl, signer(crl, authorities)) for crl in crls]
    except CertificateError as error:
        raise CertificateError(f"{path}: {error}") from None


def _text(name: x509.Name) -> str:
    """The name in quotes; control characters are escaped, since the text may go to a log."""
    return repr(name.rfc4514_string())
