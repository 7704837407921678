"""Who asks: from the certificate of a connection and the credentials of a request to an account.

The certificate names an account. Users are objects of the server,
made by Create User (3.0) and linked to credentials: a certificate leads to the user that it is a
credential of, and a request whose header has credentials of a user is that user's (KMIP 1.4 §6.6,
KMIP 2.1 §9.11). Nothing here writes to the store.
"""

import hmac
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Annotated, Any

import trio

from kmipkit.errors import OperationError
from kmipkit.keys.hashes import digest
from kmipkit.model.codec import decode, encode
from kmipkit.model.credentials import (
    Authentication,
    Device,
    HashedPassword,
    OneTimePassword,
    TicketCredential,
    UsernameAndPassword,
)
from kmipkit.model.payloads.accounts import (
    DeviceCredential,
    HashedPasswordCredential,
    OTPCredential,
    PasswordCredential,
)
from kmipkit.model.structure import Structure, Wire, structure
from kmipkit.model.types import NameReference
from kmipkit.spec.enums import HashingAlgorithm, ObjectType, ResultReason, State
from kmipkit.spec.item_types import ItemType
from kmipkit.spec.tags import Tag
from kmipkit.spec.versions import V3_0
from kmipkit.ttlv.tree import Item
from kmipkit_server.engine.state import Memory
from kmipkit_server.identity import totp
from kmipkit_server.identity.certificate import SYSTEM, Identity
from kmipkit_server.identity.passwords import PasswordChecker
from kmipkit_server.store.base import Criterion, LocateQuery, Reader, Record

SYSTEM_TYPES = frozenset(
    {
        ObjectType.USER,
        ObjectType.GROUP,
        ObjectType.PASSWORD_CREDENTIAL,
        ObjectType.DEVICE_CREDENTIAL,
        ObjectType.ONE_TIME_PASSWORD_CREDENTIAL,
        ObjectType.HASHED_PASSWORD_CREDENTIAL,
    }
)
"""Types of objects that only the server owns."""

_USABLE = frozenset({State.PRE_ACTIVE, State.ACTIVE})

FRESHNESS = timedelta(minutes=5)
"""How far the time in a Hashed Password may lie from the server's."""


class AuthenticationError(OperationError):
    """The credentials of a request do not hold; nothing of it is carried out."""


@structure()
class _Kept(Structure):
    """A credential as it is stored."""

    password: Annotated[PasswordCredential | None, Wire(Tag.PASSWORD_CREDENTIAL)] = None
    device: Annotated[DeviceCredential | None, Wire(Tag.DEVICE_CREDENTIAL)] = None
    otp: Annotated[OTPCredential | None, Wire(Tag.OTP_CREDENTIAL)] = None
    hashed: Annotated[HashedPasswordCredential | None, Wire(Tag.HASHED_PASSWORD_CREDENTIAL)] = None


def pack_credential(**parts: Any) -> bytes:
    """The stored form: ``password``, ``device``, ``otp`` or ``hashed``, in the encoding of 3.0."""
    return bytes(V3_0) + encode(_Kept(**parts), V3_0, tag=Tag.CREDENTIAL)


def _unpack(record: Record) -> _Kept:
    return decode(_Kept, (record.material or b"")[2:], V3_0, tag=Tag.CREDENTIAL)


def refused(message: str = "the credentials are not those of a user") -> OperationError:
    """The error for credentials that prove nothing."""
    return OperationError(ResultReason.AUTHENTICATION_NOT_SUCCESSFUL, message)


