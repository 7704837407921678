"""The agent on a trusted host: attests, holds the token, and gets keys with it (vsphere.md §7.4).

It tries the Trust Authority hosts in their order: the next one if a service does not answer. A
refusal is final. A token is renewed when two thirds of its life are over.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol, TypeVar

import trio
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from kmipkit_vsphere.calls.host import HostAttestation
from kmipkit_vsphere.model.clock import Clock
from kmipkit_vsphere.model.errors import (
    KeyServerUnreachable,
    NotAttested,
    RPCError,
    VSphereError,
)
from kmipkit_vsphere.model.keys import CryptoKeyId, CryptoKeyPlain, Secret
from kmipkit_vsphere.rpc.call import Channel, Request
from kmipkit_vsphere.trust_authority import token
from kmipkit_vsphere.trust_authority.calls import (
    Attest,
    AttestationChallenge,
    Challenge,
    NewKey,
    SealedKey,
    UnwrapKey,
)
from kmipkit_vsphere.trust_authority.measurements import Event, booted
from kmipkit_vsphere.trust_authority.tpm import TPM

REATTEST_AT: Final = 2 / 3

A = TypeVar("A")


class ServiceDialer(Protocol):
    """Opens a channel to one Trust Authority host; raises RPCError if it does not answer."""

    def __call__(self) -> AbstractAsyncContextManager[Channel]:
        """Connect."""


@dataclass(frozen=True, slots=True, repr=False)
class _Session:
    """A token, and the private key to which the answers for it are sealed."""

    token: str
    key: X25519PrivateKey
    service: str
    since: datetime
    until: datetime

    def is_fresh(self, now: datetime) -> bool:
        return now < self.since + (self.until - self.since) * REATTEST_AT


class TrustedAgent:
    """The agent of one host. It lives in the event loop; the TPM works in threads."""

    def __init__(
        self,
        host_id: str,
        tpm: TPM,
        events: Sequence[Event],
        services: Sequence[ServiceDialer],
        clock: Clock,
    ) -> None:
        self._host_id = host_id
        self._tpm = tpm
        self._events = tuple(events)
        self._services = services
        self._clock = clock
        self._session: _Session | None = None
        self._lock = trio.Lock()
        self._state = "unknown"
        self._messages: tuple[str, ...] = ()

    async def new_key(self, provider_id: str) -> CryptoKeyPlain:
        """A new key of a trusted provider; its id is the wrapped key (R9)."""
        return await self._with_token(provider_id, lambda token: NewKey(provider_id, token))

    async def key(self, key_id: CryptoKeyId) -> CryptoKeyPlain:
        """The key of this id."""
        provider_id = key_id.provider_id
        return await self._with_token(
            provider_id, lambda token: UnwrapKey(provider_id, key_id.key_id, token)
        )

    async def _with_token(
        self, provider_id: str, request: Callable[[str], Request[SealedKey]]
    ) -> CryptoKeyPlain:
        """The key for a request with a token; one that is refused is replaced once.

        A token is refused long before its end if the Attestation Service was set up anew.
        """
        session = await self._attested()
        try:
            sealed = await self._call(request(session.token))
        except NotAttested:
            session = await self._attested(instead_of=session)
            sealed = await self._call(request(session.token))
        return _open(session, provider_id, sealed)

    async def attest(self) -> HostAttestation:
        """The attestation status, after an attempt to attest if there is no fresh token."""
        await self._attested()
        return self.status()

    async def _attested(self, instead_of: _Session | None = None) -> _Session:
        """A session with a fresh token, and another one than that which was refused."""
        async with self._lock:
            if instead_of is not None and self._session is instead_of:
                self._session = None
            if self._session is None or not self._session.is_fresh(self._clock()):
                try:
                    self._session = await self._attest()
                except VSphereError as failure:
                    self._state, self._messages = "notAttested", (failure.message,)
                    raise
                self._state, self._messages = "attested", ()
            return self._session

    async def _attest(self) -> _Session:
        failures = []
        for dial in self._services:
            try:
                # Both rounds with one service: it has the challenge in its memory.
                async with dial() as channel:
                    return await self._attest_with(channel)
            except RPCError as failure:
                failures.append(failure.message)
        raise KeyServerUnreachable(
            "no Attestation Service answers: " + ("; ".join(failures) or "none is configured")
        )

    async def _attest_with(self, channel: Channel) -> _Session:
        answer_key, now = X25519PrivateKey.generate(), self._clock()
        endorsement = await trio.to_thread.run_sync(self._tpm.endorsement)
        attestation_key = await trio.to_thread.run_sync(self._tpm.make_attestation_key)
        request = Challenge(
            self._host_id,
            endorsement.public,
            attestation_key,
            answer_key.public_key().public_bytes_raw(),
            endorsement.certificate,
        )
        result = await channel.call(await self._answer(await channel.call(request)))
        return _Session(
            result.documents[token.KMS_AUTH], answer_key, result.service_id, now, result.until
        )

    async def _answer(self, challenge: AttestationChallenge) -> Attest:
        secret = await trio.to_thread.run_sync(
            self._tpm.activate_credential, challenge.credential_blob, challenge.encrypted_secret
        )
        quote = await trio.to_thread.run_sync(self._tpm.quote, challenge.nonce)
        return Attest(challenge.context, secret, quote.attest, quote.signature, self._events)

    async def _call(self, request: Request[A]) -> A:
        failures = []
        for dial in self._services:
            try:
                async with dial() as channel:
                    return await channel.call(request)
            except (RPCError, KeyServerUnreachable) as failure:
                failures.append(failure.message)
        raise KeyServerUnreachable("no Key Provider Service answers: " + "; ".join(failures))

    def status(self) -> HostAttestation:
        """``attested``, ``notAttested`` or ``unknown``, by which service, and until when (§7.5)."""
        session = self._session
        if session is not None and session.until <= self._clock():
            session, self._state = None, "notAttested"
        return HostAttestation(
            self._state,
            session.service if session else None,
            session.since.isoformat() if session else None,
            session.until.isoformat() if session else None,
            self._messages,
            booted(self._events),
        )


def _open(session: _Session, provider_id: str, sealed: SealedKey) -> CryptoKeyPlain:
    kek = token.open_sealed(session.key, sealed.sealed_key, sealed.key_id.encode())
    return CryptoKeyPlain(CryptoKeyId(provider_id, sealed.key_id), "AES-256", Secret(kek))


class AgentSource:
    """A trusted provider as a source of keys, for the worker threads of a host."""

    def __init__(self, agent: TrustedAgent, provider_id: str) -> None:
        self._agent = agent
        self._provider_id = provider_id

    def new_key(self) -> CryptoKeyPlain:
        """A new key; see :meth:`TrustedAgent.new_key`."""
        return trio.from_thread.run(self._agent.new_key, self._provider_id)

    def key(self, key_id: CryptoKeyId) -> CryptoKeyPlain:
        """The key of this id."""
        return trio.from_thread.run(self._agent.key, key_id)
