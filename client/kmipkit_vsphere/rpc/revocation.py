"""Peers whose certificates are revoked: lists of their authorities, and a list of the role's own.

The lists are the same as the key server's (docs/server.md, "Revoked certificates"). A role looks at its
files before each call: when they have changed, it reads them again. If they are faulty then, it keeps
what it has, since a damaged file must not bring a revoked certificate back.
"""

import logging
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Self

from cryptography import x509
from kmipkit_certs.errors import CertificateError
from kmipkit_certs.revocation_files import RevocationFiles
from kmipkit_certs.revocation_status import PeerCertificate, RevocationLists

from kmipkit_vsphere.model.errors import InvalidArgument, RPCError

log = logging.getLogger("kmipkit.vsphere.rpc")


class PeerRevocations:
    """The revocations that a role knows of."""

    def __init__(
        self,
        files: RevocationFiles,
        trusted: Sequence[x509.Certificate],
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Read the files; :class:`InvalidArgument` if one is not usable."""
        self._files, self._trusted, self._clock = files, trusted, clock
        self._stamps = files.stamps()
        try:
            self._lists = files.load(trusted)
        except CertificateError as error:
            raise InvalidArgument(
                f"cannot use the lists of revoked certificates: {error}"
            ) from None

    @classmethod
    def none(cls) -> Self:
        """Without any list."""
        return cls(RevocationFiles(), ())

    def require_valid(self, certificate: bytes | None) -> None:
        """:class:`RPCError` if a peer's certificate (DER) is revoked, or its list has expired."""
        lists = self._current()
        if certificate is None or lists == RevocationLists():
            return
        try:
            peer = PeerCertificate.of(x509.load_der_x509_certificate(certificate))
        except (ValueError, TypeError, x509.InvalidVersion) as error:
            raise RPCError(f"the certificate of the peer is malformed: {error}") from None
        reason = lists.reason(peer)
        if reason is None and self._files.refuses_expired:
            reason = lists.expiration_reason(peer, self._clock())
        if reason is not None:
            raise RPCError(reason)

    def _current(self) -> RevocationLists:
        stamps = self._files.stamps()
        if stamps != self._stamps:
            self._stamps = stamps  # a faulty file is not read again before it has changed
            try:
                self._lists = self._files.load(self._trusted)
            except CertificateError as error:
                log.error("revocations not reloaded, the old ones stay in force: %s", error)
        return self._lists