@dataclass(slots=True)
class Accounts:
    """Finds accounts; shared by all connections."""

    reader: Reader
    administrators: frozenset[str] = frozenset()
    """Names of accounts that may manage others."""
    ignores_unknown: bool = False
    """Whether credentials of users that there are not are passed over, rather than refused."""
    memory: Memory = field(default_factory=Memory)
    _passwords: PasswordChecker = field(default_factory=PasswordChecker)
    _latest: dict[str, datetime] = field(default_factory=dict)
    """The time in the last Hashed Password of each user, which "SHALL monotonically increase"."""
    _used: dict[str, int] = field(default_factory=dict)
    """The interval of the last one-time password of each credential."""
    _has_users: bool = False

    def admit(self, identity: Identity) -> Identity:
        """The account of a connection, from what its certificate says."""
        user = self._user_of_certificate(identity.certificate)
        name = identity.name if user is None else _name(user)
        return replace(identity, name=name, is_administrator=name in self.administrators)

    async def authenticate(
        self, identity: Identity, shown: Authentication | None, now: datetime
    ) -> Identity:
        """The account of a request; all its credentials must hold, and the last one counts.

        AuthenticationError: Authentication Not Successful, Invalid Ticket, Feature Not Supported.
        """
        try:
            return await self._authenticated(identity, shown, now)
        except OperationError as error:
            raise AuthenticationError(error.reason, error.message) from None

    async def _authenticated(
        self, identity: Identity, shown: Authentication | None, now: datetime
    ) -> Identity:
        for credential in shown.credentials if shown else ():
            check = _CHECKS.get(type(credential.credential_value))
            if check is None:
                kind = credential.credential_type.name.replace("_", " ").title()
                raise OperationError(
                    ResultReason.FEATURE_NOT_SUPPORTED, f"{kind} credentials are not supported"
                )
            found = await check(self, credential.credential_value, now)
            if found is not None:
                identity = replace(
                    found,
                    certificate=identity.certificate,
                    is_administrator=found.name in self.administrators,
                )
            elif not self.ignores_unknown:
                raise refused()
        return identity

    # --- credentials of a request ---------------------------------------------------------------

    async def _password(self, given: UsernameAndPassword, now: datetime) -> Identity | None:  # noqa: ARG002
        user = self._user(given.username)
        if user is None:
            return None
        for record in self._credentials(user, ObjectType.PASSWORD_CREDENTIAL):
            kept = _unpack(record).password
            if kept is not None and await self._is_right(given.password or "", kept):
                return Identity(_name(user))
        raise refused()

    async def _device(self, given: Device, now: datetime) -> Identity | None:  # noqa: ARG002
        for record in self._all(ObjectType.DEVICE_CREDENTIAL):
            kept = _unpack(record)
            if kept.device is None or not _same_device(given, kept.device):
                continue
            user = self._user_with(record.id)
            right = kept.password is None or await self._is_right(
                given.password or "", kept.password
            )
            if user is None or not right:
                raise refused()
            return Identity(_name(user))
        return None

    async def _is_right(self, password: str, kept: PasswordCredential) -> bool:
        return await trio.to_thread.run_sync(self._passwords.is_right, password, kept)

    async def _hashed(self, given: HashedPassword, now: datetime) -> Identity | None:
        """Hash(S1 || Timestamp) || S2 (KMIP 2.1 §9.11); the time is that of the item's 8 bytes."""
        user = self._user(given.username)
        if user is None:
            return None
        name = _name(user)
        late = abs(given.timestamp - now) > FRESHNESS
        if late or given.timestamp <= self._latest.get(name, datetime.min.replace(tzinfo=UTC)):
            raise refused("the time in the Hashed Password is not that of now, or was used before")
        algorithm = given.hashing_algorithm or HashingAlgorithm.SHA_256
        stamp = _microseconds(given.timestamp)
        for record in self._credentials(user, ObjectType.HASHED_PASSWORD_CREDENTIAL):
            kept = _unpack(record).hashed
            if kept is None or (kept.hashing_algorithm or HashingAlgorithm.SHA_256) != algorithm:
                continue
            first, second = kept.hashed_username_password, kept.hashed_password_username
            wanted = digest(first + stamp, algorithm) + second
            if hmac.compare_digest(wanted, given.hashed_password):
                self._latest[name] = given.timestamp
                proof = digest(stamp + first + digest(second, algorithm), algorithm)
                return Identity(name, proof=proof)
        raise refused()

    async def _one_time(self, given: OneTimePassword, now: datetime) -> Identity | None:
        """A one-time password, and the user's password besides where the user has one."""
        user = self._user(given.username)
        if user is None:
            return None
        name = _name(user)
        kept = list(self._credentials(user, ObjectType.PASSWORD_CREDENTIAL))
        for record in kept:
            password = _unpack(record).password
            if password and not await self._is_right(given.password or "", password):
                raise refused()
        for record in self._credentials(user, ObjectType.ONE_TIME_PASSWORD_CREDENTIAL):
            credential = _unpack(record).otp
            used = self._used.get(record.id, -1)
            if credential is None:
                continue
            number = totp.interval_of(given.one_time_password, credential, now)
            if number is not None and number > used:
                self._used[record.id] = number
                return Identity(name)
        raise refused()

    async def _ticket(self, given: TicketCredential, now: datetime) -> Identity | None:
        return self.memory.tickets.show(given.ticket, now)

    # --- objects of the server ------------------------------------------------------------------

    def _user(self, name: str) -> Record | None:
        found = map(self.reader.get, self.reader.named(SYSTEM.name, name))
        return next((one for one in found if one and one.object_type is ObjectType.USER), None)

    def _credentials(self, user: Record, object_type: ObjectType) -> Iterator[Record]:
        if user.state not in _USABLE:
            return
        for link in user.attributes.all(Tag.CREDENTIAL_LINK):
            by_name = isinstance(link, NameReference)
            for identifier in self.reader.named(SYSTEM.name, link) if by_name else (link,):
                record = self.reader.get(identifier)
                if record and record.object_type is object_type and record.state in _USABLE:
                    yield record

    def _user_with(self, credential: str) -> Record | None:
        link = Item(Tag.CREDENTIAL_LINK, ItemType.REFERENCE, credential)
        found = self._all(ObjectType.USER, Criterion(Tag.CREDENTIAL_LINK, link))
        return next((user for user in found if user.state in _USABLE), None)

    def _user_of_certificate(self, fingerprint: bytes | None) -> Record | None:
        if fingerprint is None or not self._users_exist():
            return None
        value = Item(Tag.DIGEST_VALUE, ItemType.BYTE_STRING, fingerprint)
        criterion = Criterion(Tag.DIGEST, Item(Tag.DIGEST, ItemType.STRUCTURE, (value,)))
        found = self._all(ObjectType.CERTIFICATE, criterion)
        users = (self._user_with(one.id) for one in found if one.state in _USABLE)
        return next((user for user in users if user is not None), None)

    def _users_exist(self) -> bool:
        """Whether there ever was a user; most servers have none, and need not look further."""
        self._has_users = self._has_users or next(self._all(ObjectType.USER), None) is not None
        return self._has_users

    def _all(self, object_type: ObjectType, *criteria: Criterion) -> Iterator[Record]:
        of_type = Criterion(
            Tag.OBJECT_TYPE, Item(Tag.OBJECT_TYPE, ItemType.ENUMERATION, int(object_type))
        )
        query = LocateQuery(owner=SYSTEM.name, criteria=(*criteria, of_type), now=datetime.now(UTC))
        for identifier in self.reader.locate(query).ids:
            record = self.reader.get(identifier)
            if record is not None:
                yield record


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


def _name(user: Record) -> str:
    name: str = user.attributes.get(Tag.NAME).name_value
    return name


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


def _same_device(given: Device, kept: DeviceCredential) -> bool:
    """Whether everything that is kept of a device is said of it."""
    pairs = [(getattr(given, name), getattr(kept, name)) for name in _DEVICE_FIELDS]
    return all(said == known for said, known in pairs if known is not None)
