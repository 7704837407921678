"""Steps: outages, hosts that fetch keys themselves, and keys that are gone (vsphere.md §2.4, §2.8)."""

import resource
import statistics
import uuid
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Final

import trio
from kmipkit_client.errors import OperationFailed

from kmipkit.errors import ProtocolError
from kmipkit.spec.enums import ResultReason, State
from kmipkit_vsphere.check_kms.administrator import Administrator
from kmipkit_vsphere.check_kms.exchange_steps import SIGNED
from kmipkit_vsphere.check_kms.findings import Concern, Finding, NotPlayable
from kmipkit_vsphere.check_kms.subject import PROVIDER, Key, Subject, digest, key_id
from kmipkit_vsphere.check_kms.trust_steps import PINNED, stranger
from kmipkit_vsphere.model.concurrency import run_all
from kmipkit_vsphere.model.errors import (
    KeyNotUsable,
    KeyProviderError,
    KeyServerUnreachable,
    VSphereError,
)
from kmipkit_vsphere.model.keys import CryptoKeyPlain
from kmipkit_vsphere.providers.key_server import TLSKeyServer
from kmipkit_vsphere.providers.kmip_session import KeyServer, KeyServerRefused, KMIPSession
from kmipkit_vsphere.providers.standard import StandardKeyProvider, session


async def power_cut(subject: Subject) -> str:
    """All hosts start at once: their keys are fetched on parallel connections, twice."""
    hosts = subject.options.hosts
    keys = [subject.key(role) for role in ("host", "machine")] * hosts
    seconds: list[float] = []
    failures: list[KeyProviderError] = []
    gate = _Gate(len(keys))
    _require_files(len(keys))

    async def fetch(key: Key) -> None:
        try:
            # All connections are open before the first key is asked for.
            async with session(subject.server) as kmip:
                await gate.wait()
                started = trio.current_time()
                await _fetch_again(kmip, key)
                seconds.append(trio.current_time() - started)
            # The connection of the host to vCenter was lost: all from the beginning.
            async with session(subject.server) as kmip:
                await _fetch_again(kmip, key)
        except KeyProviderError as failure:
            failures.append(failure)
            gate.arrive()

    await run_all(*[partial(fetch, key) for key in keys])
    if failures:
        raise Finding(
            f"of {len(keys)} connections at the same time {len(failures)} failed, the first one with:"
            f" {failures[0].message}",
            f"Serve at least {len(keys)} connections of one client at the same time.",
        )
    return (
        f"{len(keys)} connections at the same time for {hosts} hosts, then again; a key took"
        f" {statistics.median(seconds):.3f} s in the median, {max(seconds):.3f} s at most"
    )


_OTHER_FILES: Final = 64
"""Descriptors that are open besides the connections."""


def _require_files(connections: int) -> None:
    """Permit this process so many connections. NotPlayable if the system does not."""
    needed = connections + _OTHER_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise NotPlayable(
            f"this process may have {hard} open files, and needs {needed}; use fewer --hosts, or raise"
            " the limit (ulimit -n)"
        )
    if soft != resource.RLIM_INFINITY and soft < needed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))


class _Gate:
    """Opens when all have arrived."""

    def __init__(self, expected: int) -> None:
        self._missing = expected
        self._open = trio.Event()

    async def wait(self) -> None:
        """Arrive, and wait for the others."""
        self.arrive()
        await self._open.wait()

    def arrive(self) -> None:
        """Arrive, or do not come at all."""
        self._missing -= 1
        if self._missing <= 0:
            self._open.set()


async def _fetch_again(kmip: KMIPSession, key: Key) -> None:
    """Get and State of a key that is active; Finding for other bytes or another state."""
    fetched = digest(CryptoKeyPlain(key_id(key.id), "AES-256", await kmip.get(key.id)))
    if fetched != key.digest:
        raise Finding(f"key {key} has other bytes than before")
    if await kmip.state(key.id) is not State.ACTIVE:
        raise Finding(f"key {key} is no longer active")


async def vsan_hosts(subject: Subject) -> str:
    """vSAN hosts get the provider's certificate from vCenter, and fetch the key themselves."""
    endpoint = subject.endpoint
    key = subject.key("host")
    access = endpoint.trust.access(PINNED)

    async def fetch() -> None:
        provider = StandardKeyProvider(PROVIDER, _with_login(access.dial(), subject))
        if digest(await provider.fetch(key_id(key.id))) != key.digest:
            raise Finding(f"a vSAN host gets other bytes for key {key}")

    hosts = subject.options.hosts
    await run_all(*[fetch] * hosts)
    return f"{hosts} hosts fetch one key with the certificate that vCenter pushed to them"


def _with_login(servers: Sequence[KeyServer], subject: Subject) -> list[KeyServer]:
    """The same servers with the user name and password of the provider, if it has one."""
    login = subject.server.login
    return [
        replace(server, login=login) if isinstance(server, TLSKeyServer) else server
        for server in servers
    ]


