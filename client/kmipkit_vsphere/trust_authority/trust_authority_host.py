"""A Trust Authority host: both services behind one channel (vsphere.md §7.1, requirement R43).

The vCenter of the trust authority configures it with one document, which it stores; its own signing
key never leaves it. It accepts connections of trusted hosts whose certificates were issued by an
imported workload vCenter ("principals"); nobody else gets past the TLS handshake.
"""

import json
import logging
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Final
from uuid import uuid4

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from kmipkit_vsphere.model.clock import Clock
from kmipkit_vsphere.model.errors import DamagedData, InvalidState
from kmipkit_vsphere.model.files import ROLE_FILE, write_secret
from kmipkit_vsphere.model.sealed_config import SealedConfig
from kmipkit_vsphere.providers.kmip_access import KmipAccess
from kmipkit_vsphere.providers.kmip_session import KeyServer
from kmipkit_vsphere.rpc.call import Rows, table
from kmipkit_vsphere.rpc.tls import Credentials
from kmipkit_vsphere.trust_authority.attestation import AttestationService
from kmipkit_vsphere.trust_authority.calls import (
    ApplyConfiguration,
    Attest,
    AttestationChallenge,
    AttestationResult,
    Challenge,
    CheckPrimaryKey,
    Health,
    NewKey,
    ProviderHealth,
    SealedKey,
    ServiceIdentity,
    ServiceInfo,
    TrustAuthorityHealth,
    TrustConfiguration,
    TrustedProvider,
    UnwrapKey,
)
from kmipkit_vsphere.trust_authority.key_provider_service import KeyProviderService, health_of
from kmipkit_vsphere.trust_authority.primary_key import MODES, TrustedKeyProvider

MANAGER: Final = "trust-authority-manager"
TRUSTED_HOST: Final = "trusted-host"
GROUP_KEY_CURVE: Final = ec.SECP256R1()

_CONFIGURATION: Final = "configuration"

log = logging.getLogger("kmipkit.vsphere.trust-authority")

Dial = Callable[[KmipAccess], list[KeyServer]]


class TrustAuthorityHost:
    """Both services, their configuration and their key."""

    def __init__(
        self,
        name: str,
        folder: Path,
        clock: Clock,
        dial: Dial = KmipAccess.dial,
    ) -> None:
        self.name = name
        self._folder = folder
        self._dial = dial
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if (folder / "host.json").exists():
            raise InvalidState(
                f"{folder} belongs to a host that runs machines: it cannot be a trust authority"
            )
        self.service_id = self._load_id()
        """The id under which tokens name this Attestation Service."""
        self._config = SealedConfig(folder)
        self._key = self._signing_key()
        self._public = self._key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        self._clock = clock
        self._use(self.configuration)

    def _load_id(self) -> str:
        path = self._folder / ROLE_FILE
        if not path.exists():
            write_secret(path, json.dumps({"id": str(uuid4())}).encode())
        try:
            return str(json.loads(path.read_text())["id"])
        except (ValueError, KeyError, TypeError):
            raise DamagedData(f"{path} does not hold the id of a Trust Authority host") from None

    def _signing_key(self) -> ec.EllipticCurvePrivateKey:
        """The key that signs tokens, created at the first start."""
        path = self._folder / "token-signing.key"
        if not path.exists():
            pem = ec.generate_private_key(GROUP_KEY_CURVE).private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
            write_secret(path, pem)
        try:
            key = serialization.load_pem_private_key(path.read_bytes(), None)
        except ValueError:
            raise DamagedData(f"{path} is not a private key in PEM") from None
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise DamagedData(f"{path} is not the key of an Attestation Service")
        return key

    @property
    def configuration(self) -> TrustConfiguration:
        """The applied configuration, with the credentials of the key servers: never log it."""
        return self._config.read(_CONFIGURATION, TrustConfiguration) or TrustConfiguration()

    def apply(self, configuration: TrustConfiguration) -> None:
        """Apply a configuration, durably."""
        self._config.set(_CONFIGURATION, configuration)
        self._use(configuration)

    def _use(self, configuration: TrustConfiguration) -> None:
        # New services, so that no call sees parts of two configurations.
        providers = {
            name: self._provider(name, provider)
            for name, provider in configuration.providers.items()
        }
        group = configuration.group or self.service_id
        self.attestation = AttestationService(
            self.service_id,
            group,
            self._key,
            configuration.anchors,
            configuration.images,
            self._clock,
        )
        self.key_provider = KeyProviderService(
            group, configuration.attestation_keys, providers, self._clock
        )

    def _provider(self, name: str, provider: TrustedProvider) -> TrustedKeyProvider:
        servers, key = self._dial(provider.access), MODES[provider.mode]
        key_ids = (provider.primary_key_id, *provider.previous_key_ids)
        return TrustedKeyProvider(
            name, provider.mode, [key(name, key_id, servers) for key_id in key_ids]
        )

    def context(self, credentials: Credentials) -> ssl.SSLContext:
        """Accepts the hosts of imported workload vCenters, and nobody else."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.verify_mode = ssl.CERT_REQUIRED
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        credentials.load_own(context)
        principals = "".join(self.configuration.principals.values())
        if principals:
            context.load_verify_locations(cadata=principals)
        return context

    # Calls ---------------------------------------------------------------------------------------

    def services(self) -> Rows:
        """The calls of trusted hosts."""
        return table(
            Challenge.row(TRUSTED_HOST, self._challenge),
            Attest.row(TRUSTED_HOST, self._attest),
            NewKey.row(TRUSTED_HOST, self._new_key),
            UnwrapKey.row(TRUSTED_HOST, self._unwrap_key),
        )

    def management(self) -> Rows:
        """The calls of the trust authority's vCenter."""
        return table(
            ServiceInfo.row(MANAGER, self._info),
            ApplyConfiguration.row(MANAGER, self._apply_configuration),
            CheckPrimaryKey.row(MANAGER, self._check_primary_key),
            Health.row(MANAGER, self._health),
        )

    # The services change with the configuration, so these look them up for each call.

    async def _challenge(self, request: Challenge) -> AttestationChallenge:
        return self.attestation.challenge(request)

    async def _attest(self, request: Attest) -> AttestationResult:
        return self.attestation.attest(request)

    async def _new_key(self, request: NewKey) -> SealedKey:
        return await self.key_provider.new_key(request)

    async def _unwrap_key(self, request: UnwrapKey) -> SealedKey:
        return await self.key_provider.unwrap_key(request)

    async def _info(self, _request: ServiceInfo) -> ServiceIdentity:
        return ServiceIdentity(self.service_id, self._public.decode())

    async def _apply_configuration(self, request: ApplyConfiguration) -> None:
        self.apply(request.configuration)
        log.info("applied a new configuration")

    async def _check_primary_key(self, request: CheckPrimaryKey) -> ProviderHealth:
        return await health_of(self._provider(request.name, request.provider))

    async def _health(self, _request: Health) -> TrustAuthorityHealth:
        return TrustAuthorityHealth(self.configuration.digest, await self.key_provider.health())
