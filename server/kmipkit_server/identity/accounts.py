"""Authentication: from the certificate of a connection and the credentials of a request to an account.

The certificate names an account. Users are objects of the server, made by Create User (3.0) and
linked to credentials: a certificate that is the credential of a user stands for that user, and so
does a request whose header has credentials of a user (KMIP 1.4 §6.6, KMIP 2.1 §9.11). Users belong to
a tenant, or to none, and a connection knows those of its own only. This module does not write to the
store.
"""

import hmac
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from types import MappingProxyType
from typing import Any, NamedTuple, TypeVar

import trio
from kmipkit_certs.revocation_status import PeerCertificate

from kmipkit.errors import OperationError
from kmipkit.keys.hashes import digest
from kmipkit.model.credentials import (
    Authentication,
    Device,
    HashedPassword,
    OneTimePassword,
    TicketCredential,
    UsernameAndPassword,
)
from kmipkit.model.payloads.accounts import DeviceCredential, PasswordCredential
from kmipkit.spec.enums import HashingAlgorithm, ObjectType, ResultReason
from kmipkit.spec.titles import title
from kmipkit_server.identity import totp
from kmipkit_server.identity.directory import Directory, account_of, is_usable
from kmipkit_server.identity.guessing import Guesses
from kmipkit_server.identity.identity import Identity
from kmipkit_server.identity.once import Once, Use
from kmipkit_server.identity.passwords import PasswordChecker
from kmipkit_server.identity.stored_credential import StoredCredential, unpack_credential
from kmipkit_server.identity.tickets import MustWrite, Revocation, Tickets
from kmipkit_server.store.base import Reader, Record, Store
from kmipkit_server.store.owners import owner_name, system_owner
from kmipkit_server.store.parts import part_of
from kmipkit_server.tenants.book import Book

_Result = TypeVar("_Result")


class _Place(NamedTuple):
    """Where and when credentials are looked up."""

    tenant: str
    """That of the connection: those of others are unknown there."""
    now: datetime


_Check = Callable[["Accounts", Any, _Place], Awaitable[Identity | None]]

CHECKING_THREADS = 2
"""Threads that compute password hashes, so that guesses leave the other threads to other work."""
MAX_WAITING_CHECKS = 64
"""Passwords that wait to be checked, at most."""

MAX_CLOCK_DIFFERENCE = timedelta(minutes=5)
"""How far the time in a Hashed Password may differ from the server's clock."""
REMEMBER_INTERVAL = timedelta(days=1)
"""How long the last one-time password of a credential is remembered, which is far longer than any is
valid."""


class AuthenticationError(OperationError):
    """The credentials of a request are not valid; none of its items is carried out."""


def refusal(message: str = "the credentials are not those of a user") -> OperationError:
    """The error for invalid credentials. It does not say which part is wrong."""
    return OperationError(ResultReason.AUTHENTICATION_NOT_SUCCESSFUL, message)


