"""A directory that is a development PKI: ca.crt, ca.key, and NAME.crt with NAME.key for each.

From the first revocation on, there is ca.crl as well."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import Encoding

from kmipkit_certs import files, keypairs, revocation
from kmipkit_certs.authority import LEAF_DAYS, REVOCATION_LIST_DAYS, Authority, Purpose
from kmipkit_certs.credentials import NO_PASSWORD, load_certificates
from kmipkit_certs.errors import CertificateError
from kmipkit_certs.passwords import KeyPassword

CA = "ca"
_UNSAFE = re.compile(r"[/\\\x00-\x1f\x7f]|^\.|^-")


@dataclass(frozen=True, slots=True)
class Files:
    """The files of a certificate and its private key."""

    cert: Path
    key: Path


@dataclass(frozen=True, slots=True)
class Directory:
    """Names, writes and reads the files."""

    path: Path
    password: KeyPassword = field(default=NO_PASSWORD, compare=False)
    """The password of the authority's key, if it is encrypted."""

    @property
    def ca(self) -> Path:
        """The certificate of the authority, which peers trust."""
        return self.path / f"{CA}.crt"

    def files(self, name: str) -> Files:
        """The files of a name.

        Raises:
            CertificateError: the name is not a valid file name in this directory.
        """
        if not name or _UNSAFE.search(name):
            raise CertificateError(
                f"{name!r} is not a valid file name: it must not contain a slash or a control"
                " character, nor begin with a dot or a dash"
            )
        return Files(self.path / f"{name}.crt", self.path / f"{name}.key")

    def pkcs12(self, name: str) -> Path:
        """The PKCS #12 file of a name. CertificateError if it exists already."""
        path = self.files(name).cert.with_name(f"{name}.p12")
        if path.exists():
            raise CertificateError(f"{path}: the file already exists and is not overwritten")
        return path

    def init(self, name: str, algorithm: str, now: datetime) -> Files:
        """Create the authority. CertificateError if there is one already."""
        try:
            self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise CertificateError(f"{self.path}: {error.strerror}") from None
        authority = Authority.create(name, algorithm, now)
        return self._write(CA, authority.certificate, authority.key)

    def authority(self) -> Authority:
        """The authority of this directory. CertificateError if there is none."""
        paths = self.files(CA)
        if not paths.cert.exists():
            raise CertificateError(
                f"{self.path}: no certificate authority; create one with: kmipkit certs init {self.path}"
            )
        certificate = load_certificates(paths.cert)[0]
        key = files.read_key(paths.key, self.password)
        if key.public_key() != certificate.public_key():
            raise CertificateError(f"{paths.key}: not the private key of {paths.cert}")
        return Authority(certificate, key)

    def issue(
        self,
        name: str,
        purpose: Purpose,
        now: datetime,
        *,
        alternative: Iterable[str] = (),
        algorithm: str = keypairs.DEFAULT_ALGORITHM,
        days: float = LEAF_DAYS,
    ) -> Files:
        """Create a key and its certificate. CertificateError if the name is in use or not valid."""
        paths = self.files(name)
        for path in (paths.cert, paths.key):
            if path.exists():
                raise CertificateError(f"{path}: the file already exists and is not overwritten")
        issued = self.authority().issue(
            name, purpose, now, alternative=alternative, algorithm=algorithm, days=days
        )
        return self._write(name, issued.certificate, issued.key)

    @property
    def revocation_list(self) -> Path:
        """The revocation list of the authority; it exists from the first revocation on."""
        return self.path / f"{CA}.crl"

    def revoke(
        self,
        certificates: Sequence[x509.Certificate],
        now: datetime,
        *,
        reason: x509.ReasonFlags = x509.ReasonFlags.unspecified,
        days: int = REVOCATION_LIST_DAYS,
    ) -> int:
        """Add certificates to the revocation list, and sign it anew; how many were not in it yet.

        Raises:
            CertificateError: the authority has not issued one of the certificates.
        """
        authority = self.authority()
        for certificate in certificates:
            require_issued(certificate, authority.certificate, "revoke it", _OWN_LIST)
        with files.locked(self.path):
            revoked, number = self.revoked(authority.certificate)
            known = {entry.serial_number for entry in revoked}
            new = {each.serial_number for each in certificates} - known
            revoked += [_entry(serial, now, reason) for serial in sorted(new)]
            crl = authority.sign_revocation_list(revoked, number + 1, now, days=days)
            files.replace(self.revocation_list, crl.public_bytes(Encoding.PEM))
        return len(new)

    def revoked(self, authority: x509.Certificate) -> tuple[list[x509.RevokedCertificate], int]:
        """The entries and the number of the present list.

        Raises:
            CertificateError: the list cannot be read, or is not signed by the authority.
        """
        path = self.revocation_list
        if not path.exists():
            return [], 0
        lists = files.read_revocation_lists(path)
        [present] = revocation.verified(path, lists[:1], [authority])
        try:
            number = present.crl.extensions.get_extension_for_class(x509.CRLNumber)
        except x509.ExtensionNotFound:
            return list(present.crl), 0
        return list(present.crl), number.value.crl_number

    def _write(self, name: str, certificate: x509.Certificate, key: keypairs.PrivateKey) -> Files:
        paths = self.files(name)
        # The key first: a certificate without its key would look like a finished pair.
        files.write_key(paths.key, key)
        try:
            files.write_certificate(paths.cert, certificate)
        except CertificateError:
            paths.key.unlink()
            raise
        return paths


_OWN_LIST = "; add the certificate to a list of your own: kmipkit certs revoke --list FILE CERT"


def require_issued(
    certificate: x509.Certificate, authority: x509.Certificate, action: str, advice: str = ""
) -> None:
    """CertificateError: an authority has not issued a certificate, and so cannot do this with it."""
    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        name = certificate.subject.rfc4514_string()
        raise CertificateError(
            f"'{name}' was not issued by this authority, so that it cannot {action}{advice}"
        ) from None


def _entry(serial: int, now: datetime, reason: x509.ReasonFlags) -> x509.RevokedCertificate:
    builder = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(now)
    if reason is not x509.ReasonFlags.unspecified:  # RFC 5280 §5.3.1: then without a reason
        builder = builder.add_extension(x509.CRLReason(reason), critical=False)
    return builder.build()
