"""The documents in force, read once for each revision of the policies in the store."""

import logging
from dataclasses import dataclass, field

from kmipkit_server.policy.decision import Documents
from kmipkit_server.policy.document import read_policy
from kmipkit_server.policy.errors import PolicyError
from kmipkit_server.policy.rule import Policy
from kmipkit_server.policy.versions import (
    UnknownVersion,
    UnreadableVersion,
    active_version,
)
from kmipkit_server.store.base import Reader
from kmipkit_server.store.errors import Damaged
from kmipkit_server.store.revision import DAMAGED, read_revision

log = logging.getLogger("kmipkit.server")

NO_POLICY = Documents()
"""What is in force without any policy."""

UNREADABLE = Documents(is_unreadable=True)
"""What is in force if that cannot be read: no operation on an object is permitted."""

MAX_REVISIONS = 4
"""Revisions that are remembered: a transaction in progress may have another one than readers see."""


@dataclass(slots=True)
class ActivePolicies:
    """Finds the documents in force, for all requests.

    Whether they have changed is asked in the view of each request, because another process may have
    changed them. The store tells it with each object (:attr:`.Record.revision`), at no further cost.
    """

    _by_revision: dict[bytes, dict[str, Documents]] = field(default_factory=dict)
    """By revision and tenant."""
    _has_policy: bool = False
    """Whether a policy has been committed."""

    def of(self, reader: Reader, tenant: str, revision: bytes | None) -> Documents:
        """The documents in force for the accounts of a tenant.

        ``revision`` is the setting as the reader has it. It need not be authenticated, because what
        it stands for is read and checked once.
        """
        if revision == DAMAGED:
            return _read(reader, tenant)
        if revision is None:
            return self._after_removal() if self._has_policy else NO_POLICY
        by_tenant = self._by_revision.get(revision)
        if by_tenant is None:
            by_tenant = self._remember(revision)
        if not (self._has_policy or reader.transaction):
            self._has_policy = True
        documents = by_tenant.get(tenant)
        if documents is None:
            documents = by_tenant[tenant] = _read(reader, tenant)
        return documents

    def now(self, reader: Reader, tenant: str) -> Documents:
        """The same for a request that has read no object: it looks the revision up."""
        return self.of(reader, tenant, read_revision(reader))

    def _remember(self, revision: bytes) -> dict[str, Documents]:
        while len(self._by_revision) >= MAX_REVISIONS:
            # Threads that read do this, too.
            self._by_revision.pop(list(self._by_revision)[0], None)  # noqa: RUF015 - in one step
        return self._by_revision.setdefault(revision, {})

    def _after_removal(self) -> Documents:
        """A policy can be replaced by an empty one, but never be removed: somebody has tampered."""
        log.error("the policy was removed from the database by another program; apply it again")
        return UNREADABLE


def _read(reader: Reader, tenant: str) -> Documents:
    """The documents in force, as the store has them."""
    try:
        server = _policy(reader, "")
        own = _policy(reader, tenant) if tenant else None
    except (Damaged, PolicyError, UnknownVersion, UnreadableVersion) as error:
        log.error(
            "the policy%s cannot be read, so that all operations on objects are refused until it is"
            " applied again: %s",
            f" of the tenant {tenant}" if tenant else "",
            error,
        )
        return UNREADABLE
    if not (server.rules or any(server.sections.values()) or own):
        return NO_POLICY
    return Documents(server, own)


def _policy(reader: Reader, tenant: str) -> Policy:
    version = active_version(reader, tenant)
    if version is None:
        return Policy(tenant)
    return read_policy(version.text, tenant, f"version {version.number} of the policy")