@dataclass(slots=True)
class Accounts:
    """Finds accounts; all connections share it."""

    store: Store
    administrators: frozenset[str] = frozenset()
    """Names of the accounts that manage others and belong to no tenant."""
    tenants: Callable[[], Book] = Book
    """The tenants now."""
    ignores_unknown: bool = False
    """Whether credentials of unknown users are ignored instead of refused."""
    is_lenient: bool = False
    """Whether credentials are ignored where that tells nothing and gives nothing: as long as the
    server has no users, and if an administrator shows the name of an administrator."""
    revocation: Revocation = lambda _: None
    """Why a certificate is not valid any longer; None if it is."""
    guesses: Guesses = field(default_factory=Guesses)
    _passwords: PasswordChecker = field(default_factory=PasswordChecker)
    _checking: trio.CapacityLimiter | None = None
    """The threads that compute password hashes; made when the first one is needed."""
    _waiting_checks: Counter[str] = field(default_factory=Counter)
    """Passwords that wait to be checked, by tenant."""
    once: Once = field(init=False)
    """What credentials are valid once only."""
    _having_users: set[str] = field(default_factory=set)
    """The tenants that are known to have, or have had, a user."""

    def __post_init__(self) -> None:
        self.once = Once(self.store)

    async def admit(self, identity: Identity, now: datetime) -> Identity:
        """The account of a connection, by its certificate."""
        place = _Place(identity.tenant, now)
        user = await self._user_of_certificate(identity.certificate, place)
        account = identity if user is None else account_of(user)
        return self._on_connection(account, identity)

    async def authenticate(
        self,
        identity: Identity,
        authentication: Authentication | None,
        now: datetime,
        operations: int = 1,
    ) -> Identity:
        """The account of a request: that of its last credential, if all of them are valid.

        ``operations`` is how many the request has, which counts against the limits of tickets.

        AuthenticationError: Authentication Not Successful, Invalid Ticket, Feature Not Supported.
        """
        try:
            for credential in authentication.credentials if authentication else ():
                identity = await self._with_credential(identity, credential, now, operations)
        except OperationError as error:
            raise AuthenticationError(error.reason, error.message) from None
        return identity

    async def _with_credential(
        self, identity: Identity, credential: Any, now: datetime, operations: int
    ) -> Identity:
        value, place = credential.credential_value, _Place(identity.tenant, now)
        if isinstance(value, TicketCredential):
            account = await self._of_ticket(value, place, operations)
            return self._on_connection(account, identity)
        check = _CHECKS.get(type(value))
        if check is None:
            raise OperationError(
                ResultReason.FEATURE_NOT_SUPPORTED,
                f"credentials of type {title(credential.credential_type)} are not supported",
            )
        if self.is_lenient and await self._needs_no_check(identity, value, place):
            return identity
        user = await self._guarded(check, identity.address, value, place)
        if user is not None:
            return self._on_connection(user, identity)
        if self.ignores_unknown:
            return identity
        raise refusal()

    async def _needs_no_check(self, identity: Identity, credential: Any, place: _Place) -> bool:
        """Whether credentials can be ignored: the request has the rights of its connection anyway."""
        # Asked each time: an administrator may have obliterated the last user since.
        if not await self._look_up(Directory.has_users, place):
            return True
        name = getattr(credential, "username", None)
        is_own_kind = identity.is_administrator and name in self._administrators_of(place.tenant)
        return is_own_kind and await self._user(str(name), place) is None

    async def _guarded(
        self, check: _Check, address: str, credential: Any, place: _Place
    ) -> Identity | None:
        """The result of a check, which guesses make slower and slower.

        They do so in their tenant only: others must not notice them, even at the same address.
        """
        user = getattr(credential, "username", None) or ""
        user = owner_name(place.tenant, user) if user else ""
        address = owner_name(place.tenant, address) if address else ""
        await self.guesses.wait(user, address)
        try:
            account = await check(self, credential, place)
        except OperationError:
            await self.guesses.note(user, address, is_correct=False)
            raise
        if account is not None or not self.ignores_unknown:
            await self.guesses.note(user, address, is_correct=account is not None)
        return account

    def _on_connection(self, account: Identity, connection: Identity) -> Identity:
        """An account whose credentials a request on a connection shows."""
        return replace(
            account,
            certificate=connection.certificate,
            presented=connection.presented,
            authorities=connection.authorities,
            address=connection.address,
            port=connection.port,
            is_administrator=account.account in self._administrators_of(account.tenant),
        )

    def _administrators_of(self, name: str) -> Collection[str]:
        """The names, inside a tenant, of the accounts that administer it."""
        if not name:
            return self.administrators
        tenant = self.tenants().find(name)
        return () if tenant is None else tenant.administrators

    # --- one method for each type of credential: None if no user has such a credential -----------

    async def _check_password(
        self, credential: UsernameAndPassword, place: _Place
    ) -> Identity | None:
        user = await self._user(credential.username, place)
        if user is None:
            await self._is_correct(credential.password, None, place.tenant)
            return None
        records = await self._credentials(user, ObjectType.PASSWORD_CREDENTIAL, place)
        for stored in [record.password for record in records] or [None]:
            if await self._is_correct(credential.password, stored, place.tenant):
                return account_of(user)
        raise refusal()

    async def _check_device(self, credential: Device, place: _Place) -> Identity | None:
        def find(directory: Directory) -> tuple[StoredCredential, Record | None] | None:
            for record in directory.devices():
                stored = unpack_credential(record)
                if stored.device is not None and _is_same_device(credential, stored.device):
                    return stored, directory.user_with(record.id)
            return None

        match = await self._look_up(find, place)
        if match is None:
            await self._is_correct(credential.password, None, place.tenant)
            return None
        stored, user = match
        is_correct = stored.password is None or await self._is_correct(
            credential.password, stored.password, place.tenant
        )
        if user is None or not is_correct:
            raise refusal()
        return account_of(user)

    async def _check_hashed_password(
        self, credential: HashedPassword, place: _Place
    ) -> Identity | None:
        """Hash(S1 || Timestamp) || S2 (KMIP 2.1 §9.11), with the 8 bytes of the Timestamp item."""
        user = await self._user(credential.username, place)
        if user is None:
            return None
        account = account_of(user)
        name = account.name
        timestamp = credential.timestamp
        is_current = abs(timestamp - place.now) <= MAX_CLOCK_DIFFERENCE
        if not is_current:
            raise refusal()
        algorithm = credential.hashing_algorithm or HashingAlgorithm.SHA_256
        stamp = _microseconds(timestamp)
        for stored in await self._credentials(user, ObjectType.HASHED_PASSWORD_CREDENTIAL, place):
            hashed = stored.hashed
            if (
                hashed is None
                or (hashed.hashing_algorithm or HashingAlgorithm.SHA_256) != algorithm
            ):
                continue
            first, second = hashed.hashed_username_password, hashed.hashed_password_username
            expected = digest(first + stamp, algorithm) + second
            if hmac.compare_digest(expected, credential.hashed_password):
                # The Timestamp "SHALL monotonically increase" (KMIP 2.1 §9.11).
                use = Use(f"timestamp {name}", name, int.from_bytes(stamp, "big"))
                if not await self.once.use(use, place.now, 2 * MAX_CLOCK_DIFFERENCE):
                    raise refusal()
                proof = digest(stamp + first + digest(second, algorithm), algorithm)
                return replace(account, proof=proof)
        raise refusal()

    async def _check_one_time_password(
        self, credential: OneTimePassword, place: _Place
    ) -> Identity | None:
        """A one-time password, and also the password if the user has one."""
        user = await self._user(credential.username, place)
        if user is None:
            await self._is_correct(credential.password, None, place.tenant)
            return None
        for stored in await self._credentials(user, ObjectType.PASSWORD_CREDENTIAL, place):
            if not await self._is_correct(credential.password, stored.password, place.tenant):
                raise refusal()

        def find(directory: Directory) -> list[tuple[str, StoredCredential]]:
            records = directory.credentials(user, ObjectType.ONE_TIME_PASSWORD_CREDENTIAL)
            return [(record.id, unpack_credential(record)) for record in records]

        for identifier, stored in await self._look_up(find, place):
            if stored.otp is None:
                continue
            interval = totp.interval_of(credential.one_time_password, stored.otp, place.now)
            if interval is None:
                continue
            # A password is valid once only: a later one must be of a later interval (RFC 6238 §5.2).
            account = account_of(user)
            use = Use(f"interval {place.tenant} {identifier}", account.name, interval)
            if await self.once.use(use, place.now, REMEMBER_INTERVAL):
                return account
        raise refusal()

    async def _of_ticket(
        self, credential: TicketCredential, place: _Place, operations: int
    ) -> Identity:
        """The account of a ticket, unless it is that of a user who may no longer log in.

        A ticket ends with the certificate on whose connection it was requested.
        """
        outcome = await self._run_ticket(partial(self._present, credential, place, operations))
        if isinstance(outcome, OperationError):
            raise outcome
        return outcome

    async def _run_ticket(self, work: Callable[[Reader], _Result]) -> _Result:
        """Most uses of a ticket change nothing; only those with limits need a transaction."""
        try:
            return await self.store.run(work)
        except MustWrite:
            return await self.store.run(work, writes=True)

    def _present(
        self, credential: TicketCredential, place: _Place, operations: int, store: Reader
    ) -> Identity | OperationError:
        """The account; a refusal is returned, since what it has ended must stay so."""
        tickets = Tickets(store, place.now)
        tickets.end_revoked(credential.ticket, place.tenant, self.revocation)
        try:
            account = tickets.present(credential.ticket, place.tenant, operations)
        except OperationError as error:
            return error
        if account.user is not None:
            user = part_of(store, place.tenant).get(account.user)
            if user is None or not is_usable(user, place.now):
                return refusal()
        return account

    async def _is_correct(
        self, password: str | None, stored: PasswordCredential | None, tenant: str
    ) -> bool:
        """Whether this is the password; computed in threads of its own, since it is slow by design.

        OperationError: Server Limit Exceeded if too many checks wait already.
        """
        if self._checking is None:
            self._checking = trio.CapacityLimiter(CHECKING_THREADS)
        waiting = self._waiting_checks
        # No tenant can keep the others from logging in.
        share = MAX_WAITING_CHECKS // 2 if self.tenants() else MAX_WAITING_CHECKS
        if waiting[tenant] >= share or waiting.total() >= MAX_WAITING_CHECKS:
            raise OperationError(
                ResultReason.SERVER_LIMIT_EXCEEDED,
                "too many passwords are being checked; try again later",
                "password_checks",
            )
        waiting[tenant] += 1
        try:
            return await trio.to_thread.run_sync(
                self._passwords.is_correct, password or "", stored, limiter=self._checking
            )
        finally:
            waiting[tenant] -= 1

    # --- look-ups in the store --------------------------------------------------------------------

    async def _look_up(self, find: Callable[[Directory], _Result], place: _Place) -> _Result:
        def look(reader: Reader) -> _Result:
            part = part_of(reader, place.tenant) if self.tenants() else reader
            return find(Directory(part, place.now, system_owner(place.tenant)))

        return await self.store.run(look)

    async def _user(self, name: str, place: _Place) -> Record | None:
        return await self._look_up(lambda directory: directory.user(name), place)

    async def _credentials(
        self, user: Record, object_type: ObjectType, place: _Place
    ) -> list[StoredCredential]:
        def find(directory: Directory) -> list[StoredCredential]:
            return [unpack_credential(each) for each in directory.credentials(user, object_type)]

        return await self._look_up(find, place)

    async def _knows_users(self, place: _Place) -> bool:
        """Whether the tenant has, or has had, a user."""
        if place.tenant in self._having_users:
            return True
        if await self._look_up(Directory.has_users, place):
            self._having_users.add(place.tenant)
            return True
        return False

    async def _user_of_certificate(
        self, certificate: PeerCertificate | None, place: _Place
    ) -> Record | None:
        """The user whose credential is a certificate."""
        if certificate is None:
            return None
        # Most servers have no users: they need only this one look-up for a connection.
        if not await self._knows_users(place):
            return None
        return await self._look_up(lambda each: each.user_of_certificate(certificate), place)


_CHECKS: Mapping[type, _Check] = MappingProxyType(
    {
        UsernameAndPassword: Accounts._check_password,
        Device: Accounts._check_device,
        OneTimePassword: Accounts._check_one_time_password,
        HashedPassword: Accounts._check_hashed_password,
    }
)
"""The method that checks each type of credential."""


def _microseconds(date: datetime) -> bytes:
    """A Date-Time Extended as its eight bytes (KMIP 2.1 §10.1.2)."""
    elapsed = date - datetime(1970, 1, 1, tzinfo=UTC)
    return (elapsed // timedelta(microseconds=1)).to_bytes(8, "big", signed=True)


_DEVICE_FIELDS = (
    "device_serial_number",
    "device_identifier",
    "network_identifier",
    "machine_identifier",
    "media_identifier",
)


def _is_same_device(device: Device, stored: DeviceCredential) -> bool:
    """Whether the device has all stored fields, with the same values."""
    pairs = [(getattr(device, name), getattr(stored, name)) for name in _DEVICE_FIELDS]
    return all(value == expected for value, expected in pairs if expected is not None)