async def get_unknown(subject: Subject) -> str:
    """Get of an identifier that the server has never seen."""
    return await _require_missing(subject, str(uuid.uuid4()), "that does not exist")


async def get_deactivated(subject: Subject) -> str:
    """The administrator of the key server deactivates a key that vCenter uses."""
    key = (await subject.provider.create_key()).key_id
    await subject.fetch(key)
    await _administer("Revoke", Administrator(subject.server).revoke, key)
    subject.set_key("lost", Key(key))
    try:
        await subject.fetch(key)
    except KeyNotUsable as refusal:
        return f"{refusal.message}; key status {await _status(subject, key)}"
    except KeyServerRefused as refusal:
        return f"{refusal.message}; key status {await _status(subject, key)}"
    raise Finding(f"after Revoke, the State of key {key} is still ACTIVE")


async def get_destroyed(subject: Subject) -> str:
    """The administrator of the key server destroys the key."""
    key = subject.key("lost").id
    await _administer("Destroy", Administrator(subject.server).destroy, key)
    # Where the server keeps the attributes of the object, it "only has attributes" (KMIP 1.1 §11.12).
    return await _require_missing(
        subject, key, "that was destroyed", (ResultReason.ILLEGAL_OPERATION,)
    )


async def _administer(name: str, operation: Callable[[str], Awaitable[None]], key: str) -> None:
    try:
        await operation(key)
    except OperationFailed as refusal:
        raise NotPlayable(f"the server does not let this client {name} a key: {refusal}") from None


async def _require_missing(
    subject: Subject, key: str, which: str, others: Sequence[ResultReason] = ()
) -> str:
    try:
        async with session(subject.server) as kmip:
            (await kmip.get(key)).erase()
    except KeyServerRefused as refusal:
        if refusal.reason in (ResultReason.ITEM_NOT_FOUND, *others):
            return f"{refusal.message}; key status {await _status(subject, key)}"
        if refusal.reason is None:
            raise
        raise Finding(
            f"Get of a key {which} fails with {refusal.reason.name}, not with ITEM_NOT_FOUND"
        ) from None
    raise Finding(f"Get of a key {which} returns a key")


async def _status(subject: Subject, key: str) -> str:
    """QueryCryptoKeyStatus: why a key is not available, as vCenter concludes from its State."""
    try:
        state = await subject.provider.state(key_id(key))
    except KeyServerRefused:
        return "KeyStateMissingInKMS"
    if state is State.ACTIVE:
        raise Finding(
            f"the State of key {key} is ACTIVE, although it cannot be fetched",
            "Let Get Attributes say the same about a key as Get.",
        )
    return "KeyStateNotActiveOrEnabled"


async def get_as_stranger(subject: Subject) -> str:
    """Others ask for the key of a machine: without a certificate, and with an unknown one."""
    endpoint = subject.endpoint
    strangers = {
        "without a certificate": endpoint.anonymous(),
        "with an unknown certificate": stranger(endpoint),
    }
    if endpoint.has_certificate(SIGNED):
        strangers["with the certificate of another account"] = endpoint.server_of(SIGNED)
    key = subject.key().id
    for name, server in strangers.items():
        try:
            async with session(server) as kmip:
                (await kmip.get(key)).erase()
        except (KeyServerUnreachable, KeyServerRefused):
            continue
        raise Finding(f"a client {name} gets the key of the machine")
    return f"no key {', and none '.join(strangers)}"


async def remove(subject: Subject) -> str:
    """Everything that the check has created is revoked and destroyed; nothing else is touched."""
    ledger = subject.ledger
    count = len(ledger.created)
    problems = []
    try:
        for key in list(ledger.created):
            reason = await _remove(Administrator(subject.server), key)
            if reason:
                problems.append(f"{key}: {reason}")
    except KeyServerUnreachable as failure:  # then the others cannot be removed either
        problems = [*ledger.created, failure.message]
    if ledger.unnamed:
        problems.append(
            f"Create was not answered with an identifier ({ledger.unnamed} times): the server may have"
            " keys that nobody can name"
        )
    if problems:
        raise Concern("not removed: " + "; ".join(problems))
    return f"{count} {'key' if count == 1 else 'keys'} destroyed"


async def _remove(administrator: Administrator, key: str) -> str:
    """Destroy a key; why that was not possible, empty if it was. KeyServerUnreachable."""
    try:
        with suppress(OperationFailed):  # a key that was never active needs no revocation
            await administrator.revoke(key)
        await administrator.destroy(key)
        if not await administrator.is_gone(key):
            return "Destroy succeeded, but Get still returns the key"
    except KeyServerUnreachable:
        raise
    except (OperationFailed, ProtocolError) as failure:
        return str(failure)
    except VSphereError as failure:
        return failure.message
    return ""
