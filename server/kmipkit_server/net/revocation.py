"""Revoked client certificates: CRLs of the trusted authorities, and a list of the server's own.

Everything is read and verified once, into sets in which a certificate is looked up after its handshake.
The files are read again when they change, and on SIGHUP. If they are faulty then, the server keeps
what it has: a damaged file must not bring a revoked certificate back.
"""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import trio
from cryptography import x509
from kmipkit_certs.errors import CertificateError
from kmipkit_certs.revocation import NameKey
from kmipkit_certs.revocation_files import RevocationFiles, Stamps
from kmipkit_certs.revocation_status import (
    MALFORMED,
    Expiration,
    PeerCertificate,
    RevocationLists,
)

from kmipkit.spec.enums import ValidityIndicator
from kmipkit_server.config import ConfigError
from kmipkit_server.engine.settings import Clock
from kmipkit_server.identity.certificate import NoIdentity

log = logging.getLogger("kmipkit.server")

POLL_SECONDS = 5.0
"""Seconds between two checks whether the files have changed."""
WARNING_INTERVAL = timedelta(days=1)
"""Between two log lines about the same expired list."""
MAX_CACHED = 1024
"""Certificates that are not parsed again for a new connection."""


class Revoked(NoIdentity):
    """The certificate is revoked, or the list of its authority has expired; the text says which."""


def load_lists(files: RevocationFiles, authorities: Sequence[bytes]) -> RevocationLists:
    """Read and verify all files; see :meth:`RevocationFiles.load`. ConfigError if one is not usable."""
    try:
        return files.load(list(map(x509.load_der_x509_certificate, authorities)))
    except CertificateError as error:
        raise ConfigError(str(error)) from None


@dataclass(slots=True)
class Revocations:
    """The revocations that are in force."""

    files: RevocationFiles
    clock: Clock
    warns: bool = True
    """Whether the log has which lists were read, and which have expired."""
    _authorities: Sequence[bytes] = ()
    _lists: RevocationLists = field(default_factory=RevocationLists)
    _stamps: Stamps = field(default_factory=dict)
    _present: Sequence[Path] = ()
    """The files that existed when they were read: if one is lost later, that is an error."""
    _expired: Mapping[NameKey, Expiration] = field(default_factory=dict)
    _warned: dict[Path, datetime] = field(default_factory=dict)
    _peers: dict[bytes, PeerCertificate] = field(default_factory=dict)
    _loading: trio.Lock = field(default_factory=trio.Lock)

    @classmethod
    def load(
        cls,
        files: RevocationFiles,
        authorities: Sequence[bytes],
        clock: Clock,
        *,
        warns: bool = True,
    ) -> "Revocations":
        """Read the files for the first time. ConfigError if one is not usable."""
        revocations = cls(files, clock, warns)
        stamps = files.stamps()
        revocations._accept(load_lists(files, authorities), authorities, stamps)
        return revocations

    def require_valid(self, der: bytes | None) -> PeerCertificate:
        """The parts of a peer's certificate. Revoked if it is not to be accepted."""
        if der is None:
            raise Revoked("the peer sent no certificate")
        peer = self._peers.get(der)
        if peer is None:
            try:
                peer = PeerCertificate.parse(der)
            except MALFORMED as error:
                raise Revoked(f"the certificate is malformed: {error}") from None
            if len(self._peers) >= MAX_CACHED:
                self._peers.clear()
            self._peers[der] = peer
        reason = self.reason(peer)
        if reason is not None:
            raise Revoked(reason)
        return peer

    def reason(self, peer: PeerCertificate) -> str | None:
        """Why a certificate is not to be accepted; None if it is."""
        reason = self._lists.reason(peer)
        if reason is not None or not self.files.refuses_expired:
            return reason
        return self._lists.expiration_reason(peer, self.clock())

    def expirations(self) -> Iterable[Expiration]:
        """When the newest list of each authority expires."""
        return self._lists.expirations.values()

    def validity(self, peer: PeerCertificate) -> ValidityIndicator:
        """What the lists say about a certificate; Unknown if the list that would tell has expired."""
        if self._lists.reason(peer) is not None:
            return ValidityIndicator.INVALID
        is_unknown = self.reason(peer) is not None
        return ValidityIndicator.UNKNOWN if is_unknown else ValidityIndicator.VALID

    def prepare(
        self, files: RevocationFiles, authorities: Sequence[bytes]
    ) -> Callable[[], list[str]]:
        """Read files for these authorities. ConfigError: nothing has changed.

        The result puts them in force, and says how many certificates are revoked now.
        """
        stamps = files.stamps()
        self._require_all(stamps)
        lists = load_lists(files, authorities)

        def commit() -> list[str]:
            before, after = self._lists.count, lists.count
            self.files = files
            self._accept(lists, authorities, stamps)
            return [f"revoked certificates: {before} -> {after}"] if before != after else []

        return commit

    def _require_all(self, stamps: Stamps) -> None:
        """ConfigError if a file was lost that is still to be used."""
        lost = [str(path) for path in self._present if stamps.get(path, ()) is None]
        if lost:
            raise ConfigError(f"{lost[0]}: the file no longer exists")

    async def reload(self, authorities: Sequence[bytes]) -> None:
        """Read the files again, for these authorities. ConfigError: nothing has changed."""
        async with self._loading:
            stamps = self.files.stamps()
            self._require_all(stamps)
            lists = await trio.to_thread.run_sync(load_lists, self.files, authorities)
            self._accept(lists, authorities, stamps)

    def _accept(self, lists: RevocationLists, authorities: Sequence[bytes], stamps: Stamps) -> None:
        self._lists, self._authorities, self._stamps = lists, authorities, stamps
        self._present = [path for path, stamp in stamps.items() if stamp is not None]
        self._note_expirations()

    async def watch(self, on_change: Callable[[], None]) -> None:
        """Read the files again when they have changed, until cancelled."""
        while True:
            await trio.sleep(POLL_SECONDS)
            if await self.refresh():
                on_change()

    async def refresh(self) -> bool:
        """Read the files again if they have changed; whether more certificates may be refused now."""
        stamps = await trio.to_thread.run_sync(self.files.stamps)
        if stamps == self._stamps:
            return self._note_expirations()
        self._stamps = stamps  # a faulty file is not read again before it has changed
        try:
            await self.reload(self._authorities)
        except ConfigError as error:
            log.error("revocations not reloaded, the old ones stay in force: %s", error)
            return self._note_expirations()
        if self.warns:
            log.info("revocations reloaded")
        return True

    def _note_expirations(self) -> bool:
        """Log which lists have expired, once a day; whether there are more of them than before."""
        now = self.clock()
        expired = self._lists.expired(now)
        for each in expired.values() if self.warns else ():
            warned = self._warned.get(each.path)
            if warned is None or now - warned >= WARNING_INTERVAL:
                self._warned[each.path] = now
                self._warn(each)
        before, self._expired = self._expired, expired
        return not expired.keys() <= before.keys()

    def _warn(self, expiration: Expiration) -> None:
        level, effect = (
            (logging.ERROR, "certificates of this authority are refused")
            if self.files.refuses_expired
            else (logging.WARNING, "certificates revoked since then are accepted")
        )
        log.log(
            level, "%s: the revocation list of %r expired on %s UTC; %s",
            expiration.path, expiration.issuer, f"{expiration.end:%Y-%m-%d %H:%M}", effect,
        )  # fmt: skip
