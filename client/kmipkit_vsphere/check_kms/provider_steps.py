"""Steps: a key provider with a login, several servers or wrapped keys (vsphere.md §3.1, §4.3)."""

import secrets
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

import trio
from kmipkit_client import calls
from kmipkit_client.errors import OperationFailed

from kmipkit.model.attributes import CryptographicParameters
from kmipkit.spec.enums import BlockCipherMode, CryptographicAlgorithm, PaddingMethod
from kmipkit.spec.versions import PUBLISHED, V1_2, Version
from kmipkit_vsphere.check_kms.administrator import Administrator
from kmipkit_vsphere.check_kms.findings import OPEN_TO_ALL, Concern, Finding, NotPlayable
from kmipkit_vsphere.check_kms.observed import ObservedServer
from kmipkit_vsphere.check_kms.subject import PROVIDER, Subject, digest, key_id
from kmipkit_vsphere.model.errors import DamagedData, KeyNotUsable, KeyServerUnreachable
from kmipkit_vsphere.model.keys import CryptoKeyId, Secret
from kmipkit_vsphere.providers.key_server import TLSKeyServer
from kmipkit_vsphere.providers.kmip_session import KeyServerRefused, Login
from kmipkit_vsphere.providers.standard import StandardKeyProvider, session
from kmipkit_vsphere.providers.wrapped import MIN_DAYS, WrappedKeyProvider, WrappingKey

_RETRY_INTERVAL: Final = 0.1


async def wrong_password(subject: Subject) -> str:
    """The user name with another password: refused, and the right one is accepted afterwards."""
    endpoint = subject.endpoint
    assert endpoint.settings.login is not None
    wrong = Login(endpoint.settings.login.user_name, Secret(secrets.token_hex(16).encode()))
    server: TLSKeyServer = replace(endpoint.server(), login=wrong)
    key = subject.key().id
    refusal = ""
    try:
        async with session(server) as kmip:
            (await kmip.get(key)).erase()
    except (KeyServerRefused, KeyServerUnreachable) as failure:
        refusal = failure.message
    try:
        async with session(subject.server) as kmip:
            await kmip.state(key)
    except (KeyServerRefused, KeyServerUnreachable) as failure:
        raise Finding(
            f"after one wrong password, the right one is refused: {failure.message}",
            "Do not lock the account at once: vCenter uses it on parallel connections.",
        ) from None
    if not refusal:
        raise Concern(
            f"the user {wrong.user_name!r} gets the key with a wrong password",
            "Check the password, or ask administrators for none.",
            OPEN_TO_ALL,
        )
    return refusal


class _WrappingKeys:
    """The wrapping key of the provider that the check plays."""

    def __init__(self, subject: Subject) -> None:
        self.lock = trio.Lock()
        self.days = 0.0
        self._clock = subject.clock
        self._key = WrappingKey("", MIN_DAYS)

    def now(self) -> datetime:
        return self._clock() + timedelta(days=self.days)

    def wrapping_key(self) -> WrappingKey:
        return self._key

    def replace(self, key_id: CryptoKeyId) -> None:
        self._key = WrappingKey(key_id.key_id, MIN_DAYS, self.now())


async def wrap(subject: Subject) -> str:
    """vSphere 9: the server holds a wrapping key, and the key of a machine is its own identifier."""
    keys = _WrappingKeys(subject)
    provider = WrappedKeyProvider(PROVIDER, [subject.server], keys, keys.now)
    machine = await provider.create_key()
    wrapping = keys.wrapping_key().key_id
    before = digest(await provider.fetch(machine))
    keys.days = MIN_DAYS + 1
    other = await provider.create_key()
    rotated = keys.wrapping_key().key_id
    if rotated == wrapping:
        raise Finding(f"after {MIN_DAYS} days the wrapping key is still {wrapping}")
    try:
        after = digest(await provider.fetch(machine))
    except DamagedData as failure:
        raise Finding(failure.message) from None
    if before != after or digest(await provider.fetch(other)) == before:
        raise Finding("the wrapping keys do not open what was wrapped with them")
    return f"wrapping key {wrapping}, then {rotated}; both open what was wrapped with them"


async def encrypt_on_server(subject: Subject) -> str:
    """A Key Provider Service that leaves its primary key on the server, and has it encrypt."""
    version = _version(subject)
    if version is None:
        raise NotPlayable("Encrypt needs KMIP 1.2 or later, which the server does not list")
    administrator = Administrator(subject.server)
    parameters = CryptographicParameters(
        block_cipher_mode=BlockCipherMode.CBC,
        padding_method=PaddingMethod.PKCS5,
        cryptographic_algorithm=CryptographicAlgorithm.AES,
    )
    key, text, iv = subject.key().id, secrets.token_bytes(32), secrets.token_bytes(16)
    try:
        sealed = await administrator.ask(calls.encrypt(key, text, parameters, iv, None), version)
        opened = await administrator.ask(
            calls.decrypt(key, sealed.data, parameters, iv, None, None), version
        )
    except OperationFailed as refusal:
        raise Finding(f"in KMIP {version}: {refusal}") from None
    if opened != text or text in sealed.data:
        raise Finding("Decrypt does not return what was encrypted")
    return f"in KMIP {version}"


def _version(subject: Subject) -> Version | None:
    """The newest version of the server that has Encrypt."""
    listed = subject.facts.versions
    return next((each for each in reversed(PUBLISHED) if each >= V1_2 and each in listed), None)


async def same_vendor(subject: Subject) -> str:
    """A second server is added to the provider: its vendor must be that of the first."""
    for replica in subject.replicas:
        vendor = await StandardKeyProvider(PROVIDER, [replica]).vendor()
        if vendor != subject.facts.vendor:
            raise Finding(
                f"the vendor of {replica.name} is {vendor!r}, that of the first server is"
                f" {subject.facts.vendor!r}"
            )
    return f"{len(subject.replicas) + 1} servers of {subject.facts.vendor!r}"


async def replicate(subject: Subject) -> str:
    """A key that was made on one server is read from the others, as when the first one fails."""
    key = await subject.provider.create_key()
    expected = await subject.fetch(key.key_id)
    slowest = 0.0
    for replica in subject.replicas:
        waited = await _await_key(subject, replica, key.key_id, expected)
        slowest = max(slowest, waited)
    if slowest > 0:
        raise Concern(
            f"a new key is on another server only after {slowest:.1f} s; until then, vCenter gets"
            " ITEM_NOT_FOUND there",
            "Answer Create when all servers have the key, or let the others ask for keys they lack.",
        )
    return "every server delivers a new key at once"


async def _await_key(subject: Subject, replica: ObservedServer, key: str, expected: bytes) -> float:
    """The seconds until a server delivers a key; 0 if it does so at the first attempt."""
    provider = StandardKeyProvider(PROVIDER, [replica])
    started = trio.current_time()
    is_first = True
    while True:
        try:
            fetched = digest(await provider.fetch(key_id(key)))
        except KeyNotUsable as failure:
            waited = trio.current_time() - started
            if waited >= subject.options.replication_timeout:
                raise Finding(
                    f"{replica.name} does not deliver a new key of the first server within"
                    f" {waited:.0f} s: {failure.message}"
                ) from None
        else:
            if fetched != expected:
                raise Finding(f"{replica.name} has other bytes for key {key}")
            return 0.0 if is_first else trio.current_time() - started
        is_first = False
        await trio.sleep(_RETRY_INTERVAL)
