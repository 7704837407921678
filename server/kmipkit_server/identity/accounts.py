"""Who asks: from the certificate of a connection and the credentials of a request to an account.

The certificate names an account. Users are objects of the server, made by Create User (3.0) and
linked to credentials: a certificate leads to the user that it is a credential of, and a request
whose header has credentials of a user is that user's (KMIP 1.4 §6.6, KMIP 2.1 §9.11). Nothing here
writes to the store.
"""

import hmac
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any, TypeVar

import trio

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
from kmipkit_server.identity import totp
from kmipkit_server.identity.directory import Directory, is_usable, user_name
from kmipkit_server.identity.identity import Identity
from kmipkit_server.identity.passwords import PasswordChecker
from kmipkit_server.identity.stored_credential import StoredCredential, unpack_credential
from kmipkit_server.identity.tickets import Session, Tickets
from kmipkit_server.store.base import Record, Store
from kmipkit_server.titles import title

_Found = TypeVar("_Found")

FRESHNESS = timedelta(minutes=5)
"""How far the time in a Hashed Password may lie from the server's."""


class AuthenticationError(OperationError):
    """The credentials of a request do not hold; nothing of it is carried out."""


def refusal(message: str = "the credentials are not those of a user") -> OperationError:
    """The error for credentials that prove nothing."""
    return OperationError(ResultReason.AUTHENTICATION_NOT_SUCCESSFUL, message)


