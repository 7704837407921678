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
    """The files of a certificate and its private key."""

    cert: Path
    key: Path


@dataclass(frozen=True, slots=True)
class Directory:
    """Names, writes and reads the files."""

    path: Path

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
        certificate = files.read_certificates(paths.cert)[0]
        key = files.read_key(paths.key)
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
        days: int = LEAF_DAYS,
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
