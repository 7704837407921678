"""Finding records in a log."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import NamedTuple

import msgspec
from kmipkit_certs.identity import FINGERPRINT

from kmipkit_server.audit.files import LogFile, lines
from kmipkit_server.audit.records import Client, Entry, Event, read
from kmipkit_server.store.owners import account_in_tenant, owner_name, tenant_of

NOT_COMMITTED = "not committed"
"""The outcome of a change that did not take place after all."""


class Match(NamedTuple):
    """A record that was found."""

    entry: Entry
    line: bytes
    outcome: str
    """Its outcome, also if a later record is about it."""


@dataclass(frozen=True, slots=True)
class Filter:
    """Which records to find; what is None or empty admits all of them."""

    object: str | None = None
    account: str | None = None
    tenant: str | None = None
    """Empty for the clients that belong to none."""
    user: str | None = None
    operation: str | None = None
    outcome: str | None = None
    reason: str | None = None
    network: IPv4Network | IPv6Network | None = None
    certificate: str | None = None
    """A serial number in hexadecimal digits, or a fingerprint."""
    correlation_value: str | None = None
    """Of the client or of the server."""
    since: datetime | None = None
    until: datetime | None = None
    after: Mapping[str, int] | None = None
    """Only records with a higher number than this one of their log; all of a log that is not in it."""
    with_checkpoints: bool = False
    """Whether to find also checkpoints, and records about others."""

    def tests(self) -> list[Callable[[Entry], bool]]:
        """The conditions, each as a function; the outcome is not among them."""
        network, value = self.network, self.correlation_value
        since, until, after = self.since, self.until, self.after
        tests: list[tuple[object, Callable[[Entry], bool]]] = [
            (not self.with_checkpoints, lambda each: each.event not in _ABOUT_OTHERS),
            (self.object, self._is_about),
            (self.account, self._is_by),
            (self.tenant is not None, lambda each: each.client.tenant == self.tenant),
            (self.user, lambda each: each.client.user == self.user),
            (self.operation, lambda each: _same(self.operation, each.operation)),
            (self.reason, lambda each: _same(self.reason, each.reason)),
            (network, lambda each: network is not None and _is_in(each.client.address, network)),
            (self.certificate, lambda each: self._is_certificate(each.client)),
            (value, lambda each: value in _correlation_values(each)),
            (since, lambda each: since is None or each.time >= since),
            (until, lambda each: until is None or each.time < until),
            (after is not None, lambda each: after is None or each.n > after.get(each.log, 0)),
        ]
        return [test for condition, test in tests if condition]

    # Administrators of the server see whole names, such as tenant:acme:db01, and search for them;
    # a record has the tenant and the name inside it apart.
    def _is_about(self, entry: Entry) -> bool:
        name = self.object or ""
        return name in entry.objects or (
            tenant_of(name) == entry.client.tenant and account_in_tenant(name) in entry.objects
        )

    def _is_by(self, entry: Entry) -> bool:
        client = entry.client
        return self.account in (client.account, owner_name(client.tenant, client.account))

    def _is_certificate(self, client: Client) -> bool:
        text = (self.certificate or "").lower().removeprefix(FINGERPRINT).replace(":", "")
        fingerprint = client.fingerprint.removeprefix(FINGERPRINT)
        return bool(client.certificate) and (
            text.lstrip("0") == client.certificate or text == fingerprint
        )

    @property
    def needle(self) -> bytes:
        """Bytes that are in the line of each record to be found."""
        if self.object is None:
            return b""
        return msgspec.json.encode(account_in_tenant(self.object)).removeprefix(b'"')


_ABOUT_OTHERS = frozenset({Event.CHECKPOINT, Event.NOT_COMMITTED})
"""Events that nobody looks for, unless all records are wanted."""


def _correlation_values(entry: Entry) -> tuple[str, str]:
    return entry.client_correlation_value, entry.server_correlation_value


def _same(wanted: str | None, name: str) -> bool:
    """Whether two names of the standard are the same but for their spelling."""
    return _letters(wanted or "") == _letters(name)


def _letters(name: str) -> str:
    return "".join(char for char in name.lower() if char.isalnum())


def _is_in(address: str, network: IPv4Network | IPv6Network) -> bool:
    try:
        return ip_address(address.partition("%")[0]) in network
    except ValueError:
        return False


def search(files: Iterable[LogFile], conditions: Filter, limit: int | None = None) -> list[Match]:
    """The newest records that meet the conditions, oldest first. OSError if a file cannot be read."""
    needle, tests, outcome = conditions.needle, conditions.tests(), conditions.outcome
    # A change may turn out not to have taken place: until then, its outcome is not known.
    is_open = outcome is None or _same(outcome, NOT_COMMITTED)
    matches: deque[Match] = deque(maxlen=limit)
    cancelled: set[int] = set()
    for entry, line in _entries(files, needle):
        if entry.event is Event.NOT_COMMITTED:
            cancelled.update(entry.numbers)
        if not all(test(entry) for test in tests):
            continue
        if is_open or _same(outcome, entry.outcome or ""):
            matches.append(Match(entry, line, entry.outcome or ""))
    found = [
        each._replace(outcome=NOT_COMMITTED) if each.entry.n in cancelled else each
        for each in matches
    ]
    if outcome is None:
        return found
    return [each for each in found if _same(outcome, each.outcome)]


_NOT_COMMITTED = b'"event":"' + Event.NOT_COMMITTED.encode() + b'"'


def _entries(files: Iterable[LogFile], needle: bytes) -> Iterator[tuple[Entry, bytes]]:
    """The records whose lines have these bytes, and those that are about others."""
    for file in files:
        for line in lines(file.path):
            if needle and needle not in line and _NOT_COMMITTED not in line:
                continue
            entry = read(line)
            if entry is not None:  # otherwise verification says what is wrong
                yield entry, line
