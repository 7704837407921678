"""Steps: outages, hosts that fetch keys themselves, and keys that are gone (vsphere.md §2.4, §2.8)."""

import statistics
import uuid
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Final

import trio
from kmipkit_client.errors import OperationFailed

from kmipkit.spec.enums import ResultReason, State
from kmipkit_vsphere.check_kms.administrator import Administrator
from kmipkit_vsphere.check_kms.findings import Concern, Finding, NotPlayable
from kmipkit_vsphere.check_kms.subject import PROVIDER, Key, Subject, digest, key_id
from kmipkit_vsphere.check_kms.trust_steps import PINNED, STRANGER
from kmipkit_vsphere.model.concurrency import run_all
from kmipkit_vsphere.model.errors import (
    KeyNotUsable,
    KeyProviderError,
    KeyServerUnreachable,
    RPCError,
)
from kmipkit_vsphere.model.keys import CryptoKeyPlain
from kmipkit_vsphere.providers.key_server import TLSKeyServer
from kmipkit_vsphere.providers.kmip_session import KeyServer, KeyServerRefused, KMIPSession
from kmipkit_vsphere.providers.standard import StandardKeyProvider, session

_CLOCK_TOLERANCE: Final = timedelta(minutes=1)
"""An object that is older than its Create by more than this is somebody else's."""


async def power_cut(subject: Subject) -> str:
    """All hosts start at once: their keys are fetched on parallel connections, twice."""
    hosts = subject.options.hosts
    roles = ("host", "machine")
    seconds: list[float] = []
    failures: list[KeyProviderError] = []
    gate = _Gate(hosts * len(roles))

    async def fetch(key: Key) -> None:
        started = trio.current_time()
        try:
            # All connections are open before the first key is asked for.
            async with session(subject.server) as kmip:
                await gate.pass_()
                await _fetch_again(kmip, key)
            # The host has lost its connection to vCenter, which starts again.
            await _once_more(subject.server, key)
        except KeyProviderError as failure:
            failures.append(failure)
            gate.leave()
        seconds.append(trio.current_time() - started)

    keys = [subject.key(role) for role in roles]
    await run_all(*[partial(fetch, keys[number % 2]) for number in range(hosts * len(roles))])
    if failures:
        raise Finding(
            f"{len(failures)} of {hosts * len(roles)} connections failed, the first one with:"
            f" {failures[0].message}",
            f"Serve at least {hosts * len(roles)} connections of one client at the same time.",
        )
    return (
        f"{hosts} hosts, {2 * len(seconds)} connections; median {statistics.median(seconds):.3f} s,"
        f" slowest {max(seconds):.3f} s for two of them"
    )


class _Gate:
    """Opens when everybody has arrived, or has left."""

    def __init__(self, expected: int) -> None:
        self._missing = expected
        self._open = trio.Event()

    async def pass_(self) -> None:
        self.leave()
        await self._open.wait()

    def leave(self) -> None:
        self._missing -= 1
        if self._missing <= 0:
            self._open.set()


async def _once_more(server: KeyServer, key: Key) -> None:
    async with session(server) as kmip:
        await _fetch_again(kmip, key)


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
        return refusal.message
    except KeyServerRefused as refusal:
        return f"Get is refused: {refusal.message}"
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
            return refusal.message
        if refusal.reason is None:
            raise
        raise Finding(
            f"Get of a key {which} fails with {refusal.reason.name}, not with ITEM_NOT_FOUND"
        ) from None
    raise Finding(f"Get of a key {which} returns a key")


async def get_as_stranger(subject: Subject) -> str:
    """Others ask for the key of a machine: without a certificate, and with an unknown one."""
    endpoint = subject.endpoint
    endpoint.add_provider(STRANGER)
    strangers = {
        "without a certificate": endpoint.anonymous(),
        "with an unknown certificate": endpoint.server_of(STRANGER),
    }
    key = subject.key().id
    for name, server in strangers.items():
        try:
            async with session(server) as kmip:
                (await kmip.get(key)).erase()
        except (KeyServerUnreachable, KeyServerRefused, RPCError):
            continue
        raise Finding(f"a client {name} gets the key of the machine")
    return "no key without a certificate, and none with an unknown one"


async def remove(subject: Subject) -> str:
    """Everything that the check has created is revoked and destroyed; nothing else is touched."""
    ledger = subject.ledger
    count = len(ledger.created)
    problems = [
        f"{key}: {reason}"
        for key, date in list(ledger.created.items())
        if (reason := await _remove(subject, key, date))
    ]
    if ledger.unanswered:
        problems.append(
            f"{ledger.unanswered} Create requests were not answered: the server may have keys that"
            " nobody can name"
        )
    if problems:
        raise Concern("not removed: " + "; ".join(problems))
    return f"{count} keys destroyed"


async def _remove(subject: Subject, key: str, created: datetime) -> str:
    """Destroy a key; why that was not possible, empty if it was."""
    administrator = Administrator(subject.server)
    try:
        date = await _initial_date(administrator, key)
        if date is not None and date < created - _CLOCK_TOLERANCE:
            return f"the server says that it is from {date:%Y-%m-%d %H:%M:%S}, before the check"
        with suppress(OperationFailed):  # a key that was never active needs no revocation
            await administrator.revoke(key)
        await administrator.destroy(key)
    except OperationFailed as refusal:
        return str(refusal)
    except KeyProviderError as failure:
        return failure.message
    return ""


async def _initial_date(administrator: Administrator, key: str) -> datetime | None:
    """When the server created a key; None if it does not say."""
    try:
        return await administrator.initial_date(key)
    except OperationFailed:
        return None  # Destroy will say what is wrong
