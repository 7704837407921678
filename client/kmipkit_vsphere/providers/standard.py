"""The standard key provider: KMIP key servers that hold the same keys, tried in their order.

vCenter is the KMIP client; the key server makes and keeps the keys (vsphere.md §1.1). The rules of
fail-over (§4.4) are in two places only: :meth:`StandardKeyProvider._on_any` goes on to the next
server when one cannot be reached, and :meth:`StandardKeyProvider.fetch` also where a server lacks a
key, because replication may lag. A key is created once, on the first server that can be reached.

Each public method is one connection, or several where a real vCenter opens several (§3.4).
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeVar

import trio

from kmipkit.spec.enums import ResultReason, State
from kmipkit_vsphere.conversation import Conversation, KeyServer, KeyServerRefused
from kmipkit_vsphere.errors import KeyNotUsable, KeyServerUnreachable
from kmipkit_vsphere.keys import CryptoKeyId, CryptoKeyPlain
from kmipkit_vsphere.together import together

ROUNDS: Final = 2
"""How often the list of servers is gone through before the provider counts as unreachable."""

T = TypeVar("T")
Job = Callable[[Conversation], Awaitable[T]]


@dataclass(frozen=True, slots=True)
class Product:
    """Who asks for keys, as the key server's administrator sees it (vsphere.md §3.3)."""

    version: str = "8.0.3 build-24022515"
    vendor: str = "VMware, Inc."
    name: str = "VMware vSphere"

    def attributes(self) -> dict[str, str]:
        """The custom attributes, in the order in which vCenter asks for and adds them."""
        return {
            "x-Product_Version": self.version,
            "x-Vendor": self.vendor,
            "x-Product": self.name,
        }


@dataclass(frozen=True, slots=True)
class Owner:
    """What a key is for: a machine or a host, with its UUID and its name in the inventory."""

    identifier: str
    component: str
    name: str

    def attributes(self) -> dict[str, str]:
        """The custom attributes, in the order in which vCenter asks for and adds them."""
        return {
            "x-Identifier": self.identifier,
            "x-Component": self.component,
            "x-Name": self.name,
        }


VIRTUAL_MACHINE: Final = "Virtual Machine"
ESXI_SERVER: Final = "ESXi Server"


