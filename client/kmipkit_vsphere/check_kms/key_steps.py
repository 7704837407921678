"""Steps: the KMIP conversation of a vCenter that encrypts a machine (vsphere.md §3.3, §3.4)."""

from functools import partial
from typing import Any, Final

from kmipkit.model.objects import SymmetricKey
from kmipkit.spec.enums import Operation, State
from kmipkit_vsphere.check_kms.findings import Concern, Finding
from kmipkit_vsphere.check_kms.operation_advice import OPERATION_ADVICE
from kmipkit_vsphere.check_kms.subject import Key, Subject, digest, key_id
from kmipkit_vsphere.model.colour import Color
from kmipkit_vsphere.model.concurrency import run_all
from kmipkit_vsphere.model.keys import CryptoKeyId, CryptoKeyPlain, Secret
from kmipkit_vsphere.providers.kmip_session import VERSION, KeyServerRefused, KMIPSession
from kmipkit_vsphere.providers.owner import ESXI_SERVER, VIRTUAL_MACHINE, Owner
from kmipkit_vsphere.providers.standard import StandardKeyProvider, session
from kmipkit_vsphere.vcenter.health import check_server

MAX_IDENTIFIER: Final = 512
"""Bytes of an identifier that vCenter stores (§9, Q16)."""

MACHINE: Final = Owner(
    "4230b2ba-1cd5-2b1a-9d6a-8c2c5b4a1f11", VIRTUAL_MACHINE, "Buchhaltung (größer) 仮想"
)
HOST: Final = Owner("30363150-3136-5a43-3335-3130344e5854", ESXI_SERVER, "esx01.example.com")
"""Names are those of the inventory: any script, spaces and parentheses."""


async def discover_versions(subject: Subject) -> str:
    """a, b: Discover Versions without and with a batch item id; the answers are in KMIP 1.1."""
    async with session(subject.server) as kmip:
        listed = _versions(subject)
        await kmip.discover_versions()
        again = _versions(subject)
    subject.facts.versions = listed
    if listed != again:
        raise Finding(
            f"Discover Versions lists {_joined(listed)}, and then on the same connection"
            f" {_joined(again)}"
        )
    if listed != sorted(listed, reverse=True):
        raise Concern(
            f"Discover Versions lists {_joined(listed)}",
            "List the versions in order of preference, the newest first (KMIP 1.1 §4.26).",
        )
    return f"versions {_joined(listed)}; vCenter uses {VERSION}"


def _versions(subject: Subject) -> list[Any]:
    assert subject.server.last is not None
    payload: Any = subject.server.last.batch_items[0].response_payload
    return [entry.version for entry in payload.protocol_versions]


def _joined(values: list[Any]) -> str:
    return " ".join(map(str, values)) or "nothing"


async def query_vendor(subject: Subject) -> str:
    """c: Query, of which vCenter takes the Vendor Identification."""
    vendor = await subject.provider.vendor()
    subject.facts.vendor = vendor
    if not vendor:
        raise Concern("the answer to Query has no Vendor Identification")
    return f"vendor {vendor!r}"


async def register(subject: Subject) -> str:
    """The eight connections with which a key server is added, some of them at the same time."""
    await subject.provider.greet()
    return "eight connections, as when a key server is added"


async def poll_health(subject: Subject) -> str:
    """The poll every 300 seconds, and the same with the page of the provider open."""
    status = await check_server(subject.server, subject.clock(), interactive=True)
    if status.status is Color.RED:
        raise Finding("; ".join(status.reasons))
    return f"the key provider is {status.status}"


async def create(subject: Subject) -> str:
    """d: Create for a machine and for its host: the same bytes, two keys."""
    keys = []
    for role in ("machine", "host"):
        async with session(subject.server) as kmip:
            identifier = await kmip.create()
        if not identifier:
            raise Finding("Create returns an empty Unique Identifier")
        size = len(identifier.encode())
        if size > MAX_IDENTIFIER:
            raise Finding(f"the Unique Identifier has {size} bytes, more than {MAX_IDENTIFIER}")
        keys.append(subject.set_key(role, Key(identifier)))
    if keys[0] == keys[1]:
        raise Finding(
            f"two Create requests return the same key {keys[0]}",
            "Make a new key for each Create, also if two requests have the same bytes.",
        )
    return f"keys {keys[0]} and {keys[1]}"


async def tag_product(subject: Subject) -> str:
    """f, h: three Get Attributes, then one message with three Add Attribute."""
    return await _tag(subject, subject.provider.product.attributes())


async def tag_owner(subject: Subject) -> str:
    """f, h: the same with the UUID, the kind and the name of the machine."""
    return await _tag(subject, MACHINE.attributes())


async def _tag(subject: Subject, attributes: dict[str, str]) -> str:
    key = subject.key().id
    async with session(subject.server) as kmip:
        for name in attributes:
            if await kmip.attribute(key, name) is not None:
                raise Finding(f"a new key has the attribute {name} already")
        await kmip.add_attributes(key, attributes)
    async with session(subject.server) as kmip:
        for name, value in attributes.items():
            actual = await kmip.attribute(key, name)
            if actual != value:
                raise Finding(f"{name} was added as {value!r} and is read as {actual!r}")
    return ", ".join(f"{name} {value!r}" for name, value in attributes.items())


