"""The trust authority as its own vCenter administers it (vsphere.md §7.3).

One desired configuration, kept by that vCenter and pushed to all Trust Authority hosts; a host is
healthy when it has applied what is desired. Every call here is for members of TrustedAdmins only,
which :mod:`kmipkit_vsphere.vcenter.calls_on_trust` checks (R29).
"""

import hashlib
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from kmipkit_vsphere.model.certificates import parse_certificate
from kmipkit_vsphere.model.errors import AlreadyExists, InvalidArgument, NotFound, VSphereError
from kmipkit_vsphere.model.keys import Secret
from kmipkit_vsphere.model.records import HostRecord
from kmipkit_vsphere.trust_authority.anchors import Anchors, fingerprint_of
from kmipkit_vsphere.trust_authority.measurements import Image
from kmipkit_vsphere.vcenter.store import Store

_KEPT_AS: Final = "trust-authority"

Call = Callable[[HostRecord, str, dict[str, Any]], Awaitable[Any]]
Access = Callable[[str], dict[str, Any]]
"""Credentials and servers of a standard key provider of this vCenter, as JSON."""


class TrustAuthorityCluster:
    """The trust authority of one vCenter; ``authorities`` (PEM) signed its hosts' certificates."""

    def __init__(
        self, store: Store, instance_id: Callable[[], str], call: Call, access: Access
    ) -> None:
        self._store = store
        self._instance_id = instance_id
        self._call = call
        self._access = access
        self.authorities = ""

    @property
    def is_configured(self) -> bool:
        """Whether this vCenter has a trust authority."""
        return bool(self._load()["hosts"])

    def _load(self) -> dict[str, Any]:
        kept = self._store.secrets.get(_KEPT_AS)
        found = json.loads(kept.reveal()) if kept else {}
        empty: dict[str, Any] = {
            "hosts": {},
            "principals": {},
            "anchors": Anchors().to_json(),
            "images": [],
            "providers": {},
        }
        return empty | found

    def _save(self, document: Mapping[str, Any]) -> None:
        self._store.secrets.put(_KEPT_AS, Secret(json.dumps(document).encode()))

    # The Trust Authority hosts -------------------------------------------------------------------

    async def add_host(
        self, name: str, address: str, port: int, service_port: int
    ) -> dict[str, Any]:
        """Take a Trust Authority host in; ``port`` is for this vCenter, the other for hosts."""
        document = self._load()
        if name in document["hosts"]:
            raise AlreadyExists(f"there is a Trust Authority host {name} already")
        info = await self._call(HostRecord(name, "", address, port), "ServiceInfo", {})
        record = {"address": address, "port": port, "servicePort": service_port, **info}
        document["hosts"][name] = record
        self._save(document)
        return {"serviceId": info["serviceId"], "health": await self.remediate()}

    # What is trusted -----------------------------------------------------------------------------

    async def import_principal(self, name: str, certificate: str) -> None:
        """Let in the hosts whose certificates this authority of a workload vCenter signed."""
        parse_certificate(certificate)
        await self._change("principals", name, certificate)

    async def remove_principal(self, name: str) -> None:
        """Let them in no longer."""
        await self._change("principals", name, None)

    async def add_tpm_authority(self, certificate: str) -> None:
        """Trust the TPMs of a maker."""
        parse_certificate(certificate)
        document = self._load()
        known = document["anchors"]["authorities"]
        document["anchors"]["authorities"] = [
            *(one for one in known if one != certificate),
            certificate,
        ]
        await self._apply(document)

    async def add_endorsement_key(self, name: str, pem: str) -> str:
        """Register a single TPM by its endorsement certificate or public key; its fingerprint."""
        found = fingerprint_of(pem)
        document = self._load()
        known = [one for one in document["anchors"]["endorsementKeys"] if one[0] != name]
        document["anchors"]["endorsementKeys"] = [*known, [name, found]]
        await self._apply(document)
        return found

    async def set_tpm_settings(
        self, *, require_endorsement_keys: bool, require_certificate_validation: bool
    ) -> None:
        """What is required of a TPM (§7.2)."""
        document = self._load()
        document["anchors"] |= {
            "requireEndorsementKeys": require_endorsement_keys,
            "requireCertificateValidation": require_certificate_validation,
        }
        await self._apply(document)

    async def import_image(self, manifest: Mapping[str, Any]) -> None:
        """Accept a base image besides the others."""
        image = Image.from_json(manifest).to_json()
        document = self._load()
        document["images"] = [*(one for one in document["images"] if one != image), image]
        await self._apply(document)

    async def remove_image(self, name: str, version: str) -> None:
        """Accept a base image no longer."""
        document = self._load()
        left = [
            one for one in document["images"] if (one["name"], one["version"]) != (name, version)
        ]
        if len(left) == len(document["images"]):
            raise NotFound(f"there is no base image {name} {version}")
        document["images"] = left
        await self._apply(document)

    async def publish_provider(self, provider: str, primary_key_id: str) -> None:
        """Make a trusted key provider of a standard one of this vCenter and a key on its servers."""
        if not primary_key_id:
            raise InvalidArgument("a trusted key provider needs the id of its primary key")
        self._access(provider)
        await self._change("providers", provider, primary_key_id)

    async def withdraw_provider(self, provider: str) -> None:
        """Withdraw a trusted key provider."""
        await self._change("providers", provider, None)

    async def _change(self, part: str, name: str, value: Any) -> None:
        document = self._load()
        if value is None and name not in document[part]:
            raise NotFound(f"there is no {name} among the {part}")
        if value is None:
            del document[part][name]
        else:
            document[part][name] = value
        await self._apply(document)

    # Desired and applied -------------------------------------------------------------------------

    async def _apply(self, document: Mapping[str, Any]) -> None:
        self._save(document)
        await self.remediate()

    def _desired(self) -> dict[str, Any]:
        document = self._load()
        desired = {
            "group": self._instance_id(),
            "principals": document["principals"],
            "anchors": document["anchors"],
            "images": document["images"],
            "providers": {
                name: {"primaryKeyId": key, "access": self._access(name)}
                for name, key in document["providers"].items()
            },
            "attestationKeys": {
                one["serviceId"]: one["publicKey"] for one in document["hosts"].values()
            },
        }
        text = json.dumps(desired, sort_keys=True)
        return {**desired, "digest": hashlib.sha256(text.encode()).hexdigest()}

    def _hosts(self) -> list[HostRecord]:
        hosts = self._load()["hosts"]
        return [HostRecord(name, "", one["address"], one["port"]) for name, one in hosts.items()]

    async def health(self) -> dict[str, dict[str, Any]]:
        """Trust Authority host to whether it has applied what is desired, and what is wrong."""
        digest = self._desired()["digest"]
        found: dict[str, dict[str, Any]] = {}
        for host in self._hosts():
            try:
                told = await self._call(host, "Health", {})
            except VSphereError as failure:
                found[host.name] = {"applied": False, "problems": [failure.message]}
                continue
            problems = [one for one in told["providers"].values() if one]
            found[host.name] = {"applied": told["digest"] == digest, "problems": problems}
        return found

    async def remediate(self) -> dict[str, str | None]:
        """Push what is desired to every host; host to what went wrong, None for nothing."""
        desired = self._desired()
        found: dict[str, str | None] = {}
        for host in self._hosts():
            try:
                await self._call(host, "ApplyConfiguration", {"configuration": desired})
            except VSphereError as failure:
                found[host.name] = failure.message
            else:
                found[host.name] = None
        return found

    def export_services(self) -> dict[str, Any]:
        """Services information, for import at the workload vCenter (§7.3, step 7)."""
        document = self._load()
        return {
            "vcenterId": self._instance_id(),
            "group": self._instance_id(),
            "authorities": self.authorities,
            "providers": sorted(document["providers"]),
            "services": [
                {"name": name, "address": one["address"], "port": one["servicePort"]}
                for name, one in document["hosts"].items()
            ],
        }
