"""The files with revocations that a server or another peer is configured with."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509

from kmipkit_certs import files
from kmipkit_certs.errors import CertificateError
from kmipkit_certs.revocation import verified
from kmipkit_certs.revocation_status import RevocationLists

Stamps = Mapping[Path, tuple[int, int, int] | None]
"""What changes with the content of a file; None for a file that does not exist."""


@dataclass(frozen=True, slots=True)
class RevocationFiles:
    """The files with revocations, as configured."""

    crls: tuple[Path, ...] = ()
    revoked: Path | None = None
    optional_crl: Path | None = None
    """A CRL that need not exist: that of the development PKI."""
    refuses_expired: bool = True

    def load(self, trusted: Sequence[x509.Certificate]) -> RevocationLists:
        """Read and verify all files.

        Args:
            trusted: The authorities, under one of which each CRL must verify.

        Raises:
            CertificateError: a file is missing or not usable.
        """
        try:
            lists = [
                each
                for path in self._existing_crls()
                for each in verified(path, files.read_revocation_lists(path), trusted)
            ]
            hashes = files.read_revoked(self.revoked) if self.revoked else frozenset()
            return RevocationLists.of(lists, hashes, trusted)
        except (ValueError, TypeError) as error:  # TypeError for a BIT STRING in place of text
            raise CertificateError(
                f"the name of a trusted authority is malformed: {error}"
            ) from None

    def _existing_crls(self) -> tuple[Path, ...]:
        optional = self.optional_crl
        has_optional = optional is not None and optional.exists()
        return (*self.crls, optional) if optional is not None and has_optional else self.crls

    def stamps(self) -> Stamps:
        """The present stamps of all files, to see whether they have changed."""
        paths = (*self.crls, self.revoked, self.optional_crl)
        return {path: _stamp(path) for path in paths if path is not None}


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
