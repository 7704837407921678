"""When accounts have connected, and with which certificates; since the server was started.

:mod:`.shared_sightings` has those of several processes.

What is kept is limited, so that clients with ever new names or certificates cannot fill the memory.
"""

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple

from kmipkit_server.identity.identity import Identity

MAX_ACCOUNTS = 10_000
"""Accounts that are remembered: those that have connected last."""
MAX_CERTIFICATES = 16
"""Certificates of one account that are remembered."""


ENDING = timedelta(days=30)
"""How long before its end a certificate of a client is worth a warning."""


@dataclass(frozen=True, slots=True)
class SeenCertificate:
    """A certificate with which an account has connected."""

    serial: str
    """In hexadecimal digits."""
    fingerprint: str
    """Of the part that the authority has signed."""
    expires: datetime | None
    last: datetime
    """When it was used last for a new connection."""


@dataclass(slots=True)
class Sighting:
    """What is known of the connections of an account."""

    last: datetime
    certificates: OrderedDict[bytes, SeenCertificate] = field(default_factory=OrderedDict)


class SeenOf(NamedTuple):
    """A certificate, and whose it is."""

    account: str
    certificate: SeenCertificate
    is_replaced: bool
    """Whether the account has come later with a certificate that ends later."""


class Sightings:
    """The accounts that have connected."""

    def __init__(self) -> None:
        self._accounts: OrderedDict[str, Sighting] = OrderedDict()
        self._changed: dict[str, None] = {}
        """The accounts that have connected since :meth:`take_changed`."""

    def note(self, identity: Identity, now: datetime) -> None:
        """Note a new connection."""
        sighting = self._accounts.pop(identity.name, None) or Sighting(now)
        sighting.last = now
        self._accounts[identity.name] = sighting
        self._changed[identity.name] = None
        if len(self._accounts) > MAX_ACCOUNTS:
            self._changed.pop(self._accounts.popitem(last=False)[0], None)
        certificate = identity.certificate
        if certificate is None:
            return
        seen = sighting.certificates
        seen.pop(certificate.signed_hash, None)
        seen[certificate.signed_hash] = SeenCertificate(
            f"{certificate.serial:x}",
            certificate.signed_hash.hex(),
            identity.certificate_expires,
            now,
        )
        if len(seen) > MAX_CERTIFICATES:
            seen.popitem(last=False)

    def take_changed(self) -> list[str]:
        """The accounts that have connected since this was called last."""
        changed = list(self._changed)
        self._changed.clear()
        return changed

    def change(self, *accounts: str) -> None:
        """Take them for changed again."""
        self._changed |= dict.fromkeys(accounts)

    def merge(self, account: str, other: Sighting) -> None:
        """Add what another process knows of an account."""
        own = self._accounts.get(account)
        if own is None:
            if len(self._accounts) < MAX_ACCOUNTS:
                self._accounts[account] = Sighting(other.last, OrderedDict(other.certificates))
            return
        own.last = max(own.last, other.last)
        seen = own.certificates
        for key, certificate in other.certificates.items():
            if key not in seen or seen[key].last < certificate.last:
                seen[key] = certificate
        ordered = sorted(seen.items(), key=lambda each: each[1].last)
        own.certificates = OrderedDict(ordered[-MAX_CERTIFICATES:])

    def recent(self, since: datetime) -> Iterator[tuple[str, Sighting]]:
        """The accounts that have connected since a time, or since :meth:`take_changed`."""
        for account, sighting in self._accounts.items():
            if account in self._changed or sighting.last >= since:
                yield account, sighting

    def of(self, account: str) -> Sighting | None:
        """What is known of an account; None if it has not connected."""
        return self._accounts.get(account)

    @property
    def accounts(self) -> tuple[str, ...]:
        """The accounts that have connected."""
        return tuple(self._accounts)

    def certificates(self) -> Iterator[SeenOf]:
        """All certificates that are remembered."""
        for account, sighting in self._accounts.items():
            seen = tuple(sighting.certificates.values())
            for number, each in enumerate(seen):
                later = seen[number + 1 :]  # in the order of their last use
                yield SeenOf(account, each, any(_outlasts(other, each) for other in later))

    def ending(self, now: datetime) -> Iterator[SeenOf]:
        """Those that end soon or have ended, and that nothing has replaced yet."""
        for each in self.certificates():
            end = each.certificate.expires
            if end is not None and end < now + ENDING and not each.is_replaced:
                yield each


def _outlasts(one: SeenCertificate, other: SeenCertificate) -> bool:
    return one.expires is None or (other.expires is not None and one.expires > other.expires)
