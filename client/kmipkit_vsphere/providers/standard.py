"""The standard key provider: KMIP key servers that hold the same keys, tried in their order.

vCenter is the KMIP client; the key server makes and keeps the keys (vsphere.md §1.1). The rules of
failover (§4.4) are in two places only: :meth:`StandardKeyProvider._on_any` tries the next server
when one cannot be reached, and :meth:`StandardKeyProvider.fetch` also when a server lacks a key,
because replication may lag. A key is created once, on the first server that can be reached.

Each public method is one connection, or several where a real vCenter opens several (§3.4).
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from types import MappingProxyType
from typing import Final, TypeVar

import trio

from kmipkit.spec.enums import State
from kmipkit_vsphere.model.concurrency import run_all
from kmipkit_vsphere.model.errors import KeyNotUsable, KeyProviderError, KeyServerUnreachable
from kmipkit_vsphere.model.keys import CryptoKeyId, CryptoKeyPlain
from kmipkit_vsphere.model.records import KeyType, ManagementType
from kmipkit_vsphere.providers.base import Participant
from kmipkit_vsphere.providers.kmip_session import KeyServer, KeyServerRefused, KMIPSession
from kmipkit_vsphere.providers.owner import Owner, Product

ROUNDS: Final = 2
"""How often all servers are tried before the provider counts as unreachable."""

T = TypeVar("T")
Job = Callable[[KMIPSession], Awaitable[T]]


class StandardKeyProvider:
    """A key provider of type vCenter. Errors are :class:`KeyProviderError` and its subclasses."""

    management_type = ManagementType.STANDARD
    makes = KeyType.RAW
    """The type of the keys that it creates."""
    participants = frozenset({Participant.KEY_SERVER, Participant.VCENTER, Participant.HOSTS})

    def __init__(
        self, provider_id: str, servers: Sequence[KeyServer], product: Product | None = None
    ) -> None:
        self.provider_id = provider_id
        self.servers = tuple(servers)
        self.product = product or Product()

    async def create_key(self) -> CryptoKeyId:
        """Have the key server make a key, without reading it. One connection: a, d."""
        return CryptoKeyId(self.provider_id, await self._on_any(KMIPSession.create))

    async def fetch(self, key_id: CryptoKeyId) -> CryptoKeyPlain:
        """Get a key for passing on to a host. One connection: a, e, f, and g where it is needed.

        Raises :class:`KeyNotUsable` where no server has the key, or its state forbids the use.
        """
        missing: KeyServerRefused | None = None
        for server in self.servers:
            try:
                return await self._fetch_from(server, key_id)
            except KeyServerRefused as refusal:
                missing = refusal
            except KeyServerUnreachable:
                continue
        if missing:
            raise KeyNotUsable(f"cannot get key {key_id}: {missing}", keyId=key_id) from missing
        return await self._on_any(lambda kmip: _fetch(kmip, key_id))

    async def _fetch_from(self, server: KeyServer, key_id: CryptoKeyId) -> CryptoKeyPlain:
        async with session(server) as kmip:
            return await _fetch(kmip, key_id)

    async def tag_product(self, key_id: CryptoKeyId) -> None:
        """Mark a key with the product unless it is marked already. One connection: a, f x3, h."""
        await self._tag(key_id, self.product.attributes())

    async def tag_owner(self, key_id: CryptoKeyId, owner: Owner) -> None:
        """Mark a key with its owner unless it is marked already. One connection: a, f x3, h."""
        await self._tag(key_id, owner.attributes())

    async def _tag(self, key_id: CryptoKeyId, attributes: dict[str, str]) -> None:
        async def job(kmip: KMIPSession) -> None:
            values = [await kmip.attribute(key_id.key_id, name) for name in attributes]
            if not any(values):
                await kmip.add_attributes(key_id.key_id, attributes)

        try:
            await self._on_any(job)
        except (KeyServerRefused, KeyServerUnreachable):
            return  # tagging is best effort: a real vCenter ignores errors (§3.3 h)

    async def set_attributes(self, key_id: CryptoKeyId, attributes: Mapping[str, str]) -> None:
        """SetKeyCustomAttributes: add what is missing, change what differs. One connection."""

        async def job(kmip: KMIPSession) -> None:
            missing = {}
            for name, value in attributes.items():
                present = await kmip.attribute(key_id.key_id, name)
                if present is None:
                    missing[name] = value
                elif present != value:
                    await kmip.modify_attribute(key_id.key_id, name, value)
            if missing:
                await kmip.add_attributes(key_id.key_id, missing)

        await self._on_any(job)

    async def state(self, key_id: CryptoKeyId) -> State | None:
        """The state of a key on the first server that has it. One connection each: a, f.

        Raises KeyServerRefused where none has it.
        """
        missing: KeyServerRefused | None = None
        for server in self.servers:
            try:
                async with session(server) as kmip:
                    return await kmip.state(key_id.key_id)
            except KeyServerRefused as refusal:
                missing = refusal
            except KeyServerUnreachable:
                continue
        if missing:
            raise missing
        return await self._on_any(lambda kmip: kmip.state(key_id.key_id))

    async def states(self, key_id: CryptoKeyId) -> Mapping[str, State | str]:
        """The state of a key on each server, or the reason why the server cannot tell."""
        states: dict[str, State | str] = {}
        for server in self.servers:
            try:
                async with session(server) as kmip:
                    states[server.name] = await kmip.state(key_id.key_id) or "no state"
            except KeyProviderError as failure:
                states[server.name] = failure.message
        return MappingProxyType(states)

    async def vendor(self) -> str:
        """Vendor Identification of the first server that answers. One connection: a, c."""
        return await self._on_any(KMIPSession.vendor)

    async def greet(self) -> str:
        """Open the connections with which a provider is registered (§3.4); returns the vendor."""
        first = self.servers[-1]  # the one that was added
        await probe(first)
        await run_all(partial(check, first), partial(probe, first))
        async with session(first) as kmip:
            vendor = await kmip.vendor()
        await probe(first)
        await check(first)
        await probe(first)
        return vendor

    async def _on_any(self, job: Job[T]) -> T:
        """Do a job on the first server that can be reached."""
        failures: list[str] = []
        for server in self.servers * ROUNDS:
            try:
                async with session(server) as kmip:
                    return await job(kmip)
            except KeyServerUnreachable as failure:
                failures.append(failure.message)
        raise none_reachable(self.provider_id, failures)


def none_reachable(provider_id: str, failures: Sequence[str]) -> KeyServerUnreachable:
    """The error for a provider of which no server can be reached, with the reason of each."""
    if not failures:
        return KeyServerUnreachable(f"the key provider {provider_id} has no servers")
    return KeyServerUnreachable(
        f"no server of the key provider {provider_id} can be reached: "
        + "; ".join(dict.fromkeys(failures))
    )


@asynccontextmanager
async def session(server: KeyServer) -> AsyncIterator[KMIPSession]:
    """A connection on which the version has been negotiated (request a)."""
    connection = await server.connect()
    try:
        kmip = KMIPSession(connection, server.name, server.login)
        await kmip.negotiate()
        yield kmip
    finally:
        with trio.CancelScope(shield=True):
            await connection.aclose()


async def _fetch(kmip: KMIPSession, key_id: CryptoKeyId) -> CryptoKeyPlain:
    """Get, then State, then Activate: in this order (§3.4), so a Pre-Active key can be read."""
    secret = await kmip.get(key_id.key_id)
    try:
        await _make_active(kmip, key_id)
    except BaseException:
        secret.erase()
        raise
    return CryptoKeyPlain(key_id, "AES-256", secret)


async def _make_active(kmip: KMIPSession, key_id: CryptoKeyId) -> None:
    """Only active keys are used; vCenter itself activates a Pre-Active one (§2.4)."""
    state = await kmip.state(key_id.key_id)
    if state is State.PRE_ACTIVE:
        try:
            await kmip.activate(key_id.key_id)
        except KeyServerRefused:
            # Another connection may have activated it in between.
            if await kmip.state(key_id.key_id) is not State.ACTIVE:
                raise
    elif state is not State.ACTIVE:
        name = state.name if state is not None else "unknown"
        raise KeyNotUsable(
            f"key {key_id} cannot be used: its state on {kmip.server} is {name}",
            keyId=key_id,
        )


async def probe(server: KeyServer) -> bytes | None:
    """Connect, shake hands, close; the server's certificate."""
    connection = await server.connect()
    await connection.aclose()
    return connection.certificate


async def check(server: KeyServer) -> None:
    """Negotiate, then Discover Versions: whether the server speaks KMIP 1.1 with us (a, b)."""
    async with session(server) as kmip:
        await kmip.discover_versions()
