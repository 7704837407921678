"""The agent on a trusted host: attests, keeps the token, and gets keys with it (vsphere.md §7.4).

It tries the Trust Authority hosts in their order, and the next one where a service does not answer;
a refusal is final. Before two thirds of a token's life are over it is used as it is.
"""

import base64
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Protocol

import trio
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from kmipkit_vsphere.model.clock import Clock
from kmipkit_vsphere.model.errors import KeyServerUnreachable, RPCError, VSphereError
from kmipkit_vsphere.model.keys import CryptoKeyId, CryptoKeyPlain, Secret
from kmipkit_vsphere.trust_authority import token
from kmipkit_vsphere.trust_authority.measurements import Event
from kmipkit_vsphere.trust_authority.tpm import TPM

REATTEST_AT: Final = 2 / 3


class ServiceChannel(Protocol):
    """Calls to one Trust Authority host; see :class:`kmipkit_vsphere.rpc.channel.Client`."""

    async def call(self, method: str, params: Mapping[str, Any] | None = None) -> Any:
        """Call a method and return its result, or raise its fault."""


class ServiceDialer(Protocol):
    """Opens a channel to one Trust Authority host; raises RPCError where it does not answer."""

    def __call__(self) -> AbstractAsyncContextManager[ServiceChannel]:
        """Connect."""


@dataclass(frozen=True, slots=True, repr=False)
class _Session:
    token: str
    key: X25519PrivateKey
    service: str
    since: datetime
    until: datetime

    def is_fresh(self, now: datetime) -> bool:
        return now < self.since + (self.until - self.since) * REATTEST_AT


class TrustedAgent:
    """The agent of one host."""

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
        self._events = events
        self._services = services
        self._clock = clock
        self._session: _Session | None = None
        self._lock = trio.Lock()
        self._state = "unknown"
        self._messages: list[str] = []

    async def new_key(self, provider_id: str) -> CryptoKeyPlain:
        """A new key of a trusted provider; its id is the wrapped key (R9)."""
        return await self._key(provider_id, "NewKey", {})

    async def key(self, key_id: CryptoKeyId) -> CryptoKeyPlain:
        """The key of this id."""
        return await self._key(key_id.provider_id, "UnwrapKey", {"keyId": key_id.key_id})

    async def _key(self, provider: str, method: str, more: Mapping[str, str]) -> CryptoKeyPlain:
        session = await self.attest()
        answer = await self._call(method, {"token": session.token, "provider": provider, **more})
        sealed = base64.b64decode(answer["sealedKey"])
        kek = token.open_sealed(session.key, sealed, answer["keyId"].encode())
        return CryptoKeyPlain(CryptoKeyId(provider, answer["keyId"]), "AES-256", Secret(kek))

    async def attest(self) -> _Session:
        """A token that is fresh enough; attests if there is none."""
        async with self._lock:
            if self._session is None or not self._session.is_fresh(self._clock()):
                try:
                    self._session = await self._attest()
                except VSphereError as failure:
                    self._state, self._messages = "notAttested", [failure.message]
                    raise
                self._state, self._messages = "attested", []
            return self._session

    async def _attest(self) -> _Session:
        failures = []
        for dial in self._services:
            try:
                # Both rounds with one service: the challenge is in its memory.
                async with dial() as channel:
                    return await self._attest_with(channel)
            except RPCError as failure:
                failures.append(failure.message)
        raise KeyServerUnreachable(
            "no Attestation Service answers: " + ("; ".join(failures) or "none is configured")
        )

    async def _attest_with(self, channel: ServiceChannel) -> _Session:
        own, now = X25519PrivateKey.generate(), self._clock()
        endorsement = await trio.to_thread.run_sync(self._tpm.endorsement)
        attestation_key = await trio.to_thread.run_sync(self._tpm.make_attestation_key)
        request = {
            "hostId": self._host_id,
            "ekPublic": token.text(endorsement.public),
            "akPublic": token.text(attestation_key),
            "answerKey": token.text(own.public_key().public_bytes_raw()),
        }
        if endorsement.certificate is not None:
            request["ekCertificate"] = token.text(endorsement.certificate)
        challenge = await channel.call("Challenge", request)
        answer = await channel.call("Attest", await self._answer(challenge))
        return _Session(
            answer["documents"][token.KMS_AUTH],
            own,
            answer["serviceId"],
            now,
            datetime.fromisoformat(answer["until"]),
        )

    async def _answer(self, challenge: Mapping[str, str]) -> dict[str, Any]:
        def data(name: str) -> bytes:
            return base64.b64decode(challenge[name])

        activate = self._tpm.activate_credential
        secret = await trio.to_thread.run_sync(
            activate, data("credentialBlob"), data("encryptedSecret")
        )
        quote = await trio.to_thread.run_sync(self._tpm.quote, data("nonce"))
        return {
            "context": challenge["context"],
            "secret": token.text(secret),
            "attest": token.text(quote.attest),
            "signature": token.text(quote.signature),
            "events": [event.to_json() for event in self._events],
        }

    async def _call(self, method: str, params: Mapping[str, Any]) -> Any:
        failures = []
        for dial in self._services:
            try:
                async with dial() as channel:
                    return await channel.call(method, params)
            except (RPCError, KeyServerUnreachable) as failure:
                failures.append(failure.message)
        raise KeyServerUnreachable("no Key Provider Service answers: " + "; ".join(failures))

    def status(self) -> dict[str, Any]:
        """``attested``, ``notAttested`` or ``unknown``, by whom, and until when (§7.5)."""
        session = self._session
        if session is not None and session.until <= self._clock():
            session, self._state = None, "notAttested"
        return {
            "status": self._state,
            "serviceId": session.service if session else None,
            "attestedAt": session.since.isoformat() if session else None,
            "attestedUntil": session.until.isoformat() if session else None,
            "messages": self._messages,
        }


class AgentSource:
    """A trusted provider as a source of keys of a host, whose work runs in threads."""

    def __init__(self, agent: TrustedAgent, provider_id: str) -> None:
        self._agent = agent
        self._provider_id = provider_id

    def new_key(self) -> CryptoKeyPlain:
        """A new key; see :meth:`TrustedAgent.new_key`."""
        return trio.from_thread.run(self._agent.new_key, self._provider_id)

    def key(self, key_id: CryptoKeyId) -> CryptoKeyPlain:
        """The key of this id."""
        return trio.from_thread.run(self._agent.key, key_id)
