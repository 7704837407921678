"""The calls that manage key providers, trust and keys (vsphere.md §4.2)."""

import base64
from typing import Any

from kmipkit_vsphere.model.certificates import to_pem
from kmipkit_vsphere.model.errors import InvalidArgument, KeyProviderError
from kmipkit_vsphere.model.records import ROOT, ServerRecord
from kmipkit_vsphere.rpc.params import Params
from kmipkit_vsphere.vcenter.crypto_manager import StatusBits
from kmipkit_vsphere.vcenter.health import certificate_info
from kmipkit_vsphere.vcenter.key_server_trust import PENDING_CERTIFICATE, PENDING_REQUEST
from kmipkit_vsphere.vcenter.vcenter import VCenter


class ProviderCalls:
    """Handlers; what they do is in :mod:`kmipkit_vsphere.vcenter.key_providers` and beside it."""

    def __init__(self, vcenter: VCenter) -> None:
        self._vcenter = vcenter
        self._crypto = vcenter.crypto
        self._providers = vcenter.crypto.providers
        self._trust = vcenter.crypto.providers.trust

    # Providers and servers -----------------------------------------------------------------------

    async def register_server(self, params: Params) -> dict[str, Any]:
        provider, server, password = _server(params)
        return await self._providers.register_server(
            params.caller,
            provider,
            server,
            password=password,
            any_vendor=params.flag("anyVendor"),
        )

    async def update_server(self, params: Params) -> None:
        self._providers.update_server(*_server(params))

    async def remove_server(self, params: Params) -> None:
        self._providers.remove_server(params.text("clusterId"), params.text("serverName"))

    async def register_cluster(self, params: Params) -> None:
        kind = params.text("managementType", "trustAuthority")
        if kind != "trustAuthority":
            raise InvalidArgument(
                "only a provider of type trustAuthority is registered so; add a key server for a"
                " standard one, create a native one"
            )
        self._providers.register_trusted(params.text("clusterId"))

    async def unregister_cluster(self, params: Params) -> None:
        self._providers.unregister(params.text("clusterId"))

    async def configure_wrapping(self, params: Params) -> None:
        key = params.text("keyId") if params.has("keyId") else None
        days = params.integer("rotationInterval") if params.has("rotationInterval") else None
        self._providers.configure_wrapping(params.text("clusterId"), key, days)

    async def list_providers(self, _params: Params) -> list[dict[str, Any]]:
        return self._providers.infos()

    async def status(self, params: Params) -> list[dict[str, Any]]:
        wanted = params.texts("clusters") if params.has("clusters") else None
        now = self._vcenter.now()
        return [one.to_json(now) for one in await self._providers.status(wanted)]

    async def is_active(self, params: Params) -> bool:
        wanted = params.text("clusterId") if params.has("clusterId") else None
        return await self._providers.is_active(wanted)

    async def mark_default(self, params: Params) -> None:
        wanted = params.text("clusterId") if params.has("clusterId") else None
        self._providers.set_default(wanted, params.text("entity", ROOT))

    async def get_default(self, params: Params) -> str | None:
        entity = params.text("entity", ROOT)
        return self._providers.default(entity, climb=params.flag("defaultsToParent"))

    # Trust ---------------------------------------------------------------------------------------

    async def server_certificate(self, params: Params) -> dict[str, Any]:
        """RetrieveKmipServerCert: an empty certificate where the server does not answer."""
        pem, certificate = await self._providers.server_certificate(
            params.text("clusterId"), params.text("serverName")
        )
        info = certificate_info(certificate, self._vcenter.now()) if certificate else None
        return {"certificate": pem, "certInfo": info}

    async def upload_server_certificate(self, params: Params) -> dict[str, Any]:
        found = self._trust.upload_server_certificate(
            params.text("clusterId"), params.long_text("certificate")
        )
        return certificate_info(found, self._vcenter.now())

    async def generate_self_signed(self, params: Params) -> str:
        return self._trust.generate_self_signed(params.text("clusterId"), params.mapping("request"))

    async def self_signed(self, params: Params) -> str:
        return self._trust.pending(params.text("clusterId"), PENDING_CERTIFICATE)

    async def generate_request(self, params: Params) -> str:
        return self._trust.generate_request(params.text("clusterId"), params.mapping("request"))

    async def request(self, params: Params) -> str:
        return self._trust.pending(params.text("clusterId"), PENDING_REQUEST)

    async def update_client_certificate(self, params: Params) -> dict[str, Any]:
        pem = params.long_text("certificate") if params.has("certificate") else None
        found = self._trust.update_client_certificate(params.text("clusterId"), pem)
        return certificate_info(found, self._vcenter.now())

    async def upload_client_certificate(self, params: Params) -> dict[str, Any]:
        found = self._trust.upload_client_certificate(
            params.text("clusterId"),
            params.long_text("certificate"),
            params.long_text("privateKey"),
        )
        return certificate_info(found, self._vcenter.now())

    async def issue_client_certificate(self, params: Params) -> dict[str, Any]:
        found = self._trust.issue_from_authority(
            params.text("clusterId"), params.mapping("request")
        )
        return certificate_info(found, self._vcenter.now())

    async def root_certificate(self, _params: Params) -> str:
        return self._trust.root_certificate()

    async def client_certificate(self, params: Params) -> str:
        found = self._trust.client_certificate(params.text("clusterId"))
        return to_pem(found) if found else ""

    # Native providers ----------------------------------------------------------------------------

    async def create_native(self, params: Params) -> dict[str, Any]:
        tpm_required = not params.flag("anyHost")
        return await self._vcenter.natives.create(
            params.caller, params.text("provider"), tpm_required=tpm_required
        )

    async def export_native(self, params: Params) -> dict[str, Any]:
        password = params.text("password") if params.has("password") else None
        return self._vcenter.natives.export(params.text("provider"), password)

    async def download_backup(self, params: Params) -> str:
        data = await self._vcenter.natives.download(params.caller, params.text("token"))
        return base64.b64encode(data).decode("ascii")

    async def import_native(self, params: Params) -> dict[str, Any]:
        password = params.text("password") if params.has("password") else None
        return await self._vcenter.natives.restore(
            params.caller, params.data("backup"), password, dry_run=params.flag("dryRun")
        )

    async def delete_native(self, params: Params) -> list[str]:
        return await self._vcenter.natives.delete(
            params.caller, params.text("provider"), force=params.flag("force")
        )

    # Keys ----------------------------------------------------------------------------------------

    async def generate_key(self, params: Params) -> dict[str, Any]:
        """A ``CryptoKeyResult``: errors of the key server are told in it, not raised (§4.2)."""
        provider = params.text("keyProvider") if params.has("keyProvider") else None
        try:
            key = await self._crypto.generate_key(
                params.caller, provider, params.mapping("customAttributes")
            )
        except KeyProviderError as fault:
            reason = {"reason": fault.message, "fault": type(fault).__name__}
            return {"keyId": None, "success": False, **reason}
        return {"keyId": key.to_json(), "success": True}

    async def set_attributes(self, params: Params) -> None:
        await self._crypto.set_custom_attributes(
            params.caller, params.key_id(), params.mapping("customAttributes")
        )

    async def list_keys(self, params: Params) -> list[dict[str, str]]:
        limit = params.integer("limit", minimum=1, default=1 << 30)
        return [key.to_json() for key in self._crypto.list_keys()[:limit]]

    async def key_status(self, params: Params) -> list[dict[str, Any]]:
        bits = StatusBits(params.integer("checkKeyBitMap", maximum=15, default=15))
        asked = [one.as_key_id() for one in params.inner_list("keyIds")]
        return [await self._crypto.key_status(key, bits) for key in asked]

    async def remove_keys(self, params: Params) -> list[dict[str, Any]]:
        asked = [one.as_key_id() for one in params.inner_list("keyIds")]
        force = params.flag("force")
        return await self._vcenter.remove_keys(params.caller, asked, force=force)


def _server(params: Params) -> tuple[str, ServerRecord, str | None]:
    """A ``KmipServerSpec`` (vsphere.md §4.3): provider id, server and password."""
    info = params.inner("info")
    server = ServerRecord(
        info.text("name"),
        info.text("address"),
        info.port(5696),
        info.integer("timeout", maximum=3600) if info.has("timeout") else None,
        info.text("userName") if info.has("userName") else None,
    )
    password = params.text("password") if params.has("password") else None
    return params.text("clusterId"), server, password