class StandardKeyProvider:
    """A key provider of type vCenter. Errors are :class:`KeyProviderError` and its subclasses."""

    def __init__(
        self, provider_id: str, servers: Sequence[KeyServer], product: Product | None = None
    ) -> None:
        self.provider_id = provider_id
        self.servers = tuple(servers)
        self.product = product or Product()

    async def create_key(self) -> CryptoKeyId:
        """Have the key server make a key; nothing of it is read here. One connection: a, d."""
        return CryptoKeyId(self.provider_id, await self._on_any(Conversation.create))

    async def fetch(self, key_id: CryptoKeyId) -> CryptoKeyPlain:
        """Get a key for passing on to a host. One connection: a, e, f, and g where it is needed.

        Raises :class:`KeyNotUsable` where no server has the key, or its state forbids the use.
        """
        missing: KeyServerRefused | None = None
        for server in self.servers:
            try:
                return await self._fetch_from(server, key_id)
            except KeyServerRefused as refusal:
                if refusal.reason is not ResultReason.ITEM_NOT_FOUND:
                    raise
                missing = refusal
            except KeyServerUnreachable:
                continue
        if missing:
            raise KeyNotUsable(f"cannot get key {key_id}: {missing}", keyId=key_id.to_json())
        return await self._on_any(lambda talk: _fetch(talk, key_id))

    async def _fetch_from(self, server: KeyServer, key_id: CryptoKeyId) -> CryptoKeyPlain:
        async with _talk(server) as talk:
            return await _fetch(talk, key_id)

    async def tag_product(self, key_id: CryptoKeyId) -> None:
        """Mark a key with the product, where it is not marked yet. One connection: a, f x3, h."""
        await self._tag(key_id, self.product.attributes())

    async def tag_owner(self, key_id: CryptoKeyId, owner: Owner) -> None:
        """Mark a key with its owner, where it is not marked yet. One connection: a, f x3, h."""
        await self._tag(key_id, owner.attributes())

    async def _tag(self, key_id: CryptoKeyId, attributes: dict[str, str]) -> None:
        async def job(talk: Conversation) -> None:
            found = [await talk.attribute(key_id.key_id, name) for name in attributes]
            if not any(found):
                await talk.add_attributes(key_id.key_id, attributes)

        try:
            await self._on_any(job)
        except (KeyServerRefused, KeyServerUnreachable):
            return  # tagging is best effort: a real vCenter ignores what goes wrong (§3.3 h)

    async def vendor(self) -> str:
        """Vendor Identification of the first server that answers. One connection: a, c."""
        return await self._on_any(Conversation.vendor)

    async def health(self) -> dict[str, str | None]:
        """Poll every server: probe, then a, b. Name to what is wrong, None for nothing."""
        return {server.name: await _health(server) for server in self.servers}

    async def greet(self) -> str:
        """The connections of registering a provider (§3.4), and the vendor they learn."""
        first = self.servers[0]
        await _probe(first)
        await together(partial(_check, first), partial(_probe, first))
        async with _talk(first) as talk:
            vendor = await talk.vendor()
        await _probe(first)
        await _check(first)
        await _probe(first)
        return vendor

    async def _on_any(self, job: Job[T]) -> T:
        """Do a job on the first server that can be reached."""
        failures: list[str] = []
        for server in self.servers * ROUNDS:
            try:
                async with _talk(server) as talk:
                    return await job(talk)
            except KeyServerUnreachable as failure:
                failures.append(failure.message)
        if not failures:
            raise KeyServerUnreachable(f"the key provider {self.provider_id} has no servers")
        raise KeyServerUnreachable(
            f"no server of the key provider {self.provider_id} can be reached: "
            + "; ".join(dict.fromkeys(failures))
        )


@asynccontextmanager
async def _talk(server: KeyServer) -> AsyncIterator[Conversation]:
    """A connection on which the version has been negotiated (request a)."""
    connection = await server.connect()
    try:
        talk = Conversation(connection, server.name)
        await talk.negotiate()
        yield talk
    finally:
        with trio.CancelScope(shield=True):
            await connection.aclose()


async def _fetch(talk: Conversation, key_id: CryptoKeyId) -> CryptoKeyPlain:
    """Get, then State, then Activate: in this order (§3.4), so a Pre-Active key can be read."""
    secret = await talk.get(key_id.key_id)
    try:
        await _make_active(talk, key_id)
    except BaseException:
        secret.erase()
        raise
    return CryptoKeyPlain(key_id, "AES-256", secret)


async def _make_active(talk: Conversation, key_id: CryptoKeyId) -> None:
    """Only active keys are used; a Pre-Active one is activated by vCenter itself (§2.4)."""
    state = await talk.state(key_id.key_id)
    if state is State.PRE_ACTIVE:
        await talk.activate(key_id.key_id)
    elif state is not State.ACTIVE:
        name = state.name if state is not None else "unknown"
        raise KeyNotUsable(
            f"key {key_id} cannot be used: its state on {talk.server} is {name}",
            keyId=key_id.to_json(),
        )


async def _probe(server: KeyServer) -> None:
    """Connect, shake hands, close: whether the server is there and trusts us."""
    connection = await server.connect()
    await connection.aclose()


async def _check(server: KeyServer) -> None:
    async with _talk(server) as talk:
        await talk.discover_versions()


async def _health(server: KeyServer) -> str | None:
    try:
        await _probe(server)
        await _check(server)
    except (KeyServerUnreachable, KeyServerRefused) as failure:
        return failure.message
    return None
