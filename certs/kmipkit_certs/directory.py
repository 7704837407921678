"""A directory that is a development PKI: ca.crt, ca.key, and NAME.crt with NAME.key for each."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography import x509

from kmipkit_certs import files, keypairs
from kmipkit_certs.authority import LEAF_DAYS, Authority, Purpose
from kmipkit_certs.errors import CertificateError

CA = "ca"
_UNSAFE = re.compile(r"[/\\\x00-\x1f\x7f]|^\.|^-")


@dataclass(frozen=True, slots=True)
class Files:
    """Where a certificate and its private key lie."""

    cert: Path
    key: Path


@dataclass(frozen=True, slots=True)
class Directory:
    """Names the files, makes them and reads them back."""

    path: Path

    @property
    def ca(self) -> Path:
        """The certificate of the authority, which peers trust."""
        return self.path / f"{CA}.crt"

    def files(self, name: str) -> Files:
        """The files of a name.

        Raises:
            CertificateError: the name would leave the directory or be a bad file name.
        """
        if not name or _UNSAFE.search(name):
            raise CertificateError(
                f"{name!r} cannot be the name of a file: no slash, no control character, and no"
                " dot or dash at its start"
            )
        return Files(self.path / f"{name}.crt", self.path / f"{name}.key")

    def init(self, name: str, algorithm: str, now: datetime) -> Files:
        """Make the authority. CertificateError if there is one already."""
        try:
            self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise CertificateError(f"{self.path}: {error.strerror}") from None
        made = Authority.create(name, algorithm, now)
        return self._write(CA, made.certificate, made.key)

    def authority(self) -> Authority:
        """The authority of this directory. CertificateError if there is none."""
        files_of_it = self.files(CA)
        if not files_of_it.cert.exists():
            raise CertificateError(
                f"{self.path}: has no authority; make one with: kmipkit certs init {self.path}"
            )
        certificate = files.read_certificates(files_of_it.cert)[0]
        key = files.read_key(files_of_it.key)
        if key.public_key() != certificate.public_key():
            raise CertificateError(f"{files_of_it.key}: is not the key of {files_of_it.cert}")
        return Authority(certificate, key)

    def issue(
        self,
        name: str,
        purpose: Purpose,
        now: datetime,
        *,
        alternative: Iterable[str] = (),
        algorithm: str = keypairs.DEFAULT_ALGORITHM,
        days: int = LEAF_DAYS,
    ) -> Files:
        """Make a key and its certificate. CertificateError if the name is taken or bad."""
        written = self.files(name)
        for path in (written.cert, written.key):
            if path.exists():
                raise CertificateError(f"{path}: exists already; it is not overwritten")
        issued = self.authority().issue(
            name, purpose, now, alternative=alternative, algorithm=algorithm, days=days
        )
        return self._write(name, issued.certificate, issued.key)

    def _write(self, name: str, certificate: x509.Certificate, key: keypairs.PrivateKey) -> Files:
        written = self.files(name)
        # The key first: a certificate without its key would look like a finished pair.
        files.write_key(written.key, key)
        try:
            files.write_certificate(written.cert, certificate)
        except CertificateError:
            written.key.unlink()
            raise
        return written
