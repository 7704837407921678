"""A Trust Authority host: both services behind one channel (vsphere.md §7.1, requirement R43).

It is configured by the vCenter of the trust authority with one document, which it keeps; its own
signing key never leaves it. Trusted hosts are let in by the certificate authorities of the workload
vCenters that were imported ("principals"): to anybody else the services do not even answer.
"""

import json
import logging
import ssl
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from kmipkit_vsphere.model.errors import DamagedData, InvalidState
from kmipkit_vsphere.model.files import ROLE_FILE, write_secret
from kmipkit_vsphere.model.sealed_config import SealedConfig
from kmipkit_vsphere.providers.conversation import KeyServer
from kmipkit_vsphere.providers.kmip_access import KmipAccess
from kmipkit_vsphere.rpc.channel import Method
from kmipkit_vsphere.rpc.params import Params
from kmipkit_vsphere.rpc.tls import Credentials
from kmipkit_vsphere.trust_authority.anchors import Anchors
from kmipkit_vsphere.trust_authority.attestation import AttestationService
from kmipkit_vsphere.trust_authority.key_provider_service import (
    FetchedPrimaryKey,
    KeyProviderService,
    PrimaryKey,
)
from kmipkit_vsphere.trust_authority.measurements import Image

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
        clock: Callable[[], datetime],
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
        self._identity = self._load_identity()
        self._config = SealedConfig(folder)
        self._primary_keys: dict[str, PrimaryKey] = {}
        key = self._signing_key()
        self._public = key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        self._key = key
        self._clock = clock
        self._apply()

    def _load_identity(self) -> dict[str, str]:
        path = self._folder / ROLE_FILE
        if not path.exists():
            write_secret(path, json.dumps({"id": str(uuid4())}).encode())
        try:
            return {"id": str(json.loads(path.read_text())["id"])}
        except (ValueError, KeyError, TypeError):
            raise DamagedData(f"{path} does not hold the id of a Trust Authority host") from None

    def _signing_key(self) -> ec.EllipticCurvePrivateKey:
        """The key that signs tokens, made at the first start."""
        path = self._folder / "token-signing.key"
        if not path.exists():
            made = ec.generate_private_key(GROUP_KEY_CURVE)
            pem = made.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
            write_secret(path, pem)
        try:
            found = serialization.load_pem_private_key(path.read_bytes(), None)
        except ValueError:
            found = None
        if not isinstance(found, ec.EllipticCurvePrivateKey):
            raise DamagedData(f"{path} is not the key of an Attestation Service")
        return found

    @property
    def service_id(self) -> str:
        """The id under which tokens name this Attestation Service."""
        return self._identity["id"]

    @property
    def configuration(self) -> dict[str, Any]:
        """What was applied last, with the credentials of the key servers; never shown."""
        return dict(self._config.get(_CONFIGURATION, {}))

    def apply(self, document: Mapping[str, Any]) -> None:
        """Take a configuration into use, durably."""
        Anchors.from_json(document.get("anchors", {}))
        for one in document.get("images", ()):
            Image.from_json(one)
        self._config.set(_CONFIGURATION, dict(document))
        self._apply()

    def _apply(self) -> None:
        document = self.configuration
        self._anchors = Anchors.from_json(document.get("anchors", {}))
        self._images = [Image.from_json(one) for one in document.get("images", ())]
        self._primary_keys = {
            name: FetchedPrimaryKey(
                name, one["primaryKeyId"], self._dial(KmipAccess.from_json(one["access"]))
            )
            for name, one in document.get("providers", {}).items()
        }
        self._issuers = dict(document.get("attestationKeys", {}))
        group = str(document.get("group", self.service_id))
        self.attestation = AttestationService(
            self.service_id,
            group,
            self._key,
            lambda: self._anchors,
            lambda: self._images,
            self._clock,
        )
        self.key_provider = KeyProviderService(
            group, lambda: self._issuers, lambda: self._primary_keys, self._clock
        )

    def context(self, credentials: Credentials) -> ssl.SSLContext:
        """Lets in the hosts of imported workload vCenters, and nobody else."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.verify_mode = ssl.CERT_REQUIRED
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(credentials.certificate, credentials.key)
        principals = "".join(self.configuration.get("principals", {}).values())
        if principals:
            context.load_verify_locations(cadata=principals)
        return context

    # Calls ---------------------------------------------------------------------------------------

    def services(self) -> Mapping[str, Method]:
        """The calls of trusted hosts."""
        handlers = {
            "Challenge": self._challenge,
            "Attest": self._attest,
            "NewKey": self._new_key,
            "UnwrapKey": self._unwrap_key,
        }
        return {name: Method(TRUSTED_HOST, one) for name, one in handlers.items()}

    def management(self) -> Mapping[str, Method]:
        """The calls of the trust authority's vCenter."""
        handlers = {
            "ServiceInfo": self._info,
            "ApplyConfiguration": self._apply_configuration,
            "Health": self._health,
        }
        return {name: Method(MANAGER, one) for name, one in handlers.items()}

    async def _challenge(self, params: Params) -> dict[str, Any]:
        return self.attestation.challenge(params)

    async def _attest(self, params: Params) -> dict[str, Any]:
        return self.attestation.attest(params)

    async def _new_key(self, params: Params) -> dict[str, str]:
        return await self.key_provider.new_key(params)

    async def _unwrap_key(self, params: Params) -> dict[str, str]:
        return await self.key_provider.unwrap_key(params)

    async def _info(self, _params: Params) -> dict[str, str]:
        return {"serviceId": self.service_id, "publicKey": self._public.decode()}

    async def _apply_configuration(self, params: Params) -> None:
        self.apply(params.inner("configuration").values)
        log.info("a new configuration was applied")

    async def _health(self, _params: Params) -> dict[str, Any]:
        return {
            "digest": self.configuration.get("digest"),
            "providers": await self.key_provider.health(),
        }
