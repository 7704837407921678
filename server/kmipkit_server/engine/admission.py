"""Whose client is served: the account of a connection, and again that of each of its requests.

Tenants, blocks and certificates of Re-Provision are in memory, as the store has them at some revision
(:mod:`.state`). What another process has changed meanwhile must show before a client is refused, or
before its credentials are used up.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime

from kmipkit.spec.enums import ResultReason
from kmipkit_server.engine.exchange import AdmitAgain, Exchange
from kmipkit_server.engine.request import Request
from kmipkit_server.engine.settings import Clock
from kmipkit_server.engine.state import ServerState
from kmipkit_server.identity.accounts import Accounts, AuthenticationError
from kmipkit_server.identity.certificate import ManyTenants, NoIdentity
from kmipkit_server.identity.identity import Identity
from kmipkit_server.tenants.book import ClaimedTwice


@dataclass(frozen=True, slots=True)
class Admission:
    """Says for which account a client is served, or refuses it."""

    state: ServerState
    accounts: Accounts
    clock: Clock
    refresh: Callable[[], Awaitable[None]]
    """Reads the state again if the store has another one. StoreError if that is impossible."""

    async def admit(self, identity: Identity) -> Identity:
        """The account of a new connection. NoIdentity if it has none; StoreError if the store fails."""
        try:
            identity = self._account_of(identity)
        except NoIdentity:
            # The certificate may be one that another process has given. What else has changed shows
            # with the first request.
            await self.refresh()
            identity = self._account_of(identity)
        return await self.accounts.admit(identity, self._now())

    def _account_of(self, identity: Identity) -> Identity:
        """The account of a certificate, as far as it does not depend on users. NoIdentity for none."""
        state = self.state
        row = state.provisioned.get(identity.certificate_hash)
        if row is not None:
            owner = row.account
        else:
            try:
                owner = state.tenants.owner(identity.presented, identity.name, identity.authorities)
            except ClaimedTwice as claimed:
                raise ManyTenants(str(claimed)) from None
        if owner != identity.name:
            identity = replace(identity, name=owner)
        if identity.tenant and state.tenants.find(identity.tenant) is None:
            raise NoIdentity(f"the tenant {identity.tenant} of the certificate was removed")
        return identity

    async def authenticate(self, request: Request, exchange: Exchange) -> Identity:
        """The account of a request that has credentials, or whose certificate may have ended."""
        identity, now = exchange.identity, exchange.now
        authentication = request.header.authentication
        if authentication is not None:
            # What is used up by it must not be used up again, because something has changed.
            await self._refresh_for(exchange)
        try:
            self.require_current(identity)
        except AuthenticationError:
            await self._refresh_for(exchange)  # an administrator may have permitted it elsewhere
            self.require_current(identity)
        account = await self.accounts.authenticate(
            identity, authentication, now, len(request.items)
        )
        self._require_not_blocked(account)
        return account

    async def _refresh_for(self, exchange: Exchange) -> None:
        """Read what has changed in the store, before the client of a message is checked.

        AdmitAgain if its connection may belong to another account.
        """
        epoch = self.state.epoch
        await self.refresh()
        if self.state.epoch != epoch:
            raise AdmitAgain
        exchange.revision = self.state.revision

    def require_still(self, exchange: Exchange, epoch: int | None) -> None:
        """Check the client of a message again, when something has changed while it was carried out.

        ``epoch`` is that of its connection, if it has one. AdmitAgain if the connection may belong to
        another account; AuthenticationError if the client must not be served any longer.
        """
        identity = exchange.identity
        has_credentials = exchange.request is not None and exchange.request.header.authentication
        has_changed = self.state.epoch != epoch
        if has_changed and epoch is not None and not has_credentials:
            raise AdmitAgain  # before all else, which is about the account that it had
        self.require_current(identity)
        if has_changed and identity.tenant and self.state.tenants.find(identity.tenant) is None:
            raise AuthenticationError(
                ResultReason.AUTHENTICATION_NOT_SUCCESSFUL, "the tenant of the account was removed"
            )

    def require_current(self, identity: Identity) -> None:
        """Refuse a client whose account is blocked, or whose certificate was replaced: it "SHALL be made
        invalid and cannot be used in future KMIP requests" (KMIP 2.1 §6.1.48)."""
        self._require_not_blocked(identity)
        row = self.state.provisioned.get(identity.certificate_hash)
        if row is not None and row.ends <= self._now():
            raise AuthenticationError(
                ResultReason.AUTHENTICATION_NOT_SUCCESSFUL,
                "the client certificate has been replaced by Re-Provision",
            )

    def require_not_revoked(self, identity: Identity) -> None:
        """Refuse a client whose certificate has been revoked, and whose connection is not here."""
        certificate = identity.certificate
        if certificate is not None and self.accounts.revocation(certificate) is not None:
            raise AuthenticationError(
                ResultReason.AUTHENTICATION_NOT_SUCCESSFUL, "the client certificate is revoked"
            )

    def _require_not_blocked(self, identity: Identity) -> None:
        """Refuse a client whose account an administrator has blocked."""
        if identity.name in self.state.blocked:
            raise AuthenticationError(
                ResultReason.PERMISSION_DENIED,
                "an administrator of the server has blocked the account",
            )

    def _now(self) -> datetime:
        """The time in whole seconds, as a Date-Time of KMIP is (KMIP 1.4 §9.1.1.4)."""
        return self.clock().replace(microsecond=0)