@dataclass(slots=True)
class Accounts:
    """Finds accounts; shared by all connections."""

    store: Store
    administrators: frozenset[str] = frozenset()
    """Names of accounts that may manage others."""
    ignores_unknown: bool = False
    """Whether credentials of unknown users are ignored, rather than refused."""
    sessions: MutableMapping[bytes, Session] = field(default_factory=dict)
    """The sessions that tickets stand for."""
    _passwords: PasswordChecker = field(default_factory=PasswordChecker)
    _latest: dict[str, datetime] = field(default_factory=dict)
    """The time in the last Hashed Password of each user, which "SHALL monotonically increase"."""
    _last_interval: dict[str, int] = field(default_factory=dict)
    """The interval of the last one-time password of each credential."""
    _has_users: bool = False

    async def admit(self, identity: Identity, now: datetime) -> Identity:
        """The account of a connection, by its certificate."""
        user = await self._user_of_certificate(identity.certificate, now)
        name = identity.name if user is None else user_name(user)
        return replace(identity, name=name, is_administrator=name in self.administrators)

    async def authenticate(
        self, identity: Identity, authentication: Authentication | None, now: datetime
    ) -> Identity:
        """The account of a request; all its credentials must hold, and the last one counts.

        AuthenticationError: Authentication Not Successful, Invalid Ticket, Feature Not Supported.
        """
        try:
            for credential in authentication.credentials if authentication else ():
                identity = await self._with_credential(identity, credential, now)
        except OperationError as error:
            raise AuthenticationError(error.reason, error.message) from None
        return identity

    async def _with_credential(
        self, identity: Identity, credential: Any, now: datetime
    ) -> Identity:
        check = _CHECKS.get(type(credential.credential_value))
        if check is None:
            raise OperationError(
                ResultReason.FEATURE_NOT_SUPPORTED,
                f"{title(credential.credential_type)} credentials are not supported",
            )
        found: Identity | None = await check(self, credential.credential_value, now)
        if found is not None:
            return replace(
                found,
                certificate=identity.certificate,
                is_administrator=found.name in self.administrators,
            )
        if self.ignores_unknown:
            return identity
        raise refusal()

    # --- one method for each kind of credential -------------------------------------------------

    async def _password(self, given: UsernameAndPassword, now: datetime) -> Identity | None:
        user = await self._user(given.username, now)
        if user is None:
            return None
        for credential in await self._credentials(user, ObjectType.PASSWORD_CREDENTIAL, now):
            if await self._is_right(given.password, credential.password):
                return Identity(user_name(user))
        raise refusal()

    async def _device(self, given: Device, now: datetime) -> Identity | None:
        def find(directory: Directory) -> tuple[StoredCredential, Record | None] | None:
            for record in directory.devices():
                credential = unpack_credential(record)
                if credential.device is not None and _is_same_device(given, credential.device):
                    return credential, directory.user_with(record.id)
            return None

        found = await self._look_up(find, now)
        if found is None:
            return None
        credential, user = found
        is_right = credential.password is None or await self._is_right(
            given.password, credential.password
        )
        if user is None or not is_right:
            raise refusal()
        return Identity(user_name(user))

    async def _hashed(self, given: HashedPassword, now: datetime) -> Identity | None:
        """Hash(S1 || Timestamp) || S2 (KMIP 2.1 §9.11); the time is that of the item's 8 bytes."""
        user = await self._user(given.username, now)
        if user is None:
            return None
        name = user_name(user)
        is_late = abs(given.timestamp - now) > FRESHNESS
        if is_late or given.timestamp <= self._latest.get(name, datetime.min.replace(tzinfo=UTC)):
            raise refusal("the time in the Hashed Password is not current, or was used before")
        algorithm = given.hashing_algorithm or HashingAlgorithm.SHA_256
        stamp = _microseconds(given.timestamp)
        for credential in await self._credentials(user, ObjectType.HASHED_PASSWORD_CREDENTIAL, now):
            stored = credential.hashed
            if (
                stored is None
                or (stored.hashing_algorithm or HashingAlgorithm.SHA_256) != algorithm
            ):
                continue
            first, second = stored.hashed_username_password, stored.hashed_password_username
            expected = digest(first + stamp, algorithm) + second
            if hmac.compare_digest(expected, given.hashed_password):
                self._latest[name] = given.timestamp
                proof = digest(stamp + first + digest(second, algorithm), algorithm)
                return Identity(name, proof=proof)
        raise refusal()

    async def _one_time(self, given: OneTimePassword, now: datetime) -> Identity | None:
        """A one-time password, and the user's password besides if the user has one."""
        user = await self._user(given.username, now)
        if user is None:
            return None
        for credential in await self._credentials(user, ObjectType.PASSWORD_CREDENTIAL, now):
            if not await self._is_right(given.password, credential.password):
                raise refusal()

        def find(directory: Directory) -> list[tuple[str, StoredCredential]]:
            records = directory.credentials(user, ObjectType.ONE_TIME_PASSWORD_CREDENTIAL)
            return [(record.id, unpack_credential(record)) for record in records]

        for identifier, credential in await self._look_up(find, now):
            if credential.otp is None:
                continue
            interval = totp.interval_of(given.one_time_password, credential.otp, now)
            if interval is not None and interval > self._last_interval.get(identifier, -1):
                self._last_interval[identifier] = interval
                return Identity(user_name(user))
        raise refusal()

    async def _ticket(self, given: TicketCredential, now: datetime) -> Identity | None:
        """The account of a ticket, unless it is that of a user who may not log in any more."""
        account = Tickets(self.sessions).present(given.ticket, now)
        user = await self._user(account.name, now)
        if user is not None and not is_usable(user, now):
            raise refusal()
        return account

    async def _is_right(self, password: str | None, stored: PasswordCredential | None) -> bool:
        """Whether this is the password; computed in a thread, since it is slow by design."""
        if stored is None:
            return False
        return await trio.to_thread.run_sync(self._passwords.is_right, password or "", stored)

    # --- what is looked up in the store -----------------------------------------------------------

    async def _look_up(self, find: Callable[[Directory], _Found], now: datetime) -> _Found:
        return await self.store.run(lambda reader: find(Directory(reader, now)))

    async def _user(self, name: str, now: datetime) -> Record | None:
        return await self._look_up(lambda directory: directory.user(name), now)

    async def _credentials(
        self, user: Record, object_type: ObjectType, now: datetime
    ) -> list[StoredCredential]:
        def find(directory: Directory) -> list[StoredCredential]:
            return [unpack_credential(item) for item in directory.credentials(user, object_type)]

        return await self._look_up(find, now)

    async def _user_of_certificate(self, fingerprint: bytes | None, now: datetime) -> Record | None:
        """The user of a certificate; most servers have no users, and need not look further."""
        if fingerprint is None:
            return None
        if not self._has_users:
            self._has_users = await self._look_up(Directory.has_users, now)
        if not self._has_users:
            return None
        return await self._look_up(lambda found: found.user_of_certificate(fingerprint), now)


_CHECKS: Mapping[type, Callable[..., Any]] = MappingProxyType(
    {
        UsernameAndPassword: Accounts._password,
        Device: Accounts._device,
        OneTimePassword: Accounts._one_time,
        HashedPassword: Accounts._hashed,
        TicketCredential: Accounts._ticket,
    }
)
"""How each kind of credential is checked."""


def _microseconds(moment: datetime) -> bytes:
    """A Date-Time Extended as its eight bytes (KMIP 2.1 §10.1.2)."""
    since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return (since // timedelta(microseconds=1)).to_bytes(8, "big", signed=True)


_DEVICE_FIELDS = (
    "device_serial_number",
    "device_identifier",
    "network_identifier",
    "machine_identifier",
    "media_identifier",
)


def _is_same_device(given: Device, stored: DeviceCredential) -> bool:
    """Whether the device names everything that is stored of it."""
    pairs = [(getattr(given, name), getattr(stored, name)) for name in _DEVICE_FIELDS]
    return all(value == known for value, known in pairs if known is not None)
