"""The Key Provider Service: keys for hosts with a token, and for nobody else (vsphere.md §7.4).

Each trusted key provider has a primary key on a key server, which an administrator created there
beforehand. The service creates a key-encryption key for each request and wraps it with the primary
key (:mod:`kmipkit_vsphere.trust_authority.primary_key`). The wrapped key is the key's id, stored with
the machine; the key server stores nothing about a machine.
"""

import base64
import binascii
import secrets
from collections.abc import Mapping

from kmipkit_vsphere.model.clock import Clock
from kmipkit_vsphere.model.errors import DamagedData, KeyProviderError, NotAttested, NotFound
from kmipkit_vsphere.trust_authority import token
from kmipkit_vsphere.trust_authority.calls import NewKey, ProviderHealth, SealedKey, UnwrapKey
from kmipkit_vsphere.trust_authority.primary_key import KEK_SIZE, TrustedKeyProvider


class KeyProviderService:
    """One service; ``issuers`` are the public keys (PEM) whose tokens it accepts, by their ids."""

    def __init__(
        self,
        group: str,
        issuers: Mapping[str, str],
        providers: Mapping[str, TrustedKeyProvider],
        clock: Clock,
    ) -> None:
        self._group = group
        self._issuers = issuers
        self._providers = providers
        self._clock = clock

    async def new_key(self, request: NewKey) -> SealedKey:
        """Create a key, and seal it to the holder of the token."""
        claims = self._authenticate(request.token)
        kek = secrets.token_bytes(KEK_SIZE)
        wrapped = await self._provider(request.provider).wrap(kek)
        return self._seal(claims, base64.b64encode(wrapped).decode("ascii"), kek)

    async def unwrap_key(self, request: UnwrapKey) -> SealedKey:
        """Unwrap the key that its id holds, and seal it to the holder of the token."""
        claims = self._authenticate(request.token)
        try:
            wrapped = base64.b64decode(request.key_id, validate=True)
        except binascii.Error:
            raise DamagedData("this is not the id of a key of a trusted key provider") from None
        kek = await self._provider(request.provider).unwrap(wrapped)
        return self._seal(claims, request.key_id, kek)

    def _authenticate(self, presented: str | None) -> token.HostClaims:
        if presented is None:
            raise NotAttested("there is no token; attest first")
        return token.check(presented, self._issuers, self._group, self._clock())

    def _provider(self, name: str) -> TrustedKeyProvider:
        provider = self._providers.get(name)
        if provider is None:
            raise NotFound(f"there is no trusted key provider {name}")
        return provider

    def _seal(self, claims: token.HostClaims, key_id: str, kek: bytes) -> SealedKey:
        sealed = token.seal_to(claims.cnf.x25519, kek, key_id.encode())
        return SealedKey(key_id, sealed)

    async def health(self) -> dict[str, ProviderHealth]:
        """Trusted key provider to its mode, its primary key, and its problem if it has one."""
        return {name: await health_of(provider) for name, provider in self._providers.items()}


async def health_of(provider: TrustedKeyProvider) -> ProviderHealth:
    """Ask the key servers of one provider whether its primary key can be used."""
    problem: str | None = None
    try:
        await provider.current.check()
    except (KeyProviderError, DamagedData) as failure:
        problem = failure.message
    return ProviderHealth(provider.mode, provider.current.key_id, problem)