async def set_attributes(subject: Subject) -> str:
    """SetKeyCustomAttributes (8.0.1): a value of the user's own is added, then changed."""
    key = key_id(subject.key().id)
    for value, operation in (
        ("Finanzen & Steuern", Operation.ADD_ATTRIBUTE),
        ("会計", Operation.MODIFY_ATTRIBUTE),
    ):
        await subject.provider.set_attributes(key, {"x-Cost-Centre": value})
        async with session(subject.server) as kmip:
            actual = await kmip.attribute(key.key_id, "x-Cost-Centre")
        if actual != value:
            raise Finding(
                f"x-Cost-Centre was set to {value!r} and is read as {actual!r}",
                OPERATION_ADVICE[operation],
            )
    return "an attribute is added and changed"


async def get(subject: Subject) -> str:
    """e: Get of both keys before they are active, each twice."""
    digests = []
    for role in ("machine", "host"):
        key = subject.key(role).id
        async with session(subject.server) as kmip:
            first, second = [await _get(subject, kmip, key) for _ in range(2)]
        if first != second:
            raise Finding(f"two Get requests return different bytes for key {key}")
        subject.set_key(role, Key(key, first))
        digests.append(first)
    if digests[0] == digests[1]:
        raise Finding("two keys have the same bytes")
    return "AES, 256 bits, format Raw; before the key is active"


async def _get(subject: Subject, kmip: KMIPSession, key: str) -> bytes:
    """A hash of the bytes of a key; what is wrong with the answer if there are none."""
    try:
        secret: Secret = await kmip.get(key)
    except KeyServerRefused as refusal:
        if refusal.reason is not None or subject.server.last is None:
            raise
        payload: Any = subject.server.last.batch_items[0].response_payload
        if payload is None:
            raise
        raise Finding(
            f"Get returns {_described(payload.object)}, not an AES key of 256 bits"
        ) from None
    return digest(CryptoKeyPlain(key_id(key), "AES-256", secret))


def _described(value: Any) -> str:
    """What kind of object Get returned, without any of its bytes."""
    if not isinstance(value, SymmetricKey):
        return f"a {type(value).__name__}"
    block = value.key_block
    if block.key_wrapping_data is not None:
        return "a wrapped key, although no wrapping was asked for"
    material = getattr(block.key_value, "key_material", None)
    size = f"{len(material) * 8} bits" if isinstance(material, bytes) else "no plain key material"
    algorithm = block.cryptographic_algorithm
    return (
        f"a key with Key Format Type {block.key_format_type.name}, algorithm"
        f" {algorithm.name if algorithm is not None else 'missing'} and {size}"
    )


async def state(subject: Subject) -> str:
    """f: the State of a key, on which vCenter decides whether to activate it."""
    key = subject.key().id
    async with session(subject.server) as kmip:
        actual = await kmip.state(key)
    if actual not in (State.PRE_ACTIVE, State.ACTIVE):
        name = "no State" if actual is None else f"the State {actual.name}"
        raise Finding(f"a new key has {name}; it must be Pre-Active or Active")
    return f"{actual.name}"


async def activate(subject: Subject) -> str:
    """g: Activate for a key that is Pre-Active; afterwards it is Active."""
    notes = []
    for role in ("machine", "host"):
        key = subject.key(role).id
        async with session(subject.server) as kmip:
            if await kmip.state(key) is State.PRE_ACTIVE:
                await kmip.activate(key)
                notes.append("activated")
            else:
                notes.append("active already")
            actual = await kmip.state(key)
        if actual is not State.ACTIVE:
            name = "no State" if actual is None else actual.name
            raise Finding(f"after Activate, the State of key {key} is {name}")
    return " and ".join(dict.fromkeys(notes))


async def encrypt_machine(subject: Subject) -> str:
    """All of the above in the order of a real vCenter, partly in parallel (§3.4, lines 1 to 8)."""
    provider = subject.provider
    machine = await provider.create_key()
    [_, host] = await run_all(partial(provider.tag_product, machine), partial(_host_key, provider))
    await provider.tag_product(host)
    await provider.tag_owner(host, HOST)
    fetched = digest(await provider.fetch(machine))
    await provider.tag_owner(machine, MACHINE)
    subject.set_key("second machine", Key(machine.key_id, fetched))
    return f"machine key {machine.key_id}, host key {host.key_id}"


async def _host_key(provider: StandardKeyProvider) -> CryptoKeyId:
    key = await provider.create_key()
    (await provider.fetch(key)).key_data.erase()
    return key


async def reboot_host(subject: Subject) -> str:
    """Power-on after a reboot of the host: Get and State of its key and the machine's."""
    for role in ("host", "machine"):
        key = subject.key(role)
        if await subject.fetch(key.id) != key.digest:
            raise Finding(f"key {key} has other bytes than before the reboot")
    return "the same bytes as before"


async def re_encrypt(subject: Subject) -> str:
    """Shallow recrypt: vCenter creates a new key, never with Re-key; the old one stays readable."""
    new = await subject.provider.create_key()
    await subject.provider.tag_product(new)
    new_digest = digest(await subject.provider.fetch(new))
    old = subject.key()
    if new_digest == old.digest:
        raise Finding("the new key has the bytes of the old one")
    if await subject.fetch(old.id) != old.digest:
        raise Finding(f"since there is a new key, the old key {old} has other bytes")
    return f"new key {new.key_id}; the old one is still there for snapshots"
